package proof

// Evidence of fraud: what it is made of, and its bytes. The package doc has the
// format, fraud_check.go what makes it evidence.

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// FraudMagic is what a file of evidence begins with.
const FraudMagic = "cairn/fraud/1\n"

const fraudStem = "cairn/fraud/"

// MaxFraud is the most bytes that a file of evidence may have, as it is and
// inflated.
const MaxFraud = 1 << 20

// ErrNotFraud says that bytes are no evidence of fraud at all.
var ErrNotFraud = errors.New("not a file of evidence of fraud")

// FraudKind is which two things exclude one another.
type FraudKind string

// The kinds of evidence. What each needs is in the table fraudForms.
const (
	FraudTwoRoots         FraudKind = "two-roots"               // heads of one size with two roots
	FraudTwoSizes         FraudKind = "two-sizes"               // heads of one root with two sizes
	FraudNotExtended      FraudKind = "not-extended"            // the log of a head is not the beginning of a greater one's
	FraudTwoParts         FraudKind = "two-parts"               // one part of the log has two contents
	FraudTwoHeaders       FraudKind = "two-headers"             // one index of the log has two batches
	FraudRuns             FraudKind = "runs-contradict"         // two batches claim the same numbers of a stream
	FraudStream           FraudKind = "stream-not-extended"     // a stream is not the beginning of what it is later
	FraudTags             FraudKind = "two-tags"                // one slot has two streams
	FraudTwoReadings      FraudKind = "two-readings"            // one number of a stream has two readings
	FraudTwoStatements    FraudKind = "two-statements"          // one number has two statements
	FraudStatements       FraudKind = "statements-not-extended" // the statements are not the beginning of what they are later
	FraudStatementsShrunk FraudKind = "statements-shrunk"       // a later batch has fewer statements
	FraudTwoHandovers     FraudKind = "two-handovers"           // one log key was handed over to two
	FraudReceiptRun       FraudKind = "receipt-not-in-run"      // a reading that was acknowledged is another in its batch
	FraudReceiptStream    FraudKind = "receipt-not-in-stream"   // … or in what its stream is later
	FraudReceiptEnd       FraudKind = "receipt-after-end"       // … or its stream ended before it
)

// Why a file of evidence proves nothing. Those of proof files' form, ledger and
// log keys stand for the same here.
const (
	CodeNoContradiction   Code = "no-contradiction"      // what it shows can both be true
	CodeFraudForm         Code = "evidence-malformed"    // it has not what its kind needs, or its paths are wrong
	CodeFraudBatch        Code = "evidence-batch-wrong"  // a batch, or what it shows, is not under its head
	CodeNotSignedByTheLog Code = "not-signed-by-the-log" // nothing shows that a key of the log signed it
	CodeHandoverNotNeeded Code = "handover-not-needed"   // of a key that signed nothing here
)

// Fraud is evidence that the holder of a ledger's log key signed two things of
// which at most one is true.
type Fraud struct {
	Ledger    Ledger
	Kind      FraudKind
	Handovers [][]byte     // log-key statements that lead from the first log key to those that signed, each after what it needs
	Sides     [2]FraudSide // in the order that the kind asks for
	Prefix    *FraudPrefix
}

// FraudSide is one of the two things. Which parts it has is the kind's.
type FraudSide struct {
	_         struct{} `cbor:",toarray"`
	Head      *FraudHead
	Batch     *FraudBatch
	Summary   *FraudSummary
	Statement *FraudStatement
	Node      *FraudNode
	Handover  []byte      // a log-key statement
	Taken     *FraudTaken `cbor:"-"` // in Handover's place
}

// FraudHead is a checkpoint with the log's signature alone.
type FraudHead struct {
	_         struct{} `cbor:",toarray"`
	Size      uint64
	Root      merkle.Hash
	Key       [4]byte // key ID
	Signature [signatureSize]byte
}

// FraudBatch is a batch in the log of the side's head.
type FraudBatch struct {
	_          struct{} `cbor:",toarray"`
	Header     []byte
	Path       Path
	Slots      *Shown // where a summary is shown
	Statements *Shown // where the statements matter
}

