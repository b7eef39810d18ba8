package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

const (
	escrowDir    = "escrow" // in a ledger's folder
	escrowSuffix = ".escrow"
)

// escrowKeeper is what a ledger's statements and its folder escrow say about
// escrow. The keyring holds no share: a file that is lost is dealt anew.
type escrowKeeper struct {
	mu    sync.Mutex // held through every operation on escrow files; covers what follows
	next  uint64     // first statement that was not read yet
	began int64      // Unix ms, of the genesis
	known escrowKnown
	show  []share.BundleStatement // those that every bundle shows
	read  map[string]readEscrow   // by path
}

// escrowKnown is what statements say. It is made of them alone, in order.
type escrowKnown struct {
	holders []certified  // ended ones too
	dealt   []escrowFile // by number
	bound   map[uint64]boundSpan
	grants  ledger.Grants
	shreds  []shredding
}

// certified is a holder that the ledger names.
type certified struct {
	ledger.Holder
	number uint64
	ended  bool
}

// boundSpan is when a stream's device was bound: Unix ms, until 0 while it is.
type boundSpan struct{ from, until int64 }

// escrowFile is one escrow statement, and what is known of its file.
type escrowFile struct {
	number  uint64
	month   share.Month
	part    uint32
	need    int
	holders []string
	digest  [32]byte

	held  []share.Held // nil if the file is not there
	state string       // see below
}

// States of an escrow file.
const (
	escrowCurrent    = "current"
	escrowSuperseded = "superseded" // a later file of the month has all that it still should have
	escrowStale      = "stale"      // it holds keys that were shredded since
	escrowGone       = "gone"       // it is not in the folder
	escrowDamaged    = "damaged"    // what is in the folder is not what the ledger names
)

// readEscrow is a file as it was read last.
type readEscrow struct {
	size    int64
	changed time.Time
	digest  [32]byte
	held    []share.Held
}

func (f *escrowFile) name() string { return escrowName(f.month, f.part) }

func escrowName(m share.Month, part uint32) string {
	return fmt.Sprintf("%s-%d%s", m, part, escrowSuffix)
}

// apply takes in one statement, in order. One that says what no ledger of this
// program would is left aside: statements are public, and this is no verifier.
func (k *escrowKnown) apply(number uint64, s ledger.Statement) {
	switch s.Kind {
	case ledger.KindHolder, ledger.KindGrantKey:
		if h, err := ledger.HolderFrom(s); err == nil {
			k.end(h.Name)
			k.holders = append(k.holders, certified{Holder: h, number: number})
		}
	case ledger.KindHolderEnd, ledger.KindGrantKeyEnd:
		if e, err := ledger.HolderEndFrom(s); err == nil {
			k.end(e.Name)
		}
	case ledger.KindEscrow:
		e, err := ledger.EscrowFrom(s)
		if err != nil {
			return
		}
		if m, err := share.ParseMonth(e.Month); err == nil {
			k.dealt = append(k.dealt, escrowFile{
				number: number, month: m, part: e.Part, need: int(e.Need), holders: e.Holders, digest: e.Digest, state: escrowGone,
			})
		}
	case ledger.KindGrant, ledger.KindGrantEnd, ledger.KindGrantRenew:
		_ = k.grants.Apply(number, s) // one that counts for nothing: sharing.read says so
	case ledger.KindShred, ledger.KindShredConfirm, ledger.KindGrantConfirm:
		k.applyShred(number, s)
	case ledger.KindBind, ledger.KindUnbind:
		slot, ok := s.Uint("slot")
		if !ok {
			return
		}
		if k.bound == nil {
			k.bound = map[uint64]boundSpan{}
		}
		b := k.bound[slot]
		if s.Kind == ledger.KindBind {
			b.from = s.At
		} else {
			b.until = s.At
		}
		k.bound[slot] = b
	}
}

func (k *escrowKnown) end(name string) {
	for i := range k.holders {
		k.holders[i].ended = k.holders[i].ended || k.holders[i].Name == name
	}
}

// certified returns the holder of that name that has not ended.
func (k *escrowKnown) certified(name string) (certified, bool) {
	for _, h := range k.holders {
		if h.Name == name && !h.ended {
			return h, true
		}
	}
	return certified{}, false
}

