package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// smallGateway is a sealed hour of two streams, one with two classes.
func smallGateway(t *testing.T) *gateway {
	g := newGateway(t, 1)
	g.bind(occupancyRules)
	g.bind(nil)
	for i := range 16 {
		if i%3 != 1 {
			g.send(g.nodes[0], i%2, reading.Measurement{Name: "temperature", Unit: "Cel", Value: reading.Int(int64(i))},
				reading.Measurement{Name: "occupancy", Value: reading.Int(int64(i % 5))}, reading.Measurement{Name: "humidity", Unit: "%RH", Value: reading.Int(50)})
			g.send(g.nodes[1], 0, reading.Measurement{Name: "temperature", Unit: "Cel", Value: reading.Int(int64(-i))})
		}
		g.pass(time.Minute)
	}
	g.sealed()
	return g
}

// readAll reads everything, and returns what is wrong.
func readAll(g *gateway, v *View) error {
	_, err := v.Readings(context.Background(), Query{Live: true}, func(*Opened) error { return nil })
	return err
}

// TestViewFindsFlippedBytes: any byte of any object that is another one than the
// site's is found, by the name of the object.
func TestViewFindsFlippedBytes(t *testing.T) {
	g := smallGateway(t)
	refs, err := g.Groups(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	v := g.view(g.all())
	if err := readAll(g, v); err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, ref := range refs {
		if ref.Live {
			continue
		}
		group, err := g.Group(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		key, _, _ := v.key(share.Ledger, ref.Hour)
		content, err := store.OpenGroup(key, g.s.Ledger(), ref.Hour, ref.First, group)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range content.Objects {
			if !v.names[o.Name] {
				continue
			}
			good, err := g.s.SealedObject(t.Context(), ref.First, o.Hash)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(good); i += 1 + len(good)/64 {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << (i % 8)
				g.forged[o.Hash] = bad
				var lie *Lie
				if err := readAll(g, v); !errors.As(err, &lie) || lie.Object != o.Hash || lie.Hour != ref.Hour || lie.Compartment != o.Name {
					t.Fatalf("byte %d of %s: got %v, want a lie of that object", i, o.Name, err)
				}
				flipped++
			}
			delete(g.forged, o.Hash)
		}
	}
	if flipped < 200 {
		t.Errorf("%d bytes were flipped", flipped)
	}
}

// reseal puts another object into a group, as whoever has the keys could: sealed
// again, and listed in the group's object, which is sealed again too.
func (g *gateway) reseal(ref store.GroupRef, name string, part uint32, change func(content, hidden []byte) ([]byte, []byte)) {
	g.t.Helper()
	ctx := context.Background()
	raw, err := g.s.GroupObject(ctx, ref.First)
	if err != nil {
		g.t.Fatal(err)
	}
	of := func(name string) share.HourKey {
		c, _ := g.keys.CompartmentNamed(name)
		k, err := c.Tree.Hour(ref.Hour)
		if err != nil {
			g.t.Fatal(err)
		}
		return k
	}
	id := g.s.Ledger()
	group, err := store.OpenGroup(of("ledger"), id, ref.Hour, ref.First, raw)
	if err != nil {
		g.t.Fatal(err)
	}
	i := slices.IndexFunc(group.Objects, func(o store.ObjectRef) bool { return o.Name == name && o.Part == part })
	o := &group.Objects[i]
	object, err := g.s.SealedObject(ctx, ref.First, o.Hash)
	if err != nil {
		g.t.Fatal(err)
	}
	aad := store.ObjectAAD(id, ref.Hour, ref.First, o.Compartment, o.Part)
	content, hidden, err := of(name).OpenObject(aad, object)
	if err != nil {
		g.t.Fatal(err)
	}
	content, hidden = change(bytes.Clone(content), bytes.Clone(hidden))
	random := [32]byte{1, 2, 3}
	if object, err = of(name).SealObject(nil, aad, &random, content, hidden, 1); err != nil {
		g.t.Fatal(err)
	}
	o.Hash, o.Size = hashOf(object), int64(len(object))
	clear(g.forged)
	g.forged[o.Hash] = object
	sealed, err := of("ledger").SealObject(nil, store.ObjectAAD(id, ref.Hour, ref.First, share.Ledger, 0), &random, append([]byte{0}, group.Append(nil)...), nil, 1)
	if err != nil {
		g.t.Fatal(err)
	}
	g.groups[ref.First] = sealed
}

// TestViewFindsForgedObjects: nor can who has all keys change a byte of what an
// object says, or of what it hides.
func TestViewFindsForgedObjects(t *testing.T) {
	g := smallGateway(t)
	refs, err := g.Groups(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ref := refs[0]
	v := g.view(g.all())
	truth, _ := reads(t, v, Query{Live: true})
	for _, name := range []string{"stream/0/envelope", "stream/0/data", "stream/0/occupancy", "stream/1/envelope", "stream/1/data"} {
		for _, hide := range []bool{false, true} {
			n, tried := 1, 0
			for i := 0; i < n; i++ {
				g.reseal(ref, name, 0, func(content, hidden []byte) ([]byte, []byte) {
					b := content
					if hide {
						b = hidden
					} else {
						b = unpacked(t, content)
						content = b
					}
					if n = len(b); n > 0 {
						b[i] ^= 1 << (i % 8)
					}
					return content, hidden
				})
				if n == 0 {
					break
				}
				tried++
				got := map[string]string{}
				_, err := v.Readings(t.Context(), Query{Live: true}, func(o *Opened) error {
					got[o.ID()] = fmt.Sprint(o.Received, o.Device, o.Origin.Counter)
					for i, m := range o.Measurements {
						got[fmt.Sprintf("%s/%d", o.ID(), o.Shown[5+i])] = m.Name + "=" + m.Value.String()
					}
					return nil
				})
				var lie *Lie
				if errors.As(err, &lie) && lie.Compartment == name {
					continue
				}
				// An object may have two forms of one content: then all is as it was.
				if err == nil {
					sameTexts(t, fmt.Sprintf("%s, byte %d, hidden %v", name, i, hide), got, truth)
				} else {
					t.Errorf("%s, byte %d, hidden %v: %v", name, i, hide, err)
				}
			}
			if tried == 0 && (name == "stream/0/envelope" || !hide) {
				t.Errorf("%s: nothing was tried", name)
			}
		}
	}
}

var zstdReader, _ = zstd.NewReader(nil)

// unpacked is an object's content without its compression.
func unpacked(t *testing.T, content []byte) []byte {
	t.Helper()
	if content[0] == 0 {
		return content
	}
	plain, err := zstdReader.DecodeAll(content[1:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0}, plain...)
}

// TestViewTellsWhatIsMissing: an object that is not there is named, and all else is
// opened.
func TestViewTellsWhatIsMissing(t *testing.T) {
	g := smallGateway(t)
	refs, _ := g.Groups(t.Context(), 0)
	v := g.view(g.all())
	truth, _ := reads(t, v, Query{Live: true})
	key, _, _ := v.key(share.Ledger, refs[0].Hour)
	raw, _ := g.Group(t.Context(), refs[0])
	group, err := store.OpenGroup(key, g.s.Ledger(), refs[0].Hour, refs[0].First, raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range group.Objects {
		if !v.names[o.Name] {
			continue
		}
		for why, err := range map[Why]error{NotThere: ErrNotFound, Gone: ErrGone} {
			g.gone = map[merkle.Hash]error{o.Hash: err}
			got, report := reads(t, v, Query{Live: true})
			if len(report.Missing) != 1 || report.Missing[0].Why != why || report.Missing[0].Compartment != o.Name || report.Missing[0].Hour != refs[0].Hour {
				t.Errorf("%s: %v is missing, want it, %s", o.Name, report.Missing, why)
			}
			if report.Missing[0].Explained() { // whatever the source says: no statement does
				t.Errorf("%s: %v counts as explained by the source's word", o.Name, &report.Missing[0])
			}
			if len(got) == 0 || len(got) >= len(truth) {
				t.Errorf("%s: %d of %d items were opened", o.Name, len(got), len(truth))
			}
		}
	}
}

// TestOccupancyCannotBeGuessed: who was granted the temperature cannot find the
// occupancy that came in the same frames, with all salts and hashes that were
// opened; who was granted that finds it by the same search.
func TestOccupancyCannotBeGuessed(t *testing.T) {
	g := smallGateway(t)
	a := g.all()
	delete(a, "stream/0/occupancy")
	v := g.view(a)
	full := g.view(g.all())
	found, told := 0, 0
	err := walkWindows(t, v, func(w *viewWindow) {
		for i := range w.readings {
			r := &w.readings[i]
			var salts [][16]byte
			for index := range r.record.items {
				for _, block := range append(slices.Clone(r.salts.data), r.salts.envelope) {
					salt := ledger.FieldBlock(r.r.Sequence, uint64(index))
					block.Encrypt(salt[:], salt[:])
					salts = append(salts, salt)
				}
			}
			hashes := map[merkle.Hash]bool{}
			for index := range r.record.items {
				hashes[r.record.leaves[index]] = true
			}
			for value := range int64(100) {
				item := reading.AppendItem(nil, &reading.Reading{Measurements: []reading.Measurement{{Name: "occupancy", Value: reading.Int(value)}}}, reading.IndexData)
				for _, salt := range salts {
					if e := reading.HiddenEntry(item, salt); hashes[merkle.LeafHash(e[:])] {
						found++
					}
				}
			}
		}
	})
	if err != nil || found != 0 {
		t.Errorf("%d occupancies were guessed, %v", found, err)
	}
	got, _ := reads(t, full, Query{Live: true})
	for _, text := range got {
		if len(text) > 10 && text[:10] == "occupancy=" {
			told++
		}
	}
	if told == 0 {
		t.Error("nobody was told an occupancy")
	}
	// Nor do the bytes that the audience has hold it in the clear.
	p, err := v.Prove(t.Context(), ProofQuery{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.File.Encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := proof.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Ranges {
		for _, n := range r.Readings {
			for _, x := range n.Fields {
				if bytes.Contains(x.Item, []byte("occupancy")) {
					t.Errorf("reading %d shows %x", n.Seq, x.Item)
				}
			}
		}
	}
}

// walkWindows shows all windows that a view opens.
func walkWindows(t *testing.T, v *View, fn func(*viewWindow)) error {
	t.Helper()
	w := &viewWalk{v: v, q: Query{Live: true}, report: &ViewReport{streams: map[uint64]bool{}}, to: 1 << 62}
	w.group = func(_ *viewGroup, windows []viewWindow) error {
		for i := range windows {
			fn(&windows[i])
		}
		return nil
	}
	return w.walk(t.Context())
}

// TestViewFollows: a live reader gets each reading once, from live groups that grow
// and are sealed.
func TestViewFollows(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	g := newGateway(t, 256)
	g.bind(occupancyRules)
	v := g.view(g.all())
	got := map[string]string{}
	var seen Seen
	for range 50 {
		if rng.IntN(3) > 0 {
			g.send(g.nodes[0], 0, someReading(rng)...)
		}
		if rng.IntN(15) == 0 {
			g.bind(nil)
			if err := v.Use(g.bundle(g.all())); err != nil {
				t.Fatal(err)
			}
		}
		g.pass(time.Minute)
		if rng.IntN(4) == 0 {
			g.sealed()
		}
		_, err := v.Readings(t.Context(), Query{Live: true, Seen: &seen}, func(o *Opened) error {
			if got[o.ID()] != "" {
				t.Errorf("%s came twice", o.ID())
			}
			got[o.ID()] = "x"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := 0
	for id := range g.truth(g.all()) {
		if bytes.Count([]byte(id), []byte("/")) == 1 {
			want++
		}
	}
	if len(got) != want || want == 0 {
		t.Errorf("%d readings came, want %d", len(got), want)
	}
}
