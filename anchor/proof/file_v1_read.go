package proof

import (
	"fmt"

	"cairn/merkle/ledger"
)

// decode1 reads version 1, but for what check does.
func decode1(b []byte) (*File, error) {
	body, err := unwrap1(b)
	if err != nil {
		return nil, err
	}
	return readBody(body)
}

// readBody reads the body of version 1. What it makes of a body takes at most
// some times the body's bytes: an element that costs more memory than it has
// bytes is one of at most maxParts.
func readBody(body []byte) (*File, error) {
	r := &fileReader{bodyReader: newBodyReader(body)}
	f := &File{Version: 1}
	r.tuple(1 + bodyLists)
	r.tuple(2)
	r.fixed(f.Ledger.Key[:])
	r.fixed(f.Ledger.Nonce[:])
	r.origin = ledger.Origin(ledger.ID(f.Ledger.Key[:], f.Ledger.Nonce))
	f.Readings = readParts(r, "reading", r.reading)
	f.Summaries = readParts(r, "summary", r.summary)
	f.Batches = readParts(r, "batch", r.batch)
	f.Heads = readParts(r, "head", r.packedHead)
	f.Receipts = readParts(r, "receipt", r.receipt)
	f.Statements = readParts(r, "statement", r.statement)
	f.Ranges = readParts(r, "range", r.rangePart)
	f.Extends = readParts(r, "extension", r.extension)
	f.Vouches = readParts(r, "vouch", r.vouch)
	if r.End(); r.Err != nil {
		return nil, r.Err
	}
	return f, nil
}

// fileReader reads the parts of a body.
type fileReader struct {
	bodyReader
	origin  string // of the ledger's heads
	headed  int    // places of batches under heads, of all batches
	covered int    // summaries that ranges name, of all ranges
}

// readParts reads a list of parts.
func readParts[T any](r *fileReader, what string, one func(*T)) []T {
	var parts []T // grows only as parts turn out to be some
	for i := range r.list(maxParts) {
		before := len(r.Rest)
		var part T
		one(&part)
		if size := before - len(r.Rest); r.Err == nil && size > maxPart && what != "range" {
			r.fail("%d bytes, at most %d", size, maxPart)
		}
		if r.Err != nil {
			r.Err = fmt.Errorf("%s %d: %w", what, i, r.Err)
			return nil
		}
		parts = append(parts, part)
	}
	return parts
}

// refuse takes an error about a part that is read.
func (r *fileReader) refuse(err error) {
	if err != nil && r.Err == nil {
		r.Err, r.Rest = fmt.Errorf("%w: %w", ErrFile, err), nil
	}
}

func (r *fileReader) reading(v *Reading) {
	r.tuple(6)
	v.Summary, v.Seq, v.Width = r.position(), r.uint(), r.position()
	v.Fields = r.fieldList()
	v.Hidden, v.Run = r.path(), r.path()
	if r.Err == nil {
		r.refuse(v.check())
	}
}

func (r *fileReader) summary(v *Summary) {
	r.tuple(6)
	v.Batch = r.position()
	r.fixed(v.Tag[:])
	v.Item = r.bytes()
	r.fixed(v.Salt[:])
	v.Path, v.Rest = r.path(), r.maybeShown()
}

func (r *fileReader) shown(v *Shown) {
	r.tuple(2)
	v.Item = r.bytes()
	r.fixed(v.Salt[:])
}

func (r *fileReader) maybeShown() *Shown {
	if r.Null() {
		return nil
	}
	v := new(Shown)
	r.shown(v)
	return v
}

func (r *fileReader) batch(v *Batch) {
	r.tuple(4)
	v.Header = r.bytes()
	r.shown(&v.Slots)
	v.Statements = r.maybeShown()
	n := r.list(maxParts - r.headed)
	r.headed += n
	for range n {
		r.tuple(2)
		p := HeadPath{Head: r.position(), Path: r.path()}
		if r.Err != nil {
			return
		}
		v.Heads = append(v.Heads, p)
	}
}

func (r *fileReader) receipt(v *Receipt) {
	r.tuple(4)
	v.Route, v.Head, v.Kind, v.Data = r.text(), r.position(), r.text(), r.bytes()
}

func (r *fileReader) statement(v *Statement) {
	r.tuple(5)
	v.Batch, v.Index, v.Item = r.position(), r.uint(), r.bytes()
	r.fixed(v.Salt[:])
	v.Path = r.path()
}

func (r *fileReader) rangePart(v *Range) {
	before := len(r.Rest)
	r.tuple(6)
	n := r.list(maxParts - r.covered)
	r.covered += n
	for range n {
		at := r.position()
		if r.Err != nil {
			return
		}
		v.Summaries = append(v.Summaries, at)
	}
	v.From, v.To, v.First, v.Left = r.int63(), r.int63(), r.uint(), r.path()
	if size := before - len(r.Rest); r.Err == nil && size > maxPart {
		r.fail("%d bytes before its readings, at most %d", size, maxPart)
	}
	v.Readings = make([]Numbered, r.list(len(r.Rest)/minNumbered))
	for i := range v.Readings {
		if r.numbered(&v.Readings[i]); r.Err != nil {
			r.Err = fmt.Errorf("reading %d: %w", i, r.Err)
			return
		}
	}
}

// minNumbered is how many bytes a reading of a range has at least: with one
// field, that is empty.
const minNumbered = 5 + 1 + 1 + 1 + 17

func (r *fileReader) numbered(v *Numbered) {
	before := len(r.Rest)
	r.tuple(4)
	v.Seq, v.Width = r.uint(), r.position()
	v.Fields = r.fieldList()
	v.Hidden = r.path()
	if size := before - len(r.Rest); r.Err == nil && size > maxNumbered {
		r.fail("%d bytes, at most %d", size, maxNumbered)
	}
	if r.Err == nil {
		r.refuse(v.check())
	}
}

func (r *fileReader) extension(v *Extension) {
	r.tuple(3)
	v.Old, v.New, v.Path = r.position(), r.position(), r.path()
}

func (r *fileReader) vouch(v *Vouch) {
	r.tuple(3)
	v.Receipt, v.Kind, v.Data = r.position(), r.text(), r.bytes()
}
