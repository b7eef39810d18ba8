package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

func thePicks() []pick {
	return []pick{{window: 3, slot: 2, at: 1}, {window: 3, slot: 2, at: 0, fields: []int{3, 7}}, {window: 4, slot: 5, at: 0}, {window: 1, slot: 0, at: 3, fields: []int{8}}}
}

func mustEncode(t testing.TB, f *File) []byte {
	t.Helper()
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFixture(t *testing.T) {
	s := newSite("a").build(5)
	var h reading.Hasher
	r := siteReading(5, 3, siteStart)
	if got, want := h.Root(r, &s.salts), s.record(5, 3, siteStart).root; got != want {
		t.Fatalf("record root by hand %v, by package reading %v", want, got)
	}
}

func TestVerifyAnchored(t *testing.T) {
	s := newSite("a").build(9)
	f := s.file(t, 9, thePicks()...)
	b := mustEncode(t, f)
	v := VerifyBytes(b, s.options(t, 9))
	if v.Outcome != Verified || v.Level != LevelAnchored || v.Code != "" || !v.Identity {
		t.Fatalf("got %s", v.Text())
	}
	t.Logf("%d bytes\n%s", len(b), v.Text())
	if v.Outcome.Exit() != 0 {
		t.Errorf("exit %d", v.Outcome.Exit())
	}
	if got := len(v.Checks); got != 12 {
		t.Errorf("%d checks, want 12", got)
	}
	if v.NotAfter == nil || v.NotAfter.ms != int64(s.block.Time)*1000 || !v.NotAfter.Confirmed {
		t.Errorf("not after %+v", v.NotAfter)
	}
	if v.NotBefore == nil || v.NotBefore.ms != siteStart+siteWindow-12_000 || v.NotBefore.Confirmed {
		t.Errorf("not before %+v", v.NotBefore)
	}
	if r := v.Readings[0]; !r.Whole || r.BoundAs != "fridge" || r.Device != "00000000000000a2" || !r.Authenticated || len(r.Fields) != 8 {
		t.Errorf("reading 0: %+v", r)
	}
	if r := v.Readings[1]; r.Whole || r.Device != "" || len(r.Fields) != 2 || r.Fields[1].Unit != "Cel" {
		t.Errorf("reading 1: %+v", r)
	}
	if strings.ContainsRune(v.Text(), 0x1b) {
		t.Error("the text carries a control character from a reading")
	}
	var back Verdict
	if err := json.Unmarshal(v.JSON(), &back); err != nil || back.Level != LevelAnchored {
		t.Errorf("JSON: %v, level %v", err, back.Level)
	}
}

func TestEncodeDecode(t *testing.T) {
	s := newSite("a").build(5)
	b := mustEncode(t, s.file(t, 5, thePicks()...))
	f, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustEncode(t, f); !bytes.Equal(again, b) {
		t.Error("decoded and encoded again, the file differs")
	}
}

// TestLevels holds what each level needs.
func TestLevels(t *testing.T) {
	s := newSite("a").build(5)
	receipt := func(f *File) *File { f.Receipts = nil; return f }
	late := s.policy()
	late.Late = time.Minute
	elsewhere := s.policy()
	other := s.place()
	other.Sender[0]++
	elsewhere.Routes[0].Place = other
	down := AnyTrust{failing{}, Pinned{}}
	cases := []struct {
		name     string
		file     *File
		o        Options
		level    Level
		code     Code
		outcome  Outcome
		identity bool
	}{
		{"no receipt", receipt(s.file(t, 5, thePicks()...)), s.options(t, 5), LevelLogged, CodeNoReceipt, Refused, true},
		{"no receipt, logged suffices", receipt(s.file(t, 5, thePicks()...)), Options{Policy: s.policy(), Require: LevelLogged}, LevelLogged, CodeNoReceipt, Verified, true},
		{"no trust", s.file(t, 5, thePicks()...), Options{Policy: s.policy()}, LevelPending, CodeNotTrusted, Refused, true},
		{"other block trusted", s.file(t, 5, thePicks()...), Options{Policy: s.policy(), Trust: Pinned{{1}}}, LevelPending, CodeNotTrusted, Refused, true},
		{"trust down", s.file(t, 5, thePicks()...), Options{Policy: s.policy(), Trust: down}, LevelPending, CodeTrustFailed, Unchecked, true},
		{"trust down, pending suffices", s.file(t, 5, thePicks()...), Options{Policy: s.policy(), Trust: down, Require: LevelPending}, LevelPending, CodeTrustFailed, Verified, true},
		{"one trust down", s.file(t, 5, thePicks()...), Options{Policy: s.policy(), Trust: AnyTrust{failing{}, s.pinned(t, 5)}}, LevelAnchored, "", Verified, true},
		{"late", s.file(t, 5, thePicks()...), Options{Policy: late, Trust: s.pinned(t, 5)}, LevelLate, CodeLate, Refused, true},
		{"late suffices", s.file(t, 5, thePicks()...), Options{Policy: late, Trust: s.pinned(t, 5), Require: LevelLate}, LevelLate, CodeLate, Verified, true},
		{"anchored elsewhere", s.file(t, 5, thePicks()...), Options{Policy: elsewhere, Trust: s.pinned(t, 5)}, LevelLogged, CodeNoRoute, Refused, true},
		{"no policy", s.file(t, 5, thePicks()...), Options{Trust: s.pinned(t, 5)}, LevelAnchored, "", Verified, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Verify(c.file, c.o)
			if v.Level != c.level || v.Code != c.code || v.Outcome != c.outcome || v.Identity != c.identity {
				t.Errorf("got %v %q %v identity %v, want %v %q %v %v\n%s", v.Level, v.Code, v.Outcome, v.Identity, c.level, c.code, c.outcome, c.identity, v.Text())
			}
			if (v.Level < LevelLate) != (v.NotAfter == nil) {
				t.Errorf("level %v with not after %+v", v.Level, v.NotAfter)
			}
			if v.Level < LevelAnchored && (v.Reason == "" || v.Next == "") {
				t.Errorf("no reason or no advice: %q, %q", v.Reason, v.Next)
			}
			if len(v.NotChecked) < 5 {
				t.Errorf("not checked: %q", v.NotChecked)
			}
		})
	}
}

