package reading

import (
	"fmt"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

// SetItem parses the item at an index, 1…63, and sets that part of r. It
// accepts just what AppendItem writes for some valid reading. A measurement
// beyond the end makes room; places in between stay without name or value
// until they are set. On an error, which wraps ErrEncoding, ErrItem or
// ErrInvalid and names the item, r is as it was.
func (r *Reading) SetItem(index int, item []byte) error {
	if index < 1 || index >= MaxLeaves {
		return fmt.Errorf("item %d: %w: a reading has items 1 to 63 to set", index, ErrItem)
	}
	if err := r.setItem(index, item); err != nil {
		return itemError(index, err)
	}
	return nil
}

func (r *Reading) setItem(index int, item []byte) error {
	if len(item) > MaxItem {
		return invalid("over 132 bytes")
	}
	d := newDecoder(item)
	if index >= IndexData {
		return r.setMeasurement(index-IndexData, &d)
	}
	n := d.Expect(cbor.Array, "it")
	if want := elements[index]; d.Err == nil && n != want {
		d.Fail(ErrItem, "%d elements, not %d", n, want)
	}
	d.is(fieldType, "the type")
	d.is(itemNames[index], "the name")
	next := *r
	err := d.field(index, &next)
	if d.End(); d.Err != nil {
		return d.Err
	}
	if err == nil {
		*r = next
	}
	return err
}

// elements is the number of array elements of each item that has a fixed name.
var elements = [...]uint64{
	IndexDevice: 3, IndexMeasured: 3, IndexReceived: 4, IndexSequence: 3, IndexOrigin: 5, IndexFrame: 3,
}

// field reads what follows the name of item index. It returns whether the
// content is allowed; d holds whether it could be read, which goes first.
func (d *decoder) field(index int, r *Reading) error {
	switch index {
	case IndexDevice:
		r.Device = d.Text(16, "the device")
		return checkDevice(r.Device)
	case IndexMeasured:
		r.HasMeasured = !d.Null()
		r.Measured = 0
		if r.HasMeasured {
			r.Measured = d.time()
		}
	case IndexReceived:
		r.Received = d.time()
		word := d.Text(MaxText, "the clock's state")
		var err error
		r.Clock, err = ParseClock(word)
		return err
	case IndexSequence:
		r.Sequence = d.Uint("the number")
		return checkSequence(r.Sequence)
	case IndexOrigin:
		return d.origin(&r.Origin)
	case IndexFrame:
		r.HasFrame = !d.Null()
		r.Frame = merkle.Hash{}
		if r.HasFrame {
			return d.hash(&r.Frame)
		}
	}
	return nil
}

func (d *decoder) time() int64 { return int64(d.Uint63("the time")) }

func (d *decoder) origin(o *Origin) error {
	*o = Origin{Transport: d.Text(MaxText, "the transport")}
	word := d.Text(MaxText, "the verdict")
	if o.HasCounter = !d.Null(); o.HasCounter {
		o.Counter = d.Uint("the counter")
	}
	if d.Err != nil {
		return nil
	}
	var err error
	if o.Verdict, err = ParseVerdict(word); err != nil {
		return err
	}
	return checkOrigin(*o)
}

func (d *decoder) hash(h *merkle.Hash) error {
	b := d.Bytes(merkle.HashSize, "the hash")
	if d.Err == nil && len(b) != merkle.HashSize {
		return invalid("the hash is not 32 bytes")
	}
	copy(h[:], b)
	return nil
}

func (r *Reading) setMeasurement(at int, d *decoder) error {
	if n := d.Expect(cbor.Array, "it"); d.Err == nil && n != 4 {
		d.Fail(ErrItem, "%d elements, not 4", n)
	}
	d.is(fieldType, "the type")
	m := Measurement{Name: d.Text(MaxName, "the name"), Unit: d.Text(MaxUnit, "the unit"), Value: d.value()}
	if d.End(); d.Err != nil {
		return d.Err
	}
	if err := r.checkMeasurement(at, &m); err != nil {
		return err
	}
	for len(r.Measurements) <= at {
		r.Measurements = append(r.Measurements, Measurement{})
	}
	r.Measurements[at] = m
	return nil
}

// ParseAll parses item 0. It returns the reading, which is valid, and all its
// items: item 0 first, the others as parts of it. It refuses an item 0 in
// which any item is missing, invalid or out of its place.
func ParseAll(item0 []byte) (Reading, [][]byte, error) {
	var r Reading
	items, err := r.parseAll(item0)
	if err != nil {
		return Reading{}, nil, err
	}
	return r, items, nil
}

func (r *Reading) parseAll(item0 []byte) ([][]byte, error) {
	if len(item0) >= MaxReading {
		return nil, itemError(IndexReading, invalid("8192 bytes or more"))
	}
	d := newDecoder(item0)
	n := d.Expect(cbor.Array, "it")
	if d.Err == nil && (n < IndexData || n > MaxLeaves) {
		d.Fail(ErrItem, "%d elements, not 7 to 64", n)
	}
	d.is(readingType, "the type")
	if d.Err != nil {
		return nil, itemError(IndexReading, d.Err)
	}
	items := append(make([][]byte, 0, n), item0)
	for i := 1; i < int(n); i++ {
		item := d.Bytes(MaxItem, "an item")
		if d.Err != nil {
			return nil, itemError(IndexReading, d.Err)
		}
		if err := r.SetItem(i, item); err != nil {
			return nil, fmt.Errorf("item 0 (reading): %w", err)
		}
		items = append(items, item[:len(item):len(item)])
	}
	if d.End(); d.Err != nil {
		return nil, itemError(IndexReading, d.Err)
	}
	return items, nil
}
