package store

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/cbor"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// A group is a run of batches of one quarter hour. What its group object says is
// what whoever may see anything at all of the ledger needs to hold all else
// against its signed log: the leaves of the batch trees, what the headers hide
// under the key of compartment "ledger", the leaves of the statements that were
// recorded, and the other objects of the group. Of values, times of readings and
// streams it says nothing but the compartments' names and the sizes of objects.
//
// Its content is CBOR in core deterministic encoding (RFC 8949 section 4.2.1);
// bytes n is a byte string of n bytes, ms an unsigned integer, Unix milliseconds:
//
//	["cairn/group/1", bytes 32 ledger id, uint hour, uint first, uint next,
//	 [ for each of the batches first…next-1:
//	   [bytes 16 incarnation, uint depth, bytes 32·2^depth leaves,
//	    null or [ms from, ms to, text reason] gap, uint missed,
//	    uint segments, bytes 32 segments root, uint statements, bytes 32 statements root,
//	    [[uint compartment, uint hour, uint part, uint first, uint next,
//	      bytes 32 object, bytes 16 salt] …] listed] … ],
//	 uint first statement, [[bytes 32 leaf, null or [bytes item, bytes 16 salt]] …],
//	 [[uint compartment, text name, uint part, bytes 32 object, uint size] …]]
//
// The incarnation is that of the start that closed the batch; with the hour's key
// of compartment "ledger" it gives the salts of what the batch's header hides of
// slots, segments and statements. The leaves are those of the batch tree, by
// slot. Gap and missed are what the summaries' rests and the counts say of the
// window. Segments and statements are the heads that the header hides. Listed are
// the objects, of groups before this one, whose tree has the segments root, in its
// order; their salts are here because they come from keys of other hours.
//
// The statements are those that the ledger's tree had after the last of the
// batches and not yet before the first of them, in order. Item and salt of one
// that is nobody's secret are here (see ledger.Public), those of the others in the object of
// compartment "statements". The objects are the group's others, by compartment
// and part, object being the SHA-256 of what leaves the site, and size its length.
//
// As the object of compartment "ledger", part 0, the content stands behind one
// byte of compression, which is 0 for none: so it can be made again to the byte.
type Group struct {
	Ledger         merkle.Hash
	Hour           share.Hour
	First, Next    uint64
	Batches        []GroupBatch // First…Next-1
	FirstStatement uint64
	Statements     []GroupStatement // FirstStatement…
	Objects        []ObjectRef      // by compartment and part
}

// GroupBatch is what a group says of one of its batches.
type GroupBatch struct {
	Incarnation [16]byte
	Leaves      []merkle.Hash // by slot, a power of two, at least eight
	Gap         *ledger.Gap
	Missed      uint64
	Segments    ledger.SegmentsHead
	Statements  ledger.StatementsHead
	Listed      []ListedObject
}

// ListedObject is an object that a header lists, and its salt there.
type ListedObject struct {
	ledger.Segment
	Salt [16]byte
}

// GroupStatement is a statement's leaf and, if it is public, item and salt.
type GroupStatement struct {
	Leaf merkle.Hash
	Item []byte // nil: it is private
	Salt [16]byte
}

// GroupRef names a group and its object of compartment "ledger". Of one that is
// live the object is not listed in any header, and another takes its place.
type GroupRef struct {
	First, Next uint64 // batches
	Hour        share.Hour
	Live        bool
	Object      merkle.Hash // SHA-256
	Size        int64
}

// ObjectRef names another object of a group.
type ObjectRef struct {
	Compartment uint32
	Name        string // of the compartment
	Part        uint32
	Hash        merkle.Hash // SHA-256 of the object, its name everywhere
	Size        int64
}

// Limits of a group. Whoever reads objects of others may count on them.
const (
	MaxGroup       = 64 << 20 // bytes of the content
	maxGroupBatch  = 1800     // batches: in a quarter hour 900, and more where a clock was put back
	maxGroupLeaves = 1 << 20  // of all its batches
	maxGroupParts  = 1 << 18  // objects, and such that a header lists
	maxCompartName = 128      // bytes of a compartment's name
	maxGroupDepth  = 21
)

