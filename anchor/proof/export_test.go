package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/scripts/btcd"

	"github.com/btcsuite/btcd/wire/v2"
)

// nodeChain is what a btcd has mined, from the genesis block on.
type nodeChain struct {
	t       *testing.T
	node    *btcd.Node
	headers []BitcoinHeader
}

// follow reads the headers that are new.
func (c *nodeChain) follow() {
	c.t.Helper()
	for tip, _ := c.node.Tip(); len(c.headers) <= tip; {
		block, err := c.node.Block(c.node.BlockHash(len(c.headers)))
		if err != nil {
			c.t.Fatal(err)
		}
		c.headers = append(c.headers, headerOf(c.t, &block.Header))
	}
}

// anchor puts a root into a block, with as many other outputs on each side of it
// as are asked for, and buries it.
func (c *nodeChain) anchor(root [32]byte, script []byte, more int) BitcoinReceipt {
	c.t.Helper()
	other := slices.Repeat([]*wire.TxOut{wire.NewTxOut(10_000, script)}, more)
	outs := append([]*wire.TxOut{wire.NewTxOut(90_000, script)}, other...)
	outs = append(append(outs, wire.NewTxOut(0, slices.Concat([]byte{opReturn, opData32}, root[:]))), other...)
	tx := c.node.Spend(outs...)
	for range 4 { // others in the same block
		c.node.Spend(wire.NewTxOut(20_000, script))
	}
	block, err := c.node.Block(c.node.Mine(1)[0])
	if err != nil {
		c.t.Fatal(err)
	}
	height, _ := c.node.Tip()
	c.node.Mine(6)
	c.follow()
	var ids [][32]byte
	at := -1
	for i, other := range block.Transactions {
		if other.TxHash() == tx.TxHash() {
			at = i
		}
		ids = append(ids, other.TxHash())
	}
	if at < 0 {
		c.t.Fatal("the anchor is not in the block")
	}
	branch, _ := merkleBranch(ids, at)
	return BitcoinReceipt{
		Network: BitcoinRegtest, Height: uint32(height), Tx: txBytes(c.t, tx), Index: uint32(at), Branch: branch,
		Header: c.headers[height], Following: slices.Clone(c.headers[height+1:]),
	}
}

func startChain(t *testing.T) *nodeChain {
	t.Helper()
	c := &nodeChain{t: t, node: btcd.Start(t)}
	c.node.Mine(120)
	c.follow()
	return c
}

