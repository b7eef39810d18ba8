package proof

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// FraudVerdict is what a check of evidence found. Its JSON form has these names.
type FraudVerdict struct {
	Outcome  Outcome   `json:"outcome"` // verified: the fraud is proven
	Fraud    FraudKind `json:"fraud,omitempty"`
	What     string    `json:"what,omitempty"`   // the contradiction in words
	Code     Code      `json:"code,omitempty"`   // why nothing is proven
	Reason   string    `json:"reason,omitempty"` // the same in words
	Next     string    `json:"next,omitempty"`
	Ledger   string    `json:"ledger,omitempty"` // id
	Key      string    `json:"key,omitempty"`    // verifier key of the log: its first
	Identity bool      `json:"identityChecked"`  // log and id are the policy's
	Signed   []Signed  `json:"signed,omitempty"` // the two things
	Means    []string  `json:"means,omitempty"`
	MeansNot []string  `json:"doesNotMean,omitempty"`
}

// Signed is one thing that was signed, and by which of the log's keys.
type Signed struct {
	Key  string `json:"key"`            // verifier key
	Of   int    `json:"keyNumber"`      // 0: the log's first key; else of that handover in the file
	What string `json:"what"`           // in words
	Size uint64 `json:"size,omitempty"` // of the signed head
	Root string `json:"root,omitempty"`
}

// VerifyFraud decodes evidence and says whether it proves that the holder of
// the log's key signed two things that exclude one another. Of the options only
// the policy counts: whose ledger it must be. It never fails otherwise than by
// its verdict.
func VerifyFraud(b []byte, o Options) FraudVerdict {
	f, err := DecodeFraud(b)
	if err != nil {
		v := FraudVerdict{Outcome: Refused, Code: CodeMalformed, Reason: err.Error(), Next: "ask for the file again"}
		switch {
		case errors.Is(err, ErrNotFraud):
			v.Outcome, v.Code, v.Next = Unchecked, CodeNotProof, "give the file that cairn-verify compare wrote"
		case errors.Is(err, ErrVersion):
			v.Outcome, v.Code, v.Next = Unchecked, CodeVersion, "get a newer cairn-verify"
		case errors.Is(err, ErrDamaged):
			v.Code = CodeDamaged
		}
		return v
	}
	return f.Verify(o)
}

// Verify checks evidence as VerifyFraud does.
func (f *Fraud) Verify(o Options) FraudVerdict {
	id := ledger.ID(f.Ledger.Key[:], f.Ledger.Nonce)
	v := FraudVerdict{
		Outcome: Refused, Ledger: id.String(),
		Key: merkle.VerifierKey(ledger.Origin(id), f.Ledger.Key[:]),
	}
	if p := o.Policy; p != nil {
		if p.Ledger != id || !p.Key.Equal(ed25519.PublicKey(f.Ledger.Key[:])) {
			v.Code, v.Reason = CodeIdentity, fmt.Sprintf("ledger %v is not the policy's, %v", id, p.Ledger)
			v.Next = "give the policy of this ledger, or none"
			return v
		}
		v.Identity = true
	}
	x, bad := f.check()
	if bad != nil {
		v.Code, v.Reason, v.Next = bad.code, bad.err.Error(), "do not rely on this file: it proves nothing against anyone"
		return v
	}
	v.Outcome, v.Fraud, v.What = Verified, f.Kind, f.words(x)
	for i := range f.Sides {
		v.Signed = append(v.Signed, f.signed(x, i))
	}
	v.Means = []string{
		"whoever held " + x.holders() + " signed both; at most one of the two can be true",
		"nobody without that key can make such a file, and nothing but this file and the ledger's first log key is needed to check it",
	}
	v.MeansNot = []string{
		"who held the key, or whether it had been stolen",
		"which of the two is true, if either is",
		"that it was done on purpose: a gateway that was started from an old copy of its data signs two histories too",
		"when each was signed: a receipt for a proof's head shows that, this file does not",
	}
	if !v.Identity {
		v.MeansNot = append([]string{"whose ledger it is: no policy was given that names its id and first log key"}, v.MeansNot...)
	}
	return v
}

// holders names the keys that signed.
func (x *fraudFacts) holders() string {
	a, b := x.side[0].key, x.side[1].key
	switch {
	case a != b:
		return "the log's keys of that time, of which one took over from the other or both from one,"
	case a > 0:
		return "a key that took over from the log's first"
	}
	return "the log's key"
}

func (f *Fraud) signed(x *fraudFacts, i int) Signed {
	s, p := &f.Sides[i], &x.side[i]
	v := Signed{Key: merkle.VerifierKey(ledger.Origin(x.id), x.keys[p.key].key[:]), Of: p.key}
	if s.Taken != nil {
		v.What = fmt.Sprintf("that it took a reading as number %d of the stream with tag %x, in its group commit %d", s.Taken.Seq, s.Taken.Tag, p.commit)
		return v
	}
	if s.Head == nil {
		v.What = "a handover to the log key " + merkle.VerifierKey(ledger.Origin(x.id), p.handover.New[:])
		return v
	}
	v.Size, v.Root = s.Head.Size, s.Head.Root.String()
	v.What = fmt.Sprintf("a log of %s with root %v", count(int(min(s.Head.Size, 1<<62)), "batch"), s.Head.Root)
	switch {
	case s.Summary != nil:
		v.What += fmt.Sprintf(", whose batch %d has of slot %d the readings %s, and %d in all", p.header.Index, p.summary.Slot, numbers(p.summary.First, p.summary.Next), p.summary.Next)
	case s.Statement != nil:
		v.What += fmt.Sprintf(", whose batch %d names %d statements, of which number %d hashes to %v", p.header.Index, p.statements.Size, s.Statement.Index, merkle.LeafHash(s.Statement.Item))
	case s.Batch != nil && s.Batch.Statements != nil:
		v.What += fmt.Sprintf(", whose batch %d names %d statements with root %v", p.header.Index, p.statements.Size, p.statements.Root)
	case s.Batch != nil:
		v.What += fmt.Sprintf(", whose batch %d is of %s to %s, with root %v", p.header.Index, timeText(p.header.From), timeText(p.header.To), p.header.Root)
	case s.Node != nil:
		v.What += fmt.Sprintf(", of which what stands for %s hashes to %v", batches(s.Node.Index<<s.Node.Level, (s.Node.Index+1)<<s.Node.Level), s.Node.Hash)
	}
	return v
}

