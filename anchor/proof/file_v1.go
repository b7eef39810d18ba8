package proof

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"cairn/merkle/cbor"
	"cairn/merkle/ledger"
)

// What stands around the packed body of version 1.
const (
	lengthSize = 4  // of the body, big-endian, after the magic
	sumSize    = 16 // first bytes of the SHA-256 of all before it, at the end
)

// maxRatio is how many bytes of a body a packed byte may stand for, of a
// thousand that DEFLATE lets it. Hashes and salts keep every honest file far
// below; what is above is made to fill a reader's memory.
const maxRatio = 64

// encode1 writes version 1.
func (f *File) encode1() ([]byte, error) {
	body, err := f.appendBody(make([]byte, 0, f.bodySize()))
	if err != nil {
		return nil, err
	}
	return wrap1(body)
}

// wrap1 packs a body, and puts around it what belongs there.
func wrap1(body []byte) ([]byte, error) {
	if len(body) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d: show fewer readings", ErrFile, len(body), MaxFile)
	}
	b := bytes.NewBuffer(binary.BigEndian.AppendUint32([]byte(Magic), uint32(len(body))))
	if err := deflate(b, body); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if packed := b.Len() - len(Magic) - lengthSize; len(body)/maxRatio > packed {
		return nil, fmt.Errorf("%w: its %d bytes pack into %d: they are no proof", ErrFile, len(body), packed)
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:sumSize])
	if b.Len() > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d: show fewer readings", ErrFile, b.Len(), MaxFile)
	}
	return b.Bytes(), nil
}

// maxStored is how many bytes one block of DEFLATE can hold as they are.
const maxStored = 1<<16 - 1

// deflate packs a body. Hashes do not pack, so a small one may be longer than
// the one block that holds it as it is (RFC 1951 section 3.2.4).
func deflate(b *bytes.Buffer, body []byte) error {
	before, level := b.Len(), flate.BestCompression
	if len(body) > 1<<20 {
		level = 5 // half the time, and less than a thousandth longer
	}
	b.Grow(len(body)/2 + 64)
	z, err := flate.NewWriter(b, level)
	if err != nil {
		return err
	}
	if _, err := z.Write(body); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if n := len(body); n <= maxStored && b.Len()-before > n+5 {
		b.Truncate(before)
		b.Write([]byte{1, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)})
		b.Write(body)
	}
	return nil
}

// unwrap1 checks what stands around the body of version 1 and returns that.
func unwrap1(b []byte) ([]byte, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(b), MaxFile)
	}
	begin, end := len(Magic)+lengthSize, len(b)-sumSize
	if end < begin {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrDamaged, len(b))
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:sumSize], b[end:]) {
		return nil, fmt.Errorf("%w: checksum is wrong", ErrDamaged)
	}
	return inflate(b[begin:end], int(binary.BigEndian.Uint32(b[len(Magic):])))
}

// inflate unpacks a body that is said to have n bytes. It looks at that before
// it begins, makes no more of what is packed, and wants nothing after it.
func inflate(packed []byte, n int) ([]byte, error) {
	if n < 0 || n > MaxFile || n/maxRatio > len(packed) {
		return nil, fmt.Errorf("%w: a body of %d bytes, packed in %d", ErrFile, n, len(packed))
	}
	from := bytes.NewReader(packed)
	z := flate.NewReader(from)
	body := make([]byte, 0, min(n, 8*len(packed)))
	for {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(max(len(body), 512), n+1-len(body)))
		}
		got, err := z.Read(body[len(body):min(cap(body), n+1)])
		body = body[:len(body)+got]
		switch {
		case len(body) > n:
			return nil, fmt.Errorf("%w: its body has more than the %d bytes that it states", ErrFile, n)
		case err == nil:
		case !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: unpack: %w", ErrFile, err)
		case len(body) < n:
			return nil, fmt.Errorf("%w: its body has %d bytes, not the %d that it states", ErrFile, len(body), n)
		case from.Len() != 0:
			return nil, fmt.Errorf("%w: %d bytes after its body", ErrFile, from.Len())
		default:
			return body, nil
		}
	}
}

// bodySize guesses the length of the body, where that is long.
func (f *File) bodySize() int {
	n := 4096
	fields := func(all []Field) {
		for i := range all {
			n += len(all[i].Item) + 24
		}
	}
	for i := range f.Readings {
		r := &f.Readings[i]
		fields(r.Fields)
		n += 32*(len(r.Hidden)+len(r.Run)) + 24
	}
	for i := range f.Summaries {
		n += len(f.Summaries[i].Item) + 32*len(f.Summaries[i].Path) + 48
	}
	for i := range f.Batches {
		n += len(f.Batches[i].Header) + 800
	}
	for i := range f.Ranges {
		all := f.Ranges[i].Readings
		for k := range all {
			fields(all[k].Fields)
			n += 32*len(all[k].Hidden) + 16
		}
	}
	return min(n, MaxFile)
}

// bodyLists is how many lists a body has, the ledger before them.
const bodyLists = 9

