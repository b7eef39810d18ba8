package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

const (
	escrowPoll  = 5 * time.Second
	escrowQuiet = 10 * time.Second // devices are often added several at a time: they share a file
	escrowLook  = 10 * time.Minute // between looks at the folder when nothing has changed
)

// escrowRequest asks for files of the months that have none: all from the one
// that is named, or the ledger's first, until now.
type escrowRequest struct {
	Need   int    `json:"need,omitempty"`   // 0: as in the newest file
	From   string `json:"from,omitempty"`   // month
	Rotate bool   `json:"rotate,omitempty"` // also those that have some by other holders, or by another number of them
}

// escrowRow is one escrow file as lists show it.
type escrowRow struct {
	Month        string   `json:"month"`
	Part         uint32   `json:"part"`
	State        string   `json:"state"`
	Need         int      `json:"need"`
	Holders      []string `json:"holders"`
	Compartments int      `json:"compartments"` // 0 if the file is not there
	Statement    uint64   `json:"statement"`
	Digest       string   `json:"digest"`
	File         string   `json:"file"`
}

func (f *escrowFile) row() escrowRow {
	return escrowRow{
		Month: f.month.String(), Part: f.part, State: f.state, Need: f.need, Holders: f.holders, Compartments: len(f.held),
		Statement: f.number, Digest: hex.EncodeToString(f.digest[:]), File: filepath.Join(escrowDir, f.name()),
	}
}

// escrowAnswer is what making and rotating did, and what a list shows.
type escrowAnswer struct {
	Need    int         `json:"need"`    // 0: escrow has not begun
	Holders []string    `json:"holders"` // certified now
	Made    []escrowRow `json:"made,omitempty"`
	Gone    []escrowRow `json:"destroyed,omitempty"` // superseded ones, which were destroyed here
	Files   []escrowRow `json:"files,omitempty"`
	Lacking []string    `json:"lacking,omitempty"` // months of which something is in no current file
	Others  []escrowRow `json:"others,omitempty"`  // current files of other holders than are certified now, or another number of them
}

// makeEscrow deals what is missing.
func (l *openLedger) makeEscrow(ctx context.Context, q escrowRequest) (escrowAnswer, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return escrowAnswer{}, err
	}
	need := q.Need
	if need == 0 {
		need = e.known.need()
	}
	holders := e.known.sharers()
	if err := askable(need, holders); err != nil {
		return escrowAnswer{}, err
	}
	from, err := l.escrowFrom(q.From)
	if err != nil {
		return escrowAnswer{}, err
	}
	now, begun, err := l.escrowMonth(time.Now())
	if err != nil {
		return escrowAnswer{}, err
	}
	if !begun {
		return escrowAnswer{}, errClockUnsure
	}
	fits := func(*escrowFile) bool { return true }
	if q.Rotate {
		fits = func(f *escrowFile) bool {
			return f.need == need && slices.Equal(f.holders, holderNames(holders)) && e.known.left(f) == len(holders)
		}
	}
	a, err := l.dealMonths(ctx, from, now, need, holders, fits)
	if err != nil {
		return a, err
	}
	for i := range e.known.dealt {
		if f := &e.known.dealt[i]; f.state == escrowCurrent && (f.need != need || !slices.Equal(f.holders, holderNames(holders))) {
			a.Others = append(a.Others, f.row())
		}
	}
	return a, nil
}

func holderNames(all []share.Holder) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].Name
	}
	return out
}

// askable says what is wrong with asking so many of the holders.
func askable(need int, holders []share.Holder) error {
	switch {
	case len(holders) == 0:
		return errors.New("no holder is certified: `cairn escrow holder add CARD` certifies one")
	case need == 0:
		return fmt.Errorf("escrow has not begun: say by --need how many of the %d holders can open it together", len(holders))
	case need < 0 || need > len(holders):
		return fmt.Errorf("%d holders are certified: %d of them cannot be asked for", len(holders), need)
	}
	return nil
}

// escrowFrom is the first month to deal: the one named, or that of the ledger's
// first statement.
func (l *openLedger) escrowFrom(text string) (share.Month, error) {
	if text != "" {
		return share.ParseMonth(text)
	}
	return share.MonthOf(l.escrow.began)
}

