package proof

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOTSOps has known answers for each operation.
func TestOTSOps(t *testing.T) {
	abc := []byte("abc")
	for _, tt := range []struct {
		op   OTSOp
		want string
		name string
	}{
		{OTSOp{Tag: OTSSHA1}, "a9993e364706816aba3e25717850c26c9cd0d89d", "sha1"},
		{OTSOp{Tag: OTSRIPEMD160}, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc", "ripemd160"},
		{OTSOp{Tag: OTSSHA256}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "sha256"},
		{OTSOp{Tag: OTSKeccak256}, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45", "keccak256"},
		{OTSOp{OTSAppend, []byte{1, 2}}, "6162630102", "append 0102"},
		{OTSOp{OTSPrepend, []byte{1, 2}}, "0102616263", "prepend 0102"},
		{OTSOp{Tag: OTSReverse}, "636261", "reverse"},
		{OTSOp{Tag: OTSHexlify}, "363136323633", "hexlify"},
	} {
		got, err := tt.op.Apply(abc)
		if err != nil || hex.EncodeToString(got) != tt.want || tt.op.String() != tt.name {
			t.Errorf("%s: %x, %v", tt.op, got, err)
		}
	}
	if string(abc) != "abc" {
		t.Errorf("the message became %q", abc)
	}
	long := make([]byte, maxOTSMessage)
	for _, tt := range []struct {
		name string
		op   OTSOp
		msg  []byte
		ok   bool
	}{
		{"longest message", OTSOp{Tag: OTSSHA256}, long, true},
		{"too long a message", OTSOp{Tag: OTSSHA256}, make([]byte, maxOTSMessage+1), false},
		{"longest result", OTSOp{OTSAppend, long[1:]}, long[:1], true},
		{"too long a result", OTSOp{OTSAppend, long}, long[:1], false},
		{"longest to hexlify", OTSOp{Tag: OTSHexlify}, long[:maxOTSMessage/2], true},
		{"too long to hexlify", OTSOp{Tag: OTSHexlify}, long[:maxOTSMessage/2+1], false},
		{"hexlify nothing", OTSOp{Tag: OTSHexlify}, nil, false},
		{"reverse nothing", OTSOp{Tag: OTSReverse}, nil, false},
		{"append nothing", OTSOp{Tag: OTSAppend}, abc, false},
		{"too long an argument", OTSOp{OTSPrepend, make([]byte, maxOTSMessage+1)}, nil, false},
		{"argument of a hash", OTSOp{OTSSHA256, abc}, abc, false},
		{"unknown operation", OTSOp{Tag: 0x09}, abc, false},
		{"attestation as operation", OTSOp{Tag: 0x00}, abc, false},
	} {
		if _, err := tt.op.Apply(tt.msg); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrOTS) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

const (
	otsBitcoin1 = "00 0588960d73d71901 01 01" // block 1
	otsPendingA = "00 83dfe30d2ef90c8e 0a 09 68747470733a2f2f61"
)

// TestOTSOrder writes what the reference would, whatever the order in which a
// tree is made: attestations by tag and height or URI, then operations.
func TestOTSOrder(t *testing.T) {
	pending := func(uri string) OTSAttestation {
		a, err := PendingAttestation(uri)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	atts := []OTSAttestation{
		{Tag: [8]byte{1}, Payload: []byte{9}}, BitcoinAttestation(1), BitcoinAttestation(255), BitcoinAttestation(256),
		{Kind: OTSLitecoin, Height: 7}, {Kind: OTSEthereum, Height: 3}, pending("https://a"), pending("https://b"),
	}
	ops := []OTSOp{{Tag: OTSSHA1}, {Tag: OTSSHA256}, {Tag: OTSKeccak256}, {OTSAppend, []byte{1}}, {OTSAppend, []byte{1, 0}}, {OTSAppend, []byte{2}}, {Tag: OTSHexlify}}
	want := fromHex(t, "ff 00 0100000000000000 01 09 ff"+otsBitcoin1+
		"ff 00 0588960d73d71901 02 ff01 ff 00 0588960d73d71901 02 8002 ff 00 06869a0d73d71b45 01 07"+
		"ff 00 30fe8087b5c7ead7 01 03 ff"+otsPendingA+"ff 00 83dfe30d2ef90c8e 0a 09 68747470733a2f2f62"+
		"ff 02"+otsBitcoin1+"ff 08"+otsBitcoin1+"ff 67"+otsBitcoin1+"ff f0 01 01"+otsBitcoin1+
		"ff f0 02 0100"+otsBitcoin1+"ff f0 01 02"+otsBitcoin1+"f3"+otsBitcoin1)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		rng.Shuffle(len(atts), func(i, j int) { atts[i], atts[j] = atts[j], atts[i] })
		rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		ts := NewTimestamp([]byte("m"))
		for _, a := range slices.Concat(atts, atts[:3]) {
			if err := ts.Attest(a); err != nil {
				t.Fatal(err)
			}
		}
		for _, op := range slices.Concat(ops, ops[:3]) {
			next, err := ts.Path(op)
			if err != nil {
				t.Fatal(err)
			}
			if err := next.Attest(BitcoinAttestation(1)); err != nil {
				t.Fatal(err)
			}
		}
		if got := mustMarshal(t, ts); !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
	}
	// Any order is read, and varuints that are longer than they need be.
	loose := fromHex(t, "ff f1 8100 07"+otsBitcoin1+"ff"+otsPendingA+"ff 08"+otsBitcoin1+"00 0588960d73d71901 8300 818000")
	ts, err := ParseTimestamp([]byte("m"), loose)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mustMarshal(t, ts), fromHex(t, "ff"+otsBitcoin1+"ff"+otsPendingA+"ff 08"+otsBitcoin1+"f1 01 07"+otsBitcoin1); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// TestOTSRefusals has each way in which a tree can be wrong.
func TestOTSRefusals(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("08", n) + otsBitcoin1 }
	for _, tt := range []struct {
		name, tree string
		ok         bool
	}{
		{"one attestation", otsBitcoin1, true},
		{"nothing", "", false},
		{"fork alone", "ff", false},
		{"fork of a fork", "ff ff" + otsBitcoin1 + otsBitcoin1, false},
		{"nothing after a fork", "ff" + otsBitcoin1, false},
		{"nothing after an operation", "08", false},
		{"bytes left over", otsBitcoin1 + "00", false},
		{"another item without a fork", otsBitcoin1 + otsPendingA, false},
		{"unknown operation", "09" + otsBitcoin1, false},
		{"no argument", "f0 00" + otsBitcoin1, false},
		{"argument cut off", "f0 02 01", false},
		{"long result", "f0 df1f" + strings.Repeat("00", 4063) + otsBitcoin1, true},
		{"longest result", "f0 e01f" + strings.Repeat("00", 4064) + otsBitcoin1, true},
		{"result too long", "f0 e11f" + strings.Repeat("00", 4065) + otsBitcoin1, false},
		{"argument too long", "f0 8120" + strings.Repeat("00", 4097) + otsBitcoin1, false},
		{"deepest", deep(maxOTSDepth), true},
		{"too deep", deep(maxOTSDepth + 1), false},
		{"most items", strings.Repeat("ff"+otsBitcoin1, maxOTSItems-1) + otsPendingA, true},
		{"too many items", strings.Repeat("ff"+otsBitcoin1, maxOTSItems) + otsPendingA, false},
		{"attestation cut off", "00 0588960d73d719", false},
		{"attestation without payload", "00 0588960d73d71901", false},
		{"payload cut off", "00 0588960d73d71901 02 01", false},
		{"payload without a number", "00 0588960d73d71901 00", false},
		{"payload with more", "00 0588960d73d71901 02 01 00", false},
		{"number without an end", "00 0588960d73d71901 01 80", false},
		{"largest number", "00 0588960d73d71901 0a ffffffffffffffffff01", true},
		{"number of 65 bits", "00 0588960d73d71901 0a ffffffffffffffffff02", false},
		{"number of 11 bytes", "00 0588960d73d71901 0b 8080808080808080808000", false},
		{"unknown attestation", "00 0102030405060708 03 010203", true},
		{"unknown, empty", "00 0102030405060708 00", true},
		{"unknown, longest", "00 0102030405060708 8040" + strings.Repeat("00", 8192), true},
		{"unknown, too long", "00 0102030405060708 8140" + strings.Repeat("00", 8193), false},
		{"URI with a question mark", "00 83dfe30d2ef90c8e 03 02 613f", false},
		{"URI with a space", "00 83dfe30d2ef90c8e 03 02 6120", false},
		{"URI with a comma", "00 83dfe30d2ef90c8e 03 02 612c", false},
		{"URI with @", "00 83dfe30d2ef90c8e 03 02 6140", false},
		{"URI with a semicolon", "00 83dfe30d2ef90c8e 03 02 613b", false},
		{"URI with an escape", "00 83dfe30d2ef90c8e 03 02 611b", false},
		{"URI with more than ASCII", "00 83dfe30d2ef90c8e 04 03 61c3a4", false},
		{"URI of all characters there are", "00 83dfe30d2ef90c8e 0b 0a 415a617a30392d2e5f2f", true},
		{"longest URI", "00 83dfe30d2ef90c8e ea07 e807" + strings.Repeat("61", 1000), true},
		{"too long a URI", "00 83dfe30d2ef90c8e eb07 e907" + strings.Repeat("61", 1001), false},
		{"more after the URI", "00 83dfe30d2ef90c8e 03 01 6161", false},
		{"the same twice", "ff" + otsBitcoin1 + otsBitcoin1, true},
		{"the same operation twice", "ff 08" + otsBitcoin1 + "08" + otsPendingA, true},
	} {
		ts, err := ParseTimestamp(btcRoot[:], fromHex(t, tt.tree))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrOTS) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			mustMarshal(t, ts)
		}
	}
	if _, err := ParseTimestamp(btcRoot[:], make([]byte, maxOTS+1)); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for too many bytes", err)
	}
	if _, err := ParseTimestamp(make([]byte, maxOTSMessage+1), fromHex(t, otsBitcoin1)); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for too long a message", err)
	}
}

