package proof

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// Step 7: from the items shown, leaf by leaf, to the record root; and what the
// items say agrees with where they stand.
func (c *checker) records() (string, *fault) {
	c.v.Readings = make([]ReadingVerdict, len(c.f.Readings))
	fields := 0
	type place struct {
		slot, seq uint64
	}
	seen := make(map[place]bool, len(c.f.Readings))
	d := &describer{known: make(map[string]string)}
	for i := range c.f.Readings {
		r := &c.f.Readings[i]
		at := place{c.summaries[r.Summary].Slot, r.Seq}
		if seen[at] {
			return "", faultf(CodeTwice, "reading %d: sequence %d of its stream is shown twice", i, r.Seq)
		}
		seen[at] = true
		shown, bad := c.record(r)
		if bad != nil {
			return "", &fault{bad.code, fmt.Errorf("reading %d (sequence %d): %w", i, r.Seq, bad.err)}
		}
		c.v.Readings[i] = c.describe(d, r, shown)
		fields += len(r.Fields)
	}
	return fmt.Sprintf("%s hashed up to %s", count(fields, "field"), count(len(c.f.Readings), "record root")), nil
}

// record recomputes one record root, and returns the fields shown, parsed.
func (c *checker) record(r *Reading) (*reading.Reading, *fault) {
	shown := new(reading.Reading)
	if bad := parseFields(shown, r.Fields); bad != nil {
		return nil, bad
	}
	sum := &c.summaries[r.Summary]
	for _, f := range r.Fields {
		if f.Index == reading.IndexSequence && shown.Sequence != r.Seq {
			return nil, faultf(CodeSequence, "field sequence says %d", shown.Sequence)
		}
		if f.Index == reading.IndexReceived && (shown.Received < sum.From || shown.Received >= sum.To) {
			return nil, faultf(CodeReceived, "received %s, the window is %s to %s", timeText(shown.Received), timeText(sum.From), timeText(sum.To))
		}
	}
	root, bad := r.recompute()
	if bad != nil {
		return nil, bad
	}
	if root != r.Root {
		return nil, faultf(CodeRecordRoot, "the fields shown hash to record root %v, not %v", root, r.Root)
	}
	return shown, nil
}

// recompute returns the record root that the fields shown and the hidden path
// lead to. The form of r has been checked.
func (r *Reading) recompute() (merkle.Hash, *fault) {
	whole, bad := wholeItem(r)
	if bad != nil {
		return merkle.Hash{}, bad
	}
	rec := record{hidden: r.Hidden}
	for _, f := range r.Fields {
		item := f.Item
		if f.Index == reading.IndexReading {
			item = whole
		}
		entry := reading.HiddenEntry(item, f.Salt)
		rec.leaves[f.Index] = merkle.LeafHash(entry[:])
		rec.known |= 1 << f.Index
	}
	root, ok := rec.root(r.Width)
	if !ok {
		return root, faultf(CodeRecordRoot, "%d hidden hashes do not fit the fields shown", len(r.Hidden))
	}
	return root, nil
}

// parseFields sets those parts of a reading that are shown.
func parseFields(shown *reading.Reading, fields []Field) *fault {
	for i := range fields {
		if fields[i].Index == reading.IndexReading {
			continue
		}
		if err := shown.SetItem(fields[i].Index, fields[i].Item); err != nil {
			return &fault{CodeItem, err}
		}
	}
	return nil
}

// wholeItem returns item 0, made of the others, if field 0 is shown: then all
// fields must be there, and the reading they make must be a valid one.
func wholeItem(r *Reading) ([]byte, *fault) {
	if r.Fields[0].Index != reading.IndexReading {
		return nil, nil
	}
	parts := make([]any, 1, len(r.Fields))
	parts[0] = "cairn/reading/1"
	for i, f := range r.Fields[1:] {
		if f.Index != i+1 {
			return nil, faultf(CodeWhole, "field 0 is shown, field %d is not", i+1)
		}
		parts = append(parts, f.Item)
	}
	item, err := marshal(parts)
	if err == nil {
		_, _, err = reading.ParseAll(item)
	}
	if err != nil {
		return nil, &fault{CodeWhole, err}
	}
	if w := reading.Width(len(r.Fields)); w != r.Width {
		return nil, faultf(CodeWhole, "%d items make a tree of %d leaves, not %d", len(r.Fields), w, r.Width)
	}
	return item, nil
}