type failing struct{}

func (failing) Trusted(string, uint64, [32]byte) (string, bool, error) {
	return "", false, errors.New("connection refused")
}

// TestForger: another who has keys, a contract, a sender and a chain's block of
// their own gets nowhere with the policy, and not without a warning otherwise.
func TestForger(t *testing.T) {
	owner, forger := newSite("owner").build(5), newSite("forger").build(5)
	f := forger.file(t, 5, thePicks()...)
	v := Verify(f, Options{Policy: owner.policy(), Trust: forger.pinned(t, 5)})
	if v.Outcome != Refused || v.Level != LevelNone || v.Code != CodeIdentity {
		t.Errorf("with the owner's policy: %v %v %v", v.Outcome, v.Level, v.Code)
	}
	v = Verify(f, Options{Trust: forger.pinned(t, 5)})
	if v.Identity || len(v.NotChecked) == 0 || !strings.HasPrefix(v.NotChecked[0], "IDENTITY") {
		t.Errorf("without a policy, first of not checked: %q", v.NotChecked)
	}
	if first, _, _ := strings.Cut(v.Text(), "\n"); !strings.Contains(first, "IDENTITY NOT CHECKED") {
		t.Errorf("without a policy, first line %q", first)
	}

	// The owner's ledger, anchored by the forger: the sender or the contract.
	for what, change := range map[string]func(*testBlock){
		"sender":   func(b *testBlock) { b.Sender = forger.block.Sender },
		"contract": func(b *testBlock) { b.Contract = forger.block.Contract },
		"code":     func(b *testBlock) { b.CodeHash[0]++ },
		"chain":    func(b *testBlock) { b.Chain = 11155111 },
	} {
		s := newSite("owner")
		p := s.policy()
		change(&s.block)
		s.build(5)
		f := s.file(t, 5, thePicks()...)
		f.Receipts[0].Route = ethereumRoute(s.block.Chain)
		if v := Verify(f, Options{Policy: p, Trust: s.pinned(t, 5)}); v.Outcome != Refused || v.Code != CodeNoRoute || v.Level != LevelLogged {
			t.Errorf("other %s: %v %v %v", what, v.Outcome, v.Level, v.Code)
		}
	}
}

