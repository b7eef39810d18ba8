package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cairn/merkle/ledger"
)

// sharing is what a ledger's statements say about who may see what, read as far
// as they go. The zero value has read none.
type sharing struct {
	mu      sync.Mutex // covers what follows
	next    uint64     // statement to read
	grants  ledger.Grants
	public  []uint64                // statements that each audience needs: the ledger's keys and routes
	streams map[uint64][]streamSaid // those about a stream, by slot
	own     map[uint64][]uint64     // those about a grant, by its number
	shreds  []statedShred
	bundles map[uint64]*madeBundle
}

// streamSaid is a statement about a stream.
type streamSaid struct {
	number uint64
	at     int64 // Unix ms; 0: it says whose the stream is, and where, since it began
}

// read takes in the statements that came since the last time. The caller holds
// s.mu.
func (s *sharing) read(l *openLedger) error {
	if s.streams == nil {
		s.streams, s.own, s.bundles = map[uint64][]streamSaid{}, map[uint64][]uint64{}, map[uint64]*madeBundle{}
	}
	size := l.store.Statements()
	for ; s.next < size; s.next++ {
		item, _, _, err := l.store.StatementAt(s.next, size)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", s.next, err)
		}
		st, err := ledger.ParseStatement(item)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", s.next, err)
		}
		if err := s.grants.Apply(s.next, st); err != nil {
			l.log.Warn("a statement about a grant counts for nothing", "error", err)
			continue
		}
		s.sort(s.next, st)
	}
	return nil
}

// sort notes what a statement is about.
func (s *sharing) sort(n uint64, st ledger.Statement) {
	switch st.Kind {
	case ledger.KindGenesis, ledger.KindRoute, ledger.KindRouteBitcoin, ledger.KindRouteOTS, ledger.KindLogKey:
		s.public = append(s.public, n)
	case ledger.KindBind, ledger.KindPlace:
		slot, _ := st.Uint("slot")
		s.streams[slot] = append(s.streams[slot], streamSaid{number: n})
	case ledger.KindRotate, ledger.KindUnbind, ledger.KindCalibrate, ledger.KindAttach, ledger.KindRetire: // a replacement tells of another stream
		slot, _ := st.Uint("slot")
		s.streams[slot] = append(s.streams[slot], streamSaid{n, st.At})
	case ledger.KindGrant:
		s.own[n] = append(s.own[n], n)
	case ledger.KindGrantEnd, ledger.KindGrantRenew:
		grant, _ := st.Uint("grant")
		s.own[grant] = append(s.own[grant], n)
	case ledger.KindShred, ledger.KindDropped:
		s.stateShred(n, st)
	}
}

// grantsNow are all grants that the ledger's statements have told of until now.
func (l *openLedger) grantsNow() ([]ledger.Grant, error) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if err := l.shared.read(l); err != nil {
		return nil, err
	}
	return l.shared.grants.All(), nil
}

// grantsAsOf are the grants as they stood at a time, Unix milliseconds.
func (l *openLedger) grantsAsOf(at int64) ([]ledger.Grant, error) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if err := l.shared.read(l); err != nil {
		return nil, err
	}
	return l.shared.grants.AsOf(at), nil
}

// findGrant finds a grant by its number, or by its audience: that must then be
// the only one of this audience that is going on at a time, or that is not ended,
// or, with ended, that there ever was.
func (l *openLedger) findGrant(text string, now int64, ended bool) (ledger.Grant, error) {
	all, err := l.grantsNow()
	if err != nil {
		return ledger.Grant{}, err
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if i := slices.IndexFunc(all, func(g ledger.Grant) bool { return g.Number == n }); i >= 0 {
			return all[i], nil
		}
		return ledger.Grant{}, fmt.Errorf("no grant %d%s: `cairn grant list` shows them", n, l.where())
	}
	theirs := slices.DeleteFunc(all, func(g ledger.Grant) bool { return g.Audience != text })
	for _, counts := range []func(g ledger.Grant) bool{
		func(g ledger.Grant) bool { return g.Ended == nil && (g.Until == nil || now < *g.Until) },
		func(g ledger.Grant) bool { return g.Ended == nil },
		func(ledger.Grant) bool { return ended },
	} {
		some := slices.DeleteFunc(slices.Clone(theirs), func(g ledger.Grant) bool { return !counts(g) })
		switch len(some) {
		case 0:
			continue
		case 1:
			return some[0], nil
		}
		numbers := make([]string, len(some))
		for i, g := range some {
			numbers[i] = strconv.FormatUint(g.Number, 10)
		}
		return ledger.Grant{}, fmt.Errorf("%d grants%s are to %q: name one by its number: %s", len(some), l.where(), text, strings.Join(numbers, ", "))
	}
	if len(theirs) > 0 {
		return ledger.Grant{}, fmt.Errorf("what was granted to %q has ended: `cairn grant add` makes another grant; to have nothing more handed out of what an ended one opened, `cairn grant end NUMBER --access-until`", text)
	}
	return ledger.Grant{}, fmt.Errorf("no grant to %q%s: `cairn grant list` shows them", text, l.where())
}
