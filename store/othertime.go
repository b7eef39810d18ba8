package store

import (
	"encoding/binary"
	"errors"

	"cairn/store/share"
)

// ErrOldData tells of data that was copied before a shredding that the keyring is
// of after.
var ErrOldData = errors.New("the data is older than the keyring: a shredding came between them, after which this keyring opens no earlier copy; put back the newest copy of the data")

// otherTime says why a local row does not open. A shredding changes the key of all
// of them, so where none opens one lies between the data and the keyring, and what
// of shredded hours is still there tells which of the two is older. Else the row is
// damaged, as err says.
func (s *Store) otherTime(err error) error {
	if !errors.Is(err, errLocal) {
		return err
	}
	for _, kind := range []byte{kindState, kindStream, kindDevice, kindStatement} {
		opens := false
		k := s.keys.key(kind)
		if e := each(s.db, k, after(k), func(key, val []byte) (bool, error) {
			if len(val) > 0 {
				_, e := s.local.open(key, val[1:])
				opens = e == nil
			}
			return false, nil // one of each kind will do
		}); e != nil || opens {
			return err
		}
	}
	last := share.Hour(0)
	for _, c := range s.opt.Keyring.Compartments() {
		last = max(last, c.Tree.First())
	}
	old := false
	lower, upper := s.keys.segment(segmentKey{}), s.keys.segment(segmentKey{Hour: uint32(last)})
	if e := each(s.db, lower, upper, func(key, val []byte) (bool, error) {
		b := suffix(key) // hour, first, compartment, part
		hour, compartment := share.Hour(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[12:])
		old = len(val) > 33 && val[0] == formatObject && hour < s.shreddedBefore(compartment)
		return !old, nil
	}); e != nil {
		return e
	}
	if old {
		return ErrOldData
	}
	return ErrOldKeyring
}
