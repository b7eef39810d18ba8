package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
)

// maxProven is how many readings one file may show.
const maxProven = 10_000

// proveRequest says which readings to prove and what to show of them. Either
// Readings is set, or Devices and no more than one way of naming a time. With
// Complete there may be several devices, compartments, or all.
type proveRequest struct {
	Devices  []string `json:"devices,omitempty"`  // number, ID or name
	At       *int64   `json:"at,omitempty"`       // Unix ms: the newest reading received by then
	Measured *int64   `json:"measured,omitempty"` // Unix ms: of what came late, the newest measured by then
	From     *int64   `json:"from,omitempty"`     // Unix ms: all received in [From, To)
	To       *int64   `json:"to,omitempty"`
	Readings []string `json:"readings,omitempty"` // STREAM/SEQUENCE
	Fields   []string `json:"fields,omitempty"`   // names; none: the whole reading
	Frames   bool     `json:"frames,omitempty"`   // and give the secure frames of those readings, apart

	Complete     bool     `json:"complete,omitempty"` // and that there are no others
	Compartments []string `json:"compartments,omitempty"`
	All          bool     `json:"all,omitempty"` // devices

	Alerts []uint64 `json:"alerts,omitempty"` // numbers; beside the readings, if any

	most uint64 // readings of all ranges; 0: no limit but the file's
}

// reads reports whether there are readings to prove.
func (q *proveRequest) reads() bool {
	return q.Complete || len(q.Readings) > 0 || len(q.Devices) > 0
}

// How far a proof's readings are anchored, all of them.
const (
	stateLogged  = "logged"  // under a signed checkpoint
	statePending = "pending" // in a block that is not final
	stateFinal   = "final"   // in a final block
)

type proveAnswer struct {
	File     []byte        `json:"file"`
	State    string        `json:"state"`
	Routes   int           `json:"routes"` // that are configured, so whether waiting has a purpose
	Readings []provenShort `json:"readings,omitempty"`
	Ranges   []provenRange `json:"ranges,omitempty"`
	Passed   []passedOver  `json:"passedOver,omitempty"`
	Tail     bool          `json:"tail,omitempty"` // of a time that was asked for, not all is known yet
	Frames   []provenFrame `json:"frames,omitempty"`
	Alerts   []alertRow    `json:"alerts,omitempty"`
}

// provenFrame is the secure frame that a reading was made of.
type provenFrame struct {
	ID    string `json:"id"` // STREAM/SEQUENCE
	Frame []byte `json:"frame"`
}

// provenShort names a reading in words.
type provenShort struct {
	ID       string   `json:"id"` // STREAM/SEQUENCE
	Device   string   `json:"device"`
	Received string   `json:"received"`
	Values   []string `json:"values"`
	Shown    []string `json:"shown"`
	Shredded []string `json:"shredded,omitempty"` // compartments whose part of it is gone
}

type readingID struct{ slot, seq uint64 }

func (id readingID) String() string { return fmt.Sprintf("%d/%d", id.slot, id.seq) }

func (l *openLedger) prove(ctx context.Context, q proveRequest, progress func(string)) (proveAnswer, error) {
	routes, err := l.routesOf()
	if err != nil {
		return proveAnswer{}, err
	}
	p := &prover{
		l: l, routes: routes, fields: q.Fields, frames: q.Frames, state: stateFinal, batches: map[uint64]*provenBatch{},
		heads: map[uint64]int{}, streamBatches: map[uint64][]*provenBatch{},
		b:      proof.NewBuilder([32]byte(l.store.FirstLogKey()), l.keyring.Nonce()),
		answer: proveAnswer{Routes: len(l.cfg.Anchors)},
	}
	switch {
	case q.Complete:
		err = p.complete(ctx, q, progress)
	case q.reads():
		err = p.readings(ctx, q)
	}
	if err == nil {
		err = p.alerts(q.Alerts)
	}
	if err != nil {
		return proveAnswer{}, err
	}
	if err := p.followable(); err != nil {
		return proveAnswer{}, err
	}
	if err := p.statements(); err != nil {
		return proveAnswer{}, err
	}
	if err := p.cosigned(); err != nil {
		return proveAnswer{}, err
	}
	if err := p.extend(); err != nil {
		return proveAnswer{}, err
	}
	if p.answer.File, err = p.b.File().Encode(); err != nil {
		return proveAnswer{}, fmt.Errorf("write proof: %w", err)
	}
	p.answer.State = p.state
	return p.answer, nil
}

