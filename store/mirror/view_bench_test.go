package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// idleQuarters is how many quarter hours the idle site of the benchmarks has been
// there; five months are 14,400.
var idleQuarters = flag.Int("quarters", 1000, "quarter hours of the idle site")

// idle lets the gateway be off for some quarter hours, in steps that no start
// doubts its clock after, and has it all sealed.
func (g *gateway) idle(quarters int) {
	g.t.Helper()
	const step = 30 * 96
	for ; quarters > 0; quarters -= step {
		if err := g.s.Close(); err != nil {
			g.t.Fatal(err)
		}
		g.now = g.now.Add(time.Duration(min(quarters, step)) * 15 * time.Minute)
		g.open()
		if err := g.s.AllowSigning(context.Background()); err != nil {
			g.t.Fatal(err)
		}
	}
	for st := g.s.Status(); st.Batches-st.SealedTo > 15; st = g.s.Status() {
		if e := <-g.events; e == "dead" {
			g.t.Fatal("the store gave up")
		}
	}
	for range 20 { // the headers list what was sealed
		g.pass(time.Minute)
	}
	g.sealed()
}

// idleGateway is a gateway with a few readings of two fridges, and then none.
func idleGateway(t testing.TB, quarters int) *gateway {
	g := newGateway(t, 4096)
	g.bind(occupancyRules)
	g.bind(nil)
	for range 3 {
		for _, d := range g.nodes {
			g.send(d, 0, reading.Measurement{Name: "temperature", Unit: "Cel", Value: reading.Int(4)})
		}
		g.pass(time.Minute)
	}
	g.idle(quarters)
	return g
}

// gatewayKeys opens with a gateway's own keyring.
type gatewayKeys struct{ *gateway }

func (k gatewayKeys) Key(name string, h share.Hour) (share.HourKey, error) {
	c, ok := k.keys.CompartmentNamed(name)
	if !ok {
		return share.HourKey{}, share.ErrNotGranted
	}
	return c.Tree.Hour(h)
}
func (gatewayKeys) Wants(string) bool                  { return true }
func (gatewayKeys) Offer(uint64, []byte) (bool, error) { return false, errors.New("none") }
func (gatewayKeys) Grant() uint64                      { return 1 }
func (gatewayKeys) Statements() []Statement            { return nil }

// gatewayAccess lets the audience with the token "fridge" have the first fridge.
type gatewayAccess struct{ *gateway }

func (gatewayAccess) Full(*http.Request) bool { return false }
func (a gatewayAccess) Now() time.Time        { return a.clock() }
func (a gatewayAccess) Grants(context.Context) ([]ledger.Grant, error) {
	return []ledger.Grant{{
		Number: 7, Audience: "auditor", Compartments: []string{"stream/0/envelope", "stream/0/data", "stream/0/occupancy"},
		Token: sha256.Sum256([]byte("fridge")),
	}}, nil
}

func (a gatewayAccess) Listing(ctx context.Context, first uint64) (ref store.GroupRef, objects []store.ObjectRef, err error) {
	b, err := a.s.GroupObject(ctx, first)
	if err != nil {
		return ref, nil, err
	}
	h, err := a.s.Header(first)
	if err != nil {
		return ref, nil, err
	}
	parsed, err := ledger.ParseHeader(h)
	if err != nil {
		return ref, nil, err
	}
	hour, _ := share.HourOf(parsed.From)
	k, err := gatewayKeys(a).Key(ledgerName, hour)
	if err != nil {
		return ref, nil, err
	}
	g, err := store.OpenGroup(k, a.s.Ledger(), hour, first, b)
	if err != nil {
		return ref, nil, err
	}
	return g.Ref(b, false), g.Objects, nil
}

// GroupObjects implements grouper.
func (g *gateway) GroupObjects(ctx context.Context, first uint64, wanted func(share.Hour, *store.ObjectRef) bool) ([][]byte, error) {
	return g.s.GroupObjects(ctx, first, wanted)
}

// fridge is an audience of the first stream.
func (g *gateway) fridge() audience {
	hours := [2]share.Hour{0, share.Hours - 1}
	return audience{"ledger": hours, "stream/0/envelope": hours, "stream/0/data": hours, "stream/0/occupancy": hours}
}

func benchmarkOpen(b *testing.B, g *gateway, src Source) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		v, err := NewView(src, g.bundle(g.fridge()))
		if err != nil {
			b.Fatal(err)
		}
		report, err := v.Readings(b.Context(), Query{Live: true}, func(*Opened) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		if report.Readings != 3 || len(report.Missing) > 0 {
			b.Fatalf("%d readings, %v missing", report.Readings, report.Missing)
		}
		b.ReportMetric(float64(report.Groups), "groups/op")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(*idleQuarters), "µs/quarter")
}

// BenchmarkOpenIdle is how long an audience takes to open an idle site: from a
// gateway over HTTP, and from a copy's folder.
func BenchmarkOpenIdle(b *testing.B) {
	g := idleGateway(b, *idleQuarters)
	b.Run("gateway", func(b *testing.B) {
		server := httptest.NewServer(http.StripPrefix("/x", Handler(g, gatewayAccess{g})))
		defer server.Close()
		src, err := HTTP(server.URL+"/x/grant/7", "fridge", nil)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkOpen(b, g, src)
	})
	b.Run("folder", func(b *testing.B) {
		dir := b.TempDir()
		c, err := Open(dir, Options{Ledger: Identity{Ledger: g.s.Ledger(), LogKey: g.s.FirstLogKey(), Nonce: g.keys.Nonce()}, Now: g.clock})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Follow(b.Context(), g, gatewayKeys{g}, nil); err != nil {
			b.Fatal(err)
		}
		src, err := FolderSource(dir)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkOpen(b, g, src)
	})
}
