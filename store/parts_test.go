package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// addSplit registers a text device whose measurements have rules.
func (x *site) addSplit(name string, rules ...Rule) *node {
	x.t.Helper()
	n := &node{id: frame.ID{0xc0, byte(len(x.nodes))}, kind: "text"}
	b, err := x.s.AddDevice(context.Background(), NewDevice{ID: n.id, Name: name, Kind: n.kind, Rules: rules})
	if err != nil {
		x.t.Fatalf("AddDevice: %v", err)
	}
	n.binding = b
	x.nodes = append(x.nodes, n)
	return n
}

// line is a line with measurements of any names.
func (n *node) line(text string, ms ...reading.Measurement) Arrival {
	return Arrival{Device: n.binding.Number, Epoch: n.binding.Epoch, Verdict: reading.Insecure, Transport: "line", Measurements: ms, Wire: []byte(text)}
}

func measured(name string, v int64) reading.Measurement {
	return reading.Measurement{Name: name, Value: reading.Int(v)}
}

// splitSite has a stream of three classes and plain ones, and sealed quarter hours
// with and without readings.
func splitSite(t testing.TB) (*site, *node) {
	x := newSite(t, 2)
	x.opt.Pad = 64
	x.restart()
	n := x.addSplit("room 7", Rule{"occupancy", []string{"occ*", "pir"}}, Rule{"comfort", []string{"humidity"}}, Rule{"occupancy", []string{"co2"}})
	for i := range int64(40) {
		ms := []reading.Measurement{measured("occupancy", i%4), measured("temperature", 20+i%3), measured("co2", 400+i), measured("humidity", 50)}
		if i%5 == 3 {
			ms = []reading.Measurement{measured("temperature", 21)}
		}
		if i%7 == 2 {
			ms = nil
		}
		x.submit(n.line("a secret line "+strings.Repeat("x", int(i%9)), ms...))
		if i%3 == 0 {
			x.send(x.nodes[0])
		}
		x.pass(40 * time.Second)
	}
	x.pass(40 * time.Minute)
	x.seal()
	return x, n
}

// opened is what somebody with some keys gets out of a stream's objects.
type opened struct {
	row      hourRow
	first    uint64
	envelope *EnvelopePart
	data     map[uint32]*DataPart
	plain    [][]byte // all that was opened
}