// ofRange makes of a stream of the site, from one of its numbers on, a range
// that ends with these windows. Every fourth reading is shown in full, the
// others are not but for their record roots.
func (s *site) ofRange(t testing.TB, b *Builder, head, size int, slot, first uint64, windows ...int) Range {
	t.Helper()
	r := Range{First: first, From: siteStart + int64(windows[0]+1)*siteWindow, To: siteStart + int64(windows[len(windows)-1]+1)*siteWindow}
	var leaves []merkle.Hash
	for w := 0; w <= windows[len(windows)-1]; w++ {
		run := s.windows[w].streams[slot]
		for i := range run.records {
			rec := &run.records[i]
			n := Numbered{Seq: rec.seq}
			if rec.seq%4 == 0 {
				n.Width = len(rec.leaves)
				var all []int
				for k, item := range rec.items {
					if k == 0 {
						item = nil
					}
					n.Fields, all = append(n.Fields, Field{Index: k, Item: item, Salt: s.salts.Salt(rec.seq, k, len(rec.items))}), append(all, k)
				}
				n.Hidden = Cover(rec.leaves, all)
			} else {
				n.Hidden = Path{rec.root}
			}
			if rec.seq >= first {
				r.Readings = append(r.Readings, n)
			}
			leaves = append(leaves, reading.EntryLeaf(ledger.Tag(s.tagKey, s.id, slot), rec.seq, rec.root))
		}
		if !slices.Contains(windows, w) {
			continue
		}
		win := &s.windows[w]
		batch := b.Batch(win.header, Shown{Item: win.slotsItem, Salt: salt("header", uint64(w), 2)}, nil)
		path, err := merkle.ProveInclusion(s.log, uint64(w), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		b.Cover(batch, head, path)
		r.Summaries = append(r.Summaries, b.Summary(Summary{
			Batch: batch, Tag: ledger.Tag(s.tagKey, s.id, slot), Item: run.summary,
			Salt: salt("summary", slot, uint64(w)), Path: merkle.PerfectPath(win.leaves, int(slot)),
		}))
	}
	for at, size := uint64(0), first; size != 0; {
		n := uint64(1)
		for n*2 <= size {
			n *= 2
		}
		r.Left = append(r.Left, merkle.RootOf(leaves[at:at+n]))
		at, size = at+n, size-n
	}
	return r
}

// exported is a file with something of each kind, and the selections of it all.
func (s *site) exported(t testing.TB) (*File, map[string]Selection) {
	t.Helper()
	const size = 5
	b := NewBuilder([32]byte(s.key.Public().(ed25519.PublicKey)), s.nonce)
	head := b.Head(s.head(t, size))
	s.show(t, b, head, size, pick{window: 3, slot: 2, at: 1})
	s.show(t, b, head, size, pick{window: 1, slot: 5, at: 2, fields: []int{1, 3, 8, 9}})
	r := s.ofRange(t, b, head, size, 0, 5, 2, 4)
	f := b.File()
	f.Ranges = []Range{r}
	all := map[string]Selection{}
	for i := range f.Readings {
		for _, field := range f.Readings[i].Fields {
			all[fmt.Sprintf("reading %d field %d", i, field.Index)] = SelectField(i, field.Index)
		}
	}
	for i := range r.Readings {
		for _, field := range r.Readings[i].Fields {
			all[fmt.Sprintf("range reading %d field %d", i, field.Index)] = SelectRangeField(0, i, field.Index)
		}
	}
	for i := range f.Batches {
		all[fmt.Sprintf("header %d", i)] = SelectHeader(i)
	}
	for i := range f.Statements {
		all[fmt.Sprintf("statement %d", i)] = SelectStatement(i)
	}
	return f, all
}

// TestExportOTS: everything that a file can show is accepted by other programs
// against the headers of a real node, and nothing else is.
func TestExportOTS(t *testing.T) {
	t.Parallel()
	chain := startChain(t)
	s := newSite("export").build(5)
	f, all := s.exported(t)
	r := chain.anchor([32]byte(s.root(5)), siteScript, 0)
	calendar := calendarReceipt(t, chain, s.root(5))
	f.Receipts = []Receipt{f0(s, t), btc(t, r), calendar}
	f, err := Decode(mustEncode(t, f))
	if err != nil {
		t.Fatal(err)
	}

	var files []stamped
	longest := 0
	for name, what := range all {
		shown, ots, err := ExportOTS(f, what)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files = append(files, stamped{name, shown, ots})
		parsed, err := ParseOTS(ots)
		if err != nil {
			t.Fatal(err)
		}
		leaves := parsed.Tree.Leaves()
		if len(leaves) != 3 { // the anchor, the calendar's, another calendar's promise
			t.Errorf("%s: %d attestations", name, len(leaves))
		}
		longest = max(longest, len(ots))
	}
	good := len(files)
	for _, f := range files[:good] {
		bad := stamped{"changed " + f.name, slices.Clone(f.shown), f.ots}
		bad.shown[len(bad.shown)-1] ^= 1
		wrong := stamped{"changed path " + f.name, f.shown, slices.Clone(f.ots)}
		wrong.ots[len(otsMagic)+2+32+4] ^= 1
		files = append(files, bad, wrong)
	}
	for name, read := range otsReaders(t, 0, chain.headers) {
		for i, got := range read(files) {
			want := attested{Height: int64(r.Height), Time: r.Header.Time() / 1000}
			if i < good && got != want {
				t.Errorf("%s: %s: %+v, want %+v", name, files[i].name, got, want)
			}
			if i >= good && got.Error == "" {
				t.Errorf("%s: %s: %+v, want an error", name, files[i].name, got)
			}
		}
	}
	t.Logf("%d exports of up to %d bytes", good, longest)
}

// f0 is a receipt that no OpenTimestamps file can hold.
func f0(s *site, t *testing.T) Receipt {
	t.Helper()
	return Receipt{Route: "ethereum:1", Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, 5))}
}

