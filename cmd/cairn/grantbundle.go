package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store/mirror"
	"cairn/store/share"
)

// hourMillis is the length of an hour of keys, a quarter hour.
const hourMillis = 15 * 60 * 1000

// madeBundle is a bundle with what it was made from.
type madeBundle struct {
	through    share.Hour
	statements uint64
	left       []share.Hour // first hour whose key is there, by compartment: shredding moves it
	file       []byte
}

// bundle returns the file of the keys that a grant has released until now, for its
// audience alone. It is made anew when an hour more is released or a statement
// came, so that asking often costs little.
func (l *openLedger) bundle(_ context.Context, number uint64) (file []byte, err error) {
	err = l.granted(number, func(g *ledger.Grant, all []share.Compartment, end share.Hour, now time.Time) error {
		made := &madeBundle{through: end, statements: l.shared.next}
		for _, c := range all {
			made.left = append(made.left, keysSince(&c))
		}
		if old := l.shared.bundles[number]; old.same(made) {
			file = old.file
			return nil
		}
		if made.file, err = l.makeBundle(g, all, end, now, ""); err != nil {
			return err
		}
		l.shared.bundles[number] = made
		file = made.file
		return nil
	})
	return file, err
}

// firstBundle returns the file of a grant that was just made, with its token in it.
func (l *openLedger) firstBundle(number uint64, token string) (file []byte, err error) {
	err = l.granted(number, func(g *ledger.Grant, all []share.Compartment, end share.Hour, now time.Time) error {
		file, err = l.makeBundle(g, all, end, now, token)
		return err
	})
	return file, err
}

// granted calls fn, with l.shared.mu held, with a grant, its compartments, and the
// first hour that it has not released.
func (l *openLedger) granted(number uint64, fn func(g *ledger.Grant, all []share.Compartment, end share.Hour, now time.Time) error) error {
	now := time.Now()
	released, err := l.released(now)
	if err != nil {
		return err
	}
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if err := l.shared.read(l); err != nil {
		return err
	}
	g, has := l.shared.grants.Get(number)
	if !has {
		return fmt.Errorf("%w: no grant %d%s", mirror.ErrNotFound, number, l.where())
	}
	all, err := l.compartmentsOf(&g)
	if err != nil {
		return err
	}
	return fn(&g, all, through(&g, released), now)
}

// keysSince is the first hour whose key is there: 0 until something is shredded.
func keysSince(c *share.Compartment) share.Hour {
	nodes, err := c.Tree.Left(0, share.Hours)
	if err != nil || len(nodes) == 0 {
		return share.Hours
	}
	defer clear(nodes)
	return nodes[0].First()
}

func (m *madeBundle) same(o *madeBundle) bool {
	return m != nil && m.through == o.through && m.statements == o.statements && slices.Equal(m.left, o.left)
}

// makeBundle writes the bundle of a grant. The caller holds l.shared.mu.
func (l *openLedger) makeBundle(g *ledger.Grant, all []share.Compartment, end share.Hour, now time.Time, token string) ([]byte, error) {
	to, err := share.ParseRecipients(g.Recipients)
	if err != nil {
		return nil, fmt.Errorf("bundle of grant %d: %w", g.Number, err)
	}
	b := &share.Bundle{
		Ledger: l.store.Ledger(), Nonce: l.keyring.Nonce(), Grant: g.Number, Audience: g.Audience, Purpose: g.Purpose,
		From: g.From, Until: g.Until, Access: g.Access, Through: end, Issued: now.UnixMilli(), Token: token,
	}
	if b.Until != nil && *b.Until < b.From { // ended before it began: it opens nothing
		b.Until = &b.From
	}
	copy(b.LogKey[:], l.store.FirstLogKey())
	first := firstHour(g.From)
	defer func() {
		for _, c := range b.Compartments {
			clear(c.Nodes)
		}
	}()
	for _, c := range all {
		granted := share.Granted{ID: c.ID, Name: c.Name}
		if first < end {
			if granted.Nodes, err = c.Tree.Left(first, end); err != nil {
				return nil, fmt.Errorf("bundle of grant %d: %s: %w", g.Number, c.Name, err)
			}
		}
		b.Compartments = append(b.Compartments, granted)
	}
	if b.Statements, err = l.statementsFor(g); err != nil {
		return nil, fmt.Errorf("bundle of grant %d: %w", g.Number, err)
	}
	var file bytes.Buffer
	if err := share.SealBundle(&file, b, to); err != nil {
		return nil, fmt.Errorf("bundle of grant %d: %w", g.Number, err)
	}
	return file.Bytes(), nil
}

