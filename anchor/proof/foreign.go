package proof

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"

	//lint:ignore SA1019 foreign files may have such a digest; nothing is signed or stored by it
	"golang.org/x/crypto/ripemd160"
)

// Why a foreign timestamp is false, or less than anchored; beside these there
// are the codes for damaged and for false files, for promises and for blocks.
const (
	CodeDigest      Code = "digest-mismatch"       // the data has another digest than the one that is stamped
	CodeAttestation Code = "attestation-not-known" // nothing is attested in a way that this program checks
)

// maxFalseAsked is of how many attestations that contradict a headers file it
// is asked whether that block is final.
const maxFalseAsked = 8

// IsOTS reports whether bytes begin as an OpenTimestamps file.
func IsOTS(b []byte) bool { return bytes.HasPrefix(b, []byte(otsMagic)) }

// ForeignOptions say against what an OpenTimestamps file is checked that
// someone else has made.
type ForeignOptions struct {
	Data    io.Reader      // what is stamped; nil: only its digest is known
	Name    string         // of the data, to be told
	Network BitcoinNetwork // of the attested blocks, which do not say theirs; "" stands for mainnet
	Depth   uint64         // that a block must have in a headers file; 0 stands for DefaultDepth
	Trust   HeaderTrust    // which blocks are final; nil: none is trusted
	Require Level          // for the outcome; LevelNone stands for LevelAnchored
}

// ForeignVerdict is what a check of an OpenTimestamps file found. Its level is
// anchored if a block that is trusted attests it, pending if a block does or
// will that nobody vouched for. Its JSON form has these names.
type ForeignVerdict struct {
	Format       string               `json:"format"` // "opentimestamps"
	Outcome      Outcome              `json:"outcome"`
	Level        Level                `json:"level"`
	Required     Level                `json:"required"`
	Code         Code                 `json:"code,omitempty"`
	Reason       string               `json:"reason,omitempty"`
	Next         string               `json:"next,omitempty"`
	Hash         string               `json:"hash,omitempty"`   // sha256, sha1 or ripemd160
	Digest       string               `json:"digest,omitempty"` // hexadecimal
	Data         *ForeignData         `json:"data,omitempty"`   // if it was given
	Attestations []AttestationVerdict `json:"attestations,omitempty"`
	CheapWork    string               `json:"cheapWork,omitempty"` // as in Verdict
	NotAfter     *Bound               `json:"notAfter,omitempty"`  // of the earliest trusted block
	Checks       []Check              `json:"checks"`              // 1 file, 2 data, 3 block
	NotChecked   []string             `json:"notChecked"`
}

// ForeignData is what was given as the stamped data.
type ForeignData struct {
	Name    string `json:"name,omitempty"`
	Size    int64  `json:"size"` // bytes
	Digest  string `json:"digest"`
	Matches bool   `json:"matches"`
}

// AttestationVerdict is what one attestation says, and who vouches for it.
type AttestationVerdict struct {
	Kind       string `json:"kind"`            // bitcoin, pending, litecoin, ethereum or unknown
	Says       string `json:"says"`            // in words
	Block      uint64 `json:"block,omitempty"` // height
	URI        string `json:"uri,omitempty"`   // of the calendar that promises
	Operations int    `json:"operations"`      // on the way there from the digest
	Weak       bool   `json:"weak,omitempty"`  // the way goes through SHA-1 or RIPEMD-160

	// Of Bitcoin's.
	Network  string `json:"network,omitempty"`
	Merkle   string `json:"merkleRoot,omitempty"` // that the block must have
	Hash     string `json:"blockHash,omitempty"`
	Time     string `json:"time,omitempty"`
	Earliest string `json:"earliest,omitempty"`
	Latest   string `json:"latest,omitempty"`
	Trusted  bool   `json:"trusted"`
	False    bool   `json:"false,omitempty"` // the trusted block of that height is another
	How      string `json:"how,omitempty"`   // it is trusted, or why it is not

	block *anchorBlock
}