// batches names a half-open range of them.
func batches(from, to uint64) string {
	if to-from == 1 {
		return fmt.Sprintf("batch %d", from)
	}
	return "the batches " + numbers(from, to)
}

// numbers writes a half-open range.
func numbers(from, to uint64) string {
	switch to - from {
	case 0:
		return "none"
	case 1:
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d to %d", from, to-1)
}

// words says what the contradiction is.
func (f *Fraud) words(x *fraudFacts) string {
	a, b := &f.Sides[0], &f.Sides[1]
	p, q := &x.side[0], &x.side[1]
	switch f.Kind {
	case FraudTwoRoots:
		return fmt.Sprintf("two logs of one size, %d, that differ", a.Head.Size)
	case FraudTwoSizes:
		return fmt.Sprintf("one log with two sizes, %d and %d", a.Head.Size, b.Head.Size)
	case FraudNotExtended:
		return fmt.Sprintf("a log of %d that is not the beginning of the one of %d: at that size the latter had root %v", a.Head.Size, b.Head.Size, f.Prefix.Root)
	case FraudTwoParts:
		return fmt.Sprintf("two logs that differ in %s", batches(a.Node.Index<<a.Node.Level, (a.Node.Index+1)<<a.Node.Level))
	case FraudTwoHeaders:
		return fmt.Sprintf("two batches number %d", p.header.Index)
	case FraudRuns:
		if q.summary.First >= p.summary.Next {
			return fmt.Sprintf("slot %d had more readings in batch %d after it was closed in batch %d", p.summary.Slot, q.header.Index, p.header.Index)
		}
		return fmt.Sprintf("in slot %d batch %d begins at number %d, though batch %d before it ends at %d", p.summary.Slot, q.header.Index, q.summary.First, p.header.Index, p.summary.Next)
	case FraudStream:
		return fmt.Sprintf("the first %d readings of slot %d, of batch %d, are not those that batch %d has", p.summary.Next, p.summary.Slot, p.header.Index, q.header.Index)
	case FraudTags:
		return fmt.Sprintf("slot %d belongs to two streams, in batch %d and in batch %d", p.summary.Slot, p.header.Index, q.header.Index)
	case FraudTwoReadings:
		return fmt.Sprintf("two readings number %d in slot %d: one in the run of batch %d, another in the stream of batch %d", b.Node.Index, p.summary.Slot, p.header.Index, q.header.Index)
	case FraudTwoStatements:
		return fmt.Sprintf("two statements number %d", a.Statement.Index)
	case FraudStatements:
		return fmt.Sprintf("the first %d statements, of batch %d, are not those that batch %d has", p.statements.Size, p.header.Index, q.header.Index)
	case FraudStatementsShrunk:
		return fmt.Sprintf("%d statements in batch %d, and %d in batch %d after it", p.statements.Size, p.header.Index, q.statements.Size, q.header.Index)
	case FraudReceiptRun, FraudReceiptStream:
		return fmt.Sprintf("number %d of the stream is another reading than the one that was acknowledged, in slot %d of batch %d", a.Taken.Seq, q.summary.Slot, q.header.Index)
	case FraudReceiptEnd:
		return fmt.Sprintf("the stream ended with %d readings, in slot %d of batch %d, and number %d was acknowledged", q.summary.Next, q.summary.Slot, q.header.Index, a.Taken.Seq)
	case FraudTwoHandovers:
		return "one log key handed the log over to two others"
	}
	return string(f.Kind)
}

// JSON returns the verdict as JSON, indented, with a newline at the end.
func (v *FraudVerdict) JSON() []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("proof: verdict on evidence as JSON: %v", err)) // no type here can fail
	}
	return append(b, '\n')
}

// Text returns the verdict for people. Its first line is the answer: FRAUD
// PROVEN, NOT PROVEN or COULD NOT CHECK.
func (v *FraudVerdict) Text() string {
	var b strings.Builder
	if v.Outcome != Verified {
		answer := "NOT PROVEN"
		if v.Outcome == Unchecked {
			answer = "COULD NOT CHECK"
		}
		line(&b, "%s: %s [%s]", answer, v.Reason, v.Code)
		line(&b, "  next: %s", v.Next)
		return b.String()
	}
	note := ""
	if !v.Identity {
		note = " (IDENTITY NOT CHECKED)"
	}
	line(&b, "FRAUD PROVEN: under signatures of the log's key%s: %s [%s]", note, v.What, v.Fraud)
	b.WriteByte('\n')
	line(&b, "ledger      %s", v.Ledger)
	line(&b, "log key     %s", v.Key)
	for i := range v.Signed {
		s := &v.Signed[i]
		by := "the log key"
		if s.Of > 0 {
			by = "the key " + s.Key
		}
		line(&b, "signed      by %s: %s", by, s.What)
	}
	b.WriteString("\nit means\n")
	for _, s := range v.Means {
		line(&b, "  - %s", s)
	}
	b.WriteString("\nIT DOES NOT SAY\n")
	for _, s := range v.MeansNot {
		line(&b, "  - %s", s)
	}
	return b.String()
}
