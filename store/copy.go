package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle"
	"cairn/store/share"
)

// ErrSealing tells that what is to be had of a ledger is being sealed just now: ask
// again in a moment.
var ErrSealing = errors.New("ended quarter hours are being sealed: ask again in a moment")

// Groups lists the groups of batches that end beyond batch from, in order and
// without a hole, at most max and up to the newest checkpoint. Those that are not
// sealed yet are live: made from what is there, and each replaced by a longer one
// when another window has closed, at last by the sealed one. Groups of before there
// were objects are left out. ErrSealing: there are no sealed ones, and those that
// are not cannot be had now.
func (s *Store) Groups(ctx context.Context, from uint64, max int) ([]GroupRef, error) {
	for range 4 {
		out, err := s.groups(ctx, from, max)
		if !errors.Is(err, errSealed) {
			return out, err
		}
	}
	return nil, ErrSealing
}

func (s *Store) groups(ctx context.Context, from uint64, max int) ([]GroupRef, error) {
	r := s.reader()
	defer r.close()
	out, err := r.sealedGroups(ctx, from, max)
	if err != nil || len(out) >= max || r.v.signed <= r.v.state.SealFrom || r.v.signed <= from {
		return out, err
	}
	live, err := s.live.groups(ctx, s, r.v.state.SealFrom, from, max-len(out))
	switch {
	case err == nil:
		return append(out, live...), nil
	case len(out) == 0 || ctx.Err() != nil || errors.Is(err, errSealed):
		return nil, err
	}
	return out, nil // what is sealed can be had all the same
}

// sealedGroups lists the sealed ones.
func (r *reader) sealedGroups(ctx context.Context, from uint64, max int) (out []GroupRef, err error) {
	first, err := r.groupAt(from)
	if err != nil {
		return nil, err
	}
	k := r.s.keys
	err = each(r.snap, k.u64(kindHour, first), k.u64(kindHour, r.v.state.SealFrom), func(key, val []byte) (bool, error) {
		row, err := decodeHour(key, val)
		if err != nil || row.Next > r.v.signed || len(out) >= max {
			return false, err
		}
		if !row.objects() || row.Next <= from {
			return true, ctx.Err()
		}
		ref := GroupRef{First: binary.BigEndian.Uint64(suffix(key)), Next: row.Next, Hour: share.Hour(row.Hour)}
		x, err := r.groupObjectRow(ref.First, &row)
		if err != nil {
			return false, err
		}
		ref.Object, ref.Size = x.hash, x.size
		out = append(out, ref)
		return true, ctx.Err()
	})
	return out, err
}

// groupAt gives the first batch of the last sealed group that begins at or before
// a batch, or 0.
func (r *reader) groupAt(batch uint64) (uint64, error) {
	k := r.s.keys
	it, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: k.key(kindHour), UpperBound: after(k.u64(kindHour, batch))})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	if !it.Last() {
		return 0, it.Error()
	}
	return binary.BigEndian.Uint64(suffix(it.Key())), nil
}

// groupObjectRow is the row g of a group object.
type groupObjectRow struct {
	hash  merkle.Hash
	size  int64
	sizes []int64 // of the other objects
}

func (r *reader) groupObjectRow(first uint64, row *hourRow) (x groupObjectRow, err error) {
	what := fmt.Sprintf("object of group %d", first)
	val, closer, err := r.snap.Get(r.s.keys.segment(segmentKey{Hour: row.Hour, First: first, Compartment: share.Ledger}))
	if err != nil {
		return x, notFound(err, "%s", what)
	}
	defer closer.Close()
	c := cursor{b: val}
	version := c.byte()
	copy(x.hash[:], c.take(32))
	unit := func() int64 {
		n := c.uvarint()
		if n == 0 || n > share.MaxObject/uint64(row.Pad) {
			c.fail()
			return 0
		}
		return int64(n) * int64(row.Pad)
	}
	for x.size = unit(); len(c.b) > 0 && c.err == nil; {
		x.sizes = append(x.sizes, unit())
	}
	if c.err != nil || version != formatObject {
		err = fmt.Errorf("%w: row of the %s", ErrDamaged, what)
	}
	return x, err
}

// GroupObject gives a group's object of compartment "ledger": made again from what
// is on disk, and held against what was listed. Of a group that is not sealed it
// is the newest that Groups named. ErrNotFound: no group begins with that batch;
// ErrOldGroup: it was sealed before there were objects; ErrDamaged: what is on disk
// gives another object; ErrShredded: the ledger's key is gone. The bytes are not to
// be changed.
func (s *Store) GroupObject(ctx context.Context, first uint64) ([]byte, error) {
	r := s.reader()
	defer r.close()
	if first >= r.v.state.SealFrom {
		if object := s.live.group(first); object != nil {
			return object, nil
		}
	}
	row, err := r.groupRow(first)
	if err != nil {
		return nil, err
	}
	if !row.objects() {
		return nil, fmt.Errorf("batch %d: %w", first, ErrOldGroup)
	}
	if _, err := r.cursor(share.Ledger).Hour(share.Hour(row.Hour)); err != nil {
		return nil, fmt.Errorf("object of group %d: %w", first, err)
	}
	if object := s.made.get(first); object != nil || ctx.Err() != nil {
		return object, ctx.Err()
	}
	object, err := r.groupObject(first, &row)
	if err == nil {
		s.made.put(first, object)
	}
	return object, err
}

