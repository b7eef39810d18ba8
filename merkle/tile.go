package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// TileHeight is the number of tree levels that one tile spans: a full tile at
// level L holds the 256 nodes (8·L, 256·N) and following.
const TileHeight = 8

// EntriesLevel stands for the level of the entry bundles, which hold the
// entries themselves, one for each hash of the tile at level 0.
const EntriesLevel = -1

const (
	tileWidth    = 1 << TileHeight
	maxTileLevel = 63 // as the standard says; no tree here has tiles above 7
	maxTilePath  = 64
)

var (
	// ErrTilePath says that a text is no tile's path: answer that it is not found.
	ErrTilePath = errors.New("not a tile path")
	// ErrEntries says that bytes are no entry bundle, or that an entry does not
	// fit into one.
	ErrEntries = errors.New("malformed entry bundle")
)

// TilePath returns the path of a tile below a log's address: "tile/", the
// level or "entries", and the index in groups of three digits, all but the
// last with an x before them. A width below 256 names a partial tile:
//
//	tile/0/x001/234  tile/0/x001/234.p/5  tile/entries/000
func TilePath(level int, index uint64, width int) string {
	digits := strconv.FormatUint(index, 10)
	digits = "00"[:(3-len(digits)%3)%3] + digits
	var b strings.Builder
	b.WriteString("tile/")
	if level == EntriesLevel {
		b.WriteString("entries")
	} else {
		b.WriteString(strconv.Itoa(level))
	}
	for ; len(digits) > 3; digits = digits[3:] {
		b.WriteString("/x" + digits[:3])
	}
	b.WriteString("/" + digits)
	if width != tileWidth {
		fmt.Fprintf(&b, ".p/%d", width)
	}
	return b.String()
}

// ParseTilePath reads what TilePath writes, and nothing else: any other text
// is an ErrTilePath. The level is from 0 to 63, or EntriesLevel; the width
// from 1 to 256.
func ParseTilePath(path string) (level int, index uint64, width int, err error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || len(path) > maxTilePath {
		return 0, 0, 0, fmt.Errorf("%w: %.70q", ErrTilePath, path)
	}
	first, rest, _ := strings.Cut(rest, "/")
	if first == "entries" {
		level = EntriesLevel
	} else if level, err = strconv.Atoi(first); err != nil || level < 0 || level > maxTileLevel {
		return 0, 0, 0, fmt.Errorf("%w: %.70q: level", ErrTilePath, path)
	}
	rest, partial, ok := strings.Cut(rest, ".p/")
	width = tileWidth
	if ok {
		if width, err = strconv.Atoi(partial); err != nil || width < 1 || width >= tileWidth {
			return 0, 0, 0, fmt.Errorf("%w: %.70q: width", ErrTilePath, path)
		}
	}
	digits := strings.ReplaceAll(strings.ReplaceAll(rest, "/", ""), "x", "")
	if index, err = strconv.ParseUint(digits, 10, 63); err != nil {
		return 0, 0, 0, fmt.Errorf("%w: %.70q: index", ErrTilePath, path)
	}
	// One text for each tile: this also settles where slashes, x and leading
	// zeros may stand.
	if TilePath(level, index, width) != path {
		return 0, 0, 0, fmt.Errorf("%w: %.70q: not canonical", ErrTilePath, path)
	}
	return level, index, width, nil
}

// TileWidth returns how many hashes, or entries at EntriesLevel, the tile has
// in a tree of this size: 256 when full, 0 when it does not exist.
func TileWidth(level int, index, size uint64) int {
	if level < EntriesLevel || level > maxTileLevel {
		return 0
	}
	nodes := size >> (TileHeight * max(level, 0))
	switch full := nodes / tileWidth; {
	case index < full:
		return tileWidth
	case index == full:
		return int(nodes % tileWidth)
	}
	return 0
}

// ReadTile returns the bytes of the hash tile of this width: width hashes of
// 32 bytes. A tile that no tree can have is an ErrRange.
func ReadTile(r NodeReader, level int, index uint64, width int) ([]byte, error) {
	if level < 0 || width < 1 || width > tileWidth || TileWidth(level, index, MaxSize) < width {
		return nil, fmt.Errorf("read tile: level %d, index %d, width %d: %w", level, index, width, ErrRange)
	}
	b := make([]byte, 0, width*HashSize)
	for i := range uint64(width) {
		h, err := readNode(r, level*TileHeight, index*tileWidth+i)
		if err != nil {
			return nil, fmt.Errorf("read tile: %w", err)
		}
		b = append(b, h[:]...)
	}
	return b, nil
}

// AppendEntry appends one entry to the bytes of an entry bundle: its length, 2
// bytes big-endian, then itself. An entry over 65535 bytes is an ErrEntries,
// and dst comes back as it was.
func AppendEntry(dst, entry []byte) ([]byte, error) {
	if len(entry) > math.MaxUint16 {
		return dst, fmt.Errorf("%w: entry of %d bytes, at most %d", ErrEntries, len(entry), math.MaxUint16)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(entry)))
	return append(dst, entry...), nil
}

// ParseEntries returns the entries of a bundle, at most 256, which share b's
// memory. Bytes that are missing or left over are an ErrEntries.
func ParseEntries(b []byte) ([][]byte, error) {
	var entries [][]byte
	for len(b) > 0 {
		if len(entries) == tileWidth {
			return nil, fmt.Errorf("%w: more than %d entries", ErrEntries, tileWidth)
		}
		if len(b) < 2 {
			return nil, fmt.Errorf("%w: half a length after %d entries", ErrEntries, len(entries))
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		if len(b) < n {
			return nil, fmt.Errorf("%w: entry %d has %d bytes of %d", ErrEntries, len(entries), len(b)-2, n-2)
		}
		entries = append(entries, b[2:n:n])
		b = b[n:]
	}
	return entries, nil
}
