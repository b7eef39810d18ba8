package proof

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// Options say against what a file is checked. The zero value checks it against
// itself alone, and requires that it is anchored.
type Options struct {
	Policy   *Policy     // whose ledger it must be; nil: not checked
	Trust    HeaderTrust // which blocks are final; nil: none is trusted
	Require  Level       // for the outcome; LevelNone stands for LevelAnchored
	Attached []GivenFile // that statements shown must name as a photo or paper of an installation
}

// fault is why a file is false.
type fault struct {
	code Code
	err  error
}

func faultf(code Code, format string, args ...any) *fault {
	return &fault{code, fmt.Errorf(format, args...)}
}

// VerifyBytes decodes a proof file and verifies it. It never fails otherwise than by
// its verdict.
func VerifyBytes(b []byte, o Options) Verdict {
	f, err := Decode(b)
	if err == nil {
		return Verify(f, o)
	}
	var v Verdict
	v.Reason = err.Error()
	asked := true
	switch {
	case errors.Is(err, ErrNotProof):
		v.Code, v.Next, asked = CodeNotProof, "give the file that the prover wrote", false
	case errors.Is(err, ErrVersion):
		v.Code, v.Next, asked = CodeVersion, "get a newer cairn-verify", false
	case errors.Is(err, ErrDamaged):
		v.Code, v.Next = CodeDamaged, "ask for the file again"
	default:
		v.Code, v.Next = CodeMalformed, "ask for the file again"
	}
	v.Checks = []Check{{1, stepNames[1], false, v.Reason}}
	v.NotChecked = []string{"anything: the file could not be read"}
	v.conclude(o.Require, asked)
	return v
}

// Verify checks all that a file says, in the steps of the package doc, and
// stops at the first that is false.
func Verify(f *File, o Options) Verdict {
	c := checker{f: f, o: o}
	steps := [...]func() (string, *fault){
		1: c.file, 2: c.ledger, 3: c.checkpoints, 4: c.headers, 5: c.hidden, 6: c.summaryEntries,
		7: c.records, 8: c.runs, 9: c.ranges, 10: c.statements, 11: c.receiptProofs, 12: c.blocks,
		13: c.levels, 14: c.complete,
	}
	for n := 1; n < len(steps); n++ {
		detail, bad := steps[n]()
		if bad != nil {
			c.v.Checks = append(c.v.Checks, Check{n, stepNames[n], false, bad.err.Error()})
			return c.refuse(bad)
		}
		if detail != "" {
			c.v.Checks = append(c.v.Checks, Check{n, stepNames[n], true, detail})
		}
	}
	c.notChecked()
	c.v.conclude(o.Require, c.v.Code != CodeTrustFailed && c.v.Code != CodeUpdate)
	c.judge()
	c.judgeAttached()
	return c.v
}

var stepNames = [...]string{
	1: "file", 2: "ledger", 3: "checkpoint", 4: "log", 5: "header", 6: "batch", 7: "record", 8: "run",
	9: "stream", 10: "statements", 11: "receipt", 12: "block", 13: "anchor", 14: "complete",
}

// checker carries what one step found to the next. Positions are the file's.
type checker struct {
	f *File
	o Options
	v Verdict

	id        merkle.Hash
	heads     []merkle.Checkpoint
	batches   []batchState
	summaries []ledger.Summary
	receipts  []receiptState

	rangeStates []rangeState             // of the file's ranges
	bound       map[uint64]boundAs       // by stream, what its bind statement says
	installed   map[uint64]*installation // by stream
	missing     []lack                   // in ranges, by step 14
	lookedAt    int                      // declared spans, to tell of them in ranges

	cosigning *cosigning // what the policy asks of witnesses; nil: nothing

	keys     []logKey // of the log, the first first
	headKey  []int    // which of them signed each head
	cosigned []uint64 // which of the policy's witnesses cosigned each head or one that extends it, a bit for each
	stated   []stated
	places   []place // where anchors count
	asked    map[askedBlock]blockAnswer
	seen     seenBlocks

	anchors []*batchAnchor // of each batch, from step 13 on; nil for one that nothing needs

	messages int    // bytes of all timestamps' messages
	delay    int64  // ms, the longest from a window's end to its anchor
	shared   string // two routes that rest on one block, in words
	clocks   map[string]*clock
}

type batchState struct {
	header     ledger.Header
	depth      int // of the batch tree
	statements ledger.StatementsHead
}

