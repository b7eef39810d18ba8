package proof

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// btcChain is a regtest chain from its genesis block on.
type btcChain struct {
	t       testing.TB
	headers []BitcoinHeader
}

func newBTCChain(t testing.TB) *btcChain {
	t.Helper()
	c := &btcChain{t: t, headers: []BitcoinHeader{headerOf(t, &chaincfg.RegressionNetParams.GenesisBlock.Header)}}
	for range 3 {
		c.mine(siteStart-3600_000, [32]byte{9})
	}
	return c
}

// mine adds a block of this time, and returns its height.
func (c *btcChain) mine(ms int64, root [32]byte) uint32 {
	last := &c.headers[len(c.headers)-1]
	h := after(last, max(ms/1000, last.seconds()+1), regtestBits)
	copy(h[36:], root[:])
	mine(&h)
	c.headers = append(c.headers, h)
	return uint32(len(c.headers) - 1)
}

// anchor mines a block of this time with an anchor of the root that pays its
// change to the script.
func (c *btcChain) anchor(root, script []byte, ms int64) BitcoinReceipt {
	tx := anchorTx([32]byte(root))
	tx.TxOut[0] = wire.NewTxOut(90_000, script)
	raw := txBytes(c.t, tx)
	branch, top := merkleBranch([][32]byte{{1}, sha256d(raw), {2}}, 1)
	at := c.mine(ms, top)
	return BitcoinReceipt{Network: BitcoinRegtest, Height: at, Tx: raw, Index: 1, Branch: branch, Header: c.headers[at]}
}

// bury mines n blocks, and adds them to the receipts that end there.
func (c *btcChain) bury(n int, receipts ...*BitcoinReceipt) {
	for range n {
		last := c.headers[len(c.headers)-1]
		c.mine(last.Time()+600_000, [32]byte{8})
	}
	for _, r := range receipts {
		r.Following = slices.Clone(c.headers[r.Height+1:])
	}
}

func (c *btcChain) file() *BitcoinHeaders {
	h, err := NewBitcoinHeaders(BitcoinRegtest, 0, slices.Clone(c.headers))
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// root is that of the site's log of this size.
func (s *site) root(size int) []byte {
	r := merkle.RootOf(s.log[:size])
	return r[:]
}

// with replaces a file's receipts, all of its first head.
func with(f *File, receipts ...Receipt) *File {
	f.Receipts = receipts
	return f
}

func btc(t testing.TB, r BitcoinReceipt) Receipt {
	return Receipt{Route: "bitcoin:regtest", Kind: KindBitcoin, Data: mustMarshal(t, r)}
}

// viaCalendar is the OpenTimestamps proof of what a Bitcoin receipt shows, with
// the block or without, and a promise of another calendar beside it.
func viaCalendar(t testing.TB, r BitcoinReceipt, root []byte, blocks bool, promise string) Receipt {
	t.Helper()
	stamp, err := BitcoinTimestamp(r, [32]byte(root))
	if err != nil {
		t.Fatal(err)
	}
	if promise != "" {
		att, err := PendingAttestation(promise)
		if err != nil {
			t.Fatal(err)
		}
		if err := stamp.Attest(att); err != nil {
			t.Fatal(err)
		}
	}
	o := OTSReceipt{Network: r.Network, Timestamp: mustMarshal(t, stamp)}
	if blocks {
		o.Blocks = []OTSBlock{{r.Height, r.Header, r.Following}}
	}
	return Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, o)}
}

// promised is an OpenTimestamps proof of which no block is known.
func promised(t testing.TB, root []byte, uri string) Receipt {
	t.Helper()
	stamp := NewTimestamp(bytes.Clone(root))
	att, err := PendingAttestation(uri)
	if err != nil {
		t.Fatal(err)
	}
	if err := stamp.Attest(att); err != nil {
		t.Fatal(err)
	}
	return Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp)})}
}

// only is the site's policy with one route.
func (s *site) only(p Place) *Policy {
	return &Policy{Ledger: s.id, Key: s.policy().Key, Late: 2 * time.Hour, Routes: []Route{{"x", p}}, Quorum: "x"}
}

func shown(h BitcoinHeader) [32]byte { return reversed(h.Hash()) }

