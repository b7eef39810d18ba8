package btcd

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// door is where those that are tested reach a node's RPC. It is shut while the node is not running, and also while
// Resume gives its chain back, which would look like a reorganisation to the genesis block.
type door struct {
	on net.Listener
	to string

	mu    sync.Mutex // covers conns, which is nil once the door is shut
	conns map[net.Conn]bool
	wait  sync.WaitGroup
}

func openDoor(addr, to string) (*door, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", addr, err)
	}
	d := &door{on: l, to: to, conns: map[net.Conn]bool{}}
	d.wait.Add(1)
	go func() {
		defer d.wait.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.wait.Add(1)
			go d.pass(c)
		}
	}()
	return d, nil
}

// pass joins a connection with one to the node until either ends.
func (d *door) pass(c net.Conn) {
	defer d.wait.Done()
	defer d.leave(c)
	if !d.enter(c) {
		return
	}
	node, err := net.DialTimeout("tcp", d.to, 5*time.Second)
	if err != nil {
		return
	}
	defer d.leave(node)
	if !d.enter(node) {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(node, c)
		node.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(c, node)
	c.Close()
	<-ended
}

// enter takes a connection in, unless the door is shut.
func (d *door) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		return false
	}
	d.conns[c] = true
	return true
}

func (d *door) leave(c net.Conn) {
	c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// shut ends all connections and lets nobody in any more.
func (d *door) shut() {
	if d == nil {
		return
	}
	d.on.Close()
	d.mu.Lock()
	for c := range d.conns {
		c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	d.wait.Wait()
}