// openGroups makes all objects of a stream again and opens those of some compartments.
func (x *site) openGroups(t testing.TB, slot uint64, compartments ...uint32) (out []opened) {
	t.Helper()
	r := x.s.reader()
	defer r.close()
	in := &r.v.streams[slot]
	k := x.s.keys.key(kindHour)
	each(x.s.db, k, after(k), func(key, val []byte) (bool, error) {
		row, err := decodeHour(key, val)
		if err != nil {
			t.Fatal(err)
		}
		first := uint64(key[len(key)-1]) | uint64(key[len(key)-2])<<8
		rows, err := x.s.segmentRows(row.Hour, first, row.Next)
		if err != nil {
			t.Fatal(err)
		}
		o := opened{row: row, first: first, data: map[uint32]*DataPart{}}
		for _, g := range rows {
			if !slices.Contains(compartments, g.key.Compartment) {
				continue
			}
			object, err := x.s.SealedObject(context.Background(), first, g.sealed)
			if err != nil {
				t.Fatal(err)
			}
			if len(object)%int(row.Pad) != 0 {
				t.Errorf("an object of %d bytes, want a multiple of %d", len(object), row.Pad)
			}
			hk, err := r.cursor(g.key.Compartment).Hour(share.Hour(row.Hour))
			if err != nil {
				t.Fatal(err)
			}
			content, hidden, err := hk.OpenObject(ObjectAAD(x.s.Ledger(), share.Hour(row.Hour), first, g.key.Compartment, g.key.Part), object)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := unpackContent(content)
			if err != nil {
				t.Fatal(err)
			}
			o.plain = append(o.plain, object, content, plain, hidden)
			if g.key.Compartment == in.envelope {
				if o.envelope, err = OpenEnvelopePart(content, hidden, first); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if o.data[g.key.Compartment], err = OpenDataPart(content); err != nil {
				t.Fatal(err)
			}
		}
		if len(o.plain) > 0 {
			out = append(out, o)
		}
		return true, nil
	})
	return out
}

// TestParts: with the objects of the envelope and any classes, record roots and
// the stream's tree come out as the log has them.
func TestParts(t *testing.T) {
	x, n := splitSite(t)
	slot := n.binding.Slot
	in := x.s.view.Load().streams[slot]
	if names := classList(in.classes); !slices.Equal(names, []string{"data", "occupancy", "comfort"}) {
		t.Fatalf("classes %v", names)
	}
	for mask := range 8 {
		have := []uint32{in.envelope}
		for i, c := range in.classes.list {
			if mask>>i&1 == 1 {
				have = append(have, c.compartment)
			}
		}
		x.checkParts(t, slot, have)
	}
	x.checkParts(t, 0, []uint32{x.s.view.Load().streams[0].envelope}) // of a secure device
	if _, err := x.s.SealedObject(t.Context(), 0, merkle.Hash{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an object that is none: %v, want %v", err, ErrNotFound)
	}
	x.restart()
	x.check()
}

func classList(c *classes) (names []string) {
	for _, x := range c.list {
		names = append(names, x.name)
	}
	return names
}

func (x *site) checkParts(t *testing.T, slot uint64, have []uint32) {
	t.Helper()
	var tree merkle.Tree
	r := x.s.reader()
	defer r.close()
	in := &r.v.streams[slot]
	empty := 0
	for _, g := range x.openGroups(t, slot, have...) {
		p := g.envelope
		if p.First != tree.Size() || p.Device != x.nodes[in.device-1].binding.Device() || p.Slot != slot {
			t.Fatalf("part of device %q, stream %d, from %d on, want %d", p.Device, p.Slot, p.First, tree.Size())
		}
		if peaks := tree.AppendBinary(nil)[8:]; len(peaks) != 32*len(p.Peaks) || len(p.Peaks) > 0 && merkle.Hash(peaks[:32]) != p.Peaks[0] {
			t.Errorf("%d peaks at %d", len(p.Peaks), p.First)
		}
		if len(p.Readings) == 0 {
			empty++
		}
		for i := range p.Readings {
			e := &p.Readings[i]
			site, err := x.s.Evidence(slot, e.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			leaves := map[int]merkle.Hash{}
			env, _ := r.cursor(in.envelope).Hour(share.Hour(g.row.Hour))
			salts := FieldSalts(env, slot, e.Incarnation)
			for k := reading.IndexDevice; k < reading.IndexFrame; k++ {
				h := reading.HiddenEntry(reading.AppendItem(nil, &e.Reading, k), salts.Salt(e.Sequence, k, e.Items))
				leaves[k] = merkle.LeafHash(h[:])
			}
			for compartment, d := range g.data {
				key, _ := r.cursor(compartment).Hour(share.Hour(g.row.Hour))
				salts := FieldSalts(key, slot, e.Incarnation)
				for _, m := range d.Readings[i] {
					k := reading.IndexData + m.Index
					if site.Reading.Measurements[m.Index] != m.Measurement {
						t.Errorf("reading %d: measurement %d is %v", e.Sequence, m.Index, m)
					}
					h := reading.HiddenEntry(site.Items[k], salts.Salt(e.Sequence, k, e.Items))
					leaves[k] = merkle.LeafHash(h[:])
				}
			}
			root, err := e.RecordRoot(leaves)
			if err != nil {
				t.Fatal(err)
			}
			if want := merkle.PerfectRoot(site.Leaves); root != want {
				t.Fatalf("record root of reading %d is %v, want %v", e.Sequence, root, want)
			}
			tree.Append(reading.EntryLeaf(in.tag, e.Sequence, root))
		}
	}
	run, err := r.lastRun(slot, r.v.size)
	if err == nil {
		err = r.fill(in, run)
	}
	if err != nil || run == nil || tree.Root() != run.stream || empty == 0 {
		t.Errorf("the parts of stream %d give %v of %d readings, want %+v, %v; %d parts are empty", slot, tree.Root(), tree.Size(), run, err, empty)
	}
}

// TestRulesAreRefused: bad rules change nothing.
func TestRulesAreRefused(t *testing.T) {
	x := newSite(t, 0)
	many := make([]Rule, 16)
	for i := range many {
		many[i].Class = strings.Repeat("a", i+1)
	}
	for name, rules := range map[string][]Rule{
		"the envelope's name": {{Class: "envelope", Fields: []string{"*"}}},
		"no name":             {{Fields: []string{"*"}}},
		"a long name":         {{Class: strings.Repeat("a", 33)}},
		"a slash":             {{Class: "a/b"}},
		"upper case":          {{Class: "Occupancy"}},
		"a bad glob":          {{Class: "a", Fields: []string{"[a"}}},
		"too many classes":    many,
	} {
		before := len(x.keys.Compartments())
		_, err := x.s.AddDevice(t.Context(), NewDevice{ID: frame.ID{1}, Name: "x", Kind: "text", Rules: rules})
		if !errors.Is(err, ErrRefused) || len(x.keys.Compartments()) != before {
			t.Errorf("%s: %v, want %v", name, err, ErrRefused)
		}
	}
	if _, err := x.s.AddDevice(t.Context(), NewDevice{ID: frame.ID{1}, Name: "x", Kind: "text", Rules: many[:15]}); err != nil {
		t.Errorf("16 classes: %v", err)
	}
}

// TestClassesOutliveClock: a stream that takes another's place when the clock was
// ahead has its rules, and compartments of its own.
func TestClassesOutliveClock(t *testing.T) {
	x := newSite(t, 0)
	n := x.addSplit("room", Rule{"occupancy", []string{"occupancy"}})
	send := func() { x.submit(n.line("l", measured("occupancy", 1), measured("temperature", 2))) }
	send()
	x.step(24 * time.Hour)
	x.pass(time.Minute)
	send()
	x.step(-24 * time.Hour)
	x.pass(time.Minute)
	send()
	streams := x.s.view.Load().streams
	if len(streams) != 2 {
		t.Fatalf("%d streams, want 2", len(streams))
	}
	a, b := streams[0], streams[1]
	if !reflect.DeepEqual(a.classes.rules, b.classes.rules) || len(b.classes.list) != 2 || b.envelope <= a.classes.list[1].compartment {
		t.Errorf("the second stream has %+v, the first %+v", b.classes, a.classes)
	}
	x.pass(30 * time.Minute)
	x.seal()
	x.restart()
	x.check()
}

// FuzzParts throws bytes at what reads an object that somebody else sealed.
func FuzzParts(f *testing.F) {
	x, n := splitSite(f)
	in := x.s.view.Load().streams[n.binding.Slot]
	for _, c := range []uint32{in.envelope, in.classes.list[0].compartment} {
		for _, g := range x.openGroups(f, n.binding.Slot, c) {
			f.Add(g.plain[2], g.plain[3])
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var c columns
	for _, r := range randomRun(rng, 20) {
		c.add(&r)
	}
	f.Add(block(nil, 7, c.envelope(nil)), []byte{1, 0})
	f.Fuzz(func(t *testing.T, plain, hidden []byte) {
		content := append([]byte{0}, plain...)
		if p, err := OpenEnvelopePart(content, hidden, 3); err == nil {
			total := 0
			for _, run := range p.Runs {
				total += run.N
			}
			if total != len(p.Readings) {
				t.Fatalf("runs of %d readings, there are %d", total, len(p.Readings))
			}
			for i := range p.Readings {
				p.Readings[i].RecordRoot(map[int]merkle.Hash{1: {}, 2: {}, 3: {}, 4: {}, 5: {}})
			}
		} else if !errors.Is(err, ErrPart) {
			t.Fatal(err)
		}
		if p, err := OpenDataPart(content); err == nil {
			for i := range p.Readings {
				for j, m := range p.Readings[i] {
					if m.Index >= reading.MaxMeasurements || j > 0 && m.Index <= p.Readings[i][j-1].Index {
						t.Fatalf("reading %d: measurement %d has index %d", i, j, m.Index)
					}
				}
			}
		} else if !errors.Is(err, ErrPart) {
			t.Fatal(err)
		}
	})
}
