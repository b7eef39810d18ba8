package anchor

import (
	"errors"
	"fmt"
	"time"
)

// on takes in what happened.
func (m *machine) on(now time.Time, event any) {
	switch e := event.(type) {
	case evTips:
		m.tips, m.look, m.sealing = e.tips, true, false
		if errors.Is(m.reason, ErrDown) {
			m.retry, m.signAt = time.Time{}, time.Time{} // it is back
		}
	case evFunded:
		if errors.Is(m.reason, ErrFunds) {
			m.retry, m.signAt, m.fails = time.Time{}, time.Time{}, 0
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
	case evComplete:
		m.onComplete(now, e)
	case evSettled:
		if m.went(now, e.err, "look for what else was paid") {
			for i := range m.a.Attempts {
				m.a.Attempts[i].Cost = e.costs[i]
			}
			m.settled = true
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

func (m *machine) onStored(now time.Time, e evStored) {
	m.stored = nil
	if e.err != nil {
		m.went(now, e.err, "ask for the chain's head")
		return
	}
	if e.newest.size > m.head.size {
		m.head = e.newest
	}
	if len(m.a.Attempts) == 0 {
		m.a.Size, m.a.Root, m.a.Note = m.head.size, m.head.root, m.head.note
	}
	switch {
	case e.noHead && m.nothingNew():
		m.priceAt = now
	case e.noHead:
		m.stored = new(Root)
	case e.root == m.head.root && len(m.a.Attempts) == 0:
		m.ended = true
	case m.anchors(e.root):
		m.onOurs(now, e)
	case e.root == m.head.root:
		m.hold(now, fmt.Errorf("%w: the chain holds the head, but by no attempt of ours", ErrAgain))
	case !e.known:
		m.hold(now, fmt.Errorf("%w: %s", ErrUnknownHead, e.root))
	case e.size >= m.head.size:
		m.hold(now, fmt.Errorf("%w: it is of size %d, newer than %d", ErrUnknownHead, e.size, m.head.size))
	default:
		m.stored = &e.root
	}
}

// nothingNew reports whether the newest attempt cost nothing, is of the newest
// head and still good, so that another would say nothing more.
func (m *machine) nothingNew() bool {
	n := len(m.a.Attempts) - 1
	return n >= 0 && m.pace.free && m.a.Attempts[n].Fee == 0 && !m.resign && m.target() == n && m.a.Attempts[n].Size >= m.head.size
}

// anchors reports whether an attempt carries the root.
func (m *machine) anchors(root Root) bool {
	for i := range m.a.Attempts {
		if m.a.Attempts[i].Root == root {
			return true
		}
	}
	return false
}

// onOurs: the chain's head is that of an attempt, which find did not find. One
// came into a block meanwhile, or a reorganisation is under way: find decides.
// If it keeps saying so and there is a newer head, that one is put on top.
func (m *machine) onOurs(now time.Time, e evStored) {
	if m.ours++; m.ours >= lowsToGiveUp && e.size < m.head.size && e.root != m.head.root {
		m.stored, m.ours = &e.root, 0
		return
	}
	m.resign, m.ask = false, true
	m.hold(now, fmt.Errorf("%w: the chain holds the head of an attempt that is not found", ErrAgain))
}

func (m *machine) onSigned(now time.Time, e evSigned) {
	m.stored = nil
	err := e.err
	if err == nil {
		err = m.affordable(e.attempt, e.price)
	}
	if err == nil && len(m.a.Attempts) >= maxAttempts {
		err = fmt.Errorf("%w: %d attempts made", ErrRefused, len(m.a.Attempts))
	}
	if err != nil {
		m.notSigned(now, e.price, err)
		return
	}
	m.went(now, nil, "")
	m.a.Attempts = append(m.a.Attempts, e.attempt)
	m.a.Month = e.price.month
	m.a.carry(len(m.a.Attempts) - 1)
	if m.a.State != Orphaned {
		m.a.State = Signed
	}
	m.priceAt, m.sentAt, m.signAt = time.Time{}, time.Time{}, time.Time{}
	m.low, m.sentOnce, m.missed, m.ceiling = nil, false, false, nil
	m.resign, m.ask, m.taken, m.lows, m.ours, m.dirty = false, false, false, 0, 0, true
}

// notSigned: an attempt that is out stays out and is sent again; the wait for
// a better fee starts anew.
func (m *machine) notSigned(now time.Time, p price, err error) {
	err, dear := m.tooDear(p, err)
	err = fmt.Errorf("sign: %w", err)
	m.priceAt, m.low = now, nil
	m.holdSign(now, err)
	if dear && m.usedUp() || len(m.a.Attempts) >= maxAttempts && m.allClosed() {
		m.ended = true
		return
	}
	if !dear {
		return
	}
	m.ceiling = err
	if !m.taken && m.target() >= 0 {
		m.resign = false
	}
}

func (m *machine) onSent(now time.Time, e evSent) {
	a, newest := &m.a.Attempts[e.attempt], len(m.a.Attempts)-1
	switch {
	case e.err == nil:
		if e.attempt == newest || m.signAt.Before(now) {
			m.went(now, nil, "")
		}
		m.sentAt, m.lows = now, 0
		if e.attempt == newest && !m.sentOnce {
			m.sentOnce, m.sentIn, m.since = true, m.tips.Latest.Height, now
		}
		if !a.Sent {
			a.Sent, m.dirty = true, true
		}
		if m.a.State == Signed {
			m.a.State, m.dirty = Broadcast, true
		}
	case errors.Is(e.err, ErrAsk):
		m.ask, m.look = true, true
	case errors.Is(e.err, ErrPrice):
		if m.low == nil {
			m.low = map[int]bool{}
		}
		m.low[e.attempt] = true
		m.resign, m.sentAt = true, time.Time{} // one before it that was taken goes out at once
		m.holdSign(now, fmt.Errorf("send: %w", e.err))
	case errors.Is(e.err, ErrRefused):
		a.Dead, m.dirty, m.resign = true, true, true
		m.holdSign(now, fmt.Errorf("send: %w", e.err))
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
	m.markGone(e.found, e.ok)
}

// orphan: the block that held the anchor is gone.
func (m *machine) orphan() {
	m.a.State, m.a.Included, m.a.IncludedBy, m.a.Receipt = Orphaned, nil, 0, nil
	m.a.carry(len(m.a.Attempts) - 1)
	m.dirty, m.lows, m.sealing = true, 0, false
	m.sentAt = time.Time{} // at once
}

// charge notes what the attempts of one place cost: those of which none is in
// a block, nothing.
func (m *machine) charge(which int, cost Amount) {
	for i := range m.a.Attempts {
		a := &m.a.Attempts[i]
		want := a.Cost
		switch {
		case i == which:
			want = cost
		case which < 0 || a.Place == m.a.Attempts[which].Place:
			want = 0
		}
		if a.Cost != want {
			a.Cost, m.dirty = want, true
		}
	}
}

// onMissing: none of the attempts is in the chain as it stands.
func (m *machine) onMissing(now time.Time) {
	m.charge(-1, 0)
	if m.a.State == Included {
		m.orphan()
		return
	}
	if m.sentOnce && m.tips.Latest.Height > m.sentIn {
		m.missed = true
	}
	if !m.ask {
		return
	}
	m.ask = false
	if m.lows++; m.lows >= lowsToGiveUp {
		m.resign, m.taken, m.lows = true, true, 0
		return
	}
	m.sentAt = time.Time{}
	m.retry = now.Add(m.pace.poll)
	m.reason = fmt.Errorf("%w: none is found yet", ErrAsk)
}

func (m *machine) onReverted(now time.Time, f Found) {
	if m.a.State == Included {
		m.orphan()
	}
	m.charge(f.Which, f.Cost)
	for i := range m.a.Attempts { // those of the same place can no longer be mined either
		if a := &m.a.Attempts[i]; a.Place == m.a.Attempts[f.Which].Place && !a.Dead {
			a.Dead, m.dirty = true, true
		}
	}
	m.ask = false
	if m.resign || !m.a.Attempts[len(m.a.Attempts)-1].Dead {
		return // a newer attempt is under way, or on its way to be
	}
	m.resign = true
	m.holdSign(now, fmt.Errorf("the contract refused the anchor in block %d", f.Block.Height))
}

func (m *machine) onIncluded(now time.Time, f Found) {
	m.went(now, nil, "")
	m.ask, m.resign, m.taken, m.lows, m.ours, m.stored, m.ceiling = false, false, false, 0, 0, nil, nil
	m.charge(f.Which, f.Cost)
	if m.a.State != Included || *m.a.Included != f.Block || m.a.IncludedBy != f.Which {
		b := f.Block
		m.a.State, m.a.Included, m.a.IncludedBy, m.a.Receipt = Included, &b, f.Which, nil
		m.a.carry(f.Which)
		m.dirty, m.sealing = true, false
		return
	}
	m.sealing = m.isFinal(f.Block)
}

func (m *machine) onComplete(now time.Time, e evComplete) {
	err := e.err
	if err == nil && len(e.data) == 0 {
		err = fmt.Errorf("%w: the completed receipt is empty", ErrAgain)
	}
	if !m.went(now, err, "complete the receipt") {
		return
	}
	if m.sealing && m.a.State == Included && *m.a.Included == e.block {
		m.a.State, m.a.Receipt, m.a.FinalRule, m.a.FinalAt = Final, e.data, m.tips.Rule, now.UnixMilli()
	}
}
