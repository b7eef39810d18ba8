package proof

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPolicy(t *testing.T) {
	p := newSite("a").policy()
	p.Routes = append(p.Routes, Route{Place: EthereumRoute{ChainID: 11155111, Contract: [20]byte{1}, Code: [32]byte{2}, Sender: [20]byte{3}}})
	text := p.Append(nil)
	got, err := ParsePolicy(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if again := got.Append(nil); !bytes.Equal(again, text) {
		t.Errorf("read and written again:\n%s, want\n%s", again, text)
	}
	noisy := "# for the auditor\n\n" + strings.ReplaceAll(string(text), "\n", "\r\n\n   # next\n") + "  "
	if got, err := ParsePolicy([]byte(noisy)); err != nil || !bytes.Equal(got.Append(nil), text) {
		t.Errorf("with comments and blank lines: %v", err)
	}
	if got.Late != 2*time.Hour || len(got.Routes) != 2 {
		t.Errorf("late %v, %d routes", got.Late, len(got.Routes))
	}
}

func TestPolicyRefuses(t *testing.T) {
	s := newSite("a")
	text := string(s.policy().Append(nil))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	other := strings.Split(string(newSite("b").policy().Append(nil)), "\n")[1]
	join := func(l ...string) string { return strings.Join(l, "\n") }
	cases := []struct {
		name, text, want string
	}{
		{"empty", "", "names no ledger"},
		{"no ledger", lines[0] + "\n" + lines[2], "names no ledger"},
		{"version", "cairn-policy 4\n" + lines[1], "line 1"},
		{"no first line", lines[1], "line 1"},
		{"two ledgers", join(lines[0], lines[1], other), "line 3: second ledger"},
		{"key of another ledger", join(lines[0], "ledger "+strings.Fields(lines[1])[1]+" "+strings.Fields(other)[2]), "line 2"},
		{"short id", join(lines[0], "ledger 00 "+strings.Fields(other)[2]), "line 2: ledger id"},
		{"unknown word", join(lines[0], lines[1], "witness x"), `line 3: unknown word "witness"`},
		{"late twice", join(lines[0], lines[1], "late 1h", "late 1h"), "line 4: second late"},
		{"late zero", join(lines[0], lines[1], "late 0s"), "line 3"},
		{"late endless", join(lines[0], lines[1], "late 999999h"), "line 3"},
		{"late without unit", join(lines[0], lines[1], "late 5"), "line 3"},
		{"route twice", join(lines[0], lines[1], lines[2], lines[2]), "line 4: the same route"},
		{"route of another chain", join(lines[0], lines[1], "route bitcoin a b c d"), "line 3: want: route ethereum"},
		{"route out of order", join(lines[0], lines[1], strings.Replace(lines[2], "contract=", "sender=", 1)), "line 3: want contract="},
		{"chain with zero before", join(lines[0], lines[1], strings.Replace(lines[2], "chain=1", "chain=01", 1)), "line 3: chain"},
		{"short contract", join(lines[0], lines[1], strings.Replace(lines[2], "contract=0x", "contract=0x00", 1)), "line 3: contract"},
		{"no 0x", join(lines[0], lines[1], strings.Replace(lines[2], "sender=0x", "sender=", 1)), "line 3: sender"},
		{"long", lines[0] + strings.Repeat("\n", maxPolicy), "at most"},
		{"not UTF-8", lines[0] + "\xff", "UTF-8"},
	}
	for _, c := range cases {
		_, err := ParsePolicy([]byte(c.text))
		if !errors.Is(err, ErrPolicy) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newSite("a").build(5)
	r := s.receipt(t, 5)
	text := AppendHeader(nil, 1, r.Header)
	h, err := ParseHeaders(append([]byte("# vouched for\n"), text...))
	if err != nil || h.Len() != 1 {
		t.Fatalf("%v, %d headers", err, h.Len())
	}
	hash := keccak256(r.Header)
	for _, c := range []struct {
		route  string
		number uint64
		hash   [32]byte
		want   bool
	}{
		{"ethereum:1", s.block.Number, hash, true},
		{"ethereum:2", s.block.Number, hash, false},
		{"bitcoin:mainnet", s.block.Number, hash, false},
		{"ethereum:1", s.block.Number + 1, hash, false},
		{"ethereum:1", s.block.Number, [32]byte{1}, false},
	} {
		if _, ok, err := h.Trusted(c.route, c.number, c.hash); ok != c.want || err != nil {
			t.Errorf("%s block %d %x: %v, %v, want %v", c.route, c.number, c.hash[:2], ok, err, c.want)
		}
	}
	if ms, ok := h.BlockTime("ethereum:1", hash); !ok || ms != int64(s.block.Time)*1000 {
		t.Errorf("block time %d %v", ms, ok)
	}
	v := Verify(s.file(t, 5, thePicks()...), Options{Policy: s.policy(), Trust: h})
	if v.Level != LevelAnchored {
		t.Error(v.Text())
	}
	for name, bad := range map[string]string{
		"empty":        "",
		"version":      "cairn-headers 2\n",
		"word":         headersMagic + "\nbitcoin 1 0x00",
		"chain":        headersMagic + "\nethereum x 0x00",
		"hexadecimal":  headersMagic + "\nethereum 1 0xzz",
		"no header":    headersMagic + "\nethereum 1 0xc0",
		"header cut":   strings.TrimSpace(string(text))[:len(text)-10],
		"extra":        strings.TrimSpace(string(text)) + " x",
		"long header":  headersMagic + "\nethereum 1 0x" + strings.Repeat("00", maxEthHeader+1),
		"without last": headersMagic + "\nethereum 1",
	} {
		if _, err := ParseHeaders([]byte(bad)); !errors.Is(err, ErrHeaders) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestNotBefore: a block that a header names is a bound only as far as the
// verifier trusts that block and knows its time.
func TestNotBefore(t *testing.T) {
	s := newSite("a").build(5)
	f := s.file(t, 5, pick{window: 3, slot: 2, at: 0})
	seen := s.block.Number - 300 + 3
	for _, c := range []struct {
		name string
		ms   int64
		want bool
	}{
		{"the header's time", siteStart + 3*siteWindow - 12_000, true},
		{"an earlier time", siteStart, false},
	} {
		trust := timer{s.pinned(t, 5), seen, c.ms}
		v := Verify(f, Options{Policy: s.policy(), Trust: trust})
		if v.NotBefore == nil || v.NotBefore.Confirmed != c.want || v.NotBefore.Block != seen {
			t.Errorf("%s: not before %+v, want confirmed %v", c.name, v.NotBefore, c.want)
		}
		if v.Level != LevelAnchored {
			t.Errorf("%s: level %v", c.name, v.Level)
		}
	}
}

// timer trusts one more block than Pinned, by number.
type timer struct {
	Pinned
	number uint64
	ms     int64
}

func (x timer) Trusted(route string, height uint64, hash [32]byte) (string, bool, error) {
	if height == x.number {
		return "seen", true, nil
	}
	return x.Pinned.Trusted(route, height, hash)
}

func (x timer) BlockTime(string, [32]byte) (int64, bool) { return x.ms, true }
