package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// TestCompartmentIsNotGuessed: an auditor who has envelope and temperature of a
// stream, with their keys, and the sealed objects of it and others and the log, does not find
// occupancy, nor the reading as a whole, nor its line, though of each no more than
// 2^16 are possible.
func TestCompartmentIsNotGuessed(t *testing.T) {
	x, n := splitSite(t)
	slot := n.binding.Slot
	in := x.s.view.Load().streams[slot]
	have := []uint32{in.envelope, in.classes.list[in.classes.home].compartment}
	m := newMaterial()
	m.addLog(t, x)
	for _, g := range x.openGroups(t, slot, have...) {
		for _, b := range g.plain {
			m.add(b)
		}
		for _, c := range have {
			x.addKeys(t, m, c, share.Hour(g.row.Hour), slot, g.envelope)
		}
	}
	for i := range x.s.view.Load().streams { // sealed, of a neighbour too
		other := &x.s.view.Load().streams[i]
		all := []uint32{other.envelope}
		for _, c := range other.classes.list {
			all = append(all, c.compartment)
		}
		for _, c := range all {
			if slices.Contains(have, c) || other.slot > 0 && other.slot != slot {
				continue
			}
			for _, g := range x.openGroups(t, other.slot, c) {
				m.add(g.plain[0])
			}
		}
	}
	m.prepare()
	const seq = 5
	var salts [][16]byte // of that reading; all others are among the windows
	for _, g := range x.openGroups(t, slot, have...) {
		for i := range g.envelope.Readings {
			if r := &g.envelope.Readings[i]; r.Sequence == seq {
				for _, c := range have {
					for index := range 16 {
						salts = append(salts, x.fieldSalt(t, c, share.Hour(g.row.Hour), slot, r, index))
					}
				}
			}
		}
	}
	windows := m.windows()
	for _, s := range x.splitSecrets(t, slot, seq) {
		if found := (guesser{m, s.hide, salts, nil}).search(m.unknown(&s, slowdown)...); found != nil {
			t.Errorf("%s: %d candidates lead somewhere", s.name, len(found))
		}
		if found := (guesser{m, s.hide, windows, nil}).search(s.candidates[s.at]); found != nil {
			t.Errorf("%s: the true item leads somewhere", s.name)
		}
		controlGuess(t, m, &s)
	}
}

// addKeys adds an hour's keys of a compartment and all salts that they give.
func (x *site) addKeys(t *testing.T, m *material, compartment uint32, hour share.Hour, slot uint64, p *EnvelopePart) {
	t.Helper()
	k, err := x.s.cursor(compartment).Hour(hour)
	if err != nil {
		t.Fatal(err)
	}
	m.add(k.Seal[:])
	m.add(k.Salt[:])
	for _, label := range []string{"field", "rest", "summary"} {
		for i := range p.Readings {
			block := k.SaltBlock(label, slot, p.Readings[i].Incarnation)
			for index := range uint64(16) {
				var b [16]byte
				binary.BigEndian.PutUint64(b[:], p.Readings[i].Sequence)
				binary.BigEndian.PutUint64(b[8:], index)
				block.Encrypt(b[:], b[:])
				m.add(bytes.Clone(b[:]))
			}
		}
	}
}

func (x *site) fieldSalt(t *testing.T, compartment uint32, hour share.Hour, slot uint64, r *EnvelopeReading, index int) (salt [16]byte) {
	t.Helper()
	k, err := x.s.cursor(compartment).Hour(hour)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(salt[:], r.Sequence)
	binary.BigEndian.PutUint64(salt[8:], uint64(index))
	k.SaltBlock("field", slot, r.Incarnation).Encrypt(salt[:], salt[:])
	return salt
}

