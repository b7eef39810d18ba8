// Package conform is what every chain behind anchor.Chain has to stand: real
// routes on a real node that are stopped between any two effects, lose their
// transactions, their node and their newest blocks, and must still bring each
// head home once and pay for it once.
//
// A chain's package gives a Harness and calls Run in a test. The suite sleeps
// nowhere: it waits for what the route or the node says, mines while it waits,
// and gives up after Patience. Its groups run in parallel, each in a World of
// its own. On a live chain, which belongs to others, they run one after another,
// without those that take blocks or the node away.
package conform

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cairn/anchor"
)

// Harness is what a chain's package gives to the suite.
type Harness struct {
	// New starts a chain with a funded key and nothing anchored, for t alone,
	// and has t end it.
	New func(t testing.TB) World
	// Pending is the deepest reorganisation, in blocks, that can befall a block
	// which the chain under test does not call final yet. Those of depth 1 to
	// Pending, at most 8, are tried; 0 if the world cannot do any.
	Pending int
	// Deep says that the world can reorganise below a block that was final.
	Deep bool
	// Tune, if not nil, changes the timing of every route of the suite.
	Tune func(*anchor.Config)
	// Live says that the chain is a public one: nobody mines it or reorganises
	// it for the suite, all worlds may have one key, and that may have anchored
	// before, as long as it was for this suite. Each anchor is told in the log.
	Live bool
	// Patience is how long the suite waits for anything, default Patience.
	Patience time.Duration
}

// World is a chain and the place of one ledger on it. A test drives it from one
// goroutine while a route uses what Open returned.
type World interface {
	// Open returns the chain as a process that has just started has it: with
	// the same key, and what the process before left on disk, if anything. The
	// suite opens another only after the route on the one before has ended, and
	// calls Close on it if there is such a method.
	Open() anchor.Chain
	// Mine makes n blocks, with the transactions that wait.
	Mine(n int)
	// Reorg replaces the newest depth blocks by at least as many others. With
	// keep their transactions wait again to be mined, else the node forgets
	// them; a node that can do one of the two alone does that one.
	Reorg(depth int, keep bool)
	// Heads returns the roots that the chain as it stands has taken for the
	// ledger, oldest first, each as often as it was paid for. It asks the chain
	// itself, not the code under test.
	Heads() []anchor.Root
	// Spent returns what the transactions that the chain has now cost the key,
	// those that set the stage left out, in the chain's unit: from its blocks or
	// the balance, not from the code under test. It may be off by one unit for
	// each, as units are rounded. 0 if the chain is free.
	Spent() anchor.Amount
}

// Downer is a World whose node can be cut off and brought back.
type Downer interface {
	Down()
	Up()
}

// Patience is how long the suite waits for anything on a chain of its own.
const Patience = 2 * time.Minute

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Patience == 0 {
		h.Patience = Patience
	}
	groups := []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"Order", testOrder}, {"Crash", testCrash}, {"Restart", testRestart}, {"Reorg", testReorg}, {"Deep", testDeep},
		{"Replaced", testReplaced}, {"Meanwhile", testMeanwhile}, {"Down", testDown}, {"Rollback", testRollback}, {"Budget", testBudget},
	}
	for _, g := range groups {
		if h.Live && slices.Contains([]string{"Reorg", "Deep", "Down"}, g.name) {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			if !h.Live {
				t.Parallel()
			}
			g.test(t, h)
		})
	}
}

// stage is a world with a log and a journal, which outlive the routes on them.
type stage struct {
	t       *testing.T
	h       Harness
	world   World
	log     *log
	journal *journal
	cfg     anchor.Config // of the next start; timing and Fault
	hook    func(anchor.Chain, anchor.Attempt) error
	before  func(anchor.Chain, anchor.Order) // a sign
	route   *runner                          // the newest
	told    map[string]bool                  // records that the log has
}

func newStage(t *testing.T, h Harness) *stage {
	t.Helper()
	s := &stage{t: t, h: h, world: h.New(t), log: &log{}, journal: &journal{m: map[string][]byte{}}}
	s.cfg = anchor.Config{
		Every: 100 * time.Millisecond, Jitter: -1, Poll: 30 * time.Millisecond,
		Timeout: 20 * time.Second, Resend: 400 * time.Millisecond, Reprice: -1,
		Check: time.Second, Recheck: 300 * time.Millisecond,
	}
	if h.Tune != nil {
		h.Tune(&s.cfg)
	}
	if h.Live {
		s.goOnFromChain()
	}
	return s
}

// in gives the stage to a subtest.
func (s *stage) in(name string, test func(s *stage)) {
	s.t.Helper()
	outer := s.t
	outer.Run(name, func(t *testing.T) {
		s.t = t
		defer func() { s.t = outer }()
		test(s)
	})
}

// until waits for ok, and mines a block between two looks if mine is set.
func (s *stage) until(what string, mine bool, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(s.h.Patience)
	for !ok() {
		if mine {
			s.world.Mine(1)
		}
		select {
		case <-tick.C:
		case <-end:
			s.t.Fatalf("%s did not come to be; %s", what, s.says())
		}
	}
}

// says is what the newest route says of itself.
func (s *stage) says() string {
	if s.route == nil {
		return "no route was started"
	}
	st := s.route.Status()
	text := fmt.Sprintf("state %q, healthy %v, reason %q, notes %q, block %d, final %d", st.State, st.Healthy, st.Reason, st.Notes, st.Latest.Height, st.FinalHeight)
	if a := st.LastFinal; a != nil {
		text += fmt.Sprintf("; size %d is final", a.Size)
	}
	if a := st.Pending; a != nil {
		text += fmt.Sprintf("; size %d is on its way", a.Size)
		for _, at := range a.Attempts {
			text += fmt.Sprintf(", %x (%s, place %s, sent %v, dead %v)", at.ID, at.Detail, at.Place, at.Sent, at.Dead)
		}
	}
	return text
}

// check holds what must be true whenever no route runs. With idle nothing is on
// its way either, so that all that was paid is known.
func (s *stage) check(idle bool) {
	s.t.Helper()
	s.tell()
	heads := s.world.Heads()
	last := uint64(0)
	for i, root := range heads {
		size, ok, _ := s.log.FindRoot(root)
		switch {
		case !ok:
			s.t.Errorf("head %d of the chain, %s, was never ours", i, root)
		case size <= last:
			s.t.Errorf("the chain has size %d after size %d", size, last)
		}
		last = size
	}
	cost, numbers := anchor.Amount(0), map[uint64]uint64{}
	for key, a := range s.journal.finals(s.t) {
		if a.State != anchor.Final {
			continue
		}
		if other, ok := numbers[a.Number]; ok {
			s.t.Errorf("anchor %d is final for size %d and for size %d", a.Number, other, a.Size)
		}
		numbers[a.Number] = a.Size
		if a.Root != rootOf(a.Size) || !slices.Contains(heads, a.Root) {
			s.t.Errorf("%s is final with root %s, which is not among the chain's heads", key, a.Root)
		}
		if len(a.Receipt) == 0 || a.FinalRule == "" || a.Included == nil {
			s.t.Errorf("%s is final without receipt, rule or block: %+v", key, a)
		}
		for _, at := range a.Attempts {
			cost += at.Cost
		}
	}
	if spent := s.world.Spent(); idle && (spent > cost+anchor.Amount(len(heads)) || cost > spent+anchor.Amount(len(heads))) {
		s.t.Errorf("the key has paid %d, the journal knows of %d", spent, cost)
	}
}
