package ipfs

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	chunkSize = 256 << 10
	maxLinks  = 174 // of a node of a file
	// MaxFiles is the largest number of files in a directory.
	MaxFiles = 1024
	maxName  = 255
)

// File is one file that is to be published.
type File struct {
	Name string
	// Write writes the content, the same each time: it is called once to compute the CID, and again to publish.
	Write func(w io.Writer) error
}

// Bytes is a file with this content.
func Bytes(name string, content []byte) File {
	return File{name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}}
}

// Directory is a directory of files whose CID is known.
type Directory struct {
	CID  CID
	Size uint64 // bytes of all its blocks

	files []File // in order of their names
	cids  []CID
}

// NewDirectory computes the CID of a directory. Names are those of single files: 1 to 255 bytes of letters, digits,
// dots, hyphens and underscores, and all different.
func NewDirectory(files []File) (*Directory, error) {
	if len(files) > MaxFiles {
		return nil, fmt.Errorf("a directory of %d files: at most %d", len(files), MaxFiles)
	}
	d := &Directory{files: slices.Clone(files)}
	slices.SortFunc(d.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	n := node{kind: unixDirectory}
	for i, f := range d.files {
		if !isName(f.Name) {
			return nil, fmt.Errorf("%.300q is no name of a file", f.Name)
		}
		if i > 0 && d.files[i-1].Name == f.Name {
			return nil, fmt.Errorf("two files are called %s", f.Name)
		}
		l, _, err := fileLink(f.Write)
		if err != nil {
			return nil, fmt.Errorf("compute the CID of %s: %w", f.Name, err)
		}
		l.name = f.Name
		d.cids = append(d.cids, l.cid)
		n.links = append(n.links, l)
		d.Size += l.size
	}
	block := n.append(nil)
	d.CID = CIDOf(DagPB, block)
	d.Size += uint64(len(block))
	return d, nil
}

func isName(name string) bool {
	if len(name) == 0 || len(name) > maxName || name == "." || name == ".." {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// FileCID computes the CID of a file with this content.
func FileCID(content []byte) CID {
	l, _, _ := fileLink(Bytes("", content).Write) // writing to the chunker does not fail
	return l.cid
}

// fileLink computes what a directory says of a file, and the file's size.
func fileLink(write func(w io.Writer) error) (l link, size uint64, err error) {
	c := &chunker{}
	if err := write(c); err != nil {
		return l, 0, err
	}
	l, size = c.root()
	return l, size, nil
}

// chunker is written a file and builds its tree. It holds one chunk and, for each level, the links of the node that is
// being filled.
type chunker struct {
	chunk  []byte
	levels [][]below // levels[0] are the leaves of the last node
	chunks int
}

// below is a link with the bytes of the file under it.
type below struct {
	link
	bytes uint64
}

var errFull = errors.New("file is too large")

// Write implements io.Writer.
func (c *chunker) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(c.chunk) == chunkSize { // a chunk goes when more comes: the last one may be all there is
			c.leaf()
		}
		if c.chunk == nil {
			c.chunk = make([]byte, 0, chunkSize)
		}
		take := min(len(b), chunkSize-len(c.chunk))
		c.chunk, b = append(c.chunk, b[:take]...), b[take:]
	}
	if c.chunks >= maxLinks*maxLinks*maxLinks {
		return 0, errFull
	}
	return n, nil
}

// leaf ends the chunk.
func (c *chunker) leaf() {
	size := uint64(len(c.chunk))
	c.add(0, below{link{cid: CIDOf(Raw, c.chunk), size: size}, size})
	c.chunk = c.chunk[:0]
	c.chunks++
}

// add adds a link to a level. A node is made once there is a link more than it takes, so that the last one of a level
// is never made before it is known whether it is the root.
func (c *chunker) add(level int, b below) {
	if level == len(c.levels) {
		c.levels = append(c.levels, nil)
	}
	if len(c.levels[level]) == maxLinks {
		c.add(level+1, join(c.levels[level]))
		c.levels[level] = c.levels[level][:0]
	}
	c.levels[level] = append(c.levels[level], b)
}

// join makes the node above some links.
func join(all []below) below {
	n := node{kind: unixFile}
	up := below{}
	for _, b := range all {
		n.links, n.sizes = append(n.links, b.link), append(n.sizes, b.bytes)
		n.size += b.bytes
		up.size += b.size
	}
	block := n.append(nil)
	up.cid, up.bytes = CIDOf(DagPB, block), n.size
	up.size += uint64(len(block))
	return up
}

// root ends the file.
func (c *chunker) root() (l link, size uint64) {
	c.leaf()
	for level := 0; ; level++ {
		all := c.levels[level]
		if level == len(c.levels)-1 {
			if len(all) > 1 {
				all = []below{join(all)}
			}
			return all[0].link, all[0].bytes
		}
		c.add(level+1, join(all))
	}
}
