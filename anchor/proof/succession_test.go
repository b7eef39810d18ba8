package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"cairn/merkle/ledger"
)

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// handsOver makes a site that goes to another key in window 2, and whose heads
// from then on are signed by that.
func handsOver(s *site, to ed25519.PrivateKey, also ...ledger.Statement) *site {
	s.grow = map[int][]ledger.Statement{2: append(also, ledger.SignLogKey(s.id, s.key, to, siteStart+2*siteWindow))}
	s.signer = func(size int) ed25519.PrivateKey {
		if size > 2 {
			return to
		}
		return s.key
	}
	return s
}

// telling is a file that shows one reading, and statement 4 as these windows
// show it.
func (s *site) telling(t testing.TB, size int, p pick, windows ...int) *File {
	t.Helper()
	f := s.file(t, size, p)
	b := Continue(f)
	for _, w := range windows {
		s.tell(t, b, 0, size, w, 4)
	}
	return b.File()
}

// TestLogKey: heads by another log key are accepted with the statement that
// both keys signed, and with no less; and those by the old one no longer.
func TestLogKey(t *testing.T) {
	next, other := testKey("next"), testKey("other")
	p := pick{window: 3, slot: 5, at: 0}
	early := pick{window: 1, slot: 5, at: 0}
	forge := func(change func(*ledger.LogKey)) func(*site) {
		return func(s *site) {
			k, err := ledger.LogKeyFrom(s.grow[2][0])
			if err != nil {
				t.Fatal(err)
			}
			change(&k)
			s.grow[2][0] = k.Statement(s.grow[2][0].At)
		}
	}
	onlyOld := func(s *site) { s.signer = nil }
	for _, c := range []struct {
		name string
		set  func(*site)
		file func(*site) *File
		code Code // "": anchored
	}{
		{"shown by its batch", nil, func(s *site) *File { return s.telling(t, 5, p, 2) }, ""},
		{"shown by a later batch", nil, func(s *site) *File { return s.telling(t, 5, p, 4) }, ""},
		{"shown by two", nil, func(s *site) *File { return s.telling(t, 5, p, 2, 4) }, ""},
		{"a head before, by the old key", nil, func(s *site) *File {
			return join(t, s.telling(t, 5, p, 2), s.file(t, 2, early))
		}, ""},
		{"not shown", nil, func(s *site) *File { return s.file(t, 5, p) }, CodeUnsigned},
		{"old key's signature wrong", forge(func(k *ledger.LogKey) { k.OldSignature[3] ^= 1 }), func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeLogKey},
		{"new key's signature wrong", forge(func(k *ledger.LogKey) { k.NewSignature[3] ^= 1 }), func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeLogKey},
		{"new key of another", forge(func(k *ledger.LogKey) { copy(k.New[:], other.Public().(ed25519.PublicKey)) }), func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeLogKey},
		{"signed for another time", func(s *site) { s.grow[2][0].At++ }, func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeLogKey},
		{"signed for another ledger", func(s *site) {
			s.grow[2][0] = ledger.SignLogKey(newSite("b").id, s.key, next, siteStart)
		}, func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeLogKey},
		{"of a key that is not this log's", func(s *site) {
			s.grow[2][0] = ledger.SignLogKey(s.id, other, next, siteStart)
		}, func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeLogKey},
		{"not in the ledger", nil, func(s *site) *File {
			f := s.telling(t, 5, p, 2)
			// Well signed by both, in the place of the one that is there.
			f.Statements[0].Item = ledger.SignLogKey(s.id, s.key, next, siteStart).Append(nil)
			return f
		}, CodeStatements},
		{"beyond the ledger", nil, func(s *site) *File {
			f := s.telling(t, 5, p, 2)
			f.Statements[0].Index = 7
			return f
		}, CodeStatements},
		{"old key signs on", onlyOld, func(s *site) *File { return s.telling(t, 5, p, 2) }, CodeOldKey},
		{"old key signs on beside the new one", func(s *site) {
			s.signer = func(size int) ed25519.PrivateKey {
				if size == 4 {
					return s.key
				}
				return next
			}
		}, func(s *site) *File {
			return join(t, s.telling(t, 5, p, 2), s.file(t, 4, pick{window: 3, slot: 5, at: 1}))
		}, CodeOldKey},
		{"new key signs before", func(s *site) { s.signer = func(int) ed25519.PrivateKey { return next } }, func(s *site) *File {
			// Batch 1 shows the statements that there were: none of a key.
			f := s.telling(t, 5, p, 2)
			b := Continue(f)
			b.Head(s.head(t, 2))
			s.tell(t, b, 1, 2, 1, 0)
			return b.File()
		}, CodeEarlyKey},
		{"handed over twice", func(s *site) {
			s.grow[3] = []ledger.Statement{ledger.SignLogKey(s.id, s.key, other, siteStart)}
		}, func(s *site) *File {
			b := Continue(s.telling(t, 5, p, 2))
			s.tell(t, b, 0, 5, 3, 5)
			return b.File()
		}, CodeFork},
		{"handed on", func(s *site) {
			s.grow[3] = []ledger.Statement{ledger.SignLogKey(s.id, next, other, siteStart)}
			s.signer = func(int) ed25519.PrivateKey { return other }
		}, func(s *site) *File {
			b := Continue(s.telling(t, 5, p, 3))
			s.tell(t, b, 0, 5, 3, 5)
			return b.File()
		}, ""},
		{"handed on, and the one between signs on", func(s *site) {
			s.grow[3] = []ledger.Statement{ledger.SignLogKey(s.id, next, other, siteStart)}
		}, func(s *site) *File {
			b := Continue(s.telling(t, 5, p, 3))
			s.tell(t, b, 0, 5, 3, 5)
			return b.File()
		}, CodeOldKey},
		{"handed on, the first step not shown", func(s *site) {
			s.grow[3] = []ledger.Statement{ledger.SignLogKey(s.id, next, other, siteStart)}
			s.signer = func(int) ed25519.PrivateKey { return other }
		}, func(s *site) *File {
			b := Continue(s.file(t, 5, p))
			s.tell(t, b, 0, 5, 3, 5)
			return b.File()
		}, CodeLogKey},
		{"handed back", func(s *site) {
			s.grow[3] = []ledger.Statement{ledger.SignLogKey(s.id, next, s.key, siteStart)}
			s.signer = nil
		}, func(s *site) *File {
			b := Continue(s.telling(t, 5, p, 3))
			s.tell(t, b, 0, 5, 3, 5)
			return b.File()
		}, CodeLogKey},
		{"handed on before it came", func(s *site) {
			s.grow[1] = []ledger.Statement{ledger.SignLogKey(s.id, next, other, siteStart)}
		}, func(s *site) *File {
			b := Continue(s.telling(t, 5, p, 3)) // number 4 is that of window 1
			s.tell(t, b, 0, 5, 3, 5)
			return b.File()
		}, CodeLogKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := handsOver(newSite("a"), next)
			if c.set != nil {
				c.set(s)
			}
			s.build(5)
			f := c.file(s)
			o := Options{Policy: s.policy(), Trust: Pinned{s.pinned(t, 2)[0], s.pinned(t, 4)[0], s.pinned(t, 5)[0]}}
			v := VerifyBytes(mustEncode(t, f), o)
			if c.code != "" {
				wantRefused(t, v, c.code)
				return
			}
			if v.Level != LevelAnchored || len(v.Succession) == 0 || !v.Succession[0].Followed || !strings.Contains(v.Succession[0].What, "log key cairn/") {
				t.Errorf("succession %+v\n%s", v.Succession, v.Text())
			}
			for i := range v.Succession {
				if i > 0 && v.Succession[i].Statement == v.Succession[i-1].Statement {
					t.Errorf("statement %d is told of twice: %+v", v.Succession[i].Statement, v.Succession)
				}
			}
			if !strings.Contains(v.Text(), "of them by one that took over") {
				t.Error(v.Text())
			}
		})
	}
}

