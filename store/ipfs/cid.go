package ipfs

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Codecs of blocks.
const (
	Raw   = 0x55 // bytes of a file
	DagPB = 0x70 // a node: a directory, or a file of several chunks
)

// MaxBlock is the largest block that is read or written, in bytes; nodes exchange no larger ones.
const MaxBlock = 2 << 20

// ErrCID tells that a text or bytes are no CID of version 1 with SHA-256.
var ErrCID = errors.New("no CID (version 1, SHA-256)")

// CID names a block by its content. The zero value names nothing. CIDs are compared by ==, whatever text they came in.
type CID struct {
	Codec byte
	Hash  [sha256.Size]byte
}

const cidSize = 4 + sha256.Size

// CIDOf is the CID of a block.
func CIDOf(codec byte, block []byte) CID { return CID{codec, sha256.Sum256(block)} }

// Is reports whether a block is the one that the CID names.
func (c CID) Is(block []byte) bool { return sha256.Sum256(block) == c.Hash }

// Bytes are the CID's 36 bytes.
func (c CID) Bytes() []byte {
	return append([]byte{1, c.Codec, 0x12, sha256.Size}, c.Hash[:]...)
}

var base32Lower = base32.StdEncoding.WithPadding(base32.NoPadding)

// String is the CID in base32, "b…".
func (c CID) String() string { return "b" + strings.ToLower(base32Lower.EncodeToString(c.Bytes())) }

// Alphabets of the texts that are no power of two.
const (
	base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	base36 = "0123456789abcdefghijklmnopqrstuvwxyz"
)

// ParseCID reads a CID's text, in base32, base58btc, base36 or base16.
func ParseCID(text string) (CID, error) {
	if len(text) < 2 || len(text) > 128 {
		return CID{}, fmt.Errorf("%w: %.128q", ErrCID, text)
	}
	var b []byte
	var err error
	switch digits := text[1:]; text[0] {
	case 'b':
		if strings.ToLower(digits) != digits {
			err = ErrCID
			break
		}
		b, err = base32Lower.DecodeString(strings.ToUpper(digits))
	case 'f':
		b, err = hex.DecodeString(digits)
	case 'z':
		b, err = decodeBase(digits, base58)
	case 'k':
		b, err = decodeBase(digits, base36)
	default:
		err = ErrCID
	}
	var c CID
	if err == nil {
		c, err = CIDFromBytes(b)
	}
	if err == nil && text[0] == 'b' && c.String() != text { // bits behind the last byte
		err = ErrCID
	}
	if err != nil {
		return CID{}, fmt.Errorf("%w: %.128q", ErrCID, text)
	}
	return c, nil
}

// CIDFromBytes reads a CID's bytes.
func CIDFromBytes(b []byte) (CID, error) {
	if len(b) != cidSize || b[0] != 1 || b[1] != Raw && b[1] != DagPB || b[2] != 0x12 || b[3] != sha256.Size {
		return CID{}, ErrCID
	}
	return CID{b[1], [sha256.Size]byte(b[4:])}, nil
}

// decodeBase reads a number of any base; a CID begins with a byte that is not 0.
func decodeBase(digits, alphabet string) ([]byte, error) {
	n, base := new(big.Int), big.NewInt(int64(len(alphabet)))
	for _, d := range []byte(digits) {
		at := strings.IndexByte(alphabet, d)
		if at < 0 {
			return nil, ErrCID
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(at)))
	}
	if digits[0] == alphabet[0] {
		return nil, ErrCID
	}
	return n.Bytes(), nil
}