var regtestRoute = BitcoinRoute{Network: BitcoinRegtest, Script: siteScript, Depth: 3}

// TestBitcoinAnchors holds what makes a Bitcoin receipt count, and what does
// not.
func TestBitcoinAnchors(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 3, slot: 2, at: 1}
	chain := newBTCChain(t)
	blockTime := siteStart + 20*60_000
	r := chain.anchor(s.root(5), siteScript, blockTime)
	chain.bury(1)
	shallow := chain.file()
	chain.bury(1, &r)
	deep := chain.file()
	fork := newBTCChain(t)
	for len(fork.headers) < len(chain.headers) {
		fork.mine(blockTime+1000, [32]byte{7})
	}
	loose, err := NewBitcoinHeaders(BitcoinRegtest, 2, chain.headers[2:])
	if err != nil {
		t.Fatal(err)
	}
	deeper := regtestRoute
	deeper.Depth = 4
	other := regtestRoute
	other.Script = btcScript
	signet := regtestRoute
	signet.Network = BitcoinSignet
	bare := r
	bare.Following = nil
	for _, c := range []struct {
		name    string
		receipt BitcoinReceipt
		place   Place
		trust   HeaderTrust
		level   Level
		code    Code
		words   string // in the reason, or how it is trusted
	}{
		{"headers file", r, regtestRoute, deep, LevelAnchored, "", "3 deep under work of 2^2 hashes, and the file contains the genesis block"},
		{"headers file, bare receipt", bare, regtestRoute, AnyTrust{Pinned{}, deep}, LevelAnchored, "", "3 deep"},
		{"not deep enough in the file", r, deeper, deep, LevelPending, CodeNotTrusted, "it is one of the newest 3 in the headers file, final as one of 4"},
		{"file ends too early", bare, regtestRoute, shallow, LevelPending, CodeNotTrusted, "one of the newest 2"},
		{"receipt's own headers are no trust", r, regtestRoute, nil, LevelPending, CodeNotTrusted, shownHash(r.Header.Hash())},
		{"another chain", r, regtestRoute, fork.file(), LevelPending, CodeNotTrusted, "in the headers file block 4 is another"},
		{"file tied to nothing", r, regtestRoute, loose, LevelPending, CodeNotTrusted, "begins at block 2"},
		{"its hash given", bare, regtestRoute, Pinned{shown(r.Header)}, LevelAnchored, "", "was given"},
		{"its hash given in internal order", bare, regtestRoute, Pinned{r.Header.Hash()}, LevelPending, CodeNotTrusted, ""},
		{"the hash of one that follows", r, regtestRoute, Pinned{shown(r.Following[1])}, LevelAnchored, "", "block 6, which follows it"},
		{"the hash of one that follows elsewhere", bare, regtestRoute, Pinned{shown(r.Following[1])}, LevelPending, CodeNotTrusted, ""},
		{"another script", r, other, deep, LevelLogged, CodeNoRoute, "no receipt for it is of a place that the policy asks for"},
		{"another network", r, signet, deep, LevelLogged, CodeNoRoute, ""},
		{"Ethereum's policy", r, s.place(), deep, LevelLogged, CodeNoRoute, ""},
		{"calendars' policy", r, OTSRoute{Network: BitcoinRegtest}, deep, LevelLogged, CodeNoRoute, ""},
	} {
		v := VerifyBytes(mustEncode(t, with(s.file(t, 5, p), btc(t, c.receipt))), Options{Policy: s.only(c.place), Trust: c.trust})
		if v.Level != c.level || v.Code != c.code || len(v.Anchors) != 1 || !strings.Contains(v.Reason+v.Anchors[0].How, c.words) {
			t.Errorf("%s: %v %q, want %v %q with %q:\n%s", c.name, v.Level, v.Code, c.level, c.code, c.words, v.Text())
		}
	}

	v := Verify(with(s.file(t, 5, p), btc(t, r)), Options{Policy: s.only(regtestRoute), Trust: deep})
	a := v.Anchors[0]
	if a.Route != "bitcoin:regtest" || a.Name != "x" || a.Network != "regtest" || a.Block != 4 || a.Depth != 3 || a.Work != "6" ||
		a.TxID != shownHash(sha256d(r.Tx)) || a.Hash != shownHash(r.Header.Hash()) || a.Merkle != shownHash(r.Header.Merkle()) || a.Contract != "" {
		t.Errorf("anchor %+v", a)
	}
	if a.Time != timeText(blockTime) || a.Earliest != timeText(blockTime-7200_000) || a.Latest != timeText(blockTime+7200_000) {
		t.Errorf("interval %s in %s to %s", a.Time, a.Earliest, a.Latest)
	}
	if v.NotAfter == nil || v.NotAfter.ms != blockTime+7200_000 || v.NotAfter.Slack != "2h0m0s" {
		t.Errorf("not after %+v", v.NotAfter)
	}
	for _, words := range []string{"that of bitcoin:regtest's blocks is worth nothing", "who made a Bitcoin anchor", "it is trusted because it is in the headers file"} {
		if !has(v.NotChecked, words) {
			t.Errorf("no %q in %q", words, v.NotChecked)
		}
	}
	for _, words := range []string{"worth nothing on this network", "whose time may be 2h0m0s off", "transaction " + a.TxID} {
		if !strings.Contains(v.Text(), words) {
			t.Errorf("no %q in\n%s", words, v.Text())
		}
	}
	var back Verdict
	if err := json.Unmarshal(v.JSON(), &back); err != nil || back.Anchors[0].TxID != a.TxID || back.Routes[0].Level != LevelAnchored {
		t.Errorf("JSON: %v, %+v", err, back.Anchors)
	}
}

