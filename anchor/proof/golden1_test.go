package proof

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"cairn/merkle/ledger"
)

// version1 are files of version 1 of all kinds, of one site and with one policy,
// with the headers files that they are anchored by.
type version1 struct {
	files    map[string]*File // by the name that they have in testdata
	policy   *Policy
	ethereum []byte
	bitcoin  *BitcoinHeaders
}

func makeVersion1(t testing.TB) *version1 {
	t.Helper()
	s := newSite("version 1")
	s.summary = func(sum *ledger.Summary) {
		sum.Hidden = ledger.Hide(restOf(sum), salt("rest", sum.Slot, uint64(sum.From)))
	}
	s.build(8)
	all := &version1{policy: s.policy2()}
	all.policy.Groups[1].Need = 2
	all.policy.Witnesses = []Witness{siteWitness("a"), siteWitness("b"), siteWitness("c")}
	all.policy.Groups = append(all.policy.Groups, Group{"watchers", 2, []string{"a", "b", "c"}})
	all.policy.Cosigned, all.policy.CosignedOpen = "watchers", true
	chain := newBTCChain(t)
	anchors := map[int]*[2]Receipt{5: {}, 8: {}}
	for _, size := range []int{5, 8} {
		s.block.Number, s.block.Time = s.block.Number+25, s.block.Time+300
		eth := s.receipt(t, size)
		all.ethereum = AppendHeader(all.ethereum, 1, eth.Header)
		r := chain.anchor(s.root(size), siteScript, siteStart+int64(size)*10*60_000)
		chain.bury(2, &r)
		anchors[size] = &[2]Receipt{{Route: "ethereum:1", Kind: KindEthereum, Data: mustMarshal(t, eth)}, btc(t, r)}
	}
	all.bitcoin = chain.file()
	anchored := func(b *Builder, size int, heads ...[]byte) *Builder {
		head := b.Head(s.head(t, size))
		for _, note := range heads {
			b.Head(note)
		}
		for _, r := range anchors[size] {
			r.Head = head
			b.Receipt(r)
		}
		return b
	}
	one := func() *Builder {
		return Continue(with(s.file(t, 5, pick{window: 3, slot: 2, at: 1}, pick{window: 4, slot: 5, at: 0, fields: []int{3, 7}})))
	}
	signed := cosign(t, cosign(t, cosign(t, s.head(t, 5), "a", 1_760_004_000), "stranger", 1_760_004_001), "c", 1_760_004_002)
	extended := one()
	s.extend(t, extended, 5, 8)
	extended.f.Receipts = nil
	anchored(extended, 8, cosign(t, s.head(t, 8), "b", 1_760_005_000))
	extended.Vouch(Vouch{Receipt: 0, Kind: VouchSyncCommittee, Data: []byte("what a committee signs")})
	ranged := NewBuilder(s.policyKey(), s.nonce)
	head := ranged.Head(s.head(t, 5))
	r := s.ofRange(t, ranged, head, 5, 2, 5, 0, 2, 4)
	ranged.Range(r)
	for _, i := range []int{0, 2} {
		s.tell(t, ranged, head, 5, 0, i)
	}
	for i := range r.Summaries {
		sum, err := ledger.ParseSummary(ranged.f.Summaries[i].Item)
		if err != nil {
			t.Fatal(err)
		}
		ranged.Rest(i, Shown{Item: restOf(&sum), Salt: salt("rest", sum.Slot, uint64(sum.From))})
	}
	update := NewBuilder(s.policyKey(), s.nonce)
	s.extend(t, update, 5, 8)
	update.f.Receipts = nil
	all.files = map[string]*File{
		"file1.single.proof":   anchored(one(), 5).File(),
		"file1.cosigned.proof": anchored(one(), 5, signed).File(),
		"file1.extended.proof": extended.File(),
		"file1.range.proof":    anchored(ranged, 5).File(),
		"file1.update.proof":   anchored(update, 8).File(),
	}
	return all
}

// restOf is what a summary of a site hides.
func restOf(sum *ledger.Summary) []byte {
	n := sum.Next - sum.First
	r := ledger.Rest{Seen: n, LostKnown: true}
	if r.HasReceived = n != 0; r.HasReceived {
		r.From, r.To = sum.From, sum.From+int64(n-1)*1000
		fifty := []byte{0x18, 50}
		r.Ranges = []ledger.Range{{Name: "H", Unit: "%RH", Min: fifty, Max: fifty}}
	}
	return r.Append(nil)
}

func (all *version1) options(t testing.TB) Options {
	t.Helper()
	h, err := ParseTrust(all.ethereum)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Policy: all.policy, Trust: AnyTrust{h, all.bitcoin}}
}

