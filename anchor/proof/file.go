package proof

import (
	"bytes"
	"errors"
	"fmt"

	"cairn/merkle"
)

// Magic is what a proof file begins with that is written now: one of version 1.
const Magic = "cairn/proof/1\n"

// magic0 is what one of version 0 begins with. Such files are read for ever.
const magic0 = "cairn/proof/0\n"

const magicStem = "cairn/proof/"

// Limits of a proof file.
const (
	MaxFile  = 256 << 20 // bytes, of version 1 as it is and inflated
	maxFile0 = 64 << 20  // bytes, of version 0
	maxPart  = 2 << 20   // bytes of one reading, batch, head, receipt, statement …
	maxShown = 64        // fields of one reading: the widest record tree
	maxPath  = 63        // hashes of one path

	maxNumbered = 64 << 10 // bytes of one reading of a range
	maxParts    = 1 << 20  // parts of one kind, but for the readings of ranges
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
	Width  int     // leaves of the record tree, decoys included; 0 without fields
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
	Root    merkle.Hash // record root; only version 0 has it, it is recomputed
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
// signature of the log's key of that time, and from version 1 on with those of
// witnesses (C2SP cosignature/v1 by Ed25519, type 04) after it.
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

// Encode returns the file's bytes. The same parts give the same bytes. It
// refuses what Decode would.
func (f *File) Encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Version == 0 {
		return f.encode0()
	}
	return f.encode1()
}

// Decode reads a proof file. It checks the form: checksum, one encoding,
// limits, and that no part is without use. What the file says, Verify checks.
// The file's items are parts of b, or of what was packed in it. Errors are
// ErrNotProof, ErrVersion, ErrDamaged or ErrFile.
func Decode(b []byte) (*File, error) {
	var f *File
	var err error
	switch {
	case !bytes.HasPrefix(b, []byte(magicStem)):
		return nil, ErrNotProof
	case bytes.HasPrefix(b, []byte(Magic)):
		f, err = decode1(b)
	case bytes.HasPrefix(b, []byte(magic0)):
		f, err = decode0(b)
	default:
		line, _, _ := bytes.Cut(b[:min(len(b), 40)], []byte("\n"))
		return nil, fmt.Errorf("%w: %q, want %q", ErrVersion, line, Magic[:len(Magic)-1])
	}
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Version > 0 {
		f.fillRoots()
	}
	return f, nil
}

// fillRoots computes the record roots that a file of version 1 leaves out.
// Where the parts shown lead to none, step 7 says why.
func (f *File) fillRoots() {
	for i := range f.Readings {
		r := &f.Readings[i]
		if root, bad := r.recompute(); bad == nil {
			r.Root = root
		}
	}
}