// TestBitcoinFaults gives each way in which a receipt is false its name.
func TestBitcoinFaults(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	elsewhere := chain.anchor(s.root(4), siteScript, siteStart+21*60_000)
	chain.bury(2, &r, &elsewhere)
	for _, c := range []struct {
		name   string
		change func(*Receipt, *BitcoinReceipt)
		want   Code
	}{
		{"root", func(_ *Receipt, b *BitcoinReceipt) { *b = elsewhere }, CodeReceiptRoot},
		{"route", func(r *Receipt, _ *BitcoinReceipt) { r.Route = "bitcoin:mainnet" }, CodeReceiptRoute},
		{"route of calendars", func(r *Receipt, _ *BitcoinReceipt) { r.Route = "ots" }, CodeReceiptRoute},
		{"transaction", func(_ *Receipt, b *BitcoinReceipt) { b.Tx = b.Tx[:len(b.Tx)-1] }, CodeTransaction},
		{"lock time", func(_ *Receipt, b *BitcoinReceipt) { b.Tx[len(b.Tx)-1] ^= 1 }, CodeBranch},
		{"branch", func(_ *Receipt, b *BitcoinReceipt) { b.Branch[0][0] ^= 1 }, CodeBranch},
		{"header", func(_ *Receipt, b *BitcoinReceipt) { unmine(&b.Header) }, CodeBlockHeader},
		{"header that follows", func(_ *Receipt, b *BitcoinReceipt) { b.Following = b.Following[1:] }, CodeBlockHeader},
		{"height", func(_ *Receipt, b *BitcoinReceipt) { b.Height = 0 }, CodeBlockHeader},
		{"network", func(r *Receipt, b *BitcoinReceipt) { b.Network, r.Route = "moon", "bitcoin:moon" }, CodeReceipt},
	} {
		b := r
		b.Tx, b.Branch, b.Following = bytes.Clone(r.Tx), slices.Clone(r.Branch), slices.Clone(r.Following)
		receipt := btc(t, r)
		c.change(&receipt, &b)
		receipt.Data = mustMarshal(t, b)
		f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), receipt)
		t.Run(c.name, func(t *testing.T) {
			wantRefused(t, Verify(f, Options{Policy: s.only(regtestRoute), Trust: chain.file()}), c.want)
		})
	}
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), btc(t, r))
	f.Receipts[0].Data = f.Receipts[0].Data[1:]
	wantRefused(t, Verify(f, Options{Policy: s.only(regtestRoute)}), CodeReceipt)
}

