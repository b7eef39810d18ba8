package proof

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"cairn/merkle/ledger"
)

// everyChain is a file that all of this package has to do with: a log key that
// was handed over, a sender that a statement names, and anchors of two heads on
// Ethereum, on Bitcoin and through a calendar, of all of which the policy wants
// some. With it come the headers files that it is anchored by.
func everyChain(t testing.TB) (f *File, policy *Policy, ethereum []byte, bitcoin *BitcoinHeaders) {
	t.Helper()
	s := newSite("every chain")
	next := newSite("next").place()
	handsOver(s, testKey("next"), ledger.Route{
		Name: next.Chain(), ChainID: next.ChainID, Contract: next.Contract, CodeHash: next.Code, Sender: next.Sender,
	}.Statement(siteStart))
	s.build(5)
	policy = s.policy2()
	policy.Groups[0].Need = 2
	chain := newBTCChain(t)
	on := func(size int) []Receipt {
		r := chain.anchor(s.root(size), siteScript, siteStart+int64(size)*10*60_000)
		eth := s.receipt(t, size)
		ethereum = AppendHeader(ethereum, 1, eth.Header)
		return []Receipt{
			{Route: "ethereum:1", Kind: KindEthereum, Data: mustMarshal(t, eth)},
			btc(t, r), viaCalendar(t, r, s.root(size), false, "https://calendar.example"),
		}
	}
	b := newBuilder0(s.policyKey(), s.nonce)
	head := b.Head(s.head(t, 4))
	s.tell(t, b, head, 4, 2, 4)
	s.tell(t, b, head, 4, 2, 5)
	for _, r := range on(4) {
		r.Head = head
		b.Receipt(r)
	}
	s.block.Contract, s.block.Sender = next.Contract, next.Sender
	s.block.Number, s.block.Time = s.block.Number+50, s.block.Time+600
	f = with(s.file(t, 5, pick{window: 4, slot: 5, at: 0, fields: []int{3, 7}}), on(5)...)
	chain.bury(3)
	return join(t, f, b.File()), policy, ethereum, chain.file()
}

// TestGoldenChains freezes the same for all that came after version 0 of the
// file: policies of version 2, Bitcoin's and OpenTimestamps' receipts, and
// headers files.
func TestGoldenChains(t *testing.T) {
	f, policy, ethereum, bitcoin := everyChain(t)
	files := map[string][]byte{
		"chains.proof": mustEncode(t, f), "chains.policy": policy.Append(nil), "chains.headers": ethereum,
		"chains.bitcoin-headers": bitcoin.File(),
	}
	kept := map[string][]byte{}
	for name, b := range files {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if kept[name], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept[name], b) {
			t.Errorf("%s is not what is written now", path)
		}
	}
	p, err := ParsePolicy(kept["chains.policy"])
	if err != nil {
		t.Fatal(err)
	}
	var trust AnyTrust
	for _, name := range []string{"chains.headers", "chains.bitcoin-headers"} {
		h, err := ParseTrust(kept[name])
		if err != nil {
			t.Fatal(err)
		}
		trust = append(trust, h)
	}
	v := VerifyBytes(kept["chains.proof"], Options{Policy: p, Trust: trust})
	if v.Level != LevelAnchored || len(v.Succession) != 2 || !v.Succession[0].Followed || !v.Succession[1].Followed {
		t.Error(v.Text())
	}
	t.Logf("%d bytes\n%s", len(kept["chains.proof"]), v.Text())
}

// TestFlipsChains does for such a file what TestFlips does for Ethereum's.
func TestFlipsChains(t *testing.T) {
	f, policy, ethereum, bitcoin := everyChain(t)
	h, err := ParseTrust(ethereum)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Policy: policy, Trust: AnyTrust{h, bitcoin}}
	b := mustEncode(t, f)
	good := VerifyBytes(b, o)
	full := good.JSON()
	end, step := len(b)-sha256.Size, 3
	if testing.Short() {
		step = 17
	}
	codes := map[Code]int{}
	for i := 0; i < end; i += step {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		sum := sha256.Sum256(bad[:end])
		copy(bad[end:], sum[:])
		v := VerifyBytes(bad, o)
		if v.Level == LevelAnchored && bytes.Equal(v.JSON(), full) || v.Level < LevelAnchored && (v.Code == "" || v.Reason == "") {
			t.Errorf("byte %d ^ %02x: %v %q", i, 1<<(i%8), v.Level, v.Code)
		}
		codes[v.Code]++
	}
	t.Logf("%d bytes, reasons %v", len(b), codes)
}
