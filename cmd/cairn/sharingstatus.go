package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

const (
	// grantSoon is how long before a grant's end it is named.
	grantSoon = 14 * 24 * time.Hour
	// mirrorQuiet is after how long a mirror that asked for nothing counts as unseen.
	mirrorQuiet = 24 * time.Hour
	// bundlesRed is how old the newest keys that are given out may be before health
	// turns red, while some grant goes on.
	bundlesRed = 2 * time.Hour
	// escrowRed is how long keys may be in no escrow file before health turns red: a
	// running service deals by itself.
	escrowRed = 2 * time.Minute
	// sharingFresh is for how long health and metrics make do with what was found.
	sharingFresh = 5 * time.Second
)

// sharingStatus is how a ledger's grants, escrow, mirrors and shreddings stand.
// What there is nothing of is left out.
type sharingStatus struct {
	Grants  *grantsStatus `json:"grants,omitempty"`
	Mirrors []visitStatus `json:"mirrors,omitempty"`
	Escrow  *escrowStatus `json:"escrow,omitempty"`
	Shreds  *shredsStatus `json:"shreddings,omitempty"`
}

type grantsStatus struct {
	InForce int         `json:"inForce"`
	Soon    []grantEnds `json:"endingSoon,omitempty"`
	Over    int         `json:"over"`              // or ended
	Through string      `json:"keysUntil"`         // to which keys are given out
	Behind  float64     `json:"keysBehindSeconds"` // age of that, while some grant is in force; 0: the hour that runs has its keys
	Why     string      `json:"whyBehind,omitempty"`
}

type grantEnds struct {
	Number   uint64 `json:"number"`
	Audience string `json:"audience"`
	What     string `json:"what"` // keys or access
	At       string `json:"at"`
}

// visitStatus is when the holder of a mirror's grant last asked here. One that
// follows another mirror never does.
type visitStatus struct {
	Grant    uint64  `json:"grant"`
	Audience string  `json:"audience"`
	Seen     string  `json:"seen,omitempty"` // absent: not since the service started
	Age      float64 `json:"seenSeconds"`    // since then, or since the service started
}

type escrowStatus struct {
	Need    int       `json:"need"`
	Holders int       `json:"holders"`                // certified now
	Months  int       `json:"months"`                 // since the first that was dealt
	Lacking []string  `json:"lacking,omitempty"`      // months of which something is in no current file
	Ended   []string  `json:"endedHolders,omitempty"` // months dealt to somebody who has ended
	Lost    []string  `json:"tooFew,omitempty"`       // of those: fewer are left than it takes
	since   time.Time // when Lacking was first not empty
}

type shredsStatus struct {
	Count       int  `json:"count"`
	Unconfirmed int  `json:"unconfirmed"`       // who may have copies and have not confirmed, each once
	Stopped     bool `json:"stopped,omitempty"` // one has begun and is not through
}

// sharingWatch keeps what was found last, and when mirrors asked. The zero value
// has seen none.
type sharingWatch struct {
	mu      sync.Mutex // covers what follows
	visits  map[uint64]time.Time
	last    sharingStatus
	bad     error
	at      time.Time // of last
	lacking time.Time // since when keys are in no escrow file; zero: they are
}

