package proof

import (
	"errors"
	"fmt"
	"slices"
)

const (
	otsMagic   = "\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
	otsVersion = 1

	maxOTS      = 1 << 20 // bytes of a file or tree
	maxOTSItems = 4096    // operations and attestations of a tree
	maxVaruint  = 10      // bytes: 64 bits
)

// MarshalBinary writes the node and all below it, without its message, and
// refuses what ParseTimestamp would.
func (t *Timestamp) MarshalBinary() ([]byte, error) {
	w := otsWriter{}
	if err := w.node(t, 0); err != nil {
		return nil, err
	}
	if len(w.b) > maxOTS {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrOTS, len(w.b), maxOTS)
	}
	return w.b, nil
}

type otsWriter struct {
	b     []byte
	items int
}

func (w *otsWriter) node(t *Timestamp, depth int) error {
	left := len(t.atts) + len(t.ops)
	w.items += left
	switch {
	case left == 0:
		return fmt.Errorf("%w: nothing is attested of %.40x", ErrOTS, t.msg)
	case depth > maxOTSDepth:
		return fmt.Errorf("%w: more than %d operations deep", ErrOTS, maxOTSDepth)
	case w.items > maxOTSItems:
		return fmt.Errorf("%w: more than %d operations and attestations", ErrOTS, maxOTSItems)
	case len(t.msg) > maxOTSMessage:
		return fmt.Errorf("%w: message of %d bytes, at most %d", ErrOTS, len(t.msg), maxOTSMessage)
	}
	more := func() { // all but the last
		if left--; left > 0 {
			w.b = append(w.b, 0xff)
		}
	}
	for _, a := range t.atts {
		more()
		tag, payload := a.wire()
		w.b = append(append(w.b, 0), tag[:]...)
		w.b = append(appendVaruint(w.b, uint64(len(payload))), payload...)
	}
	for _, e := range t.ops {
		more()
		w.b = append(w.b, byte(e.op.Tag))
		if e.op.binary() {
			w.b = append(appendVaruint(w.b, uint64(len(e.op.Arg))), e.op.Arg...)
		}
		if err := w.node(e.node, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// ParseTimestamp reads a node for a message, as a calendar answers it. Any error
// is an ErrOTS.
func ParseTimestamp(msg, b []byte) (*Timestamp, error) {
	if len(b) > maxOTS || len(msg) > maxOTSMessage {
		return nil, fmt.Errorf("%w: %d bytes for a message of %d", ErrOTS, len(b), len(msg))
	}
	r := otsReader{b: b}
	t := &Timestamp{msg: msg}
	err := r.node(t, 0)
	if err == nil && len(r.b) != 0 {
		err = fmt.Errorf("%w: %d bytes left over", ErrOTS, len(r.b))
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// OTSFile is a detached proof: the digest of a file, which stands beside it, and
// what is attested of that.
type OTSFile struct {
	Hash OTSTag     // that the digest was made with
	Tree *Timestamp // its message is the digest
}

// ParseOTS reads a detached file. Any error is an ErrOTS.
func ParseOTS(b []byte) (OTSFile, error) {
	rest, ok := cutPrefix(b, otsMagic)
	if !ok || len(rest) < 2 {
		return OTSFile{}, fmt.Errorf("%w: it does not begin as one", ErrOTS)
	}
	if rest[0] != otsVersion {
		return OTSFile{}, fmt.Errorf("%w: version %d, want %d", ErrOTS, rest[0], otsVersion)
	}
	hash, rest := OTSTag(rest[1]), rest[2:]
	size := hash.digestSize()
	if size == 0 || len(rest) < size {
		return OTSFile{}, fmt.Errorf("%w: no digest of hash %02x", ErrOTS, byte(hash))
	}
	t, err := ParseTimestamp(rest[:size:size], rest[size:])
	return OTSFile{hash, t}, err
}

// MarshalBinary writes the file, and refuses what ParseOTS would.
func (f OTSFile) MarshalBinary() ([]byte, error) {
	if size := f.Hash.digestSize(); size == 0 || len(f.Tree.msg) != size {
		return nil, fmt.Errorf("%w: digest of %d bytes of hash %02x", ErrOTS, len(f.Tree.msg), byte(f.Hash))
	}
	tree, err := f.Tree.MarshalBinary()
	if err != nil {
		return nil, err
	}
	head := append([]byte(otsMagic), otsVersion, byte(f.Hash))
	return slices.Concat(head, f.Tree.msg, tree), nil
}

// WriteOTS returns the detached file of a proof whose message is a SHA-256.
func WriteOTS(t *Timestamp) ([]byte, error) { return OTSFile{OTSSHA256, t}.MarshalBinary() }

// otsReader takes its bytes from the front of b.
type otsReader struct {
	b     []byte
	items int
}

var errOTSEnd = errors.New("it ends too early")

func (r *otsReader) node(t *Timestamp, depth int) error {
	if depth > maxOTSDepth {
		return fmt.Errorf("%w: more than %d operations deep", ErrOTS, maxOTSDepth)
	}
	for more := true; more; {
		tag, err := r.take(1)
		if err != nil {
			return err
		}
		if more = tag[0] == 0xff; more {
			if tag, err = r.take(1); err != nil {
				return err
			}
		}
		if r.items++; r.items > maxOTSItems {
			return fmt.Errorf("%w: more than %d operations and attestations", ErrOTS, maxOTSItems)
		}
		if tag[0] == 0 {
			err = r.attestation(t)
		} else {
			err = r.operation(t, OTSOp{Tag: OTSTag(tag[0])}, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// operation reads one operation and what follows it. The same one twice is
// read into one node: nothing is lost.
func (r *otsReader) operation(t *Timestamp, op OTSOp, depth int) (err error) {
	if op.binary() {
		if op.Arg, err = r.varbytes(maxOTSMessage); err != nil {
			return err
		}
	}
	next, err := t.Path(op)
	if err != nil {
		return err
	}
	return r.node(next, depth+1)
}

func (r *otsReader) attestation(t *Timestamp) error {
	tag, err := r.take(8)
	if err != nil {
		return err
	}
	payload, err := r.varbytes(maxOTSPayload)
	if err != nil {
		return err
	}
	a := OTSAttestation{Kind: kindOf([8]byte(tag))}
	p := otsReader{b: payload}
	switch a.Kind {
	case OTSUnknown:
		a.Tag, a.Payload, p.b = [8]byte(tag), payload, nil
	case OTSPending:
		var uri []byte
		uri, err = p.varbytes(maxOTSURI)
		a.URI = string(uri)
	default:
		a.Height, err = p.varuint()
	}
	if err != nil {
		return err
	}
	if len(p.b) != 0 {
		return fmt.Errorf("%w: %d bytes left over in an attestation", ErrOTS, len(p.b))
	}
	return t.Attest(a)
}

func (r *otsReader) take(n int) ([]byte, error) {
	if len(r.b) < n {
		return nil, fmt.Errorf("%w: %w", ErrOTS, errOTSEnd)
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b, nil
}

func (r *otsReader) varbytes(limit int) ([]byte, error) {
	n, err := r.varuint()
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrOTS, n, limit)
	}
	return r.take(int(n))
}

// varuint reads up to 64 bits. Longer forms than the shortest are read, as the
// reference does.
func (r *otsReader) varuint() (n uint64, err error) {
	for i := range maxVaruint {
		b, err := r.take(1)
		if err != nil {
			return 0, err
		}
		if i == maxVaruint-1 && b[0] > 1 {
			break
		}
		n |= uint64(b[0]&0x7f) << (7 * i)
		if b[0]&0x80 == 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: number of more than 64 bits", ErrOTS)
}

func appendVaruint(b []byte, n uint64) []byte {
	for n > 0x7f {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
