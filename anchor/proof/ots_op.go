package proof

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	//lint:ignore SA1019 old calendars' and foreign files' paths go through it; nothing is signed or stored by it
	"golang.org/x/crypto/ripemd160"
)

// ErrOTS says that bytes are no OpenTimestamps proof, or one beyond the limits
// of its reference implementation.
var ErrOTS = errors.New("malformed opentimestamps proof")

// OTSTag is the first byte of an operation.
type OTSTag byte

// The operations. The four below 0x80 are hashes.
const (
	OTSSHA1      OTSTag = 0x02
	OTSRIPEMD160 OTSTag = 0x03
	OTSSHA256    OTSTag = 0x08
	OTSKeccak256 OTSTag = 0x67
	OTSAppend    OTSTag = 0xf0 // message ‖ argument
	OTSPrepend   OTSTag = 0xf1 // argument ‖ message
	OTSReverse   OTSTag = 0xf2 // the message's bytes from the last to the first
	OTSHexlify   OTSTag = 0xf3 // the message in lower-case hexadecimal digits
)

// Limits of the reference implementation (core/op.py, core/notary.py,
// core/timestamp.py).
const (
	maxOTSMessage = 4096 // bytes, of a message, a result and an argument
	maxOTSPayload = 8192 // bytes, of an attestation
	maxOTSURI     = 1000 // bytes
	maxOTSDepth   = 255  // operations on a path: 256 messages
)

// OTSOp is one operation. Only append and prepend have an argument, of 1 to
// 4096 bytes.
type OTSOp struct {
	Tag OTSTag
	Arg []byte
}