// FraudSummary is a stream's summary in the side's batch.
type FraudSummary struct {
	_    struct{} `cbor:",toarray"`
	Tag  [ledger.TagSize]byte
	Item []byte
	Salt [ledger.SaltSize]byte
	Path Path
}

// FraudStatement is a statement in the tree that the side's batch names.
type FraudStatement struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Item  []byte
	Salt  [ledger.SaltSize]byte
	Path  Path
}

// FraudNode is a complete subtree, of 1<<Level leaves from Index<<Level on, in
// the tree that the kind names.
type FraudNode struct {
	_     struct{} `cbor:",toarray"`
	Level uint64
	Index uint64
	Hash  merkle.Hash
	Path  Path // to the tree's root, as of a leaf
}

// FraudTaken is a reading that an intake receipt acknowledges, and what signs it.
type FraudTaken struct {
	_         struct{} `cbor:",toarray"`
	Tag       [ledger.TagSize]byte
	Seq       uint64
	Root      merkle.Hash // of its record tree
	Index     uint64      // of its entry in the commit
	Path      Path
	Head      []byte // ledger.IntakeHead
	Signature [signatureSize]byte
}

// FraudPrefix is what the second side's tree was at the size of the first's.
type FraudPrefix struct {
	_    struct{} `cbor:",toarray"`
	Root merkle.Hash
	Path Path // RFC 9162 section 2.1.4, from Root to the second side's root
}

type fraudWire struct {
	_         struct{} `cbor:",toarray"`
	Ledger    Ledger
	Kind      FraudKind
	Handovers [][]byte
	First     FraudSide
	Second    FraudSide
	Prefix    *FraudPrefix
}

// IsFraud reports whether a file begins as evidence of fraud of any version.
func IsFraud(b []byte) bool { return bytes.HasPrefix(b, []byte(fraudStem)) }

// Encode returns the evidence as a file. It refuses what DecodeFraud would, and
// evidence that proves nothing.
func (f *Fraud) Encode() ([]byte, error) {
	if _, bad := f.check(); bad != nil {
		return nil, fmt.Errorf("evidence: %w", bad.err)
	}
	return f.encode()
}

func (f *Fraud) encode() ([]byte, error) {
	body, err := f.body()
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return wrapFraud(body)
}

func (f *Fraud) body() ([]byte, error) {
	w := fraudWire{Ledger: f.Ledger, Kind: f.Kind, Handovers: f.Handovers, First: f.Sides[0], Second: f.Sides[1], Prefix: f.Prefix}
	if taken := w.First.Taken; taken != nil {
		var err error
		if w.First.Handover, err = marshal(taken); err != nil {
			return nil, err
		}
	}
	return marshal(w)
}

func wrapFraud(body []byte) ([]byte, error) {
	b := bytes.NewBuffer(binary.BigEndian.AppendUint32([]byte(FraudMagic), uint32(len(body))))
	z, err := flate.NewWriter(b, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("evidence: pack: %w", err)
	}
	if _, err = z.Write(body); err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: pack: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:sumSize])
	if len(body) > MaxFraud || b.Len() > MaxFraud {
		return nil, fmt.Errorf("%w: evidence of %d bytes, at most %d", ErrFile, len(body), MaxFraud)
	}
	return b.Bytes(), nil
}

