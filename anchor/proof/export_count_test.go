package proof

import (
	"errors"
	"testing"
)

// TestCounting: an anchor that anyone may have made is not exported for those
// who have a policy, and is for those who have none.
func TestCounting(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 3, slot: 2, at: 1}
	chain := newBTCChain(t)
	strange := chain.anchor(s.root(5), btcScript, siteStart+18*60_000)
	own := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	chain.bury(6, &strange, &own)
	f := s.file(t, 5, p)
	f.Receipts = append(f.Receipts, btc(t, strange), btc(t, own))
	trust := AnyTrust{chain.file(), s.pinned(t, 5)}
	for _, c := range []struct {
		name   string
		policy *Policy
		blocks []string // that an export has
	}{
		{"no policy", nil, []string{"bitcoin block 4", "bitcoin block 5"}},
		{"the ledger's script", s.only(regtestRoute), []string{"bitcoin block 5"}},
		{"Ethereum alone", s.policy(), nil},
	} {
		counted, v := Counting(f, Options{Policy: c.policy, Trust: trust})
		if v.Level != LevelAnchored || len(f.Receipts) != 3 {
			t.Fatalf("%s: %d receipts, %s", c.name, len(f.Receipts), v.Text())
		}
		_, ots, err := ExportOTS(counted, SelectField(0, 0))
		if (err == nil) != (c.blocks != nil) || err != nil && !errors.Is(err, ErrUnexportable) {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		file, err := ParseOTS(ots)
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]bool)
		for _, l := range file.Tree.Leaves() {
			found[l.String()] = true
		}
		for _, block := range c.blocks {
			if !found[block] || len(found) != len(c.blocks) {
				t.Errorf("%s: %v, want %v", c.name, found, c.blocks)
			}
		}
	}
	f.Readings[0].Fields[3].Salt[0] ^= 1
	if counted, v := Counting(f, Options{Policy: s.policy()}); counted != nil || v.Level != LevelNone {
		t.Errorf("of a false file: %v, %s", counted, v.Text())
	}
}
