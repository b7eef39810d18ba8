package mirror

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/anchor/proof"
	"cairn/ingest/frame"
	"cairn/store"
	"cairn/store/share"
)

// oldGateway is a folder that an earlier version wrote, opened by this one an hour
// later: its streams have one class, and what hides field 0 and decoys is salted
// from the site's keys alone.
func oldGateway(t *testing.T, format string) *gateway {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "testdata", format))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keyring.cairn", "identity"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := share.Open(filepath.Join(dir, "keyring.cairn"), share.Wrap{Identity: filepath.Join(dir, "identity")})
	if err != nil {
		t.Fatal(err)
	}
	g := emptyGateway(t, keys)
	g.now = time.Date(2026, 3, 14, 12, 0, 7, 0, time.UTC)
	g.options.Dir, g.options.FS = filepath.Join(dir, "db"), vfs.Default
	g.open()
	for _, b := range g.s.Devices() {
		key, ok := g.s.DeviceKey(b.Number, b.Epoch)
		if !ok {
			continue
		}
		d := &sender{binding: b, counter: 0x2b000000}
		if d.opener, err = frame.NewOpener(key); err != nil {
			t.Fatal(err)
		}
		g.nodes = append(g.nodes, d)
	}
	return g
}

// TestViewOfOldStreams: streams that were bound by an earlier version go on, and
// their audiences open and prove what was sealed since, and learn nothing else.
func TestViewOfOldStreams(t *testing.T) {
	for _, format := range []string{"format1", "format2"} {
		t.Run(format, func(t *testing.T) {
			g := oldGateway(t, format)
			rng := rand.New(rand.NewPCG(2, 2))
			begun := g.clock().UnixMilli()
			for range 15 {
				g.send(g.nodes[0], rng.IntN(2), someReading(rng)...)
				g.send(g.nodes[1], 0, someReading(rng)...)
				g.pass(3 * time.Minute)
			}
			g.sealed()
			hours := [2]share.Hour{0, share.Hours - 1}
			first, _ := share.HourOf(begun)
			whole := audience{"ledger": hours, "stream/0/envelope": hours, "stream/0/data": hours}
			v := g.view(whole)
			got, report := reads(t, v, Query{Live: true})
			want := g.truth(whole)
			sameTexts(t, "since", g.without(got, first, ""), g.without(want, first, ""))
			sameTexts(t, "with what was there before", got, subset(want, got))
			if len(report.Missing) > 0 || report.Readings < 15 {
				t.Errorf("%d readings, %v missing", report.Readings, report.Missing)
			}
			p, err := v.Prove(t.Context(), ProofQuery{From: &begun})
			if err != nil {
				t.Fatal(err)
			}
			verdict := proof.Verify(p.File, proof.Options{Require: proof.LevelLogged})
			if verdict.Level < proof.LevelLogged || len(p.Ranges) != 1 || p.Ranges[0].Readings < 15 {
				t.Errorf("proven %+v, %s", p.Ranges, verdict.Reason)
			}

			// What the summaries hide is under the key of the data: without it nothing is
			// verified, so nothing is given, and nobody is called a liar.
			part := audience{"ledger": hours, "stream/1/envelope": hours, "stream/1/data": {0, 1}}
			unproven(t, g, part, "not granted")
			vg := g.group(first)
			for _, o := range vg.Objects {
				if o.Name == "stream/0/data" {
					g.gone[o.Hash] = ErrNotFound
				}
			}
			unproven(t, g, whole, "not there")
		})
	}
}

// unproven holds that an audience is told that something cannot be verified, and
// gets nothing of that.
func unproven(t *testing.T, g *gateway, a audience, what string) {
	t.Helper()
	got, report := reads(t, g.view(a), Query{Live: true})
	for i := range report.Missing {
		if m := &report.Missing[i]; m.Why == Unproven && !m.Explained() {
			for id, text := range got {
				if h := hourOfText(t, got[readingOf(id)]); h >= m.Hour && h < m.Until {
					t.Errorf("%s: %s is given as %q, which nothing proves", what, id, text)
				}
			}
			return
		}
	}
	t.Errorf("%s: nothing is unproven of %v", what, report.Missing)
}

// readingOf is the reading that a text of reads is about.
func readingOf(id string) string { return strings.Join(strings.SplitN(id, "/", 3)[:2], "/") }

// group opens the first sealed group of an hour.
func (g *gateway) group(h share.Hour) *store.Group {
	g.t.Helper()
	refs, err := g.s.Groups(context.Background(), 0, MaxGroups)
	for _, ref := range refs {
		if ref.Hour != h || ref.Live {
			continue
		}
		b, err := g.s.GroupObject(context.Background(), ref.First)
		if err != nil {
			g.t.Fatal(err)
		}
		k, err := gatewayKeys{g}.Key(ledgerName, h)
		if err != nil {
			g.t.Fatal(err)
		}
		o, err := store.OpenGroup(k, g.s.Ledger(), h, ref.First, b)
		if err != nil {
			g.t.Fatal(err)
		}
		return o
	}
	g.t.Fatalf("no sealed group of hour %d: %v", h, err)
	return nil
}

// subset is what of some texts others have too.
func subset(texts, of map[string]string) map[string]string {
	some := map[string]string{}
	for id := range of {
		if text, ok := texts[id]; ok {
			some[id] = text
		}
	}
	return some
}