// Errors of groups.
var (
	// ErrGroup is bytes that are no group, or one that no ledger has.
	ErrGroup = errors.New("not a group of this ledger")
	// ErrForged is a group, or one of its parts, that the log does not commit to.
	ErrForged = errors.New("the log says otherwise")
)

const (
	groupType      = "cairn/group/1"
	statementsType = "cairn/statements-of/1"
)

// ObjectAAD is the address of an object, to which it is sealed: ledger id (32) ‖
// 'g' ‖ hour (4) ‖ first batch of the group (8) ‖ compartment (4) ‖ part (4).
func ObjectAAD(id merkle.Hash, hour share.Hour, first uint64, compartment, part uint32) []byte {
	return keyspace{id}.segment(segmentKey{Hour: uint32(hour), First: first, Compartment: compartment, Part: part})
}

// Append appends the content's CBOR.
func (g *Group) Append(dst []byte) []byte {
	dst = putText(putArray(dst, 9), groupType)
	dst = putUint(putHash(dst, g.Ledger), uint64(g.Hour))
	dst = putUint(putUint(dst, g.First), g.Next)
	dst = putArray(dst, len(g.Batches))
	for i := range g.Batches {
		dst = g.Batches[i].append(dst)
	}
	dst = putArray(putUint(dst, g.FirstStatement), len(g.Statements))
	for i := range g.Statements {
		s := &g.Statements[i]
		dst = putHash(putArray(dst, 2), s.Leaf)
		if s.Item == nil {
			dst = append(dst, cbor.Null)
			continue
		}
		dst = putBytes(putBytes(putArray(dst, 2), s.Item), s.Salt[:])
	}
	dst = putArray(dst, len(g.Objects))
	for _, o := range g.Objects {
		dst = putText(putUint(putArray(dst, 5), uint64(o.Compartment)), o.Name)
		dst = putUint(putHash(putUint(dst, uint64(o.Part)), o.Hash), uint64(o.Size))
	}
	return dst
}

func (b *GroupBatch) append(dst []byte) []byte {
	dst = putBytes(putArray(dst, 10), b.Incarnation[:])
	dst = putUint(dst, uint64(ledger.Depth(uint64(len(b.Leaves)))))
	dst = cbor.AppendHead(dst, cbor.Bytes, 32*uint64(len(b.Leaves)))
	for i := range b.Leaves {
		dst = append(dst, b.Leaves[i][:]...)
	}
	if b.Gap == nil {
		dst = append(dst, cbor.Null)
	} else {
		dst = putUint(putUint(putArray(dst, 3), uint64(b.Gap.From)), uint64(b.Gap.To))
		dst = putText(dst, b.Gap.Reason)
	}
	dst = putHash(putUint(putUint(dst, b.Missed), b.Segments.Count), b.Segments.Root)
	dst = putHash(putUint(dst, b.Statements.Size), b.Statements.Root)
	dst = putArray(dst, len(b.Listed))
	for i := range b.Listed {
		l := &b.Listed[i]
		dst = putUint(putUint(putUint(putArray(dst, 7), uint64(l.Compartment)), uint64(l.Hour)), uint64(l.Part))
		dst = putHash(putUint(putUint(dst, l.First), l.Next), l.Sealed)
		dst = putBytes(dst, l.Salt[:])
	}
	return dst
}

// ParseGroup parses a group's content without its byte of compression. It accepts
// just what Append writes of a group that keeps the limits: errors are ErrGroup.
// Whether the ledger has such a group is for Check.
func ParseGroup(b []byte) (*Group, error) {
	r := readWire(b, 9, groupType)
	g := &Group{Ledger: r.hash(), Hour: share.Hour(r.uint32()), First: r.at(), Next: r.at()}
	r.require(g.Hour < share.Hours, "quarter hour %d", g.Hour)
	n := r.list(maxGroupBatch, minBatchBytes)
	r.require(n > 0 && g.Next == g.First+uint64(n), "%d batches from %d to %d", n, g.First, g.Next)
	for i := range n {
		if r.Err != nil {
			return nil, r.Err
		}
		g.Batches = append(g.Batches, r.batch(g.First+uint64(i)))
	}
	r.statements(g)
	r.objects(g)
	if err := r.end(); err != nil {
		return nil, err
	}
	return g, nil
}