// TestClaims commits to things that no honest gateway would, hashes and signs
// them well, and wants each refused by its name.
func TestClaims(t *testing.T) {
	cases := []struct {
		name string
		set  func(*site)
		want Code
	}{
		{"sequence field", func(s *site) {
			s.item = func(slot, seq uint64, index int, item []byte) []byte {
				if index == reading.IndexSequence {
					return reading.AppendItem(nil, siteReading(slot, seq+1, siteStart), index)
				}
				return item
			}
		}, CodeSequence},
		{"received before window", func(s *site) {
			s.item = func(slot, seq uint64, index int, item []byte) []byte {
				if index == reading.IndexReceived {
					return reading.AppendItem(nil, siteReading(slot, seq, siteStart-1), index)
				}
				return item
			}
		}, CodeReceived},
		{"received at window's end", func(s *site) {
			s.item = func(slot, seq uint64, index int, item []byte) []byte {
				if index == reading.IndexReceived {
					return reading.AppendItem(nil, siteReading(slot, seq, siteStart+4*siteWindow), index)
				}
				return item
			}
		}, CodeReceived},
		{"field 0 says other than the fields", func(s *site) {
			s.item = func(slot, seq uint64, index int, item []byte) []byte {
				if index == 7 {
					r := siteReading(slot, seq, siteStart)
					r.Measurements[0].Value = reading.Int(3)
					return reading.AppendItem(nil, r, index)
				}
				return item
			}
		}, CodeRecordRoot},
		{"item of another type", func(s *site) {
			s.item = func(_, _ uint64, index int, item []byte) []byte {
				if index == 7 {
					return bytes.Replace(item, []byte("cairn/field/1"), []byte("cairn/field/2"), 1)
				}
				return item
			}
		}, CodeItem},
		{"item in another's place", func(s *site) {
			s.item = func(slot, seq uint64, index int, item []byte) []byte {
				if index == reading.IndexDevice {
					return reading.AppendItem(nil, siteReading(slot, seq, siteStart), reading.IndexFrame)
				}
				return item
			}
		}, CodeItem},
		{"name twice", func(s *site) {
			s.item = func(slot, seq uint64, index int, item []byte) []byte {
				if index == 8 {
					return reading.AppendItem(nil, siteReading(slot, seq, siteStart), 7)
				}
				return item
			}
		}, CodeItem},
		{"entry of another sequence", func(s *site) { s.entry = func(_ uint64, seq *uint64) { *seq++ } }, CodeRunRoot},
		{"summary of another window", func(s *site) { s.summary = func(u *ledger.Summary) { u.To++ } }, CodeWindow},
		{"summary of no reading", func(s *site) {
			s.summary = func(u *ledger.Summary) { u.Next, u.Run = u.First, merkle.EmptyRoot() }
		}, CodeRunRange},
		{"run one longer", func(s *site) { s.summary = func(u *ledger.Summary) { u.Next++ } }, CodeRunRoot},
		{"other run root", func(s *site) { s.summary = func(u *ledger.Summary) { u.Run[0]++ } }, CodeRunRoot},
		{"summary at another slot", func(s *site) { s.leafAt = func(slot uint64) uint64 { return slot ^ 1 } }, CodeBatchRoot},
		{"slot outside the tree", func(s *site) { s.summary = func(u *ledger.Summary) { u.Slot += 8 } }, CodeSlot},
		{"deeper tree", func(s *site) { s.slots = func([]byte) []byte { return ledger.Slots{Depth: 4}.Append(nil) } }, CodeSlot},
		{"slots of another type", func(s *site) {
			s.slots = func(b []byte) []byte { return ledger.SegmentsHead{}.Append(nil) }
		}, CodeSlots},
		{"header of another ledger", func(s *site) { s.header = func(h *ledger.Header) { h.Ledger[0]++ } }, CodeHeaderLedger},
		{"header with another index", func(s *site) { s.header = func(h *ledger.Header) { h.Index ^= 1 } }, CodeLog},
		{"header with an index beyond the log", func(s *site) { s.header = func(h *ledger.Header) { h.Index += 100 } }, CodeLog},
		{"other batch root", func(s *site) { s.header = func(h *ledger.Header) { h.Root[0]++ } }, CodeBatchRoot},
		{"genesis of another nonce", func(s *site) {
			s.statement = func(i int, st *ledger.Statement) {
				if i == 0 {
					st.Body["nonce"] = make([]byte, 32)
				}
			}
		}, CodeGenesis},
		{"bound to another device", func(s *site) {
			s.statement = func(i int, st *ledger.Statement) {
				if st.Kind == ledger.KindBind {
					st.Body["device"] = "00000000000000ff"
				}
			}
		}, CodeBinding},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite("a")
			c.set(s)
			s.build(5)
			v := VerifyBytes(mustEncode(t, s.file(t, 5, pick{window: 3, slot: 2, at: 1})), s.options(t, 5))
			wantRefused(t, v, c.want)
		})
	}
}

