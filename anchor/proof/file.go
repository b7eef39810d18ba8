package proof

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"cairn/merkle"

	"github.com/fxamacker/cbor/v2"
)

// Magic is what a proof file of version 0 begins with.
const Magic = "cairn/proof/0\n"

const magicStem = "cairn/proof/"

// Limits of a proof file.
const (
	MaxFile  = 64 << 20 // bytes
	maxPart  = 2 << 20  // bytes of one reading, batch, head, receipt or statement
	maxShown = 64       // fields of one reading: the widest record tree
	maxPath  = 63       // hashes of one path
)

var (
	// ErrNotProof says that bytes are no proof file at all.
	ErrNotProof = errors.New("not a proof file")
	// ErrVersion says that a proof file has a version that this program does
	// not know: get a newer one.
	ErrVersion = errors.New("proof file of another version")
	// ErrDamaged says that a proof file's checksum is wrong: it was cut or
	// altered on its way. Ask for it again.
	ErrDamaged = errors.New("file damaged")
	// ErrFile says that a proof file is whole but not well-formed.
	ErrFile = errors.New("malformed proof file")
)

// File is a proof file: some readings, and all that leads from them to the
// public. Parts refer to one another by their position, so that what several
// readings share stands there once.
type File struct {
	Version    int // 0 or 1; a Builder makes 1
	Ledger     Ledger
	Readings   []Reading
	Summaries  []Summary
	Batches    []Batch
	Heads      []Head
	Receipts   []Receipt
	Statements []Statement

	// From version 1 on.
	Ranges  []Range
	Extends []Extension
	Vouches []Vouch
}

// Range is a claim that a stream has no other readings than these from one
// number on, and that they are all that was received in a time.
type Range struct {
	_         struct{} `cbor:",toarray"`
	Summaries []int    // positions of the stream's summaries, by ascending batch; at least one
	From, To  int64    // Unix ms: all readings received in [From, To) are here
	First     uint64   // number of the first reading here
	Left      Path     // roots of the complete subtrees of the First readings before, highest first
	Readings  []Numbered
}

// Numbered is one reading of a range.
type Numbered struct {
	_      struct{} `cbor:",toarray"`
	Seq    uint64
	Width  int     // leaves of the record tree, decoys included
	Fields []Field // ascending by index; none: only Hidden, which is the record root
	Hidden Path
}

// Extension proves that the log of one head is the beginning of another's.
type Extension struct {
	_    struct{} `cbor:",toarray"`
	Old  int      // position in Heads
	New  int      // position in Heads, of a greater size
	Path Path     // RFC 9162 section 2.1.4
}

// Vouch is what someone says to make a receipt's block trusted. A verifier that
// does not know the kind reports it as not checked.
type Vouch struct {
	_       struct{} `cbor:",toarray"`
	Receipt int      // position in Receipts
	Kind    string   // VouchSyncCommittee
	Data    []byte
}

// VouchSyncCommittee is reserved for Ethereum's light client proofs.
const VouchSyncCommittee = "sync-committee"

// Ledger is what the ledger's id is computed from.
type Ledger struct {
	_     struct{} `cbor:",toarray"`
	Key   [32]byte // Ed25519 public key of the log
	Nonce [32]byte
}

// Reading is one reading with the fields that are shown of it.
type Reading struct {
	_       struct{} `cbor:",toarray"`
	Summary int      // position in Summaries of its stream's in its window
	Seq     uint64
	Width   int         // leaves of the record tree, decoys included
	Root    merkle.Hash // record root; only to name what is wrong, it is recomputed
	Fields  []Field     // ascending by index
	Hidden  Path        // what Cover gives for all other leaves
	Run     Path        // inclusion in the run tree
}

// Field is one shown field. Field 0 has an empty item, which is recomputed
// from the others; with it all fields of the reading must be shown.
type Field struct {
	_     struct{} `cbor:",toarray"`
	Index int
	Item  []byte
	Salt  [16]byte
}

// Summary is a stream's summary of one window.
type Summary struct {
	_     struct{} `cbor:",toarray"`
	Batch int      // position in Batches
	Tag   [12]byte // of the stream
	Item  []byte
	Salt  [16]byte
	Path  Path   // in the batch tree, at the leaf of the summary's slot
	Rest  *Shown `cbor:"-"` // what the summary hides; version 1
}

// Batch is a batch header and its places under the heads that cover it.
type Batch struct {
	_          struct{} `cbor:",toarray"`
	Header     []byte
	Slots      Shown      // the header's hidden value 2
	Statements *Shown     // its hidden value 4, if a statement is shown by it
	Heads      []HeadPath // at least one, ascending by head
}

// Shown is a hidden item with the salt that it was hidden with.
type Shown struct {
	_    struct{} `cbor:",toarray"`
	Item []byte
	Salt [16]byte
}