// The least bytes that elements of lists have.
const (
	minBatchBytes     = 32 << 3
	minListedBytes    = 50
	minStatementBytes = 34
	minObjectBytes    = 36
)

func (r *wireReader) batch(batch uint64) (b GroupBatch) {
	r.tuple(10)
	b.Incarnation = r.salt()
	depth := r.uint()
	leaves := r.string(32 << maxGroupDepth)
	r.require(depth >= 3 && depth <= maxGroupDepth && len(leaves) == 32<<depth, "batch %d: %d bytes of leaves at depth %d", batch, len(leaves), depth)
	if r.Err != nil {
		return b
	}
	b.Leaves = make([]merkle.Hash, 1<<depth)
	for i := range b.Leaves {
		b.Leaves[i] = merkle.Hash(leaves[32*i:])
	}
	if !r.Null() {
		r.tuple(3)
		b.Gap = &ledger.Gap{From: int64(r.at()), To: int64(r.at()), Reason: r.text(ledger.MaxReason)}
		r.require(b.Gap.From <= b.Gap.To, "batch %d: a gap that runs backwards", batch)
	}
	b.Missed = r.at()
	b.Segments = ledger.SegmentsHead{Count: r.at(), Root: r.hash()}
	b.Statements = ledger.StatementsHead{Size: r.at(), Root: r.hash()}
	r.require(b.Segments.Count != 0 || b.Segments.Root == merkle.EmptyRoot(), "batch %d: no segments have a root", batch)
	r.require(b.Statements.Size != 0 || b.Statements.Root == merkle.EmptyRoot(), "batch %d: no statements have a root", batch)
	n := r.list(maxGroupParts, minListedBytes)
	r.require(uint64(n) == b.Segments.Count, "batch %d: %d objects are listed, its head says %d", batch, n, b.Segments.Count)
	for range n {
		r.tuple(7)
		l := ListedObject{Segment: ledger.Segment{
			Compartment: r.uint32(), Hour: r.uint32(), Part: r.uint32(), First: r.at(), Next: r.at(), Sealed: r.hash(),
		}, Salt: r.salt()}
		r.require(l.First < l.Next && l.Next <= batch, "batch %d lists an object of batches %d to %d", batch, l.First, l.Next)
		if r.Err != nil {
			return b
		}
		b.Listed = append(b.Listed, l)
	}
	return b
}

func (r *wireReader) statements(g *Group) {
	g.FirstStatement = r.at()
	n := uint64(r.list(maxGroupParts, minStatementBytes))
	at := g.FirstStatement
	for i := range g.Batches {
		size := g.Batches[i].Statements.Size
		r.require(size >= at, "batch %d: %d statements after %d", g.First+uint64(i), size, at)
		at = size
	}
	r.require(at == g.FirstStatement+n, "%d statements from %d, the batches say to %d", n, g.FirstStatement, at)
	for i := uint64(0); i < n && r.Err == nil; i++ {
		r.tuple(2)
		s := GroupStatement{Leaf: r.hash()}
		if !r.Null() {
			r.tuple(2)
			s.Item, s.Salt = r.bytes(ledger.MaxStatement), r.salt()
			r.require(len(s.Item) > 0, "statement %d is empty", g.FirstStatement+i)
		}
		g.Statements = append(g.Statements, s)
	}
}

func (r *wireReader) objects(g *Group) {
	n := r.list(maxGroupParts, minObjectBytes)
	for i := 0; i < n && r.Err == nil; i++ {
		r.tuple(5)
		o := ObjectRef{Compartment: r.uint32(), Name: r.text(maxCompartName), Part: r.uint32(), Hash: r.hash(), Size: int64(r.at())}
		if i > 0 {
			last := &g.Objects[i-1]
			r.require(o.Compartment > last.Compartment || o.Compartment == last.Compartment && o.Part > last.Part, "its objects are out of order")
		}
		r.require(o.Compartment != share.Ledger && o.Name != "" && o.Size > 0 && o.Size <= share.MaxObject, "an object of compartment %d with %d bytes", o.Compartment, o.Size)
		g.Objects = append(g.Objects, o)
	}
}

