package proof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cairn/merkle/ledger"
)

// joiner takes from one file what a proof lacks.
type joiner struct {
	b     *Builder
	f, s  *File
	find  *finder
	mine  []int      // of each of the proof's heads, that of the finder; grows with it
	its   []int      // of each of the file's
	order []int      // the file's heads by size
	offer [][]string // of each of the file's heads, what it holds
	more  bool       // a route counts as lacking though there is a receipt: its block may be gone
	tied  bool       // a head of the file is tied to one of the proof's
	added []string

	promise map[string]bool // of receipts' data, whether it is no more
	headers map[string]int  // of the file's batches, by header
}

// newJoiner looks at a file. What is false, or contradicts the proof, is refused.
func newJoiner(b *Builder, s *File, o Options, more bool) (*joiner, error) {
	f := b.File()
	if s.Ledger != f.Ledger {
		return nil, ErrOtherLedger
	}
	if v := Verify(s, Options{Trust: o.Trust}); v.False() {
		return nil, fmt.Errorf("%w: %s", ErrFalse, v.Reason)
	}
	j := &joiner{b: b, f: f, s: s, find: newFinder(f.Ledger), more: more, promise: make(map[string]bool), headers: make(map[string]int)}
	for i := range s.Batches {
		j.headers[string(s.Batches[i].Header)] = i
	}
	j.find.findKeys([]*File{f, s})
	j.find.takeLog(f)
	j.find.takeLog(s)
	j.find.compareHeads()
	j.find.compareLogs()
	j.find.compareBatches()
	if len(j.find.found.Frauds) != 0 {
		return nil, fmt.Errorf("%w, see cairn-verify compare: %s", ErrContradict, j.find.found.Frauds[0].Kind)
	}
	for i := range f.Heads {
		j.mine = append(j.mine, j.find.takeHead(f.Heads[i].Note))
	}
	for i := range s.Heads {
		j.its = append(j.its, j.find.takeHead(s.Heads[i].Note))
	}
	if len(j.mine)*len(j.its) > maxPairs*16 {
		return nil, fmt.Errorf("%d heads and %d in the proof are too many for one upgrade", len(j.its), len(j.mine))
	}
	j.offer, j.order = j.holdings(s), j.bySize()
	if slices.Contains(j.mine, -1) || slices.Contains(j.its, -1) {
		return nil, fmt.Errorf("%w: a head is not signed by the log", ErrFalse) // Verify has refused it
	}
	return j, nil
}

// join takes first what is of the proof's own heads, then for what is lacking
// the nearest head that holds it.
func (j *joiner) join() error {
	old := len(j.f.Heads)
	for i := range j.s.Heads {
		k := slices.Index(j.mine[:old], j.its[i])
		if k < 0 {
			continue
		}
		j.tied = true
		before := len(j.f.Heads[k].Note)
		if at := j.head(i); at == k && len(j.f.Heads[k].Note) > before {
			j.add("cosignatures of the head of %d batches", j.size(k))
		}
		j.receipts(i, k)
	}
	for k := range old {
		j.nearest(k)
	}
	for k := range len(j.f.Batches) {
		j.cover(k)
	}
	return j.keys()
}

func (j *joiner) add(format string, args ...any) {
	if words := fmt.Sprintf(format, args...); !slices.Contains(j.added, words) {
		j.added = append(j.added, words)
	}
}

func (j *joiner) size(head int) uint64 { return j.find.heads[j.mine[head]].Size }

// receipts takes those of one head of the file for the proof's position of it.
func (j *joiner) receipts(its, mine int) {
	for i := range j.s.Receipts {
		if r := j.s.Receipts[i]; r.Head == its {
			j.receipt(r, i, mine)
		}
	}
}