// Step 8: the reading entry stands in its run at the place of its number.
func (c *checker) runs() (string, *fault) {
	for i := range c.f.Readings {
		r := &c.f.Readings[i]
		sum, tag := &c.summaries[r.Summary], c.f.Summaries[r.Summary].Tag
		if r.Seq < sum.First || r.Seq >= sum.Next {
			return "", faultf(CodeRunRange, "reading %d: sequence %d is not of the run %d to %d", i, r.Seq, sum.First, sum.Next)
		}
		leaf := reading.EntryLeaf(tag, r.Seq, r.Root)
		if err := merkle.VerifyInclusion(leaf, r.Seq-sum.First, sum.Next-sum.First, r.Run, sum.Run); err != nil {
			return "", &fault{CodeRunRoot, fmt.Errorf("reading %d (sequence %d): %w", i, r.Seq, err)}
		}
	}
	return fmt.Sprintf("%s at the place of its number in its window", count(len(c.f.Readings), "reading")), nil
}

// Step 10: each statement stands in the tree of statements, and one number is
// one statement. A genesis must be this ledger's, a stream is bound once, and
// to the device that its readings name. A log key signs heads of its time alone.
func (c *checker) statements() (string, *fault) {
	items, bound := make(map[uint64][]byte), make(map[uint64]boundAs)
	for i := range c.f.Statements {
		s := &c.f.Statements[i]
		st, err := ledger.ParseStatement(s.Item)
		if err != nil {
			return "", &fault{CodeStatement, fmt.Errorf("statement %d: %w", i, err)}
		}
		entry := ledger.HiddenEntry(s.Item, s.Salt)
		tree := &c.batches[s.Batch].statements
		if err := merkle.VerifyInclusion(merkle.LeafHash(entry[:]), s.Index, tree.Size, s.Path, tree.Root); err != nil {
			return "", &fault{CodeStatements, fmt.Errorf("statement %d: %w", i, err)}
		}
		if item, ok := items[s.Index]; ok && !bytes.Equal(item, s.Item) {
			return "", faultf(CodeStatements, "statement %d: number %d is another one elsewhere in the file", i, s.Index)
		}
		items[s.Index] = s.Item
		bad := c.genesis(s.Index, &st)
		if bad == nil && st.Kind == ledger.KindBind {
			bad = c.binding(s, &st, bound)
		}
		if bad != nil {
			return "", &fault{bad.code, fmt.Errorf("statement %d: %w", i, bad.err)}
		}
		c.state(i, &st)
		c.v.Statements = append(c.v.Statements, StatementVerdict{Index: s.Index, Kind: st.Kind, At: timeText(st.At), Body: bodyText(st.Body)})
	}
	if len(c.f.Statements) == 0 {
		return "", nil
	}
	if bad := c.bindings(bound); bad != nil {
		return "", bad
	}
	if bad := c.placed(); bad != nil {
		return "", bad
	}
	if bad := c.keyOrder(); bad != nil {
		return "", bad
	}
	return fmt.Sprintf("%s in the ledger's tree of statements", count(len(c.f.Statements), "statement")), nil
}

func (c *checker) genesis(index uint64, st *ledger.Statement) *fault {
	if (st.Kind == ledger.KindGenesis) != (index == 0) {
		return faultf(CodeGenesis, "number %d is a %s", index, st.Kind)
	}
	if index != 0 {
		return nil
	}
	key, _ := st.Bytes("log-key")
	nonce, _ := st.Bytes("nonce")
	if !bytes.Equal(key, c.f.Ledger.Key[:]) || !bytes.Equal(nonce, c.f.Ledger.Nonce[:]) {
		return faultf(CodeGenesis, "genesis of another log key or nonce")
	}
	return nil
}

// boundAs is what a bind statement says of a stream.
type boundAs struct {
	statement    uint64
	device, name string
	secure       bool   // the gateway holds the device's key
	late         bool   // the stream is of what came by another way, afterwards
	batch        uint64 // index of the first batch that shows it
}

