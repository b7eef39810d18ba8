package proof

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"cairn/scripts/tool"
)

// otsVector is a detached file that was put together byte by byte.
type otsVector struct {
	name   string
	hash   OTSTag
	file   []byte
	leaves []string // attestation, number of operations, message
	ours   bool     // the npm package does not know what is in it
}

// otsVectors are the shapes that calendars' files have: an old one that is
// complete, a fresh one of two calendars, one of two chains, one of a SHA-1
// digest with promises left beside the block.
func otsVectors(t testing.TB) []otsVector {
	magic := fromHex(t, "00 4f70656e54696d657374616d7073 0000 50726f6f66 00 bf89e2e884e89294 01")
	sum := func(parts ...[]byte) []byte {
		h := sha256.Sum256(slices.Concat(parts...))
		return h[:]
	}
	end := func(tag, payload string) []byte { return fromHex(t, "00"+tag+payload) }
	arg := func(op byte, b []byte) []byte { return append([]byte{op, byte(len(b))}, b...) }
	pending := func(uri string) []byte {
		return slices.Concat(end("83dfe30d2ef90c8e", ""), []byte{byte(len(uri) + 1), byte(len(uri))}, []byte(uri))
	}
	leaf := func(what string, ops int, msg []byte) string {
		return what + " " + strconv.Itoa(ops) + " " + hex.EncodeToString(msg)
	}
	const sha, fork = 0x08, 0xff
	digest := sum([]byte("Hello Cairn!\n"))

	// A transaction of one input, its id, and a branch of two.
	before, after := bytes.Repeat([]byte{1}, 45), bytes.Repeat([]byte{2}, 20)
	id := sum(sum(before, digest, after))
	pair := sum(sum(id, digest))
	top := sum(sum(before[:32], pair))
	whole := slices.Concat(magic, []byte{sha}, digest, arg(0xf1, before), arg(0xf0, after), []byte{sha, sha},
		arg(0xf0, digest), []byte{sha, sha}, arg(0xf1, before[:32]), []byte{sha, sha}, end("0588960d73d71901", "03 f7ef15"))

	// One nonce, and of each calendar its own time and signature around the digest.
	nonced := sum(digest, after[:16])
	at := func(when, sign byte) (path, msg []byte) {
		path = slices.Concat(arg(0xf1, []byte{0x57, 0xd4, 0x65, when}), arg(0xf0, bytes.Repeat([]byte{sign}, 8)))
		return path, slices.Concat([]byte{0x57, 0xd4, 0x65, when}, nonced, bytes.Repeat([]byte{sign}, 8))
	}
	a, aMsg := at(0x15, 0xaa)
	b, bMsg := at(0x16, 0xbb)
	fresh := slices.Concat(magic, []byte{sha}, digest, arg(0xf0, after[:16]), []byte{sha}, []byte{fork}, a,
		pending("https://a.example"), b, pending("https://b.example"))

	// Two chains: an Ethereum block by Keccak-256 and one of Litecoin's.
	k := keccak256(digest)
	chains := slices.Concat(magic, []byte{sha}, digest, []byte{fork}, end("06869a0d73d71b45", "01 07"),
		[]byte{fork, 0x67}, end("30fe8087b5c7ead7", "04 f1b6c801"), arg(0xf0, after), []byte{sha}, pending("https://eth.example"))

	// A SHA-1 digest; the block below a promise that was kept, another beside it.
	old := sha1.Sum([]byte("Hello Cairn!\n"))
	kept := sum(old[:], after[:16])
	block := sum(before[:32], kept)
	sha1d := slices.Concat(magic, []byte{0x02}, old[:], arg(0xf0, after[:16]), []byte{sha, fork}, pending("https://a.example"),
		arg(0xf1, before[:32]), []byte{sha}, end("0588960d73d71901", "03 d2bf1c"))
	return []otsVector{
		{"complete", OTSSHA256, whole, []string{leaf("bitcoin block 358391", 10, top)}, false},
		{"fresh", OTSSHA256, fresh, []string{leaf("pending at https://a.example", 4, aMsg), leaf("pending at https://b.example", 4, bMsg)}, false},
		{"two chains", OTSSHA256, chains, []string{leaf("litecoin block 7", 0, digest), leaf("ethereum block 3283825", 1, k[:]),
			leaf("pending at https://eth.example", 2, sum(digest, after))}, true},
		{"SHA-1", OTSSHA1, sha1d, []string{leaf("pending at https://a.example", 2, kept), leaf("bitcoin block 466898", 4, block)}, false},
	}
}