// HeadPath is the inclusion of a batch header in the log of one head.
type HeadPath struct {
	_    struct{} `cbor:",toarray"`
	Head int      // position in Heads
	Path Path
}

// Head is a checkpoint as the log signed it: a C2SP signed note with the
// signature of the log's key of that time and no other.
type Head struct {
	_    struct{} `cbor:",toarray"`
	Note []byte
}

// Receipt says that a head's root was placed on a chain. Data belongs to the
// kind: KindEthereum, KindBitcoin or KindOTS.
type Receipt struct {
	_     struct{} `cbor:",toarray"`
	Route string   // "ethereum:1", "bitcoin:mainnet", "ots"
	Head  int      // position in Heads
	Kind  string
	Data  []byte
}

// Statement is a statement of the ledger, included in the tree of statements
// as one batch's header gives it.
type Statement struct {
	_     struct{} `cbor:",toarray"`
	Batch int      // position in Batches; that batch shows Statements
	Index uint64
	Item  []byte
	Salt  [16]byte
	Path  Path
}

// Path is a list of hashes. In a file it is one byte string.
type Path []merkle.Hash

// MarshalBinary returns the hashes one after the other.
func (p Path) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, len(p)*merkle.HashSize)
	for i := range p {
		b = append(b, p[i][:]...)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote, up to 63 hashes.
func (p *Path) UnmarshalBinary(b []byte) error {
	if len(b)%merkle.HashSize != 0 || len(b) > maxPath*merkle.HashSize {
		return fmt.Errorf("path of %d bytes", len(b))
	}
	*p = make(Path, len(b)/merkle.HashSize)
	for i := range *p {
		copy((*p)[i][:], b[i*merkle.HashSize:])
	}
	return nil
}

// fileWire holds the parts undecoded: each is read and compared by itself, so
// that a hostile file costs no more memory than a few times its length.
type fileWire struct {
	_          struct{} `cbor:",toarray"`
	Ledger     Ledger
	Readings   []cbor.RawMessage
	Summaries  []cbor.RawMessage
	Batches    []cbor.RawMessage
	Heads      []cbor.RawMessage
	Receipts   []cbor.RawMessage
	Statements []cbor.RawMessage
}

// Encode returns the file's bytes. The same parts give the same bytes. It
// refuses what Decode would.
func (f *File) Encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	var errs []error
	w := fileWire{
		Ledger:     f.Ledger,
		Readings:   encodeParts(f.Readings, &errs),
		Summaries:  encodeParts(f.Summaries, &errs),
		Batches:    encodeParts(f.Batches, &errs),
		Heads:      encodeParts(f.Heads, &errs),
		Receipts:   encodeParts(f.Receipts, &errs),
		Statements: encodeParts(f.Statements, &errs),
	}
	if len(errs) != 0 {
		return nil, errs[0]
	}
	body, err := marshal(w)
	if err != nil {
		return nil, err
	}
	b := append([]byte(Magic), body...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d: show fewer readings", ErrFile, len(b), MaxFile)
	}
	return b, nil
}

func encodeParts[T any](parts []T, errs *[]error) []cbor.RawMessage {
	raws := make([]cbor.RawMessage, len(parts))
	for i := range parts {
		b, err := marshal(parts[i])
		if err == nil && len(b) > maxPart {
			err = fmt.Errorf("%w: part of %d bytes, at most %d", ErrFile, len(b), maxPart)
		}
		if err != nil {
			*errs = append(*errs, err)
		}
		raws[i] = b
	}
	return raws
}

// Decode reads a proof file. It checks the form: checksum, one encoding,
// limits, and that no part is without use. What the file says, Verify checks.
// Errors are ErrNotProof, ErrVersion, ErrDamaged or ErrFile.
func Decode(b []byte) (*File, error) {
	body, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	var w fileWire
	if err := unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	var errs []error
	f := &File{
		Ledger:     w.Ledger,
		Readings:   decodeParts[Reading]("reading", w.Readings, &errs),
		Summaries:  decodeParts[Summary]("summary", w.Summaries, &errs),
		Batches:    decodeParts[Batch]("batch", w.Batches, &errs),
		Heads:      decodeParts[Head]("head", w.Heads, &errs),
		Receipts:   decodeParts[Receipt]("receipt", w.Receipts, &errs),
		Statements: decodeParts[Statement]("statement", w.Statements, &errs),
	}
	if len(errs) != 0 {
		return nil, errs[0]
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

// unwrap checks what stands around the file's body and returns that.
func unwrap(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte(magicStem)) {
		return nil, ErrNotProof
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(b), MaxFile)
	}
	if !bytes.HasPrefix(b, []byte(Magic)) {
		line, _, _ := bytes.Cut(b[:min(len(b), 40)], []byte("\n"))
		return nil, fmt.Errorf("%w: %q, want %q", ErrVersion, line, Magic[:len(Magic)-1])
	}
	end := len(b) - sha256.Size
	if end < len(Magic) {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrDamaged, len(b))
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, fmt.Errorf("%w: checksum is wrong", ErrDamaged)
	}
	return b[len(Magic):end], nil
}

