package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

const (
	// viewDay is the longest that a part of a range goes without a summary of its
	// own, in ms: each day of UTC has one.
	viewDay = 24 * 3600 * 1000
	// viewBefore is how long before what is shown a clock's step may be that
	// explains it, in ms.
	viewBefore = 15 * 60 * 1000
)

// ProofQuery says what to prove: that the readings of streams in a time are all
// there were, or else single readings.
type ProofQuery struct {
	Streams  []uint64 // nil: all of the bundle's
	From, To *int64   // Unix ms; nil: as far as is granted, and known
	Readings []string // STREAM/NUMBER: these readings alone, and no completeness
	Fields   []string // names of items; nil: all that was opened
}

// ErrNothing says that there is nothing to prove: no stream in that time, or nothing
// that the bundle opens.
var ErrNothing = errors.New("nothing to prove")

// Proven says in words what a proof shows of a stream.
type Proven struct {
	Slot     uint64
	Readings int
	From, To int64  // Unix ms
	First    uint64 // number of the first reading
	Ended    bool   // no more can come
	Cut      bool   // less than was asked for: it begins or ends with the grant, or with what is known
}

// ViewProof is a proof file made of a copy alone.
type ViewProof struct {
	File     *proof.File
	Report   *ViewReport
	Ranges   []Proven
	Readings int
	Routes   []string // by which it is anchored
	Anchored bool     // all batches are under a receipt
}

