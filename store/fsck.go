package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// FsckOptions say what else to compare with.
type FsckOptions struct {
	// Progress is told how many of about how many readings and batches are done.
	Progress func(done, total uint64)
	Heads    []AnchoredHead // what chains or witnesses hold
}

// AnchoredHead is a head of the log that somebody else knows.
type AnchoredHead struct {
	Size  uint64
	Root  merkle.Hash
	Where string // for the report
}

// FsckReport is what Fsck read, and what it found wrong. No finding means that
// every hash followed from the readings.
type FsckReport struct {
	Readings   uint64   `json:"readings"`
	Batches    uint64   `json:"batches"`
	Statements uint64   `json:"statements"`
	Commits    uint64   `json:"commits"`
	Heads      int      `json:"heads"`
	Shredded   []string `json:"shredded,omitempty"` // what was, and by which statement
	Left       uint64   `json:"shredded_in_part,omitempty"`
	Gone       uint64   `json:"shredded_as_a_whole,omitempty"` // readings
	Dropped    uint64   `json:"dropped,omitempty"`             // readings
	Findings   []string `json:"findings,omitempty"`
	More       int      `json:"more_findings,omitempty"` // beyond those listed
}

// OK says whether nothing was found.
func (r *FsckReport) OK() bool { return len(r.Findings) == 0 }

const maxFindings = 100

// Fsck reads every value again, computes every hash again from the readings up,
// and compares with what is stored, signed and anchored. An error means that it
// could not go on; what is wrong with the data stands in the report.
//
// It reads one state of the rows, but keys as they are at the moment: where a shredding
// or a drop takes some away meanwhile, it begins anew when that is through.
func (s *Store) Fsck(ctx context.Context, o FsckOptions) (FsckReport, error) {
	for {
		rep, err := s.fsck(ctx, o)
		if !errors.Is(err, errTaken) {
			return rep, err
		}
	}
}

// errTaken says that keys or rows were taken away while they were checked.
var errTaken = errors.New("something is being shredded or dropped")

// whole gives a reader, between shreddings.
func (s *Store) whole(ctx context.Context) (r *reader, taken uint64, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !s.shredding.TryLock() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("fsck: wait for a shredding's end: %w", ctx.Err())
		}
	}
	defer s.shredding.Unlock()
	return s.reader(), s.taken.Load(), nil
}

func (s *Store) fsck(ctx context.Context, o FsckOptions) (_ FsckReport, err error) {
	r, taken, err := s.whole(ctx)
	if err != nil {
		return FsckReport{}, err
	}
	f := &fsck{reader: r, ctx: ctx, opt: o, taken: taken, open: map[uint64]uint64{}}
	defer func() {
		f.close()
		if s.taken.Load() != taken { // whatever it found may come of that
			err = errTaken
		}
	}()
	f.made = new(streamGroups) // what was made before may since be damaged
	for i := range f.v.streams {
		f.total += f.v.size / uint64(len(f.v.streams))
		if n, err := f.closedNext(uint64(i)); err == nil {
			f.total += n
		}
	}
	for _, step := range []func() error{f.streams, f.batches, f.statements, f.commitRecords, f.groups, f.objects, f.shreddings, f.dropCheck, f.keptHeads, f.journals, f.heads} {
		err := step()
		if errors.Is(err, ErrDamaged) || pebble.IsCorruptionError(err) {
			f.find("it cannot be read further: %s", firstLine(err.Error()))
			continue
		}
		if err != nil {
			return f.rep, fmt.Errorf("fsck: %w", err)
		}
	}
	return f.rep, nil
}

// goOn says whether it is of use to go on.
func (f *fsck) goOn() error {
	if f.s.taken.Load() != f.taken {
		return errTaken
	}
	return f.ctx.Err()
}