// TestCalendars: an OpenTimestamps receipt counts only through a header that
// the verifier trusts; a calendar's word does not.
func TestCalendars(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 3, slot: 2, at: 1}
	chain := newBTCChain(t)
	blockTime := siteStart + 20*60_000
	r := chain.anchor(s.root(5), btcScript, blockTime)
	chain.bury(2, &r)
	fork := newBTCChain(t)
	for len(fork.headers) < len(chain.headers) {
		fork.mine(blockTime, [32]byte{7})
	}
	place := OTSRoute{Network: BitcoinRegtest, Depth: 3}
	const uri = "https://alice.example/cal"
	root := s.root(5)
	for _, c := range []struct {
		name    string
		receipt Receipt
		place   Place
		trust   HeaderTrust
		level   Level
		code    Code
		words   string
	}{
		{"with its block", viaCalendar(t, r, root, true, ""), place, chain.file(), LevelAnchored, "", "3 deep"},
		{"without its block", viaCalendar(t, r, root, false, ""), place, chain.file(), LevelAnchored, "", "3 deep"},
		{"without its block, one of several sources", viaCalendar(t, r, root, false, ""), place, AnyTrust{Pinned{}, chain.file()}, LevelAnchored, "", "3 deep"},
		{"with a promise beside it", viaCalendar(t, r, root, false, uri), place, chain.file(), LevelAnchored, "", "3 deep"},
		{"too shallow", viaCalendar(t, r, root, false, ""), OTSRoute{Network: BitcoinRegtest}, chain.file(), LevelPending, CodeNotTrusted, "final as one of 6"},
		{"block's hash given", viaCalendar(t, r, root, true, ""), place, Pinned{shown(r.Header)}, LevelAnchored, "", "was given"},
		{"no block and a hash", viaCalendar(t, r, root, false, ""), place, Pinned{shown(r.Header)}, LevelPending, CodeNotTrusted, "merkle root " + shownHash(r.Header.Merkle())},
		{"no block and no trust", viaCalendar(t, r, root, false, ""), place, nil, LevelPending, CodeNotTrusted, "nobody trusted"},
		{"a block that nobody trusts", viaCalendar(t, r, root, true, uri), place, nil, LevelPending, CodeNotTrusted, "nobody trusted"},
		{"block of another chain", viaCalendar(t, r, root, false, ""), place, fork.file(), LevelPending, CodeNotTrusted, "has other transactions"},
		{"promise", promised(t, root, uri), place, chain.file(), LevelPending, CodePromise, uri},
		{"promise without trust", promised(t, root, uri), place, nil, LevelPending, CodePromise, uri},
		{"policy of another network", viaCalendar(t, r, root, true, ""), OTSRoute{Network: BitcoinMainnet}, chain.file(), LevelLogged, CodeNoRoute, ""},
		{"policy of a script", viaCalendar(t, r, root, true, ""), BitcoinRoute{Network: BitcoinRegtest, Script: btcScript}, chain.file(), LevelLogged, CodeNoRoute, ""},
	} {
		v := VerifyBytes(mustEncode(t, with(s.file(t, 5, p), c.receipt)), Options{Policy: s.only(c.place), Trust: c.trust})
		if v.Level != c.level || v.Code != c.code || !strings.Contains(v.Reason+v.Anchors[0].How, c.words) {
			t.Errorf("%s: %v %q, want %v %q with %q:\n%s", c.name, v.Level, v.Code, c.level, c.code, c.words, v.Text())
		}
		if strings.Contains(c.name, "promise") && (!strings.Contains(v.Text(), "promised by "+uri) || !has(v.NotChecked, "what a calendar promises ("+uri)) {
			t.Errorf("%s: the promise is not named:\n%s", c.name, v.Text())
		}
		if (c.level == LevelAnchored) != (v.NotAfter != nil && v.NotAfter.Time == timeText(blockTime+7200_000)) {
			t.Errorf("%s: not after %+v", c.name, v.NotAfter)
		}
	}

	for _, c := range []struct {
		name    string
		receipt Receipt
		want    Code
	}{
		{"route", Receipt{Route: "bitcoin:regtest", Kind: KindOTS, Data: viaCalendar(t, r, root, true, "").Data}, CodeReceiptRoute},
		{"data", Receipt{Route: "ots", Kind: KindOTS, Data: []byte{0x80}}, CodeReceipt},
		{"another's block", otsWith(t, r, root, func(o *OTSReceipt) { o.Blocks[0].Header, o.Blocks[0].Following = fork.headers[4], nil }), CodeBranch},
		{"block without work", otsWith(t, r, root, func(o *OTSReceipt) { unmine(&o.Blocks[0].Header) }), CodeBlockHeader},
		{"network", otsWith(t, r, root, func(o *OTSReceipt) { o.Network = "moon" }), CodeReceipt},
	} {
		f := with(s.file(t, 5, p), c.receipt)
		t.Run(c.name, func(t *testing.T) {
			wantRefused(t, Verify(f, Options{Policy: s.only(place), Trust: chain.file()}), c.want)
		})
	}
	// Of another root the path leads elsewhere, to no block that there is.
	f := with(s.file(t, 4, pick{window: 2, slot: 2, at: 1}), viaCalendar(t, r, root, false, ""))
	if v := Verify(f, Options{Policy: s.only(place), Trust: chain.file()}); v.Level != LevelPending || v.Code != CodeNotTrusted {
		t.Error(v.Text())
	}
}