// receipt takes one receipt, unless it is there. One by calendars becomes one
// with that which is there.
func (j *joiner) receipt(r Receipt, its, mine int) {
	r.Head = mine
	at := j.find.heads[j.mine[mine]]
	for i := range j.f.Receipts {
		have := &j.f.Receipts[i]
		if have.Head != mine || have.Kind != r.Kind || have.Route != r.Route {
			continue
		}
		if bytes.Equal(have.Data, r.Data) {
			return
		}
		if r.Kind != KindOTS {
			continue
		}
		if data, ok := mergeOTS(at.Root, have.Data, r.Data); ok {
			if !bytes.Equal(data, have.Data) {
				have.Data = data
				j.add("what calendars said since of the head of %d batches", at.Size)
			}
			return
		}
	}
	pos := j.b.Receipt(r)
	j.add("a receipt by %s for the head of %d batches", r.Route, at.Size)
	for _, v := range j.s.Vouches {
		if v.Receipt == its {
			v.Receipt = pos
			j.b.Vouch(v)
		}
	}
}

// holdings returns of each head of a file what it has that counts: the routes of
// its receipts that name a block, and its cosigners.
func (j *joiner) holdings(f *File) [][]string {
	all := make([][]string, len(f.Heads))
	for i := range f.Receipts {
		if r := &f.Receipts[i]; !j.onlyPromises(r) {
			all[r.Head] = append(all[r.Head], r.Route)
		}
	}
	for i := range f.Heads {
		_, lines := cutCosignatures(f.Heads[i].Note)
		for line := range bytes.Lines(lines) {
			if name, sig, err := cutSignature(strings.TrimSuffix(string(line), "\n")); err == nil && len(sig) > 4 {
				all[i] = append(all[i], fmt.Sprintf("%s %x", name, sig[:4]))
			}
		}
	}
	return all
}

// onlyPromises reports whether a receipt is no more than what calendars
// promise: where one is to be had that says more, it is lacking.
func (j *joiner) onlyPromises(r *Receipt) bool {
	if r.Kind != KindOTS {
		return false
	}
	only, known := j.promise[string(r.Data)]
	if !known {
		if ots, err := ParseOTSReceipt(r.Data); err == nil {
			t, err := ots.tree([32]byte{})
			only = err == nil && !t.attested()
		}
		j.promise[string(r.Data)] = only
	}
	return only
}

// has returns what the proof has for a head, in itself and in those that the
// proof shows to extend it.
func (j *joiner) has(head int) map[string]bool {
	held, later := j.holdings(j.f), make(map[int][]int)
	for _, e := range j.f.Extends {
		later[e.Old] = append(later[e.Old], e.New)
	}
	has, seen := make(map[string]bool), map[int]bool{head: true}
	for todo := []int{head}; len(todo) > 0; todo = todo[1:] {
		for _, what := range held[todo[0]] {
			has[what] = true
		}
		for _, next := range later[todo[0]] {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return has
}

// nearest takes, for each thing that a head of the proof lacks, the smallest
// head of the file which has it and extends that.
func (j *joiner) nearest(head int) {
	has, fresh := j.has(head), make(map[string]bool)
	for _, i := range j.order {
		all, known := j.offer[i], slices.Contains(j.mine, j.its[i])
		lacking := slices.ContainsFunc(all, func(what string) bool { return !has[what] || j.more && !known && !fresh[what] })
		if !lacking && len(all) > 0 && j.find.first(j.its[i]) == j.find.first(j.mine[head]) {
			j.tied = true
		}
		if j.its[i] != j.mine[head] && (!lacking || !j.extend(head, i)) {
			continue
		}
		j.tied = true
		for _, what := range all {
			has[what], fresh[what] = true, true
		}
	}
}

// bySize returns the file's heads, the smallest first.
func (j *joiner) bySize() []int {
	order := make([]int, len(j.its))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := j.find.heads[j.its[a]].Size, j.find.heads[j.its[b]].Size
		return cmp.Compare(x, y)
	})
	return order
}

// extend takes a head of the file with its receipts, and the consistency proof
// that one of the proof's heads is its beginning, if the files give that.
func (j *joiner) extend(head, its int) bool {
	old, new := j.find.heads[j.mine[head]], j.find.heads[j.its[its]]
	if old.Size >= new.Size {
		return false
	}
	p, ok := j.find.tree[j.find.first(j.its[its])].prefix(old.Size, new.Size, new.Root)
	if !ok || p.Root != old.Root {
		return j.extendBySteps(head, its)
	}
	at := j.take(its)
	j.b.Extend(head, at, p.Path)
	j.add("that the log of %d batches is the beginning of that of %d", old.Size, new.Size)
	return true
}