func TestOTSFileRefusals(t *testing.T) {
	ts := NewTimestamp(btcRoot[:])
	if _, err := WriteOTS(ts); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for nothing attested", err)
	}
	if err := ts.Attest(BitcoinAttestation(1)); err != nil {
		t.Fatal(err)
	}
	good, err := WriteOTS(ts)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := ParseOTS(good[:n]); !errors.Is(err, ErrOTS) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	for _, at := range []int{0, 16, 30, 31, 32} { // magic, version, hash
		bad := slices.Clone(good)
		bad[at] ^= 0x40
		if _, err := ParseOTS(bad); !errors.Is(err, ErrOTS) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	for _, hash := range []OTSTag{OTSKeccak256, OTSHexlify, OTSAppend} {
		bad := slices.Clone(good)
		bad[32] = byte(hash)
		if _, err := ParseOTS(bad); !errors.Is(err, ErrOTS) {
			t.Errorf("digest by %02x: %v", byte(hash), err)
		}
	}
	if _, err := ParseOTS(append(good, 0)); !errors.Is(err, ErrOTS) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := WriteOTS(NewTimestamp([]byte("short"))); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for a digest of 5 bytes", err)
	}
}

// TestOTSEdits makes trees that cannot be written.
func TestOTSEdits(t *testing.T) {
	for _, a := range []OTSAttestation{
		{Kind: 99}, {Kind: -1}, {Kind: OTSPending, URI: "https://a?b"}, {Payload: make([]byte, maxOTSPayload+1)},
		{Tag: [8]byte(fromHex(t, "0588960d73d71901")), Payload: []byte{1}},
	} {
		if err := NewTimestamp(btcRoot[:]).Attest(a); !errors.Is(err, ErrOTS) {
			t.Errorf("%v: %v", a, err)
		}
	}
	ts := NewTimestamp(btcRoot[:])
	if _, err := ts.Path(OTSOp{Tag: 9}); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for an unknown operation", err)
	}
	end := ts
	for range maxOTSDepth + 1 {
		end, _ = end.Path(OTSOp{Tag: OTSSHA256})
	}
	if err := end.Attest(BitcoinAttestation(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ts.MarshalBinary(); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for too deep a tree", err)
	}
	if err := ts.Merge(NewTimestamp([]byte("other"))); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for a merge with another message", err)
	}
}

