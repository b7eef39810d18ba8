package ipfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

var (
	// ErrNotFound tells that nobody who was asked has a block, or had it in time: ask later, or somebody else.
	ErrNotFound = errors.New("block not found")
	// ErrFalse tells that what was answered is not what the CID names: do not use that node or gateway.
	ErrFalse = errors.New("false answer: it is not what the CID names")
	// ErrTooLarge tells that a file is larger than its reader takes.
	ErrTooLarge = errors.New("file is larger than expected")
	// ErrNoFile tells that a directory has no file of a name.
	ErrNoFile = errors.New("no such file in the directory")
)

// Blocks gives blocks by their CIDs: a Node or a Gateway.
type Blocks interface {
	// Block returns the block that a CID names, having hashed it.
	Block(ctx context.Context, c CID) ([]byte, error)
}

// Dir is a directory that is read. Its methods may be called by several goroutines.
type Dir struct {
	CID    CID
	blocks Blocks
	links  []link // in order of names

	mu   sync.Mutex
	last CID // of chunk, the one read last: small pieces of a file lie side by side
	kept []byte
}

// OpenDir reads a directory's block.
func OpenDir(ctx context.Context, b Blocks, c CID) (*Dir, error) {
	block, err := fetch(ctx, b, c)
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	if c.Codec != DagPB {
		return nil, fmt.Errorf("%v: %w: it names bytes, not a directory", c, ErrNode)
	}
	n, err := parseNode(block)
	if err == nil && n.kind != unixDirectory {
		err = fmt.Errorf("%w: it is a file, not a directory", ErrNode)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	return &Dir{CID: c, blocks: b, links: n.links}, nil
}

// fetch gets a block and hashes it, whoever gave it.
func fetch(ctx context.Context, b Blocks, c CID) ([]byte, error) {
	block, err := b.Block(ctx, c)
	if err != nil {
		return nil, err
	}
	if !c.Is(block) {
		return nil, fmt.Errorf("%v: %w", c, ErrFalse)
	}
	return block, nil
}

// Names returns the names of the directory's files, in order.
func (d *Dir) Names() []string {
	var all []string
	for _, l := range d.links {
		all = append(all, l.name)
	}
	return all
}

// File is the CID of a file.
func (d *Dir) File(name string) (CID, bool) {
	l, err := d.find(name)
	return l.cid, err == nil
}

func (d *Dir) find(name string) (link, error) {
	i, ok := slices.BinarySearchFunc(d.links, name, func(l link, name string) int { return strings.Compare(l.name, name) })
	if !ok {
		return link{}, fmt.Errorf("%.64q in %v: %w", name, d.CID, ErrNoFile)
	}
	return d.links[i], nil
}

// Read returns a file of at most max bytes.
func (d *Dir) Read(ctx context.Context, name string, max int64) ([]byte, error) {
	l, err := d.find(name)
	if err != nil {
		return nil, err
	}
	size, top, err := d.top(ctx, l)
	if err != nil {
		return nil, err
	}
	if size > uint64(max) {
		return nil, fmt.Errorf("%s in %v: %w: %d bytes, at most %d", name, d.CID, ErrTooLarge, size, max)
	}
	return d.span(ctx, top, 0, size)
}

// ReadRange returns bytes of a file, fetching the chunks that hold them. Past the file's end is an error.
func (d *Dir) ReadRange(ctx context.Context, name string, from, length int64) ([]byte, error) {
	l, err := d.find(name)
	if err != nil {
		return nil, err
	}
	size, top, err := d.top(ctx, l)
	if err != nil {
		return nil, err
	}
	if from < 0 || length < 0 || uint64(from)+uint64(length) > size {
		return nil, fmt.Errorf("%s in %v: bytes %d to %d of %d", name, d.CID, from, from+length, size)
	}
	return d.span(ctx, top, uint64(from), uint64(from+length))
}

// Size is the length of a file in bytes.
func (d *Dir) Size(ctx context.Context, name string) (int64, error) {
	l, err := d.find(name)
	if err != nil {
		return 0, err
	}
	size, _, err := d.top(ctx, l)
	return int64(size), err
}

// tree is a part of a file: a chunk, or a node's block.
type tree struct {
	cid  CID
	size uint64 // bytes of the file below it
}

// top finds how large a file is.
func (d *Dir) top(ctx context.Context, l link) (uint64, tree, error) {
	block, err := d.block(ctx, l.cid)
	if err != nil {
		return 0, tree{}, err
	}
	size := uint64(len(block))
	if l.cid.Codec == DagPB {
		n, err := fileNode(l.cid, block)
		if err != nil {
			return 0, tree{}, err
		}
		size = n.size
	}
	if size > 1<<62 {
		return 0, tree{}, fmt.Errorf("%v: %w", l.cid, ErrTooLarge)
	}
	return size, tree{l.cid, size}, nil
}

func fileNode(c CID, block []byte) (*node, error) {
	n, err := parseNode(block)
	if err == nil && n.kind != unixFile {
		err = fmt.Errorf("%w: a directory in the place of a file", ErrNode)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	return n, nil
}

// block is fetch, and keeps the last one.
func (d *Dir) block(ctx context.Context, c CID) ([]byte, error) {
	d.mu.Lock()
	block, ok := d.kept, d.last == c && d.kept != nil
	d.mu.Unlock()
	if ok {
		return block, nil
	}
	block, err := fetch(ctx, d.blocks, c)
	if err != nil {
		return nil, err
	}
	if c.Codec == Raw {
		d.mu.Lock()
		d.last, d.kept = c, block
		d.mu.Unlock()
	}
	return block, nil
}

// maxDepth is of a file's tree: 174³ chunks of the smallest size that anybody uses are far beyond any file here.
const maxDepth = 8

func (d *Dir) span(ctx context.Context, t tree, from, to uint64) ([]byte, error) {
	var all []byte // grows as blocks come, not by what a node claims
	if err := d.walk(ctx, t, from, to, 0, &all); err != nil {
		return nil, err
	}
	return all, nil
}

func (d *Dir) walk(ctx context.Context, t tree, from, to uint64, depth int, out *[]byte) error {
	if from >= to {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%v: %w: deeper than %d", t.cid, ErrNode, maxDepth)
	}
	block, err := d.block(ctx, t.cid)
	if err != nil {
		return err
	}
	if t.cid.Codec == Raw {
		if uint64(len(block)) != t.size {
			return fmt.Errorf("%v: %w: %d bytes where its node says %d", t.cid, ErrNode, len(block), t.size)
		}
		*out = append(*out, block[from:to]...)
		return nil
	}
	n, err := fileNode(t.cid, block)
	if err != nil {
		return err
	}
	if n.size != t.size {
		return fmt.Errorf("%v: %w: %d bytes where its node says %d", t.cid, ErrNode, n.size, t.size)
	}
	at := uint64(0)
	for i, l := range n.links {
		end := at + n.sizes[i]
		if end > from && at < to {
			if err := d.walk(ctx, tree{l.cid, n.sizes[i]}, max(from, at)-at, min(to, end)-at, depth+1, out); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}
