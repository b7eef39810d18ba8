package ipfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	shell "github.com/ipfs/go-ipfs-api"
)

var (
	// ErrOtherCID tells that a node made another tree of what it was given: it cuts files, or joins them, in a way
	// of its own. Look at Import in its configuration.
	ErrOtherCID = errors.New("the node computed another CID")
	// ErrNotPinned tells that a node does not hold on to what it was given.
	ErrNotPinned = errors.New("the node has not pinned it")
)

// defaultTimeout is how long a request to a node or gateway may take, with its body.
const defaultTimeout = 2 * time.Minute

// Node is an IPFS node that is asked over its RPC (Kubo, /api/v0). Whoever can reach that RPC can do everything with
// the node: it belongs on loopback. Its methods may be called by several goroutines.
type Node struct {
	url     string
	timeout time.Duration
	shell   *shell.Shell
	http    *transport
}

// NodeConfig says how a node is reached.
type NodeConfig struct {
	URL     string        // of the RPC, without /api/v0
	Timeout time.Duration // of one request; 0: two minutes
}

// NewNode makes a node. It asks it nothing.
func NewNode(cfg NodeConfig) (*Node, error) {
	base, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	n := &Node{url: base, timeout: cfg.Timeout}
	if n.timeout <= 0 {
		n.timeout = defaultTimeout
	}
	client := newClient()
	n.http = client.Transport.(*transport)
	n.shell = shell.NewShellWithClient(base, client)
	return n, nil
}

// ParseURL checks the URL of a node's RPC or of a gateway: http or https, a host, perhaps a path, and no more.
func ParseURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil:
		return "", errors.New("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("%.100q is no URL such as http://127.0.0.1:5001", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("the URL has a user, a query or a fragment: give scheme, host and path alone")
	}
	return u.String(), nil
}

// Close closes the connections that are kept.
func (n *Node) Close() { n.http.base.CloseIdleConnections() }

// URL is where the node is reached.
func (n *Node) URL() string { return n.url }

// rootName is what the directory is called in the upload; no name is part of a CID.
const rootName = "group"

// Publish adds a directory to the node, which pins it, and returns once the node says that it holds all of it under
// the CID that was computed here.
func (n *Node) Publish(ctx context.Context, d *Directory) error {
	got, err := n.add(ctx, d)
	if err != nil {
		return fmt.Errorf("add %v: %w", d.CID, err)
	}
	if got != d.CID {
		return fmt.Errorf("add %v: %w: %v", d.CID, ErrOtherCID, got)
	}
	pinned, err := n.Pinned(ctx, d.CID)
	if err == nil && !pinned {
		err = ErrNotPinned
	}
	if err == nil {
		_, err = n.Block(ctx, d.CID)
	}
	if err != nil {
		return fmt.Errorf("look at %v: %w", d.CID, err)
	}
	return nil
}

// add uploads a directory and returns the CID that the node answers.
func (n *Node) add(ctx context.Context, d *Directory) (CID, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(d.upload(form))
	}()
	defer func() { // the node may answer before it has read everything
		r.Close()
		<-done
	}()
	resp, err := n.shell.Request("add").
		Option("cid-version", 1).Option("raw-leaves", true).Option("hash", "sha2-256").Option("chunker", fmt.Sprintf("size-%d", chunkSize)).
		Option("pin", true).Option("progress", false).Option("cid-base", "base32").
		Header("Content-Type", form.FormDataContentType()).
		Body(r).Send(ctx)
	if err != nil {
		return CID{}, explain(err)
	}
	if resp.Error != nil {
		return CID{}, explain(resp.Error)
	}
	defer resp.Output.Close()
	return addedRoot(resp.Output)
}

// addedRoot reads what add answers: a line of JSON for each file and one for the directory.
func addedRoot(r io.Reader) (CID, error) {
	root := CID{}
	dec := json.NewDecoder(r)
	for {
		var line struct{ Name, Hash, Message string }
		err := dec.Decode(&line)
		switch {
		case err == io.EOF && root == CID{}:
			return root, errors.New("the answer ends without the directory")
		case err == io.EOF:
			return root, nil
		case err != nil:
			return root, fmt.Errorf("read the answer: %w", explain(err))
		case line.Message != "":
			return root, errors.New(short(line.Message))
		case line.Name != rootName:
			continue
		}
		if root, err = ParseCID(line.Hash); err != nil {
			return root, fmt.Errorf("read the answer: %w", err)
		}
	}
}

