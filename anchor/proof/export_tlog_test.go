package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"

	"filippo.io/torchwood"
	"github.com/fxamacker/cbor/v2"
	tlogformat "github.com/transparency-dev/formats/log"
	noteformat "github.com/transparency-dev/formats/note"
	proofformat "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/formats/witness"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/veraison/go-cose"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosigned adds cosignatures of these witnesses to a checkpoint.
func cosigned(t *testing.T, checkpoint []byte, log note.Verifier, names ...string) ([]byte, map[string]*torchwood.CosignatureVerifier) {
	t.Helper()
	n, err := note.Open(checkpoint, note.VerifierList(log))
	if err != nil {
		t.Fatal(err)
	}
	var signers []note.Signer
	known := make(map[string]*torchwood.CosignatureVerifier)
	for _, name := range names {
		seed := sha256.Sum256([]byte(name))
		s, err := torchwood.NewCosignatureSigner(name, ed25519.NewKeyFromSeed(seed[:]))
		if err != nil {
			t.Fatal(err)
		}
		signers, known[name] = append(signers, s), s.Verifier()
	}
	b, err := note.Sign(n, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return b, known
}

// TestExportTlogProof: three programs' packages accept proof, checkpoint and
// cosignatures, and refuse them for another entry or a policy that is not met.
func TestExportTlogProof(t *testing.T) {
	s := newSite("export").build(5)
	origin := ledger.Origin(s.id)
	pub := s.key.Public().(ed25519.PublicKey)
	logKey, err := note.NewVerifier(merkle.VerifierKey(origin, pub))
	if err != nil {
		t.Fatal(err)
	}
	f, all := s.exported(t)
	plain := f.Heads[0].Note
	names := []string{"a.example/w", "b.example/w"}
	signed, known := cosigned(t, plain, logKey, names...)
	policyText := fmt.Sprintf("log %s\nwitness a %s\nwitness b %s\ngroup both all a b\nquorum ", merkle.VerifierKey(origin, pub), known[names[0]], known[names[1]])
	policy := func(quorum string) torchwood.Policy {
		p, err := torchwood.ParsePolicy([]byte(policyText + quorum + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		name, quorum string
		note         []byte
		ok           bool
	}{
		{"log alone", "none", plain, true},
		{"two witnesses", "both", signed, true},
		{"two witnesses that are missing", "both", plain, false},
	} {
		f.Heads[0].Note = c.note
		for name, what := range all {
			entry, proof, err := ExportTlogProof(f, what)
			if err != nil {
				t.Fatalf("%s: %s: %v", c.name, name, err)
			}
			err = torchwood.VerifyProof(policy(c.quorum), tlog.RecordHash(entry), proof)
			if (err == nil) != c.ok {
				t.Errorf("%s: %s: torchwood: %v", c.name, name, err)
			}
			var wrong *torchwood.VerifyRecordError
			if err := torchwood.VerifyProof(policy("none"), tlog.RecordHash(append(entry[:len(entry):len(entry)], 0)), proof); !errors.As(err, &wrong) {
				t.Errorf("%s: %s: torchwood for another entry: %v", c.name, name, err)
			}
			var read proofformat.TLogProof
			if err := read.Unmarshal(proof); err != nil || !bytes.Equal(read.Checkpoint, c.note) || !bytes.Equal(read.Marshal(), proof) {
				t.Errorf("%s: %s: formats: %+v, %v", c.name, name, read, err)
			}
			cp, rest, _, err := tlogformat.ParseCheckpoint(read.Checkpoint, origin, logKey)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: %s: formats: %q, %v", c.name, name, rest, err)
			}
			var path [][]byte
			for _, h := range read.Hashes {
				path = append(path, h[:])
			}
			if err := mproof.VerifyInclusion(rfc6962.DefaultHasher, read.Index, cp.Size, rfc6962.DefaultHasher.HashLeaf(entry), path, cp.Hash); err != nil {
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
			if h, err := ledger.ParseHeader(entry); err != nil || h.Index != read.Index {
				t.Errorf("%s: %s: header of index %d, %v", c.name, name, h.Index, err)
			}
			checkpoint, err := ExportCheckpoint(f, what)
			if err != nil || !bytes.Equal(checkpoint, c.note) {
				t.Errorf("%s: %s: checkpoint %q, %v", c.name, name, checkpoint, err)
			}
		}
		if _, _, err := torchwood.VerifyCheckpoint(c.note, policy(c.quorum)); (err == nil) != c.ok {
			t.Errorf("%s: torchwood's checkpoint: %v", c.name, err)
		}
	}
	var group []witness.Witness
	for _, name := range names {
		v, err := noteformat.NewVerifierForCosignatureV1(known[name].String())
		if err != nil {
			t.Fatal(err)
		}
		group = append(group, witness.Witness{Key: v})
	}
	if g := witness.NewGroup(2, group[0], group[1]); !g.Satisfied(signed) || g.Satisfied(plain) {
		t.Errorf("formats' witness group: %v, %v", g.Satisfied(signed), g.Satisfied(plain))
	}
}

// TestVerifierKeyOf: the key that others need is the one that signed.
func TestVerifierKeyOf(t *testing.T) {
	next := testKey("next")
	s := handsOver(newSite("a"), next).build(5)
	p := pick{window: 1, slot: 5, at: 0}
	for size, key := range map[int]ed25519.PrivateKey{2: s.key, 5: next} {
		want := merkle.VerifierKey(ledger.Origin(s.id), key.Public().(ed25519.PublicKey))
		f := s.telling(t, 5, p, 2)
		if size == 2 {
			f = s.file(t, 2, p)
		}
		if got, err := f.VerifierKeyOf(SelectField(0, 0)); err != nil || got != want {
			t.Errorf("head of %d: %s, %v, want %s", size, got, err, want)
		}
	}
	if _, err := s.file(t, 5, p).VerifierKeyOf(SelectField(0, 0)); !errors.Is(err, ErrExportFalse) {
		t.Errorf("%v without the statement", err)
	}
}

// TestExportCOSE: go-cose reads and verifies the receipt with the root that its
// own path leads to.
func TestExportCOSE(t *testing.T) {
	s := newSite("export").build(5)
	pub := s.key.Public().(ed25519.PublicKey)
	sign := func(b []byte) ([]byte, error) { return ed25519.Sign(s.key, b), nil }
	f, all := s.exported(t)
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, pub)
	if err != nil {
		t.Fatal(err)
	}
	root := s.root(5)
	for name, what := range all {
		entry, receipt, err := ExportCOSE(f, what, pub, sign)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var m cose.Sign1Message
		if err := m.UnmarshalCBOR(receipt); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.Payload != nil {
			t.Errorf("%s: payload %x, want it detached", name, m.Payload)
		}
		if alg, err := m.Headers.Protected.Algorithm(); err != nil || alg != cose.AlgorithmEdDSA || m.Headers.Protected[int64(coseVDS)] != int64(1) {
			t.Errorf("%s: protected %v, %v", name, m.Headers.Protected, err)
		}
		kid, _ := m.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
		if !strings.HasPrefix(merkle.VerifierKey(ledger.Origin(s.id), pub), string(kid)+"+") {
			t.Errorf("%s: kid %q", name, kid)
		}
		proofs, _ := m.Headers.Unprotected[int64(coseVDP)].(map[any]any)
		included, _ := proofs[int64(vdpIncluded)].([]any)
		if len(m.Headers.Unprotected) != 1 || len(proofs) != 1 || len(included) != 1 {
			t.Fatalf("%s: unprotected %v", name, m.Headers.Unprotected)
		}
		var p struct {
			_           struct{} `cbor:",toarray"`
			Size, Index uint64
			Path        [][]byte
		}
		if err := cbor.Unmarshal(included[0].([]byte), &p); err != nil {
			t.Fatal(err)
		}
		got, err := mproof.RootFromInclusionProof(rfc6962.DefaultHasher, p.Index, p.Size, rfc6962.DefaultHasher.HashLeaf(entry), p.Path)
		if err != nil || !bytes.Equal(got, root) {
			t.Errorf("%s: the path leads to %x, want %x, %v", name, got, root, err)
		}
		for _, c := range []struct {
			root []byte
			ok   bool
		}{{got, true}, {make([]byte, 32), false}} {
			m.Payload = c.root
			if err := m.Verify(nil, verifier); (err == nil) != c.ok {
				t.Errorf("%s: root %x: %v", name, c.root, err)
			}
		}
	}
	what := SelectHeader(0)
	if _, _, err := ExportCOSE(f, what, pub, func([]byte) ([]byte, error) { return make([]byte, 64), nil }); err == nil {
		t.Error("a wrong signature is written")
	}
	stop := errors.New("no key")
	if _, _, err := ExportCOSE(f, what, pub, func([]byte) ([]byte, error) { return nil, stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	one := LogEntry{Header: s.windows[0].header, Note: s.head(t, 1)}
	if _, err := one.COSEReceipt(pub, sign); !errors.Is(err, ErrUnexportable) {
		t.Errorf("%v for a log of one entry", err)
	}
	if b, err := one.TlogProof(); err != nil || !strings.HasPrefix(string(b), "c2sp.org/tlog-proof@v1\nindex 0\n\ncairn/") {
		t.Errorf("%q, %v for a log of one entry", b, err)
	}
	one.Index = 1
	if _, err := one.TlogProof(); !errors.Is(err, ErrExportFalse) {
		t.Errorf("%v for another index", err)
	}
}

func numberedLeaves(n int) (leaves merkle.Leaves) {
	for i := range n {
		leaves = append(leaves, merkle.LeafHash([]byte{byte(i)}))
	}
	return leaves
}

// TestExtendPath: a path in a smaller tree and the consistency proof are the
// path in the larger tree, wherever the leaf.
func TestExtendPath(t *testing.T) {
	const most = 40
	leaves := numberedLeaves(most)
	for size := uint64(2); size <= most; size++ {
		for old := uint64(1); old < size; old++ {
			consistency, err := merkle.ProveConsistency(leaves, old, size)
			if err != nil {
				t.Fatal(err)
			}
			for index := range old {
				before, err := merkle.ProveInclusion(leaves, index, old)
				if err != nil {
					t.Fatal(err)
				}
				want, err := merkle.ProveInclusion(leaves, index, size)
				if err != nil {
					t.Fatal(err)
				}
				got, ok := extendPath(index, before, old, size, merkle.RootOf(leaves[:old]), consistency)
				if !ok || !slices.Equal(got, want) {
					t.Fatalf("leaf %d from %d to %d: %v, %v, want %v", index, old, size, got, ok, want)
				}
				for n := range consistency { // what is cut short does no harm
					if got, ok := extendPath(index, before, old, size, merkle.RootOf(leaves[:old]), consistency[:n]); ok && slices.Equal(got, want) {
						t.Fatalf("leaf %d from %d to %d with %d of %d hashes", index, old, size, n, len(consistency))
					}
				}
			}
		}
	}
	if _, ok := extendPath(3, nil, 3, 5, merkle.Hash{}, nil); ok {
		t.Error("a leaf outside the smaller tree")
	}
}

// TestStreamPart: what a range shows of a stream is enough for the path of each
// of its readings.
func TestStreamPart(t *testing.T) {
	const most = 40
	leaves := numberedLeaves(most)
	for first := range uint64(most) {
		var left []merkle.Hash
		for at, rest := uint64(0), first; rest != 0; {
			n := uint64(1)
			for n*2 <= rest {
				n *= 2
			}
			left, at, rest = append(left, merkle.RootOf(leaves[at:at+n])), at+n, rest-n
		}
		p := streamPart{first, left, leaves[first:], make(map[subtree]merkle.Hash)}
		for size := first + 1; size <= most; size++ {
			for index := first; index < size; index++ {
				want, err := merkle.ProveInclusion(leaves, index, size)
				if err != nil {
					t.Fatal(err)
				}
				if got, ok := p.path(index, size); !ok || !slices.Equal(got, want) {
					t.Fatalf("leaf %d of %d, shown from %d on: %v, want %v", index, size, first, got, want)
				}
			}
		}
		if _, ok := p.path(first, most+1); ok {
			t.Fatalf("leaf %d of a tree that is not all there", first)
		}
	}
}

// TestExportExtended: an anchor of a newer head counts for a batch that only an
// extension leads there from.
func TestExportExtended(t *testing.T) {
	s := newSite("export").build(9)
	b := NewBuilder([32]byte(s.key.Public().(ed25519.PublicKey)), s.nonce)
	head := b.Head(s.head(t, 5))
	s.show(t, b, head, 5, pick{window: 3, slot: 5, at: 1})
	f := b.File()
	for _, size := range []int{7, 9} {
		f.Heads = append(f.Heads, Head{Note: s.head(t, size)})
	}
	for i, sizes := range [][2]uint64{{5, 7}, {7, 9}} {
		path, err := merkle.ProveConsistency(s.log, sizes[0], sizes[1])
		if err != nil {
			t.Fatal(err)
		}
		f.Extends = append(f.Extends, Extension{Old: i, New: i + 1, Path: path})
	}
	chain := newBTCChain(t)
	r := chain.anchor(s.root(9), siteScript, siteStart+20*60_000)
	chain.bury(6, &r)
	f.Receipts = []Receipt{btc(t, r)}
	f.Receipts[0].Head = 2
	shown, ots, err := ExportOTS(f, SelectField(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range otsReaders(t, 0, chain.headers) {
		if got := read([]stamped{{"extended", shown, ots}}); got[0].Height != int64(r.Height) {
			t.Errorf("%s: %+v, want block %d", name, got[0], r.Height)
		}
	}
	f.Extends[1].Path[0][0] ^= 1
	if _, _, err := ExportOTS(f, SelectField(0, 0)); !errors.Is(err, ErrExportFalse) {
		t.Errorf("%v for an extension that does not hold", err)
	}
	f.Extends = nil
	if _, _, err := ExportOTS(f, SelectField(0, 0)); !errors.Is(err, ErrUnexportable) {
		t.Errorf("%v without the extension", err)
	}
}

// TestStreamPartCost: a year of windows over one stream is one pass over its
// readings, and a little for each.
func TestStreamPartCost(t *testing.T) {
	const size, step = 1 << 18, 718 // a reading every two minutes, a summary each day
	leaves := make(merkle.Leaves, size)
	for i := range leaves {
		leaves[i] = merkle.Hash{byte(i), byte(i >> 8), byte(i >> 16)}
	}
	p := streamPart{leaves: leaves, known: make(map[subtree]merkle.Hash)}
	begun := time.Now()
	for n := uint64(step); n <= size; n += step {
		path, ok := p.path(5, n)
		if !ok || n%(50*step) == 0 && merkle.VerifyInclusion(leaves[5], 5, n, path, merkle.RootOf(leaves[:n])) != nil {
			t.Fatalf("no path in a tree of %d", n)
		}
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("%d paths in a stream of %d readings in %v", size/step, size, took)
	}
}

// TestExportManyHeads: of a long time's anchors the first are written, as many
// as a file can hold.
func TestExportManyHeads(t *testing.T) {
	const windows = 300
	s := newSite("export").build(windows)
	b := NewBuilder([32]byte(s.key.Public().(ed25519.PublicKey)), s.nonce)
	s.show(t, b, b.Head(s.head(t, 2)), 2, pick{window: 1, slot: 5, at: 1})
	f := b.File()
	chain := newBTCChain(t)
	for size := 3; size <= windows; size++ {
		path, err := merkle.ProveConsistency(s.log, uint64(size-1), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		f.Heads = append(f.Heads, Head{Note: s.head(t, size)})
		f.Extends = append(f.Extends, Extension{Old: size - 3, New: size - 2, Path: path})
		r := btc(t, chain.anchor(s.root(size), siteScript, siteStart+int64(size)*60_000))
		r.Head = size - 2
		f.Receipts = append([]Receipt{r}, f.Receipts...)
	}
	shown, ots, err := ExportOTS(f, SelectField(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	file, err := ParseOTS(ots)
	if err != nil {
		t.Fatal(err)
	}
	leaves := file.Tree.Leaves()
	least, most := leaves[0].Height, leaves[0].Height
	for _, l := range leaves {
		least, most = min(least, l.Height), max(most, l.Height)
	}
	if least != 4 || most != 3+uint64(len(leaves)) || len(leaves) >= len(f.Receipts) {
		t.Errorf("%d blocks from %d to %d, want the first", len(leaves), least, most)
	}
	t.Logf("%d of %d anchors in %d bytes", len(leaves), len(f.Receipts), len(ots))
	for name, read := range otsReaders(t, 0, chain.headers) {
		if got := read([]stamped{{"many", shown, ots}}); got[0].Height != 4 {
			t.Errorf("%s: %+v, want block 4", name, got[0])
		}
	}
}

// TestExportRefusals: what cannot be written is not, and the error says why.
func TestExportRefusals(t *testing.T) {
	s := newSite("export").build(5)
	chain := newBTCChain(t)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	file := func(change func(*File)) *File {
		f, _ := newSite("export").build(5).exported(t) // a change is of one alone
		f.Receipts = []Receipt{btc(t, r)}
		change(f)
		return f
	}
	nothing := func(*File) {}
	whole := SelectField(0, 0)
	for _, c := range []struct {
		name   string
		change func(*File)
		what   Selection
		want   error
		words  string
	}{
		{"no such reading", nothing, SelectField(9, 0), ErrSelection, "reading 9 of 2"},
		{"no such field", nothing, SelectField(1, 2), ErrSelection, "field 2"},
		{"no such range", nothing, SelectRangeField(1, 0, 0), ErrSelection, "range 1"},
		{"no such reading of a range", nothing, SelectRangeField(0, 99, 0), ErrSelection, "reading 99"},
		{"reading of a range that is hidden", nothing, SelectRangeField(0, 0, 1), ErrSelection, "fields"},
		{"no such statement", nothing, SelectStatement(7), ErrSelection, "statement 7"},
		{"no such header", nothing, SelectHeader(-1), ErrSelection, "batch -1"},
		{"no receipt", func(f *File) { f.Receipts = nil }, whole, ErrUnexportable, "no receipt of a Bitcoin block or of a calendar"},
		{"Ethereum's receipt", func(f *File) { f.Receipts = []Receipt{f0(s, t)} }, whole, ErrUnexportable, "no receipt of a Bitcoin block"},
		{"receipt of another root", func(f *File) { f.Heads[0].Note = s.head(t, 4) }, whole, ErrExportFalse, "head 0"},
		{"changed item", func(f *File) { f.Readings[0].Fields[8].Item[20] ^= 1 }, SelectField(0, 8), ErrExportFalse, ""},
		{"changed salt", func(f *File) { f.Readings[0].Fields[8].Salt[3] ^= 1 }, whole, ErrExportFalse, ""},
		{"changed run", func(f *File) { f.Readings[0].Run[0][3] ^= 1 }, whole, ErrExportFalse, "summary 0"},
		{"changed header", func(f *File) { f.Batches[0].Header[len(f.Batches[0].Header)-200] ^= 1 }, whole, ErrExportFalse, "header of batch 0"},
		{"changed range", func(f *File) { f.Ranges[0].Readings[0].Hidden[0][3] ^= 1 }, SelectRangeField(0, 3, 0), ErrExportFalse, "summary"},
		{"range cut short", func(f *File) { f.Ranges[0].Readings = f.Ranges[0].Readings[:4] }, SelectRangeField(0, 3, 0), ErrExportFalse, "does not reach"},
		{"range without what is before", func(f *File) { f.Ranges[0].Left = nil }, SelectRangeField(0, 3, 0), ErrExportFalse, "subtrees before"},
		{"no place in the log", func(f *File) { f.Batches[0].Heads = nil }, whole, ErrExportFalse, "no head covers"},
	} {
		shown, ots, err := ExportOTS(file(c.change), c.what)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) || shown != nil || ots != nil {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.want, c.words)
		}
		if strings.Contains(c.name, "eceipt") && c.want == ErrUnexportable {
			if _, _, err := ExportChainpoint(file(c.change), c.what); !errors.Is(err, ErrUnexportable) {
				t.Errorf("%s: chainpoint: %v", c.name, err)
			}
		}
	}
}

// TestSelectReading chooses by names.
func TestSelectReading(t *testing.T) {
	s := newSite("export").build(5)
	f, _ := s.exported(t)
	f.Readings[1].Fields = f.Readings[1].Fields[1:2]
	for _, c := range []struct {
		n    int
		name string
		want Selection
		ok   bool
	}{
		{0, "", SelectField(0, 0), true},
		{0, "reading", SelectField(0, 0), true},
		{0, "T", SelectField(0, 7), true},
		{0, "origin", SelectField(0, 5), true},
		{0, "moon", Selection{}, false},
		{1, "", SelectField(1, 3), true},
		{1, "T", Selection{}, false},
		{2, "", Selection{}, false},
		{5, "H", SelectRangeField(0, 3, 8), true},
		{99, "", Selection{}, false},
		{-1, "", Selection{}, false},
	} {
		got, err := f.SelectReading(c.n, c.name)
		if (err == nil) != c.ok || err == nil && got != c.want || err != nil && !errors.Is(err, ErrSelection) {
			t.Errorf("reading %d field %q: %+v, %v", c.n, c.name, got, err)
		}
	}
}
