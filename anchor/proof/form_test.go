package proof

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"cairn/merkle"
)

// TestForm1 holds what the form of version 1 allows, where a file is written and
// where it is verified without ever having been.
func TestForm1(t *testing.T) {
	s := newSite("a").build(8)
	whole := func() *File {
		b := Continue(s.file(t, 5, pick{window: 2, slot: 5, at: 0}))
		s.extend(t, b, 5, 8)
		b.Vouch(Vouch{Receipt: 0, Kind: "x"})
		r := s.windows[2].streams[5].records[1]
		b.Range(Range{Summaries: []int{0}, From: 1, To: 2, First: 5, Left: make(Path, 2), Readings: []Numbered{{Hidden: Path{r.root}}}})
		return b.File()
	}
	if _, err := whole().Encode(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func(f *File)
		want  string
	}{
		{"version 2", func(f *File) { f.Version = 2 }, "it is of version 2"},
		{"a range in version 0", func(f *File) { f.Version = 0 }, "version 0 has no ranges"},
		{"a rest in version 0", func(f *File) {
			f.Version, f.Ranges, f.Extends, f.Vouches = 0, nil, nil, nil
			f.Summaries[0].Rest = &Shown{}
		}, "summary 0: version 0 does not show"},
		{"a head that nothing needs", func(f *File) { f.Extends, f.Receipts, f.Vouches = nil, f.Receipts[:1], nil }, "head 1 is not used"},
		{"a receipt of no head", func(f *File) { f.Receipts[0].Head = 2 }, "receipt 0: no head 2"},
		{"a receipt with a broken route", func(f *File) { f.Receipts[0].Route = "\xff" }, "receipt 0: route or kind is not UTF-8"},
		{"a vouch for no receipt", func(f *File) { f.Vouches[0].Receipt = 2 }, "vouch 0: no receipt 2"},
		{"a vouch with a broken kind", func(f *File) { f.Vouches[0].Kind = "\xff" }, "vouch 0: its kind is not UTF-8"},
		{"an extension of no head", func(f *File) { f.Extends[0].Old = -1 }, "extension 0"},
		{"an extension of itself", func(f *File) { f.Extends[0].Old = f.Extends[0].New }, "extension 0"},
		{"a range without summaries", func(f *File) { f.Ranges[0].Summaries = nil }, "range 0: it has no summary"},
		{"a range of no summary", func(f *File) { f.Ranges[0].Summaries[0] = 1 }, "range 0: no summary 1"},
		{"a range of a summary twice", func(f *File) { f.Ranges[0].Summaries = []int{0, 0} }, "range 0: summary 0 twice"},
		{"a range that ends first", func(f *File) { f.Ranges[0].To = 0 }, "range 0: it is of the time from 1 to 0"},
		{"a range before all time", func(f *File) { f.Ranges[0].From = -1 }, "range 0: it is of the time"},
		{"a root too few on the left", func(f *File) { f.Ranges[0].Left = f.Ranges[0].Left[:1] }, "range 0: 1 roots stand for the 5"},
		{"a width without fields", func(f *File) { f.Ranges[0].Readings[0].Width = 8 }, "range 0: reading 0: without fields"},
		{"no record root", func(f *File) { f.Ranges[0].Readings[0].Hidden = nil }, "range 0: reading 0: without fields"},
		{"two record roots", func(f *File) { f.Ranges[0].Readings[0].Hidden = make(Path, 2) }, "range 0: reading 0: without fields"},
		{"fields in no order", func(f *File) {
			f.Ranges[0].Readings[0] = Numbered{Width: 8, Fields: []Field{{Index: 2, Item: []byte{1}}, {Index: 1, Item: []byte{1}}}}
		}, "range 0: reading 0: field 1 after field 2"},
		{"no fields", func(f *File) { f.Readings[0].Fields = nil }, "reading 0: 0 fields"},
	} {
		f := whole()
		c.spoil(f)
		if _, err := f.Encode(); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if v := Verify(f, s.options(t, 5)); v.Level != LevelNone || v.Code != CodeMalformed {
			t.Errorf("%s: %v %q", c.name, v.Level, v.Code)
		}
		// What is written nevertheless is not read.
		if body, err := f.appendBody(nil); err == nil && f.Version == 1 {
			if _, err := Decode(wrapped(t, body)); !errors.Is(err, ErrFile) {
				t.Errorf("%s: read: %v", c.name, err)
			}
		}
	}
}

// TestLimits1: what is longer than it may be is neither written nor read, and a
// list that says to have more than there is costs no memory.
func TestLimits1(t *testing.T) {
	s := newSite("a").build(5)
	for name, spoil := range map[string]func(f *File){
		"receipt": func(f *File) { f.Receipts[0].Data = make([]byte, maxPart) },
		"header":  func(f *File) { f.Batches[0].Header = make([]byte, maxPart) },
		"field":   func(f *File) { f.Readings[0].Fields[1].Item = make([]byte, maxPart) },
		"reading of a range": func(f *File) {
			f.Ranges = []Range{{Summaries: []int{0}, Readings: []Numbered{{Width: 8, Fields: []Field{{Index: 1, Item: make([]byte, maxNumbered)}}}}}}
		},
	} {
		f := Continue(s.file(t, 5, pick{window: 2, slot: 5, at: 0})).File()
		spoil(f)
		if _, err := f.Encode(); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: written: %v", name, err)
		}
	}
	body := bodyOf(t, mustEncode(t, newer(s.file(t, 5, pick{window: 2, slot: 5, at: 0}))))
	ledger := body[:1+1+2*34]
	for name, list := range map[string][]byte{
		"more than are allowed": {0x9a, 0x00, 0x10, 0x00, 0x01},
		"more than there are":   {0x9a, 0x00, 0x10, 0x00, 0x00},
		"more than can be":      {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		b := wrapped(t, append(bytes.Clone(ledger), list...))
		if n := testing.AllocsPerRun(1, func() { _, _ = Decode(b) }); n > 100 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if _, err := Decode(b); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestContinue: what is added to a file's parts leaves the file as it was.
func TestContinue(t *testing.T) {
	s := newSite("a").build(8)
	f := newer(s.file(t, 5, pick{window: 2, slot: 5, at: 0}))
	before := mustEncode(t, f)
	b := Continue(f)
	s.extend(t, b, 5, 8)
	b.Cover(0, 1, nil)
	b.Head(cosign(t, f.Heads[0].Note, "a", 1))
	b.Rest(0, Shown{})
	b.Numbered(b.Range(Range{Summaries: []int{0}}), Numbered{Hidden: Path{merkle.Hash{}}})
	if !bytes.Equal(mustEncode(t, f), before) {
		t.Error("the file is another")
	}
	if len(b.File().Heads) != 2 || len(b.File().Batches[0].Heads) != 2 {
		t.Errorf("%d heads, %d of the batch", len(b.File().Heads), len(b.File().Batches[0].Heads))
	}
	again := Continue(b.File())
	s.extend(t, again, 5, 8)
	if n := len(again.File().Extends); n != 1 {
		t.Errorf("%d extensions", n)
	}
}