// sharers are the certified holders of shares, by name.
func (k *escrowKnown) sharers() []share.Holder {
	var all []share.Holder
	for _, h := range k.holders {
		if h.Kind == ledger.HolderEscrow && !h.ended {
			all = append(all, share.Holder{Name: h.Name, Recipient: h.Recipient, Key: h.Key})
		}
	}
	slices.SortFunc(all, func(a, b share.Holder) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// need is how many shares the newest file asks for, 0 if there is none: escrow
// has not begun.
func (k *escrowKnown) need() int {
	if len(k.dealt) == 0 {
		return 0
	}
	return k.dealt[len(k.dealt)-1].need
}

// nextPart is the number of the next file of a month.
func (k *escrowKnown) nextPart(m share.Month) uint32 {
	part := uint32(0)
	for i := range k.dealt {
		if k.dealt[i].month == m {
			part = max(part, k.dealt[i].part+1)
		}
	}
	return part
}

// active reports whether a compartment can have readings of a month: a stream's
// has none from before its device was bound, nor from after.
func (k *escrowKnown) active(name string, m share.Month) bool {
	slot, ok := streamSlot(name)
	if !ok {
		return true
	}
	b, known := k.bound[slot]
	if !known || b.until != 0 && b.until < b.from { // a clock that was set back
		return true
	}
	return b.from < m.Until().Start() && (b.until == 0 || b.until >= m.From().Start())
}

// streamSlot reads the slot in a stream's compartment's name.
func streamSlot(name string) (slot uint64, ok bool) {
	var class string
	n, err := fmt.Sscanf(name, "stream/%d/%s", &slot, &class)
	return slot, err == nil && n == 2
}

// refresh reads the statements that are new, and the folder. e.mu is held.
func (l *openLedger) refreshEscrow() error {
	e := &l.escrow
	size := l.store.Statements()
	for ; e.next < size; e.next++ {
		item, salt, _, err := l.store.StatementAt(e.next, size)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", e.next, err)
		}
		s, err := ledger.ParseStatement(item)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", e.next, err)
		}
		if e.next == 0 {
			e.began = s.At
		}
		e.known.apply(e.next, s)
		switch s.Kind {
		case ledger.KindGenesis, ledger.KindRoute, ledger.KindRouteBitcoin, ledger.KindRouteOTS, ledger.KindLogKey, ledger.KindBind, ledger.KindUnbind, ledger.KindPlace:
			e.show = append(e.show, share.BundleStatement{Number: e.next, Item: bytes.Clone(item), Salt: salt})
		}
	}
	return l.lookAtEscrow()
}

// lookAtEscrow finds which of the files are there and whole.
func (l *openLedger) lookAtEscrow() error {
	e := &l.escrow
	seen := map[string]readEscrow{}
	for i := range e.known.dealt {
		f := &e.known.dealt[i]
		f.held, f.state = nil, escrowGone
		path := l.cfg.path(filepath.Join(escrowDir, f.name()))
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("escrow: %w", err)
		}
		was, had := e.read[path]
		if !had || was.size != info.Size() || !was.changed.Equal(info.ModTime()) {
			was = readEscrow{size: info.Size(), changed: info.ModTime()}
			if x, err := share.ReadEscrow(path); err == nil {
				was.digest, was.held = x.Digest(), x.Compartments
			}
		}
		seen[path] = was
		if f.state = escrowDamaged; was.digest == f.digest && was.held != nil {
			f.held, f.state = was.held, escrowCurrent
		}
	}
	e.read = seen
	return l.judgeEscrow()
}

// judgeEscrow tells current files from those whose time is over.
func (l *openLedger) judgeEscrow() error {
	first := l.firstHours()
	all := l.escrow.known.dealt
	for i := range all {
		if f := &all[i]; f.state == escrowCurrent && f.stale(first) {
			f.state = escrowStale
		}
	}
	for i := range all {
		f := &all[i]
		if f.state != escrowCurrent && f.state != escrowStale {
			continue
		}
		later := slices.DeleteFunc(slices.Clone(all[i+1:]), func(o escrowFile) bool { return o.month != f.month || o.state != escrowCurrent })
		over := func(h share.Held) bool {
			from, ok := first[h.ID]
			return !ok || max(h.From, from) >= h.Until || covered(share.Held{ID: h.ID, From: max(h.From, from), Until: h.Until}, later)
		}
		if !slices.ContainsFunc(f.held, func(h share.Held) bool { return !over(h) }) {
			f.state = escrowSuperseded
		}
	}
	return nil
}

// firstHours are the first hours of the compartments whose keys are there.
func (l *openLedger) firstHours() map[uint32]share.Hour {
	first := map[uint32]share.Hour{}
	for _, c := range l.keyring.Compartments() {
		if h, ok := c.Tree.FirstHour(); ok {
			first[c.ID] = h
		}
	}
	return first
}

// stale reports whether a file holds keys that the keyring no longer has.
func (f *escrowFile) stale(first map[uint32]share.Hour) bool {
	return slices.ContainsFunc(f.held, func(h share.Held) bool {
		from, ok := first[h.ID]
		return !ok || h.From < from
	})
}

// covered reports whether one of the files has all hours of a compartment.
func covered(want share.Held, files []escrowFile) bool {
	return slices.ContainsFunc(files, func(f escrowFile) bool {
		i, ok := slices.BinarySearchFunc(f.held, want.ID, func(h share.Held, id uint32) int { return cmp.Compare(h.ID, id) })
		return ok && f.held[i].From <= want.From && f.held[i].Until >= want.Until
	})
}

// missing lists the compartments of a month that no current file has which fits.
func (l *openLedger) missing(m share.Month, fits func(*escrowFile) bool) []share.Compartment {
	var files []escrowFile
	for _, f := range l.escrow.known.dealt {
		if f.month == m && (f.state == escrowCurrent || f.state == escrowSuperseded) && fits(&f) {
			files = append(files, f)
		}
	}
	var out []share.Compartment
	for _, c := range l.keyring.Compartments() {
		from, ok := c.Tree.FirstHour()
		want := share.Held{ID: c.ID, From: max(m.From(), from), Until: m.Until()}
		if ok && want.From < want.Until && l.escrow.known.active(c.Name, m) && !covered(want, files) {
			out = append(out, c)
		}
	}
	return out
}