type fsck struct {
	*reader
	ctx         context.Context
	opt         FsckOptions
	taken       uint64 // of the store, when it began
	rep         FsckReport
	done, total uint64
	hasher      reading.Hasher
	commits     uint64            // where the next window's commits begin
	open        map[uint64]uint64 // next sequence number by slot, in the open window
}

func (f *fsck) find(format string, a ...any) {
	if len(f.rep.Findings) == maxFindings {
		f.rep.More++
		return
	}
	f.rep.Findings = append(f.rep.Findings, fmt.Sprintf(format, a...))
}

func (f *fsck) step(n uint64) error {
	f.done += n
	if f.opt.Progress != nil {
		f.opt.Progress(f.done, max(f.total, f.done))
	}
	return f.goOn()
}

// streams computes every closed run of every stream again.
func (f *fsck) streams() error {
	for i := range f.v.streams {
		in := &f.v.streams[i]
		st := streamCheck{f: f, in: in, stats: runStats{bare: in.classes.scheme != schemeSite}}
		for at := in.opened; ; {
			run, err := f.seekRun(in.slot, at)
			if err != nil {
				f.find("stream %d: %v", in.slot, err)
				break
			}
			if run == nil || run.batch >= f.v.size {
				break
			}
			if err := st.run(run); err != nil {
				f.find("stream %d, batch %d: %v", in.slot, run.batch, err)
				break
			}
			at = run.batch + 1
			if err := f.step(run.next - run.first); err != nil {
				return err
			}
		}
		if err := f.goOn(); err != nil {
			return err
		}
	}
	return nil
}

// streamCheck grows one stream's trees again.
type streamCheck struct {
	f     *fsck
	in    *streamInfo
	tree  merkle.Tree
	stats runStats
	last  int64
}

// run computes one run again. Its error is a finding after which the stream
// cannot be followed further.
func (c *streamCheck) run(row *runRow) error {
	f := c.f
	if row.first != c.tree.Size() || row.next <= row.first {
		return fmt.Errorf("its run goes from %d to %d, after %d readings", row.first, row.next, c.tree.Size())
	}
	w, err := f.s.windowRow(f.snap, row.batch)
	if err != nil {
		return err
	}
	var run merkle.Tree
	var nodes []nodePut
	c.stats.begin()
	for at := row.first; at < row.next; {
		leaves, all, err := c.leaves(at, min(at+4096, row.next), &w.Window, row.batch)
		if err != nil {
			return err
		}
		for _, leaf := range leaves {
			c.tree.AppendCollect(leaf, c.in.classes.nodeLevel(), func(level int, n uint64, h merkle.Hash) {
				nodes = append(nodes, nodePut{f.s.keys.streamNode(c.in.slot, level, n), h})
			})
			run.AppendCollect(leaf, nodeLevel, func(level int, n uint64, h merkle.Hash) {
				nodes = append(nodes, nodePut{f.s.keys.runNode(c.in.slot, row.batch, level, n), h})
			})
		}
		for i := range all {
			c.stats.add(&all[i].Reading)
		}
		at += uint64(len(leaves))
		f.rep.Readings += uint64(len(leaves))
	}
	for _, n := range nodes {
		if h, err := getHash(f.snap, n.key); err != nil || h != n.hash {
			f.find("stream %d, batch %d: a stored tree node is not what its readings give", c.in.slot, row.batch)
			break
		}
	}
	if row.sealed {
		return nil // its batch's tree is held against the header
	}
	return c.summary(row, &w.Window, run.Root())
}