// Prove makes a proof file of what was opened, with the hashes that the envelopes
// hide in place of what was not. Everything in it was proven here first, and the
// file is verified before it is given out.
func (v *View) Prove(ctx context.Context, q ProofQuery) (*ViewProof, error) {
	p, err := v.newProver(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := p.walk(ctx); err != nil {
		return nil, err
	}
	if err := p.finish(ctx); err != nil {
		return nil, err
	}
	verdict := proof.Verify(p.out.File, proof.Options{Require: proof.LevelLogged})
	if verdict.Level < proof.LevelLogged {
		return nil, fmt.Errorf("the proof that was made does not hold, and is not given out: %s", verdict.Reason)
	}
	return p.out, nil
}

// viewProver puts one proof file together.
type viewProver struct {
	v       *View
	q       ProofQuery
	b       *proof.Builder
	out     *ViewProof
	update  *proof.File
	heads   []viewHead
	routes  []string
	last    uint64 // the newest batch that may be shown
	window  int64  // length of the ledger's windows, in ms
	single  map[readingAt]bool
	singles []*viewBatch          // of the single readings
	ranges  map[uint64]*viewRange // by slot

	sizes      map[uint64]int // heads in the file: position by size
	batches    map[uint64]*viewBatch
	covered    map[uint64]bool
	shown      map[uint64]bool     // statements
	installed  map[uint64][]uint64 // by slot, the statements about its installation
	used       []string            // routes
	newest     uint64              // size of the newest head that covers a batch
	unanchored bool
	bound      map[uint64][]*viewBatch // by slot: the batches that show readings of it one by one, ascending
	spans      []viewSpan
}

type readingAt struct{ slot, seq uint64 }

// viewSpan is when what explains a range may have happened.
type viewSpan struct {
	slot     uint64
	from, to int64
}

func (v *View) newProver(ctx context.Context, q ProofQuery) (*viewProver, error) {
	p := &viewProver{
		v: v, q: q, b: proof.NewBuilder(v.bundle.LogKey, v.bundle.Nonce), out: &ViewProof{},
		ranges: make(map[uint64]*viewRange), sizes: make(map[uint64]int), batches: make(map[uint64]*viewBatch),
		covered: make(map[uint64]bool), shown: make(map[uint64]bool), installed: make(map[uint64][]uint64), bound: make(map[uint64][]*viewBatch),
	}
	for _, text := range q.Readings {
		id, err := parseReading(text)
		if err != nil {
			return nil, err
		}
		if p.single == nil {
			p.single = make(map[readingAt]bool)
		}
		p.single[id] = false
	}
	// The update first: so that its heads are not beyond the checkpoint.
	var err error
	if p.update, err = v.update(ctx); err != nil {
		return nil, err
	}
	if err := v.Refresh(ctx); err != nil {
		return nil, err
	}
	if v.log.head.Size == 0 {
		return nil, fmt.Errorf("%w: the log has no batch yet", ErrNothing)
	}
	if p.heads, err = v.heads(ctx, p.update); err != nil {
		return nil, err
	}
	newest := uint64(0)
	for _, h := range p.heads {
		for _, r := range h.receipts {
			if newest = max(newest, h.size); !slices.Contains(p.routes, r.Route) {
				p.routes = append(p.routes, r.Route)
			}
		}
	}
	slices.Sort(p.routes)
	p.last = cmp.Or(newest, v.log.head.Size) - 1
	for _, n := range v.numbers() {
		switch s := v.stated[n].said; s.Kind {
		case ledger.KindGenesis:
			w, _ := s.Uint("window")
			p.window = int64(min(w, math.MaxInt64))
		case ledger.KindPlace, ledger.KindCalibrate, ledger.KindAttach:
			slot, _ := s.Uint("slot")
			p.installed[slot] = append(p.installed[slot], n)
		}
	}
	return p, nil
}

func parseReading(text string) (id readingAt, err error) {
	slot, seq, _ := strings.Cut(text, "/")
	var e1, e2 error
	id.slot, e1 = strconv.ParseUint(slot, 10, 63)
	id.seq, e2 = strconv.ParseUint(seq, 10, 63)
	if e1 != nil || e2 != nil {
		return id, fmt.Errorf("%.40q is no reading: want STREAM/NUMBER, such as 0/17", text)
	}
	return id, nil
}

// walk reads the source through.
func (p *viewProver) walk(ctx context.Context) error {
	q := Query{Streams: p.q.Streams, Live: true}
	if p.single != nil {
		q.Streams = nil
		for id := range p.single {
			q.Streams = append(q.Streams, id.slot)
		}
	}
	w := &viewWalk{v: p.v, q: q, report: &ViewReport{streams: map[uint64]bool{}}, to: math.MaxInt64}
	if p.q.From != nil {
		w.from = max(*p.q.From-viewBefore, 0) // what the batch before it says is shown
	}
	if p.q.To != nil {
		w.to = *p.q.To
	}
	if w.from >= w.to {
		return errors.New("the time to prove ends before it begins")
	}
	p.out.Report = w.report
	w.group = func(_ *viewGroup, windows []viewWindow) error {
		for i := range windows {
			win := &windows[i]
			if win.batch > p.last {
				continue
			}
			err := error(nil)
			if p.single != nil {
				err = p.readings(win)
			} else {
				err = p.rangeOf(win.sum.Slot).add(p, win)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return w.walk(ctx)
}

// readings adds those readings of a window that were asked for.
func (p *viewProver) readings(w *viewWindow) error {
	for i := range w.readings {
		r := &w.readings[i]
		if _, ok := p.single[readingAt{w.sum.Slot, r.r.Sequence}]; !ok {
			continue
		}
		p.single[readingAt{w.sum.Slot, r.r.Sequence}] = true
		n, err := p.numbered(r)
		if err != nil {
			return err
		}
		b := p.batch(w)
		p.singles = append(p.singles, b)
		summary := p.b.Summary(proof.Summary{Batch: b.at, Tag: w.tag, Item: w.item, Salt: w.salt, Path: w.path()})
		p.b.Reading(proof.Reading{Summary: summary, Seq: n.Seq, Width: n.Width, Fields: n.Fields, Hidden: n.Hidden, Run: w.runPath(i)})
		p.out.Readings++
		p.bound[w.sum.Slot] = append(p.bound[w.sum.Slot], b)
	}
	return nil
}

// numbered shows a reading as far as it was opened and is asked for.
func (p *viewProver) numbered(r *viewReading) (n proof.Numbered, err error) {
	shown := r.shown
	if len(p.q.Fields) > 0 {
		shown = nil
		for _, index := range r.shown {
			name := reading.ItemName(index)
			if index >= reading.IndexData {
				name = r.r.Measurements[index-reading.IndexData].Name
			}
			if slices.Contains(p.q.Fields, name) {
				shown = append(shown, index)
			}
		}
		if len(shown) == 0 {
			return n, fmt.Errorf("reading %d has none of the fields %s, or they were not opened", r.r.Sequence, strings.Join(p.q.Fields, ", "))
		}
	}
	n = proof.Numbered{Seq: r.r.Sequence, Width: r.record.width, Hidden: r.record.cover(shown), Fields: make([]proof.Field, 0, len(shown))}
	for _, index := range shown {
		n.Fields = append(n.Fields, proof.Field{Index: index, Item: r.item(index), Salt: r.salt(index)})
	}
	return n, nil
}

// finish adds ranges, statements and extensions.
func (p *viewProver) finish(ctx context.Context) error {
	var first []uint64
	for _, b := range p.singles {
		first = append(first, b.index)
	}
	for _, r := range p.ranges {
		first = append(first, r.ends()...)
	}
	if err := p.firstHeads(ctx, first); err != nil {
		return err
	}
	for _, b := range p.singles {
		if err := p.anchored(ctx, b, false); err != nil {
			return err
		}
	}
	for _, slot := range sortedKeys(p.ranges) {
		if err := p.ranges[slot].finish(ctx, p); err != nil {
			return fmt.Errorf("stream %d: %w", slot, err)
		}
	}
	for id, found := range p.single {
		if !found {
			return fmt.Errorf("%w: reading %d/%d was not opened: `cairn open` says what is there, and what is not granted", ErrNothing, id.slot, id.seq)
		}
	}
	if len(p.out.Ranges) == 0 && p.out.Readings == 0 {
		return fmt.Errorf("%w: nothing that this bundle opens is in that time, or it is not in the log yet", ErrNothing)
	}
	if err := p.followed(ctx); err != nil {
		return err
	}
	if err := p.statements(ctx); err != nil {
		return err
	}
	p.cosigned()
	if err := p.extend(ctx); err != nil {
		return err
	}
	p.out.File, p.out.Routes, p.out.Anchored = p.b.File(), p.used, !p.unanchored
	return nil
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// statements adds what the ledger itself says about what is shown: the genesis,
// the routes that anchored it, the binding of each stream with its place and what was
// recorded of it, and what tells of time
// in which the gateway was not there.
func (p *viewProver) statements(ctx context.Context) error {
	var last *viewBatch
	for _, b := range p.batches {
		if last == nil || b.index > last.index {
			last = b
		}
	}
	for _, n := range p.v.numbers() {
		s := p.v.stated[n].said
		by := last
		switch s.Kind {
		case ledger.KindGenesis:
		case ledger.KindLogKey:
			if p.shown[n] {
				continue
			}
		case ledger.KindRoute, ledger.KindRouteBitcoin, ledger.KindRouteOTS:
			if name, _ := s.Text("route"); !slices.Contains(p.used, name) {
				continue
			}
		case ledger.KindBind, ledger.KindPlace, ledger.KindCalibrate, ledger.KindAttach:
			slot, _ := s.Uint("slot")
			if by = p.binds(slot, n); by == nil {
				continue
			}
		default:
			if !p.explains(&s) {
				continue
			}
		}
		if err := p.statement(ctx, by, n); err != nil {
			return fmt.Errorf("statement %d: %w", n, err)
		}
	}
	return nil
}

// binds is the first batch of what is shown of a stream that has a statement about its
// binding.
func (p *viewProver) binds(slot, number uint64) *viewBatch {
	for _, b := range p.bound[slot] {
		if number < b.tree.Size {
			return b
		}
	}
	r := p.ranges[slot]
	if r == nil || !r.proven {
		return nil
	}
	for _, w := range r.chosen {
		if b := p.batches[w.batch]; b != nil && number < b.tree.Size {
			return b
		}
	}
	return nil
}

// explains says whether a statement tells something of a range: of its stream, or
// of a time of it in which the gateway was not there.
func (p *viewProver) explains(s *ledger.Statement) bool {
	return slices.ContainsFunc(p.spans, func(r viewSpan) bool {
		if from, to, ok := declared(s); ok {
			return from < r.to && to >= r.from
		}
		slot, _ := s.Uint("slot")
		return (s.Kind == ledger.KindUnbind || s.Kind == ledger.KindRotate) && slot == r.slot
	})
}

// declared is the time that a statement declares to be without the gateway, or of
// which its clock knew nothing.
func declared(s *ledger.Statement) (from, to int64, ok bool) {
	a, b := "from", "to"
	switch s.Kind {
	case ledger.KindGap:
	case ledger.KindClock:
		a, b = "was", "now"
	default:
		return 0, 0, false
	}
	f, ok1 := s.Uint(a)
	t, ok2 := s.Uint(b)
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	return min(int64(f), int64(t)), max(int64(f), int64(t)), true
}
