// Package ipfs runs an IPFS node that is not this project's for the length of a test: js-ipfs, which comes from
// scripts/tools.sh and speaks the Kubo RPC. It listens on loopback alone and knows no peer.
package ipfs

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"cairn/scripts/tool"
)

const (
	startTimeout = 60 * time.Second // it loads 700 packages
	stopTimeout  = 10 * time.Second
)

// Node is a running node. Its methods are for one goroutine at a time.
type Node struct {
	// URL is where it answers the RPC; it stays the same across Resume.
	URL string

	t    testing.TB
	dir  string // of the program
	repo string // of blocks and pins
	port string
	run  *tool.Process
}

// Start starts a node with nothing in it, and ends it with the test. If the test failed, the node's output goes to
// the test's log.
func Start(t testing.TB) *Node {
	t.Helper()
	tools, err := tool.Dir()
	if err != nil {
		t.Fatalf("ipfs: %v", err)
	}
	n := &Node{t: t, dir: filepath.Join(tools, "ipfs"), repo: filepath.Join(t.TempDir(), "repo"), port: "0"}
	t.Cleanup(n.Stop)
	n.Resume()
	return n
}

// Resume starts the node again at the same URL, with the blocks and pins that it had.
func (n *Node) Resume() {
	n.t.Helper()
	if n.run != nil {
		n.t.Fatal("ipfs: Resume of a running node")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		n.t.Fatalf("ipfs: %v", err)
	}
	said := &lines{ready: make(chan struct{})}
	p, err := tool.Start(node, []string{"--no-deprecation", filepath.Join(n.dir, "node.mjs"), n.repo, n.port}, said)
	if err != nil {
		n.t.Fatalf("ipfs: %v", err)
	}
	n.run = p
	select {
	case <-said.ready:
	case <-p.Done:
		n.t.Fatalf("ipfs: ended at its start:\n%s", p.Output())
	case <-time.After(startTimeout):
		n.t.Fatalf("ipfs: not listening after %v:\n%s", startTimeout, p.Output())
	}
	n.port, n.URL = said.port, "http://127.0.0.1:"+said.port
}

// Stop ends the node, in order if it does so in time.
func (n *Node) Stop() {
	if n.run == nil {
		return
	}
	p := n.run
	n.run = nil
	if n.t.Failed() {
		n.t.Logf("the IPFS node's output ends with:\n%s", p.Output())
	}
	if p.Interrupt() == nil {
		select {
		case <-p.Done:
			return
		case <-time.After(stopTimeout):
		}
	}
	p.Kill()
	<-p.Done
}

// lines reads the node's output up to the line that tells its port, which is set before ready is closed.
type lines struct {
	ready chan struct{}
	port  string
	text  []byte
}

var listening = regexp.MustCompile(`(?m)^listening on 127\.0\.0\.1:(\d+)$`)

// Write takes a piece of the output. The process writes one at a time.
func (l *lines) Write(b []byte) (int, error) {
	if l.port != "" {
		return len(b), nil
	}
	l.text = append(l.text, b...)
	if m := listening.FindSubmatch(l.text[:bytes.LastIndexByte(l.text, '\n')+1]); m != nil {
		l.port = string(m[1])
		close(l.ready)
	}
	return len(b), nil
}