// VerifyForeign reads and checks an OpenTimestamps file. It never fails
// otherwise than by its verdict.
func VerifyForeign(ots []byte, o ForeignOptions) ForeignVerdict {
	c := foreignChecker{o: o, v: ForeignVerdict{Format: "opentimestamps"}}
	if c.o.Network == "" {
		c.o.Network = BitcoinMainnet
	}
	f, err := ParseOTS(ots)
	if err != nil {
		c.step(1, "file", false, err.Error())
		return c.end(LevelNone, true, CodeMalformed, err.Error(), "ask for the file again")
	}
	c.v.Hash, c.v.Digest = OTSOp{Tag: f.Hash}.String(), hex.EncodeToString(f.Tree.Message())
	leaves := f.Tree.Leaves()
	c.step(1, "file", true, fmt.Sprintf("%s of a digest by %s", count(len(leaves), "attestation"), c.v.Hash))
	if bad := c.data(f); bad != nil {
		return *bad
	}
	return c.blocks(leaves)
}

type foreignChecker struct {
	o ForeignOptions
	v ForeignVerdict
}

func (c *foreignChecker) step(n int, name string, ok bool, detail string) {
	c.v.Checks = append(c.v.Checks, Check{n, name, ok, detail})
}

func (c *foreignChecker) end(level Level, asked bool, code Code, reason, next string) ForeignVerdict {
	v := &c.v
	v.Level, v.Code, v.Reason, v.Next = level, code, reason, next
	if slices.ContainsFunc(v.Checks, func(c Check) bool { return !c.OK }) {
		v.NotChecked = []string{"what comes after the step that failed"}
	} else {
		c.notChecked()
	}
	all := Verdict{Level: level}
	all.conclude(c.o.Require, asked)
	v.Outcome, v.Required = all.Outcome, all.Required
	return *v
}

// data holds the digest of what was given against the file's.
func (c *foreignChecker) data(f OTSFile) *ForeignVerdict {
	if c.o.Data == nil {
		return nil
	}
	var h hash.Hash
	switch f.Hash {
	case OTSSHA1:
		h = sha1.New()
	case OTSRIPEMD160:
		h = ripemd160.New()
	default:
		h = sha256.New()
	}
	n, err := io.Copy(h, c.o.Data)
	if err != nil {
		reason := fmt.Sprintf("the data could not be read: %v", err)
		c.step(2, "data", false, reason)
		v := c.end(LevelNone, false, CodeDigest, reason, "give the file that was stamped")
		return &v
	}
	sum := h.Sum(nil)
	d := &ForeignData{c.o.Name, n, hex.EncodeToString(sum), bytes.Equal(sum, f.Tree.Message())}
	c.v.Data = d
	if !d.Matches {
		reason := fmt.Sprintf("the data's digest is %s, what is stamped is %s", d.Digest, c.v.Digest)
		c.step(2, "data", false, reason)
		v := c.end(LevelNone, true, CodeDigest, reason, "give the very file that was stamped: one byte more or less makes it another")
		return &v
	}
	c.step(2, "data", true, fmt.Sprintf("%s with the digest that is stamped", count(int(n), "byte")))
	return nil
}

// blocks asks about each block that is attested, and concludes.
func (c *foreignChecker) blocks(leaves []OTSLeaf) ForeignVerdict {
	ask := checker{o: Options{Trust: c.o.Trust}}
	var best, failed, open *AttestationVerdict
	c.v.Attestations = make([]AttestationVerdict, len(leaves))
	for i := range leaves {
		a := &c.v.Attestations[i]
		*a = c.attestation(&leaves[i])
		if a.block == nil {
			continue
		}
		if c.o.Trust != nil {
			ask.ask(a.block, depthOf(c.o.Depth))
		}
		a.describe()
		switch {
		case a.Trusted && (best == nil || a.block.latest() < best.block.latest()):
			best = a
		case a.block.err != nil && failed == nil:
			failed = a
		case open == nil:
			open = a
		}
	}
	if best != nil {
		c.v.NotAfter, c.v.CheapWork = ask.notAfter(best.block), cheapWork(best.block.route)
		c.step(3, "block", true, fmt.Sprintf("block %d trusted: %s", best.Block, best.How))
		return c.end(LevelAnchored, true, "", "", "")
	}
	if bad := c.contradicted(); bad != nil {
		c.step(3, "block", false, bad.How)
		return c.end(LevelNone, true, CodeBranch, fmt.Sprintf("it does not lead to block %d of %s: %s", bad.Block, bitcoinRoute(bad.Network), bad.How),
			"do not rely on this file; ask for the one that was stamped, and look whether the blocks are of its network")
	}
	return c.pending(cmp.Or(failed, open))
}

