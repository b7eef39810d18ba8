package proof

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"cairn/merkle"
)

// TestTwoHeads: of several anchors the best decides, of the best the earliest,
// and one that could not be asked about does not hide one that was answered.
func TestTwoHeads(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 2, slot: 0, at: 0}
	f := s.file(t, 4, p)
	first := s.pinned(t, 4)[0]
	s.block.Number, s.block.Time = s.block.Number+300, s.block.Time+3600
	second := s.pinned(t, 5)[0]
	data, err := s.receipt(t, 5).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b := Continue(f)
	head := b.Head(s.head(t, 5))
	path, err := merkle.ProveInclusion(s.log, 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	b.Cover(0, head, path)
	b.Receipt(Receipt{Route: "ethereum:1", Head: head, Kind: KindEthereum, Data: data})
	f = b.File()
	mustEncode(t, f)
	strict := s.policy()
	strict.Late = 3600e9
	n := s.block.Number
	for _, c := range []struct {
		name   string
		policy *Policy
		trust  HeaderTrust
		level  Level
		code   Code
		block  uint64
	}{
		{"both", s.policy(), Pinned{first, second}, LevelAnchored, "", n - 300},
		{"first", s.policy(), Pinned{first}, LevelAnchored, "", n - 300},
		{"second", s.policy(), Pinned{second}, LevelAnchored, "", n},
		{"none", s.policy(), Pinned{}, LevelPending, CodeNotTrusted, 0},
		{"second is late", strict, Pinned{second}, LevelLate, CodeLate, n},
		{"first is in time", strict, Pinned{first, second}, LevelAnchored, "", n - 300},
		{"first cannot be asked", s.policy(), failsAt{first, Pinned{second}}, LevelAnchored, "", n},
		{"second cannot be asked", s.policy(), failsAt{second, Pinned{first}}, LevelAnchored, "", n - 300},
	} {
		v := Verify(f, Options{Policy: c.policy, Trust: c.trust})
		if v.Level != c.level || v.Code != c.code || (v.NotAfter != nil) != (c.block != 0) || c.block != 0 && v.NotAfter.Block != c.block {
			t.Errorf("%s: %v %q not after %+v, want %v %q block %d", c.name, v.Level, v.Code, v.NotAfter, c.level, c.code, c.block)
		}
		if !has(v.NotChecked, "heads extend one another") {
			t.Errorf("%s: two heads, and nothing about their consistency in %q", c.name, v.NotChecked)
		}
	}
}

// failsAt cannot be asked about one block.
type failsAt struct {
	hash [32]byte
	Pinned
}

func (f failsAt) Trusted(route string, height uint64, hash [32]byte) (string, bool, error) {
	if hash == f.hash {
		return "", false, errors.New("connection refused")
	}
	return f.Pinned.Trusted(route, height, hash)
}

func has(list []string, part string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
}

// TestStrangeTimes: what a gateway's clock claims against the chain's is said,
// and a seen block that is not before the anchor's own bounds nothing.
func TestStrangeTimes(t *testing.T) {
	p := pick{window: 3, slot: 2, at: 1}
	s := newSite("a")
	s.block.Time = uint64(siteStart / 1000)
	s.build(5)
	v := Verify(s.file(t, 5, p), s.options(t, 5))
	if v.Level != LevelAnchored || !has(v.NotChecked, "4m0s ahead of ethereum:1") {
		t.Errorf("clock ahead: %v, %q", v.Level, v.NotChecked)
	}
	if v.NotBefore != nil {
		t.Errorf("clock ahead: a block seen after the anchor's bounds: %+v", v.NotBefore)
	}
}
