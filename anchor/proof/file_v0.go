package proof

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// fileWire0 is the body of version 0. It holds the parts undecoded: each is read
// and compared by itself, so that a hostile file costs no more memory than a few
// times its length.
type fileWire0 struct {
	_          struct{} `cbor:",toarray"`
	Ledger     Ledger
	Readings   []cbor.RawMessage
	Summaries  []cbor.RawMessage
	Batches    []cbor.RawMessage
	Heads      []cbor.RawMessage
	Receipts   []cbor.RawMessage
	Statements []cbor.RawMessage
}

// encode0 writes version 0.
func (f *File) encode0() ([]byte, error) {
	var errs []error
	w := fileWire0{
		Ledger:     f.Ledger,
		Readings:   encodeParts(f.Readings, &errs),
		Summaries:  encodeParts(f.Summaries, &errs),
		Batches:    encodeParts(f.Batches, &errs),
		Heads:      encodeParts(f.Heads, &errs),
		Receipts:   encodeParts(f.Receipts, &errs),
		Statements: encodeParts(f.Statements, &errs),
	}
	if len(errs) != 0 {
		return nil, errs[0]
	}
	body, err := marshal(w)
	if err != nil {
		return nil, err
	}
	b := append([]byte(magic0), body...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	if len(b) > maxFile0 {
		return nil, fmt.Errorf("%w: %d bytes, at most %d: show fewer readings", ErrFile, len(b), maxFile0)
	}
	return b, nil
}

func encodeParts[T any](parts []T, errs *[]error) []cbor.RawMessage {
	raws := make([]cbor.RawMessage, len(parts))
	for i := range parts {
		b, err := marshal(parts[i])
		if err == nil && len(b) > maxPart {
			err = fmt.Errorf("%w: part of %d bytes, at most %d", ErrFile, len(b), maxPart)
		}
		if err != nil {
			*errs = append(*errs, err)
		}
		raws[i] = b
	}
	return raws
}

// decode0 reads version 0, but for what check does.
func decode0(b []byte) (*File, error) {
	body, err := unwrap0(b)
	if err != nil {
		return nil, err
	}
	var w fileWire0
	if err := unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	var errs []error
	f := &File{
		Ledger:     w.Ledger,
		Readings:   decodeParts[Reading]("reading", w.Readings, &errs),
		Summaries:  decodeParts[Summary]("summary", w.Summaries, &errs),
		Batches:    decodeParts[Batch]("batch", w.Batches, &errs),
		Heads:      decodeParts[Head]("head", w.Heads, &errs),
		Receipts:   decodeParts[Receipt]("receipt", w.Receipts, &errs),
		Statements: decodeParts[Statement]("statement", w.Statements, &errs),
	}
	if len(errs) != 0 {
		return nil, errs[0]
	}
	return f, nil
}

// unwrap0 checks what stands around the body of version 0 and returns that.
func unwrap0(b []byte) ([]byte, error) {
	if len(b) > maxFile0 {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(b), maxFile0)
	}
	end := len(b) - sha256.Size
	if end < len(magic0) {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrDamaged, len(b))
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, fmt.Errorf("%w: checksum is wrong", ErrDamaged)
	}
	return b[len(magic0):end], nil
}

func decodeParts[T any](what string, raws []cbor.RawMessage, errs *[]error) []T {
	if len(*errs) != 0 {
		return nil
	}
	var parts []T // grows only as parts turn out to be some
	for i, raw := range raws {
		var part T
		if err := unmarshalPart(raw, &part); err != nil {
			*errs = append(*errs, fmt.Errorf("%w: %s %d: %w", ErrFile, what, i, err))
			return nil
		}
		parts = append(parts, part)
	}
	return parts
}

func unmarshalPart(raw []byte, v any) error {
	if len(raw) > maxPart {
		return fmt.Errorf("%d bytes, at most %d", len(raw), maxPart)
	}
	return unmarshal(raw, v)
}