func wantRefused(t *testing.T, v Verdict, want Code) {
	t.Helper()
	if v.Outcome != Refused || v.Level != LevelNone || v.Code != want {
		t.Errorf("got %v %v %q (%s), want refused none %q", v.Outcome, v.Level, v.Code, v.Reason, want)
	}
	if n := len(v.Checks); n == 0 || v.Checks[n-1].OK || len(v.Readings) != 0 || v.NotAfter != nil {
		t.Errorf("a refused verdict shows something proven: %+v", v)
	}
}

// TestParts changes one part of a good file at a time.
func TestParts(t *testing.T) {
	s := newSite("a").build(5)
	twin := newSite("a")
	twin.header = func(h *ledger.Header) { h.To++ }
	cases := []struct {
		name   string
		change func(*testing.T, *File)
		want   Code
	}{
		{"ledger key", func(t *testing.T, f *File) { f.Ledger.Key[0]++ }, CodeIdentity},
		{"ledger nonce", func(t *testing.T, f *File) { f.Ledger.Nonce[0]++ }, CodeIdentity},
		{"head signature", func(t *testing.T, f *File) {
			n := bytes.Clone(f.Heads[0].Note)
			n[len(n)-20] ^= 1
			f.Heads[0].Note = n
		}, CodeSignature},
		{"head root", func(t *testing.T, f *File) {
			lines := bytes.Split(f.Heads[0].Note, []byte("\n"))
			lines[2] = []byte(merkle.Hash{}.Base64())
			f.Heads[0].Note = bytes.Join(lines, []byte("\n"))
		}, CodeSignature},
		{"head of another log", func(t *testing.T, f *File) { f.Heads[0].Note = newSite("b").build(5).head(t, 5) }, CodeOrigin},
		{"head cut", func(t *testing.T, f *File) { f.Heads[0].Note = f.Heads[0].Note[:100] }, CodeHead},
		{"head of another size", func(t *testing.T, f *File) { f.Heads[0].Note = s.head(t, 4) }, CodeLog},
		{"other signature beside", func(t *testing.T, f *File) {
			f.Heads[0].Note = append(bytes.Clone(f.Heads[0].Note), "\u2014 witness AAAAAAAAAAAA\n"...)
		}, CodeCosigned},
		{"header cut", func(t *testing.T, f *File) { f.Batches[0].Header = f.Batches[0].Header[:30] }, CodeHeader},
		{"header time", func(t *testing.T, f *File) {
			h, _ := ledger.ParseHeader(f.Batches[0].Header)
			h.To += 1000
			f.Batches[0].Header = h.Append(nil)
		}, CodeLog},
		{"log path", func(t *testing.T, f *File) { f.Batches[0].Heads[0].Path[0][0]++ }, CodeLog},
		{"log path longer", func(t *testing.T, f *File) {
			p := &f.Batches[0].Heads[0].Path
			*p = append(*p, merkle.Hash{})
		}, CodeLog},
		{"slots item", func(t *testing.T, f *File) { f.Batches[0].Slots.Item = ledger.Slots{Depth: 4}.Append(nil) }, CodeHidden},
		{"slots salt", func(t *testing.T, f *File) { f.Batches[0].Slots.Salt[0]++ }, CodeHidden},
		{"statements salt", func(t *testing.T, f *File) { f.Batches[0].Statements.Salt[0]++ }, CodeHidden},
		{"summary", func(t *testing.T, f *File) {
			u, _ := ledger.ParseSummary(f.Summaries[0].Item)
			u.Stream[0]++
			f.Summaries[0].Item = u.Append(nil)
		}, CodeBatchRoot},
		{"summary cut", func(t *testing.T, f *File) { f.Summaries[0].Item = f.Summaries[0].Item[:20] }, CodeSummary},
		{"summary salt", func(t *testing.T, f *File) { f.Summaries[0].Salt[0]++ }, CodeBatchRoot},
		{"summary path", func(t *testing.T, f *File) { f.Summaries[0].Path[1][0]++ }, CodeBatchRoot},
		{"summary path shorter", func(t *testing.T, f *File) { f.Summaries[0].Path = f.Summaries[0].Path[:2] }, CodeSlot},
		{"tag", func(t *testing.T, f *File) { f.Summaries[0].Tag[0]++ }, CodeBatchRoot},
		{"value", func(t *testing.T, f *File) {
			r := siteReading(2, f.Readings[0].Seq, siteStart)
			r.Measurements[0].Value = reading.Int(4)
			f.Readings[0].Fields[7].Item = reading.AppendItem(nil, r, 7)
		}, CodeRecordRoot},
		{"field salt", func(t *testing.T, f *File) { f.Readings[0].Fields[3].Salt[0]++ }, CodeRecordRoot},
		{"field 0 salt", func(t *testing.T, f *File) { f.Readings[0].Fields[0].Salt[0]++ }, CodeRecordRoot},
		{"field missing of the whole", func(t *testing.T, f *File) {
			f.Readings[0].Fields = append(f.Readings[0].Fields[:4:4], f.Readings[0].Fields[5:]...)
		}, CodeWhole},
		{"last field missing of the whole", func(t *testing.T, f *File) {
			f.Readings[0].Fields = f.Readings[0].Fields[:8]
		}, CodeWhole},
		{"wider record", func(t *testing.T, f *File) { f.Readings[0].Width = 32 }, CodeWhole},
		{"record root", func(t *testing.T, f *File) { f.Readings[0].Root[0]++ }, CodeRecordRoot},
		{"hidden leaf", func(t *testing.T, f *File) { f.Readings[0].Hidden[0][0]++ }, CodeRecordRoot},
		{"hidden leaf left over", func(t *testing.T, f *File) { f.Readings[0].Hidden = append(f.Readings[0].Hidden, merkle.Hash{}) }, CodeRecordRoot},
		{"hidden leaf missing", func(t *testing.T, f *File) { f.Readings[0].Hidden = nil }, CodeRecordRoot},
		{"run path", func(t *testing.T, f *File) { f.Readings[0].Run[0][0]++ }, CodeRunRoot},
		{"reading twice", func(t *testing.T, f *File) { f.Readings = append(f.Readings, f.Readings[0]) }, CodeTwice},
		{"statement", func(t *testing.T, f *File) { f.Statements[0].Item = f.Statements[0].Item[:9] }, CodeStatement},
		{"statement salt", func(t *testing.T, f *File) { f.Statements[0].Salt[0]++ }, CodeStatements},
		{"statement index", func(t *testing.T, f *File) { f.Statements[1].Index++ }, CodeStatements},
		{"statement path", func(t *testing.T, f *File) { f.Statements[1].Path[0][0]++ }, CodeStatements},
		{"receipt kind", func(t *testing.T, f *File) { f.Receipts[0].Kind = "ethereum/2" }, CodeReceiptKind},
		{"receipt route", func(t *testing.T, f *File) { f.Receipts[0].Route = "ethereum:2" }, CodeReceiptRoute},
		{"receipt data", func(t *testing.T, f *File) { f.Receipts[0].Data = f.Receipts[0].Data[1:] }, CodeReceipt},
		{"receipt root", ethereum(func(e *EthereumReceipt) { e.Root[0]++ }), CodeReceiptRoot},
		{"receipt ledger", ethereum(func(e *EthereumReceipt) { e.Ledger[0]++ }), CodeReceiptLog},
		{"receipt account", ethereum(func(e *EthereumReceipt) { e.Contract[0]++ }), CodeAccount},
		{"receipt sender", ethereum(func(e *EthereumReceipt) { e.Sender[0]++ }), CodeStorage},
		{"receipt log", ethereum(func(e *EthereumReceipt) { e.TxIndex++ }), CodeEvent},
		{"receipt header", ethereum(func(e *EthereumReceipt) { e.Header = e.Header[:20] }), CodeReceipt},
		{"no reading", func(t *testing.T, f *File) { f.Readings = nil }, CodeMalformed},
		{"summary beyond", func(t *testing.T, f *File) { f.Readings[0].Summary = 1 }, CodeMalformed},
		{"summary below", func(t *testing.T, f *File) { f.Readings[0].Summary = -1 }, CodeMalformed},
		{"summary unused", func(t *testing.T, f *File) { f.Summaries = append(f.Summaries, f.Summaries[0]) }, CodeMalformed},
		{"batch unused", func(t *testing.T, f *File) { f.Batches = append(f.Batches, f.Batches[0]) }, CodeMalformed},
		{"head unused", func(t *testing.T, f *File) { f.Heads = append(f.Heads, f.Heads[0]) }, CodeMalformed},
		{"no head", func(t *testing.T, f *File) { f.Batches[0].Heads = nil }, CodeMalformed},
		{"head beyond", func(t *testing.T, f *File) { f.Receipts[0].Head = 1 }, CodeMalformed},
		{"statements without statement", func(t *testing.T, f *File) { f.Statements = nil }, CodeMalformed},
		{"statement without statements", func(t *testing.T, f *File) { f.Batches[0].Statements = nil }, CodeMalformed},
		{"fields out of order", func(t *testing.T, f *File) {
			f.Readings[0].Fields[2], f.Readings[0].Fields[3] = f.Readings[0].Fields[3], f.Readings[0].Fields[2]
		}, CodeMalformed},
		{"field 0 with an item", func(t *testing.T, f *File) { f.Readings[0].Fields[0].Item = []byte{1} }, CodeMalformed},
		{"no field", func(t *testing.T, f *File) { f.Readings[0].Fields = nil }, CodeMalformed},
		{"odd width", func(t *testing.T, f *File) { f.Readings[0].Width = 12 }, CodeMalformed},
		{"huge width", func(t *testing.T, f *File) { f.Readings[0].Width = 128 }, CodeMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := mustEncode(t, s.file(t, 5, pick{window: 3, slot: 2, at: 1}))
			f, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			c.change(t, f)
			wantRefused(t, Verify(f, s.options(t, 5)), c.want)
		})
	}
}

