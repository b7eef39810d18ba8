package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// askedDeep counts questions for a block.
type askedDeep struct {
	HeaderTrust
	n int
}

func (a *askedDeep) TrustedDeep(route string, height uint64, hash [32]byte, depth uint64) (string, bool, error) {
	a.n++
	return "", false, nil
}

// TestManyPaths: appending and prepending in any order leads to one message, so
// that a few bytes make many attestations of one block, under which a thousand
// headers may stand. They are checked and asked about once.
func TestManyPaths(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	stamp, height := NewTimestamp(s.root(5)), uint32(len(chain.headers))
	var top [32]byte
	var paths func(ops []OTSOp, appends, prepends int)
	paths = func(ops []OTSOp, appends, prepends int) {
		if appends > 0 {
			paths(append(slices.Clone(ops), OTSOp{OTSAppend, []byte{2}}), appends-1, prepends)
		}
		if prepends > 0 {
			paths(append(slices.Clone(ops), OTSOp{OTSPrepend, []byte{1}}), appends, prepends-1)
		}
		if appends > 0 || prepends > 0 {
			return
		}
		end, err := stamp.Path(append(ops, OTSOp{Tag: OTSSHA256})...)
		if err != nil {
			t.Fatal(err)
		}
		if err := end.Attest(BitcoinAttestation(height)); err != nil {
			t.Fatal(err)
		}
		top = [32]byte(end.Message())
	}
	paths(nil, 4, 4)
	chain.mine(siteStart, top)
	chain.bury(100)
	o := OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp), Blocks: []OTSBlock{{height, chain.headers[height], chain.headers[height+1:]}}}
	facts, err := VerifyOTS(o, [32]byte(s.root(5)))
	if err != nil || len(facts) != 70 || facts[0].Work != facts[69].Work {
		t.Fatalf("%d attestations, %v; their headers are checked again", len(facts), err)
	}
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, o)})
	asked := askedDeep{HeaderTrust: Pinned{}}
	v := Verify(f, Options{Policy: s.only(OTSRoute{Network: BitcoinRegtest}), Trust: &asked})
	if v.Level != LevelPending || len(v.Anchors) != 70 || asked.n > 101 {
		t.Errorf("%v, %d anchors, %d questions about 101 blocks", v.Level, len(v.Anchors), asked.n)
	}
	for _, trust := range []HeaderTrust{Pinned{shown(chain.headers[height])}, chain.file()} {
		v = Verify(f, Options{Policy: s.only(OTSRoute{Network: BitcoinRegtest}), Trust: trust})
		if i := slices.IndexFunc(v.Anchors, func(a AnchorVerdict) bool { return !a.Trusted || a.How == "" }); v.Level != LevelAnchored || i >= 0 {
			t.Errorf("%v, anchor %d", v.Level, i)
		}
	}
}

// TestTwoHeights: a block that is shown at its height and at another is trusted
// at its own.
func TestTwoHeights(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), btcScript, siteStart+20*60_000)
	chain.bury(2, &r)
	other := r
	other.Height = 1
	stamp, err := BitcoinTimestamp(r, [32]byte(s.root(5)))
	if err != nil {
		t.Fatal(err)
	}
	claim, err := BitcoinTimestamp(other, [32]byte(s.root(5)))
	if err != nil {
		t.Fatal(err)
	}
	if err := stamp.Merge(claim); err != nil {
		t.Fatal(err)
	}
	o := OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp), Blocks: []OTSBlock{{1, r.Header, r.Following}, {r.Height, r.Header, r.Following}}}
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, o)})
	v := Verify(f, Options{Policy: s.only(OTSRoute{Network: BitcoinRegtest, Depth: 3}), Trust: chain.file()})
	if len(v.Anchors) != 2 || v.Level != LevelAnchored || v.NotAfter.Block != uint64(r.Height) {
		t.Fatal(v.Text())
	}
	for _, a := range v.Anchors {
		if a.Trusted != (a.Block == uint64(r.Height)) {
			t.Errorf("block %d: trusted %v", a.Block, a.Trusted)
		}
	}
}

// TestSaysNothing: a timestamp with neither a Bitcoin block nor a promise is no
// anchor to wait for.
func TestSaysNothing(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 3, slot: 2, at: 1}
	for _, a := range []OTSAttestation{{Kind: OTSLitecoin, Height: 5}, {Kind: OTSEthereum, Height: 5}, {Tag: [8]byte{1}, Payload: []byte("moon")}} {
		stamp := NewTimestamp(s.root(5))
		if err := stamp.Attest(a); err != nil {
			t.Fatal(err)
		}
		r := Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp)})}
		for _, policy := range []*Policy{nil, s.only(OTSRoute{Network: BitcoinRegtest})} {
			v := Verify(with(s.file(t, 5, p), r), Options{Policy: policy})
			if v.Level != LevelLogged || v.Code != CodeNoReceipt || !strings.Contains(v.Text(), "neither a block nor a promise of one") {
				t.Errorf("%v: %v %q\n%s", a, v.Level, v.Code, v.Text())
			}
		}
	}
}

