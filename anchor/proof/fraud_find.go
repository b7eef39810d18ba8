package proof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

var (
	// ErrOtherLedger says that files are of several ledgers, which have nothing
	// to say about one another: give those of one.
	ErrOtherLedger = errors.New("the files are of different ledgers")
	// ErrNoLedger says that a checkpoint alone does not tell the log's key: give
	// a proof file of the ledger with it.
	ErrNoLedger = errors.New("no file tells the log's key and nonce")
)

// Limits of a search.
const (
	maxFrauds    = 16      // that a comparison returns; one is enough
	maxFraudKeys = 64      // log keys, whatever statements bring
	maxPairs     = 1 << 16 // pairs of heads and of trees that are held against one another
)

// Comparison is what several files of one ledger say about one another.
type Comparison struct {
	Frauds      []*Fraud // contradictions, the plainest first; at most 16
	Compared    []string // what was, in words
	NotCompared []string // what the files do not hold enough for
}

// FindFraud searches proof files of one ledger, and checkpoints, for two things
// that the holder of its log key signed and that exclude one another. What does
// not hold by itself counts for nothing: no file need be verified before. It
// returns none if it finds none, which does not mean that there is none.
func FindFraud(files ...*File) ([]*Fraud, error) {
	c, err := Compare(files...)
	if err != nil {
		return nil, err
	}
	return c.Frauds, nil
}

// IsCheckpoint reports whether bytes begin as a ledger's checkpoint.
func IsCheckpoint(b []byte) bool {
	line, _, ok := bytes.Cut(b[:min(len(b), 256)], []byte("\n"))
	id, is := bytes.CutPrefix(line, []byte("cairn/"))
	return ok && is && len(id) == 2*merkle.HashSize
}

// CheckpointFile returns a file that holds a checkpoint alone, for Compare. Its
// ledger is one of others' with the same id, and it must be signed by that
// ledger's log key, or by one that the others show to have taken over.
func CheckpointFile(note []byte, others ...*File) (*File, error) {
	origin, _, _ := strings.Cut(string(note[:min(len(note), 256)]), "\n")
	for _, f := range others {
		s := newFinder(f.Ledger)
		if s.origin != origin {
			continue
		}
		s.findKeys(others)
		if s.takeHead(note) < 0 {
			return nil, fmt.Errorf("%w by a log key that the other files show", merkle.ErrUnsigned)
		}
		return &File{Version: 1, Ledger: f.Ledger, Heads: []Head{{Note: note}}}, nil
	}
	if len(others) != 0 {
		return nil, fmt.Errorf("%w: a checkpoint of %.80q", ErrOtherLedger, origin)
	}
	return nil, ErrNoLedger
}

// Compare searches files as FindFraud does, and tells what it could and could
// not compare.
func Compare(files ...*File) (*Comparison, error) {
	if len(files) == 0 {
		return nil, ErrNoLedger
	}
	s := newFinder(files[0].Ledger)
	for _, f := range files {
		if f.Ledger != s.ledger {
			return nil, ErrOtherLedger
		}
	}
	s.findKeys(files)
	for _, f := range files {
		s.take(f)
	}
	s.compareHeads()
	s.compareLogs()
	s.compareBatches()
	s.compareStreams()
	s.compareStatements()
	s.compareParts()
	s.tellLogs()
	return &s.found, nil
}

// finder collects what files prove of a ledger by the signatures of its keys.
type finder struct {
	ledger Ledger
	id     merkle.Hash
	origin string
	found  Comparison
	told   map[string]bool

	keys []foundKey

	heads  []foundHead
	headAt map[headKey]int
	log    []int    // of each head, another of the same history; itself: the first of it
	tree   []*nodes // of each first

	batches    []foundBatch
	batchAt    map[string]int // by header
	summaries  []foundSummary
	sumAt      map[[2]uint64]int // by batch and slot
	ranges     []foundRange
	runLeaves  []foundLeaf
	statements []foundStatement
	stated     map[headKey]*nodes // trees of statements
}

type headKey struct {
	size uint64
	root merkle.Hash
}

type foundKey struct {
	logKey
	before   int
	handover []byte
}

type foundHead struct {
	FraudHead
	by int // key
}

// foundBatch is a batch under one of the heads that cover it.
type foundBatch struct {
	FraudBatch
	header     ledger.Header
	head       int
	slots      Shown
	depth      int
	shown      *Shown // its statements
	statements ledger.StatementsHead
}