// DecodeFraud reads a file of evidence. It checks the form alone; VerifyFraud
// says whether it proves anything. Errors are ErrNotFraud, ErrVersion,
// ErrDamaged or ErrFile.
func DecodeFraud(b []byte) (*Fraud, error) {
	switch {
	case !IsFraud(b):
		return nil, ErrNotFraud
	case !bytes.HasPrefix(b, []byte(FraudMagic)):
		line, _, _ := bytes.Cut(b[:min(len(b), 40)], []byte("\n"))
		return nil, fmt.Errorf("%w: %q, want %q", ErrVersion, line, FraudMagic[:len(FraudMagic)-1])
	case len(b) > MaxFraud:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(b), MaxFraud)
	}
	begin, end := len(FraudMagic)+lengthSize, len(b)-sumSize
	if end < begin {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrDamaged, len(b))
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:sumSize], b[end:]) {
		return nil, fmt.Errorf("%w: checksum is wrong", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(b[len(FraudMagic):])
	if n > MaxFraud {
		return nil, fmt.Errorf("%w: a body of %d bytes, at most %d", ErrFile, n, MaxFraud)
	}
	body, err := inflate(b[begin:end], int(n))
	if err != nil {
		return nil, err
	}
	var w fraudWire
	if err := unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	f := &Fraud{Ledger: w.Ledger, Kind: w.Kind, Handovers: w.Handovers, Sides: [2]FraudSide{w.First, w.Second}, Prefix: w.Prefix}
	if first := &f.Sides[0]; fraudForms[f.Kind].taken {
		first.Taken = new(FraudTaken)
		if err := unmarshal(first.Handover, first.Taken); err != nil {
			return nil, fmt.Errorf("%w: what was acknowledged: %w", ErrFile, err)
		}
		first.Handover = nil
	}
	if err := f.form(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return f, nil
}

// sideForm is which parts both sides of a kind have, beside a head.
type sideForm struct {
	batch, slots, statements, summary, statement, node, handover, taken bool
}

// fraudForms says what each kind needs. A part that is not needed is not there:
// no byte is without a check, and nothing is shown that need not be.
var fraudForms = map[FraudKind]struct {
	side   sideForm
	prefix bool
	taken  bool // the first side has that instead, and no head
}{
	FraudTwoRoots:         {},
	FraudTwoSizes:         {},
	FraudNotExtended:      {prefix: true},
	FraudTwoParts:         {side: sideForm{node: true}},
	FraudTwoHeaders:       {side: sideForm{batch: true}},
	FraudRuns:             {side: sideForm{batch: true, slots: true, summary: true}},
	FraudStream:           {side: sideForm{batch: true, slots: true, summary: true}, prefix: true},
	FraudTags:             {side: sideForm{batch: true, slots: true, summary: true}},
	FraudTwoReadings:      {side: sideForm{batch: true, slots: true, summary: true, node: true}},
	FraudTwoStatements:    {side: sideForm{batch: true, statements: true, statement: true}},
	FraudStatements:       {side: sideForm{batch: true, statements: true}, prefix: true},
	FraudStatementsShrunk: {side: sideForm{batch: true, statements: true}},
	FraudTwoHandovers:     {side: sideForm{handover: true}},
	FraudReceiptRun:       {side: sideForm{batch: true, slots: true, summary: true, node: true}, taken: true},
	FraudReceiptStream:    {side: sideForm{batch: true, slots: true, summary: true, node: true}, taken: true},
	FraudReceiptEnd:       {side: sideForm{batch: true, slots: true, summary: true}, taken: true},
}

// form holds that the evidence has the parts of its kind, and no others.
func (f *Fraud) form() error {
	want, ok := fraudForms[f.Kind]
	if !ok {
		return fmt.Errorf("evidence of unknown kind %.40q", string(f.Kind))
	}
	if len(f.Handovers) > maxLogKeys {
		return fmt.Errorf("%d handovers, at most %d", len(f.Handovers), maxLogKeys)
	}
	for i := range f.Sides {
		s := &f.Sides[i]
		got := sideForm{
			batch: s.Batch != nil, summary: s.Summary != nil, statement: s.Statement != nil, node: s.Node != nil,
			handover: len(s.Handover) != 0, taken: s.Taken != nil,
		}
		needs := want.side
		if want.taken && i == 0 {
			needs = sideForm{taken: true}
		}
		if s.Batch != nil {
			got.slots, got.statements = s.Batch.Slots != nil, s.Batch.Statements != nil
		}
		if got != needs || (s.Head != nil) == (needs.handover || needs.taken) {
			return fmt.Errorf("side %d has not the parts that %s has", i, f.Kind)
		}
	}
	if (f.Prefix != nil) != want.prefix {
		return fmt.Errorf("the prefix is not as in %s", f.Kind)
	}
	return nil
}