// leavesOf walks a file's paths anew.
func leavesOf(t testing.TB, f OTSFile, ops bool) (all []string) {
	t.Helper()
	for _, l := range f.Tree.Leaves() {
		end, err := f.Tree.Message(), error(nil)
		for _, op := range l.Path {
			if end, err = op.Apply(end); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(end, l.Node.Message()) {
			t.Errorf("the path of %v leads to %x", l.OTSAttestation, end)
		}
		s := l.String() + " "
		if ops {
			s += strconv.Itoa(len(l.Path)) + " "
		}
		all = append(all, s+hex.EncodeToString(end))
	}
	return all
}

// TestKnownOTS reads such files, and writes the same bytes.
func TestKnownOTS(t *testing.T) {
	for _, v := range otsVectors(t) {
		f, err := ParseOTS(v.file)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if again := mustMarshal(t, f); f.Hash != v.hash || !bytes.Equal(again, v.file) {
			t.Errorf("%s: hash %02x, written again\n%x, want\n%x", v.name, f.Hash, again, v.file)
		}
		if got := leavesOf(t, f, true); !slices.Equal(got, v.leaves) {
			t.Errorf("%s: got %q, want %q", v.name, got, v.leaves)
		}
	}
}

// randomTree adds a few attestations and operations, of those that the npm
// package knows.
func randomTree(rng *rand.Rand, t *Timestamp, depth int) error {
	for range 1 + rng.IntN(3) {
		if depth == 0 || rng.IntN(4) == 0 {
			a := []OTSAttestation{
				BitcoinAttestation(rng.Uint32N(1 << (1 + rng.IntN(24)))),
				{Kind: OTSLitecoin, Height: rng.Uint64N(1 << 22)},
				{Kind: OTSPending, URI: "https://a.example/" + strconv.Itoa(rng.IntN(9))},
			}[rng.IntN(3)]
			if err := t.Attest(a); err != nil {
				return err
			}
			continue
		}
		arg := bytes.Repeat([]byte{byte(rng.IntN(256))}, 1+rng.IntN(300))
		op := []OTSOp{{Tag: OTSSHA256}, {Tag: OTSSHA1}, {Tag: OTSRIPEMD160}, {OTSAppend, arg}, {OTSPrepend, arg}}[rng.IntN(5)]
		next, err := t.Path(op)
		if err == nil {
			err = randomTree(rng, next, depth-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestOtherReader: the npm package opentimestamps finds the same in our files,
// and we in what it writes. Its order of operations is the file's own, so that
// the bytes are not compared.
func TestOtherReader(t *testing.T) {
	var files [][]byte
	for _, v := range otsVectors(t) {
		if !v.ours {
			files = append(files, v.file)
		}
	}
	files = append(files, readTestdata(t, "v1.bitcoin.ots"))
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		ts := NewTimestamp(btcRoot[:])
		if err := randomTree(rng, ts, rng.IntN(6)); err != nil {
			t.Fatal(err)
		}
		b, err := WriteOTS(ts)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	tools, err := tool.Dir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "--no-deprecation", filepath.Join("testdata", "reader.js"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(tools, "node_modules"))
	var in, stderr bytes.Buffer
	for _, b := range files {
		in.WriteString(hex.EncodeToString(b) + "\n")
	}
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(files) {
		t.Fatalf("%d answers for %d files", len(lines), len(files))
	}
	for i, line := range lines {
		var theirs struct {
			Leaves      []string
			File, Error string
		}
		if err := json.Unmarshal(line, &theirs); err != nil {
			t.Fatal(err)
		}
		ours, err := ParseOTS(files[i])
		if err != nil {
			t.Fatal(err)
		}
		want := leavesOf(t, ours, false)
		if !slices.Equal(theirs.Leaves, want) {
			t.Errorf("file %x: it reads %q, %s, want %q", files[i], theirs.Leaves, theirs.Error, want)
			continue
		}
		again, err := ParseOTS(fromHex(t, theirs.File))
		if err != nil || !bytes.Equal(mustMarshal(t, again), files[i]) {
			t.Errorf("file %x: what it writes is another, %v", files[i], err)
		}
	}
}
