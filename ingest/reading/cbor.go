package reading

import "cairn/merkle/cbor"

var readErrors = &cbor.Errors{Encoding: ErrEncoding, Item: ErrItem, Content: ErrInvalid}

// decoder reads items and values.
type decoder struct{ cbor.Reader }

func newDecoder(b []byte) decoder { return decoder{cbor.NewReader(b, readErrors)} }

// is reads a text that has to be this one.
func (d *decoder) is(want, what string) {
	s := d.BytesOf(d.Expect(cbor.Text, what), MaxItem, what)
	if d.Err == nil && string(s) != want {
		d.Fail(ErrItem, "%s is not %q", what, want)
	}
}