// leaves gives the leaves of readings of a batch, and the readings but for those that were
// shredded as a whole.
func (c *streamCheck) leaves(from, to uint64, w *window, batch uint64) (leaves []merkle.Hash, all []stored, err error) {
	f := c.f
	if leaves, err = f.goneLeaves(c.in, from, to); err != nil {
		return nil, nil, err
	}
	if n := uint64(len(leaves)); n > 0 {
		if f.notDropped(w.hour(), batch) != nil {
			f.rep.Dropped += n
		} else {
			f.rep.Gone += n
		}
		_, err = f.goneCarry(c.in, &c.stats, from+n-1) // for the first that is left
		return leaves, nil, err
	}
	if all, err = f.stretch(c.in, from, to); err != nil {
		return nil, nil, err
	}
	for i := range all {
		leaf, err := c.leaf(&all[i], w)
		if err != nil {
			return nil, nil, err
		}
		if all[i].left != nil {
			f.rep.Left++
		}
		leaves = append(leaves, leaf)
	}
	return leaves, all, nil
}

func (c *streamCheck) leaf(st *stored, w *window) (merkle.Hash, error) {
	if st.Received < w.From || st.Received >= w.To {
		c.f.find("stream %d: reading %d was received outside its batch's window", c.in.slot, st.Sequence)
	}
	if st.Received < c.last {
		c.f.find("stream %d: reading %d was received before the one in front of it", c.in.slot, st.Sequence)
	}
	c.last = st.Received
	return c.f.leaf(c.in, &c.f.hasher, st)
}

func (c *streamCheck) summary(row *runRow, w *window, root merkle.Hash) error {
	f := c.f
	if leaf, gone, err := f.goneSummary(c.in, w, row.batch); gone || err != nil {
		return c.goneSummary(row, leaf, err)
	}
	inc, err := f.s.start(w.Start)
	if err != nil {
		return err
	}
	k, err := f.hourKeys(c.in, w.hour(), inc)
	if err != nil {
		return err
	}
	sum := ledger.Summary{
		Slot: c.in.slot, From: w.From, To: w.To, First: row.first, Next: row.next,
		Closed: c.in.closed && row.batch == c.in.closedBy, Run: root, Stream: c.tree.Root(),
	}
	leaf, hidden := summaryLeaf(&sum, c.in.tag, c.stats.rest(w.gaps()), k, row.batch)
	switch {
	case sum.Stream != row.stream:
		f.find("stream %d, batch %d: the readings give another stream root", c.in.slot, row.batch)
	case row.hasHidden && hidden != row.hidden:
		f.find("stream %d, batch %d: the readings give another hidden digest", c.in.slot, row.batch)
	case leaf != row.leaf:
		f.find("stream %d, batch %d: the readings give another summary", c.in.slot, row.batch)
	}
	return nil
}

// goneSummary holds what was kept of a run whose envelope was shredded against its
// row. That it was so all along, the batch's root tells.
func (c *streamCheck) goneSummary(row *runRow, leaf merkle.Hash, err error) error {
	if err != nil {
		return err
	}
	f := c.f
	if c.tree.Root() != row.stream {
		f.find("stream %d, batch %d: what was kept of shredded readings gives another stream root", c.in.slot, row.batch)
	}
	if leaf != row.leaf {
		f.find("stream %d, batch %d: another summary was kept of it", c.in.slot, row.batch)
	}
	return nil
}

// batches computes every batch tree, header and log entry again.
func (f *fsck) batches() error {
	var log merkle.Tree
	to := int64(-1)
	for i := range f.v.size {
		if err := f.batch(i, &log, &to); err != nil {
			f.find("batch %d: %v", i, err)
		}
		f.rep.Batches++
		if err := f.step(1); err != nil {
			return err
		}
	}
	if f.v.checkpoint == nil {
		return nil
	}
	cp, err := f.s.openCheckpoint(f.v.keys, f.v.checkpoint)
	if err != nil {
		f.find("the newest checkpoint: %v", err)
		return nil
	}
	if cp.Size != f.v.signed {
		f.find("the newest checkpoint is of %d batches, its row says %d", cp.Size, f.v.signed)
	}
	f.compare(AnchoredHead{Size: cp.Size, Root: cp.Root, Where: "the newest checkpoint"})
	return nil
}

