package frame

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
)

// MaxSecureBody is the longest plaintext of a secure frame.
const MaxSecureBody = blockSize - 1

const (
	nonceIDSize = 6 // ID bytes in the nonce
	nonceSize   = 12
	tagSize     = 16
	counterSize = 6
)

var (
	// ErrInsecure says that a frame has no tag: there is nothing to open.
	ErrInsecure = errors.New("frame is not secure")
	// ErrNodeID says that a frame's ID bytes are not a prefix of the given
	// ID: try the node that they belong to.
	ErrNodeID = errors.New("frame is not from this node ID")
	// ErrTag says that key, ID or frame are not the ones that were sealed: try
	// the next candidate node, then record the frame as unauthenticated.
	ErrTag = errors.New("frame authentication failed")
	// ErrPadding says that a holder of the key sealed a body which is not
	// padded as the specification says. The frame is authentic and unusable.
	ErrPadding = errors.New("frame is authentic but wrongly padded")
)

// Opener opens and seals frames under one key. It caches the key's cipher, and
// is safe for concurrent use.
type Opener struct {
	aead cipher.AEAD
}

// scratch holds what goes through the cipher's interface, so that neither the
// caller's buffers nor ours are moved to the heap per frame.
type scratch struct {
	nonce  [nonceSize]byte
	header [4 + maxIDLength]byte
	in     [blockSize + tagSize]byte
	out    [blockSize + tagSize]byte
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

func putScratch(s *scratch) {
	*s = scratch{} // no plaintext stays in the pool
	scratchPool.Put(s)
}

// NewOpener prepares the cipher of k. A key of all ff is [ErrKey].
func NewOpener(k Key) (*Opener, error) {
	if k.unset() {
		return nil, ErrKey
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, fmt.Errorf("prepare frame cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("prepare frame cipher: %w", err)
	}
	return &Opener{aead: aead}, nil
}

// setNonce fills the nonce: ID[0..5] ‖ counter (6).
func (s *scratch) setNonce(id ID, c Counter) {
	copy(s.nonce[:], id[:nonceIDSize])
	c.Append(s.nonce[:nonceIDSize])
}

// Open authenticates f as a frame of the node id, decrypts it and appends the
// plaintext, 0 to 31 bytes, to dst. With room for it in dst nothing is
// allocated. The frame may be a replay: comparing counters is the caller's.
//
// Errors are [ErrInsecure], [ErrNodeID], [ErrTag], [ErrPadding], and
// [ErrMalformed] for a Frame that does not come from [Parse].
func (o *Opener) Open(dst []byte, f Frame, id ID) (body []byte, err error) {
	if !f.Secure() {
		return nil, ErrInsecure
	}
	h := 4 + len(f.ID)
	if len(f.Trailer) != secureTrailer || len(f.Body) != 0 && len(f.Body) != blockSize ||
		len(f.Wire) != h+len(f.Body)+secureTrailer || len(f.ID) > maxIDLength {
		return nil, fmt.Errorf("open frame: %w", ErrMalformed)
	}
	if !id.HasPrefix(f.ID) {
		return nil, ErrNodeID
	}
	s := scratchPool.Get().(*scratch)
	defer putScratch(s)

	s.setNonce(id, f.Counter())
	copy(s.header[:], f.Wire[:h])
	// On the wire the counter stands between ciphertext and tag.
	n := copy(s.in[:], f.Body)
	n += copy(s.in[n:], f.Trailer[counterSize:counterSize+tagSize])
	pt, err := o.aead.Open(s.out[:0], s.nonce[:], s.in[:n], s.header[:h])
	if err != nil {
		return nil, ErrTag
	}
	size, ok := unpad(pt)
	if !ok {
		return nil, ErrPadding
	}
	return append(dst, pt[:size]...), nil
}

// unpad returns the size of the text in a decrypted body.
func unpad(pt []byte) (size int, ok bool) {
	if len(pt) == 0 {
		return 0, true
	}
	// SPEC: the last byte is the number of zeros before it, its top 3 bits 0.
	// The firmware reads a larger one as an empty body and never looks at the
	// zeros; here both are refused, so that an accepted block has one reading.
	zeros := int(pt[blockSize-1])
	if zeros > MaxSecureBody {
		return 0, false
	}
	size = MaxSecureBody - zeros
	for _, b := range pt[size:MaxSecureBody] {
		if b != 0 {
			return 0, false
		}
	}
	return size, true
}

// Seal appends the secure frame, length byte included, that a node with this ID
// sends: type typ (the secure bit is added), the first idLen bytes of id (0..8,
// at most 5 with a body), counter c, and body of at most 31 bytes, empty for
// none. The same arguments give the same bytes; so different bodies must never
// be sealed under one counter.
func (o *Opener) Seal(dst []byte, typ byte, id ID, idLen int, c Counter, body []byte) ([]byte, error) {
	if !validType(typ) {
		return nil, fmt.Errorf("seal frame: %w: %#02x", ErrType, typ)
	}
	if idLen < 0 || idLen > maxIDLength {
		return nil, fmt.Errorf("seal frame: %w: %d", ErrIDLength, idLen)
	}
	if c > MaxCounter {
		return nil, fmt.Errorf("seal frame: %w", ErrCounter)
	}
	if len(body) > MaxSecureBody {
		return nil, fmt.Errorf("seal frame: %w: %d is over %d", ErrBodyLength, len(body), MaxSecureBody)
	}
	s := scratchPool.Get().(*scratch)
	defer putScratch(s)

	pt := s.in[:0]
	if len(body) > 0 {
		pt = s.in[:blockSize] // cleared when it was put into the pool
		copy(pt, body)
		pt[blockSize-1] = byte(MaxSecureBody - len(body))
	}
	header, err := appendHeader(s.header[:0], typ|SecureBit, byte(c&0x0f), id[:idLen], len(pt), secureTrailer)
	if err != nil {
		return nil, fmt.Errorf("seal frame: %w", err)
	}
	s.setNonce(id, c)
	sealed := o.aead.Seal(s.out[:0], s.nonce[:], pt, header)
	dst = append(dst, header...)
	dst = append(dst, sealed[:len(pt)]...)
	dst = c.Append(dst)
	dst = append(dst, sealed[len(pt):]...)
	return append(dst, secureVersion), nil
}
