package ledger

import (
	"cairn/merkle"
	"cairn/merkle/cbor"
)

// Limits of a header and of what it hides.
const (
	MaxHeader = 4096 // bytes of a batch header
	MaxRoutes = 16   // routes whose newest block a header names
	MaxRoute  = 64   // bytes of a route's name
	MaxSmall  = 256  // bytes of counts, slots, segments, statements head, segment, intake head
)

const (
	headerType     = "cairn/batch/1"
	countsType     = "cairn/counts/1"
	slotsType      = "cairn/slots/1"
	segmentsType   = "cairn/segments/1"
	statementsType = "cairn/statements/1"
	segmentType    = "cairn/segment/1"
)

// Places of the hidden items in a header.
const (
	HiddenCounts = iota
	HiddenIntake
	HiddenSlots
	HiddenSegments
	HiddenStatements
	HiddenItems // how many there are
)

// Header is one entry of the ledger's log: one window, seldom several missed.
type Header struct {
	Ledger   merkle.Hash
	Index    uint64 // its place in the log
	From, To int64  // Unix milliseconds
	Seen     []Seen // newest blocks when the window opened, each route once
	Root     merkle.Hash
	Hidden   [HiddenItems]merkle.Hash
}

// Seen is a block of a public chain that existed before a batch was closed.
type Seen struct {
	Route  string
	Height uint64
	Hash   merkle.Hash
	Time   int64 // the block's own time, Unix milliseconds
}

// Append appends the item.
func (h Header) Append(dst []byte) []byte {
	dst = appendOpen(dst, 8, headerType)
	dst = cbor.AppendUint(appendHash(dst, &h.Ledger), h.Index)
	dst = appendTime(appendTime(dst, h.From), h.To)
	dst = cbor.AppendHead(dst, cbor.Array, uint64(len(h.Seen)))
	for i := range h.Seen {
		s := &h.Seen[i]
		dst = cbor.AppendUint(cbor.AppendText(append(dst, cbor.Array|4), s.Route), s.Height)
		dst = appendTime(appendHash(dst, &s.Hash), s.Time)
	}
	dst = append(appendHash(dst, &h.Root), cbor.Array|HiddenItems)
	for i := range h.Hidden {
		dst = appendHash(dst, &h.Hidden[i])
	}
	return dst
}

// ParseHeader parses a batch header. It accepts just what Append writes of a
// header whose window does not run backwards.
func ParseHeader(item []byte) (Header, error) {
	d := decode("batch header", item, MaxHeader, 8, headerType)
	h := Header{
		Ledger: d.hash("the ledger id"), Index: d.Uint63("the index"),
		From: d.time("the window's begin"), To: d.time("the window's end"),
		Seen: d.seen(), Root: d.hash("the batch root"),
	}
	d.Tuple(HiddenItems, "the hidden list")
	for i := range h.Hidden {
		h.Hidden[i] = d.hash("a hidden item")
	}
	d.require(h.Index < merkle.MaxSize, "the index lies outside of any log")
	d.require(h.From <= h.To, "the window ends before it begins")
	return finish(d, h)
}

func (d *decoder) seen() (all []Seen) {
	for range d.Array(MaxRoutes, "routes") {
		d.Tuple(4, "a block seen")
		s := Seen{
			Route: d.route(), Height: d.Uint("a block's height"),
			Hash: d.hash("a block's hash"), Time: d.time("a block's time"),
		}
		for i := range all {
			d.require(all[i].Route != s.Route, "a route comes twice")
		}
		if d.Err != nil {
			return nil
		}
		all = append(all, s)
	}
	return all
}

func (d *decoder) route() string {
	s := d.Text(MaxRoute, "a route")
	d.require(validRoute(s), "a route's name is not 1 to 64 printable ASCII characters without spaces")
	return s
}

func validRoute(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= MaxRoute
}

// Counts is the first hidden item of a header.
type Counts struct {
	Readings uint64 // numbered in the window, all streams together
	Streams  uint64 // active ones
	Missed   uint64 // windows that this batch stands for without having been there
}