// extendBySteps does it over the extensions of the file.
func (j *joiner) extendBySteps(head, its int) bool {
	from := map[int]int{} // of each head of the file on the way, by which extension
	start := slices.Index(j.its, j.mine[head])
	if start < 0 {
		return false
	}
	for todo := []int{start}; len(todo) > 0; todo = todo[1:] {
		for i, e := range j.s.Extends {
			if _, seen := from[e.New]; e.Old == todo[0] && !seen {
				from[e.New] = i
				todo = append(todo, e.New)
			}
		}
	}
	if _, ok := from[its]; !ok {
		return false
	}
	for at := its; at != start; {
		e := j.s.Extends[from[at]]
		j.b.Extend(j.take(e.Old), j.take(e.New), e.Path)
		j.add("that the log of %d batches is the beginning of that of %d", j.find.heads[j.its[e.Old]].Size, j.find.heads[j.its[e.New]].Size)
		at = e.Old
	}
	return true
}

// take adds a head of the file with its receipts, and returns its position in
// the proof.
func (j *joiner) take(its int) int {
	at := j.head(its)
	j.receipts(its, at)
	return at
}

// head adds a head of the file, or finds it.
func (j *joiner) head(its int) int {
	at := j.b.Head(j.s.Heads[its].Note)
	if at == len(j.mine) {
		j.mine = append(j.mine, j.its[its])
	}
	return at
}

// cover puts a batch of the proof under heads of the file that hold what it
// lacks, where the file has that batch too.
func (j *joiner) cover(batch int) {
	i, ok := j.headers[string(j.f.Batches[batch].Header)]
	if !ok {
		return
	}
	j.tied = true
	has := make(map[string]bool)
	for _, p := range j.f.Batches[batch].Heads {
		for what := range j.has(p.Head) {
			has[what] = true
		}
	}
	for _, p := range j.s.Batches[i].Heads {
		lacking := false
		for _, what := range j.offer[p.Head] {
			lacking = lacking || !has[what]
		}
		if !lacking {
			continue
		}
		j.b.Cover(batch, j.take(p.Head), p.Path)
		j.add("the path of the batch of %s to the head of %d batches", timeText(j.find.batches[j.find.batchAt[string(j.s.Batches[i].Header)]].header.From), j.find.heads[j.its[p.Head]].Size)
	}
}

// keys takes the log-key statements of the file that bring keys of heads which
// the proof has now.
func (j *joiner) keys() error {
	missing := make(map[[32]byte]bool)
	for i := range j.f.Heads {
		for k := j.find.heads[j.mine[i]].by; k > 0; k = j.find.keys[k].before {
			missing[j.find.keys[k].key] = true
		}
	}
	bring := func(st *Statement) ([32]byte, bool) {
		s, err := ledger.ParseStatement(st.Item)
		if err != nil || s.Kind != ledger.KindLogKey {
			return [32]byte{}, false
		}
		k, err := ledger.LogKeyFrom(s)
		return k.New, err == nil
	}
	for i := range j.f.Statements {
		if k, ok := bring(&j.f.Statements[i]); ok {
			delete(missing, k)
		}
	}
	for i := range j.s.Statements {
		st := j.s.Statements[i]
		k, ok := bring(&st)
		if !ok || !missing[k] {
			continue
		}
		delete(missing, k)
		j.statement(i)
		j.add("statement %d, by which another log key took over", st.Index)
	}
	if len(missing) != 0 {
		return errors.New("a head that would be added is signed by a log key of which the file does not show that it took over")
	}
	return nil
}

// statement takes a statement with the batch that shows it, under its heads.
func (j *joiner) statement(i int) {
	st := j.s.Statements[i]
	shown := &j.s.Batches[st.Batch]
	st.Batch = j.b.Batch(shown.Header, shown.Slots, shown.Statements)
	for _, p := range shown.Heads {
		j.b.Cover(st.Batch, j.take(p.Head), p.Path)
	}
	j.b.Statement(st)
}