// Apply returns the result of the operation on a message.
func (o OTSOp) Apply(msg []byte) ([]byte, error) {
	if len(msg) > maxOTSMessage {
		return nil, fmt.Errorf("%w: message of %d bytes, at most %d", ErrOTS, len(msg), maxOTSMessage)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	result, err := o.apply(msg)
	if err != nil {
		return nil, err
	}
	if len(result) > maxOTSMessage {
		return nil, fmt.Errorf("%w: result of %d bytes, at most %d", ErrOTS, len(result), maxOTSMessage)
	}
	return result, nil
}

func (o OTSOp) apply(msg []byte) ([]byte, error) {
	switch o.Tag {
	case OTSSHA256:
		h := sha256.Sum256(msg)
		return h[:], nil
	case OTSAppend:
		return slices.Concat(msg, o.Arg), nil
	case OTSPrepend:
		return slices.Concat(o.Arg, msg), nil
	case OTSSHA1:
		h := sha1.Sum(msg)
		return h[:], nil
	case OTSRIPEMD160:
		h := ripemd160.New()
		h.Write(msg)
		return h.Sum(nil), nil
	case OTSKeccak256:
		h := keccak256(msg)
		return h[:], nil
	}
	// What is left, of an empty message, would be that message again, and no
	// commitment.
	if len(msg) == 0 {
		return nil, fmt.Errorf("%w: operation %02x on an empty message", ErrOTS, byte(o.Tag))
	}
	if o.Tag == OTSHexlify {
		return hex.AppendEncode(nil, msg), nil
	}
	msg = bytes.Clone(msg)
	slices.Reverse(msg)
	return msg, nil
}

func (o OTSOp) binary() bool { return o.Tag == OTSAppend || o.Tag == OTSPrepend }

func (o OTSOp) check() error {
	switch o.Tag {
	case OTSAppend, OTSPrepend:
		if len(o.Arg) == 0 || len(o.Arg) > maxOTSMessage {
			return fmt.Errorf("%w: argument of %d bytes", ErrOTS, len(o.Arg))
		}
	case OTSSHA1, OTSRIPEMD160, OTSSHA256, OTSKeccak256, OTSReverse, OTSHexlify:
		if len(o.Arg) != 0 {
			return fmt.Errorf("%w: operation %02x has no argument", ErrOTS, byte(o.Tag))
		}
	default:
		return fmt.Errorf("%w: unknown operation %02x", ErrOTS, byte(o.Tag))
	}
	return nil
}

func (o OTSOp) compare(p OTSOp) int {
	return cmp.Or(cmp.Compare(o.Tag, p.Tag), bytes.Compare(o.Arg, p.Arg))
}

// String writes an operation as the reference's tools do.
func (o OTSOp) String() string {
	names := map[OTSTag]string{
		OTSSHA1: "sha1", OTSRIPEMD160: "ripemd160", OTSSHA256: "sha256", OTSKeccak256: "keccak256",
		OTSAppend: "append", OTSPrepend: "prepend", OTSReverse: "reverse", OTSHexlify: "hexlify",
	}
	if o.binary() {
		return fmt.Sprintf("%s %x", names[o.Tag], o.Arg)
	}
	return names[o.Tag]
}

// digestSize is the length of what the hash of a detached file's digest gives;
// 0 if the tag is none that a file may be digested with.
func (t OTSTag) digestSize() int {
	switch t {
	case OTSSHA256:
		return 32
	case OTSSHA1, OTSRIPEMD160:
		return 20
	}
	return 0
}

// OTSKind is what an attestation says of its message.
type OTSKind int

// The kinds that are known. An attestation of another kind is kept as it is.
const (
	OTSUnknown  OTSKind = iota
	OTSPending          // a calendar promises to say more: URI
	OTSBitcoin          // it is the merkle root of the Bitcoin block at Height
	OTSLitecoin         // the same in Litecoin
	OTSEthereum         // it is the transactions root of the Ethereum block at Height
)

// otsKinds are the tags of the known kinds, by kind.
var otsKinds = [...][8]byte{
	OTSPending:  {0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e},
	OTSBitcoin:  {0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01},
	OTSLitecoin: {0x06, 0x86, 0x9a, 0x0d, 0x73, 0xd7, 0x1b, 0x45},
	OTSEthereum: {0x30, 0xfe, 0x80, 0x87, 0xb5, 0xc7, 0xea, 0xd7},
}

// kindOf returns the kind with this tag; OTSUnknown if there is none.
func kindOf(tag [8]byte) OTSKind {
	return OTSKind(max(slices.Index(otsKinds[1:], tag)+1, int(OTSUnknown)))
}

// OTSAttestation stands at the end of a path.
type OTSAttestation struct {
	Kind   OTSKind
	Height uint64 // of a block
	URI    string // of a calendar: characters A-Za-z0-9-._/: alone

	// Tag and Payload are those of an unknown attestation.
	Tag     [8]byte
	Payload []byte
}

// PendingAttestation is a calendar's promise. The URI is up to 1000 bytes of
// A-Za-z0-9-._/: and no others.
func PendingAttestation(uri string) (OTSAttestation, error) {
	a := OTSAttestation{Kind: OTSPending, URI: uri}
	return a, a.check()
}

// BitcoinAttestation says that a message is the merkle root of a block.
func BitcoinAttestation(height uint32) OTSAttestation {
	return OTSAttestation{Kind: OTSBitcoin, Height: uint64(height)}
}

// String names an attestation in words. What it holds is plain characters.
func (a OTSAttestation) String() string {
	switch a.Kind {
	case OTSPending:
		return "pending at " + a.URI
	case OTSBitcoin:
		return fmt.Sprintf("bitcoin block %d", a.Height)
	case OTSLitecoin:
		return fmt.Sprintf("litecoin block %d", a.Height)
	case OTSEthereum:
		return fmt.Sprintf("ethereum block %d", a.Height)
	}
	return fmt.Sprintf("unknown attestation %x", a.Tag)
}

func (a OTSAttestation) check() error {
	switch {
	case a.Kind < OTSUnknown || a.Kind > OTSEthereum:
		return fmt.Errorf("%w: attestation of kind %d", ErrOTS, a.Kind)
	case a.Kind == OTSUnknown && kindOf(a.Tag) != OTSUnknown:
		return fmt.Errorf("%w: attestation with the known tag %x as unknown", ErrOTS, a.Tag)
	case a.Kind == OTSPending:
		return checkOTSURI(a.URI)
	case len(a.Payload) > maxOTSPayload:
		return fmt.Errorf("%w: attestation of %d bytes, at most %d", ErrOTS, len(a.Payload), maxOTSPayload)
	}
	return nil
}

func checkOTSURI(uri string) error {
	if len(uri) > maxOTSURI {
		return fmt.Errorf("%w: URI of %d bytes, at most %d", ErrOTS, len(uri), maxOTSURI)
	}
	for _, c := range []byte(uri) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '-' && c <= ':' || c == '_') {
			return fmt.Errorf("%w: byte %02x in a URI", ErrOTS, c)
		}
	}
	return nil
}

func (a OTSAttestation) tag() [8]byte {
	if a.Kind == OTSUnknown {
		return a.Tag
	}
	return otsKinds[a.Kind]
}

// wire returns the tag and the payload that the attestation is written with.
func (a OTSAttestation) wire() (tag [8]byte, payload []byte) {
	switch tag = a.tag(); a.Kind {
	case OTSUnknown:
		return tag, a.Payload
	case OTSPending:
		return tag, append(appendVaruint(nil, uint64(len(a.URI))), a.URI...)
	}
	return tag, appendVaruint(nil, a.Height)
}

// compare is the reference's order: by tag; of one tag by height, URI or
// payload.
func (a OTSAttestation) compare(b OTSAttestation) int {
	at, bt := a.tag(), b.tag()
	return cmp.Or(bytes.Compare(at[:], bt[:]), cmp.Compare(a.Height, b.Height),
		cmp.Compare(a.URI, b.URI), bytes.Compare(a.Payload, b.Payload))
}
