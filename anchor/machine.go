package anchor

import (
	"errors"
	"fmt"
	"time"

	"cairn/merkle"
)

// kind is what the machine wants done next.
type kind int

const (
	wait      kind = iota // nothing until the next tick or the retry time
	put                   // write the anchor to the journal
	askStored             // ask for the ledger's head on the chain
	sign                  // sign an attempt on top of effect.previous
	send                  // send attempt effect.attempt
	find                  // look for all attempts
	takeProof             // take the receipt of effect.attempt in effect.block
	file                  // write the final record
	drop                  // forget it: the chain holds this head already, and no attempt is ours
	done                  // nothing left to do
)

type effect struct {
	kind     kind
	attempt  int
	block    Block
	previous merkle.Hash
}

// Events: what came of an effect, or a look at the chain's tips.
type (
	evPut    struct{ err error }
	evStored struct {
		root  merkle.Hash
		size  uint64 // at which our log had it; 0 for the zero root
		known bool
		err   error
	}
	evSigned struct {
		attempt Attempt
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
	evFiled struct{ err error }
)

// pace is the machine's timing. All are positive, but reprice may be 0: never.
type pace struct {
	poll    time.Duration // between looks; also the first back-off
	resend  time.Duration // a transaction that is not mined is sent again
	reprice time.Duration // … and signed again at a higher fee
	prices  int           // attempts that reprice may make in all
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
//	after sign, before put    the attempt is lost and was never sent
//	after put, before send    a is signed: it is sent
//	after send, before put    a is signed: it is sent again, which is harmless
//	after find, before put    it is found again
//	after proof, before put   it is taken again
//	after file, before put    it is found final and filed again
type machine struct {
	a     Anchor
	pace  pace
	dirty bool

	tips    Tips
	look    bool // tips moved since the last answered find
	ask     bool // a node said that the place may be taken: find before sending again
	lows    int
	resign  bool         // the newest attempt is no use: sign another
	stored  *merkle.Hash // the chain's head, good for the next sign alone
	sentAt  time.Time
	priceAt time.Time // start of the wait before the next reprice
	retry   time.Time // after an error: no chain effect before this
	fails   int
	reason  error // why it does not go on; nil when it does
	filed   bool
	ended   bool

	putRetry time.Time // after a journal's error: nothing at all before this
}

// queue starts an anchor for a head.
func queue(number, size uint64, root merkle.Hash, note []byte, p pace) *machine {
	return &machine{pace: p, a: Anchor{Number: number, Size: size, Root: root, Note: note, State: Queued}}
}

// resume goes on with an anchor out of the journal.
func resume(a Anchor, p pace) *machine {
	return &machine{pace: p, a: a, look: true}
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
	case m.a.State == Final && !m.filed:
		return effect{kind: file}
	case m.a.State == Final:
		return effect{kind: done}
	case now.Before(m.retry):
		return effect{kind: wait}
	case m.a.State == Included:
		return m.nextIncluded()
	}
	newest := len(m.a.Attempts) - 1
	switch {
	case newest < 0:
		return m.nextSign()
	case m.look && (m.ask || m.a.Attempts[newest].Sent || newest > 0 || m.resign):
		// Anything but a first attempt that no node ever took.
		return effect{kind: find}
	case m.ask:
		return effect{kind: wait}
	case m.resign:
		return m.nextSign()
	case !m.a.Attempts[newest].Sent, m.sentAt.IsZero(), !now.Before(m.sentAt.Add(m.pace.resend)):
		return effect{kind: send, attempt: newest}
	case m.repriceDue(now):
		return m.nextSign()
	}
	return effect{kind: wait}
}

func (m *machine) nextIncluded() effect {
	switch {
	case m.look: // first: the block may have gone, and its receipt with it
		return effect{kind: find}
	case len(m.a.Receipt) == 0:
		return effect{kind: takeProof, attempt: m.a.IncludedBy, block: *m.a.Included}
	}
	return effect{kind: wait}
}

func (m *machine) nextSign() effect {
	if m.stored == nil {
		return effect{kind: askStored}
	}
	return effect{kind: sign, previous: *m.stored}
}

func (m *machine) repriceDue(now time.Time) bool {
	if m.pace.reprice <= 0 || len(m.a.Attempts) >= m.pace.prices {
		return false
	}
	from := m.priceAt
	if from.IsZero() {
		from = time.UnixMilli(m.a.Attempts[len(m.a.Attempts)-1].SignedAt)
	}
	return !now.Before(from.Add(m.pace.reprice))
}

// on takes in what happened.
func (m *machine) on(now time.Time, event any) {
	switch e := event.(type) {
	case evTips:
		m.tips, m.look = e.tips, true
		if errors.Is(m.reason, ErrDown) {
			m.retry = time.Time{} // it is back
		}
	case evPut:
		if m.wrote(now, e.err) {
			m.dirty = false
		}
	case evStored:
		m.onStored(now, e)
	case evSigned:
		m.onSigned(now, e)
	case evSent:
		m.onSent(now, e)
	case evFound:
		m.onFound(now, e)
	case evProof:
		if m.went(now, e.err, "take receipt") && m.a.Included != nil && *m.a.Included == e.block {
			m.a.Receipt, m.dirty = e.data, true
		}
	case evFiled:
		if m.wrote(now, e.err) {
			m.filed, m.dirty = true, true
		}
	}
}

// wrote notes what came of a write. A write that failed may have happened:
// the same is written again.
func (m *machine) wrote(now time.Time, err error) bool {
	if err != nil {
		m.reason = fmt.Errorf("write journal: %w", err)
		m.putRetry = now.Add(m.pace.poll)
		return false
	}
	m.putRetry = time.Time{}
	return true
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

func (m *machine) backoff() time.Duration {
	d := m.pace.poll
	for range min(m.fails, 16) {
		if d *= 2; d >= maxBackoff {
			break
		}
	}
	return max(min(d, maxBackoff), m.pace.poll)
}

func (m *machine) onStored(now time.Time, e evStored) {
	m.stored = nil
	switch {
	case e.err != nil:
		m.went(now, e.err, "ask for the chain's head")
	case e.root == m.a.Root && len(m.a.Attempts) == 0:
		m.ended = true
	case e.root == m.a.Root:
		// One of the attempts set it, or a reorg is under way. Find decides.
		m.resign, m.ask = false, true
		m.hold(now, fmt.Errorf("%w: the chain holds the head, but no attempt is found", ErrAgain))
	case !e.known:
		m.hold(now, fmt.Errorf("%w: %s", ErrUnknownHead, e.root))
	case e.size >= m.a.Size:
		m.hold(now, fmt.Errorf("%w: it is of size %d, newer than %d", ErrUnknownHead, e.size, m.a.Size))
	default:
		m.stored = &e.root
	}
}

func (m *machine) onSigned(now time.Time, e evSigned) {
	m.stored = nil
	if e.err != nil {
		// An attempt that is out stays out: the wait for a better fee starts
		// anew, and what is there is sent again meanwhile.
		m.priceAt = now
		if n := len(m.a.Attempts); errors.Is(e.err, ErrFees) && n > 0 && !m.a.Attempts[n-1].Dead {
			m.resign = false
		}
		m.went(now, e.err, "sign")
		return
	}
	if len(m.a.Attempts) >= maxAttempts {
		m.hold(now, fmt.Errorf("%w: %d attempts made", ErrRefused, len(m.a.Attempts)))
		return
	}
	m.went(now, nil, "")
	m.a.Attempts = append(m.a.Attempts, e.attempt)
	if m.a.State != Orphaned {
		m.a.State = Signed
	}
	m.priceAt, m.sentAt = time.Time{}, time.Time{}
	m.resign, m.ask, m.lows, m.dirty = false, false, 0, true
}

func (m *machine) onSent(now time.Time, e evSent) {
	a := &m.a.Attempts[e.attempt]
	switch {
	case e.err == nil:
		m.went(now, nil, "")
		m.sentAt, m.lows = now, 0
		if !a.Sent {
			a.Sent, m.dirty = true, true
		}
		if m.a.State == Signed {
			m.a.State, m.dirty = Broadcast, true
		}
	case errors.Is(e.err, ErrAsk):
		m.ask, m.look = true, true
	case errors.Is(e.err, ErrPrice):
		m.resign = true
		m.hold(now, fmt.Errorf("send: %w", e.err))
	case errors.Is(e.err, ErrRefused):
		a.Dead, m.dirty, m.resign = true, true, true
		m.hold(now, fmt.Errorf("send: %w", e.err))
	default:
		m.went(now, e.err, "send")
		m.sentAt = now
	}
}

func (m *machine) onFound(now time.Time, e evFound) {
	if e.err != nil {
		m.went(now, e.err, "look for the transaction")
		return
	}
	m.look = false
	switch {
	case !e.ok:
		m.onMissing(now)
	case e.found.Reverted:
		m.onReverted(now, e.found)
	default:
		m.onIncluded(now, e.found)
	}
}

// onMissing: none of the attempts is in the chain as it stands.
func (m *machine) onMissing(now time.Time) {
	if m.a.State == Included {
		m.a.State, m.a.Included, m.a.IncludedBy, m.a.Receipt = Orphaned, nil, 0, nil
		m.dirty, m.lows = true, 0
		m.sentAt = time.Time{} // at once
		return
	}
	if !m.ask {
		return
	}
	m.ask = false
	if m.lows++; m.lows >= lowsToGiveUp {
		m.resign, m.lows = true, 0
		return
	}
	m.sentAt = time.Time{}
	m.retry = now.Add(m.pace.poll)
	m.reason = fmt.Errorf("%w: none is found yet", ErrAsk)
}

func (m *machine) onReverted(now time.Time, f Found) {
	if m.a.State == Included {
		m.a.State, m.a.Included, m.a.IncludedBy, m.a.Receipt = Orphaned, nil, 0, nil
		m.dirty = true
	}
	if a := &m.a.Attempts[f.Which]; !a.Dead {
		a.Dead, m.dirty = true, true
	}
	m.ask = false
	if !m.a.Attempts[len(m.a.Attempts)-1].Dead {
		return // a newer attempt is under way
	}
	m.resign = true
	m.hold(now, fmt.Errorf("the contract refused the anchor in block %d", f.Block.Height))
}

func (m *machine) onIncluded(now time.Time, f Found) {
	m.went(now, nil, "")
	m.ask, m.resign, m.lows, m.stored = false, false, 0, nil
	if m.a.State != Included || *m.a.Included != f.Block || m.a.IncludedBy != f.Which {
		b := f.Block
		m.a.State, m.a.Included, m.a.IncludedBy, m.a.Receipt = Included, &b, f.Which, nil
		m.dirty = true
		return
	}
	// The tips were seen before the transaction: a block at or below the final
	// height that still holds it now can no longer go away.
	if len(m.a.Receipt) > 0 && m.tips.Rule != "" && m.tips.Final.Height >= f.Block.Height && m.tips.Final.Hash != [32]byte{} {
		m.a.State, m.a.FinalRule, m.a.FinalAt = Final, m.tips.Rule, now.UnixMilli()
	}
}