// binding notes a binding. A stream has one.
func (c *checker) binding(s *Statement, st *ledger.Statement, bound map[uint64]boundAs) *fault {
	slot, _ := st.Uint("slot")
	b := boundAs{statement: s.Index, batch: c.batches[s.Batch].header.Index}
	b.device, _ = st.Text("device")
	b.name, _ = st.Text("name")
	kind, _ := st.Text("kind")
	b.secure, b.late = kind == ledger.BindSecure, kind == ledger.BindLate
	if have, ok := bound[slot]; ok {
		if have.statement != b.statement {
			return faultf(CodeBinding, "stream %d is bound twice, by number %d and %d", slot, have.statement, b.statement)
		}
		b.batch = min(b.batch, have.batch)
	}
	bound[slot] = b
	return nil
}

// bindings holds the bindings against the readings of their streams, and names
// those that came no earlier than the batch which shows it: what the ledger
// stated later says nothing about how it was then.
func (c *checker) bindings(bound map[uint64]boundAs) *fault {
	c.bound = bound
	if len(bound) == 0 {
		return nil
	}
	for i := range c.v.Readings {
		r := &c.v.Readings[i]
		b, ok := bound[r.Stream]
		if !ok {
			continue
		}
		if r.Device != "" && r.Device != b.device {
			return faultf(CodeBinding, "stream %d is bound to device %.32q, a reading of it names %q", r.Stream, b.device, r.Device)
		}
		r.Late = r.Late || b.late
		if c.earliest(r) >= b.batch {
			r.BoundAs = b.name
		}
	}
	return nil
}

// earliest is the index of the first batch that a reading may have come in.
func (c *checker) earliest(r *ReadingVerdict) uint64 {
	switch {
	case r.before == r.at:
		return r.Batch
	case r.before < 0:
		return 0
	}
	return c.batches[r.before].header.Index + 1
}

func (c *checker) describe(d *describer, r *Reading, shown *reading.Reading) ReadingVerdict {
	sum := &c.summaries[r.Summary]
	at := c.f.Summaries[r.Summary].Batch
	batch := &c.batches[at].header
	v := ReadingVerdict{
		at: at, before: at,
		Stream: sum.Slot, Sequence: r.Seq, Device: shown.Device, Batch: batch.Index,
		From: timeText(batch.From), To: timeText(batch.To),
	}
	d.fields(&v, r.Fields, shown)
	return v
}

// fieldText puts a field in words. Texts are quoted: they come from outside,
// and a terminal must not obey them.
func fieldText(index int, r *reading.Reading) FieldVerdict {
	v := FieldVerdict{Index: index, Name: reading.ItemName(index)}
	switch index {
	case reading.IndexDevice:
		v.Value = r.Device
	case reading.IndexMeasured:
		v.Value = "not said"
		if r.HasMeasured {
			v.Value = timeText(r.Measured)
		}
	case reading.IndexReceived:
		v.Value = timeText(r.Received) + ", clock " + r.Clock.String()
	case reading.IndexSequence:
		v.Value = strconv.FormatUint(r.Sequence, 10)
	case reading.IndexOrigin:
		v.Value = r.Origin.Transport + ", " + r.Origin.Verdict.String()
		if r.Origin.HasCounter {
			v.Value += fmt.Sprintf(", counter %d", r.Origin.Counter)
		}
	case reading.IndexFrame:
		v.Value = "not kept"
		if r.HasFrame {
			v.Value = "SHA-256 " + r.Frame.String()
		}
	default:
		m := &r.Measurements[index-reading.IndexData]
		v.Name, v.Unit, v.Value = m.Name, m.Unit, m.Value.String()
		if m.Value.Kind == reading.KindText {
			v.Value = strconv.Quote(v.Value)
		}
		if m.Value.Kind == reading.KindBytes {
			v.Value = "0x" + v.Value // hexadecimal may look like a number
		}
	}
	return v
}

// bodyText writes a statement's body as key=value, sorted, texts quoted.
func bodyText(body map[string]any) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(body)) {
		words = append(words, key+"="+valueText(body[key]))
	}
	return strings.Join(words, " ")
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []byte:
		return "0x" + hex.EncodeToString(v)
	case []any:
		var words []string
		for _, e := range v {
			words = append(words, valueText(e))
		}
		return "[" + strings.Join(words, " ") + "]"
	}
	return fmt.Sprint(v)
}