func otsWith(t testing.TB, r BitcoinReceipt, root []byte, change func(*OTSReceipt)) Receipt {
	t.Helper()
	receipt := viaCalendar(t, r, root, true, "")
	o, err := ParseOTSReceipt(receipt.Data)
	if err != nil {
		t.Fatal(err)
	}
	change(&o)
	receipt.Data = mustMarshal(t, o)
	return receipt
}

// TestQuorum: a batch has the level of the k-th best, and the reason says what
// is missing.
func TestQuorum(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 3, slot: 2, at: 1}
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	chain.bury(2, &r)
	eth := s.file(t, 5, p).Receipts[0]
	root := s.root(5)
	calendar, promise := viaCalendar(t, r, root, false, ""), promised(t, root, "https://a.example")
	ethTrust, btcTrust := s.pinned(t, 5), chain.file()
	both := AnyTrust{ethTrust, btcTrust}
	ethLate := int64(s.block.Time)*1000 - (siteStart + 4*siteWindow) // after the window's end
	route := []Route{{"eth", s.place()}, {"btc", regtestRoute}, {"cal", OTSRoute{Network: BitcoinRegtest, Depth: 3}}}
	all := func(need int, members ...string) []Group { return []Group{{"q", need, members}} }
	for _, c := range []struct {
		name     string
		groups   []Group
		quorum   string
		late     time.Duration
		receipts []Receipt
		trust    HeaderTrust
		level    Level
		code     Code
		words    string
		after    string // route whose block bounds it
	}{
		{"two of two", all(2, "eth", "btc"), "q", 0, []Receipt{eth, btc(t, r)}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"one of two is not trusted", all(2, "eth", "btc"), "q", 0, []Receipt{eth, btc(t, r)}, ethTrust, LevelPending, CodeNotTrusted, "1 of 2: btc (bitcoin:regtest) is pending; nobody trusted says that block 4 of bitcoin:regtest", ""},
		{"one of two is not there", all(2, "eth", "btc"), "q", 0, []Receipt{btc(t, r)}, both, LevelLogged, CodeNoReceipt, "1 of 2: eth (ethereum:1) is not anchored", ""},
		{"none of two is there", all(2, "eth", "btc"), "q", 0, nil, both, LevelLogged, CodeNoReceipt, "0 of 2: eth (ethereum:1) is not anchored, btc (bitcoin:regtest) is not anchored", ""},
		{"two of three", all(2, "eth", "btc", "cal"), "q", 0, []Receipt{eth, calendar}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"two of three by Bitcoin", all(2, "eth", "btc", "cal"), "q", 0, []Receipt{btc(t, r), calendar}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"two of three and a promise", all(2, "eth", "btc", "cal"), "q", 0, []Receipt{eth, promise}, both, LevelPending, CodePromise, "1 of 2: btc (bitcoin:regtest) is not anchored, cal (ots) is pending; there is no more than a calendar's promise", ""},
		{"any of two", all(1, "eth", "btc"), "q", 0, []Receipt{btc(t, r)}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"any takes the earlier bound", all(1, "eth", "btc"), "q", 0, []Receipt{eth, btc(t, r)}, both, LevelAnchored, "", "", "ethereum:1"},
		{"any of two is there and not trusted", all(1, "eth", "btc"), "q", 0, []Receipt{eth, btc(t, r)}, nil, LevelPending, CodeNotTrusted, "nobody trusted", ""},
		{"one route of three", nil, "btc", 0, []Receipt{eth, btc(t, r)}, ethTrust, LevelPending, CodeNotTrusted, "nobody trusted says that block 4 of bitcoin", ""},
		{"route outside of the quorum", nil, "btc", 0, []Receipt{eth}, both, LevelLogged, CodeNoReceipt, "no receipt", ""},
		{"none", nil, QuorumNone, 0, []Receipt{eth, btc(t, r)}, both, LevelLogged, CodeNoQuorum, "asks for no anchor", ""},
		{"group in a group", []Group{{"b", 1, []string{"btc", "cal"}}, {"q", 2, []string{"eth", "b"}}}, "q", 0, []Receipt{eth, calendar}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"group in a group short", []Group{{"b", 2, []string{"btc", "cal"}}, {"q", 2, []string{"eth", "b"}}}, "q", 0, []Receipt{eth, calendar}, both, LevelLogged, CodeNoReceipt, "1 of 2: b is not anchored", ""},
		{"any of groups says the better one's", []Group{{"a", 2, []string{"eth", "btc"}}, {"q", 1, []string{"a", "cal"}}}, "q", 0, []Receipt{eth, btc(t, r)}, ethTrust, LevelPending, CodeNotTrusted, "1 of 2: btc (bitcoin:regtest) is pending", ""},
		{"one late of two", all(2, "eth", "btc"), "q", time.Duration(ethLate-1) * time.Millisecond, []Receipt{eth, btc(t, r)}, both, LevelLate, CodeLate, "1 of 2: eth (ethereum:1) is late; it was anchored", "bitcoin:regtest"},
		{"one late, any", all(1, "eth", "btc"), "q", time.Duration(ethLate-1) * time.Millisecond, []Receipt{eth, btc(t, r)}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"none late", all(2, "eth", "btc"), "q", time.Duration(ethLate) * time.Millisecond, []Receipt{eth, btc(t, r)}, both, LevelAnchored, "", "", "bitcoin:regtest"},
		{"one cannot be asked, of two", all(2, "eth", "btc"), "q", 0, []Receipt{eth, btc(t, r)}, AnyTrust{says{errors.New("down")}, btcTrust}, LevelPending, CodeTrustFailed, "1 of 2: eth (ethereum:1) is pending; block", ""},
	} {
		policy := &Policy{Ledger: s.id, Key: s.policy().Key, Routes: route, Groups: c.groups, Quorum: c.quorum, Late: c.late}
		if _, err := ParsePolicy(policy.Append(nil)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		v := Verify(with(s.file(t, 5, p), c.receipts...), Options{Policy: policy, Trust: c.trust})
		if v.Level != c.level || v.Code != c.code || !strings.Contains(v.Reason, c.words) {
			t.Errorf("%s: %v %q, want %v %q with %q:\n%s", c.name, v.Level, v.Code, c.level, c.code, c.words, v.Text())
		}
		if after := v.NotAfter; (after == nil) != (c.after == "") || after != nil && after.Route != c.after {
			t.Errorf("%s: not after %+v, want one of %q", c.name, after, c.after)
		}
		if len(v.Routes) != 3 || v.Level < LevelAnchored && v.Next == "" {
			t.Errorf("%s: routes %+v, next %q", c.name, v.Routes, v.Next)
		}
	}
}