// TestStaleHeaders: of several headers files the one that has a calendar's block
// counts, whatever stands at that height in those before it.
func TestStaleHeaders(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	stale := newBTCChain(t)
	r := chain.anchor(s.root(5), btcScript, siteStart+20*60_000)
	stale.mine(siteStart+20*60_000, [32]byte{7})
	short := chain.file()
	chain.bury(2)
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), viaCalendar(t, r, s.root(5), false, ""))
	loose, err := NewBitcoinHeaders(BitcoinRegtest, 2, chain.headers[2:])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		trust AnyTrust
		want  Level
	}{
		{"a stale one first", AnyTrust{stale.file(), chain.file()}, LevelAnchored},
		{"a stale one last", AnyTrust{chain.file(), stale.file()}, LevelAnchored},
		{"an older one first", AnyTrust{short, chain.file()}, LevelAnchored},
		{"one tied to nothing first", AnyTrust{loose, AnyTrust{chain.file()}}, LevelAnchored},
		{"the stale one alone", AnyTrust{stale.file()}, LevelPending},
		{"a stale one and one tied to nothing", AnyTrust{stale.file(), loose}, LevelPending},
	} {
		if v := Verify(f, Options{Policy: s.only(OTSRoute{Network: BitcoinRegtest, Depth: 3}), Trust: c.trust}); v.Level != c.want {
			t.Errorf("%s: %v, want %v: %s", c.name, v.Level, c.want, v.Reason)
		}
	}
}

// TestOneTransaction: what looks like two anchors in one Bitcoin block may be
// one, and the verdict says so.
func TestOneTransaction(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	other := chain.anchor(s.root(5), btcScript, siteStart+30*60_000)
	chain.bury(2)
	policy := s.only(regtestRoute)
	policy.Routes = append(policy.Routes, Route{"cal", OTSRoute{Network: BitcoinRegtest, Depth: 3}})
	policy.Groups, policy.Quorum = []Group{{"both", 2, []string{"x", "cal"}}}, "both"
	const words = "that x (bitcoin:regtest) and cal (ots) stand for two anchors: both rest on block 4 of bitcoin:regtest"
	for _, via := range []BitcoinReceipt{r, other} {
		f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), btc(t, r), viaCalendar(t, via, s.root(5), false, ""))
		v := Verify(f, Options{Policy: policy, Trust: chain.file()})
		if v.Level != LevelAnchored || has(v.NotChecked, words) != (via.Height == r.Height) {
			t.Errorf("by block %d: %v, %q", via.Height, v.Level, v.NotChecked)
		}
	}
}

// TestCheapWork: the first line says when a level rests on a network where
// anyone can make blocks, and only then; so does the JSON.
func TestCheapWork(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 3, slot: 2, at: 1}
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	late := chain.anchor(s.root(5), siteScript, siteStart+10*3600_000)
	chain.bury(2)
	eth := s.file(t, 5, p).Receipts[0]
	policy := func(need int, routes ...Route) *Policy {
		o := s.only(regtestRoute)
		o.Routes, o.Groups, o.Quorum = routes, []Group{{"q", need, nil}}, "q"
		for _, r := range routes {
			o.Groups[0].Members = append(o.Groups[0].Members, r.Name)
		}
		return o
	}
	e, b := Route{"eth", s.place()}, Route{"btc", regtestRoute}
	for _, c := range []struct {
		name     string
		policy   *Policy
		receipts []Receipt
		trust    HeaderTrust
		level    Level
		want     bool
	}{
		{"regtest", policy(1, b), []Receipt{btc(t, r)}, chain.file(), LevelAnchored, true},
		{"late on regtest", policy(1, b), []Receipt{btc(t, late)}, chain.file(), LevelLate, true},
		{"a calendar's", s.only(OTSRoute{Network: BitcoinRegtest, Depth: 3}), []Receipt{viaCalendar(t, r, s.root(5), false, "")}, chain.file(), LevelAnchored, true},
		{"without a policy", nil, []Receipt{btc(t, r)}, Pinned{shown(r.Header)}, LevelAnchored, true},
		{"not trusted", policy(1, b), []Receipt{btc(t, r)}, nil, LevelPending, false},
		{"both", policy(2, e, b), []Receipt{eth, btc(t, r)}, AnyTrust{s.pinned(t, 5), chain.file()}, LevelAnchored, true},
		{"the better of two", policy(1, e, b), []Receipt{eth, btc(t, late)}, AnyTrust{s.pinned(t, 5), chain.file()}, LevelAnchored, false},
		{"one of two", policy(2, e, b), []Receipt{eth, btc(t, r)}, chain.file(), LevelPending, false},
		{"Ethereum's", policy(1, e), []Receipt{eth}, s.pinned(t, 5), LevelAnchored, false},
	} {
		v := Verify(with(s.file(t, 5, p), c.receipts...), Options{Policy: c.policy, Trust: c.trust, Require: LevelLate})
		first, _, _ := strings.Cut(v.Text(), "\n")
		var back Verdict
		if err := json.Unmarshal(v.JSON(), &back); err != nil {
			t.Fatal(err)
		}
		if v.Level != c.level || strings.Contains(first, "(BY bitcoin:regtest, WHOSE WORK IS WORTH NOTHING)") != c.want || (back.CheapWork == "bitcoin:regtest") != c.want {
			t.Errorf("%s: %v, %q, %q", c.name, v.Level, first, back.CheapWork)
		}
	}
}