// errClockUnsure says that no month can be dealt yet.
var errClockUnsure = errors.New("the clock is not known to be right, and no quarter hour is sealed yet: dealt keys cannot be called back, " +
	"so ask again when one is (`cairn status` tells), or set clock: trusted if something else keeps the clock right")

// escrowMonth is the newest month whose keys are dealt: that of the newest hour whose
// keys are given to anybody. A clock that is ahead would deal months to come. begun is
// false before there is one.
func (l *openLedger) escrowMonth(now time.Time) (m share.Month, begun bool, err error) {
	end, err := l.released(now)
	if err != nil || end == 0 {
		return 0, false, err
	}
	m, err = share.MonthOf((end - 1).Start())
	return m, err == nil, err
}

// dealMonths deals, month by month, the compartments that no file has which fits,
// and then destroys the files whose time is over. A crash before a statement
// leaves a file that counts for nothing and is overwritten; one after it leaves a
// superseded file, which the next deal destroys. e.mu is held.
func (l *openLedger) dealMonths(ctx context.Context, from, until share.Month, need int, holders []share.Holder, fits func(*escrowFile) bool) (escrowAnswer, error) {
	a := escrowAnswer{Need: need, Holders: holderNames(holders)}
	for m := from; m <= until; m++ {
		for part := range slices.Chunk(l.missing(m, fits), share.MaxEscrowCompartments) {
			if err := ctx.Err(); err != nil {
				return a, err
			}
			f, err := l.deal(ctx, m, part, need, holders)
			if err != nil {
				return a, fmt.Errorf("escrow of %s: %w", m, err)
			}
			a.Made = append(a.Made, f.row())
			l.log.Info("escrow file made: give each holder a copy (cairn escrow hand)", "month", m.String(), "part", f.part,
				"compartments", len(f.held), "need", need, "holders", a.Holders, "file", filepath.Join(escrowDir, f.name()))
		}
	}
	gone, err := l.cleanEscrow()
	a.Gone = gone
	return a, err
}

// deal makes one file of some compartments of a month, and has the ledger name it.
func (l *openLedger) deal(ctx context.Context, m share.Month, compartments []share.Compartment, need int, holders []share.Holder) (*escrowFile, error) {
	e := &l.escrow
	keys := &share.EscrowKeys{
		Ledger: l.store.Ledger(), LogKey: [32]byte(l.store.FirstLogKey()), Nonce: l.keyring.Nonce(), Month: m, Part: e.known.nextPart(m),
		Statements: e.show,
	}
	for _, c := range compartments {
		nodes, err := c.Tree.Left(m.From(), m.Until())
		if err != nil {
			return nil, err
		}
		if len(nodes) > 0 {
			keys.Compartments = append(keys.Compartments, share.Granted{ID: c.ID, Name: c.Name, Nodes: nodes})
		}
	}
	x, err := share.Deal(keys, need, holders)
	if err != nil {
		return nil, err
	}
	if err := l.placeEscrow(escrowName(m, keys.Part), x.Append(nil)); err != nil {
		return nil, err
	}
	said := ledger.Escrow{
		Month: m.String(), Part: keys.Part, Need: uint32(need), Holders: holderNames(holders), Commitments: x.Commitments(), Digest: x.Digest(),
	}
	if _, err := l.store.AddStatement(ctx, said.Statement(0)); err != nil {
		return nil, fmt.Errorf("record the file: %w", err)
	}
	if err := l.refreshEscrow(); err != nil {
		return nil, err
	}
	for i := range e.known.dealt {
		if f := &e.known.dealt[i]; f.month == m && f.part == keys.Part && f.digest == said.Digest {
			return f, nil
		}
	}
	return nil, errors.New("the ledger does not name the file that was made")
}