// TestSenders: a place that a statement names counts once the policy's quorum
// is reached for the batch that shows the statement, and not before.
func TestSenders(t *testing.T) {
	next := newSite("next").place()
	last := newSite("last").place()
	p := pick{window: 4, slot: 5, at: 0}
	names := func(e EthereumRoute) ledger.Statement {
		return ledger.Route{Name: e.Chain(), ChainID: e.ChainID, Contract: e.Contract, CodeHash: e.Code, Sender: e.Sender}.Statement(siteStart)
	}
	at := func(s *site, e EthereumRoute) {
		s.block.Contract, s.block.Sender = e.Contract, e.Sender
		s.block.Number, s.block.Time = s.block.Number+100, s.block.Time+600
	}
	// One that was anchored at its own place up to size 4, then at the next.
	make := func(st ...ledger.Statement) (*site, *Policy) {
		s := newSite("a")
		s.grow = map[int][]ledger.Statement{1: st}
		s.build(6)
		policy := s.policy()
		s.receipt(t, 4)
		at(s, next)
		s.receipt(t, 5)
		at(s, last)
		s.receipt(t, 6)
		return s, policy
	}
	// shows adds a statement under the head of a size, with that head's receipt.
	shows := func(s *site, f *File, size, index int) *File {
		b := newBuilder0(f.Ledger.Key, f.Ledger.Nonce)
		head := b.Head(s.head(t, size))
		s.tell(t, b, head, size, 1, index)
		b.Receipt(Receipt{Route: "ethereum:1", Head: head, Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, size))})
		return join(t, f, b.File())
	}
	all := func(s *site) Pinned {
		return slices.Concat(s.pinned(t, 4), s.pinned(t, 5), s.pinned(t, 6))
	}
	check := func(name string, f *File, o Options, level Level, code Code, followed int) Verdict {
		t.Helper()
		v := VerifyBytes(mustEncode(t, f), o)
		n := 0
		for _, s := range v.Succession {
			if s.Followed {
				n++
			} else if s.Why == "" {
				t.Errorf("%s: %+v is not followed, and not why", name, s)
			}
		}
		if v.Readings[0].Level != level || n != followed || level < LevelAnchored && v.Code != code {
			t.Errorf("%s: reading %v %q, %d followed, want %v %q %d: %+v\n%s", name, v.Readings[0].Level, v.Code, n, level, code, followed, v.Succession, v.Text())
		}
		return v
	}

	s, policy := make(names(next))
	o := Options{Policy: policy, Trust: all(s)}
	f := s.file(t, 5, p)
	check("not shown", f, o, LevelLogged, CodeNoRoute, 0)
	v := check("shown where the old sender anchored", shows(s, f, 4, 4), o, LevelAnchored, "", 1)
	if v.Level != LevelAnchored || len(v.Statements) != 1 || v.Statements[0].Level != LevelAnchored {
		t.Errorf("file %v\n%s", v.Level, v.Text())
	}
	if !strings.Contains(v.Text(), "successor   statement 4 names ethereum chain=1") {
		t.Error(v.Text())
	}
	check("shown by two batches, one of them the new sender's", shows(s, shows(s, f, 5, 4), 4, 4), o, LevelAnchored, "", 1)
	check("shown in a batch that the new sender alone anchored", shows(s, f, 5, 4), o, LevelLogged, CodeNoRoute, 0)
	check("shown where the old sender's block is not trusted", shows(s, f, 4, 4), Options{Policy: policy, Trust: s.pinned(t, 5)}, LevelLogged, CodeNoRoute, 0)
	unanchored := shows(s, f, 4, 4)
	unanchored.Receipts = unanchored.Receipts[:1]
	check("shown in a batch that is not anchored", unanchored, o, LevelLogged, CodeNoRoute, 0)
	check("without a policy", shows(s, f, 4, 4), Options{Trust: all(s)}, LevelAnchored, "", 0)

	// The next names the one after it.
	s, policy = make(names(next), names(last))
	o = Options{Policy: policy, Trust: all(s)}
	f = s.file(t, 6, p)
	chainOf := func() *File { return shows(s, shows(s, f, 5, 5), 4, 4) }
	check("one after another", chainOf(), o, LevelAnchored, "", 2)
	check("the second alone", shows(s, f, 5, 5), o, LevelLogged, CodeNoRoute, 0)
	s, policy = make(names(next), names(last))
	f = s.file(t, 6, p)
	check("in a circle", shows(s, shows(s, f, 5, 5), 6, 4), Options{Policy: policy, Trust: all(s)}, LevelLogged, CodeNoRoute, 0)

	// What a statement cannot bring in.
	moon, strange := next, next
	moon.ChainID = 5
	strange.Code[0]++
	s, policy = make(names(moon), names(strange))
	v = check("chain and code of the ledger's own choice", shows(s, shows(s, s.file(t, 5, p), 4, 4), 4, 5), Options{Policy: policy, Trust: all(s)}, LevelLogged, CodeNoRoute, 0)
	if len(v.Succession) != 2 || !strings.Contains(v.Succession[0].Why, "no route on that chain") || !strings.Contains(v.Succession[1].Why, "another code") {
		t.Errorf("%+v", v.Succession)
	}
	// The policy's own place is no news.
	s, policy = make(names(newSite("a").place()))
	if v := check("its own place", shows(s, s.file(t, 4, pick{window: 3, slot: 5, at: 0}), 4, 4), Options{Policy: policy, Trust: all(s)}, LevelAnchored, "", 0); len(v.Succession) != 0 {
		t.Errorf("%+v", v.Succession)
	}
}