// madeBytes is how much of group objects is kept, as whoever takes a group's objects
// asks for it time and again.
const madeBytes = 4 << 20

// madeGroups keeps the group objects that were made again last.
type madeGroups struct {
	mu    sync.Mutex
	all   []keptObject // oldest first
	bytes int
}

type keptObject struct {
	first  uint64
	object []byte
}

func (m *madeGroups) get(first uint64) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.all {
		if m.all[i].first == first {
			return m.all[i].object
		}
	}
	return nil
}

func (m *madeGroups) put(first uint64, object []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, keptObject{first, object})
	for m.bytes += len(object); m.bytes > madeBytes; m.all = m.all[1:] {
		m.bytes -= len(m.all[0].object)
	}
}

// groupObject makes a sealed group's object again.
func (r *reader) groupObject(first uint64, row *hourRow) ([]byte, error) {
	x, objects, err := r.groupListing(first, row)
	if err != nil {
		return nil, err
	}
	return r.groupObjectOf(first, row, &x, objects)
}

// groupListing reads which other objects a sealed group has.
func (r *reader) groupListing(first uint64, row *hourRow) (groupObjectRow, []ObjectRef, error) {
	x, err := r.groupObjectRow(first, row)
	if err != nil {
		return x, nil, err
	}
	objects := make([]ObjectRef, 0, len(x.sizes))
	rows, err := r.s.segmentRows(row.Hour, first, row.Next)
	if err != nil {
		return x, nil, err
	}
	for i := range rows {
		if k := &rows[i].key; k.Compartment != share.Ledger && len(objects) < len(x.sizes) {
			objects = append(objects, ObjectRef{Compartment: k.Compartment, Part: k.Part, Hash: rows[i].sealed, Size: x.sizes[len(objects)]})
		}
	}
	if len(objects) != len(x.sizes) || len(rows) != len(objects)+1 {
		return x, nil, fmt.Errorf("%w: group %d has %d objects, want %d", ErrDamaged, first, len(rows), len(x.sizes)+1)
	}
	return x, objects, r.name(objects)
}

// groupObjectOf makes the object of a group with this listing.
func (r *reader) groupObjectOf(first uint64, row *hourRow, x *groupObjectRow, objects []ObjectRef) ([]byte, error) {
	object, err := r.sealedGroup(&batchGroup{hour: share.Hour(row.Hour), first: first, next: row.Next}, row, objects)
	if err != nil {
		return nil, err
	}
	if sum(object) != x.hash {
		return nil, fmt.Errorf("%w: the object of group %d is not the one that was sealed", ErrDamaged, first)
	}
	return object, nil
}

// GroupObjects gives a sealed group's object and its others, as far as each is
// wanted, made again with one reading of what is on disk: the group's own first,
// under the name "ledger", and if that one is not wanted nothing. Of others that
// cannot be had there is none. Errors are those of GroupObject.
func (s *Store) GroupObjects(ctx context.Context, first uint64, wanted func(h share.Hour, o *ObjectRef) bool) (all [][]byte, err error) {
	r := s.reader()
	defer r.close()
	row, err := r.groupRow(first)
	if err != nil {
		return nil, err
	}
	if !row.objects() {
		return nil, fmt.Errorf("batch %d: %w", first, ErrOldGroup)
	}
	x, objects, err := r.groupListing(first, &row)
	if err != nil {
		return nil, err
	}
	hour := share.Hour(row.Hour)
	if !wanted(hour, &ObjectRef{Compartment: share.Ledger, Name: "ledger", Hash: x.hash, Size: x.size}) {
		return nil, nil
	}
	object := s.made.get(first)
	if object == nil {
		if object, err = r.groupObjectOf(first, &row, &x, objects); err != nil {
			return nil, err
		}
		s.made.put(first, object)
	}
	all = append(all, object)
	for i := range objects {
		o := &objects[i]
		if !wanted(hour, o) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if b, err := r.object(segmentKey{Hour: row.Hour, First: first, Compartment: o.Compartment, Part: o.Part}); err == nil {
			all = append(all, b)
		}
	}
	return all, nil
}

// maxLeaves is how many leaves StatementLeaves gives at once.
const maxLeaves = 1 << 16

// StatementLeaves gives the leaf hashes of statements [from, to) of the ledger's
// tree, at most 65,536. ErrNotFound: there are not so many.
func (s *Store) StatementLeaves(from, to uint64) ([]merkle.Hash, error) {
	if n := s.Statements(); from > to || to > n {
		return nil, fmt.Errorf("statements %d to %d: there are %d: %w", from, to, n, ErrNotFound)
	}
	if to-from > maxLeaves {
		return nil, fmt.Errorf("statements %d to %d: at most %d at once: %w", from, to, maxLeaves, ErrNotFound)
	}
	out := make([]merkle.Hash, 0, to-from)
	k := s.keys
	err := each(s.db, k.node(kindStateNode, 0, from), k.node(kindStateNode, 0, to), func(key, val []byte) (bool, error) {
		if n := binary.BigEndian.Uint64(suffix(key)[1:]); n != from+uint64(len(out)) || len(val) != 33 || val[0] != format {
			return false, fmt.Errorf("%w: leaf of statement %d", ErrDamaged, from+uint64(len(out)))
		}
		out = append(out, merkle.Hash(val[1:]))
		return true, nil
	})
	if err == nil && uint64(len(out)) != to-from {
		err = fmt.Errorf("%w: leaf of statement %d is missing", ErrDamaged, from+uint64(len(out)))
	}
	return out, err
}