func ethereum(change func(*EthereumReceipt)) func(*testing.T, *File) {
	return func(t *testing.T, f *File) {
		t.Helper()
		e, err := ParseEthereumReceipt(f.Receipts[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		change(&e)
		if f.Receipts[0].Data, err = e.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlips changes every byte of a file, with the checksum as it was and made
// to fit: nothing passes as it did, nothing panics, everything has a name.
func TestFlips(t *testing.T) {
	s := newSite("a").build(5)
	b := mustEncode(t, s.file(t, 5, pick{window: 3, slot: 2, at: 1}, pick{window: 4, slot: 5, at: 0, fields: []int{7}}))
	o := s.options(t, 5)
	good := VerifyBytes(b, o)
	if good.Level != LevelAnchored {
		t.Fatal(good.Text())
	}
	full := good.JSON()
	bits := []byte{0x01, 0x80}
	if !testing.Short() {
		bits = []byte{1, 2, 4, 8, 16, 32, 64, 128}
	}
	end := len(b) - sha256.Size
	codes := map[Code]int{}
	for i := range b {
		for _, bit := range bits {
			bad := bytes.Clone(b)
			bad[i] ^= bit
			if v := VerifyBytes(bad, o); v.Level != LevelNone || v.Outcome == Verified || v.Code == "" {
				t.Fatalf("byte %d ^ %02x: %v %v %q", i, bit, v.Outcome, v.Level, v.Code)
			}
			if i >= end {
				continue
			}
			sum := sha256.Sum256(bad[:end])
			copy(bad[end:], sum[:])
			v := VerifyBytes(bad, o)
			if v.Outcome == Verified && v.Level == LevelAnchored || bytes.Equal(v.JSON(), full) {
				t.Errorf("byte %d ^ %02x with a fitting checksum: %v %v", i, bit, v.Outcome, v.Level)
			}
			if v.Code == "" || v.Reason == "" {
				t.Errorf("byte %d ^ %02x with a fitting checksum: no reason", i, bit)
			}
			codes[v.Code]++
		}
	}
	t.Logf("%d bytes, reasons %v", len(b), codes)
}

// TestFlipsUnasked does the same for one who asks nothing: without policy and
// trusted block a flipped bit may leave a lower level standing, but never the
// same verdict.
func TestFlipsUnasked(t *testing.T) {
	s := newSite("a").build(5)
	b := mustEncode(t, s.file(t, 5, pick{window: 3, slot: 5, at: 1, fields: []int{1, 3, 7}}))
	full := VerifyBytes(b, Options{})
	if full.Level != LevelPending {
		t.Fatal(full.Text())
	}
	want := full.JSON()
	end := len(b) - sha256.Size
	for i := range end {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		sum := sha256.Sum256(bad[:end])
		copy(bad[end:], sum[:])
		if v := VerifyBytes(bad, Options{}); bytes.Equal(v.JSON(), want) {
			t.Errorf("byte %d ^ %02x says the same", i, 1<<(i%8))
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	s := newSite("a").build(5)
	b := mustEncode(t, s.file(t, 5, pick{window: 3, slot: 2, at: 1}))
	seal := func(b []byte) []byte {
		sum := sha256.Sum256(b)
		return append(bytes.Clone(b), sum[:]...)
	}
	body := b[:len(b)-32]
	cases := []struct {
		name string
		b    []byte
		want error
		code Code
		exit int
	}{
		{"empty", nil, ErrNotProof, CodeNotProof, 2},
		{"text", []byte("hello"), ErrNotProof, CodeNotProof, 2},
		{"version 2", []byte("cairn/proof/2\n1234"), ErrVersion, CodeVersion, 2},
		{"magic alone", []byte(magic0), ErrDamaged, CodeDamaged, 1},
		{"cut", b[:len(b)-1], ErrDamaged, CodeDamaged, 1},
		{"longer", append(bytes.Clone(b), 0), ErrDamaged, CodeDamaged, 1},
		{"sealed nothing", seal([]byte(magic0)), ErrFile, CodeMalformed, 1},
		{"trailing byte", seal(append(bytes.Clone(body), 0)), ErrFile, CodeMalformed, 1},
		{"nulls", seal(append([]byte(magic0), 0x87, 0xf6, 0xf6, 0xf6, 0xf6, 0xf6, 0xf6, 0xf6)), ErrFile, CodeMalformed, 1},
		{"indefinite", seal(append([]byte(magic0), 0x9f, 0xff)), ErrFile, CodeMalformed, 1},
	}
	for _, c := range cases {
		if _, err := Decode(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if v := VerifyBytes(c.b, Options{}); v.Code != c.code || v.Outcome.Exit() != c.exit || v.Level != LevelNone {
			t.Errorf("%s: %q exit %d, want %q exit %d", c.name, v.Code, v.Outcome.Exit(), c.code, c.exit)
		}
	}
}

// TestCover holds every choice of fields in every width against the root.
func TestCover(t *testing.T) {
	for _, width := range []int{8, 16, 64} {
		leaves := make([]merkle.Hash, width)
		for i := range leaves {
			leaves[i] = merkle.LeafHash([]byte{byte(i)})
		}
		want := merkle.RootOf(leaves)
		for mask := uint64(1); mask < 1<<10; mask++ {
			set := mask
			if width > 8 {
				set = mask * 0x0020_8421_0842_1085
			}
			if width < 64 {
				set &= 1<<width - 1
			}
			var shown []int
			rec := record{known: set}
			for i := range width {
				if set>>i&1 == 1 {
					shown = append(shown, i)
					rec.leaves[i] = leaves[i]
				}
			}
			if len(shown) == 0 {
				continue
			}
			rec.hidden = Cover(leaves, shown)
			if got, ok := rec.root(width); !ok || got != want {
				t.Fatalf("width %d, shown %v: got %v %v", width, shown, got, ok)
			}
		}
	}
}

// TestBuilder: what is added again is found, fields are put in order, and a
// record root that is left out is computed.
func TestBuilder(t *testing.T) {
	s := newSite("a").build(5)
	want := s.file(t, 5, thePicks()...)
	b := newBuilder0(want.Ledger.Key, want.Ledger.Nonce)
	for range 2 {
		head := b.Head(want.Heads[0].Note)
		for i, x := range want.Batches {
			if at := b.Batch(x.Header, x.Slots, x.Statements); at != i {
				t.Errorf("batch %d is at %d", i, at)
			}
			b.Cover(i, head, x.Heads[0].Path)
		}
		for i, x := range want.Summaries {
			if at := b.Summary(x); at != i {
				t.Errorf("summary %d is at %d", i, at)
			}
		}
		for _, x := range want.Statements {
			b.Statement(x)
		}
	}
	for _, r := range want.Readings {
		r.Root = merkle.Hash{}
		r.Fields = slices.Clone(r.Fields)
		slices.Reverse(r.Fields)
		b.Reading(r)
	}
	b.Receipt(want.Receipts[0])
	if got := mustEncode(t, b.File()); !bytes.Equal(got, mustEncode(t, want)) {
		t.Error("the file differs")
	}
}
