package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

// Limits of a head's cosignatures.
const (
	maxCosignatures = 64  // of one head
	maxCosigner     = 256 // bytes of a witness's name
)

const (
	signatureSize = 64        // of Ed25519
	noteLine      = "\u2014 " // what a note's signature line begins with
)

// packedHead is a head as a file of version 1 has it.
type packedHead struct {
	checkpoint   merkle.Checkpoint
	key          [4]byte // key ID of the log's signature
	signature    [signatureSize]byte
	cosignatures []cosignature
}

// cosignature is what a witness signed a head with: C2SP cosignature/v1 by
// Ed25519, type 04.
type cosignature struct {
	name      string // of the witness
	key       [4]byte
	time      uint64 // Unix seconds
	signature [signatureSize]byte
}

// packHead takes a note apart. It refuses one that note would not put together
// again to the same bytes.
func packHead(b []byte, origin string) (*packedHead, error) {
	text, signatures, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		return nil, errors.New("it is no signed note")
	}
	cp, err := merkle.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return nil, err
	}
	if cp.Origin != origin || len(cp.Extensions) != 0 {
		return nil, fmt.Errorf("it is no checkpoint of %s without further lines", origin)
	}
	h := &packedHead{checkpoint: cp}
	for i, line := range strings.Split(strings.TrimSuffix(string(signatures), "\n"), "\n") {
		name, sig, err := cutSignature(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("signature line %d: %w", i, err)
		case i == 0 && (name != origin || len(sig) != len(h.key)+signatureSize):
			return nil, errors.New("its first signature is not the log's")
		case i == 0:
			h.key = [4]byte(sig)
			copy(h.signature[:], sig[4:])
		case len(sig) != cosignatureSize:
			return nil, fmt.Errorf("signature line %d: it is no cosignature of %d bytes", i, cosignatureSize)
		default:
			h.cosignatures = append(h.cosignatures, cosignature{
				name, [4]byte(sig), binary.BigEndian.Uint64(sig[4:]), [signatureSize]byte(sig[12:]),
			})
		}
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(h.note(), b) {
		return nil, errors.New("its note is not written in the plain form")
	}
	return h, nil
}

// cosignatureSize is the length of key ID, time and signature.
const cosignatureSize = 4 + 8 + signatureSize

func cutSignature(line string) (name string, sig []byte, err error) {
	name, sig64, ok := strings.Cut(strings.TrimPrefix(line, noteLine), " ")
	if !ok || !strings.HasPrefix(line, noteLine) {
		return "", nil, errors.New("it is none")
	}
	sig, err = base64.StdEncoding.DecodeString(sig64)
	return name, sig, err
}

// check holds what lets the note be read again.
func (h *packedHead) check() error {
	if len(h.cosignatures) > maxCosignatures {
		return fmt.Errorf("%d cosignatures, at most %d", len(h.cosignatures), maxCosignatures)
	}
	for i := range h.cosignatures {
		c := &h.cosignatures[i]
		if !validKeyName(c.name) {
			return fmt.Errorf("%.80q is no name of a witness", c.name)
		}
		if c.time == 0 || c.time > math.MaxInt64 {
			return fmt.Errorf("%.80q cosigned at no time", c.name)
		}
		for k := range i {
			if o := &h.cosignatures[k]; o.name == c.name && o.key == c.key {
				return fmt.Errorf("two cosignatures by one key of %.80q", c.name)
			}
		}
	}
	if n := len(h.note()); n > merkle.MaxCheckpoint {
		return fmt.Errorf("its note has %d bytes, at most %d", n, merkle.MaxCheckpoint)
	}
	return nil
}

// validKeyName reports whether the signed note format has keys of this name.
func validKeyName(name string) bool {
	return name != "" && len(name) <= maxCosigner && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return r == '+' || r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// note puts the head together as the signed note that it is.
func (h *packedHead) note() []byte {
	b := append([]byte(h.checkpoint.Text()), '\n')
	b = appendSignature(b, h.checkpoint.Origin, append(h.key[:], h.signature[:]...))
	for i := range h.cosignatures {
		c := &h.cosignatures[i]
		b = appendSignature(b, c.name, append(binary.BigEndian.AppendUint64(bytes.Clone(c.key[:]), c.time), c.signature[:]...))
	}
	return b
}

func appendSignature(b []byte, name string, sig []byte) []byte {
	b = append(append(append(b, noteLine...), name...), ' ')
	return append(base64.StdEncoding.AppendEncode(b, sig), '\n')
}

// appendPackedHead appends a head to a body.
func appendPackedHead(dst, note []byte, origin string) ([]byte, error) {
	h, err := packHead(note, origin)
	if err != nil {
		return dst, err
	}
	dst = cbor.AppendUint(cbor.AppendArray(dst, 5), h.checkpoint.Size)
	dst = cbor.AppendBytes(dst, h.checkpoint.Root[:])
	dst = cbor.AppendBytes(cbor.AppendBytes(dst, h.key[:]), h.signature[:])
	dst = cbor.AppendArray(dst, len(h.cosignatures))
	for i := range h.cosignatures {
		c := &h.cosignatures[i]
		dst = cbor.AppendBytes(cbor.AppendText(cbor.AppendArray(dst, 4), c.name), c.key[:])
		dst = cbor.AppendBytes(cbor.AppendUint(dst, c.time), c.signature[:])
	}
	return dst, nil
}

// packedHead reads what appendPackedHead wrote, and puts the note together.
func (r *fileReader) packedHead(v *Head) {
	r.tuple(5)
	h := packedHead{checkpoint: merkle.Checkpoint{Origin: r.origin, Size: uint64(r.int63())}}
	r.fixed(h.checkpoint.Root[:])
	r.fixed(h.key[:])
	r.fixed(h.signature[:])
	for range r.list(maxCosignatures) {
		var c cosignature
		r.tuple(4)
		c.name = r.text()
		r.fixed(c.key[:])
		c.time = r.uint()
		r.fixed(c.signature[:])
		h.cosignatures = append(h.cosignatures, c)
	}
	if r.Err != nil {
		return
	}
	r.refuse(h.check())
	v.Note = h.note()
}