// refuse turns the verdict into one that proves nothing.
func (c *checker) refuse(bad *fault) Verdict {
	v := Verdict{
		Level: LevelNone, Code: bad.code, Reason: bad.err.Error(),
		Next:   "do not rely on this file; ask for it again, and keep this one if the next differs",
		Ledger: c.v.Ledger, Key: c.v.Key, Identity: c.v.Identity, Checks: c.v.Checks,
		NotChecked: []string{"what comes after the step that failed"},
	}
	if bad.code == CodeIdentity {
		v.Next = "do not rely on this file: another ledger than the policy's made it"
	}
	if c.o.Policy == nil {
		v.NotChecked = append([]string{notIdentity}, v.NotChecked...)
	}
	v.conclude(c.o.Require, true)
	return v
}

// Step 1: the form. Decode has done it; a File made by hand has not been.
func (c *checker) file() (string, *fault) {
	if err := c.f.check(); err != nil {
		return "", &fault{CodeMalformed, err}
	}
	if c.isUpdate() {
		return fmt.Sprintf("an update: %s, %s, no reading", count(len(c.f.Heads), "head"), count(len(c.f.Receipts), "receipt")), nil
	}
	n := len(c.f.Readings)
	for i := range c.f.Ranges {
		n += len(c.f.Ranges[i].Readings)
	}
	return fmt.Sprintf("%s, %s", count(n, "reading"), count(len(c.f.Batches), "batch")), nil
}

// Step 2: the ledger's id, and whether it is the policy's.
func (c *checker) ledger() (string, *fault) {
	key := ed25519.PublicKey(c.f.Ledger.Key[:])
	c.id = ledger.ID(key, c.f.Ledger.Nonce)
	c.v.Ledger, c.v.Key = c.id.String(), merkle.VerifierKey(ledger.Origin(c.id), key)
	p := c.o.Policy
	if p == nil {
		return "id follows from log key and nonce; whose it is was not asked", nil
	}
	if p.Ledger != c.id || !p.Key.Equal(key) {
		return "", faultf(CodeIdentity, "ledger %v is not the policy's, %v", c.id, p.Ledger)
	}
	c.v.Identity = true
	return "log key and id are the policy's", nil
}

// Step 3: every head is a checkpoint of this log, signed by its key, or by one
// that a statement shown here hands it over to. A second signature by it would
// be bytes that nobody checks, so there is none; version 0 has no others either.
func (c *checker) checkpoints() (string, *fault) {
	if bad := c.logKeys(); bad != nil {
		return "", bad
	}
	origin, later := ledger.Origin(c.id), 0
	c.heads, c.headKey = make([]merkle.Checkpoint, len(c.f.Heads)), make([]int, len(c.f.Heads))
	c.cosigned = make([]uint64, len(c.f.Heads))
	if c.o.Policy != nil {
		c.cosigning = c.o.Policy.newCosigning()
	}
	for i, h := range c.f.Heads {
		cp, key, err := c.openHead(h.Note, origin)
		if err != nil {
			return "", &fault{checkpointCode(err), fmt.Errorf("head %d: %w", i, err)}
		}
		if c.headKey[i] = key; key > 0 {
			later++
		}
		if c.f.Version == 0 && !plainNote(h.Note, cp, origin) {
			return "", faultf(CodeCosigned, "head %d: it has other lines than the log's one signature", i)
		}
		if c.f.Version > 0 {
			packed, err := packHead(h.Note, origin)
			if err != nil {
				return "", &fault{CodeCosigned, fmt.Errorf("head %d: %w", i, err)}
			}
			if bad := c.cosignatures(i, packed); bad != nil {
				return "", bad
			}
		}
		c.heads[i] = cp
	}
	if bad := c.oneLog(); bad != nil {
		return "", bad
	}
	detail := count(len(c.heads), "head") + " signed by the log's key"
	if n := len(c.v.Witnesses); n != 0 {
		detail += ", " + count(n, "cosignature")
	}
	if later > 0 {
		detail += fmt.Sprintf(", %d of them by one that took over", later)
	}
	return detail, nil
}

// oneLog holds that no two heads are of two logs: a size has one root, and a
// root, which is all that a chain shows, one size.
func (c *checker) oneLog() *fault {
	roots, sizes := make(map[uint64]merkle.Hash), make(map[merkle.Hash]uint64)
	for i, h := range c.heads {
		if root, ok := roots[h.Size]; ok && root != h.Root {
			return faultf(CodeFork, "head %d: the log signed another root for the size %d", i, h.Size)
		}
		if size, ok := sizes[h.Root]; ok && size != h.Size {
			return faultf(CodeFork, "head %d: the log signed its root with the sizes %d and %d", i, size, h.Size)
		}
		roots[h.Size], sizes[h.Root] = h.Root, h.Size
	}
	return nil
}