// readings adds the readings that a request names, one by one.
func (p *prover) readings(ctx context.Context, q proveRequest) error {
	ids, err := p.chooseReadings(ctx, q)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.reading(id); err != nil {
			return fmt.Errorf("prove reading %v: %w", id, p.l.whyGone(ctx, id, err))
		}
	}
	if p.frames && len(p.answer.Frames) == 0 {
		return errors.New("none of these readings came as a secure frame: leave --frames out")
	}
	return nil
}

// chooseReadings finds the readings that a request names, in order, each once.
func (p *prover) chooseReadings(ctx context.Context, q proveRequest) ([]readingID, error) {
	if len(q.Readings) > 0 {
		return parseIDs(q.Readings)
	}
	if len(q.Devices) != 1 {
		return nil, errors.New("name one device; several go with --complete")
	}
	d, err := p.l.findDevice(q.Devices[0], true)
	if err != nil {
		return nil, err
	}
	if q.From != nil || q.To != nil {
		return p.readingsBetween(ctx, d, deref(q.From, 0), deref(q.To, math.MaxInt64))
	}
	if q.Measured != nil {
		id, err := p.lateBefore(ctx, d, *q.Measured)
		return []readingID{id}, err
	}
	id, err := p.newestBefore(ctx, d, deref(q.At, time.Now().UnixMilli()))
	return []readingID{id}, err
}

