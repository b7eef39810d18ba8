package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/store/share"
)

// TestShreddedIsNotRecovered: somebody has every byte of the data folder of before
// and after a shredding, old tables and logs included, and the keyring of after it.
// He knows everything of a reading but its occupancy, and of the reading as a whole
// and of its line no more than 2^16 are possible: he finds none of them.
func TestShreddedIsNotRecovered(t *testing.T) {
	x, n, before := shredSite(t)
	slot := n.binding.Slot
	const seq = 5
	var hidden []secret // of what goes
	for _, s := range x.splitSecrets(t, slot, seq) {
		if s.name != "item 10" { // humidity stays
			hidden = append(hidden, s)
		}
	}
	e, err := x.s.Evidence(slot, seq)
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte // digests of frames of the secure device that go
	for _, f := range x.query(x.nodes[0].binding.Number) {
		if h, _ := share.HourOf(f.Received); h < before {
			frames = append(frames, bytes.Clone(f.Frame[:8]))
		}
	}
	m := newMaterial()
	m.addLog(t, x)
	takeAll := func() {
		t.Helper()
		x.files(t, func(_ string, b []byte) { m.add(bytes.Clone(b)) })
		if err := each(x.s.db, nil, nil, func(_, val []byte) (bool, error) {
			m.add(bytes.Clone(val))
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	takeAll()
	var old [][2][]byte // rows of before
	if err := each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
		old = append(old, [2][]byte{bytes.Clone(key), bytes.Clone(val)})
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := x.s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	takeAll()
	x.shred(before, fmt.Sprintf("stream/%d/occupancy", slot), "stream/0/data")
	takeAll()

	// What the new keyring opens: local rows of both times, and all objects.
	under := func(key, val []byte) []byte {
		if len(val) < 1 {
			return nil
		}
		plain, err := x.s.local.open(key, val[1:])
		if err != nil {
			return nil
		}
		return plain
	}
	for _, kv := range old {
		if plain := under(kv[0], kv[1]); plain != nil {
			t.Errorf("a row %c of before opens with the keyring of after", kv[0][32])
		}
	}
	if err := each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
		plain := under(key, val)
		m.add(bytes.Clone(plain))
		if key[32] == kindDevice && slices.ContainsFunc(frames, func(d []byte) bool { return bytes.Contains(plain, d) }) {
			t.Errorf("device row %x has the digest of a shredded frame", suffix(key))
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	in := x.s.view.Load().streams[slot]
	have := []uint32{in.envelope}
	for _, c := range in.classes.list {
		if c.name != "occupancy" {
			have = append(have, c.compartment)
		}
	}
	hour := before - 1
	var salts [][16]byte
	for _, g := range x.openGroups(t, slot, have...) {
		for _, b := range g.plain {
			m.add(b)
		}
		for i := range g.envelope.Readings {
			if r := &g.envelope.Readings[i]; r.Sequence == seq && share.Hour(g.row.Hour) == hour {
				for _, c := range append(slices.Clone(have), share.Site, share.Ledger) {
					x.addKeys(t, m, c, hour, slot, g.envelope)
					for index := range 16 {
						salts = append(salts, x.fieldSalt(t, c, hour, slot, r, index))
					}
				}
			}
		}
	}
	if len(salts) == 0 {
		t.Fatal("no salts")
	}
	r := x.s.reader()
	defer r.close()
	sites := 0
	if err := each(r.snap, x.s.keys.key(kindSegment), after(x.s.keys.key(kindSegment)), func(key, _ []byte) (bool, error) {
		k := segmentKey{Hour: be32(suffix(key)), First: uint64(be32(suffix(key)[8:])), Compartment: be32(suffix(key)[12:]), Part: be32(suffix(key)[16:])}
		if k.Compartment != share.Site {
			return true, nil
		}
		site, err := r.siteKey(share.Hour(k.Hour))
		if err != nil {
			return false, err
		}
		content, err := r.openContent(site, k)
		m.add(content)
		sites++
		return true, err
	}); err != nil || sites == 0 {
		t.Fatal(sites, err)
	}
	m.prepare()
	windows := m.windows()
	t.Logf("%d strings, %d windows, %d salts, %d secrets", len(m.blobs), len(windows), len(salts), len(hidden))
	for _, b := range m.blobs {
		if bytes.Contains(b, []byte("a secret line")) || bytes.Contains(b, e.Frame) {
			t.Error("a line is there")
		}
	}
	for _, s := range hidden {
		if found := (guesser{m, s.hide, salts, nil}).search(m.unknown(&s, slowdown)...); found != nil {
			t.Errorf("%s: %d candidates lead somewhere", s.name, len(found))
		}
		if found := (guesser{m, s.hide, windows, nil}).search(s.candidates[s.at]); found != nil {
			t.Errorf("%s: the true item leads somewhere", s.name)
		}
		controlGuess(t, m, &s)
	}
	for _, c := range x.keys.Compartments() {
		if strings.HasSuffix(c.Name, "/occupancy") {
			if _, err := c.Tree.Hour(hour); err == nil {
				t.Error("the keyring has the key")
			}
		}
	}
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