type foundSummary struct {
	FraudSummary
	batch int
	sum   ledger.Summary
}

// foundRange is a range that leads to the stream of its last summary.
type foundRange struct {
	nodes     rangeNodes
	summaries []int // ascending by what comes next
}

// foundLeaf is a reading's leaf in the run of a summary.
type foundLeaf struct {
	summary int
	index   uint64 // in the run
	leaf    merkle.Hash
	path    Path
}

type foundStatement struct {
	FraudStatement
	batch int
}

func newFinder(l Ledger) *finder {
	id := ledger.ID(l.Key[:], l.Nonce)
	s := &finder{
		ledger: l, id: id, origin: ledger.Origin(id), told: make(map[string]bool),
		headAt: make(map[headKey]int), batchAt: make(map[string]int), stated: make(map[headKey]*nodes),
		sumAt: make(map[[2]uint64]int),
	}
	s.keys = []foundKey{{logKey: logKey{key: l.Key, id: keyID(s.origin, l.Key)}, before: -1}}
	return s
}

// add keeps a contradiction, if it is evidence.
func (s *finder) add(kind FraudKind, a, b FraudSide, p *FraudPrefix, keys ...int) bool {
	f := &Fraud{Ledger: s.ledger, Kind: kind, Sides: [2]FraudSide{a, b}, Prefix: p}
	needed := make([]bool, len(s.keys))
	for _, k := range keys {
		for ; k >= 0; k = s.keys[k].before {
			needed[k] = true
		}
	}
	for k := 1; k < len(s.keys); k++ {
		if needed[k] {
			f.Handovers = append(f.Handovers, s.keys[k].handover)
		}
	}
	if _, bad := f.check(); bad != nil {
		return false
	}
	if len(s.found.Frauds) < maxFrauds {
		s.found.Frauds = append(s.found.Frauds, f)
	}
	return true
}

func (s *finder) full() bool { return len(s.found.Frauds) == maxFrauds }

// compared and notCompared tell something in words, once.
func (s *finder) compared(format string, args ...any) {
	s.tell(&s.found.Compared, fmt.Sprintf(format, args...))
}

func (s *finder) notCompared(format string, args ...any) {
	s.tell(&s.found.NotCompared, fmt.Sprintf(format, args...))
}

func (s *finder) tell(to *[]string, words string) {
	if !s.told[words] && len(*to) < maxFrauds {
		s.told[words] = true
		*to = append(*to, words)
	}
}

// findKeys takes the log's keys as statements bring them, each before those
// that it hands over to, and with two of one key keeps both.
func (s *finder) findKeys(files []*File) {
	type handover struct {
		item []byte
		k    ledger.LogKey
	}
	byOld := make(map[[32]byte][]handover)
	for _, f := range files {
		for i := range f.Statements {
			item := f.Statements[i].Item
			st, err := ledger.ParseStatement(item)
			if err != nil || st.Kind != ledger.KindLogKey {
				continue
			}
			if k, err := ledger.LogKeyFrom(st); err == nil && len(byOld[k.Old]) < maxFraudKeys {
				byOld[k.Old] = append(byOld[k.Old], handover{item, k})
			}
		}
	}
	for at := 0; at < len(s.keys); at++ {
		var first *handover
		for _, h := range byOld[s.keys[at].key] {
			if first != nil && first.k.New == h.k.New {
				continue
			}
			if _, err := readHandover(h.item, s.id); err != nil {
				continue
			}
			if first == nil {
				first = &h
			} else {
				s.add(FraudTwoHandovers, FraudSide{Handover: first.item}, FraudSide{Handover: h.item}, nil, at)
			}
			known := slices.ContainsFunc(s.keys, func(k foundKey) bool { return k.key == h.k.New })
			if !known && len(s.keys) < maxFraudKeys {
				s.keys = append(s.keys, foundKey{logKey{key: h.k.New, id: keyID(s.origin, h.k.New)}, at, h.item})
			}
		}
	}
}