func checkpointCode(err error) Code {
	switch {
	case errors.Is(err, merkle.ErrOrigin):
		return CodeOrigin
	case errors.Is(err, merkle.ErrUnsigned):
		return CodeUnsigned
	case errors.Is(err, merkle.ErrSignature):
		return CodeSignature
	}
	return CodeHead
}

// quarterHour is what no window reaches out of, in milliseconds of Unix time.
const quarterHour = 15 * 60 * 1000

// Step 4: every header is this ledger's, its window lies in one quarter hour,
// and it stands at its own index, where no other does, in the log under each
// head that is said to cover it. Heads extend one another where the file says so.
func (c *checker) headers() (string, *fault) {
	if bad := c.extensions(); bad != nil {
		return "", bad
	}
	c.inheritCosigned()
	c.batches = make([]batchState, len(c.f.Batches))
	taken := make(map[uint64]bool, len(c.f.Batches))
	for i := range c.f.Batches {
		b := &c.f.Batches[i]
		h, err := ledger.ParseHeader(b.Header)
		if err != nil {
			return "", &fault{CodeHeader, fmt.Errorf("batch %d: %w", i, err)}
		}
		if h.Ledger != c.id {
			return "", faultf(CodeHeaderLedger, "batch %d: its header is of ledger %v", i, h.Ledger)
		}
		if h.To-h.From > quarterHour-h.From%quarterHour {
			return "", faultf(CodeWindowSpan, "batch %d: its window, %s to %s, reaches out of a quarter hour", i, timeText(h.From), timeText(h.To))
		}
		if taken[h.Index] {
			return "", faultf(CodeFork, "batch %d: the log has another header with index %d", i, h.Index)
		}
		taken[h.Index] = true
		leaf := merkle.LeafHash(b.Header)
		for _, p := range b.Heads {
			head := &c.heads[p.Head]
			if err := merkle.VerifyInclusion(leaf, h.Index, head.Size, p.Path, head.Root); err != nil {
				return "", &fault{CodeLog, fmt.Errorf("batch %d under head %d: %w", i, p.Head, err)}
			}
		}
		c.batches[i].header = h
	}
	detail := count(len(c.batches), "header") + " in the log"
	if n := len(c.f.Extends); n != 0 {
		detail += ", " + count(n, "extension") + " of its heads"
	}
	return detail, nil
}

// Step 5: the values shown of each header are those that it hides.
func (c *checker) hidden() (string, *fault) {
	shown := 0
	for i := range c.f.Batches {
		b, s := &c.f.Batches[i], &c.batches[i]
		if ledger.Hide(b.Slots.Item, b.Slots.Salt) != s.header.Hidden[ledger.HiddenSlots] {
			return "", faultf(CodeHidden, "batch %d: slots are not what the header hides", i)
		}
		slots, err := ledger.ParseSlots(b.Slots.Item)
		if err != nil {
			return "", &fault{CodeSlots, fmt.Errorf("batch %d: %w", i, err)}
		}
		s.depth = slots.Depth
		shown++
		if b.Statements == nil {
			continue
		}
		if ledger.Hide(b.Statements.Item, b.Statements.Salt) != s.header.Hidden[ledger.HiddenStatements] {
			return "", faultf(CodeHidden, "batch %d: statements are not what the header hides", i)
		}
		if s.statements, err = ledger.ParseStatementsHead(b.Statements.Item); err != nil {
			return "", &fault{CodeStatement, fmt.Errorf("batch %d: %w", i, err)}
		}
		shown++
	}
	if bad := c.statementTrees(); bad != nil {
		return "", bad
	}
	return fmt.Sprintf("%s shown as hidden there", count(shown, "value")), nil
}

// statementTrees holds that the tree of statements only grows from batch to
// batch, as far as sizes and roots tell.
func (c *checker) statementTrees() *fault {
	var last *batchState
	for _, i := range c.inLogOrder() {
		s := &c.batches[i]
		if c.f.Batches[i].Statements == nil {
			continue
		}
		if last != nil && (s.statements.Size < last.statements.Size || s.statements.Size == last.statements.Size && s.statements.Root != last.statements.Root) {
			return faultf(CodeStatements, "batch %d: its tree of statements does not extend that of log index %d", i, last.header.Index)
		}
		last = s
	}
	return nil
}

// inLogOrder returns the positions of the batches by their index in the log.
func (c *checker) inLogOrder() []int {
	all := make([]int, len(c.batches))
	for i := range all {
		all[i] = i
	}
	slices.SortFunc(all, func(a, b int) int { return cmp.Compare(c.batches[a].header.Index, c.batches[b].header.Index) })
	return all
}