// splitSecrets are what a reading hides from who has its temperature.
func (x *site) splitSecrets(t *testing.T, slot, seq uint64) (out []secret) {
	t.Helper()
	e, err := x.s.Evidence(slot, seq)
	if err != nil {
		t.Fatal(err)
	}
	var items reading.Items
	with := func(index int, change func(r *reading.Reading, n int)) {
		out = append(out, guess(t, fmt.Sprintf("item %d", index), e.Items[index], e.Salts[index], merkle.LeafHash, func(n int) []byte {
			r := e.Reading
			r.Measurements = slices.Clone(r.Measurements)
			change(&r, n)
			items.Set(&r)
			return bytes.Clone(items.At(index))
		}))
	}
	for i, m := range e.Reading.Measurements {
		if m.Name != "temperature" {
			with(reading.IndexData+i, func(r *reading.Reading, n int) { r.Measurements[i].Value = reading.Int(int64(n)) })
		}
	}
	with(0, func(r *reading.Reading, n int) { r.Measurements[0].Value = reading.Int(int64(n)) })
	with(reading.IndexFrame, func(r *reading.Reading, n int) {
		if n > 0 {
			r.Frame = sha256.Sum256(fmt.Appendf(nil, "line %d", n))
		}
	})
	return out
}

// TestNothingInTheClear looks through every file of a store and every row for
// names, texts, lines and keys: while they are in the write-ahead log alone, after
// a flush, once sealed, and after an end in order.
func TestNothingInTheClear(t *testing.T) {
	x := newSite(t, 2)
	n := x.addSplit("Zimmer der Direktorin", Rule{"occupancy", []string{"occupancy"}})
	send := func(i int) {
		x.submit(n.line(fmt.Sprintf("die Zeile %d, wie sie kam", i), measured("occupancy", 1), measured("temperature", 2),
			reading.Measurement{Name: "note", Unit: "je Stunde", Value: reading.Text("Besuch bis halb elf")}))
		x.send(x.nodes[0], x.nodes[1])
	}
	words := map[string][]byte{}
	for _, w := range []string{"Direktorin", "fridge 0", "occupancy", "temperature", "Besuch bis", "wie sie kam", "die Zeile", "je Stunde"} { // three letters stand in random bytes by chance
		words[w] = []byte(w)
	}
	for i, d := range x.nodes {
		words[fmt.Sprintf("id %d", i)] = []byte(d.binding.Device())
		if key, ok := x.s.DeviceKey(d.binding.Number, 1); ok {
			words[fmt.Sprintf("key %d", i)] = key[:]
		}
	}
	local, tag := x.keys.LocalKey(), x.keys.TagKey()
	words["local key"], words["tag key"], words["log key"] = local[:], tag[:], x.keys.LogKey().Seed()
	look := func(when string) {
		t.Helper()
		if x.s != nil {
			if err := each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
				lookFor(t, fmt.Sprintf("%s: row %c", when, key[32]), words, val)
				return true, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if files := x.files(t, func(name string, b []byte) { lookFor(t, when+": "+name, words, b) }); files < 3 {
			t.Errorf("%s: %d files", when, files)
		}
	}
	send(0)
	look("in the log")
	for i := range 30 {
		send(i)
		x.pass(time.Minute)
	}
	look("with windows closed")
	if err := x.s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	look("flushed")
	x.pass(time.Minute)
	x.seal()
	look("sealed")
	send(99)
	x.close()
	look("closed")
	x.open()
	if err := x.s.db.Compact(t.Context(), nil, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	look("compacted")
}

func lookFor(t *testing.T, where string, words map[string][]byte, b []byte) {
	t.Helper()
	for what, w := range words {
		if bytes.Contains(b, w) {
			t.Errorf("%s holds %s", where, what)
		}
	}
}

// files shows the content of every file of the store.
func (x *site) files(t *testing.T, fn func(name string, b []byte)) (n int) {
	t.Helper()
	names, err := x.fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := x.fs.PathJoin("db", name)
		if info, err := x.fs.Stat(path); err != nil || info.IsDir() {
			continue
		}
		f, err := x.fs.Open(path, vfs.SequentialReadsOption)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		fn(name, b)
		n++
	}
	return n
}
