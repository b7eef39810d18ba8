package witness

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrCosignature says that a line is no cosignature, or not one by the key on
// the checkpoint.
var ErrCosignature = errors.New("cosignature does not hold")

const (
	sigMark = "— " // U+2014 and a space begin a line of a signature
	// sigSize is the length of a cosignature after its key ID.
	sigSize = 8 + ed25519.SignatureSize
)

// Cosignature is one line of a checkpoint's note, by a key of type 04.
type Cosignature struct {
	Name      string
	KeyID     uint32
	Time      uint64 // seconds since 1970
	Signature [ed25519.SignatureSize]byte
}

// Line returns the note's line, with its newline.
func (c Cosignature) Line() []byte {
	raw := make([]byte, 0, 4+sigSize)
	raw = binary.BigEndian.AppendUint32(raw, c.KeyID)
	raw = binary.BigEndian.AppendUint64(raw, c.Time)
	raw = append(raw, c.Signature[:]...)
	return []byte(sigMark + c.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
}

// ParseCosignature reads what Line writes, and nothing else: any other text is an
// ErrCosignature. It checks no signature.
func ParseCosignature(line []byte) (Cosignature, error) {
	name, raw, err := parseSigLine(line)
	if err != nil {
		return Cosignature{}, err
	}
	if len(raw) != 4+sigSize {
		return Cosignature{}, fmt.Errorf("%w: %d bytes, want %d", ErrCosignature, len(raw), 4+sigSize)
	}
	c := Cosignature{Name: name, KeyID: binary.BigEndian.Uint32(raw), Time: binary.BigEndian.Uint64(raw[4:])}
	copy(c.Signature[:], raw[12:])
	if !bytes.Equal(c.Line(), line) {
		return Cosignature{}, fmt.Errorf("%w: not plain base64", ErrCosignature)
	}
	return c, nil
}

// parseSigLine takes any signature line of a note apart: its key's name, and the
// key ID with the signature.
func parseSigLine(line []byte) (name string, raw []byte, err error) {
	text, ok := strings.CutPrefix(string(line), sigMark)
	body, end := strings.CutSuffix(text, "\n")
	name, text64, space := strings.Cut(body, " ")
	if !ok || !end || !space || !isName(name) {
		return "", nil, fmt.Errorf("%w: %.100q is no line of a signature", ErrCosignature, line)
	}
	raw, err = base64.StdEncoding.DecodeString(text64)
	if err != nil || len(raw) < 5 {
		return "", nil, fmt.Errorf("%w: %.100q is no base64 of a key ID and a signature", ErrCosignature, text64)
	}
	return name, raw, nil
}

// message is what is signed.
//
// SPEC (tlog-cosignature): The signed message MUST be two newline terminated lines
// (one header line and one timestamp line) followed by the whole note body of the
// cosigned checkpoint (including the final newline, but not including any
// signature lines).
func message(time uint64, text string) []byte {
	return []byte("cosignature/v1\ntime " + strconv.FormatUint(time, 10) + "\n" + text)
}

// Cosign signs a checkpoint's text. Whoever calls it answers for what it says:
// that at this time this is the newest of the log's heads that were seen, and
// extends them all.
func (s Signer) Cosign(text string, time uint64) Cosignature {
	c := Cosignature{Name: s.name, KeyID: s.KeyHash(), Time: time}
	copy(c.Signature[:], ed25519.Sign(s.private, message(time, text)))
	return c
}

// Check checks that the cosignature is by this key on a checkpoint's text; any
// other answer than nil is an ErrCosignature.
func (k Key) Check(c Cosignature, text string) error {
	switch {
	case c.Name != k.name || c.KeyID != k.KeyHash():
		return fmt.Errorf("%w: it is by the key %.100s %08x, not by %s", ErrCosignature, c.Name, c.KeyID, k.name)
	case c.Time == 0 || c.Time > math.MaxInt64:
		// SPEC (tlog-cosignature): It MUST NOT exceed 2^63 - 1
		// SPEC (tlog-witness): the timestamp MUST NOT be zero.
		return fmt.Errorf("%w: its time %d is out of range", ErrCosignature, c.Time)
	case !ed25519.Verify(k.pub, message(c.Time, text), c.Signature[:]):
		return fmt.Errorf("%w: the signature is wrong", ErrCosignature)
	}
	return nil
}

// Verify implements note.Verifier; sig is what follows the key ID.
func (k Key) Verify(text, sig []byte) bool {
	if len(sig) != sigSize {
		return false
	}
	c := Cosignature{Name: k.name, KeyID: k.KeyHash(), Time: binary.BigEndian.Uint64(sig)}
	copy(c.Signature[:], sig[8:])
	return k.Check(c, string(text)) == nil
}

// NoteText returns the part of a signed note that is signed, or "" if there is
// none.
func NoteText(signed []byte) string {
	i := bytes.LastIndex(signed, []byte("\n\n"))
	if i < 0 {
		return ""
	}
	return string(signed[:i+1])
}