// upload writes the directory as the form that add reads.
func (d *Directory) upload(form *multipart.Writer) error {
	part := func(name, kind string) (io.Writer, error) {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", `form-data; name="file"; filename="`+url.QueryEscape(name)+`"`)
		h.Set("Content-Type", kind)
		return form.CreatePart(h)
	}
	if _, err := part(rootName, "application/x-directory"); err != nil {
		return err
	}
	for _, f := range d.files {
		w, err := part(rootName+"/"+f.Name, "application/octet-stream")
		if err != nil {
			return err
		}
		if err := f.Write(w); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	return form.Close()
}

// pin asks about a pin, of a block and all below it or of the block alone.
func (n *Node) pin(ctx context.Context, command string, c CID, recursive bool, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	r := n.shell.Request(command, c.String()).Option("cid-base", "base32").Option("timeout", n.patience()).Option("recursive", recursive)
	if command == "pin/ls" {
		r.Option("type", "recursive")
	}
	return explain(r.Exec(ctx, answer))
}

// patience is how long the node itself may look for a block: less than its answer may take.
func (n *Node) patience() string {
	return (n.timeout * 9 / 10).Round(time.Millisecond).String()
}

// Pin has the node keep what is below a CID, and fetch what it has not.
func (n *Node) Pin(ctx context.Context, c CID) error {
	var answer struct{ Pins []string }
	if err := n.pin(ctx, "pin/add", c, true, &answer); err != nil {
		return fmt.Errorf("pin %v: %w", c, err)
	}
	for _, p := range answer.Pins {
		if got, err := ParseCID(p); err == nil && got == c {
			return nil
		}
	}
	return fmt.Errorf("pin %v: %w", c, ErrNotPinned)
}

// Thin has the node keep a directory that it holds without one of its files: the directory's own block and the other
// files stay pinned, so that it can be read for what is left. Done again it changes nothing, also after an error.
func (n *Node) Thin(ctx context.Context, c CID, drop string) error {
	d, err := OpenDir(ctx, n, c)
	if err != nil {
		return fmt.Errorf("thin %v: %w", c, err)
	}
	for _, l := range d.links {
		if l.name == drop {
			continue
		}
		if err := n.Pin(ctx, l.cid); err != nil {
			return fmt.Errorf("thin %v: %s: %w", c, l.name, err)
		}
	}
	if err := n.Unpin(ctx, c); err != nil {
		return err
	}
	// The node may collect the block between the two: it is put there again, and what it links to is not looked for.
	if err := n.put(ctx, c, (&node{kind: unixDirectory, links: d.links}).append(nil)); err != nil {
		return fmt.Errorf("thin %v: %w", c, err)
	}
	var answer struct{ Pins []string }
	if err := n.pin(ctx, "pin/add", c, false, &answer); err != nil {
		return fmt.Errorf("thin %v: %w", c, err)
	}
	return nil
}

// put gives the node one block.
func (n *Node) put(ctx context.Context, c CID, block []byte) error {
	if !c.Is(block) {
		return ErrFalse
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	w, err := form.CreateFormFile("data", "block")
	if err == nil {
		if _, err = w.Write(block); err == nil {
			err = form.Close()
		}
	}
	if err != nil {
		return err
	}
	var answer struct{ Key string }
	err = n.shell.Request("block/put").Option("cid-codec", "dag-pb").Option("version", 1).Option("mhtype", "sha2-256").Option("cid-base", "base32").
		Header("Content-Type", form.FormDataContentType()).Body(&body).Exec(ctx, &answer)
	if err != nil {
		return explain(err)
	}
	if got, err := ParseCID(answer.Key); err != nil || got != c {
		return fmt.Errorf("%w: %.100s", ErrOtherCID, answer.Key)
	}
	return nil
}

// Unpin lets the node forget what is below a CID. One that is not pinned is no error.
func (n *Node) Unpin(ctx context.Context, c CID) error {
	err := n.pin(ctx, "pin/rm", c, true, nil)
	if err != nil && !isNotPinned(err) {
		return fmt.Errorf("unpin %v: %w", c, err)
	}
	return nil
}

// Pinned reports whether the node keeps what is below a CID.
func (n *Node) Pinned(ctx context.Context, c CID) (bool, error) {
	var answer struct {
		Keys map[string]struct{ Type string }
	}
	err := n.pin(ctx, "pin/ls", c, true, &answer)
	if isNotPinned(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the pin of %v: %w", c, err)
	}
	for text := range answer.Keys {
		if got, err := ParseCID(text); err == nil && got == c {
			return true, nil
		}
	}
	return false, nil
}

// Block implements Blocks: from the node, which may fetch it from others.
func (n *Node) Block(ctx context.Context, c CID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	resp, err := n.shell.Request("block/get", c.String()).Option("timeout", n.patience()).Send(ctx)
	if err == nil && resp.Error != nil {
		err = resp.Error
	}
	if err != nil {
		return nil, notFound(c, explain(err))
	}
	defer resp.Output.Close()
	return readBlock(c, resp.Output)
}

// readBlock reads a block and hashes it.
func readBlock(c CID, r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBlock+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%v: read block: %w", c, explain(err))
	case len(b) > MaxBlock:
		return nil, fmt.Errorf("%v: %w: more than %d bytes", c, ErrFalse, MaxBlock)
	case !c.Is(b):
		return nil, fmt.Errorf("%v: %w", c, ErrFalse)
	}
	return b, nil
}

// What nodes say, and what it means. Their RPC has no codes for it.
var (
	notPinnedWords = []string{"not pinned", "is not pinned recursively"}
	notFoundWords  = []string{"not found", "could not find", "request timed out", "deadline exceeded", "aborted"}
)

func saysOneOf(err error, words []string) bool {
	var said *shell.Error
	if !errors.As(err, &said) {
		return false
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(said.Message), w) {
			return true
		}
	}
	return false
}

func isNotPinned(err error) bool { return err != nil && saysOneOf(err, notPinnedWords) }

// notFound names what is behind an error of a block that did not come.
func notFound(c CID, err error) error {
	if saysOneOf(err, notFoundWords) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%v: %w: %w", c, ErrNotFound, err)
	}
	return fmt.Errorf("%v: %w", c, err)
}

// explain makes one short line of what a node said.
func explain(err error) error {
	var said *shell.Error
	if errors.As(err, &said) {
		said.Message = short(said.Message)
		return said
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err // its text has the whole request in it
	}
	return err
}

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