// visited notes that somebody asked with a grant's token.
func (w *sharingWatch) visited(g *ledger.Grant) {
	if !g.Mirror {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.visits == nil {
		w.visits = map[uint64]time.Time{}
	}
	w.visits[g.Number] = time.Now()
}

// Seen implements mirror.Visitors.
func (s *sealedSource) Seen(g *ledger.Grant) { s.l.watch.visited(g) }

// sharingStatus finds how sharing stands; where it was found lately and nothing
// need be newer than that, it says that again.
func (l *openLedger) sharingStatus(fresh bool) (sharingStatus, error) {
	w := &l.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !fresh && now.Sub(w.at) < sharingFresh {
		return w.last, w.bad
	}
	w.at = now
	w.last, w.bad = l.findSharing(now, w.last.Escrow)
	return w.last, w.bad
}

// findSharing looks at statements, files and visits. The caller holds l.watch.mu.
func (l *openLedger) findSharing(now time.Time, before *escrowStatus) (s sharingStatus, err error) {
	grants, err := l.grantsNow()
	if err != nil {
		return s, err
	}
	if s.Grants, err = l.grantsStatus(grants, now); err != nil {
		return s, err
	}
	s.Mirrors = l.mirrorsStatus(grants, now)
	s.Escrow = before
	if !l.escrow.mu.TryLock() {
		return s, nil // files are being dealt
	}
	defer l.escrow.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return s, err
	}
	if s.Escrow, err = l.escrowStatus(now); err != nil {
		return s, err
	}
	s.Shreds = l.shredsStatus()
	return s, nil
}

func (l *openLedger) grantsStatus(grants []ledger.Grant, now time.Time) (*grantsStatus, error) {
	if len(grants) == 0 {
		return nil, nil
	}
	at := now.UnixMilli()
	s := &grantsStatus{}
	oldest := at // since when something of those in force should be given out
	for i := range grants {
		g := &grants[i]
		if (g.Until != nil && at >= *g.Until) || !g.Serves(at) {
			s.Over++
		}
		if g.InForce(at) {
			s.InForce++
			oldest = min(oldest, max(g.From, g.At))
		}
		for _, end := range []struct {
			what string
			at   *int64
		}{{"keys", g.Until}, {"access", g.Access}} {
			if end.at != nil && at < *end.at && *end.at-at <= grantSoon.Milliseconds() {
				s.Soon = append(s.Soon, grantEnds{g.Number, g.Audience, end.what, timeText(*end.at)})
			}
		}
	}
	slices.SortStableFunc(s.Soon, func(a, b grantEnds) int { return strings.Compare(a.At, b.At) })
	released, err := l.released(now)
	if err != nil {
		return nil, err
	}
	if released > 0 {
		s.Through = timeText(released.Start())
	}
	if behind := at - max(released.Start(), oldest); s.InForce > 0 && behind > 0 {
		s.Behind = float64(behind) / 1000
		if l.g.cfg.clock() != reading.Synced {
			s.Why = "the clock is not known to be right, so keys are given out once their quarter hour is sealed: set clock in the configuration, or have the system keep it right"
		}
	}
	return s, nil
}

// mirrorsStatus is that of a running service alone.
func (l *openLedger) mirrorsStatus(grants []ledger.Grant, now time.Time) (all []visitStatus) {
	if l.g.live == nil {
		return nil
	}
	for i := range grants {
		g := &grants[i]
		if !g.Mirror || !g.InForce(now.UnixMilli()) {
			continue
		}
		m := visitStatus{Grant: g.Number, Audience: g.Audience}
		since := l.g.live.started
		if made := time.UnixMilli(max(g.At, g.From)); made.After(since) {
			since = made
		}
		if seen, ok := l.watch.visits[g.Number]; ok {
			m.Seen, since = seen.UTC().Format(time.RFC3339), seen
		}
		m.Age = max(0, now.Sub(since).Seconds())
		all = append(all, m)
	}
	return all
}

// unseen reports whether the mirror has asked for nothing for long.
func (m *visitStatus) unseen() bool { return m.Age >= mirrorQuiet.Seconds() }