// pending says why nothing is proven yet.
func (c *foreignChecker) pending(a *AttestationVerdict) ForeignVerdict {
	const headers = "give a headers file that has that block by --headers (cairn headers fetch writes one from any node)"
	switch {
	case a != nil && a.block.err != nil:
		return c.end(LevelPending, false, CodeTrustFailed, fmt.Sprintf("block %d could not be checked: %v", a.Block, a.block.err), "try again later")
	case a != nil:
		reason := fmt.Sprintf("nobody trusted says that %s is final", a.block.text())
		if a.How != "" {
			reason += ": " + a.How
		}
		return c.end(LevelPending, true, CodeNotTrusted, reason, headers)
	}
	var uris []string
	for _, a := range c.v.Attestations {
		if a.URI != "" && !slices.Contains(uris, a.URI) && len(uris) < maxPending {
			uris = append(uris, a.URI)
		}
	}
	if len(uris) != 0 {
		return c.end(LevelPending, true, CodePromise, "there is no more than a calendar's promise: "+joined(uris),
			"ask the calendar for the rest, as any OpenTimestamps program does (ots upgrade), and give that file")
	}
	return c.end(LevelNone, false, CodeAttestation, "nothing is attested in a way that this program checks", "ask for a proof by Bitcoin's blocks, or use a program that knows these attestations")
}

// contradicted returns an attestation that a trusted header shows to be false.
func (c *foreignChecker) contradicted() *AttestationVerdict {
	var first *AttestationVerdict
	asked := 0
	for i := range c.v.Attestations {
		a := &c.v.Attestations[i]
		if a.block == nil || a.block.known || c.o.Trust == nil || asked == maxFalseAsked {
			continue
		}
		for _, h := range blocksAt(c.o.Trust, a.block.route, a.block.height) {
			asked++
			if how, ok, err := trusted(c.o.Trust, a.block.route, a.block.height, h.Hash(), depthOf(c.o.Depth)); ok && err == nil {
				a.False, a.How = true, fmt.Sprintf("that block has merkle root %s, not %s; %s", shownHash(h.Merkle()), a.Merkle, how)
				first = cmp.Or(first, a)
			}
		}
	}
	return first
}

func (c *foreignChecker) attestation(l *OTSLeaf) AttestationVerdict {
	kinds := [...]string{OTSUnknown: "unknown", OTSPending: "pending", OTSBitcoin: "bitcoin", OTSLitecoin: "litecoin", OTSEthereum: "ethereum"}
	a := AttestationVerdict{
		Kind: kinds[l.Kind], Says: l.OTSAttestation.String(), Block: l.Height, URI: l.URI, Operations: len(l.Path),
		Weak: slices.ContainsFunc(l.Path, func(op OTSOp) bool { return weakHash(op.Tag) }),
	}
	msg := l.Node.Message()
	if l.Kind != OTSBitcoin {
		return a
	}
	a.Network = c.o.Network
	if len(msg) != 32 {
		a.False, a.How = true, fmt.Sprintf("it leads to %d bytes, a merkle root has 32", len(msg))
		return a
	}
	route := bitcoinRoute(c.o.Network)
	a.block = &anchorBlock{route: route, height: l.Height, merkle: [32]byte(msg), slack: slackOf(route)}
	return a
}

