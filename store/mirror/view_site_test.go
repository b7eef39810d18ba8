package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// gateway is a real store whose clock the test sets, as a Source.
type gateway struct {
	t      testing.TB
	s      *store.Store
	keys   *share.Keyring
	nodes  []*sender
	events chan string

	options store.Options

	mu  sync.Mutex // covers now
	now time.Time

	update []byte
	forged map[merkle.Hash][]byte // objects that are given instead
	groups map[uint64][]byte      // group objects that are
	gone   map[merkle.Hash]error
}

// sender is a device of a gateway.
type sender struct {
	binding ledger.Binding
	opener  *frame.Opener
	counter frame.Counter
	ended   bool
}

var gatewayStart = time.Date(2026, 3, 14, 9, 1, 7, 0, time.UTC)

func newGateway(t testing.TB, pad int) *gateway {
	t.Helper()
	g := emptyGateway(t, share.MemorySeed([32]byte{9}))
	g.options.Pad = pad
	g.open()
	return g
}

// emptyGateway is a gateway that was not opened yet, and has its data in memory.
func emptyGateway(t testing.TB, keys *share.Keyring) *gateway {
	g := &gateway{
		t: t, keys: keys, now: gatewayStart, events: make(chan string, 1<<16),
		forged: map[merkle.Hash][]byte{}, groups: map[uint64][]byte{}, gone: map[merkle.Hash]error{},
	}
	g.options = store.Options{
		Dir: "db", FS: vfs.NewMem(), Keyring: keys, Now: g.clock,
		Clock: func() reading.Clock { return reading.Synced }, Free: func() (uint64, error) { return 1 << 40, nil },
		Events: func(e store.Event) { g.events <- e.Kind },
	}
	return g
}

func (g *gateway) open() {
	g.t.Helper()
	s, err := store.Open(g.options)
	if err != nil {
		g.t.Fatal(err)
	}
	g.s = s
	g.t.Cleanup(func() {
		if g.s == s {
			s.Close()
		}
	})
}

func (g *gateway) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// occupancyRules put occupancy into a compartment of its own.
var occupancyRules = []store.Rule{{Class: "occupancy", Fields: []string{"occ*", "people"}}}

func (g *gateway) bind(rules []store.Rule) *sender {
	g.t.Helper()
	n := len(g.nodes)
	key := frame.Key{15: byte(n + 1), 0: 0x42}
	id := frame.ID{0x80, byte(n), 0x91, 0x90, 0xaa, 0xaa, 0xaa, byte(n)}
	b, err := g.s.AddDevice(context.Background(), store.NewDevice{ID: id, Name: fmt.Sprintf("fridge %d", n), Kind: ledger.BindSecure, Key: &key, Rules: rules})
	if err != nil {
		g.t.Fatal(err)
	}
	d := &sender{binding: b, counter: 0x2a000318}
	if d.opener, err = frame.NewOpener(key); err != nil {
		g.t.Fatal(err)
	}
	g.nodes = append(g.nodes, d)
	return d
}

func (g *gateway) unbind(d *sender) {
	g.t.Helper()
	if err := g.s.RemoveDevice(context.Background(), d.binding.Number); err != nil {
		g.t.Fatal(err)
	}
	d.ended = true
}