// TestAnchorsShown: anchors that nobody trusts do not push the others off the
// page, and a script that no policy names is not shown at any length.
func TestAnchorsShown(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	var receipts []Receipt
	long := bytes.Repeat([]byte{0x51}, 5000)
	for i := range 3 {
		receipts = append(receipts, btc(t, chain.anchor(s.root(5), long, siteStart+int64(i)*60_000)))
	}
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	receipts = append(receipts, btc(t, r))
	chain.bury(2)
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), receipts...)
	v := Verify(f, Options{Policy: s.only(regtestRoute), Trust: chain.file()})
	text := v.Text()
	own, foreign := strings.Index(text, shownHash(r.Header.Hash())), strings.Index(text, "NOT IN THE POLICY")
	if own < 0 || foreign < own || !strings.Contains(text, "… and 2 anchors more") {
		t.Errorf("the own anchor at %d, another at %d of\n%s", own, foreign, text)
	}
	if strings.Contains(text, strings.Repeat("51", ledger.MaxScript+1)) || !strings.Contains(text, strings.Repeat("51", ledger.MaxScript)+"…") {
		t.Error("the long script is not cut:", len(text))
	}
	if len(v.Anchors[0].Script) != 2*len(long) {
		t.Errorf("JSON has %d digits of it", len(v.Anchors[0].Script))
	}
}

// TestPinnedHeight: nothing but the receipt says how high a pinned Bitcoin block
// is, and the verdict does not hide that.
func TestPinnedHeight(t *testing.T) {
	s := newSite("a").build(5)
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	r.Height = 800_001
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), btc(t, r))
	v := Verify(f, Options{Policy: s.only(regtestRoute), Trust: Pinned{shown(r.Header)}})
	if v.Level != LevelAnchored || !strings.Contains(v.Anchors[0].How, "its height is the receipt's word") {
		t.Errorf("%v: %s", v.Level, v.Anchors[0].How)
	}
	if v = Verify(f, Options{Policy: s.only(regtestRoute), Trust: AnyTrust{chain.file()}}); v.Level != LevelPending {
		t.Errorf("%v by a headers file that has the block elsewhere", v.Level)
	}
}

// TestSeenDepth: a block that a header names is confirmed as deep as the policy
// asks for anchors, and no sooner.
func TestSeenDepth(t *testing.T) {
	chain := newBTCChain(t)
	seen := chain.mine(siteStart-60_000, [32]byte{5})
	s := newSite("a")
	s.header = func(h *ledger.Header) {
		h.Seen = []ledger.Seen{{Route: "bitcoin:regtest", Height: uint64(seen), Hash: chain.headers[seen].Hash(), Time: chain.headers[seen].Time()}}
	}
	s.build(5)
	chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	chain.bury(2) // four from the block that was seen
	f := s.file(t, 5, pick{window: 3, slot: 2, at: 0})
	for depth, want := range map[uint64]bool{3: true, 4: true, 5: false, 0: false} {
		policy := s.policy()
		policy.Routes = []Route{{"eth", s.place()}, {"cal", OTSRoute{Network: BitcoinRegtest, Depth: 1}}, {"btc", BitcoinRoute{Network: BitcoinRegtest, Script: siteScript, Depth: depth}}}
		v := Verify(f, Options{Policy: policy, Trust: AnyTrust{s.pinned(t, 5), chain.file()}})
		if v.NotBefore == nil || v.NotBefore.Confirmed != want {
			t.Errorf("depth %d: not before %+v, want confirmed %v", depth, v.NotBefore, want)
		}
	}
}