// placeEscrow writes a file into the ledger's folder, whole or not at all.
func (l *openLedger) placeEscrow(name string, b []byte) error {
	dir := l.cfg.path(escrowDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temp := filepath.Join(dir, "."+name+".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(temp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncFolder(dir)
}

// cleanEscrow destroys the files here whose time is over.
func (l *openLedger) cleanEscrow() ([]escrowRow, error) {
	if err := l.lookAtEscrow(); err != nil {
		return nil, err
	}
	var gone []escrowRow
	for i := range l.escrow.known.dealt {
		f := &l.escrow.known.dealt[i]
		if f.state != escrowSuperseded {
			continue
		}
		if err := share.DestroyFile(l.cfg.path(filepath.Join(escrowDir, f.name()))); err != nil {
			return gone, err
		}
		gone = append(gone, f.row())
		l.log.Info("superseded escrow file destroyed here: its holders may have copies", "month", f.month.String(), "part", f.part, "holders", f.holders)
		f.held, f.state = nil, escrowGone
	}
	return gone, nil
}

// listEscrow tells what is dealt, and what is not.
func (l *openLedger) listEscrow(_ context.Context, _ nothing) (escrowAnswer, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return escrowAnswer{}, err
	}
	a := escrowAnswer{Need: e.known.need(), Holders: holderNames(e.known.sharers())}
	for i := range e.known.dealt {
		a.Files = append(a.Files, e.known.dealt[i].row())
	}
	if a.Need == 0 {
		return a, nil
	}
	now, begun, err := l.escrowMonth(time.Now())
	if err != nil {
		return a, err
	}
	for m := e.known.firstDealt(); begun && m <= now; m++ {
		if len(l.missing(m, func(*escrowFile) bool { return true })) > 0 {
			a.Lacking = append(a.Lacking, m.String())
		}
	}
	return a, nil
}

func (k *escrowKnown) firstDealt() share.Month {
	first := k.dealt[0].month
	for i := range k.dealt {
		first = min(first, k.dealt[i].month)
	}
	return first
}

// escrowHolders names those who were ever dealt keys from before a time (Unix
// ms), whether the files are still here or not.
func (l *openLedger) escrowHolders(before int64) ([]string, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return nil, err
	}
	var all []string
	for _, f := range e.known.dealt {
		if f.month.From().Start() < before {
			all = append(all, f.holders...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// keepEscrow deals new months and new compartments by itself, from the first
// `cairn escrow make` on, until ctx ends.
func (l *openLedger) keepEscrow(ctx context.Context) {
	tick := time.NewTicker(escrowPoll)
	defer tick.Stop()
	w := escrowWatch{}
	for {
		if w.due(l.escrowMark(time.Now()), time.Now()) {
			err := l.continueEscrow(ctx)
			if ctx.Err() == nil && err != nil {
				l.log.Error("escrow is not complete: if this site is lost, so are keys", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// escrowMark is all that a deal depends on.
type escrowMark struct {
	month        share.Month
	compartments int
	statements   uint64
}

func (l *openLedger) escrowMark(now time.Time) escrowMark {
	m, _, _ := l.escrowMonth(now) // what is wrong is told by those who deal
	return escrowMark{month: m, compartments: len(l.keyring.Compartments()), statements: l.store.Statements()}
}

// escrowWatch tells when it is time to look.
type escrowWatch struct {
	looked, seen escrowMark
	since, last  time.Time // since when seen is as it is; the last look
}

// due reports whether to look now: something has changed and then stayed as it
// is for a moment, or some time has passed.
func (w *escrowWatch) due(mark escrowMark, now time.Time) bool {
	if mark != w.seen {
		w.seen, w.since = mark, now
	}
	quiet := now.Sub(w.since) >= escrowQuiet || mark.compartments == w.looked.compartments
	if mark == w.looked && now.Sub(w.last) < escrowLook || !quiet {
		return false
	}
	w.looked, w.last = mark, now
	return true
}

// continueEscrow deals what a running service finds missing, if escrow has begun.
func (l *openLedger) continueEscrow(ctx context.Context) error {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return err
	}
	need := e.known.need()
	if need == 0 {
		return nil
	}
	now, begun, err := l.escrowMonth(time.Now())
	if err != nil || !begun {
		return err
	}
	all := func(*escrowFile) bool { return true }
	from := e.known.firstDealt()
	for from < now && len(l.missing(from, all)) == 0 {
		from++
	}
	if len(l.missing(from, all)) == 0 {
		_, err := l.cleanEscrow()
		return err
	}
	holders := e.known.sharers()
	if err := askable(need, holders); err != nil {
		return err
	}
	_, err = l.dealMonths(ctx, from, now, need, holders, all)
	return err
}