func (f *fsck) batch(i uint64, log *merkle.Tree, to *int64) error {
	ev, err := f.reader.batch(i)
	if err != nil {
		return err
	}
	h, err := ledger.ParseHeader(ev.Header)
	if err != nil {
		return err
	}
	w, err := f.s.windowRow(f.snap, i)
	if err != nil {
		return err
	}
	switch {
	case h.Ledger != f.s.keys.id || h.Index != i:
		f.find("batch %d: its header is of batch %d of ledger %s", i, h.Index, h.Ledger)
	case h.From != w.Window.From || h.To != w.Window.To:
		f.find("batch %d: header and row name other windows", i)
	case *to >= 0 && h.From != *to:
		if !f.declared(h.From, i, w.Statements) {
			f.find("batch %d: its window does not begin where the one before ended, and no statement says why", i)
		}
	}
	*to = h.To
	leaves := make([]merkle.Hash, 1<<w.Depth)
	for slot := range leaves {
		if leaves[slot], err = f.slotLeaf(uint64(slot), w, i); err != nil {
			return err
		}
	}
	nodes := groupNodes(leaves)
	if err := f.besideHeader(&h, w, nodes); err != nil {
		return err
	}
	if merkle.PerfectRoot(nodes) != h.Root {
		f.find("batch %d: the summaries give another batch root", i)
	}
	log.AppendCollect(merkle.LeafHash(ev.Header), 0, func(level int, n uint64, x merkle.Hash) {
		if got, err := getHash(f.snap, f.s.keys.node(kindLogNode, level, n)); err != nil || got != x {
			f.find("batch %d: log node %d of level %d is not what the headers give", i, n, level)
		}
	})
	return nil
}

// declared says whether a clock statement explains that the window of a batch
// begins at from: one that came no earlier than during the window before.
func (f *fsck) declared(from int64, batch, statements uint64) bool {
	first := uint64(0)
	if batch >= 2 {
		w, err := f.s.windowRow(f.snap, batch-2)
		if err != nil {
			return false
		}
		first = w.Statements
	}
	for n := first; n < statements; n++ {
		st, err := f.statement(n)
		if err == nil && st.Kind == ledger.KindClock && st.Body["now"].(int64) >= from && st.Body["now"].(int64) < from+f.s.window {
			return true
		}
	}
	return false
}

func (f *fsck) statement(n uint64) (ledger.Statement, error) {
	r, err := f.s.statementRow(f.snap, n)
	if err != nil {
		return ledger.Statement{}, err
	}
	return ledger.ParseStatement(r.Item)
}

func (f *fsck) statements() error {
	var tree merkle.Tree
	for n := range f.v.state.Statements {
		r, err := f.s.statementRow(f.snap, n)
		if err != nil {
			f.find("%v", err)
			return nil
		}
		st, err := ledger.ParseStatement(r.Item)
		if err != nil {
			f.find("statement %d: %v", n, err)
		}
		if st.Kind == ledger.KindLogKey && !f.v.keys.named(n) {
			f.find("statement %d names a log key that the ledger does not go by", n)
		}
		inc, err := f.s.start(r.Start)
		if err != nil {
			f.find("statement %d: %v", n, err)
			return nil
		}
		leaf, err := f.s.statementLeaf(n, &r, inc, f.cursor)
		if err != nil {
			f.find("%v", err)
			return nil
		}
		tree.AppendCollect(leaf, 0, func(level int, i uint64, h merkle.Hash) {
			if got, err := getHash(f.snap, f.s.keys.node(kindStateNode, level, i)); err != nil || got != h {
				f.find("statement %d: node %d of level %d is not what the statements give", n, i, level)
			}
		})
		f.rep.Statements++
	}
	return nil
}

