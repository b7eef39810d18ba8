package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cairn/ingest"
	"cairn/ingest/alert"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
)

const (
	alertTick = time.Second
	// lookAgain is how often the gateway is looked at: routes, money, disk, clock.
	lookAgain = 5 * time.Second
	// lookBack is how far readings of before the start are taken in.
	lookBack = time.Hour
	// sayWithin is how long recording what was delivered may take.
	sayWithin = 10 * time.Second
	// diskTimes of storage.min_free must be free.
	diskTimes = 4
	// tellAgain is how old news may be to be told after a start.
	tellAgain = 30 * 24 * time.Hour
)

// alerting watches readings and the gateway by the rules, in a running service. A change
// is first a statement of the ledger, and then told. One that could not be recorded is
// tried again each second, and told when it is.
type alerting struct {
	g      *gateway
	tap    *alert.Tap
	outbox *alert.Outbox
	direct map[string]alert.Notifier

	sent sentNotices

	mu       sync.Mutex // covers what follows
	machine  *alert.Machine
	known    map[uint32]ledger.Binding // devices that the machine has
	open     map[alert.Key]openAlert
	ledgerOf map[string]int // of what events are about that no device has
	unsaid   []alert.Change // that no statement has yet
}

type openAlert struct {
	ledger int
	number uint64
	key    alert.Key
}

// newAlerting makes what watches; nil if there is no rule and no receiver.
func newAlerting(g *gateway, receivers []alert.Receiver) (*alerting, error) {
	if len(g.cfg.Alerts) == 0 && len(receivers) == 0 {
		return nil, nil
	}
	m, err := alert.New(g.cfg.Alerts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyAlerts, err)
	}
	a := &alerting{
		g: g, tap: alert.NewTap(), machine: m, known: map[uint32]ledger.Binding{}, open: map[alert.Key]openAlert{}, ledgerOf: map[string]int{},
		direct: map[string]alert.Notifier{},
	}
	for _, r := range receivers {
		a.direct[r.Name] = r.Notifier
	}
	a.sent.wake = make(chan struct{}, 1)
	a.outbox = alert.NewOutbox(receivers, a.taken)
	return a, nil
}

// recorded is told of each reading, on the committer's goroutine.
func (a *alerting) recorded(r ingest.Recorded) {
	a.tap.Put(alert.Reading{Device: r.Device, Received: r.Received, Measurements: r.Measurements})
}

// run watches until ctx ends, after begin.
func (a *alerting) run(ctx context.Context) {
	var telling sync.WaitGroup
	telling.Go(func() { a.outbox.Run(ctx) })
	telling.Go(func() { a.keepTaken(ctx) })
	defer a.sayTaken() // what was taken at the end
	defer telling.Wait()
	tick, look := time.NewTicker(alertTick), time.NewTicker(lookAgain)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.tap.Wake():
			a.change(ctx, func(out []alert.Change) []alert.Change {
				a.tap.Take(func(r alert.Reading) {
					out = append(out, a.machine.Reading(r.Device, time.UnixMilli(r.Received), r.Measurements)...)
				})
				return out
			})
		case at := <-tick.C:
			a.change(ctx, func(out []alert.Change) []alert.Change { return append(out, a.machine.Tick(at)...) })
		case at := <-look.C:
			a.change(ctx, func(out []alert.Change) []alert.Change { return append(out, a.look(at)...) })
		}
	}
}