// calendarReceipt is of a calendar that made an anchor for a nonce and the root,
// and of one that only promises.
func calendarReceipt(t *testing.T, chain *nodeChain, root []byte) Receipt {
	t.Helper()
	stamp := NewTimestamp(slices.Clone(root))
	nonced, err := stamp.Path(OTSOp{OTSAppend, []byte("nonce of sixteen")}, OTSOp{Tag: OTSSHA256}, OTSOp{OTSPrepend, []byte{1, 2, 3, 4}},
		OTSOp{OTSAppend, []byte("mark")}, OTSOp{Tag: OTSSHA256})
	if err != nil {
		t.Fatal(err)
	}
	r := chain.anchor([32]byte(nonced.Message()), btcScript, 1)
	tail, err := BitcoinTimestamp(r, [32]byte(nonced.Message()))
	if err == nil {
		err = nonced.Merge(tail)
	}
	promise, err2 := PendingAttestation("https://b.example")
	if err := errors.Join(err, err2, stamp.Attest(promise)); err != nil {
		t.Fatal(err)
	}
	return Receipt{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, OTSReceipt{
		Network: r.Network, Timestamp: mustMarshal(t, stamp), Blocks: []OTSBlock{{r.Height, r.Header, r.Following}},
	})}
}

// TestExportChainpoint: the npm packages' schema takes all exports, and their
// parser finds the merkle root that the node's block has.
func TestExportChainpoint(t *testing.T) {
	t.Parallel()
	chain := startChain(t)
	s := newSite("export").build(5)
	f, all := s.exported(t)
	short := chain.anchor([32]byte(s.root(5)), siteScript, 0)
	long := chain.anchor([32]byte(s.root(5)), siteScript, 9)
	if len(long.Tx)-len(short.Tx) < 2*chainpointPart {
		t.Fatalf("transactions of %d and %d bytes", len(short.Tx), len(long.Tx))
	}
	for _, r := range []BitcoinReceipt{short, long} {
		f.Receipts = []Receipt{f0(s, t), btc(t, r)}
		var names []string
		var proofs []json.RawMessage
		digests := make(map[string]string)
		for name, what := range all {
			shown, chp, err := ExportChainpoint(f, what)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			names, proofs = append(names, name), append(proofs, chp)
			digests[name] = fmt.Sprintf("%x", sha256.Sum256(shown))
		}
		var header string
		if err := chain.node.Call(&header, "getblockheader", chain.node.BlockHash(int(r.Height)), false); err != nil {
			t.Fatal(err)
		}
		h := BitcoinHeader(fromHex(t, header))
		type answer struct {
			Error, Hash string
			Branches    []struct {
				OpReturn string `json:"opReturnValue"`
				TxID     string `json:"btcTxId"`
				RawTx    string `json:"rawTx"`
				Anchors  []struct {
					Type     string
					ID       string `json:"anchor_id"`
					Expected string `json:"expected_value"`
				}
			}
		}
		for i, got := range runLines[json.RawMessage, answer](t, proofs, "node", "--no-deprecation", "testdata/chainpoint.js") {
			if got.Error != "" || got.Hash != digests[names[i]] || len(got.Branches) != 1 || len(got.Branches[0].Anchors) != 1 {
				t.Fatalf("%s: %+v", names[i], got)
			}
			b, a := got.Branches[0], got.Branches[0].Anchors[0]
			if a.Type != "tbtc" || a.ID != fmt.Sprint(r.Height) || a.Expected != shownHash(h.Merkle()) {
				t.Errorf("%s: %+v, want merkle root %s of block %d", names[i], a, shownHash(h.Merkle()), r.Height)
			}
			wantTx, wantRoot := shownHash(sha256d(r.Tx)), fmt.Sprintf("%x", s.root(5))
			if r.Height == long.Height {
				wantTx, wantRoot = "", "" // the label by which readers look for them is not there
			}
			if b.TxID != wantTx || b.OpReturn != wantRoot {
				t.Errorf("%s: transaction %s with %s, want %s with %s", names[i], b.TxID, b.OpReturn, wantTx, wantRoot)
			}
		}
	}
}