// escrowStatus tells what escrow lacks; nil before it begins. Both l.escrow.mu and
// l.watch.mu are held.
func (l *openLedger) escrowStatus(now time.Time) (*escrowStatus, error) {
	k := &l.escrow.known
	if k.need() == 0 {
		return nil, nil
	}
	s := &escrowStatus{Need: k.need(), Holders: len(k.sharers())}
	last, begun, err := l.escrowMonth(now)
	if err != nil {
		return nil, err
	}
	for m := k.firstDealt(); begun && m <= last; m++ {
		s.Months++
		if len(l.missing(m, func(*escrowFile) bool { return true })) > 0 {
			s.Lacking = append(s.Lacking, m.String())
		}
		ended, lost := k.endedOf(m)
		if ended {
			s.Ended = append(s.Ended, m.String())
		}
		if lost {
			s.Lost = append(s.Lost, m.String())
		}
	}
	switch w := &l.watch; {
	case len(s.Lacking) == 0:
		w.lacking = time.Time{}
	case w.lacking.IsZero():
		w.lacking = now
	}
	s.since = l.watch.lacking
	return s, nil
}

// endedOf says whether some of those who hold shares of a month's current files
// have ended, and whether fewer are left of one than it takes.
func (k *escrowKnown) endedOf(m share.Month) (ended, lost bool) {
	for i := range k.dealt {
		f := &k.dealt[i]
		if f.month != m || f.state != escrowCurrent {
			continue
		}
		left := k.left(f)
		ended = ended || left < len(f.holders)
		lost = lost || left < f.need
	}
	return ended, lost
}

// left is how many of those that a file was dealt to have not ended. One who was
// certified again since then may have another key.
func (k *escrowKnown) left(f *escrowFile) (n int) {
	for _, h := range k.holders {
		if !h.ended && h.number < f.number && slices.Contains(f.holders, h.Name) {
			n++
		}
	}
	return n
}

// shredsStatus is nil if nothing was shredded. l.escrow.mu is held.
func (l *openLedger) shredsStatus() *shredsStatus {
	all := l.escrow.known.shreds
	if len(all) == 0 {
		return nil
	}
	s := &shredsStatus{Count: len(all), Stopped: l.store.ShredStopped()}
	open := map[string]bool{}
	for i := range all {
		for _, h := range all[i].open() {
			open[h] = true
		}
	}
	s.Unconfirmed = len(open)
	return s
}