func deref[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

func parseIDs(texts []string) ([]readingID, error) {
	var ids []readingID
	for _, t := range texts {
		slot, seq, _ := strings.Cut(t, "/")
		var id readingID
		var e1, e2 error
		id.slot, e1 = strconv.ParseUint(slot, 10, 63)
		id.seq, e2 = strconv.ParseUint(seq, 10, 63)
		if e1 != nil || e2 != nil {
			return nil, fmt.Errorf("%.40q is no reading: want STREAM/SEQUENCE, such as 0/17", t)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// readingsBetween finds all readings received in a time, and notes those that were
// shredded.
func (p *prover) readingsBetween(ctx context.Context, d ledger.Binding, from, to int64) (ids []readingID, err error) {
	if p.answer.Passed, err = p.l.passedOver(ctx, d.Number, from, to); err != nil {
		return nil, err
	}
	err = p.l.store.Query(ctx, d.Number, from, to, func(f *store.Found) (bool, error) {
		if len(ids) == maxProven {
			return false, fmt.Errorf("more than %d readings: narrow --from and --to, and write several files", maxProven)
		}
		ids = append(ids, readingID{f.Slot, f.Sequence})
		return true, nil
	})
	if err == nil && len(ids) == 0 {
		err = noReading(fmt.Sprintf("device %d has no reading in that time", d.Number), p.answer.Passed)
	}
	return ids, err
}

// newestBefore finds the newest reading received by a time that is left, and notes
// those after it that were shredded.
func (p *prover) newestBefore(ctx context.Context, d ledger.Binding, at int64) (id readingID, err error) {
	found, received := false, int64(0)
	err = p.l.newest(ctx, d, at, func(f *store.Found) { id, found, received = readingID{f.Slot, f.Sequence}, true, f.Received })
	if err == nil {
		p.answer.Passed, err = p.l.passedOver(ctx, d.Number, received, at+1)
	}
	if err == nil && !found {
		err = noReading(fmt.Sprintf("device %d has no reading by then", d.Number), p.answer.Passed)
	}
	return id, err
}

// lateBefore finds, in the late streams of a device, the newest reading measured by a
// time.
func (p *prover) lateBefore(ctx context.Context, d ledger.Binding, at int64) (id readingID, err error) {
	found, measured := false, int64(0)
	for _, number := range p.l.bindingsOf(d) {
		for _, s := range p.l.store.Streams(number) {
			if !s.Late {
				continue
			}
			err := p.l.store.QueryStream(ctx, s.Slot, func(f *store.Found) (bool, error) {
				if f.Measured <= at && (!found || f.Measured > measured) {
					id, found, measured = readingID{f.Slot, f.Sequence}, true, f.Measured
				}
				return true, nil
			})
			if err != nil {
				return id, err
			}
		}
	}
	if !found {
		err = fmt.Errorf("of what came late, device %d has no reading measured by then", d.Number)
	}
	return id, err
}

// newest shows what a device sent in the newest span that has a reading received
// by a time, in order, but for what came late; nothing if there is none. It looks back in spans that
// grow, so that a recent one is found without reading the history.
func (l *openLedger) newest(ctx context.Context, d ledger.Binding, at int64, show func(*store.Found)) error {
	to := at + 1
	for span := time.Minute.Milliseconds(); ; span *= 8 {
		from := max(at-span, 0)
		found := false
		err := l.store.Query(ctx, d.Number, from, to, func(f *store.Found) (bool, error) {
			if !f.Late {
				show(f)
				found = true
			}
			return true, nil
		})
		if err != nil || found || from == 0 || from < d.From-span {
			return err
		}
		to = from
	}
}

// prover puts one proof file together.
type prover struct {
	l       *openLedger
	b       *proof.Builder
	routes  []namedRoute
	fields  []string
	frames  bool
	batches map[uint64]*provenBatch
	heads   map[uint64]int // by size, the position in the file
	alerted []uint64       // streams of devices that alerts are about
	used    []string       // routes with a receipt in the file
	newest  uint64         // size of the newest head
	state   string         // the least of all batches'
	answer  proveAnswer

	anchors       []placedAnchor            // those in the file
	streamBatches map[uint64][]*provenBatch // of a range's stream, ascending
	bound         map[uint64][]*provenBatch // of a stream's readings shown one by one with their device
	spans         []shownSpan               // ranges
}

// placedAnchor is an anchor whose head and receipt are in the file.
type placedAnchor struct {
	route string
	state string
	size  uint64
}

// shownSpan is what a range shows of a stream: its readings from first to
// next-1, and when what explains them may have happened: from before the first
// window shown, until the end of the time claimed.
type shownSpan struct {
	slot, first, next uint64
	from, to          int64
}

// provenBatch is a batch that is in the file.
type provenBatch struct {
	at       int // position in the file
	index    uint64
	evidence *store.BatchEvidence
}

func (p *prover) reading(id readingID) error {
	e, err := p.l.store.Evidence(id.slot, id.seq)
	switch {
	case errors.Is(err, store.ErrNotBatched):
		return againError{fmt.Errorf("%w: ask again after its end, or use --wait", err)}
	case err != nil:
		return err
	}
	shown, err := chooseFields(&e.Reading, len(e.Items), p.fields)
	if err != nil {
		return err
	}
	asked := len(shown)
	if shown, err = leftOf(e.Items, shown, e.Shredded, len(p.fields) > 0); err != nil {
		return err
	}
	batch, err := p.batch(e.Batch)
	if err != nil {
		return err
	}
	summary := p.b.Summary(proof.Summary{Batch: batch.at, Tag: e.Tag, Item: e.Summary, Salt: e.SummarySalt, Path: e.SlotPath})
	r := proof.Reading{Summary: summary, Seq: e.Seq, Width: e.Width(), Hidden: e.Cover(shown), Run: e.RunPath}
	for _, i := range shown {
		r.Fields = append(r.Fields, proof.Field{Index: i, Item: e.Items[i], Salt: e.Salts[i]})
	}
	p.b.Reading(r)
	if f, err := frame.Parse(e.Frame); err == nil && f.Secure() && p.frames {
		if !slices.Contains(shown, reading.IndexDevice) || !slices.Contains(shown, reading.IndexFrame) {
			return errors.New("a frame is checked against the fields device and frame: show these as well")
		}
		p.answer.Frames = append(p.answer.Frames, provenFrame{id.String(), e.Frame})
	}
	if slices.Contains(shown, reading.IndexDevice) {
		if p.bound == nil {
			p.bound = map[uint64][]*provenBatch{}
		}
		p.bound[id.slot] = append(p.bound[id.slot], batch)
	}
	short := shortOf(id, &e.Reading, shown)
	if len(shown) < asked {
		short.Shredded = e.Shredded
	}
	p.answer.Readings = append(p.answer.Readings, short)
	return nil
}

// chooseFields returns the indexes of the named fields, ascending; all of them
// if none is named.
func chooseFields(r *reading.Reading, items int, names []string) ([]int, error) {
	if len(names) == 0 {
		all := make([]int, items)
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	known := fieldNames(r)
	var shown []int
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("it has no field %.40q, only %s", name, strings.Join(known[1:], ", "))
		}
		if !slices.Contains(shown, i) {
			shown = append(shown, i)
		}
	}
	slices.Sort(shown)
	return shown, nil
}

// fieldNames are the names of a reading's items by index. Index 0, the whole,
// is chosen by naming none.
func fieldNames(r *reading.Reading) []string {
	names := []string{""}
	for i := 1; i < reading.IndexData; i++ {
		names = append(names, reading.ItemName(i))
	}
	for i := range r.Measurements {
		names = append(names, r.Measurements[i].Name)
	}
	return names
}

func shortOf(id readingID, r *reading.Reading, shown []int) provenShort {
	s := provenShort{ID: id.String(), Device: r.Device, Received: timeText(r.Received)}
	names := fieldNames(r)
	for _, m := range r.Measurements {
		if m.Name == "" { // it was shredded
			continue
		}
		s.Values = append(s.Values, strings.TrimSpace(fmt.Sprintf("%s %v %s", m.Name, m.Value, m.Unit)))
	}
	for _, i := range shown {
		if i > 0 {
			s.Shown = append(s.Shown, names[i])
		}
	}
	return s
}

// batch adds a batch with all heads that cover it: on each route the first
// final anchor, else one that is in a block, and without any the newest
// checkpoint.
func (p *prover) batch(index uint64) (*provenBatch, error) {
	if b := p.batches[index]; b != nil {
		return b, nil
	}
	b, err := p.addBatch(index)
	if err != nil {
		return nil, err
	}
	states := map[string]string{}
	for _, r := range p.routes {
		a, s, err := anchorOf(r, index)
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		states[r.name] = best(states[r.name], s)
		if err := p.anchored(b, r.name, a); err != nil {
			return nil, err
		}
		p.anchors = append(p.anchors, placedAnchor{r.name, s, a.Size})
	}
	if len(states) == 0 {
		if err := p.logged(b); err != nil {
			return nil, err
		}
	}
	p.state = least(p.state, p.l.quorumOf(states))
	return b, nil
}

// batchBelow adds a batch under heads that the file has already, of each route
// the first that covers it; under its own where there is none.
func (p *prover) batchBelow(index uint64) (*provenBatch, error) {
	if b := p.batches[index]; b != nil {
		return b, nil
	}
	first := map[string]placedAnchor{}
	for _, a := range p.anchors {
		if have, ok := first[a.route]; a.size > index && (!ok || a.size < have.size) {
			first[a.route] = a
		}
	}
	states := map[string]string{}
	for route, a := range first {
		states[route] = a.state
	}
	if len(first) == 0 || p.l.quorumOf(states) == stateLogged {
		return p.batch(index)
	}
	b, err := p.addBatch(index)
	if err != nil {
		return nil, err
	}
	for _, route := range slices.Sorted(maps.Keys(first)) {
		if err := p.cover(b, p.heads[first[route].size], first[route].size); err != nil {
			return nil, err
		}
	}
	p.state = least(p.state, p.l.quorumOf(states))
	return b, nil
}

// addBatch adds a batch without heads.
func (p *prover) addBatch(index uint64) (*provenBatch, error) {
	e, err := p.l.store.Batch(index)
	if err != nil {
		return nil, err
	}
	slots := e.Hidden[ledger.HiddenSlots]
	b := &provenBatch{index: index, evidence: e, at: p.b.Batch(e.Header, proof.Shown{Item: slots.Item, Salt: slots.Salt}, nil)}
	p.batches[index] = b
	return b, nil
}

// ranks orders how far a batch is anchored.
var ranks = []string{stateLogged, statePending, stateFinal}

func rank(state string) int { return max(slices.Index(ranks, state), 0) }

func least(a, b string) string { return ranks[min(rank(a), rank(b))] }

func best(a, b string) string { return ranks[max(rank(a), rank(b))] }

// quorumOf is how far a batch is anchored by as many routes as the ledger asks
// for, if these are the routes that hold it.
func (l *openLedger) quorumOf(states map[string]string) string {
	var all []int
	for i := range l.cfg.Anchors {
		all = append(all, rank(states[l.cfg.Anchors[i].Route()]))
	}
	if need := l.cfg.need(len(all)); len(all) == 0 || need == 1 {
		highest := stateLogged
		for _, s := range states {
			highest = best(highest, s)
		}
		return highest
	}
	slices.Sort(all)
	return ranks[all[len(all)-l.cfg.need(len(all))]]
}

// anchorOf finds the anchor of a route that covers a batch; nil if there is none
// with a receipt.
func anchorOf(r namedRoute, batch uint64) (*anchor.Anchor, string, error) {
	a, ok, err := r.Lookup(batch + 1)
	if err != nil {
		return nil, "", fmt.Errorf("anchors of %s: %w", r.name, err)
	}
	if ok && len(a.Receipt) > 0 {
		return &a, stateFinal, nil
	}
	for _, a := range r.Anchors() {
		if a.Size > batch && a.State == anchor.Included && len(a.Receipt) > 0 {
			return &a, statePending, nil
		}
	}
	return nil, "", nil
}

func (p *prover) anchored(b *provenBatch, route string, a *anchor.Anchor) error {
	head, err := p.head(a.Note, a.Size)
	if err != nil {
		return err
	}
	if err := p.cover(b, head, a.Size); err != nil {
		return err
	}
	p.receipt(proof.Receipt{Route: route, Head: head, Kind: receiptKind(route), Data: a.Receipt})
	return nil
}

// receipt adds a receipt once. Two places that the ledger had on one chain, one
// after the other, may hold the same head: whoever trusts the first needs that
// one's.
func (p *prover) receipt(r proof.Receipt) {
	same := func(x proof.Receipt) bool {
		return x.Head == r.Head && x.Route == r.Route && bytes.Equal(x.Data, r.Data)
	}
	if !slices.ContainsFunc(p.b.File().Receipts, same) {
		p.b.Receipt(r)
	}
	if !slices.Contains(p.used, r.Route) {
		p.used = append(p.used, r.Route)
	}
}

// receiptKind is the kind of a route's receipts.
func receiptKind(route string) string {
	switch {
	case strings.HasPrefix(route, ledger.BitcoinRoutes):
		return proof.KindBitcoin
	case route == ledger.RouteNameOTS:
		return proof.KindOTS
	}
	return proof.KindEthereum
}

// logged covers a batch by the newest checkpoint.
func (p *prover) logged(b *provenBatch) error {
	note, size, ok := p.l.store.Checkpoint()
	if !ok || size <= b.index {
		why := "no checkpoint covers it yet"
		if held := p.l.store.Held(); held != "" {
			why += ": " + held
		}
		return againError{errors.New(why)}
	}
	head, err := p.head(note, size)
	if err != nil {
		return err
	}
	return p.cover(b, head, size)
}

// head adds a checkpoint, with what witnesses signed of it.
func (p *prover) head(note []byte, size uint64) (int, error) {
	lines, err := p.l.cosignaturesOf(size)
	if err != nil {
		return 0, err
	}
	at := p.b.Head(append(slices.Clip(note), bytes.Join(lines, nil)...))
	p.heads[size] = at
	return at, nil
}

// cosigned adds the newest head that witnesses cosigned, if not enough of them
// cosigned the newest that is shown: theirs extends it.
func (p *prover) cosigned() error {
	if len(p.l.cfg.Witnesses) == 0 {
		return nil
	}
	if enough, err := p.l.cosignedEnough(p.newest); err != nil || enough {
		return err
	}
	_, signed, _ := p.l.store.Checkpoint()
	size, err := p.l.newestCosigned(p.newest, signed)
	if err != nil || size == 0 {
		return err
	}
	note, err := p.l.store.CheckpointAt(size)
	if err != nil {
		return err
	}
	_, err = p.head(note, size)
	return err
}

func (p *prover) cover(b *provenBatch, head int, size uint64) error {
	path, err := p.l.store.LogPath(b.index, size)
	if err != nil {
		return fmt.Errorf("path of batch %d in a log of %d: %w", b.index, size, err)
	}
	p.b.Cover(b.at, head, path)
	p.newest = max(p.newest, size)
	return nil
}

// extend shows of each head that its log is the beginning of the next one's.
func (p *prover) extend() error {
	sizes := slices.Sorted(maps.Keys(p.heads))
	for i := 1; i < len(sizes); i++ {
		old, size := sizes[i-1], sizes[i]
		path, err := merkle.ProveConsistency(p.l.store.LogNodes(), old, size)
		if err != nil {
			return fmt.Errorf("heads of %d and %d batches: %w", old, size, err)
		}
		p.b.Extend(p.heads[old], p.heads[size], path)
	}
	return nil
}

// followable adds what leads a verifier from the ledger's first key and places
// to those that are used here: each statement that names a later one, shown by
// the first batch that has it, under the anchor of the place before.
func (p *prover) followable() error {
	var later []uint64
	seen := map[string]proof.Place{}
	err := p.l.eachStatement(func(n uint64, s ledger.Statement) {
		name, place, ok := routePlace(s)
		switch {
		case s.Kind == ledger.KindLogKey:
			later = append(later, n)
		case !ok || !slices.Contains(p.used, name):
		case seen[name] == nil:
			seen[name] = place
		case seen[name].String() != place.String():
			seen[name], later = place, append(later, n)
		}
	})
	if err != nil {
		return err
	}
	for _, n := range later {
		first, ok, err := p.l.firstWith(n)
		if err != nil {
			return err
		}
		if !ok || first >= p.newest {
			break // later than all that is shown
		}
		b, err := p.batch(first)
		if err != nil {
			return err
		}
		if err := p.statement(b, n); err != nil {
			return fmt.Errorf("prove statement %d: %w", n, err)
		}
	}
	return nil
}

// statements adds what the ledger itself says about what is shown: the genesis,
// the routes that anchored it, and the binding of each device that is shown, with its
// place and what had been recorded of it.
func (p *prover) statements() error {
	last := p.lastBatch()
	for _, batches := range p.bound {
		slices.SortFunc(batches, func(a, b *provenBatch) int { return cmp.Compare(a.index, b.index) })
	}
	var failed error
	err := p.l.eachStatement(func(n uint64, s ledger.Statement) {
		by := last
		switch name, _, isRoute := routePlace(s); {
		case s.Kind == ledger.KindGenesis:
		case isRoute:
			if !slices.Contains(p.used, name) {
				return
			}
		case s.Kind == ledger.KindBind, installs(s.Kind):
			slot, _ := s.Uint("slot")
			if by = firstShowing(p.bound[slot], n); by == nil {
				by = firstShowing(p.streamBatches[slot], n)
			}
			if by == nil {
				if by = last; !slices.Contains(p.alerted, slot) {
					return
				}
			}
		case !p.explains(&s):
			return
		}
		if err := p.statement(by, n); err != nil && failed == nil {
			failed = fmt.Errorf("prove statement %d: %w", n, err)
		}
	})
	return errors.Join(err, failed)
}

// firstShowing is the first of batches, ascending, whose header commits to a statement;
// nil if there is none.
func firstShowing(batches []*provenBatch, statement uint64) *provenBatch {
	i := sort.Search(len(batches), func(i int) bool {
		tree, err := ledger.ParseStatementsHead(batches[i].evidence.Hidden[ledger.HiddenStatements].Item)
		return err == nil && tree.Size > statement
	})
	if i == len(batches) {
		return nil
	}
	return batches[i]
}

// alerts adds all that the ledger says of some alerts, each statement as the first batch
// has it that commits to it: so its time is proven too.
func (p *prover) alerts(numbers []uint64) error {
	var wanted []uint64
	err := p.l.withAlerts(func(x *ledger.Alerts) error {
		for _, n := range numbers {
			r := x.Find(n)
			if r == nil {
				return fmt.Errorf("no alert %d%s: `cairn alert list --all` shows them", n, p.l.where())
			}
			if wanted = append(wanted, r.Numbers()...); r.Device != 0 {
				p.alerted = append(p.alerted, r.Slot)
			}
			p.answer.Alerts = append(p.answer.Alerts, p.l.alertRow(r))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range wanted {
		first, ok, err := p.l.firstWith(n)
		if err == nil && !ok {
			err = fmt.Errorf("statement %d about an alert is in no closed window yet: %w", n, errAgain)
		}
		if err != nil {
			return err
		}
		by, err := p.batch(first)
		if err == nil {
			err = p.statement(by, n)
		}
		if err != nil {
			return fmt.Errorf("prove statement %d: %w", n, err)
		}
	}
	return nil
}

// explains says whether a statement tells something of a range that is shown: of
// its stream, or of a time of it in which the gateway was not there.
func (p *prover) explains(s *ledger.Statement) bool {
	return slices.ContainsFunc(p.spans, func(r shownSpan) bool {
		if from, to, ok := spanOf(s); ok {
			return from < r.to && to >= r.from
		}
		slot, _ := s.Uint("slot")
		switch s.Kind {
		case ledger.KindUnbind, ledger.KindRotate:
			return slot == r.slot
		case ledger.KindReboot:
			seq, _ := s.Uint("sequence")
			return slot == r.slot && seq >= r.first && seq < r.next
		}
		return false
	})
}

func (p *prover) lastBatch() *provenBatch {
	var last *provenBatch
	for _, b := range p.batches {
		if last == nil || b.index > last.index {
			last = b
		}
	}
	return last
}

// statement adds one statement as a batch's header shows it; nothing if that
// batch is older than the statement.
func (p *prover) statement(by *provenBatch, n uint64) error {
	hidden := by.evidence.Hidden[ledger.HiddenStatements]
	tree, err := ledger.ParseStatementsHead(hidden.Item)
	if err != nil || n >= tree.Size {
		return err
	}
	item, salt, path, err := p.l.store.StatementAt(n, tree.Size)
	if err != nil {
		return err
	}
	slots := by.evidence.Hidden[ledger.HiddenSlots]
	p.b.Batch(by.evidence.Header, proof.Shown{Item: slots.Item, Salt: slots.Salt}, &proof.Shown{Item: hidden.Item, Salt: hidden.Salt})
	p.b.Statement(proof.Statement{Batch: by.at, Index: n, Item: item, Salt: salt, Path: []merkle.Hash(path)})
	return nil
}