// tower is a file of one whole reading whose trees have these heights, item 0
// being below the first leaf of each: all siblings stand on the right.
func tower(t *testing.T, record, run, batch, log, branch int, more ...OTSOp) (*File, BitcoinReceipt) {
	t.Helper()
	seed := sha256.Sum256([]byte("tower"))
	key := ed25519.NewKeyFromSeed(seed[:])
	f := &File{Version: 1, Ledger: Ledger{Key: [32]byte(key.Public().(ed25519.PublicKey)), Nonce: seed}}
	n := byte(0)
	siblings := func(height int) (path Path) {
		for range height {
			n++
			path = append(path, sha256.Sum256([]byte{n}))
		}
		return path
	}
	id := ledger.ID(key.Public().(ed25519.PublicKey), seed)
	r := Reading{Width: 1 << record, Run: siblings(run)}
	whole := siteReading(0, 0, siteStart)
	for whole.Measurements = nil; whole.Items() < r.Width; {
		whole.Measurements = append(whole.Measurements, reading.Measurement{Name: fmt.Sprintf("m%d", whole.Items()), Value: reading.Int(1)})
	}
	var items reading.Items
	items.Set(whole)
	var leaves []merkle.Hash
	for i := range r.Width {
		f := Field{Index: i, Item: items.At(i)}
		e := reading.HiddenEntry(f.Item, f.Salt)
		if leaves = append(leaves, merkle.LeafHash(e[:])); i == 0 {
			f.Item = nil
		}
		r.Fields = append(r.Fields, f)
	}
	root := merkle.RootOf(leaves)
	r.Root = root
	climb := func(leaf merkle.Hash, path Path) merkle.Hash {
		h, err := merkle.RootFromInclusion(leaf, 0, 1<<len(path), path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	runRoot := climb(reading.EntryLeaf([12]byte{}, 0, root), r.Run)
	summary := ledger.Summary{From: siteStart, To: siteStart + siteWindow, Next: 1 << run, Run: runRoot}
	sum := Summary{Item: summary.Append(nil), Path: siblings(batch)}
	e := ledger.SummaryEntry(sum.Tag, sum.Item, sum.Salt)
	slots := Shown{Item: ledger.Slots{Depth: batch}.Append(nil)}
	header := ledger.Header{Ledger: id, From: siteStart, To: siteStart + siteWindow, Root: climb(merkle.LeafHash(e[:]), sum.Path)}
	header.Hidden[ledger.HiddenSlots] = ledger.Hide(slots.Item, slots.Salt)
	b := Batch{Header: header.Append(nil), Slots: slots, Heads: []HeadPath{{Path: siblings(log)}}}
	top := climb(merkle.LeafHash(b.Header), b.Heads[0].Path)
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(id), Size: 1 << log, Root: top}, key)
	if err != nil {
		t.Fatal(err)
	}
	f.Readings, f.Summaries, f.Batches, f.Heads = []Reading{r}, []Summary{sum}, []Batch{b}, []Head{{Note: note}}

	stamp := NewTimestamp(top[:])
	end, err := stamp.Path(more...)
	if err != nil {
		t.Fatal(err)
	}
	anchor := BitcoinReceipt{
		Network: BitcoinRegtest, Height: 900, Tx: txBytes(t, anchorTx([32]byte(end.Message()))), Index: 1,
		Branch: make([][32]byte, branch), Header: BitcoinHeader{0: 4},
	}
	for i := range anchor.Branch {
		anchor.Branch[i] = sha256.Sum256([]byte{byte(i), 1})
	}
	block, err := anchor.climb(sha256d(anchor.Tx))
	if err != nil {
		t.Fatal(err)
	}
	copy(anchor.Header[36:], block[:])
	binary.LittleEndian.PutUint32(anchor.Header[68:], 1_770_000_000)
	setBits(&anchor.Header, regtestBits)
	if len(more) == 0 {
		f.Receipts = []Receipt{btc(t, anchor)}
		return f, anchor
	}
	tail, err := BitcoinTimestamp(anchor, [32]byte(end.Message()))
	if err == nil {
		err = end.Merge(tail)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := OTSReceipt{Network: BitcoinRegtest, Timestamp: mustMarshal(t, stamp), Blocks: []OTSBlock{{Height: 900, Header: anchor.Header}}}
	f.Receipts = []Receipt{{Route: "ots", Kind: KindOTS, Data: mustMarshal(t, o)}}
	return f, anchor
}

// TestExportBudget: what the design's budget allows is read by others in the
// worst case, and what they would refuse is not written.
func TestExportBudget(t *testing.T) {
	t.Parallel()
	calendar := func(n int) (ops []OTSOp) { // n operations, the last a hash
		ops = append(ops, OTSOp{OTSAppend, []byte("nonce of sixteen")}, OTSOp{Tag: OTSSHA256})
		for i := 0; len(ops) < n; i++ {
			ops = append(ops, OTSOp{OTSAppend, sha256.New().Sum([]byte{byte(i)})[1:]}, OTSOp{Tag: OTSSHA256})
		}
		return ops
	}
	for _, c := range []struct {
		name                            string
		record, run, batch, log, branch int
		more                            []OTSOp
		ok                              bool
	}{
		{"56 levels, the fullest block", 6, 14, 8, 28, maxBitcoinBranch, nil, true},
		{"56 levels, a high log", 3, 4, 3, 46, maxBitcoinBranch, nil, true},
		{"48 levels and a calendar of 46 operations", 6, 10, 6, 26, maxBitcoinBranch, calendar(46), true},
		{"63 levels", 6, 15, 12, 30, maxBitcoinBranch, nil, true},
		{"64 levels", 6, 16, 12, 30, maxBitcoinBranch, nil, false},
		{"64 levels, a small block", 6, 16, 12, 30, 12, nil, true},
		{"48 levels and a calendar of 48 operations", 6, 10, 6, 26, maxBitcoinBranch, calendar(48), false},
		{"48 levels, a calendar of 48 operations, a smaller block", 6, 10, 6, 26, 14, calendar(48), true},
		{"the highest trees", 6, 62, 32, 62, 1, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, r := tower(t, c.record, c.run, c.batch, c.log, c.branch, c.more...)
			if v := Verify(f, Options{Trust: Pinned{reversed(r.Header.Hash())}}); v.Level != LevelAnchored {
				t.Fatal(v.Text())
			}
			shown, ots, err := ExportOTS(f, SelectField(0, 0))
			if !c.ok {
				if !errors.Is(err, ErrUnexportable) || !strings.Contains(err.Error(), "operations up to the ledger's root") {
					t.Fatalf("%d bytes, %v", len(ots), err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := ParseOTS(ots)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations, %d bytes", len(parsed.Tree.Leaves()[0].Path), len(ots))
			for name, read := range otsReaders(t, 900, []BitcoinHeader{r.Header}) {
				want := attested{Height: 900, Time: 1_770_000_000}
				if got := read([]stamped{{c.name, shown, ots}}); got[0] != want {
					t.Errorf("%s: %+v, want %+v", name, got[0], want)
				}
			}
		})
	}
	// One operation more than we write is what the reference refuses.
	deep := NewTimestamp(btcRoot[:])
	end := deep
	for range maxOTSDepth + 1 {
		end, _ = end.Path(OTSOp{Tag: OTSSHA256})
	}
	if end.Attest(BitcoinAttestation(900)) != nil {
		t.Fatal("no attestation")
	}
	raw := slices.Concat([]byte(otsMagic), []byte{otsVersion, byte(OTSSHA256)}, btcRoot[:], bytes.Repeat([]byte{byte(OTSSHA256)}, maxOTSDepth+1), fromHex(t, otsBitcoin1))
	got := otsReaders(t, 900, nil)["python opentimestamps"]([]stamped{{"256", []byte("a root"), raw}})
	if !strings.Contains(got[0].Error, "RecursionLimitError") {
		t.Errorf("256 operations: %+v", got[0])
	}
}

// FuzzExport: what a hostile file says never makes an export fall over, and
// what is written is read by our own reader of it.
func FuzzExport(f *testing.F) {
	for _, file := range makeVersion1(f).files {
		f.Add(bodyOf(f, mustEncode(f, file)))
	}
	s := newSite("export").build(5)
	chain := newBTCChain(f)
	r := chain.anchor(s.root(5), siteScript, siteStart+20*60_000)
	full, _ := s.exported(f)
	full.Receipts = []Receipt{btc(f, r), viaCalendar(f, r, s.root(5), true, "https://a.example")}
	f.Add(bodyOf(f, mustEncode(f, full)))
	named := func(err error) bool {
		return errors.Is(err, ErrSelection) || errors.Is(err, ErrExportFalse) || errors.Is(err, ErrUnexportable)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := Decode(wrapped(t, body))
		if err != nil {
			return
		}
		all := []Selection{SelectHeader(0), SelectStatement(0), SelectField(0, 0), SelectRangeField(0, 0, 0)}
		for i := range 8 {
			what, err := file.SelectReading(i, "")
			if err == nil {
				all = append(all, what)
			}
			if what, err = file.SelectHeaderOf(i); err == nil {
				all = append(all, what)
			}
		}
		for _, what := range all {
			shown, ots, err := ExportOTS(file, what)
			if err == nil {
				if p, err := ParseOTS(ots); err != nil || [32]byte(p.Tree.Message()) != sha256.Sum256(shown) {
					t.Errorf("%v", err)
				}
			} else if !named(err) {
				t.Errorf("error without a name: %v", err)
			}
			for _, export := range []func(*File, Selection) ([]byte, []byte, error){ExportChainpoint, ExportTlogProof} {
				if _, _, err := export(file, what); err != nil && !named(err) {
					t.Errorf("error without a name: %v", err)
				}
			}
		}
	})
}
