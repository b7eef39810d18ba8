package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// The row g of a group object has no content, which is made again from the rows of
// batches, runs and statements, as nearly all of it is hashes that these hold or
// give. What they do not give stands here, as lengths in units of the group's pad:
//
//	format(2) SHA-256 of the object (32) its length, those of the other objects by compartment and part
//
// each an unsigned LEB128.

// sealGroup makes the group's last two objects when all others are there: the one
// of private statements, if any were recorded, and the one of compartment
// "ledger", which lists the others. It leaves their rows with those.
func (l *sealer) sealGroup() error {
	if l.r.s.bench.noSealing {
		return nil
	}
	if err := l.sealStatements(); err != nil {
		return err
	}
	sort.Slice(l.rows, func(i, j int) bool { return l.rows[i].key.before(&l.rows[j].key) })
	objects := make([]ObjectRef, len(l.rows))
	for i := range l.rows {
		x := &l.rows[i]
		objects[i] = ObjectRef{Compartment: x.key.Compartment, Part: x.key.Part, Hash: x.sealed, Size: int64(x.size)}
	}
	object, err := l.r.sealedGroup(&l.group, &l.row, objects)
	if err != nil {
		return err
	}
	hash, pad := sha256.Sum256(object), int64(l.row.Pad)
	val := append([]byte{formatObject}, hash[:]...)
	val = binary.AppendUvarint(val, uint64(int64(len(object))/pad))
	for i := range objects {
		val = binary.AppendUvarint(val, uint64(objects[i].Size/pad))
	}
	return l.keep(segmentRow{key: l.key(share.Ledger, 0), next: l.group.next, sealed: hash, size: len(object)}, object, val)
}

// before orders the keys of one group as they lie on disk.
func (k *segmentKey) before(o *segmentKey) bool {
	return k.Compartment < o.Compartment || k.Compartment == o.Compartment && k.Part < o.Part
}

// keep takes an object and its row: onto the disk, or where the group is live into
// memory.
func (l *sealer) keep(row segmentRow, object, val []byte) error {
	l.rows = append(l.rows, row)
	if l.live != nil {
		l.live.keep(&row, object)
		return nil
	}
	return l.r.s.db.Set(l.r.s.keys.segment(row.key), val, pebble.NoSync)
}

// sealStatements seals the private statements that the group's batches recorded.
func (l *sealer) sealStatements() error {
	from, to, err := l.r.statementRange(l.group.first, l.group.next)
	if err != nil {
		return err
	}
	p := PrivateStatements{First: from}
	for n := from; n < to; n++ {
		st, err := l.r.statement(n)
		if err != nil {
			return err
		}
		if shown, err := st.public(); err != nil {
			return fmt.Errorf("%w: statement %d: %w", ErrDamaged, n, err)
		} else if !shown {
			p.All = append(p.All, PrivateStatement{Number: n, Item: st.Item, Salt: st.Salt})
		}
	}
	if len(p.All) == 0 {
		return nil
	}
	c, err := l.r.s.statements()
	if err != nil {
		return err
	}
	k, err := l.r.cursor(c.ID).Hour(l.group.hour)
	if err != nil {
		return fmt.Errorf("statements key: %w", err)
	}
	return l.put(k, c.ID, 0, p.Append(nil), nil)
}

func (s *GroupStatement) public() (bool, error) {
	st, err := ledger.ParseStatement(s.Item)
	return err == nil && ledger.Public(st.Kind), err
}

// sealedGroup makes a group's object of compartment "ledger". The objects are the
// others of the group, in their order; their names are filled in.
func (r *reader) sealedGroup(b *batchGroup, row *hourRow, objects []ObjectRef) ([]byte, error) {
	g, err := r.makeGroup(b.hour, b.first, b.next)
	if err != nil {
		return nil, err
	}
	if err := r.name(objects); err != nil {
		return nil, err
	}
	g.Objects = objects
	k, err := r.cursor(share.Ledger).Hour(b.hour)
	if err != nil {
		return nil, fmt.Errorf("ledger key: %w", err)
	}
	key := segmentKey{Hour: uint32(b.hour), First: b.first, Compartment: share.Ledger}
	random := r.objectRandom(row, key)
	object, err := k.SealObject(nil, r.s.segmentAAD(key), &random, g.Append([]byte{0}), nil, int(row.Pad))
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", b.first, err)
	}
	return object, nil
}

// name names the compartments of objects.
func (r *reader) name(objects []ObjectRef) error {
	for i := range objects {
		c, ok := r.s.opt.Keyring.Compartment(objects[i].Compartment)
		if !ok {
			return fmt.Errorf("compartment %d: %w", objects[i].Compartment, ErrOldKeyring)
		}
		objects[i].Name = c.Name
	}
	return nil
}

