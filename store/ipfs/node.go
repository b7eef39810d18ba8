package ipfs

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrNode tells that a block is no node of a file or directory as this package reads them.
var ErrNode = errors.New("no UnixFS node")

// link is what a node says of a block below it.
type link struct {
	cid  CID
	name string
	size uint64 // Tsize: bytes of the block and all below it
}

// node is a parsed dag-pb block with its UnixFS data.
type node struct {
	kind  uint64 // unixDirectory or unixFile
	links []link
	size  uint64   // of a file: its bytes
	sizes []uint64 // of a file: the bytes under each link
}

// Types of UnixFS nodes.
const (
	unixDirectory = 1
	unixFile      = 2
	unixSharded   = 5
)

// append writes the node as a dag-pb block.
func (n *node) append(dst []byte) []byte {
	var part []byte
	for _, l := range n.links {
		part = append(part[:0], 0x0a, cidSize)
		part = append(part, l.cid.Bytes()...)
		part = append(part, 0x12)
		part = binary.AppendUvarint(part, uint64(len(l.name)))
		part = append(part, l.name...)
		part = append(part, 0x18)
		part = binary.AppendUvarint(part, l.size)
		dst = appendField(dst, 0x12, part)
	}
	part = append(part[:0], 0x08, byte(n.kind))
	if n.kind == unixFile {
		part = append(part, 0x18)
		part = binary.AppendUvarint(part, n.size)
		for _, s := range n.sizes {
			part = append(part, 0x20)
			part = binary.AppendUvarint(part, s)
		}
	}
	return appendField(dst, 0x0a, part)
}

func appendField(dst []byte, tag byte, content []byte) []byte {
	dst = append(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(content)))
	return append(dst, content...)
}

// field is one field of a protobuf message: a number for wire type 0, bytes for 2.
type field struct {
	tag    uint64
	number uint64
	bytes  []byte
}

// fields reads a protobuf message of numbers and byte strings.
func fields(b []byte, fn func(f field) error) error {
	for len(b) > 0 {
		var f field
		var n int
		if f.tag, n = binary.Uvarint(b); n <= 0 {
			return ErrNode
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return ErrNode
		}
		b = b[n:]
		switch f.tag & 7 {
		case 0:
			f.number = v
		case 2:
			if v > uint64(len(b)) {
				return ErrNode
			}
			f.bytes, b = b[:v], b[v:]
		default:
			return ErrNode
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// parseNode reads a dag-pb block with UnixFS data. What it does not know is refused: a mode or a time of change, which
// this package never writes, other types, a directory that is sharded.
func parseNode(block []byte) (*node, error) {
	n := &node{}
	data := []byte(nil)
	err := fields(block, func(f field) error {
		switch {
		case f.tag == 0x12 && data == nil:
			l, err := parseLink(f.bytes)
			n.links = append(n.links, l)
			return err
		case f.tag == 0x0a && data == nil:
			data = f.bytes
			return nil
		}
		return ErrNode
	})
	if err == nil {
		err = n.parseData(data)
	}
	if err != nil {
		return nil, err
	}
	return n, n.check()
}

func parseLink(b []byte) (l link, err error) {
	seen := uint64(0)
	err = fields(b, func(f field) error {
		if f.tag <= seen {
			return ErrNode
		}
		seen = f.tag
		switch f.tag {
		case 0x0a:
			var err error
			l.cid, err = CIDFromBytes(f.bytes)
			return err
		case 0x12:
			l.name = string(f.bytes)
			return nil
		case 0x18:
			l.size = f.number
			return nil
		}
		return ErrNode
	})
	if err == nil && l.cid == (CID{}) {
		err = ErrNode
	}
	return l, err
}

func (n *node) parseData(data []byte) error {
	return fields(data, func(f field) error {
		switch f.tag {
		case 0x08:
			n.kind = f.number
		case 0x18:
			n.size = f.number
		case 0x20:
			n.sizes = append(n.sizes, f.number)
		default:
			return ErrNode
		}
		return nil
	})
}

// check holds the node's parts against each other.
func (n *node) check() error {
	switch n.kind {
	case unixFile:
		if len(n.sizes) != len(n.links) || len(n.links) == 0 {
			return fmt.Errorf("%w: a file's node with %d links and %d sizes", ErrNode, len(n.links), len(n.sizes))
		}
		sum := uint64(0)
		for i, s := range n.sizes {
			if n.links[i].name != "" || s == 0 || sum+s < sum {
				return fmt.Errorf("%w: a file's link with a name or no bytes", ErrNode)
			}
			sum += s
		}
		if sum != n.size {
			return fmt.Errorf("%w: a file of %d bytes with %d below it", ErrNode, n.size, sum)
		}
	case unixDirectory:
		if len(n.sizes) > 0 || n.size > 0 || len(n.links) > MaxFiles {
			return fmt.Errorf("%w: a directory with %d links", ErrNode, len(n.links))
		}
		for i := range n.links[min(1, len(n.links)):] {
			if n.links[i].name >= n.links[i+1].name {
				return fmt.Errorf("%w: a directory's names are out of order", ErrNode)
			}
		}
	case unixSharded:
		return fmt.Errorf("%w: a sharded directory, which this program does not read", ErrNode)
	default:
		return fmt.Errorf("%w: UnixFS type %d", ErrNode, n.kind)
	}
	return nil
}