// commitRecords checks what is not sealed yet: each record's roots follow from
// its readings, its head from its roots, and its signature holds.
func (f *fsck) commitRecords() error {
	var prev []byte
	first, err := f.s.windowOf(f.snap, &f.v.state, f.v.state.SealFrom)
	if err != nil {
		f.find("%v", err)
		return nil
	}
	next, meanwhile := first.FirstCommit, f.sealedMeanwhile()
	k := f.s.keys.key(kindCommit)
	err = each(f.snap, k, f.s.keys.u64(kindCommit, f.v.nextCommit), func(key, val []byte) (bool, error) {
		number := binary.BigEndian.Uint64(suffix(key))
		if number != next && !meanwhile {
			f.find("commit %d follows, %d was expected", number, next)
		}
		next = number + 1
		rec, err := parseRecord(number, val)
		if err == nil {
			err = f.commitRecord(rec, prev)
		}
		if err != nil {
			f.find("commit %d: %v", number, err)
			prev = nil
			return true, f.ctx.Err()
		}
		prev = append(prev[:0], rec.head...)
		f.rep.Commits++
		return true, f.ctx.Err()
	})
	if err == nil && next != f.v.nextCommit && !meanwhile {
		f.find("the commits end before %d, want %d", next, f.v.nextCommit)
	}
	return err
}

// sealedMeanwhile says whether the snapshot is of a later state than the view.
func (f *fsck) sealedMeanwhile() bool {
	st, err := f.s.readState(f.snap)
	return err == nil && st.SealFrom != f.v.state.SealFrom
}

func (f *fsck) commitRecord(rec *record, prev []byte) error {
	head, err := ledger.VerifyIntake(f.v.keys.ofCommit(rec.number), rec.head, rec.signature)
	if err != nil {
		return err
	}
	if head.Ledger != f.s.keys.id || head.Number != rec.number || head.Count != uint64(len(rec.order)) {
		return fmt.Errorf("the signed head is of another commit")
	}
	if prev != nil && head.Previous != sha256.Sum256(prev) {
		return fmt.Errorf("the signed head does not follow the one before")
	}
	w, err := f.s.windowOf(f.snap, &f.v.state, rec.batch)
	if err != nil {
		return err
	}
	site, err := f.siteKey(w.hour())
	if err != nil {
		return err
	}
	all, rest, err := f.s.openRecordWith(f.reader, rec, site, w.hour())
	if err != nil {
		return err
	}
	// After a shredding those of before the last frontiers, which nobody reads any
	// more, may be under a local key that is gone.
	if _, err := f.s.openDevices(rec, rest); err != nil && (rec.number >= f.v.state.SnapCommit || len(f.s.Shredded()) == 0) {
		return err
	}
	if err := f.openSequence(rec); err != nil {
		return err
	}
	leaves := make([]merkle.Hash, 0, len(rec.order))
	next := make([]int, len(all))
	for _, i := range rec.order {
		st := &all[i][next[i]]
		in := &f.v.streams[rec.streams[i].slot]
		leaf, err := f.leaf(in, &f.hasher, st)
		if err != nil {
			return err
		}
		if reading.EntryLeaf(in.tag, st.Sequence, rec.streams[i].root(next[i])) != leaf {
			return fmt.Errorf("reading %d of stream %d gives another record root", st.Sequence, in.slot)
		}
		leaves = append(leaves, leaf)
		next[i]++
	}
	if merkle.RootInPlace(leaves) != head.Root {
		return fmt.Errorf("the readings give another intake root than the signed one")
	}
	return nil
}

func (f *fsck) heads() error {
	for _, h := range f.opt.Heads {
		f.compare(h)
	}
	return nil
}

func (f *fsck) compare(h AnchoredHead) {
	f.rep.Heads++
	if h.Size > f.v.size {
		f.find("%s holds a head of %d batches, this log has %d: it was rolled back", h.Where, h.Size, f.v.size)
		return
	}
	root, err := merkle.RootAt(f.s.LogNodes(), h.Size)
	if err != nil {
		f.find("root of %d batches: %v", h.Size, err)
		return
	}
	if root != h.Root {
		f.find("%s holds another root for %d batches", h.Where, h.Size)
	}
}