// Append appends the item.
func (c Counts) Append(dst []byte) []byte {
	dst = appendOpen(dst, 4, countsType)
	return cbor.AppendUint(cbor.AppendUint(cbor.AppendUint(dst, c.Readings), c.Streams), c.Missed)
}

// ParseCounts parses a counts item.
func ParseCounts(item []byte) (Counts, error) {
	d := decode("counts", item, MaxSmall, 4, countsType)
	return finish(d, Counts{Readings: d.Uint("the readings"), Streams: d.Uint("the streams"), Missed: d.Uint("the missed windows")})
}

// Slots is the third hidden item of a header.
type Slots struct {
	Depth int // of the batch tree, 3…32: it is 1<<Depth wide
}

const maxDepth = 32

// Append appends the item.
func (s Slots) Append(dst []byte) []byte {
	return cbor.AppendUint(appendOpen(dst, 2, slotsType), uint64(s.Depth))
}

// ParseSlots parses a slots item.
func ParseSlots(item []byte) (Slots, error) {
	d := decode("slots", item, MaxSmall, 2, slotsType)
	n := d.Uint("the depth")
	d.require(n >= minDepth && n <= maxDepth, "the depth lies outside 3…32")
	return finish(d, Slots{Depth: int(n)})
}

// SegmentsHead is the fourth hidden item of a header: the tree over the
// segments finished since the header before.
type SegmentsHead struct {
	Count uint64
	Root  merkle.Hash
}

// Append appends the item.
func (s SegmentsHead) Append(dst []byte) []byte {
	return appendTree(dst, segmentsType, s.Count, &s.Root)
}

// ParseSegmentsHead parses a segments item.
func ParseSegmentsHead(item []byte) (SegmentsHead, error) {
	d := decode("segments head", item, MaxSmall, 3, segmentsType)
	n, root := d.tree()
	return finish(d, SegmentsHead{n, root})
}

// StatementsHead is the fifth hidden item of a header: the ledger's one tree
// of statements as it stood when the window closed.
type StatementsHead struct {
	Size uint64
	Root merkle.Hash
}

// Append appends the item.
func (s StatementsHead) Append(dst []byte) []byte {
	return appendTree(dst, statementsType, s.Size, &s.Root)
}

// ParseStatementsHead parses a statements item.
func ParseStatementsHead(item []byte) (StatementsHead, error) {
	d := decode("statements head", item, MaxSmall, 3, statementsType)
	n, root := d.tree()
	return finish(d, StatementsHead{n, root})
}

func appendTree(dst []byte, kind string, n uint64, root *merkle.Hash) []byte {
	return appendHash(cbor.AppendUint(appendOpen(dst, 3, kind), n), root)
}

func (d *decoder) tree() (n uint64, root merkle.Hash) {
	n, root = d.Uint63("the size"), d.hash("the root")
	d.require(n != 0 || root == merkle.EmptyRoot(), "an empty tree has another root than the empty one")
	return n, root
}

// Segment names one sealed object of a compartment and hour.
type Segment struct {
	Compartment uint32
	Hour        uint32 // quarter hours since 1970
	Part        uint32
	First, Next uint64      // the batches that it holds, First…Next-1
	Sealed      merkle.Hash // SHA-256 of the sealed bytes
}

// Append appends the item.
func (s Segment) Append(dst []byte) []byte {
	dst = appendOpen(dst, 7, segmentType)
	dst = cbor.AppendUint(cbor.AppendUint(cbor.AppendUint(dst, uint64(s.Compartment)), uint64(s.Hour)), uint64(s.Part))
	return appendHash(cbor.AppendUint(cbor.AppendUint(dst, s.First), s.Next), &s.Sealed)
}

// ParseSegment parses a segment item.
func ParseSegment(item []byte) (Segment, error) {
	d := decode("segment", item, MaxSmall, 7, segmentType)
	s := Segment{
		Compartment: d.Uint32("the compartment"), Hour: d.Uint32("the hour"), Part: d.Uint32("the part"),
		First: d.Uint63("the first batch"), Next: d.Uint63("the next batch"), Sealed: d.hash("the sealed bytes' hash"),
	}
	d.require(s.First <= s.Next, "the next batch is below the first")
	return finish(d, s)
}