// appendBody appends the body. Check has been there.
func (f *File) appendBody(dst []byte) (_ []byte, err error) {
	dst = cbor.AppendArray(dst, 1+bodyLists)
	dst = cbor.AppendArray(dst, 2)
	dst = cbor.AppendBytes(cbor.AppendBytes(dst, f.Ledger.Key[:]), f.Ledger.Nonce[:])
	origin := ledger.Origin(ledger.ID(f.Ledger.Key[:], f.Ledger.Nonce))
	dst = appendParts(dst, f.Readings, "reading", &err, appendReading)
	dst = appendParts(dst, f.Summaries, "summary", &err, appendSummary)
	dst = appendParts(dst, f.Batches, "batch", &err, appendBatch)
	dst = appendParts(dst, f.Heads, "head", &err, func(dst []byte, h *Head) ([]byte, error) { return appendPackedHead(dst, h.Note, origin) })
	dst = appendParts(dst, f.Receipts, "receipt", &err, appendReceipt)
	dst = appendParts(dst, f.Statements, "statement", &err, appendStatement)
	dst = appendParts(dst, f.Ranges, "range", &err, appendRange)
	dst = appendParts(dst, f.Extends, "extension", &err, appendExtension)
	dst = appendParts(dst, f.Vouches, "vouch", &err, appendVouch)
	if err == nil && len(dst) > math.MaxInt32 {
		err = fmt.Errorf("%w: %d bytes, at most %d: show fewer readings", ErrFile, len(dst), MaxFile)
	}
	return dst, err
}

// appendParts appends a list. The first error of all lists stays.
func appendParts[T any](dst []byte, parts []T, what string, failed *error, one func([]byte, *T) ([]byte, error)) []byte {
	dst = cbor.AppendArray(dst, len(parts))
	for i := range parts {
		if *failed != nil {
			return dst
		}
		at := len(dst)
		var err error
		if dst, err = one(dst, &parts[i]); err == nil && len(dst)-at > maxPart && what != "range" {
			err = fmt.Errorf("%d bytes, at most %d", len(dst)-at, maxPart)
		}
		if err != nil {
			*failed = fmt.Errorf("%w: %s %d: %w", ErrFile, what, i, err)
		}
	}
	return dst
}

func appendReading(dst []byte, r *Reading) ([]byte, error) {
	dst = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(dst, 6), uint64(r.Summary)), r.Seq)
	dst = appendFields(cbor.AppendUint(dst, uint64(r.Width)), r.Fields)
	return appendPath(appendPath(dst, r.Hidden), r.Run), nil
}

func appendFields(dst []byte, fields []Field) []byte {
	dst = cbor.AppendArray(dst, len(fields))
	for i := range fields {
		f := &fields[i]
		dst = cbor.AppendUint(cbor.AppendArray(dst, 3), uint64(f.Index))
		dst = cbor.AppendBytes(cbor.AppendBytes(dst, f.Item), f.Salt[:])
	}
	return dst
}

func appendShown(dst []byte, s *Shown) []byte {
	if s == nil {
		return append(dst, cbor.Null)
	}
	return cbor.AppendBytes(cbor.AppendBytes(cbor.AppendArray(dst, 2), s.Item), s.Salt[:])
}

func appendSummary(dst []byte, s *Summary) ([]byte, error) {
	dst = cbor.AppendUint(cbor.AppendArray(dst, 6), uint64(s.Batch))
	dst = cbor.AppendBytes(cbor.AppendBytes(dst, s.Tag[:]), s.Item)
	return appendShown(appendPath(cbor.AppendBytes(dst, s.Salt[:]), s.Path), s.Rest), nil
}

func appendBatch(dst []byte, b *Batch) ([]byte, error) {
	dst = appendShown(cbor.AppendBytes(cbor.AppendArray(dst, 4), b.Header), &b.Slots)
	dst = cbor.AppendArray(appendShown(dst, b.Statements), len(b.Heads))
	for _, p := range b.Heads {
		dst = appendPath(cbor.AppendUint(cbor.AppendArray(dst, 2), uint64(p.Head)), p.Path)
	}
	return dst, nil
}

func appendReceipt(dst []byte, r *Receipt) ([]byte, error) {
	dst = cbor.AppendUint(cbor.AppendText(cbor.AppendArray(dst, 4), r.Route), uint64(r.Head))
	return cbor.AppendBytes(cbor.AppendText(dst, r.Kind), r.Data), nil
}

func appendStatement(dst []byte, s *Statement) ([]byte, error) {
	dst = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(dst, 5), uint64(s.Batch)), s.Index)
	return appendPath(cbor.AppendBytes(cbor.AppendBytes(dst, s.Item), s.Salt[:]), s.Path), nil
}

func appendRange(dst []byte, r *Range) ([]byte, error) {
	at := len(dst)
	dst = cbor.AppendArray(cbor.AppendArray(dst, 6), len(r.Summaries))
	for _, s := range r.Summaries {
		dst = cbor.AppendUint(dst, uint64(s))
	}
	dst = cbor.AppendUint(cbor.AppendUint(dst, uint64(r.From)), uint64(r.To))
	dst = appendPath(cbor.AppendUint(dst, r.First), r.Left)
	if len(dst)-at > maxPart {
		return dst, fmt.Errorf("%d bytes before its readings, at most %d", len(dst)-at, maxPart)
	}
	dst = cbor.AppendArray(dst, len(r.Readings))
	for i := range r.Readings {
		n, at := &r.Readings[i], len(dst)
		dst = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(dst, 4), n.Seq), uint64(n.Width))
		dst = appendPath(appendFields(dst, n.Fields), n.Hidden)
		if len(dst)-at > maxNumbered {
			return dst, fmt.Errorf("reading %d: %d bytes, at most %d", i, len(dst)-at, maxNumbered)
		}
	}
	return dst, nil
}

func appendExtension(dst []byte, e *Extension) ([]byte, error) {
	dst = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(dst, 3), uint64(e.Old)), uint64(e.New))
	return appendPath(dst, e.Path), nil
}

func appendVouch(dst []byte, v *Vouch) ([]byte, error) {
	dst = cbor.AppendUint(cbor.AppendArray(dst, 3), uint64(v.Receipt))
	return cbor.AppendBytes(cbor.AppendText(dst, v.Kind), v.Data), nil
}