// TestOTSUpgrade is what happens to a stamp: two calendars promise, one keeps
// it, then the other.
func TestOTSUpgrade(t *testing.T) {
	ts := NewTimestamp(btcRoot[:])
	var ends []*Timestamp
	for i, uri := range []string{"https://a", "https://b"} {
		end, err := ts.Path(OTSOp{OTSAppend, []byte{byte(i)}}, OTSOp{Tag: OTSSHA256})
		if err != nil {
			t.Fatal(err)
		}
		a, err := PendingAttestation(uri)
		if err != nil {
			t.Fatal(err)
		}
		if err := end.Attest(a); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	isBitcoin := func(a OTSAttestation) bool { return a.Kind == OTSBitcoin }
	if kept := ts.Only(isBitcoin); kept != nil {
		t.Errorf("something is left: %v", kept.Leaves())
	}
	before, err := ParseTimestamp(btcRoot[:], mustMarshal(t, ts))
	if err != nil {
		t.Fatal(err)
	}
	for i, end := range ends {
		answer := NewTimestamp(end.Message())
		top, err := answer.Path(OTSOp{OTSPrepend, []byte("sibling")}, OTSOp{Tag: OTSSHA256})
		if err != nil {
			t.Fatal(err)
		}
		if err := top.Attest(BitcoinAttestation(uint32(100 + i))); err != nil {
			t.Fatal(err)
		}
		leaves := ts.Leaves()
		at := slices.IndexFunc(leaves, func(l OTSLeaf) bool { return l.Node == end })
		if at < 0 || leaves[at].Kind != OTSPending {
			t.Fatalf("no promise in %v", leaves)
		}
		if err := leaves[at].Node.Merge(answer); err != nil {
			t.Fatal(err)
		}
		leaves[at].Node.Remove(leaves[at].OTSAttestation)
	}
	var got []string
	for _, l := range ts.Leaves() {
		got = append(got, l.String())
	}
	if want := []string{"bitcoin block 100", "bitcoin block 101"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := before.Merge(ts); err != nil {
		t.Fatal(err)
	}
	if n := len(before.Leaves()); n != 4 {
		t.Errorf("%d leaves after the merge, want 4", n)
	}
	if kept := before.Only(isBitcoin); !bytes.Equal(mustMarshal(t, kept), mustMarshal(t, ts)) {
		t.Errorf("%v is kept", kept.Leaves())
	}
}

func FuzzParseOTS(f *testing.F) {
	files, err := filepath.Glob("testdata/*.ots")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, v := range otsVectors(f) {
		f.Add(v.file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := ParseOTS(b)
		if err != nil {
			if !errors.Is(err, ErrOTS) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		once := mustMarshal(t, file)
		again, err := ParseOTS(once)
		if err != nil || !bytes.Equal(mustMarshal(t, again), once) {
			t.Errorf("what was written is not read: %v", err)
		}
		if len(file.Tree.Leaves()) == 0 || len(file.Tree.Leaves()) != len(again.Tree.Leaves()) {
			t.Errorf("%d leaves, then %d", len(file.Tree.Leaves()), len(again.Tree.Leaves()))
		}
		if err := again.Tree.Merge(file.Tree); err != nil || !bytes.Equal(mustMarshal(t, again), once) {
			t.Errorf("a merge with itself changes it: %v", err)
		}
	})
}

func FuzzParseTimestamp(f *testing.F) {
	for _, s := range []string{otsBitcoin1, otsPendingA, "ff 08" + otsBitcoin1 + "f2 f3 67 02 03 f0 01 01" + otsPendingA} {
		f.Add([]byte("a message"), fromHex(f, s))
	}
	f.Fuzz(func(t *testing.T, msg, b []byte) {
		ts, err := ParseTimestamp(msg, b)
		if err != nil {
			if !errors.Is(err, ErrOTS) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		for _, l := range ts.Leaves() {
			end := msg
			for _, op := range l.Path {
				if end, err = op.Apply(end); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(end, l.Node.Message()) {
				t.Errorf("the path of %v leads to %x, want %x", l.OTSAttestation, end, l.Node.Message())
			}
		}
	})
}