// TestSuccessorInQuorum: a stated place takes no more than one route's part,
// and comes in only by what the whole quorum vouches for.
func TestSuccessorInQuorum(t *testing.T) {
	other, next := newSite("other").place(), newSite("next").place()
	p := pick{window: 4, slot: 5, at: 0}
	s := newSite("a")
	s.grow = map[int][]ledger.Statement{1: {ledger.Route{Name: next.Chain(), ChainID: 1, Contract: next.Contract, CodeHash: next.Code, Sender: next.Sender}.Statement(siteStart)}}
	s.build(5)
	own := s.place()
	policy := s.policy()
	policy.Routes = []Route{{"own", own}, {"other", other}}
	policy.Groups, policy.Quorum = []Group{{"both", 2, []string{"own", "other"}}}, "both"

	var trust Pinned
	receipt := func(size int, e EthereumRoute) Receipt {
		delete(s.receiptOf, size)
		s.block.Contract, s.block.Sender = e.Contract, e.Sender
		s.block.Number++
		r := s.receipt(t, size)
		trust = append(trust, keccak256(r.Header))
		return Receipt{Route: "ethereum:1", Kind: KindEthereum, Data: mustMarshal(t, r)}
	}
	file := func(shown, reading []EthereumRoute) *File {
		b := newBuilder0(s.policyKey(), s.nonce)
		head := b.Head(s.head(t, 4))
		s.tell(t, b, head, 4, 1, 4)
		for _, e := range shown {
			b.Receipt(receipt(4, e))
		}
		f := s.file(t, 5, p)
		f.Receipts = nil
		for _, e := range reading {
			f.Receipts = append(f.Receipts, receipt(5, e))
		}
		return join(t, f, b.File())
	}
	for _, c := range []struct {
		name           string
		shown, reading []EthereumRoute
		want           Level
	}{
		{"vouched for by both, and anchored by one and the new", []EthereumRoute{own, other}, []EthereumRoute{own, next}, LevelAnchored},
		{"vouched for by both, and anchored by the new alone", []EthereumRoute{own, other}, []EthereumRoute{next}, LevelLogged},
		{"vouched for by both, and anchored by the other and the new, of one part", []EthereumRoute{own, other}, []EthereumRoute{other, next}, LevelLogged},
		{"vouched for by one", []EthereumRoute{own}, []EthereumRoute{own, next}, LevelLogged},
		{"vouched for by one and the new itself", []EthereumRoute{own, next}, []EthereumRoute{own, next}, LevelLogged},
	} {
		f := file(c.shown, c.reading)
		if v := Verify(f, Options{Policy: policy, Trust: trust}); v.Readings[0].Level != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.name, v.Readings[0].Level, c.want, v.Text())
		}
	}
}

