package proof

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrEncoding says that bytes are not the one deterministic encoding of what
// they hold (RFC 8949 section 4.2.1), or exceed a limit.
var ErrEncoding = errors.New("not the deterministic encoding")

// maxCount bounds every array of every format here before its own limit is
// looked at.
const maxCount = 1 << 20

var encMode, decMode = mustModes()

func mustModes() (cbor.EncMode, cbor.DecMode) {
	e := cbor.CoreDetEncOptions()
	e.NilContainers = cbor.NilContainerAsEmpty
	em, err := e.EncMode()
	if err != nil {
		panic(err)
	}
	dm, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: maxCount,
		MaxMapPairs:      16,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return em, dm
}

// marshal encodes arrays of arrays and strings; only a programming error makes
// it fail.
func marshal(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b, nil
}

// unmarshal reads b into v and refuses anything that v would not be written
// as. This one comparison covers long integers, nulls, short byte strings in
// fixed fields and whatever else a decoder is generous about.
func unmarshal(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: written again it differs", ErrEncoding)
	}
	return nil
}
