package ingest

import (
	"slices"
	"sync"
	"time"

	"cairn/ingest/reading"
)

// Sample is something that was rejected. Data is what was received: without its
// length byte for a datagram, the text for a line.
type Sample struct {
	At        time.Time
	Verdict   reading.Verdict
	Reason    Reason
	Transport string
	Source    string // the source's name, and the sender's address over UDP
	Data      []byte
}

// Keeper takes samples that were let through, for example to a bounded store.
// It is called from the judges' goroutines, one call at a time, and should be
// quick. It may keep s.Data.
type Keeper interface{ Keep(s Sample) }

const (
	sampleRate  = 1  // samples a second, for each verdict
	sampleBurst = 10 //
	// DefaultSamples is how many samples of each verdict are held.
	DefaultSamples = 100
	maxSampleData  = 255
)

// Samples holds the newest samples of each rejecting verdict, at most one a
// second beyond a first few: a flood costs a fixed amount of memory and leaves
// room for what other verdicts have to show.
type Samples struct {
	size  int
	also  Keeper
	mu    sync.Mutex
	rings [maxVerdicts]sampleRing // under mu
}

type sampleRing struct {
	budget bucket
	kept   []Sample
	next   int // the oldest, once the ring is full
}

// NewSamples holds up to size samples of each verdict (0: DefaultSamples), and
// hands them to also, which may be nil.
func NewSamples(size int, also Keeper) *Samples {
	if size <= 0 {
		size = DefaultSamples
	}
	return &Samples{size: size, also: also}
}

// offer keeps a sample if the budget allows. It copies s.Data; source is asked
// for its text only then.
func (p *Samples) offer(s Sample, source func() string) {
	if s.Verdict >= maxVerdicts {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.rings[s.Verdict]
	if !r.budget.take(s.At, sampleRate, sampleBurst) {
		return
	}
	s.Source = source()
	s.Data = slices.Clone(s.Data[:min(len(s.Data), maxSampleData)])
	if len(r.kept) < p.size {
		r.kept = append(r.kept, s)
	} else {
		r.kept[r.next] = s
		r.next = (r.next + 1) % p.size
	}
	if p.also != nil {
		s.Data = slices.Clone(s.Data)
		p.also.Keep(s)
	}
}

// All returns the samples held, oldest first. The caller must not change Data.
func (p *Samples) All() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Sample
	for i := range p.rings {
		all = append(all, p.rings[i].kept...)
	}
	slices.SortStableFunc(all, func(a, b Sample) int { return a.At.Compare(b.At) })
	return all
}
