package proof

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	//lint:ignore SA1019 the oracle of a digest that old files have
	"golang.org/x/crypto/ripemd160"
)

// foreignFile stamps a digest in a block of the chain.
func foreignFile(t testing.TB, chain *btcChain, tag OTSTag, digest []byte, more func(*Timestamp)) ([]byte, BitcoinReceipt) {
	t.Helper()
	tree := NewTimestamp(slices.Clone(digest))
	end, err := tree.Path(OTSOp{OTSAppend, []byte("nonce of sixteen")}, OTSOp{Tag: OTSSHA256})
	if err != nil {
		t.Fatal(err)
	}
	r := chain.anchor(end.Message(), btcScript, siteStart+int64(len(chain.headers))*600_000)
	tail, err := BitcoinTimestamp(r, [32]byte(end.Message()))
	if err == nil {
		err = end.Merge(tail)
	}
	if err != nil {
		t.Fatal(err)
	}
	if more != nil {
		more(tree)
	}
	return mustMarshal(t, OTSFile{tag, tree}), r
}

// TestVerifyForeign has each outcome, with the words that matter.
func TestVerifyForeign(t *testing.T) {
	data := []byte("an invoice of somebody else\n")
	sum, old := sha256.Sum256(data), sha1.Sum(data)
	ripemd := ripemd160.New()
	ripemd.Write(data)
	attest := func(a OTSAttestation, ops ...OTSOp) func(*Timestamp) {
		return func(tree *Timestamp) {
			end, err := tree.Path(ops...)
			if err == nil {
				err = end.Attest(a)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	promise, err := PendingAttestation("https://a.example")
	if err != nil {
		t.Fatal(err)
	}
	only := func(more func(*Timestamp)) []byte {
		tree := NewTimestamp(sum[:])
		more(tree)
		return mustMarshal(t, OTSFile{OTSSHA256, tree})
	}
	chain := newBTCChain(t)
	good, r := foreignFile(t, chain, OTSSHA256, sum[:], attest(promise))
	sha, _ := foreignFile(t, chain, OTSSHA1, old[:], nil)
	rip, _ := foreignFile(t, chain, OTSRIPEMD160, ripemd.Sum(nil), nil)
	late, _ := foreignFile(t, chain, OTSSHA256, sum[:], nil)
	both, err := ParseOTS(late)
	if err != nil {
		t.Fatal(err)
	}
	first, err := ParseOTS(good)
	if err == nil {
		err = both.Tree.Merge(first.Tree)
	}
	if err != nil {
		t.Fatal(err)
	}
	unburied := chain.file()
	chain.bury(6)
	fork := newBTCChain(t)
	fork.mine(siteStart, [32]byte{3})
	fork.bury(9)
	valid := foreignSchemaOf(t)
	pin := Pinned{reversed(r.Header.Hash())}
	for _, c := range []struct {
		name    string
		file    []byte
		data    string
		trust   HeaderTrust
		network string
		require Level
		outcome Outcome
		level   Level
		code    Code
		words   []string
	}{
		{"block and data", good, string(data), chain.file(), "regtest", 0, Verified, LevelAnchored, "",
			[]string{"VERIFIED anchored: what is stamped (BY bitcoin:regtest, WHOSE WORK IS WORTH NOTHING)", "- what calendars promise", "attested    pending at https://a.example: a promise"}},
		{"without the data", good, "", chain.file(), "regtest", 0, Verified, LevelAnchored, "", []string{"(DATA NOT CHECKED)", "- DATA: that what you hold has the digest"}},
		{"two blocks", mustMarshal(t, both), string(data), chain.file(), "regtest", 0, Verified, LevelAnchored, "", []string{"block 4 trusted"}},
		{"other data", good, string(data) + " ", chain.file(), "regtest", 0, Refused, LevelNone, CodeDigest, []string{"FALSE   2 data", "the very file"}},
		{"SHA-1", sha, string(data), chain.file(), "regtest", 0, Verified, LevelAnchored, "", []string{"digest      sha1 ", "two files with one SHA-1 can be made"}},
		{"RIPEMD-160", rip, string(data), chain.file(), "regtest", 0, Verified, LevelAnchored, "", []string{"two files with one RIPEMD-160"}},
		{"no headers", good, string(data), nil, "regtest", 0, Refused, LevelPending, CodeNotTrusted, []string{"no headers file has that block", "by --headers"}},
		{"no headers, pending is enough", good, string(data), nil, "regtest", LevelPending, Verified, LevelPending, CodeNotTrusted, []string{"VERIFIED pending: what is stamped; not more"}},
		{"not deep enough", good, string(data), unburied, "regtest", 0, Refused, LevelPending, CodeNotTrusted, []string{"one of the newest 4"}},
		{"not deep enough, but pinned", good, string(data), AnyTrust{unburied, pin}, "regtest", 0, Verified, LevelAnchored, "", []string{"its hash was given"}},
		{"pinned alone", good, string(data), pin, "regtest", 0, Refused, LevelPending, CodeNotTrusted, nil},
		{"mainnet is meant", good, string(data), chain.file(), "", 0, Refused, LevelPending, CodeNotTrusted, []string{"block 4 of bitcoin:mainnet with merkle root"}},
		{"another chain", good, string(data), fork.file(), "regtest", 0, Refused, LevelNone, CodeBranch, []string{"FALSE   3 block", "that block has merkle root"}},
		{"another chain beside", good, string(data), AnyTrust{fork.file(), chain.file()}, "regtest", 0, Verified, LevelAnchored, "", nil},
		{"cannot be asked", good, string(data), AnyTrust{says{errors.New("down")}, unburied}, "regtest", 0, Unchecked, LevelPending, CodeTrustFailed, []string{"COULD NOT CHECK: block 4 could not be checked: down"}},
		{"promise", only(attest(promise)), string(data), chain.file(), "regtest", 0, Refused, LevelPending, CodePromise, []string{"no more than a calendar's promise: https://a.example", "ots upgrade"}},
		{"others' chains", only(attest(OTSAttestation{Kind: OTSLitecoin, Height: 7})), string(data), chain.file(), "regtest", LevelLogged, Unchecked, LevelNone, CodeAttestation, []string{"attested    litecoin block 7: NOT CHECKED", "does not know how to check: litecoin block 7"}},
		{"unknown", only(attest(OTSAttestation{Tag: [8]byte{1}, Payload: []byte("\x1b[31m")})), string(data), chain.file(), "regtest", 0, Unchecked, LevelNone, CodeAttestation, []string{"unknown attestation 0100000000000000"}},
		{"no merkle root", only(attest(BitcoinAttestation(4), OTSOp{OTSAppend, []byte{1}})), string(data), chain.file(), "regtest", 0, Unchecked, LevelNone, CodeAttestation, []string{"FALSE: it leads to 33 bytes"}},
		{"cut", good[:len(good)-1], string(data), chain.file(), "regtest", 0, Refused, LevelNone, CodeMalformed, []string{"it ends too early"}},
		{"something else", []byte("hello"), string(data), chain.file(), "regtest", 0, Refused, LevelNone, CodeMalformed, []string{"it does not begin as one"}},
	} {
		o := ForeignOptions{Name: "invoice.txt", Network: c.network, Trust: c.trust, Require: c.require}
		if c.data != "" {
			o.Data = strings.NewReader(c.data)
		}
		v := VerifyForeign(c.file, o)
		text := v.Text()
		if v.Outcome != c.outcome || v.Level != c.level || v.Code != c.code {
			t.Errorf("%s: %v, %v %q, want %v, %v %q\n%s", c.name, v.Outcome, v.Level, v.Code, c.outcome, c.level, c.code, text)
		}
		for _, words := range c.words {
			if !strings.Contains(text, words) {
				t.Errorf("%s: no %q in\n%s", c.name, words, text)
			}
		}
		if (v.Level == LevelAnchored) != (v.NotAfter != nil) || len(v.NotChecked) == 0 || v.Level < LevelAnchored && v.Next == "" {
			t.Errorf("%s: not after %+v\n%s", c.name, v.NotAfter, text)
		}
		valid(c.name, v.JSON())
		var back map[string]any
		if err := json.Unmarshal(v.JSON(), &back); err != nil || back["outcome"] != string(c.outcome) || back["format"] != "opentimestamps" {
			t.Errorf("%s: %v, %v", c.name, back, err)
		}
	}
	v := VerifyForeign(good, ForeignOptions{Data: iotest.ErrReader(errors.New("disk")), Trust: chain.file(), Network: "regtest"})
	if v.Outcome != Unchecked || !strings.Contains(v.Reason, "disk") {
		t.Errorf("data that cannot be read: %s", v.Text())
	}
	if CheckNetwork("regtest") != nil || !errors.Is(CheckNetwork("moon"), ErrBitcoinNetwork) {
		t.Errorf("networks: %v", CheckNetwork("moon"))
	}
}

// foreignSchemaOf holds verdicts against their schema.
func foreignSchemaOf(t *testing.T) func(name string, verdict []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(ForeignSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:cairn:foreign:1", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:cairn:foreign:1")
	if err != nil {
		t.Fatal(err)
	}
	return func(name string, verdict []byte) {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(verdict))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v in %s", name, err, verdict)
		}
	}
}

// TestForeignFlips: whatever byte of a file is another, it is not anchored.
func TestForeignFlips(t *testing.T) {
	chain := newBTCChain(t)
	data := []byte("data")
	sum := sha256.Sum256(data)
	good, _ := foreignFile(t, chain, OTSSHA256, sum[:], nil)
	chain.bury(6)
	trust := chain.file()
	for at := range good {
		for _, bit := range []byte{0x01, 0x80} {
			bad := slices.Clone(good)
			bad[at] ^= bit
			v := VerifyForeign(bad, ForeignOptions{Data: bytes.NewReader(data), Network: "regtest", Trust: trust})
			if v.Outcome == Verified || v.Code == "" || v.Reason == "" {
				t.Fatalf("byte %d changed: %s", at, v.Text())
			}
		}
	}
}

func FuzzVerifyForeign(f *testing.F) {
	for _, v := range otsVectors(f) {
		f.Add(v.file)
	}
	chain := newBTCChain(f)
	good, _ := foreignFile(f, chain, OTSSHA256, btcRoot[:], nil)
	chain.bury(6)
	f.Add(good)
	trust := chain.file()
	f.Fuzz(func(t *testing.T, b []byte) {
		v := VerifyForeign(b, ForeignOptions{Network: "regtest", Trust: trust})
		if (v.Level == LevelAnchored) != (v.Outcome == Verified) || v.Outcome != Verified && (v.Code == "" || v.Next == "") {
			t.Errorf("%s", v.Text())
		}
		if len(v.JSON()) == 0 || len(v.Text()) == 0 {
			t.Error("no words")
		}
	})
}
