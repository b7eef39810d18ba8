package proof

// What a sender gets for a reading at once: bytes, and what they prove.

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// IntakeMagic is what an intake receipt begins with.
const IntakeMagic = "cairn/receipt/1\n"

const intakeStem = "cairn/receipt/"

// MaxIntake is the most bytes that an intake receipt may have.
const MaxIntake = 64 << 10

// ErrNotIntake says that bytes are no intake receipt at all.
var ErrNotIntake = errors.New("not an intake receipt")

// Why an intake receipt proves nothing.
const (
	CodeIntakeSignature Code = "receipt-signature" // no key of the log signed the commit
	CodeIntakePath      Code = "receipt-path"      // the reading is not in the commit
)

// IntakeReceipt is what a sender gets when its reading is on disk and signed, before
// there is a batch or an anchor: the reading's fields, its place in the group commit,
// and the commit's signed head. Its bytes are IntakeMagic and one CBOR array of what
// stands here, in this order, deterministic (RFC 8949 section 4.2).
type IntakeReceipt struct {
	_         struct{} `cbor:",toarray"`
	Ledger    Ledger
	Handovers [][]byte // log-key statements that lead from the first log key to the one that signed
	Tag       [ledger.TagSize]byte
	Seq       uint64 // in its stream
	Width     int    // leaves of the record tree
	Fields    []Field
	Hidden    Path   // for all other leaves
	Index     uint64 // of its entry in the commit
	Path      Path   // inclusion in the commit's tree (RFC 9162 section 2.1.3)
	Head      []byte // ledger.IntakeHead
	Signature [ed25519.SignatureSize]byte
}

// IsIntake reports whether a file begins as an intake receipt of any version.
func IsIntake(b []byte) bool { return bytes.HasPrefix(b, []byte(intakeStem)) }

// Encode returns the receipt as a file.
func (r *IntakeReceipt) Encode() ([]byte, error) {
	body, err := marshal(r)
	if err != nil {
		return nil, fmt.Errorf("intake receipt: %w", err)
	}
	if len(IntakeMagic)+len(body) > MaxIntake {
		return nil, fmt.Errorf("%w: an intake receipt of %d bytes, at most %d", ErrFile, len(body), MaxIntake)
	}
	return append([]byte(IntakeMagic), body...), nil
}

// DecodeIntake reads an intake receipt. It checks the form alone. Errors are
// ErrNotIntake, ErrVersion or ErrFile.
func DecodeIntake(b []byte) (*IntakeReceipt, error) {
	switch {
	case !IsIntake(b):
		return nil, ErrNotIntake
	case !bytes.HasPrefix(b, []byte(IntakeMagic)):
		line, _, _ := bytes.Cut(b[:min(len(b), 40)], []byte("\n"))
		return nil, fmt.Errorf("%w: %q, want %q", ErrVersion, line, IntakeMagic[:len(IntakeMagic)-1])
	case len(b) > MaxIntake:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(b), MaxIntake)
	}
	r := new(IntakeReceipt)
	if err := unmarshal(b[len(IntakeMagic):], r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	alone := r.alone()
	if err := alone.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if len(r.Handovers) > maxLogKeys {
		return nil, fmt.Errorf("%w: %d handovers, at most %d", ErrFile, len(r.Handovers), maxLogKeys)
	}
	return r, nil
}

func (r *IntakeReceipt) alone() Reading {
	return Reading{Seq: r.Seq, Width: r.Width, Fields: r.Fields, Hidden: r.Hidden}
}