// begin takes in what was before the start: devices, their last readings, alerts that
// are open, and news that somebody has not been told. No reading and no event comes
// before it is done.
func (a *alerting) begin(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if len(a.g.cfg.Alerts) > 0 {
		a.devices(now)
		for i, l := range a.g.ledgers {
			if err := a.past(ctx, i, l, now); err != nil {
				return err
			}
		}
		a.machine.Begin(now)
	}
	var over []openAlert
	for i, l := range a.g.ledgers {
		err := l.withAlerts(func(x *ledger.Alerts) error {
			for _, r := range x.All() {
				a.tellRest(l, r, now)
				if r.Cleared != nil {
					continue
				}
				k := alert.Key{Rule: r.Rule, About: r.About}
				if r.Device != 0 {
					number, err := joinNumber(i, r.Device)
					if err != nil {
						return err
					}
					k.Device = number
				}
				if a.machine.Resume(k, now) {
					a.open[k] = openAlert{i, r.Number, k}
					if r.Device == 0 {
						a.ledgerOf[k.About] = i
					}
				} else {
					over = append(over, openAlert{i, r.Number, k})
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, o := range over {
		if err := a.clear(ctx, o, "its rule or its device is no more"); err != nil {
			a.g.ledgers[o.ledger].log.Warn("an alert was not cleared", "alert", o.number, "error", err)
		}
	}
	return a.setMutes()
}

// devicesChanged tells the rules which devices there are.
func (a *alerting) devicesChanged() {
	a.change(context.Background(), func(out []alert.Change) []alert.Change { return append(out, a.devices(time.Now())...) })
}

// devices tells the machine which there are. a.mu is held.
func (a *alerting) devices(now time.Time) (out []alert.Change) {
	there := map[uint32]bool{}
	for i, l := range a.g.ledgers {
		for _, b := range l.store.Devices() {
			number, err := joinNumber(i, b.Number)
			if err != nil || b.Closed {
				continue
			}
			there[number], a.known[number] = true, b
			a.machine.Device(number, alert.Subject{ID: b.Device(), Name: b.Name, Place: b.Place, Thing: b.Thing}, time.UnixMilli(b.From))
		}
	}
	for number := range a.known {
		if !there[number] {
			delete(a.known, number)
			out = append(out, a.machine.Forget(number, now)...)
		}
	}
	return out
}

// past takes in the readings of the last hour. Where there are too many of one device,
// or a part was shredded, what is missing is not needed to go on.
func (a *alerting) past(ctx context.Context, index int, l *openLedger, now time.Time) error {
	from := now.Add(-lookBack).UnixMilli()
	for _, b := range l.store.Devices() {
		number, err := joinNumber(index, b.Number)
		if err != nil || b.Closed {
			continue
		}
		err = l.store.Query(ctx, b.Number, from, now.UnixMilli()+1, func(f *store.Found) (bool, error) {
			if !f.Late {
				a.machine.Past(number, time.UnixMilli(f.Received), f.Measurements)
			}
			return true, nil
		})
		if err != nil && !gone(err) {
			return fmt.Errorf("read what came before: %w", err)
		}
	}
	return nil
}

// change lets the machine change, and records and tells what came of it: of changes that
// come together, as when a building's power goes, many in one commit.
func (a *alerting) change(ctx context.Context, fn func(out []alert.Change) []alert.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := append(a.unsaid, fn(nil)...)
	a.unsaid = nil
	for len(all) > 0 {
		n, err := a.say(ctx, all)
		if err != nil {
			if ctx.Err() == nil {
				a.g.log.Error("alerts could not be recorded: it is tried again", "first", all[0].Rule, "what", all[0].What, "error", err)
			}
			a.unsaid = all
			return
		}
		all = all[n:]
	}
}

// say records the first n changes, which are of one ledger, in one commit, and tells their
// receivers. A change to an alert that one of them raises is none of them. a.mu is held.
func (a *alerting) say(ctx context.Context, all []alert.Change) (n int, err error) {
	ledgerIndex := a.indexOf(&all[0])
	var statements []ledger.Statement
	var said []openAlert // the alert of each statement; one that is raised has no number yet
	raised := map[alert.Key]bool{}
	for ; n < len(all) && len(statements) < maxSaid; n++ {
		c := &all[n]
		if a.indexOf(c) != ledgerIndex || raised[c.Key] {
			break
		}
		o, open := a.open[c.Key]
		switch {
		case c.Raised:
			raised[c.Key] = true
			statements, said = append(statements, a.raises(c)), append(said, openAlert{ledger: ledgerIndex, key: c.Key})
		case open:
			statements = append(statements, ledger.AlertClear{Alert: o.number, What: short(c.What, ledger.MaxPurpose)}.Statement(0))
			said = append(said, o)
		}
	}
	if len(statements) == 0 {
		return n, nil
	}
	l := a.g.ledgers[ledgerIndex]
	first, err := l.store.AddStatements(ctx, statements)
	if err != nil {
		return 0, err
	}
	return n, l.withAlerts(func(x *ledger.Alerts) error {
		for i, o := range said {
			number := first + uint64(i)
			news := ledger.NewsCleared
			if statements[i].Kind == ledger.KindAlert {
				news, o.number = ledger.NewsRaised, number
				a.open[o.key] = o
			} else {
				delete(a.open, o.key)
			}
			if r := x.Find(o.number); r != nil {
				a.tell(l, r, r.Receivers, news, number)
			}
		}
		return nil
	})
}

// maxSaid is how many statements are made in one commit.
const maxSaid = 256

// indexOf is the ledger of a change.
func (a *alerting) indexOf(c *alert.Change) int {
	if o, open := a.open[c.Key]; open {
		return o.ledger
	}
	if c.Device == 0 {
		return a.ledgerOf[c.About]
	}
	index, _ := splitNumber(c.Device)
	return index
}

// raises is the statement that raises an alert.
func (a *alerting) raises(c *alert.Change) ledger.Statement {
	_, number := splitNumber(c.Device)
	return ledger.Alert{
		Rule: c.Rule, Device: number, Slot: a.known[c.Device].Slot, About: c.About, What: short(c.What, ledger.MaxPurpose), Receivers: c.To,
	}.Statement(0)
}

func (a *alerting) clear(ctx context.Context, o openAlert, what string) error {
	l := a.g.ledgers[o.ledger]
	n, err := l.store.AddStatement(ctx, ledger.AlertClear{Alert: o.number, What: short(what, ledger.MaxPurpose)}.Statement(0))
	if err != nil {
		return err
	}
	return l.withAlerts(func(x *ledger.Alerts) error {
		if r := x.Find(o.number); r != nil {
			a.tell(l, r, r.Receivers, ledger.NewsCleared, n)
		}
		return nil
	})
}

// short cuts a text to so many bytes of whole characters.
func short(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len("…")
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end] + "…"
}

// tell queues a notice of an alert for receivers; n is the statement that it tells of.
func (a *alerting) tell(l *openLedger, r *ledger.Raised, to []string, news string, n uint64) {
	x := alert.Notice{
		ID: fmt.Sprintf("%.16s-%d", l.store.Ledger().String(), n), News: news, Site: l.site(),
		Alert: r.Number, Rule: r.Rule, About: r.About, What: r.What, At: timeText(r.At),
	}
	x.Device, x.DeviceID = l.nameOf(r.Device)
	if b, ok := l.store.Device(r.Device); ok && r.Device != 0 {
		x.Place, x.Thing = b.Place, b.Thing
	}
	switch news {
	case ledger.NewsAcknowledged:
		for _, k := range r.Acks {
			if k.Number == n {
				x.At, x.By, x.What = timeText(k.At), k.Said.Name, k.Said.Note
			}
		}
	case ledger.NewsCleared:
		x.At, x.What = timeText(r.Cleared.At), r.Cleared.Said.What
	}
	for _, name := range to {
		a.outbox.Add(name, x)
	}
	a.g.alertChanged(l, r, news)
}

// tellRest queues, after a start, what receivers have not taken of an alert.
func (a *alerting) tellRest(l *openLedger, r *ledger.Raised, now time.Time) {
	oldest := now.Add(-tellAgain).UnixMilli()
	for _, to := range r.Receivers {
		one := []string{to}
		if !r.Was(to, ledger.NewsRaised) && r.At >= oldest {
			a.tell(l, r, one, ledger.NewsRaised, r.Number)
		}
		taken := 0
		for _, s := range r.Sent {
			if s.Said.Receiver == to && s.Said.News == ledger.NewsAcknowledged {
				taken++
			}
		}
		for _, k := range r.Acks[min(taken, len(r.Acks)):] {
			if k.At >= oldest {
				a.tell(l, r, one, ledger.NewsAcknowledged, k.Number)
			}
		}
		if r.Cleared != nil && !r.Was(to, ledger.NewsCleared) && r.Cleared.At >= oldest {
			a.tell(l, r, one, ledger.NewsCleared, r.Cleared.Number)
		}
	}
}

// taken notes that a receiver took a notice, which sayTaken records.
func (a *alerting) taken(receiver string, n alert.Notice, _ time.Time) {
	a.sent.mu.Lock()
	a.sent.waiting = append(a.sent.waiting, sentNotice{n.Site, ledger.AlertSent{Alert: n.Alert, Receiver: receiver, News: n.News}})
	a.sent.mu.Unlock()
	select {
	case a.sent.wake <- struct{}{}:
	default:
	}
}

// sentNotices are those of which no statement tells yet.
type sentNotices struct {
	wake    chan struct{}
	mu      sync.Mutex
	waiting []sentNotice // under mu
}

type sentNotice struct {
	site string
	ledger.AlertSent
}

// keepTaken records what receivers took, until ctx ends. What could not be recorded is
// told again after the next start.
func (a *alerting) keepTaken(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.sent.wake:
			a.sayTaken()
		}
	}
}

func (a *alerting) sayTaken() {
	a.sent.mu.Lock()
	waiting := a.sent.waiting
	a.sent.waiting = nil
	a.sent.mu.Unlock()
	for _, l := range a.g.ledgers {
		var all []ledger.Statement
		for i := range waiting {
			if waiting[i].site == l.site() {
				all = append(all, waiting[i].Statement(0))
			}
		}
		for some := range slices.Chunk(all, maxSaid) {
			ctx, cancel := context.WithTimeout(context.Background(), sayWithin)
			_, err := l.store.AddStatements(ctx, some)
			cancel()
			if err != nil && !errors.Is(err, store.ErrClosed) {
				l.log.Warn("that alerts were delivered could not be recorded", "notices", len(some), "error", err)
			}
		}
	}
}

// site is what notices call the ledger.
func (l *openLedger) site() string { return l.store.Ledger().String() + " " + l.cfg.Name }

// event takes an event of intake.
func (a *alerting) event(e ingest.Event) {
	x := alert.Event{Device: e.Device, Detail: e.Detail}
	switch e.Kind {
	case ingest.EventReboot:
		x.Kind = alert.EventReboot
	case ingest.EventReplay:
		x.Kind = alert.EventReplay
	case ingest.EventConflict, ingest.EventBadTag, ingest.EventInClear, ingest.EventHubAuth:
		x.Kind, x.Detail = alert.EventForgery, string(e.Kind)+" "+e.Detail
	case ingest.EventDown, ingest.EventUp:
		x.Kind, x.About, x.Over = alert.EventSource, e.Source, e.Kind == ingest.EventUp
	default:
		return
	}
	if e.Count > 1 {
		x.Detail += fmt.Sprintf(" (%d times)", e.Count)
	}
	a.change(context.Background(), func(out []alert.Change) []alert.Change { return append(out, a.machine.Event(x, e.At)...) })
}

// look looks at what the gateway knows of itself.
func (a *alerting) look(at time.Time) (out []alert.Change) {
	is := func(kind, about string, index int, wrong bool, detail string) {
		key := kind
		if about != "" {
			key += " " + about
		}
		a.ledgerOf[key] = index
		out = append(out, a.machine.Event(alert.Event{Kind: kind, About: about, Detail: detail, Over: !wrong}, at)...)
	}
	clock := a.g.cfg.clock()
	is(alert.EventClock, "", 0, clock != reading.Synced, "it is "+clock.String())
	for i, l := range a.g.ledgers {
		name := ""
		if a.g.several() {
			name = l.cfg.Name
		}
		st := l.store.Status()
		is(alert.EventDisk, name, i, st.DiskFull || st.DiskFree > 0 && st.DiskFree < diskTimes*a.g.cfg.MinFree, fmt.Sprintf("%d MiB free", st.DiskFree>>20))
		for j := range l.routes {
			s := l.routeStatus(j)
			about := s.Route
			if name != "" {
				about = name + " " + about
			}
			// After a start what is not known yet has not begun, and is not over.
			if s.Late || !s.Unseen {
				is(alert.EventAnchor, about, i, s.Late, s.Reason)
			}
			if s.RunwayDays >= 0 {
				is(alert.EventWallet, about, i, s.FundsLow, fmt.Sprintf("good for %.1f days, %d anchors", s.RunwayDays, s.Balance/s.PerAnchor))
			}
		}
	}
	return out
}

// readMutes takes in the maintenance that was announced.
func (a *alerting) readMutes() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.setMutes()
}

func (a *alerting) setMutes() error {
	var all []alert.Mute
	for _, l := range a.g.ledgers {
		err := l.withAlerts(func(x *ledger.Alerts) error {
			for _, m := range x.Mutes() {
				if m.Ended == 0 {
					all = append(all, alert.Mute{Rules: m.Rules, Devices: m.Devices, From: time.UnixMilli(m.From), Until: time.UnixMilli(m.Until)})
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	a.machine.SetMutes(all)
	return nil
}

// receivers says how the receivers do.
func (a *alerting) receivers() []receiverStateRow {
	all := []receiverStateRow{}
	for _, s := range a.outbox.Status() {
		row := receiverStateRow{Name: s.Name, Waiting: s.Waiting, Lost: s.Lost, Error: s.Error}
		if !s.Failing.IsZero() {
			row.Failing = s.Failing.UTC().Format(time.RFC3339)
		}
		all = append(all, row)
	}
	return all
}

// failing says which receivers take nothing.
func (a *alerting) failing() (all []string) {
	for _, r := range a.receivers() {
		if r.Failing != "" {
			all = append(all, fmt.Sprintf("the receiver %s takes no alert since %s, %d waiting: %s", r.Name, r.Failing, r.Waiting, r.Error))
		}
	}
	return all
}

// test gives a receiver a notice of nothing.
func (a *alerting) test(ctx context.Context, receiver string) error {
	n := a.direct[receiver]
	if n == nil {
		names := []string{}
		for name := range a.direct {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("no receiver is called %q: there are %v", receiver, names)
	}
	l, now := a.g.ledgers[0], time.Now()
	return n.Notify(ctx, alert.Notice{
		ID: fmt.Sprintf("test-%d", now.UnixMilli()), News: "test", Site: l.site(), Rule: "none", What: "a test: nothing is wrong",
		At: timeText(now.UnixMilli()),
	})
}
