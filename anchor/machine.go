package anchor

import (
	"fmt"
	"time"
)

// kind is what the machine wants done next.
type kind int

const (
	wait      kind = iota // nothing until the next tick or the retry time
	put                   // write the anchor to the journal
	askStored             // ask for the newest head to anchor, and for the ledger's head on the chain
	sign                  // sign an attempt on top of effect.previous
	send                  // send attempt effect.attempt
	find                  // look for all attempts
	takeProof             // take the receipt of effect.attempt in effect.block
	complete              // add to it what is known now that effect.block is final
	settle                // look for the attempts of each place by itself
	file                  // write the final record
	done                  // nothing left to do
)

type effect struct {
	kind     kind
	attempt  int
	block    Block
	previous Root
	price    price // of a sign
}

// Events: what came of an effect, or a look at the chain's tips.
type (
	evPut    struct{ err error }
	evStored struct {
		root   Root
		size   uint64 // at which our log had it; 0 for the zero root
		known  bool
		noHead bool // the chain keeps none
		newest head // of our log, zero if there is none
		err    error
	}
	evSigned struct {
		attempt Attempt
		price   price // as it was asked for
		err     error
	}
	evSent struct {
		attempt int
		err     error
	}
	evTips  struct{ tips Tips }
	evFound struct {
		found Found
		ok    bool
		err   error
	}
	evProof struct {
		block Block
		data  []byte
		err   error
	}
	evComplete struct {
		block Block
		data  []byte
		err   error
	}
	evSettled struct {
		costs []Amount // by attempt
		err   error
	}
	evFiled  struct{ err error }
	evFunded struct{} // the purse has more than when it could not pay
)

// head is one that our log had: what an attempt anchors.
type head struct {
	size uint64
	root Root
	note []byte
}

// pace is the machine's timing and limits. All durations are positive, but
// reprice may be 0: never.
type pace struct {
	poll     time.Duration // between looks; also the first back-off
	resend   time.Duration // a transaction that is not mined is sent again
	reprice  time.Duration // … and, this long after a node took it, signed again at a higher fee
	prices   int           // attempts that reprice may make in all
	deadline time.Duration
	budget   Amount        // for an anchor, 0 for none
	monthly  Amount        // for a month, 0 for none
	free     bool          // the chain has no purse: nothing costs anything
	every    time.Duration // the cadence
}

const (
	maxBackoff = 5 * time.Minute
	// lowsToGiveUp is how often in a row a node must say that the place is
	// taken while no attempt is in the chain before another place is taken:
	// one answer may come from a node that lags behind its neighbour.
	lowsToGiveUp = 3
)

// machine takes one anchor from queued to final. It is pure: events in,
// effects out, time as an argument. What a holds is durable once dirty is
// false; everything else may be lost at any moment, and next, given the
// record alone, goes on correctly. That is the whole crash story:
//
//	after sign, before put      the attempt is lost and was never sent
//	after put, before send      a is signed: it is sent
//	after send, before put      a is signed: it is sent again, which is harmless
//	after find, before put      it is found again
//	after proof, before put     it is taken again
//	after complete, before file the receipt at inclusion is still there: it is found final and completed again
//	after file, before put      it is found final and filed again
type machine struct {
	a     Anchor
	pace  pace
	book  *book // what other anchors cost; owned by the route, only read here
	dirty bool

	tips   Tips
	look   bool  // tips moved since the last answered find
	ask    bool  // a node said that the place may be taken: find before sending again
	lows   int   // … how often in a row, and none was found
	ours   int   // how often in a row the chain's head was that of an attempt, and none was found
	taken  bool  // the newest attempt's place is given up as another's
	resign bool  // the newest attempt is no use: sign another
	head   head  // the newest: what the next sign takes along
	stored *Root // the chain's head, good for the next sign alone

	low      map[int]bool // attempts refused for their fee since the last sign
	sentAt   time.Time
	sentIn   uint64 // newest block when the newest attempt was first taken by a node, if sentOnce
	sentOnce bool
	since    time.Time // when that was
	missed   bool      // a block came since then, without it
	gone     map[string]uint64
	sealing  bool // the block is final, and the attempt was found in it once more

	priceAt time.Time // of the last sign that failed
	signAt  time.Time // after an error of a sign: no other before this
	retry   time.Time // after another error: no chain effect before this
	fails   int
	reason  error // why it does not go on; nil when it does
	ceiling error // what the last sign said of fees or budget; nil once one is signed
	settled bool
	filed   bool
	ended   bool

	putRetry time.Time // after a journal's error: nothing at all before this
}

// queue starts an anchor for a head.
func queue(number uint64, h head, p pace, b *book) *machine {
	m := &machine{pace: p, book: b, head: h, gone: map[string]uint64{}}
	m.a = Anchor{Number: number, Size: h.size, Root: h.root, Note: h.note, State: Queued}
	return m
}

// resume goes on with an anchor out of the journal.
func resume(a Anchor, p pace, b *book) *machine {
	last := a.Attempts[len(a.Attempts)-1]
	return &machine{
		pace: p, book: b, a: a, look: true,
		head: head{last.Size, last.Root, last.Note}, gone: map[string]uint64{},
	}
}