// send takes one reading; lost is how many counters are left out before it.
func (g *gateway) send(d *sender, lost int, ms ...reading.Measurement) {
	g.t.Helper()
	d.counter += frame.Counter(1 + lost)
	body, err := frame.AppendBody(nil, frame.Body{Valve: -1, Stats: []byte(`{"T|C16":7`)})
	if err != nil {
		g.t.Fatal(err)
	}
	wire, err := d.opener.Seal(nil, frame.TypeBasic|frame.SecureBit, d.binding.ID, 4, d.counter, body)
	if err != nil {
		g.t.Fatal(err)
	}
	done := make(chan error, 1)
	err = g.s.Submit(context.Background(), []store.Arrival{{
		Device: d.binding.Number, Epoch: d.binding.Epoch, Verdict: reading.Authenticated, Transport: "udp", Counter: d.counter,
		Measurements: ms, Wire: wire, Body: body, Type: frame.TypeBasic | frame.SecureBit, IDLen: 4,
		Done: func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { done <- err },
	}})
	if err == nil {
		err = <-done
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// late imports a reading of a device, which may have been unbound, measured before all.
func (g *gateway) late(d *sender, ms ...reading.Measurement) {
	g.t.Helper()
	if _, err := g.s.OpenLate(context.Background(), d.binding.Number, func(ledger.Binding) []ledger.Statement { return nil }); err != nil {
		g.t.Fatal(err)
	}
	done := make(chan error, 1)
	err := g.s.Submit(context.Background(), []store.Arrival{{
		Device: d.binding.Number, Verdict: reading.Vouched, Transport: reading.TransportCSV, Late: true,
		Measured: gatewayStart.UnixMilli() - 1000, HasMeasured: true, Measurements: ms, Wire: fmt.Append(nil, ms),
		Done: func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { done <- err },
	}})
	if err == nil {
		err = <-done
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// pass lets time pass, so that the windows before it are closed.
func (g *gateway) pass(d time.Duration) {
	g.t.Helper()
	g.mu.Lock()
	g.now = g.now.Add(d)
	g.mu.Unlock()
	if _, err := g.s.AddStatement(context.Background(), ledger.Statement{Kind: "tick", At: g.clock().UnixMilli(), Body: map[string]any{}}); err != nil {
		g.t.Fatal(err)
	}
}

// sealed waits until everything before the current hour is sealed.
func (g *gateway) sealed() {
	g.t.Helper()
	now, _ := share.HourOf(g.clock().UnixMilli())
	for {
		refs, err := g.s.Groups(context.Background(), 0, math.MaxInt)
		if err != nil && !errors.Is(err, store.ErrSealing) {
			g.t.Fatal(err)
		}
		if err == nil && !slices.ContainsFunc(refs, func(r store.GroupRef) bool { return r.Live && r.Hour < now }) {
			return
		}
		select {
		case <-g.events:
		case <-time.After(20 * time.Second):
			g.t.Fatal("an ended hour was not sealed")
		}
	}
}

func (g *gateway) Checkpoint(context.Context) ([]byte, error) {
	note, _, ok := g.s.Checkpoint()
	if !ok {
		return nil, ErrNone
	}
	return note, nil
}

func (g *gateway) Tile(_ context.Context, path string) ([]byte, error) {
	level, index, width, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if merkle.TileWidth(level, index, g.s.LogSize()) < width {
		return nil, ErrNotFound
	}
	if level != merkle.EntriesLevel {
		return merkle.ReadTile(g.s.LogNodes(), level, index, width)
	}
	var b []byte
	for i := range uint64(width) {
		h, err := g.s.Header(index*tileWidth + i)
		if err != nil {
			return nil, err
		}
		b, _ = merkle.AppendEntry(b, h)
	}
	return b, nil
}

func (g *gateway) Groups(ctx context.Context, from uint64) ([]store.GroupRef, error) {
	refs, err := g.s.Groups(ctx, from, MaxGroups)
	for errors.Is(err, store.ErrSealing) && ctx.Err() == nil { // as an HTTP source asks again
		refs, err = g.s.Groups(ctx, from, MaxGroups)
	}
	for i := range refs {
		if b, ok := g.groups[refs[i].First]; ok {
			refs[i].Object, refs[i].Size = hashOf(b), int64(len(b))
		}
	}
	return refs, err
}

func (g *gateway) Group(ctx context.Context, ref store.GroupRef) ([]byte, error) {
	if b, ok := g.groups[ref.First]; ok {
		return b, nil
	}
	return g.s.GroupObject(ctx, ref.First)
}

func (g *gateway) Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	if err := g.gone[ref.Hash]; err != nil {
		return nil, err
	}
	if b, ok := g.forged[ref.Hash]; ok {
		return b, nil
	}
	return g.s.SealedObject(ctx, first, ref.Hash)
}

func (g *gateway) StatementLeaves(_ context.Context, from, to uint64) ([]merkle.Hash, error) {
	return g.s.StatementLeaves(from, to)
}

func (g *gateway) Update(context.Context) ([]byte, error) {
	if g.update == nil {
		return nil, ErrNone
	}
	return g.update, nil
}

func (g *gateway) Bundles(context.Context) ([]uint64, error)      { return nil, nil }
func (g *gateway) Bundle(context.Context, uint64) ([]byte, error) { return nil, ErrNotFound }

// audience says what a bundle opens: for each compartment the hours [from, until).
type audience map[string][2]share.Hour

// bundle makes the bundle of an audience, with the statements of its streams.
func (g *gateway) bundle(a audience) *share.Bundle {
	g.t.Helper()
	b := &share.Bundle{
		Ledger: g.s.Ledger(), LogKey: [32]byte(g.s.FirstLogKey()), Nonce: g.keys.Nonce(), Grant: 1, Audience: "the auditor",
	}
	for _, c := range g.keys.Compartments() {
		hours, ok := a[c.Name]
		if !ok {
			continue
		}
		nodes, err := c.Tree.Cover(hours[0], hours[1])
		if err != nil {
			g.t.Fatal(err)
		}
		b.Compartments = append(b.Compartments, share.Granted{ID: c.ID, Name: c.Name, Nodes: nodes})
	}
	size := g.s.Statements()
	for n := range size {
		item, salt, _, err := g.s.StatementAt(n, size)
		if err != nil {
			g.t.Fatal(err)
		}
		s, err := ledger.ParseStatement(item)
		if err != nil {
			g.t.Fatal(err)
		}
		slot, _ := s.Uint("slot")
		if _, mine := a[fmt.Sprintf("stream/%d/envelope", slot)]; s.Kind == ledger.KindGenesis || s.Kind == ledger.KindLogKey || s.Kind == ledger.KindBind && mine {
			b.Statements = append(b.Statements, share.BundleStatement{Number: n, Item: item, Salt: salt})
		}
	}
	return b
}

// all is an audience of everything that a stream has, and its ledger.
func (g *gateway) all() audience {
	a := audience{}
	for _, c := range g.keys.Compartments() {
		if c.Name != "site" && c.Name != "statements" {
			a[c.Name] = [2]share.Hour{0, share.Hours - 1}
		}
	}
	return a
}

func (g *gateway) view(a audience) *View {
	g.t.Helper()
	v, err := NewView(g, g.bundle(a))
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

// reads gives all that a view opens, as texts by reading and item.
func reads(t *testing.T, v *View, q Query) (map[string]string, *ViewReport) {
	t.Helper()
	got := map[string]string{}
	report, err := v.Readings(t.Context(), q, func(o *Opened) error {
		if _, twice := got[o.ID()]; twice {
			t.Errorf("reading %s was given twice", o.ID())
		}
		got[o.ID()] = fmt.Sprint(o.Received, o.Device, o.Origin.Counter)
		for i, m := range o.Measurements {
			got[fmt.Sprintf("%s/%d", o.ID(), o.Shown[5+i])] = m.Name + "=" + m.Value.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, report
}

// truth is what the store itself has of an audience's fields and hours, in closed
// windows.
func (g *gateway) truth(a audience) map[string]string {
	g.t.Helper()
	want := map[string]string{}
	for _, d := range g.nodes {
		err := g.s.Query(context.Background(), d.binding.Number, 0, math.MaxInt64, func(f *store.Found) (bool, error) {
			if _, _, _, err := g.s.RunOf(f.Slot, f.Sequence); errors.Is(err, store.ErrNotBatched) {
				return true, nil
			}
			h, err := share.HourOf(f.Received)
			if err != nil {
				return false, err
			}
			has := func(class string) bool {
				in, ok := a[fmt.Sprintf("stream/%d/%s", f.Slot, class)]
				return ok && in[0] <= h && h < in[1]
			}
			if in := a["ledger"]; h < in[0] || h >= in[1] || !has("envelope") {
				return true, nil
			}
			id := fmt.Sprintf("%d/%d", f.Slot, f.Sequence)
			want[id] = fmt.Sprint(f.Received, f.Device, f.Origin.Counter)
			for i, m := range f.Measurements {
				if has(g.classOf(f.Slot, m.Name)) {
					want[fmt.Sprintf("%s/%d", id, 7+i)] = m.Name + "=" + m.Value.String()
				}
			}
			return true, nil
		})
		if err != nil {
			g.t.Fatal(err)
		}
	}
	return want
}

func sameTexts(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] {
			t.Errorf("%s: %s is %q, want %q", what, id, got[id], want[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			t.Errorf("%s: %s was opened and must not be: %q", what, id, got[id])
		}
	}
}

func (g *gateway) classOf(slot uint64, name string) string {
	_, split := g.keys.CompartmentNamed(fmt.Sprintf("stream/%d/occupancy", slot))
	if split && (name == "occupancy" || name == "people") {
		return "occupancy"
	}
	return "data"
}

// someReading is a reading of a fridge with people around it.
func someReading(rng *rand.Rand) []reading.Measurement {
	ms := []reading.Measurement{
		{Name: "temperature", Unit: "Cel", Value: reading.Decimal(int64(rng.IntN(400)), -1)},
		{Name: "occupancy", Value: reading.Int(int64(rng.IntN(10)))},
		{Name: "humidity", Unit: "%RH", Value: reading.Int(int64(rng.IntN(100)))},
		{Name: "door", Value: reading.Bool(rng.IntN(2) == 0)},
		{Name: "people", Unit: "/", Value: reading.Text("nobody")},
	}
	rng.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
	return ms[:rng.IntN(len(ms)+1)]
}