// kept returns what testdata has under a name, which is made anew if that is
// asked for.
func kept(t testing.TB, name string, made []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, made, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden1 freezes version 1: these files were written once, and whatever
// changes later must write the same bodies and find the same in them. How a body
// is packed may change.
func TestGolden1(t *testing.T) {
	all := makeVersion1(t)
	o := all.options(t)
	for name, made := range map[string][]byte{
		"file1.policy": all.policy.Append(nil), "file1.headers": all.ethereum, "file1.bitcoin-headers": all.bitcoin.File(),
	} {
		if b := kept(t, name, made); !bytes.Equal(b, made) {
			t.Errorf("%s is not what is written now", name)
		}
	}
	policy, err := ParsePolicy(kept(t, "file1.policy", all.policy.Append(nil)))
	if err != nil {
		t.Fatal(err)
	}
	o.Policy = policy
	for name, f := range all.files {
		b := kept(t, name, mustEncode(t, f))
		if !bytes.Equal(bodyOf(t, b), bodyOf(t, mustEncode(t, f))) {
			t.Errorf("%s has another body than is written now", name)
		}
		v := VerifyBytes(b, o)
		if name == "file1.update.proof" {
			if v.Code != CodeUpdate || v.Outcome != Unchecked || len(v.Anchors) != 2 {
				t.Errorf("%s: %s", name, v.Text())
			}
			continue
		}
		if v.Level != LevelAnchored || v.Outcome != Verified {
			t.Errorf("%s: %s", name, v.Text())
		}
	}
}

// looseEnd reports whether byte i of a body is of the last header of a receipt.
// On what follows it nothing hangs but its work, and on regtest that is done
// with every other header.
func looseEnd(f *File, body []byte, i int) bool {
	for _, r := range f.Receipts {
		b, err := ParseBitcoinReceipt(r.Data)
		if err != nil || len(b.Following) == 0 {
			continue
		}
		if at := bytes.Index(body, b.Following[len(b.Following)-1][:]); i >= at && i < at+80 {
			return true
		}
	}
	return false
}

// said is what a verdict says of readings and statements, without what it says
// about their proof.
func said(t testing.TB, v *Verdict) string {
	t.Helper()
	r, s := slices.Clone(v.Readings), slices.Clone(v.Statements)
	for i := range r {
		r[i].Level, r[i].NotBefore, r[i].NotAfter = 0, nil, nil
	}
	for i := range s {
		s[i].Level = 0
	}
	b, err := json.Marshal([]any{r, s})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFlips1 flips a bit of each byte of the body of each kind of file, packed
// again with the right checksum: there is a name for what is wrong, or what is
// shown is not the same.
func TestFlips1(t *testing.T) {
	all := makeVersion1(t)
	o := all.options(t)
	step := 1
	if testing.Short() {
		step = 13
	}
	done := make(map[string]bool) // receipts, of which several files have the same
	for _, name := range slices.Sorted(maps.Keys(all.files)) {
		f := all.files[name]
		file := mustEncode(t, f)
		good := VerifyBytes(file, o)
		body, full, codes := bodyOf(t, file), good.JSON(), map[Code]int{}
		skip := make([]bool, len(body))
		for _, r := range f.Receipts {
			if at := bytes.Index(body, r.Data); done[string(r.Data)] {
				for i := range r.Data {
					skip[at+i] = true
				}
			}
		}
		for i := 0; i < len(body); i += step {
			if skip[i] {
				continue
			}
			bad := bytes.Clone(body)
			bad[i] ^= 1 << (i % 8)
			v := VerifyBytes(wrapped(t, bad), o)
			if v.Code == good.Code && bytes.Equal(v.JSON(), full) && !looseEnd(f, body, i) || v.Level < LevelAnchored && (v.Code == "" || v.Reason == "") {
				t.Errorf("%s: byte %d ^ %02x: %v %q", name, i, 1<<(i%8), v.Level, v.Code)
			}
			if v.Outcome == Verified && said(t, &v) != said(t, &good) {
				t.Errorf("%s: byte %d ^ %02x: verified with other readings", name, i, 1<<(i%8))
			}
			codes[v.Code]++
		}
		for _, r := range f.Receipts {
			done[string(r.Data)] = true
		}
		t.Logf("%s: %d bytes, reasons %v", name, len(body), codes)
	}
}

// TestFlipsOuter1 flips each bit of each byte as the file stands, and cuts it
// anywhere: it is damaged, or no proof file of a version that is known.
func TestFlipsOuter1(t *testing.T) {
	all := makeVersion1(t)
	for name, f := range all.files {
		b := mustEncode(t, f)
		for i := range b {
			for bit := range 8 {
				bad := bytes.Clone(b)
				bad[i] ^= 1 << bit
				code := VerifyBytes(bad, Options{}).Code
				ok := code == CodeDamaged
				if i < len(Magic) {
					ok = code == CodeNotProof || code == CodeVersion || code == CodeDamaged
				}
				if !ok {
					t.Errorf("%s: byte %d bit %d: %q", name, i, bit, code)
				}
			}
			if code := VerifyBytes(b[:i], Options{}).Code; code != CodeDamaged && code != CodeNotProof && code != CodeVersion {
				t.Errorf("%s: cut at %d: %q", name, i, code)
			}
		}
	}
}