// compareHeads holds the heads against one another by size and by root.
func (s *finder) compareHeads() {
	order := make([]int, len(s.heads))
	for i := range order {
		order[i] = i
	}
	side := func(i int) FraudSide { return FraudSide{Head: &s.heads[i].FraudHead} }
	bySize := func(a, b int) int { return cmp.Compare(s.heads[a].Size, s.heads[b].Size) }
	slices.SortStableFunc(order, bySize)
	same := 0
	for n := 1; n < len(order) && !s.full(); n++ {
		if a, b := order[n-1], order[n]; bySize(a, b) == 0 {
			s.add(FraudTwoRoots, side(a), side(b), nil, s.heads[a].by, s.heads[b].by)
			same++
		}
	}
	sizes := make(map[merkle.Hash]int, len(s.heads))
	for _, i := range order {
		if k, ok := sizes[s.heads[i].Root]; ok && !s.full() {
			s.add(FraudTwoSizes, side(k), side(i), nil, s.heads[k].by, s.heads[i].by)
		}
		sizes[s.heads[i].Root] = i
	}
	if len(order) > 0 {
		s.compared("%s, of %s: no size may have two roots, and no root two sizes", count(len(order), "head"), fromTo(s.heads[order[0]].Size, s.heads[order[len(order)-1]].Size, "batches"))
	}
}

// fromTo names a closed range of numbers.
func fromTo(from, to uint64, what string) string {
	if from == to {
		return fmt.Sprintf("%d %s", from, what)
	}
	return fmt.Sprintf("%d to %d %s", from, to, what)
}

// compareLogs tries for all heads of different histories whether the log of the
// smaller is the beginning of the greater's. What it learns may help with others.
func (s *finder) compareLogs() {
	order := make([]int, len(s.heads))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.heads[a].Size, s.heads[b].Size) })
	forked := make(map[[2]int]bool)
	for tries, again := 0, true; again; {
		again = false
		for i, b := range order {
			for _, a := range order[:i] {
				if s.first(a) == s.first(b) || s.heads[a].Size == s.heads[b].Size || forked[[2]int{a, b}] || s.full() {
					continue
				}
				if tries++; tries > maxPairs {
					s.notCompared("some of the heads: there are too many")
					return
				}
				p, ok := s.tree[s.first(b)].prefix(s.heads[a].Size, s.heads[b].Size, s.heads[b].Root)
				switch {
				case !ok:
				case p.Root == s.heads[a].Root:
					s.unite(a, b, p.Path)
					again = true
				default:
					forked[[2]int{a, b}] = true
					s.add(FraudNotExtended, FraudSide{Head: &s.heads[a].FraudHead}, FraudSide{Head: &s.heads[b].FraudHead}, p, s.heads[a].by, s.heads[b].by)
				}
			}
		}
	}
}

// tellLogs says which heads are shown to be of one history, and which are not.
func (s *finder) tellLogs() {
	histories := make(map[int][]uint64)
	for i := range s.heads {
		histories[s.first(i)] = append(histories[s.first(i)], s.heads[i].Size)
	}
	var firsts []int
	for first, sizes := range histories {
		slices.Sort(sizes)
		firsts = append(firsts, first)
	}
	slices.SortFunc(firsts, func(a, b int) int {
		return cmp.Or(cmp.Compare(histories[a][0], histories[b][0]), cmp.Compare(a, b))
	})
	for _, first := range firsts {
		if sizes := histories[first]; len(sizes) > 1 {
			s.compared("the logs of %s: each is the beginning of the next", someNumbers(sizes))
		}
	}
	if len(firsts) > 1 && len(s.found.Frauds) == 0 {
		var newest []uint64
		for _, first := range firsts {
			newest = append(newest, histories[first][len(histories[first])-1])
		}
		s.notCompared("whether the logs of %s are of one history: the files hold too little of them (an update of the smaller, by cairn export --update, would show it)", someNumbers(newest))
	}
}

func someNumbers(all []uint64) string {
	var words []string
	for i, n := range all {
		if i == 8 && len(all) > 9 {
			words = append(words, fmt.Sprintf("… %d more", len(all)-i-1), fmt.Sprint(all[len(all)-1]))
			break
		}
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, ", ")
}

// first returns the head that stands for a head's history.
func (s *finder) first(i int) int {
	for s.log[i] != i {
		s.log[i] = s.log[s.log[i]]
		i = s.log[i]
	}
	return i
}

// unite notes that the log of one head is the beginning of another's.
func (s *finder) unite(old, new int, path []merkle.Hash) {
	a, b := s.first(old), s.first(new)
	if s.heads[old].Size > 0 {
		s.tree[b].consistency(s.heads[old].Size, s.heads[new].Size, s.heads[old].Root, path)
	}
	if a != b {
		if len(s.tree[a].complete) > len(s.tree[b].complete) {
			a, b = b, a
		}
		s.tree[b].join(s.tree[a])
		s.log[a], s.tree[a] = b, nil
	}
}