// TestQuorumOutcome: what could not be asked might have been enough, or not.
func TestQuorumOutcome(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	p := pick{window: 3, slot: 2, at: 1}
	f := s.file(t, 5, p)
	f.Receipts = append(f.Receipts, btc(t, r))
	policy := s.policy()
	policy.Routes = []Route{{"eth", s.place()}, {"btc", regtestRoute}}
	policy.Quorum = "q"
	down := ethereumDown{}
	for need, want := range map[int]Outcome{1: Unchecked, 2: Refused} {
		policy.Groups = []Group{{"q", need, []string{"eth", "btc"}}}
		if v := Verify(f, Options{Policy: policy, Trust: down}); v.Outcome != want {
			t.Errorf("%d needed of one that is down and one that is not trusted: %v, want %v", need, v.Outcome, want)
		}
	}
}

// ethereumDown cannot be asked about Ethereum's blocks.
type ethereumDown struct{}

func (ethereumDown) Trusted(route string, _ uint64, _ [32]byte) (string, bool, error) {
	if isEthereum(route) {
		return "", false, errors.New("connection refused")
	}
	return "", false, nil
}

// TestBadQuorum: a policy that was not read, but made wrongly by hand, grants
// nothing.
func TestBadQuorum(t *testing.T) {
	s := newSite("a").build(5)
	f := s.file(t, 5, pick{window: 3, slot: 2, at: 1})
	for _, g := range []Group{{"q", 0, []string{"eth"}}, {"q", 2, []string{"eth"}}, {"q", 1, []string{"moon"}}, {"q", 1, []string{"q"}}, {"q", 1, nil}, {"r", 1, []string{"eth"}}} {
		p := s.policy()
		p.Routes[0].Name, p.Groups, p.Quorum = "eth", []Group{g}, "q"
		if v := Verify(f, Options{Policy: p, Trust: s.pinned(t, 5)}); v.Level != LevelLogged || v.Code != CodeNoQuorum {
			t.Errorf("%+v: %v %q", g, v.Level, v.Code)
		}
	}
}