// reasons are what a person must act on.
func (s *sharingStatus) reasons(now time.Time) (all []string) {
	bad := func(format string, a ...any) { all = append(all, fmt.Sprintf(format, a...)) }
	if g := s.Grants; g != nil && g.Behind >= bundlesRed.Seconds() {
		bad("no keys of the last %v are given to the audiences: %s", time.Duration(g.Behind*float64(time.Second)).Round(time.Minute),
			cmp.Or(g.Why, "nothing was sealed since then"))
	}
	if e := s.Escrow; e != nil {
		switch {
		case e.Holders < e.Need:
			bad("escrow takes %d holders and %d %s certified: what is new is escrowed with nobody (cairn escrow holder add)", e.Need, e.Holders, are(e.Holders))
		case len(e.Lacking) > 0 && now.Sub(e.since) >= escrowRed:
			bad("escrow is not complete, keys of %s are in no file: the log says why (cairn escrow make)", some(e.Lacking))
		}
		if len(e.Lost) > 0 {
			bad("escrowed keys of %s could not be recovered: too many of those they were dealt to have ended (cairn escrow rotate)", some(e.Lost))
		}
	}
	if s.Shreds != nil && s.Shreds.Stopped {
		bad("a shredding has begun and is not through: the next start goes on with it, and the log says what stopped it")
	}
	return all
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// some names the first of many.
func some(all []string) string {
	if len(all) <= 3 {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more months", strings.Join(all[:3], ", "), len(all)-3)
}

// lines says in words how sharing stands.
func (s *sharingStatus) lines(line func(name, format string, v ...any)) {
	if g := s.Grants; g != nil {
		keys := "no keys given out yet"
		if g.Through != "" {
			keys = "keys given out until " + g.Through
		}
		line("grants", "%d in force, %d over; %s", g.InForce, g.Over, keys)
		for _, e := range g.Soon {
			line("", "- %s of grant %d to %s: until %s", e.What, e.Number, e.Audience, e.At)
		}
		if g.Why != "" {
			line("", "- %s", g.Why)
		}
	}
	for i := range s.Mirrors {
		m := &s.Mirrors[i]
		seen := "has not asked since the service started"
		if m.Seen != "" {
			seen = "asked last at " + m.Seen
		}
		if m.unseen() {
			seen += ": ask its operator, unless it follows another mirror"
		}
		line("mirror", "of grant %d, %s: %s", m.Grant, m.Audience, seen)
	}
	if e := s.Escrow; e != nil {
		line("escrow", "%d of %d certified %s open it together; %d %s", e.Need, e.Holders, plural(e.Holders, "holder"), e.Months, plural(e.Months, "month"))
		if len(e.Lacking) > 0 {
			line("", "- keys of %s are in no file", some(e.Lacking))
		}
		if len(e.Ended) > 0 {
			line("", "- %s: dealt to holders who have ended too; `cairn escrow rotate` deals them anew", some(e.Ended))
		}
	}
	if x := s.Shreds; x != nil {
		line("shredded", "%d %s; %d %s not confirmed (cairn shred list)", x.Count, plural(x.Count, "time"), x.Unconfirmed, plural(x.Unconfirmed, "holder")+" "+hasOrHave(x.Unconfirmed))
	}
}

func hasOrHave(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

var (
	metricGrants      = metric("grants_in_force", "Grants by which keys are given out.", "ledger")
	metricGrantsSoon  = metric("grants_ending_soon", "Ends of grants' keys or access within 14 days.", "ledger")
	metricGrantsOver  = metric("grants_over", "Grants that are over, were ended, or are served no longer.", "ledger")
	metricKeysBehind  = metric("keys_behind_seconds", "Age of the newest keys that are given out, while a grant is in force; 0 if the running quarter hour has its.", "ledger")
	metricMirrors     = metric("mirror_grants", "Mirrors' grants in force.", "ledger")
	metricUnseen      = metric("mirrors_unseen", "Those of them whose token was not used for a day.", "ledger")
	metricHolders     = metric("escrow_holders", "Certified holders of escrow shares.", "ledger")
	metricNeed        = metric("escrow_need", "Holders who open an escrow file together.", "ledger")
	metricLacking     = metric("escrow_months_lacking", "Months of which some keys are in no escrow file.", "ledger")
	metricEnded       = metric("escrow_months_ended_holders", "Months that were dealt to some who have ended.", "ledger")
	metricLost        = metric("escrow_months_lost", "Months of which too few holders are left.", "ledger")
	metricShreds      = metric("shreddings", "Shreddings on record.", "ledger")
	metricUnconfirmed = metric("shreddings_unconfirmed", "Holders and audiences who may have copies of what was shredded and have not confirmed.", "ledger")
)

// collectSharing gives counts alone: no names of audiences, holders or devices.
func (l *openLedger) collectSharing(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	s, err := l.sharingStatus(false)
	if err != nil {
		return
	}
	if g := s.Grants; g != nil {
		gauge(metricGrants, float64(g.InForce))
		gauge(metricGrantsSoon, float64(len(g.Soon)))
		gauge(metricGrantsOver, float64(g.Over))
		gauge(metricKeysBehind, g.Behind)
		unseen := 0
		for i := range s.Mirrors {
			if s.Mirrors[i].unseen() {
				unseen++
			}
		}
		gauge(metricMirrors, float64(len(s.Mirrors)))
		gauge(metricUnseen, float64(unseen))
	}
	if e := s.Escrow; e != nil {
		gauge(metricHolders, float64(e.Holders))
		gauge(metricNeed, float64(e.Need))
		gauge(metricLacking, float64(len(e.Lacking)))
		gauge(metricEnded, float64(len(e.Ended)))
		gauge(metricLost, float64(len(e.Lost)))
	}
	if x := s.Shreds; x != nil {
		gauge(metricShreds, float64(x.Count))
		gauge(metricUnconfirmed, float64(x.Unconfirmed))
	}
}
