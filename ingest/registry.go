package ingest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"cairn/ingest/frame"
)

// The kinds of device, as in the ledger's bind statement.
const (
	KindSecure = "secure" // has a key; only frames that authenticate count
	KindOpaque = "opaque" // no key here: frames are recorded unopened
	KindText   = "text"   // known from a hub's text lines alone
	// KindVouched: known from messages of senders that the gateway authenticates.
	KindVouched = "vouched"
)

// ErrDevice is wrapped by the errors of [Registry.Set]: the list of devices
// contradicts itself, and the one before it stays in force.
var ErrDevice = errors.New("invalid device")

// Device is what intake must know of a device's open binding. While a key is
// being rotated the old and the new epoch may both be listed; the newer one is
// tried first.
type Device struct {
	Number uint32
	ID     frame.ID
	Epoch  uint32
	Kind   string
	Floor  frame.Counter // kept for the committer, which refuses counters up to it
	Key    *frame.Key    // KindSecure only
	Closed bool          // the binding ended: the device is no longer known
}

// entry is a device as judges use it. It outlives the snapshot that it was made
// for, if the next one holds the same device.
type entry struct {
	device, epoch uint32
	id            frame.ID
	number        uint64        // id, for ordering
	kind          string        //
	key           frame.Key     // of opener
	opener        *frame.Opener // KindSecure only; safe for concurrent use

	mu     sync.Mutex
	budget bucket // of KindOpaque, under mu
}

// snapshot is one immutable state of the registry: open devices by kind, sorted
// by ID, then newest epoch first.
type snapshot struct {
	secure, opaque, text, vouched []*entry
}

// Registry holds the devices that intake knows. It is safe for concurrent use;
// readers never wait.
type Registry struct {
	setting sync.Mutex // one Set at a time
	current atomic.Pointer[snapshot]
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	r := new(Registry)
	r.current.Store(new(snapshot))
	return r
}

// Set replaces all devices at once. Frames that are being judged meanwhile see
// either the old list or the new one.
func (r *Registry) Set(devices []Device) error {
	r.setting.Lock()
	defer r.setting.Unlock()
	old := r.current.Load()
	next := new(snapshot)
	type epoch struct{ number, epoch uint32 }
	seen := make(map[epoch]bool, len(devices))
	for _, d := range devices {
		if d.Closed {
			continue
		}
		at := epoch{d.Number, d.Epoch}
		if seen[at] {
			return fmt.Errorf("%w %d: key epoch %d twice", ErrDevice, d.Number, d.Epoch)
		}
		seen[at] = true
		e, err := old.entry(d)
		if err != nil {
			return err
		}
		list := next.list(d.Kind)
		*list = append(*list, e)
	}
	for _, list := range []*[]*entry{&next.secure, &next.opaque, &next.text, &next.vouched} {
		slices.SortFunc(*list, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.epoch, a.epoch), cmp.Compare(a.device, b.device))
		})
	}
	r.current.Store(next)
	return nil
}

// Len returns the number of open devices, counting each key epoch.
func (r *Registry) Len() int {
	s := r.current.Load()
	return len(s.secure) + len(s.opaque) + len(s.text) + len(s.vouched)
}

// list returns the list of a kind, nil for an unknown one.
func (s *snapshot) list(kind string) *[]*entry {
	switch kind {
	case KindSecure:
		return &s.secure
	case KindOpaque:
		return &s.opaque
	case KindText:
		return &s.text
	case KindVouched:
		return &s.vouched
	}
	return nil
}

// entry returns d's entry: the old one where nothing changed, so that the
// cipher need not be prepared again and a budget is not refilled.
func (s *snapshot) entry(d Device) (*entry, error) {
	list := s.list(d.Kind)
	if list == nil {
		return nil, fmt.Errorf("%w %d: kind %q", ErrDevice, d.Number, d.Kind)
	}
	if (d.Kind == KindSecure) != (d.Key != nil) {
		return nil, fmt.Errorf("%w %d: kind %q, key given: %t", ErrDevice, d.Number, d.Kind, d.Key != nil)
	}
	var key frame.Key
	if d.Key != nil {
		key = *d.Key
	}
	for _, e := range withPrefix(*list, d.ID[:]) {
		if e.device == d.Number && e.epoch == d.Epoch && e.key == key {
			return e, nil
		}
	}
	e := &entry{
		device: d.Number, epoch: d.Epoch, kind: d.Kind, key: key,
		id: d.ID, number: binary.BigEndian.Uint64(d.ID[:]),
	}
	if d.Key != nil {
		var err error
		if e.opener, err = frame.NewOpener(key); err != nil {
			return nil, fmt.Errorf("%w %d: %w", ErrDevice, d.Number, err)
		}
	}
	return e, nil
}

// withPrefix returns the part of a sorted list whose IDs begin with prefix, of
// at most 8 bytes.
func withPrefix(list []*entry, prefix []byte) []*entry {
	if len(prefix) == 0 {
		return list
	}
	var low frame.ID
	copy(low[:], prefix)
	first := binary.BigEndian.Uint64(low[:])
	last := first | (1<<(64-8*len(prefix)) - 1)
	from, _ := slices.BinarySearchFunc(list, first, func(e *entry, n uint64) int { return cmp.Compare(e.number, n) })
	to := from
	for to < len(list) && list[to].number <= last {
		to++
	}
	return list[from:to]
}

// only returns the one device of a list, which may be there in several epochs:
// the newest. Nil if there is none or more than one.
func only(list []*entry) *entry {
	if len(list) == 0 {
		return nil
	}
	for _, e := range list[1:] {
		if e.device != list[0].device {
			return nil
		}
	}
	return list[0]
}

// hub returns the text device with this number, nil if there is none.
func (s *snapshot) hub(number uint32) *entry {
	for _, e := range s.text {
		if e.device == number {
			return e
		}
	}
	return nil
}

// Knows reports whether senders may speak for a device.
func (r *Registry) Knows(id frame.ID) bool {
	return only(withPrefix(r.current.Load().vouched, id[:])) != nil
}