// TestClock: the verdict tells how wrong the gateway's clock was, at least.
func TestClock(t *testing.T) {
	p := pick{window: 3, slot: 2, at: 0}
	opened := siteStart + 3*siteWindow
	chain := newBTCChain(t)
	seen := chain.mine(opened+3*3600_000, [32]byte{5}) // three hours after the window opened
	for _, c := range []struct {
		name   string
		seen   []ledger.Seen
		anchor int64 // block's time
		want   string
		words  string
	}{
		{"well", []ledger.Seen{{Route: "ethereum:1", Height: 5, Time: opened - 12_000}}, opened + 20*60_000, "", ""},
		{"ahead within the slack", nil, opened, "", ""},
		{"ahead", nil, opened - 3*3600_000, "bitcoin:regtest 1h1m0s  true", "at least 1h1m0s ahead of bitcoin:regtest"},
		{"behind within the slack", []ledger.Seen{{Route: "bitcoin:regtest", Height: 5, Time: opened + 7200_000}}, opened + 7200_000, "", ""},
		{"behind, claimed", []ledger.Seen{{Route: "bitcoin:regtest", Height: 5, Time: opened + 7201_000}}, opened + 8000_000, "bitcoin:regtest  1s false", "at least 1s behind bitcoin:regtest, by a block that only the ledger names"},
		{"behind, confirmed", []ledger.Seen{{Route: "bitcoin:regtest", Height: uint64(seen), Hash: chain.headers[seen].Hash(), Time: chain.headers[seen].Time()}}, opened + 4*3600_000, "bitcoin:regtest  1h0m0s true", "at least 1h0m0s behind bitcoin:regtest"},
		{"behind Ethereum's", []ledger.Seen{{Route: "ethereum:1", Height: 5, Time: opened + 90_000}}, opened + 3600_000, "ethereum:1  1m30s false", "at least 1m30s behind ethereum:1"},
		{"behind a chain of nobody's", []ledger.Seen{{Route: "moon", Height: 5, Time: opened + 1e9}}, opened + 3600_000, "", ""},
	} {
		s := newSite("a")
		s.header = func(h *ledger.Header) { h.Seen = nil }
		if c.seen != nil {
			s.header = func(h *ledger.Header) {
				if h.Seen = nil; h.Index == 3 {
					h.Seen = c.seen
				}
			}
		}
		s.build(5)
		line := &btcChain{t, slices.Clone(chain.headers)}
		if c.anchor < chain.headers[seen].Time() {
			line = newBTCChain(t)
			line.headers = line.headers[:1]
		}
		r := line.anchor(s.root(5), siteScript, c.anchor)
		line.bury(6, &r)
		v := Verify(with(s.file(t, 5, p), btc(t, r)), Options{Policy: s.only(regtestRoute), Trust: AnyTrust{line.file()}})
		got := ""
		for _, at := range v.Clock {
			got += strings.Join([]string{at.Route, at.Ahead, at.Behind, map[bool]string{true: "true", false: "false"}[at.Confirmed]}, " ")
		}
		if got != c.want || v.Level != LevelAnchored && v.Level != LevelLate {
			t.Errorf("%s: %q, want %q\n%s", c.name, got, c.want, v.Text())
		}
		if c.words != "" && (!strings.Contains(v.Text(), "clock       the gateway's was "+c.words) || !has(v.NotChecked, c.words)) {
			t.Errorf("%s: no %q in\n%s", c.name, c.words, v.Text())
		}
	}
}