func weakHash(t OTSTag) bool { return t == OTSSHA1 || t == OTSRIPEMD160 }

func (a *AttestationVerdict) describe() {
	b := a.block
	a.Merkle, a.Trusted, a.How = shownHash(b.merkle), b.trusted, b.how
	if b.known {
		a.Hash, a.Time = blockHash(b.route, b.hash), timeText(b.time)
		a.Earliest, a.Latest = timeText(b.time-b.slack), timeText(b.latest())
	} else if a.How == "" || a.How == noHeader {
		a.How = "no headers file has that block"
	}
}

// notChecked lists in plain words what the verdict says nothing about.
func (c *foreignChecker) notChecked() {
	add := func(format string, args ...any) {
		c.v.NotChecked = append(c.v.NotChecked, fmt.Sprintf(format, args...))
	}
	if c.v.Data == nil {
		add("DATA: that what you hold has the digest %s. No data was given", c.v.Digest)
	}
	if c.v.Hash != "sha256" {
		add("that no other data has this digest: %s", weakWords[c.v.Hash])
	}
	var others []string
	weak := false
	for i := range c.v.Attestations {
		a := &c.v.Attestations[i]
		weak = weak || a.Weak && a.Trusted
		if a.Kind == "litecoin" || a.Kind == "ethereum" || a.Kind == "unknown" {
			others = append(others, a.Says)
		}
		if a.False && a.block == nil {
			add("%s: %s", a.Says, a.How)
		}
	}
	if weak {
		add("that the way to the block is of this data alone: it goes through SHA-1 or RIPEMD-160, which are weak")
	}
	if b := c.v.NotAfter; b != nil {
		add("that block %d is on the chain of %s and final: it is trusted because %s", b.Block, b.Route, c.howTrusted())
		add("that Bitcoin's miners set their clocks: by the rules a block's time is two hours ahead at most, but that it is no more behind is just what most of them do")
	}
	if c.o.Network != BitcoinMainnet {
		add("work: that of %s's blocks is worth nothing, on mainnet alone it keeps others from making such. The file does not say that its blocks are of that network", bitcoinRoute(c.o.Network))
	}
	if len(others) > maxHows {
		others = append(others[:maxHows:maxHows], fmt.Sprintf("and %d more", len(others)-maxHows))
	}
	if len(others) != 0 {
		add("attestations that this program does not know how to check: %s", joined(others))
	}
	if slices.ContainsFunc(c.v.Attestations, func(a AttestationVerdict) bool { return a.Kind == "pending" }) {
		add("what calendars promise: their word proves nothing")
	}
	add("who made the data, whether what it says is true, and when it was made: a timestamp says that it was there by then, and anyone may stamp anything")
}

func (c *foreignChecker) howTrusted() string {
	for i := range c.v.Attestations {
		if a := &c.v.Attestations[i]; a.Trusted && a.Block == c.v.NotAfter.Block {
			return a.How
		}
	}
	return ""
}

// weakWords say what the digests of old files are worth.
var weakWords = map[string]string{
	"sha1":      "two files with one SHA-1 can be made by whoever makes both, so who stamped this one may hold another",
	"ripemd160": "160 bits are so few that whoever makes both may find two files with one RIPEMD-160",
}

// JSON returns the verdict as JSON, indented, with a newline at the end.
func (v *ForeignVerdict) JSON() []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("proof: verdict as JSON: %v", err)) // no type here can fail
	}
	return append(b, '\n')
}

// CheckNetwork tells whether there is a Bitcoin network of this name; if not,
// the error is an ErrBitcoinNetwork.
func CheckNetwork(name string) error {
	if _, err := bitcoinParamsOf(name); err != nil {
		return fmt.Errorf("%w; want mainnet, testnet4, signet or regtest", err)
	}
	return nil
}

//go:embed foreign.schema.json
var foreignSchema []byte

// ForeignSchema returns the JSON Schema (draft 2020-12) of what
// [ForeignVerdict.JSON] writes.
func ForeignSchema() []byte { return foreignSchema }
