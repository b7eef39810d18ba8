package merkle

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTilePath(t *testing.T) {
	for _, tt := range []struct {
		level int
		index uint64
		width int
		want  string
	}{
		{0, 0, 256, "tile/0/000"},
		{0, 0, 1, "tile/0/000.p/1"},
		{0, 1234, 5, "tile/0/x001/234.p/5"},
		{3, 999, 255, "tile/3/999.p/255"},
		{63, 1000, 256, "tile/63/x001/000"},
		{2, 1234067, 256, "tile/2/x001/x234/067"},
		{-1, 1234067, 8, "tile/entries/x001/x234/067.p/8"},
		{-1, 0, 256, "tile/entries/000"},
		{0, MaxSize, 256, "tile/0/x009/x223/x372/x036/x854/x775/807"},
	} {
		if got := TilePath(tt.level, tt.index, tt.width); got != tt.want {
			t.Errorf("path of (%d, %d, %d): got %s, want %s", tt.level, tt.index, tt.width, got, tt.want)
		}
		level, index, width, err := ParseTilePath(tt.want)
		if level != tt.level || index != tt.index || width != tt.width || err != nil {
			t.Errorf("parse %s: got (%d, %d, %d), %v", tt.want, level, index, width, err)
		}
		old := tlog.Tile{H: TileHeight, L: tt.level, N: int64(tt.index), W: tt.width}.Path()
		old = strings.Replace(strings.Replace(old, "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
		if old != tt.want {
			t.Errorf("path of (%d, %d, %d): tlog says %s, want %s", tt.level, tt.index, tt.width, old, tt.want)
		}
	}
	for _, bad := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile/0/0", "tile/0/00", "tile/0/0000",
		"tile/00/000", "tile/+1/000", "tile/-1/000", "tile/64/000", "tile/x/000", "tile/data/000", "tile/8/0/000",
		"tile/0/x000/001", "tile/0/x001", "tile/0/001/002", "tile/0/x1/234", "tile/0/xx01/234", "tile/0/-01", "tile/0/0x1",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/-1",
		"tile/0/000.p/1/", "tile/0/000.p/1.p/1", "tile/0/000.p/+1", "tile/0/000.P/1", "tile/0/000 ", "tile/0/000\n",
		"tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/x018/x446/x744/x073/x709/x551/616",
		"tile/0/" + strings.Repeat("x000/", 100) + "000", "tile/entries", "tile/entries/", "tile/entries/0",
	} {
		if level, index, width, err := ParseTilePath(bad); !errors.Is(err, ErrTilePath) {
			t.Errorf("parse %q: got (%d, %d, %d), %v, want %v", bad, level, index, width, err, ErrTilePath)
		}
	}
}

func TestTileWidth(t *testing.T) {
	for _, size := range []uint64{0, 1, 255, 256, 257, 511, 512, 70000, 1 << 16, 1<<24 + 1<<16 + 3} {
		want := make(map[tlog.Tile]bool)
		for _, tile := range tlog.NewTiles(TileHeight, int64(size>>9<<9), int64(size)) {
			want[tile] = true
			if got := TileWidth(tile.L, uint64(tile.N), size); got != tile.W {
				t.Errorf("size %d: width of (%d, %d): got %d, want %d", size, tile.L, tile.N, got, tile.W)
			}
		}
		for level := range 4 {
			end := (size>>(TileHeight*level) + 255) / 256
			if got := TileWidth(level, end, size); got != 0 {
				t.Errorf("size %d: width of (%d, %d) after the last: got %d, want 0", size, level, end, got)
			}
		}
		if got, want := TileWidth(EntriesLevel, 0, size), TileWidth(0, 0, size); got != want {
			t.Errorf("size %d: first bundle has %d entries, want %d", size, got, want)
		}
	}
	for _, level := range []int{-2, 8, 63, 64, math.MaxInt} {
		if got := TileWidth(level, 0, MaxSize); got != 0 {
			t.Errorf("level %d: got width %d, want 0", level, got)
		}
	}
}

func TestReadTile(t *testing.T) {
	const size = 66000
	leaves := testLeaves(size)
	var stored tlogTree
	for _, h := range leaves {
		stored.add(tlog.Hash(h))
	}
	for _, tile := range []tlog.Tile{
		{H: TileHeight, L: 0, N: 0, W: 256}, {H: TileHeight, L: 0, N: 257, W: 207}, {H: TileHeight, L: 0, N: 3, W: 1},
		{H: TileHeight, L: 1, N: 0, W: 256}, {H: TileHeight, L: 1, N: 1, W: 1}, {H: TileHeight, L: 2, N: 0, W: 1},
	} {
		want, err := tlog.ReadTileData(tile, &stored)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadTile(leaves, tile.L, uint64(tile.N), tile.W)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes, %v, want %d; equal %v", tile.Path(), len(got), err, len(want), bytes.Equal(got, want))
		}
	}
	for _, bad := range []struct {
		level int
		index uint64
		width int
	}{{-1, 0, 1}, {0, 0, 0}, {0, 0, 257}, {0, 0, -1}, {0, 257, 209}, {1, 1, 2}, {8, 0, 1}, {64, 0, 1}, {0, 1 << 60, 1}, {7, 1 << 8, 1}} {
		if b, err := ReadTile(leaves, bad.level, bad.index, bad.width); !errors.Is(err, ErrRange) {
			t.Errorf("%+v: got %d bytes, %v, want %v", bad, len(b), err, ErrRange)
		}
	}
}

func TestEntries(t *testing.T) {
	var b []byte
	var want [][]byte
	for i := range 256 {
		entry := randomBytes(uint64(i), i%7*i)
		if i == 99 {
			entry = randomBytes(99, 65535)
		}
		want = append(want, entry)
		var err error
		if b, err = AppendEntry(b, entry); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ParseEntries(b)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d entries, %v, want %d", len(got), err, len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) || cap(got[i]) != len(got[i]) {
			t.Fatalf("entry %d: got %x, capacity %d, want %x", i, got[i], cap(got[i]), want[i])
		}
	}
	if after, err := AppendEntry(b, make([]byte, 65536)); !errors.Is(err, ErrEntries) || !bytes.Equal(after, b) {
		t.Errorf("entry of 65536 bytes: %d bytes, %v, want %d, %v", len(after), err, len(b), ErrEntries)
	}
	for name, bad := range map[string][]byte{
		"257 entries":   append(bytes.Clone(b), 0, 0),
		"half a length": b[:len(b)-len(want[255])-1],
		"half an entry": b[:len(b)-1],
		"no entry":      {0, 1},
	} {
		if got, err := ParseEntries(bad); !errors.Is(err, ErrEntries) {
			t.Errorf("%s: got %d entries, %v, want %v", name, len(got), err, ErrEntries)
		}
	}
	if got, err := ParseEntries(nil); len(got) != 0 || err != nil {
		t.Errorf("nothing: got %d entries, %v, want none", len(got), err)
	}
}