// makeGroup makes what a group says of its batches and statements from what is on
// disk.
func (r *reader) makeGroup(hour share.Hour, first, next uint64) (*Group, error) {
	g := &Group{Ledger: r.s.keys.id, Hour: hour, First: first, Next: next}
	for batch := first; batch < next; batch++ {
		b, err := r.groupBatch(batch)
		if err != nil {
			return nil, fmt.Errorf("group %d: batch %d: %w", first, batch, err)
		}
		g.Batches = append(g.Batches, *b)
	}
	from, to, err := r.statementRange(first, next)
	if err != nil {
		return nil, err
	}
	g.FirstStatement = from
	for n := from; n < to; n++ {
		st, err := r.statement(n)
		if err != nil {
			return nil, err
		}
		shown, err := st.public()
		if err != nil {
			return nil, fmt.Errorf("%w: statement %d: %w", ErrDamaged, n, err)
		}
		if !shown {
			st = GroupStatement{Leaf: st.Leaf}
		}
		g.Statements = append(g.Statements, st)
	}
	return g, nil
}

func (r *reader) groupBatch(batch uint64) (*GroupBatch, error) {
	w, err := r.s.windowRow(r.snap, batch)
	if err != nil {
		return nil, err
	}
	b := &GroupBatch{Missed: w.Window.Missed}
	if b.Incarnation, err = r.s.start(w.Window.Start); err != nil {
		return nil, err
	}
	if gaps := w.Window.gaps(); len(gaps) > 0 {
		b.Gap = &gaps[0]
	}
	if b.Leaves, err = r.batchLeaves(w, batch); err != nil {
		return nil, err
	}
	b.Segments = ledger.SegmentsHead{Count: w.Segments, Root: merkle.EmptyRoot()}
	if len(w.SegmentsRoot) > 0 {
		copy(b.Segments.Root[:], w.SegmentsRoot)
	}
	b.Statements.Size = w.Statements
	if b.Statements.Root, err = merkle.RootAt(nodeRows{r.s, kindStateNode}, w.Statements); err != nil {
		return nil, err
	}
	b.Listed, err = r.listed(batch, b.Incarnation)
	if err == nil && uint64(len(b.Listed)) != w.Segments {
		err = fmt.Errorf("%w: %d segments are there, its header lists %d", ErrDamaged, len(b.Listed), w.Segments)
	}
	return b, err
}

// batchLeaves gives the leaves of a closed batch: those that were kept, or made
// again.
func (r *reader) batchLeaves(w *windowRow, batch uint64) ([]merkle.Hash, error) {
	if leaves := r.s.kept.leavesOf(batch, 1<<w.Depth); leaves != nil {
		return leaves, nil
	}
	leaves := make([]merkle.Hash, 1<<w.Depth)
	for slot := range leaves {
		var err error
		if leaves[slot], err = r.slotLeaf(uint64(slot), w, batch); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// listed gives what a batch's header lists, with the salts that it has there.
func (r *reader) listed(batch uint64, incarnation [16]byte) ([]ListedObject, error) {
	rows, err := r.s.listedSegments(r.snap, batch)
	if err != nil {
		return nil, err
	}
	out := make([]ListedObject, 0, len(rows))
	var salt saltBlock
	for i := range rows {
		k := &rows[i].key
		if i == 0 || k.Hour != rows[i-1].key.Hour {
			hour, err := r.cursor(share.Ledger).Hour(share.Hour(k.Hour))
			if err != nil {
				return nil, fmt.Errorf("ledger key: %w", err)
			}
			salt = hour.SaltBlock(ledger.SegmentLabel, ledger.NoStream, incarnation)
		}
		out = append(out, ListedObject{
			Segment: ledger.Segment{Compartment: k.Compartment, Hour: k.Hour, Part: k.Part, First: k.First, Next: rows[i].next, Sealed: rows[i].sealed},
			Salt:    encrypt(salt, ledger.SegmentBlock(k.First, k.Compartment, k.Part)),
		})
	}
	return out, nil
}

// statementRange gives the statements that the batches [first, next) recorded.
func (r *reader) statementRange(first, next uint64) (from, to uint64, err error) {
	if first > 0 {
		w, err := r.s.windowRow(r.snap, first-1)
		if err != nil {
			return 0, 0, err
		}
		from = w.Statements
	}
	w, err := r.s.windowRow(r.snap, next-1)
	if err != nil {
		return 0, 0, err
	}
	return from, w.Statements, nil
}

// statement gives a statement with its salt, held against its leaf.
func (r *reader) statement(n uint64) (st GroupStatement, err error) {
	x, err := r.s.statementRow(r.snap, n)
	if err != nil {
		return st, err
	}
	inc, err := r.s.start(x.Start)
	if err != nil {
		return st, err
	}
	st.Item = x.Item
	if st.Salt, err = r.s.statementSalt(n, &x, inc, r.cursor); err != nil {
		return st, err
	}
	if st.Leaf, err = getHash(r.snap, r.s.keys.node(kindStateNode, 0, n)); err != nil {
		return st, notFound(err, "leaf of statement %d", n)
	}
	if st.leaf() != st.Leaf {
		err = fmt.Errorf("%w: statement %d is not the one in the tree", ErrDamaged, n)
	}
	return st, err
}