// Step 6: every summary is of its batch's window and stands at its own slot in
// the batch tree, so no batch can hold two of one stream.
func (c *checker) summaryEntries() (string, *fault) {
	c.summaries = make([]ledger.Summary, len(c.f.Summaries))
	for i := range c.f.Summaries {
		s := &c.f.Summaries[i]
		b := &c.batches[s.Batch]
		sum, err := ledger.ParseSummary(s.Item)
		if err != nil {
			return "", &fault{CodeSummary, fmt.Errorf("summary %d: %w", i, err)}
		}
		if sum.From != b.header.From || sum.To != b.header.To {
			return "", faultf(CodeWindow, "summary %d: its window is not the header's", i)
		}
		if len(s.Path) != b.depth || sum.Slot>>b.depth != 0 {
			return "", faultf(CodeSlot, "summary %d: slot %d with a path of %d in a tree of depth %d", i, sum.Slot, len(s.Path), b.depth)
		}
		entry := ledger.SummaryEntry(s.Tag, s.Item, s.Salt)
		root, err := merkle.RootFromPerfectPath(merkle.LeafHash(entry[:]), sum.Slot, s.Path)
		if err != nil || root != b.header.Root {
			return "", faultf(CodeBatchRoot, "summary %d does not lead to the batch root", i)
		}
		if err := shownRest(s.Rest, &sum); err != nil {
			return "", &fault{CodeRest, fmt.Errorf("summary %d: %w", i, err)}
		}
		c.summaries[i] = sum
	}
	if bad := c.streams(); bad != nil {
		return "", bad
	}
	return fmt.Sprintf("%s at the slot of its stream", count(len(c.summaries), "summary")), nil
}

// shownRest holds that a rest, if it is shown, is what the summary hides.
func shownRest(rest *Shown, sum *ledger.Summary) error {
	if rest == nil {
		return nil
	}
	if ledger.Hide(rest.Item, rest.Salt) != sum.Hidden {
		return errors.New("the rest shown is not what it hides")
	}
	_, err := ledger.ParseRest(rest.Item)
	return err
}

// streams holds what the summaries of a stream say against one another: one
// slot has one tag, later runs have higher numbers, and nothing comes after the
// summary that closes the stream. A summary shown twice is passed over.
func (c *checker) streams() *fault {
	order := make([]int, len(c.summaries))
	for i := range order {
		order[i] = i
	}
	index := func(i int) uint64 { return c.batches[c.f.Summaries[i].Batch].header.Index }
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.summaries[a].Slot, c.summaries[b].Slot), cmp.Compare(index(a), index(b)))
	})
	slotOf := make(map[[ledger.TagSize]byte]uint64, len(order))
	for n, i := range order {
		sum, tag := &c.summaries[i], c.f.Summaries[i].Tag
		if slot, ok := slotOf[tag]; ok && slot != sum.Slot {
			return faultf(CodeTag, "summary %d: the stream at slot %d has its tag", i, slot)
		}
		slotOf[tag] = sum.Slot
		if n == 0 || c.summaries[order[n-1]].Slot != sum.Slot {
			continue
		}
		before := order[n-1]
		last := &c.summaries[before]
		switch {
		case c.f.Summaries[before].Tag != tag:
			return faultf(CodeTag, "summary %d: its stream has another tag in summary %d", i, before)
		case index(before) == index(i):
		case sum.First < last.Next || last.Closed && sum.First != sum.Next:
			return faultf(CodeRuns, "summary %d: its run, %d to %d, cannot come after that of summary %d, %d to %d", i, sum.First, sum.Next, before, last.First, last.Next)
		}
	}
	return nil
}

// plainNote reports whether note is the checkpoint with one signature line in
// plain base64. The note format itself is more generous, and lets bits change
// that say nothing.
func plainNote(note []byte, cp merkle.Checkpoint, origin string) bool {
	rest, ok := bytes.CutPrefix(note, []byte(cp.Text()+"\n\u2014 "+origin+" "))
	if !ok || !bytes.HasSuffix(rest, []byte("\n")) {
		return false
	}
	line := string(rest[:len(rest)-1])
	sig, err := base64.StdEncoding.DecodeString(line)
	return err == nil && base64.StdEncoding.EncodeToString(sig) == line
}

// count writes a number of things: "1 batch", "2 batches".
func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case what[len(what)-1] == 'y':
		return fmt.Sprintf("%d %sies", n, what[:len(what)-1])
	case what[len(what)-1] == 'h':
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