// TestNoteKeys: which key a head is tried with follows from its signature line.
func TestNoteKeys(t *testing.T) {
	s := newSite("a")
	keys := []ed25519.PrivateKey{s.key}
	for i := range 200 {
		keys = append(keys, testKey(fmt.Sprint(i)))
		s.grow = map[int][]ledger.Statement{1: append(s.grow[1], ledger.SignLogKey(s.id, keys[i], keys[i+1], siteStart))}
	}
	s.signer = func(size int) ed25519.PrivateKey { return keys[200] }
	s.build(5)
	origin := ledger.Origin(s.id)
	for _, key := range keys[:3] {
		pub := key.Public().(ed25519.PublicKey)
		note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: origin, Size: 1}, key)
		if err != nil {
			t.Fatal(err)
		}
		if ids := noteKeyIDs(note); len(ids) != 1 || !ids[keyID(origin, [32]byte(pub))] {
			t.Errorf("keys %v of %q", ids, note)
		}
	}
	for _, note := range []string{"", "\n\n", "a\n\n", "a\n\n\u2014 x \n", "a\n\n\u2014 x AAA\n", "a\n\n— x " + base64.StdEncoding.EncodeToString(make([]byte, 4))} {
		if ids := noteKeyIDs([]byte(note)); len(ids) != 0 {
			t.Errorf("keys %v of %q", ids, note)
		}
	}
	b := Continue(s.file(t, 5, pick{window: 3, slot: 2, at: 1}))
	for i := range 200 {
		s.tell(t, b, 0, 5, 1, 4+i)
	}
	f := b.File()
	if v := Verify(f, s.options(t, 5)); v.Level != LevelAnchored {
		t.Error(v.Text())
	}
	f.Heads[0].Note[len(f.Heads[0].Note)-10] ^= 1 // of the signature
	wantRefused(t, Verify(f, s.options(t, 5)), CodeSignature)
}

// TestManyMessages: a reversal costs a byte of the file and 4096 of memory. So
// many are no proof.
func TestManyMessages(t *testing.T) {
	s := newSite("a").build(5)
	stamp := NewTimestamp(s.root(5))
	long, err := stamp.Path(OTSOp{OTSAppend, make([]byte, 4000)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 15 {
		end, err := long.Path(append([]OTSOp{{OTSAppend, []byte{byte(i)}}}, slices.Repeat([]OTSOp{{Tag: OTSReverse}}, 250)...)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := end.Attest(OTSAttestation{Kind: OTSPending, URI: "https://a.example"}); err != nil {
			t.Fatal(err)
		}
	}
	r := Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp)})}
	f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), r)
	if v := Verify(f, Options{}); v.Level != LevelPending {
		t.Errorf("one such: %v: %s", v.Level, v.Reason)
	}
	for len(f.Receipts) < maxMessages/(15*250*4000) {
		f.Receipts = append(f.Receipts, r)
	}
	wantRefused(t, Verify(f, Options{}), CodeReceipt)
}

// TestSeenByCalendars: the block that a header names as seen on the route of the
// calendars is Bitcoin's, with its slack, its byte order and whoever knows it.
func TestSeenByCalendars(t *testing.T) {
	chain := newBTCChain(t)
	at := chain.mine(siteStart-60_000, [32]byte{5})
	block := &chain.headers[at]
	s := newSite("a")
	s.header = func(h *ledger.Header) {
		h.Seen = []ledger.Seen{{Route: "ots", Height: uint64(at), Hash: block.Hash(), Time: block.Time()}}
	}
	s.build(5)
	r := chain.anchor(s.root(5), btcScript, siteStart+20*60_000)
	chain.bury(6)
	calendars := s.only(OTSRoute{Network: BitcoinRegtest})
	for _, c := range []struct {
		name   string
		policy *Policy
		route  string
		ok     bool
	}{
		{"the policy's calendars", calendars, "bitcoin:regtest", true},
		{"the file's calendars", nil, "bitcoin:regtest", true},
		{"another network's", s.only(OTSRoute{Network: BitcoinSignet}), "bitcoin:signet", false},
	} {
		f := with(s.file(t, 5, pick{window: 3, slot: 2, at: 0}), viaCalendar(t, r, s.root(5), false, ""))
		b := Verify(f, Options{Policy: c.policy, Trust: AnyTrust{chain.file()}}).NotBefore
		if b == nil || b.Route != c.route || b.Confirmed != c.ok || b.ms != block.Time()-7200_000 || b.Hash != shownHash(block.Hash()) {
			t.Errorf("%s: not before %+v", c.name, b)
		}
	}
	if b := Verify(s.file(t, 5, pick{window: 3, slot: 2, at: 0}), Options{}).NotBefore; b == nil || b.Route != "bitcoin:mainnet" || b.Slack == "" || b.Confirmed {
		t.Errorf("without any calendars: %+v", b)
	}
}