// next returns the effect to carry out at now. It changes nothing.
func (m *machine) next(now time.Time) effect {
	switch {
	case m.ended:
		return effect{kind: done}
	case now.Before(m.putRetry):
		return effect{kind: wait}
	case m.dirty:
		return effect{kind: put}
	case m.a.State == Final && m.filed:
		return effect{kind: done}
	case now.Before(m.retry):
		return effect{kind: wait}
	case m.a.State == Final && !m.settled && len(m.a.places(nil)) > 1:
		return effect{kind: settle}
	case m.a.State == Final:
		return effect{kind: file}
	case m.a.State == Included:
		return m.nextIncluded()
	case len(m.a.Attempts) == 0:
		return m.nextSign(now)
	}
	return m.nextPending(now)
}

// nextPending: there are attempts, and none is known to be in a block.
func (m *machine) nextPending(now time.Time) effect {
	newest := len(m.a.Attempts) - 1
	target := m.target()
	switch {
	case m.look && (m.ask || m.resign || newest > 0 || m.a.Attempts[newest].Sent):
		// Anything but a first attempt that no node ever took.
		return effect{kind: find}
	case m.ask:
		return effect{kind: wait}
	case (m.resign || target < 0) && !now.Before(m.signAt):
		return m.nextSign(now)
	case target < 0:
		return effect{kind: wait}
	case !m.a.Attempts[target].Sent, m.sentAt.IsZero(), !now.Before(m.sentAt.Add(m.pace.resend)):
		return effect{kind: send, attempt: target}
	case m.bumpDue(now):
		return m.nextSign(now)
	}
	return effect{kind: wait}
}

// target is the attempt to send: the newest that is not known to be no use.
// If a node refused the newest one's fee it is the one before, which a node took.
func (m *machine) target() int {
	for i := len(m.a.Attempts) - 1; i >= 0; i-- {
		a := &m.a.Attempts[i]
		if a.Dead || m.low[i] {
			continue
		}
		if i == len(m.a.Attempts)-1 || a.Sent {
			return i
		}
	}
	return -1
}

func (m *machine) nextIncluded() effect {
	by, in := m.a.IncludedBy, *m.a.Included
	switch {
	case m.look: // first: the block may have gone, and its receipt with it
		return effect{kind: find}
	case len(m.a.Receipt) == 0:
		return effect{kind: takeProof, attempt: by, block: in}
	case m.sealing:
		return effect{kind: complete, attempt: by, block: in}
	}
	return effect{kind: wait}
}

func (m *machine) nextSign(now time.Time) effect {
	switch {
	case now.Before(m.signAt):
		return effect{kind: wait}
	case m.stored == nil:
		return effect{kind: askStored}
	}
	return effect{kind: sign, previous: *m.stored, price: m.price(now)}
}

// isFinal reports whether a block that still holds the attempt, after the tips
// were seen, can no longer go away.
func (m *machine) isFinal(b Block) bool { return m.tips.final(b) }

func (t Tips) final(b Block) bool {
	return t.Rule != "" && t.Final != (Block{}) && t.Final.Height >= b.Height
}

// why says why the anchor does not go on, or is held at a bound.
func (m *machine) why(now time.Time) error {
	switch {
	case m.reason != nil:
		return m.reason
	case m.ceiling != nil:
		return m.ceiling
	}
	return m.spent(now)
}

// closed reports whether what the attempts of a place cost, if anything, can no
// longer change: no attempt there anchored anything at a time that is final now.
func (m *machine) closed(name string) bool {
	since, ok := m.gone[name]
	return ok && m.isFinal(Block{Height: since})
}

// markGone notes from which block on a place is known to be of no use any more.
// ok and f are what a find just said.
func (m *machine) markGone(f Found, ok bool) {
	last := &m.a.Attempts[len(m.a.Attempts)-1]
	for i := range m.a.Attempts {
		at := &m.a.Attempts[i]
		won := ok && !f.Reverted && m.a.Attempts[f.Which].Place == at.Place
		live := at.Place == last.Place && !m.taken && !m.allDead(at.Place)
		if _, was := m.gone[at.Place]; won || live {
			delete(m.gone, at.Place)
		} else if !was {
			m.gone[at.Place] = m.tips.Latest.Height
		}
	}
}

func (m *machine) allDead(name string) bool {
	for i := range m.a.Attempts {
		if at := &m.a.Attempts[i]; at.Place == name && !at.Dead {
			return false
		}
	}
	return true
}

func (m *machine) backoff() time.Duration {
	d := m.pace.poll
	for range min(m.fails, 16) {
		if d *= 2; d >= maxBackoff {
			break
		}
	}
	return max(min(d, maxBackoff), m.pace.poll)
}

// went notes an error and sets the back-off, or clears them.
func (m *machine) went(now time.Time, err error, what string) bool {
	if err == nil {
		m.fails, m.reason = 0, nil
		return true
	}
	m.hold(now, fmt.Errorf("%s: %w", what, err))
	return false
}

func (m *machine) hold(now time.Time, reason error) {
	m.reason = reason
	m.retry = now.Add(m.backoff())
	m.fails++
}

// holdSign puts off the next sign alone: what is out is sent again meanwhile.
func (m *machine) holdSign(now time.Time, reason error) {
	m.reason = reason
	m.signAt = now.Add(m.backoff())
	m.fails++
}