// OpenGroup opens a group's object of compartment "ledger" with that compartment's
// key of the hour. The group is of that ledger, hour and first batch: nothing else
// has been checked yet.
func OpenGroup(k share.HourKey, id merkle.Hash, hour share.Hour, first uint64, object []byte) (*Group, error) {
	content, _, err := k.OpenObject(ObjectAAD(id, hour, first, share.Ledger, 0), object)
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", first, err)
	}
	if len(content) == 0 || content[0] != 0 {
		return nil, fmt.Errorf("group %d: %w: its content is compressed", first, ErrGroup)
	}
	g, err := ParseGroup(content[1:])
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", first, err)
	}
	if g.Ledger != id || g.Hour != hour || g.First != first {
		return nil, fmt.Errorf("group %d: %w: it says that it is group %d of quarter hour %d", first, ErrGroup, g.First, g.Hour)
	}
	return g, nil
}

// Ref is what Groups says of a group with this object.
func (g *Group) Ref(object []byte, live bool) GroupRef {
	return GroupRef{First: g.First, Next: g.Next, Hour: g.Hour, Live: live, Object: sum(object), Size: int64(len(object))}
}

// groupJSON and objectJSON are how references stand in JSON.
type groupJSON struct {
	First  uint64 `json:"first"`
	Next   uint64 `json:"next"`
	Hour   uint32 `json:"hour"`
	Live   bool   `json:"live"`
	Object string `json:"object"`
	Size   int64  `json:"size"`
}

type objectJSON struct {
	Compartment uint32 `json:"compartment"`
	Name        string `json:"name"`
	Part        uint32 `json:"part"`
	Hash        string `json:"hash"`
	Size        int64  `json:"size"`
}

// MarshalJSON writes {"first", "next", "hour", "live", "object" in hexadecimal, "size"}.
func (r GroupRef) MarshalJSON() ([]byte, error) {
	return json.Marshal(groupJSON{r.First, r.Next, uint32(r.Hour), r.Live, r.Object.String(), r.Size})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *GroupRef) UnmarshalJSON(b []byte) error {
	var w groupJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	h, err := parseHash(w.Object)
	if err == nil && (w.First >= w.Next || w.Next > merkle.MaxSize || share.Hour(w.Hour) >= share.Hours || w.Size < 0 || w.Size > share.MaxObject) {
		err = fmt.Errorf("%w: batches %d to %d, %d bytes", ErrGroup, w.First, w.Next, w.Size)
	}
	*r = GroupRef{First: w.First, Next: w.Next, Hour: share.Hour(w.Hour), Live: w.Live, Object: h, Size: w.Size}
	return err
}

// MarshalJSON writes {"compartment", "name", "part", "hash" in hexadecimal, "size"}.
func (r ObjectRef) MarshalJSON() ([]byte, error) {
	return json.Marshal(objectJSON{r.Compartment, r.Name, r.Part, r.Hash.String(), r.Size})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *ObjectRef) UnmarshalJSON(b []byte) error {
	var w objectJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	h, err := parseHash(w.Hash)
	if err == nil && (w.Size < 0 || w.Size > share.MaxObject || len(w.Name) > maxCompartName) {
		err = fmt.Errorf("%w: an object of %d bytes", ErrGroup, w.Size)
	}
	*r = ObjectRef{Compartment: w.Compartment, Name: w.Name, Part: w.Part, Hash: h, Size: w.Size}
	return err
}

// parseHash reads 64 lower case hexadecimal digits.
func parseHash(s string) (h merkle.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != s {
		return noHash, fmt.Errorf("%w: a hash that is not 64 hexadecimal digits", ErrGroup)
	}
	return merkle.Hash(b), nil
}
