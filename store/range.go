package store

import (
	"context"
	"fmt"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// Shown is one reading with all of its record tree, as in Evidence, also where
// compartments of it were shredded.
type Shown struct {
	Reading reading.Reading
	Items   [][]byte      // 0…N
	Salts   [][16]byte    // of the items
	Leaves  []merkle.Hash // of the record tree, decoys included
	shredded
}

// StreamPeaks gives the roots of the complete subtrees that the first n readings
// of a stream fall into, highest first: what lies left of reading n. n goes up
// to the number of readings in closed windows; ErrNotBatched beyond.
func (s *Store) StreamPeaks(slot, n uint64) ([]merkle.Hash, error) {
	r := s.reader()
	defer r.close()
	in, err := r.closedTo(slot, n)
	if err != nil {
		return nil, fmt.Errorf("first %d readings of stream %d: %w", n, slot, err)
	}
	return merkle.PeaksAt(&treeNodes{r: r, in: in}, n)
}

// ShowRange shows a stream's readings [from, to), all of closed windows, to fn,
// ascending. Shown and what it refers to are used again for the next reading: fn
// copies what it keeps. The memory needed does not grow with the range. An error
// of fn ends it and is returned as it is. At the end the readings are held
// against the stream's tree: what fn was shown counts only where no error comes
// back. ErrNotBatched: not all of them are in closed windows.
func (s *Store) ShowRange(ctx context.Context, slot, from, to uint64, fn func(*Shown) error) error {
	r := s.reader()
	defer r.close()
	in, err := r.closedTo(slot, to)
	if err == nil && from > to {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("readings %d to %d of stream %d: %w", from, to, slot, err)
	}
	if from == to {
		return nil
	}
	tree, err := treeAt(&treeNodes{r: r, in: in}, from)
	if err != nil {
		return err
	}
	sh := shower{r: r, in: in, tree: tree, fn: fn}
	for at := from; at < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		all, err := r.stretch(in, at, to)
		if err != nil {
			return err
		}
		for i := range all {
			if err := sh.show(&all[i]); err != nil {
				return err
			}
		}
		at += uint64(len(all))
	}
	return sh.check()
}

// closedTo gives a stream that has n readings in closed windows.
func (r *reader) closedTo(slot, n uint64) (*streamInfo, error) {
	in, err := r.stream(slot)
	if err != nil {
		return nil, err
	}
	have, err := r.closedNext(slot)
	if err == nil && n > have {
		_, err = r.closedRun(in, n-1) // says which it is
	}
	return in, err
}

// shower opens readings one by one and grows their stream's tree.
type shower struct {
	r    *reader
	in   *streamInfo
	tree merkle.Tree
	fn   func(*Shown) error

	keys        *hourKeys // of the last reading
	incarnation [16]byte
	hasher      reading.Hasher
	leaves      [reading.MaxLeaves]merkle.Hash // used up for the root
	shown       Shown
}

func (s *shower) show(st *stored) error {
	if st.left != nil {
		return s.showLeft(st)
	}
	s.shown.shredded = shredded{}
	if err := s.r.complete(st); err != nil {
		return err
	}
	k, err := s.hourKeys(st)
	if err != nil {
		return err
	}
	x := &s.shown
	x.Reading = st.Reading
	salts := k.of(st)
	x.Leaves = s.hasher.Leaves(&st.Reading, salts)
	items := s.hasher.Items()
	x.Items, x.Salts = x.Items[:0], x.Salts[:0]
	for i := range items.Len() {
		x.Items = append(x.Items, items.At(i))
		x.Salts = append(x.Salts, salts.Salt(st.Sequence, i, items.Len()))
	}
	root := merkle.PerfectRoot(s.leaves[:copy(s.leaves[:], x.Leaves)])
	s.tree.Append(reading.EntryLeaf(s.in.tag, st.Sequence, root))
	return s.fn(x)
}

func (s *shower) hourKeys(st *stored) (*hourKeys, error) {
	hour, err := share.HourOf(st.Received)
	if err != nil {
		return nil, err
	}
	if s.keys == nil || s.keys.hour != hour || s.incarnation != st.incarnation {
		s.keys, err = s.r.hourKeys(s.in, hour, st.incarnation)
		s.incarnation = st.incarnation
	}
	return s.keys, err
}

// check holds the tree that grew against the root on record: where a run ends
// the one that its summary names.
func (s *shower) check() error {
	n := s.tree.Size()
	run, err := s.r.runOf(s.in, n-1)
	if err != nil {
		return err
	}
	var want merkle.Hash
	if run != nil && run.next == n && !run.sealed {
		want = run.stream
	} else if run != nil && run.next == n {
		return s.checkSummary(run)
	} else if want, err = merkle.RootAt(&treeNodes{r: s.r, in: s.in}, n); err != nil {
		return err
	}
	if s.tree.Root() != want {
		return fmt.Errorf("%w: the readings of stream %d up to %d give another root than the one on record", ErrDamaged, s.in.slot, n)
	}
	return nil
}

// checkSummary holds the tree against the summary of the run that ends with it, and
// that against its batch's header: what was made again from the same readings
// would prove nothing.
func (s *shower) checkSummary(run *runRow) error {
	made := *run
	if err := s.r.fill(s.in, &made); err != nil {
		return err
	}
	if made.stream != s.tree.Root() {
		return fmt.Errorf("%w: the readings of stream %d up to %d give two roots", ErrDamaged, s.in.slot, run.next)
	}
	w, err := s.r.window(run.batch)
	if err != nil {
		return err
	}
	_, err = s.r.slotPath(s.in.slot, w, run.batch, made.leaf)
	return err
}