// IntakeVerdict is what a check of an intake receipt found. Its JSON form has these
// names.
type IntakeVerdict struct {
	Outcome    Outcome        `json:"outcome"`
	Code       Code           `json:"code,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Next       string         `json:"next,omitempty"`
	Ledger     string         `json:"ledger,omitempty"` // id
	Key        string         `json:"key,omitempty"`    // verifier key of the log: its first
	Identity   bool           `json:"identityChecked"`  // log and id are the policy's
	Tag        string         `json:"tag,omitempty"`    // of its stream, 24 hexadecimal digits
	Sequence   uint64         `json:"sequence"`
	Commit     uint64         `json:"commit"` // number of the group commit since the gateway's start
	Fields     []FieldVerdict `json:"fields,omitempty"`
	NotChecked []string       `json:"notChecked"`
}

// VerifyIntake decodes an intake receipt and says whether the log's key signed its
// reading. Of the options only the policy counts. It never fails otherwise than by its
// verdict.
func VerifyIntake(b []byte, o Options) IntakeVerdict {
	r, err := DecodeIntake(b)
	if err != nil {
		v := IntakeVerdict{Outcome: Refused, Code: CodeMalformed, Reason: err.Error(), Next: "ask for the receipt again", NotChecked: []string{}}
		switch {
		case errors.Is(err, ErrNotIntake):
			v.Outcome, v.Code = Unchecked, CodeNotProof
		case errors.Is(err, ErrVersion):
			v.Outcome, v.Code, v.Next = Unchecked, CodeVersion, "get a newer cairn-verify"
		}
		return v
	}
	return r.Verify(o)
}

// Verify checks a receipt as VerifyIntake does.
func (r *IntakeReceipt) Verify(o Options) IntakeVerdict {
	id := ledger.ID(r.Ledger.Key[:], r.Ledger.Nonce)
	v := IntakeVerdict{
		Outcome: Refused, Ledger: id.String(), Key: merkle.VerifierKey(ledger.Origin(id), r.Ledger.Key[:]),
		Tag: hex.EncodeToString(r.Tag[:]), Sequence: r.Seq, NotChecked: []string{},
	}
	refuse := func(code Code, next string, err error) IntakeVerdict {
		v.Code, v.Reason, v.Next = code, err.Error(), next
		return v
	}
	if p := o.Policy; p != nil {
		if p.Ledger != id || !p.Key.Equal(ed25519.PublicKey(r.Ledger.Key[:])) {
			return refuse(CodeIdentity, "give the policy of this ledger, or none", fmt.Errorf("ledger %v is not the policy's, %v", id, p.Ledger))
		}
		v.Identity = true
	}
	const ask = "ask whoever gave it for another"
	var shown reading.Reading
	if bad := parseFields(&shown, r.Fields); bad != nil {
		return refuse(bad.code, ask, bad.err)
	}
	for _, f := range r.Fields {
		if f.Index == reading.IndexSequence && shown.Sequence != r.Seq {
			return refuse(CodeSequence, ask, fmt.Errorf("the reading is number %d, its field sequence says %d", r.Seq, shown.Sequence))
		}
	}
	leaf, bad := r.leaf()
	if bad != nil {
		return refuse(bad.code, ask, bad.err)
	}
	head, bad := r.signed(id)
	if bad != nil {
		return refuse(bad.code, ask, bad.err)
	}
	if err := merkle.VerifyInclusion(leaf, r.Index, head.Count, r.Path, head.Root); err != nil {
		return refuse(CodeIntakePath, ask, fmt.Errorf("the reading is not in the commit that was signed: %w", err))
	}
	v.Outcome, v.Commit = Verified, head.Number
	for _, f := range r.Fields {
		if f.Index != reading.IndexReading {
			v.Fields = append(v.Fields, fieldText(f.Index, &shown))
		}
	}
	if !v.Identity {
		v.NotChecked = append(v.NotChecked, notIdentity)
	}
	v.NotChecked = append(v.NotChecked,
		"that the reading is in the ledger's log, or anchored: a proof shows that. One that shows another reading under its number, or a stream that ended before it, convicts the gateway: cairn-verify compare RECEIPT PROOF",
		"times inside the reading: received is the gateway's clock, measured the device's",
		"what a device said: this is what the gateway took")
	return v
}

// root is that of the reading's record tree.
func (r *IntakeReceipt) root() (merkle.Hash, *fault) {
	alone := r.alone()
	return alone.recompute()
}

// leaf is the reading's leaf, in its commit's tree and in its stream's.
func (r *IntakeReceipt) leaf() (merkle.Hash, *fault) {
	root, bad := r.root()
	if bad != nil {
		return root, bad
	}
	return reading.EntryLeaf(r.Tag, r.Seq, root), nil
}

// signed finds which of the log's keys signed the commit's head.
func (r *IntakeReceipt) signed(id merkle.Hash) (ledger.IntakeHead, *fault) {
	x := &fraudFacts{id: id}
	if bad := x.logKeys(&Fraud{Ledger: r.Ledger, Handovers: r.Handovers}); bad != nil {
		return ledger.IntakeHead{}, bad
	}
	_, head, bad := x.intakeSigner(r.Head, r.Signature[:])
	return head, bad
}

// ShownBy reports whether a proof file, which must be verified by itself, shows the very
// reading. What contradicts it, [IntakeReceipt.Evidence] tells.
func (r *IntakeReceipt) ShownBy(f *File) (bool, error) {
	if f.Ledger != r.Ledger {
		return false, errors.New("the receipt is of another ledger than the proof")
	}
	want, bad := r.leaf()
	if bad != nil {
		return false, bad.err
	}
	for i := range f.Readings {
		x := &f.Readings[i]
		if x.Seq != r.Seq || f.Summaries[x.Summary].Tag != r.Tag {
			continue
		}
		if root, bad := x.recompute(); bad == nil && reading.EntryLeaf(r.Tag, r.Seq, root) == want {
			return true, nil
		}
	}
	for i := range f.Ranges {
		x := &f.Ranges[i]
		if f.Summaries[x.Summaries[0]].Tag != r.Tag {
			continue
		}
		for j := range x.Readings {
			if n := &x.Readings[j]; n.Seq == r.Seq {
				root, ok := n.RecordRoot()
				return ok && reading.EntryLeaf(r.Tag, r.Seq, root) == want, nil
			}
		}
	}
	return false, nil
}

// Text returns the verdict for people.
func (v *IntakeVerdict) Text() string {
	var b strings.Builder
	note := ""
	if !v.Identity {
		note = " (IDENTITY NOT CHECKED)"
	}
	switch v.Outcome {
	case Verified:
		fmt.Fprintf(&b, "ACKNOWLEDGED%s: the log's key signed that it took this reading, number %d of its stream\n\n", note, v.Sequence)
	case Refused:
		fmt.Fprintf(&b, "REFUSED: %s [%s]\n  next: %s\n", v.Reason, v.Code, v.Next)
	default:
		fmt.Fprintf(&b, "COULD NOT CHECK: %s [%s]\n  next: %s\n", v.Reason, v.Code, v.Next)
	}
	for _, f := range v.Fields {
		fmt.Fprintf(&b, "  %-12s %s%s\n", f.Name, f.Value, strings.TrimRight(" "+f.Unit, " "))
	}
	if v.Ledger != "" {
		fmt.Fprintf(&b, "\nledger      %s\nkey         %s\ncommit      %d\nstream tag  %s\n", v.Ledger, v.Key, v.Commit, v.Tag)
	}
	if len(v.NotChecked) > 0 {
		b.WriteString("\nNOT CHECKED\n")
	}
	for _, s := range v.NotChecked {
		fmt.Fprintf(&b, "  - %s\n", s)
	}
	return b.String()
}

// JSON returns the verdict for machines.
func (v *IntakeVerdict) JSON() []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("proof: " + err.Error()) // it holds texts and numbers alone
	}
	return append(b, '\n')
}