func decodeParts[T any](what string, raws []cbor.RawMessage, errs *[]error) []T {
	if len(*errs) != 0 {
		return nil
	}
	var parts []T // grows only as parts turn out to be some
	for i, raw := range raws {
		var part T
		if err := unmarshalPart(raw, &part); err != nil {
			*errs = append(*errs, fmt.Errorf("%w: %s %d: %w", ErrFile, what, i, err))
			return nil
		}
		parts = append(parts, part)
	}
	return parts
}

func unmarshalPart(raw []byte, v any) error {
	if len(raw) > maxPart {
		return fmt.Errorf("%d bytes, at most %d", len(raw), maxPart)
	}
	return unmarshal(raw, v)
}

// check holds what every file must be like, whatever it says: positions inside
// their lists, orders kept, no part without use. A part that nothing refers to
// would be bytes that no check covers.
func (f *File) check() error {
	if len(f.Readings) == 0 {
		return fmt.Errorf("%w: it shows no reading", ErrFile)
	}
	summaries, batches, heads := make([]bool, len(f.Summaries)), make([]bool, len(f.Batches)), make([]bool, len(f.Heads))
	for i := range f.Readings {
		r := &f.Readings[i]
		if err := r.check(); err != nil {
			return fmt.Errorf("%w: reading %d: %w", ErrFile, i, err)
		}
		if !use(summaries, r.Summary) {
			return fmt.Errorf("%w: reading %d: no summary %d", ErrFile, i, r.Summary)
		}
	}
	for i, s := range f.Summaries {
		if !use(batches, s.Batch) {
			return fmt.Errorf("%w: summary %d: no batch %d", ErrFile, i, s.Batch)
		}
	}
	if err := f.checkStatements(batches); err != nil {
		return err
	}
	for i := range f.Batches {
		if err := f.Batches[i].check(heads); err != nil {
			return fmt.Errorf("%w: batch %d: %w", ErrFile, i, err)
		}
	}
	for i, r := range f.Receipts {
		if r.Head < 0 || r.Head >= len(f.Heads) {
			return fmt.Errorf("%w: receipt %d: no head %d", ErrFile, i, r.Head)
		}
	}
	return errors.Join(allUsed("summary", summaries), allUsed("batch", batches), allUsed("head", heads))
}

func allUsed(what string, used []bool) error {
	for i, ok := range used {
		if !ok {
			return fmt.Errorf("%w: %s %d is not used", ErrFile, what, i)
		}
	}
	return nil
}

func (f *File) checkStatements(batches []bool) error {
	type place struct {
		batch int
		index uint64
	}
	shown, seen := make([]bool, len(f.Batches)), make(map[place]bool, len(f.Statements))
	for i, s := range f.Statements {
		if !use(batches, s.Batch) || f.Batches[s.Batch].Statements == nil {
			return fmt.Errorf("%w: statement %d: no batch %d that shows statements", ErrFile, i, s.Batch)
		}
		if seen[place{s.Batch, s.Index}] {
			return fmt.Errorf("%w: statement %d: number %d is shown twice by batch %d", ErrFile, i, s.Index, s.Batch)
		}
		shown[s.Batch], seen[place{s.Batch, s.Index}] = true, true
	}
	for i := range f.Batches {
		if f.Batches[i].Statements != nil && !shown[i] {
			return fmt.Errorf("%w: batch %d shows its statements for none", ErrFile, i)
		}
	}
	return nil
}

// use marks position i, and reports whether there is one.
func use(used []bool, i int) bool {
	if i < 0 || i >= len(used) {
		return false
	}
	used[i] = true
	return true
}

func (r *Reading) check() error {
	if r.Width < 8 || r.Width > maxShown || r.Width&(r.Width-1) != 0 {
		return fmt.Errorf("record tree of %d leaves", r.Width)
	}
	if len(r.Fields) == 0 || len(r.Fields) > r.Width {
		return fmt.Errorf("%d fields shown", len(r.Fields))
	}
	last := -1
	for _, f := range r.Fields {
		if f.Index <= last || f.Index >= r.Width {
			return fmt.Errorf("field %d after field %d of %d leaves", f.Index, last, r.Width)
		}
		if (f.Index == 0) != (len(f.Item) == 0) {
			return fmt.Errorf("item of field %d has %d bytes", f.Index, len(f.Item))
		}
		last = f.Index
	}
	return nil
}

func (b *Batch) check(heads []bool) error {
	if len(b.Heads) == 0 {
		return errors.New("no head covers it")
	}
	last := -1
	for _, p := range b.Heads {
		if p.Head <= last || !use(heads, p.Head) {
			return fmt.Errorf("head %d after head %d of %d", p.Head, last, len(heads))
		}
		last = p.Head
	}
	return nil
}