func (s *site) policyKey() [32]byte { return [32]byte(s.key.Public().(ed25519.PublicKey)) }

// TestScripts: so it goes with another script on Bitcoin; the depth is that of
// the policy's route.
func TestScripts(t *testing.T) {
	s := newSite("a")
	next := ledger.RouteBitcoin{Name: "bitcoin:regtest", Network: BitcoinRegtest, Script: btcScript}
	s.grow = map[int][]ledger.Statement{1: {next.Statement(siteStart)}}
	s.build(5)
	chain := newBTCChain(t)
	first := chain.anchor(s.root(4), siteScript, siteStart+10*60_000)
	second := chain.anchor(s.root(5), btcScript, siteStart+20*60_000)
	chain.bury(2)
	f := with(s.file(t, 5, pick{window: 4, slot: 5, at: 0}), btc(t, second))
	b := newBuilder0(f.Ledger.Key, f.Ledger.Nonce)
	s.tell(t, b, b.Head(s.head(t, 4)), 4, 1, 4)
	b.Receipt(btc(t, first))
	shown := join(t, f, b.File())
	for _, c := range []struct {
		name  string
		file  *File
		depth uint64
		want  Level
	}{
		{"shown", shown, 3, LevelAnchored},
		{"not shown", f, 3, LevelLogged},
		{"the new one's block not deep enough", shown, 4, LevelPending},
		{"neither block deep enough", shown, 5, LevelLogged},
	} {
		place := regtestRoute
		place.Depth = c.depth
		v := Verify(c.file, Options{Policy: s.only(place), Trust: chain.file()})
		if v.Readings[0].Level != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.name, v.Readings[0].Level, c.want, v.Text())
		}
	}
}