// TestNotBeforeBitcoin: a Bitcoin block that a header names bounds by its time
// less the slack, and is confirmed by the headers file.
func TestNotBeforeBitcoin(t *testing.T) {
	chain := newBTCChain(t)
	seen := chain.mine(siteStart-60_000, [32]byte{5})
	s := newSite("a")
	s.header = func(h *ledger.Header) {
		h.Seen = []ledger.Seen{{Route: "bitcoin:regtest", Height: uint64(seen), Hash: chain.headers[seen].Hash(), Time: chain.headers[seen].Time()}}
	}
	s.build(5)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	chain.bury(6, &r)
	v := Verify(with(s.file(t, 5, pick{window: 3, slot: 2, at: 0}), btc(t, r)), Options{Policy: s.only(regtestRoute), Trust: AnyTrust{chain.file()}})
	if b := v.NotBefore; b == nil || !b.Confirmed || b.ms != siteStart-60_000-7200_000 || b.Hash != shownHash(chain.headers[seen].Hash()) {
		t.Errorf("not before %+v", b)
	}
	if v.Level != LevelAnchored {
		t.Error(v.Text())
	}
}

// TestParseTrust: both kinds of headers files are read, and what is neither is
// told so.
func TestParseTrust(t *testing.T) {
	s := newSite("a").build(5)
	if h, err := ParseTrust(AppendHeader(nil, 1, s.receipt(t, 5).Header)); err != nil || h.(*Headers).Len() != 1 {
		t.Errorf("Ethereum's: %v", err)
	}
	file := newBTCChain(t).file().File()
	if h, err := ParseTrust(file); err != nil || h.(*BitcoinHeaders).Len() != 4 {
		t.Errorf("Bitcoin's: %v", err)
	}
	if _, err := ParseTrust(file[:len(file)-1]); !errors.Is(err, ErrBitcoinHeaders) {
		t.Errorf("Bitcoin's cut: %v", err)
	}
	for _, b := range [][]byte{nil, []byte("hello"), binary.BigEndian.AppendUint64(nil, 0xfffefdfcfbfaf9f8), s.policy().Append(nil)} {
		if _, err := ParseTrust(b); !errors.Is(err, ErrHeaders) {
			t.Errorf("%.20q: %v", b, err)
		}
	}
}

// TestManyAttestations: a proof may claim blocks by a few bytes each. So many
// are no proof, and those that are read cost little.
func TestManyAttestations(t *testing.T) {
	s := newSite("a").build(5)
	stamp := NewTimestamp(s.root(5))
	const each = 4000
	for i := range uint32(each) {
		if err := stamp.Attest(BitcoinAttestation(i)); err != nil {
			t.Fatal(err)
		}
	}
	receipt := Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp)})}
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}))
	o := Options{Policy: s.only(OTSRoute{Network: BitcoinRegtest}), Trust: newBTCChain(t).file()}
	begun := time.Now()
	for len(f.Receipts) < maxBlocks/each {
		f.Receipts = append(f.Receipts, receipt)
	}
	if v := Verify(f, o); v.Level != LevelPending || len(v.Anchors) != maxBlocks/each*each {
		t.Errorf("%v, %d anchors", v.Level, len(v.Anchors))
	}
	f.Receipts = append(f.Receipts, receipt)
	wantRefused(t, Verify(f, o), CodeReceipt)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