// statementsFor reads what a grant's audience is shown of the ledger's statements:
// its keys and routes, whose the granted streams are and where, what was said of them
// before the grant's last hour ended, the grant itself, and what was shredded or dropped
// of it, also after its end. The caller holds l.shared.mu.
func (l *openLedger) statementsFor(g *ledger.Grant) ([]share.BundleStatement, error) {
	numbers := slices.Concat(l.shared.public, l.shared.own[g.Number])
	end := int64(math.MaxInt64)
	if g.Until != nil {
		end = endHour(*g.Until).Start()
	}
	for _, name := range g.Compartments {
		if slot, ok := slotOf(name); ok {
			for _, s := range l.shared.streams[slot] {
				if s.at == 0 || s.at < end {
					numbers = append(numbers, s.number)
				}
			}
		}
	}
	for i := range l.shared.shreds {
		x := &l.shared.shreds[i]
		if slices.ContainsFunc(x.compartments, func(name string) bool { return slices.Contains(g.Compartments, name) }) {
			numbers = append(numbers, x.number)
		}
	}
	slices.Sort(numbers)
	var all []share.BundleStatement
	for _, n := range slices.Compact(numbers) {
		item, salt, _, err := l.store.StatementAt(n, l.shared.next)
		if err != nil {
			return nil, fmt.Errorf("read statement %d: %w", n, err)
		}
		all = append(all, share.BundleStatement{Number: n, Item: item, Salt: salt})
	}
	return all, nil
}

// compartmentsOf are a grant's compartments in the order of their numbers.
func (l *openLedger) compartmentsOf(g *ledger.Grant) ([]share.Compartment, error) {
	var all []share.Compartment
	for _, name := range g.Compartments {
		c, ok := l.keyring.CompartmentNamed(name)
		if !ok {
			return nil, fmt.Errorf("grant %d is of the compartment %s, and the keyring%s has no such one: put back the newest keyring", g.Number, name, l.where())
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b share.Compartment) int { return int(int64(a.ID) - int64(b.ID)) })
	return all, nil
}

// slotOf reads the slot in the name of a stream's compartment: stream/3/data, or
// stream/3.2/data for one that was made again.
func slotOf(name string) (uint64, bool) {
	rest, ok := strings.CutPrefix(name, "stream/")
	digits, _, _ := strings.Cut(rest, "/")
	digits, _, _ = strings.Cut(digits, ".")
	slot, err := strconv.ParseUint(digits, 10, 63)
	return slot, ok && err == nil
}

// Hours of a grant: its times, rounded inward to whole quarter hours.

// firstHour is the first hour that lies wholly at or after a time.
func firstHour(ms int64) share.Hour {
	return share.Hour(min((ms+hourMillis-1)/hourMillis, int64(share.Hours)))
}

// endHour is the first hour that does not lie wholly before a time.
func endHour(ms int64) share.Hour { return share.Hour(min(ms/hourMillis, int64(share.Hours))) }

// through is the first hour that a grant does not release, where released is the
// first one that nobody gets.
func through(g *ledger.Grant, released share.Hour) share.Hour {
	if g.Until == nil {
		return released
	}
	return min(released, endHour(*g.Until))
}

// released is the first hour whose keys are given to nobody yet. While the clock is
// known to be right they are given as an hour begins, for those who read along; else
// once the hour is sealed, for a clock that is ahead would give out hours to come.
func (l *openLedger) released(now time.Time) (share.Hour, error) {
	if l.g.cfg.clock() == reading.Synced {
		h, err := share.HourOf(now.UnixMilli())
		return h + 1, err
	}
	sealed := l.store.Status().SealedTo
	if sealed == 0 {
		return 0, nil
	}
	item, err := l.store.Header(sealed - 1)
	if err != nil {
		return 0, err
	}
	header, err := ledger.ParseHeader(item)
	if err != nil {
		return 0, err
	}
	h, err := share.HourOf(header.From)
	return h + 1, err
}
