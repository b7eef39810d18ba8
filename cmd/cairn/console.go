package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/cmd/cairn/web"
	"cairn/ingest"
	"cairn/ingest/alert"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
)

// usersFile holds who may log in to the console.
const usersFile = "users.json"

// users are who may log in, read when they are first asked for.
type users struct {
	once sync.Once
	all  *web.Accounts
	err  error
}

// accounts are the gateway's users and API tokens.
func (g *gateway) accounts() (*web.Accounts, error) {
	u := &g.users
	u.once.Do(func() { u.all, u.err = web.OpenAccounts(g.cfg.path(usersFile), time.Now) })
	return u.all, u.err
}

// console answers what the pages and the API of package web ask of a running
// gateway, by the same functions as the control socket's operations.
type console struct {
	g      *gateway
	server *web.Server
	came   chan ingest.Recorded // what run tells of

	mu      sync.Mutex        // covers what follows
	newest  map[uint32]newest // by intake's number
	forgets uint64            // how often all of it was let go
}

// newest is a device's newest reading.
type newest struct {
	received int64 // 0: none
	values   []reading.Measurement
}

// newConsole makes the console; nil if there is to be none.
func newConsole(g *gateway, log *slog.Logger) (*console, error) {
	if !g.cfg.Console || g.cfg.HTTPListen == "" {
		return nil, nil
	}
	accounts, err := g.accounts()
	if err != nil {
		return nil, err
	}
	c := &console{g: g, came: make(chan ingest.Recorded, cameMost), newest: map[uint32]newest{}}
	c.server = web.NewServer(web.Config{
		Accounts: accounts, Places: c, Readings: c, Prover: c, Log: c, Sharing: c, Alerts: c, Settings: c,
		Version: version().Version, Several: g.several(), Secure: g.cfg.HTTPCertFile != "" || g.cfg.HTTPProxy, Proxy: g.cfg.HTTPProxy,
		Logger: log, Now: time.Now,
	})
	return c, nil
}

// cameMost is how many readings may wait to be told. What comes beyond that is not:
// pages look again with the next one.
const cameMost = 1024

// recorded is told of each reading, on the committer's goroutine, and never waits.
func (c *console) recorded(r ingest.Recorded) {
	c.mu.Lock()
	if last, known := c.newest[r.Device]; known && last.received <= r.Received {
		c.newest[r.Device] = newest{r.Received, r.Measurements}
	}
	c.mu.Unlock()
	if c.server.Listens() {
		select {
		case c.came <- r:
		default:
		}
	}
}

// run tells whoever looks at the console of new readings, until ctx ends.
func (c *console) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.came:
			c.tell(r)
		}
	}
}

func (c *console) tell(r ingest.Recorded) {
	index, number := splitNumber(r.Device)
	if index >= len(c.g.ledgers) {
		return
	}
	l := c.g.ledgers[index]
	b, ok := l.store.Device(number)
	if !ok {
		return
	}
	c.server.Tell(web.Event{Type: "reading", Reading: &web.NewReading{
		Ledger: l.cfg.Name, Stream: l.streamOf(b), Received: milliText(r.Received), At: r.Received, Values: valuesOf(r.Measurements),
	}})
}

// forgetRead lets go of what was read of the stores, as some of it was shredded: the
// newest readings, and proofs that wait to be downloaded.
func (g *gateway) forgetRead() {
	if g.live == nil || g.live.console == nil {
		return
	}
	c := g.live.console
	c.mu.Lock()
	clear(c.newest)
	c.forgets++
	c.mu.Unlock()
	c.server.ForgetProofs()
}

// alertChanged tells whoever looks at the console of an alert.
func (g *gateway) alertChanged(l *openLedger, r *ledger.Raised, news string) {
	if g.live == nil || g.live.console == nil {
		return
	}
	g.live.console.server.Tell(web.Event{Type: "alert", Alert: &web.ChangedAlert{
		Ledger: l.cfg.Name, Number: r.Number, Rule: r.Rule, News: news, What: r.What,
	}})
}

// some returns the named ledger, or all for "". A name that is none is not there.
func (c *console) some(ctx context.Context, name string) ([]*openLedger, error) {
	all, err := c.g.some(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", web.ErrNotFound, err)
	}
	return all, nil
}

// one returns the named ledger, or the default one for "".
func (c *console) one(ctx context.Context, name string) (*openLedger, error) {
	l, err := c.g.on(ctx, name, false)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", web.ErrNotFound, err)
	}
	return l, nil
}

func milliText(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func valuesOf(all []reading.Measurement) []web.Value {
	values := []web.Value{}
	for _, m := range all {
		if m.Name != "" { // it was shredded
			values = append(values, web.Value{Name: m.Name, Unit: m.Unit, Value: m.Value.String()})
		}
	}
	return values
}

// streamOf is the newest stream of a binding that its device sends to.
func (l *openLedger) streamOf(b ledger.Binding) uint64 {
	return newestStream(b, l.store.Streams(b.Number))
}

func newestStream(b ledger.Binding, all []store.Stream) uint64 {
	for _, s := range slices.Backward(all) {
		if !s.Late {
			return s.Slot
		}
	}
	return b.Slot
}

// newestOf finds a device's newest reading: in the store when it is first asked for,
// and then by what intake tells.
func (c *console) newestOf(ctx context.Context, index int, l *openLedger, b ledger.Binding) (newest, error) {
	joined, err := joinNumber(index, b.Number)
	if err != nil {
		return newest{}, err
	}
	c.mu.Lock()
	last, known := c.newest[joined]
	asOf := c.forgets
	if !known { // from now on intake's word counts
		c.newest[joined] = newest{}
	}
	c.mu.Unlock()
	if known {
		return last, nil
	}
	var found newest
	begin := b.From
	for _, s := range l.store.Streams(b.Number) { // of a clock that was set back
		at, err := l.beginOf(s)
		if err != nil {
			return newest{}, err
		}
		begin = min(begin, at)
	}
	err = backwards(begin, time.Now().UnixMilli()+1, func(from, to int64) (bool, error) {
		err := l.store.Query(ctx, b.Number, from, to, func(f *store.Found) (bool, error) {
			if !f.Late && f.Received >= found.received {
				found = newest{f.Received, slices.Clone(f.Measurements)}
			}
			return true, nil
		})
		return found.received == 0, err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && !gone(err):
		delete(c.newest, joined)
		return newest{}, err
	case c.forgets != asOf: // some may have been shredded since it was read
		delete(c.newest, joined)
		return newest{}, nil
	case c.newest[joined].received < found.received:
		c.newest[joined] = found
	}
	return c.newest[joined], nil
}

// openOn are a device's alerts that are not cleared.
type openOn struct {
	open, known []*ledger.Raised
}

// Devices implements [web.Places].
func (c *console) Devices(ctx context.Context, who web.Who, name string) ([]web.Device, error) {
	chosen, err := c.some(ctx, name)
	if err != nil {
		return nil, err
	}
	all := []web.Device{}
	for _, l := range chosen {
		var of []web.Device
		if who.Role == web.Audience {
			of, err = c.granted(ctx, l, who)
		} else {
			of, err = c.devices(ctx, l)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	return all, nothingOf(who, name, len(all))
}

// nothingOf is what an audience is told of a ledger that it named, and has nothing of:
// the same as of one that is not there.
func nothingOf(who web.Who, name string, n int) error {
	if who.Role == web.Audience && name != "" && n == 0 {
		return web.ErrNotFound
	}
	return nil
}

// devices are a ledger's bindings as the site's own people see them.
func (c *console) devices(ctx context.Context, l *openLedger) (all []web.Device, err error) {
	index := slices.Index(c.g.ledgers, l)
	alerts, err := l.openAlertsOf()
	if err != nil {
		return nil, err
	}
	streams := map[uint32][]store.Stream{}
	for _, s := range l.store.AllStreams() {
		streams[s.Device] = append(streams[s.Device], s)
	}
	for _, b := range l.store.Devices() {
		d := web.Device{
			Ledger: l.cfg.Name, Stream: newestStream(b, streams[b.Number]), Streams: []uint64{}, ID: b.Device(), Number: b.Number, Name: b.Name, Place: b.Place, Thing: b.Thing,
			Kind: b.Kind, From: timeText(b.From),
		}
		for _, s := range streams[b.Number] {
			d.Streams = append(d.Streams, s.Slot)
		}
		if b.Closed {
			d.Until = timeText(b.Until)
			all = append(all, d)
			continue
		}
		last, err := c.newestOf(ctx, index, l, b)
		if err != nil {
			return nil, err
		}
		if last.received > 0 {
			d.Received, d.Values = milliText(last.received), valuesOf(last.values)
		}
		d.State, d.Why = c.stateOf(b, last, alerts[b.Number], time.Now())
		d.Thresholds = c.thresholds(b)
		all = append(all, d)
	}
	return all, nil
}

// openAlertsOf are the ledger's alerts that are not cleared, by device; those of no
// device by 0.
func (l *openLedger) openAlertsOf() (map[uint32]*openOn, error) {
	all := map[uint32]*openOn{}
	err := l.withAlerts(func(x *ledger.Alerts) error {
		for _, r := range x.All() {
			if r.Cleared != nil {
				continue
			}
			on := all[r.Device]
			if on == nil {
				on = &openOn{}
				all[r.Device] = on
			}
			copied := *r
			if len(r.Acks) > 0 {
				on.known = append(on.known, &copied)
			} else {
				on.open = append(on.open, &copied)
			}
		}
		return nil
	})
	return all, err
}

// silentAfter is when a device counts as silent that no rule about silence is on.
const silentAfter = time.Hour

// stateOf says how a device does, and why it is not well.
func (c *console) stateOf(b ledger.Binding, last newest, on *openOn, now time.Time) (state, why string) {
	if on != nil && len(on.open) > 0 {
		r := on.open[0]
		return web.StateAlarm, r.Rule + ": " + r.What
	}
	subject := subjectOf(b)
	quiet := silentAfter
	for i := range c.g.cfg.Alerts {
		r := &c.g.cfg.Alerts[i]
		if !r.Watches(subject) {
			continue
		}
		for _, m := range last.values {
			if m.Name == r.Field && r.Beyond(m.Value) {
				return web.StateWarm, fmt.Sprintf("%s: %s is %s", r.Name, m.Name, strings.TrimSpace(m.Value.String()+" "+m.Unit))
			}
		}
		if r.Silence > 0 {
			quiet = r.Silence
		}
	}
	if on != nil {
		for _, r := range on.known {
			if c.aboutValues(r.Rule) {
				return web.StateWarm, r.Rule + ": " + r.What
			}
		}
	}
	switch since := now.Sub(time.UnixMilli(max(last.received, b.From))); {
	case since < quiet:
		return web.StateOK, ""
	case last.received == 0:
		return web.StateSilent, "nothing has come since it was added"
	default:
		return web.StateSilent, "nothing came since " + timeText(last.received)
	}
}

func subjectOf(b ledger.Binding) alert.Subject {
	return alert.Subject{ID: b.Device(), Name: b.Name, Place: b.Place, Thing: b.Thing}
}

// aboutValues reports whether a rule is about what was measured.
func (c *console) aboutValues(rule string) bool {
	return slices.ContainsFunc(c.g.cfg.Alerts, func(r alert.Rule) bool { return r.Name == rule && r.Field != "" })
}

func (c *console) thresholds(b ledger.Binding) (all []web.Threshold) {
	subject := subjectOf(b)
	for i := range c.g.cfg.Alerts {
		r := &c.g.cfg.Alerts[i]
		above, below := r.Above.Kind != reading.KindNone, r.Below.Kind != reading.KindNone
		if !above && !below || !r.Watches(subject) {
			continue
		}
		t := web.Threshold{Rule: r.Name, Field: r.Field}
		if above {
			t.Above = r.Above.String()
		}
		if below {
			t.Below = r.Below.String()
		}
		all = append(all, t)
	}
	return all
}

// Overview implements [web.Places].
func (c *console) Overview(ctx context.Context) (web.Overview, error) {
	h := c.g.health(c.g.ledgers)
	o := web.Overview{
		Version: version().Version, Now: timeText(time.Now().UnixMilli()), Health: h.Status, Clock: c.g.cfg.clock().String(),
		Counts: map[string]int{}, Places: []web.Place{}, Needs: []web.Need{},
	}
	if c.g.live != nil {
		o.Since = timeText(c.g.live.started.UnixMilli())
	}
	for _, s := range web.States {
		o.Counts[s] = 0
	}
	for _, l := range c.g.ledgers {
		devices, err := c.devices(ctx, l)
		if err != nil {
			return o, err
		}
		o.Places = addPlaces(o.Places, devices)
		needs, err := l.needs()
		if err != nil {
			return o, err
		}
		o.Needs = append(o.Needs, needs...)
	}
	slices.SortStableFunc(o.Places, func(a, b web.Place) int {
		return cmp.Or(worseState(b.State, a.State), strings.Compare(a.Name, b.Name))
	})
	for _, p := range o.Places {
		o.Counts[p.State]++
	}
	for _, r := range h.Reasons {
		o.Needs = append(o.Needs, web.Need{What: r})
	}
	return o, nil
}

// worseState compares states, the worse one later.
func worseState(a, b string) int {
	return cmp.Compare(slices.Index(web.States, a), slices.Index(web.States, b))
}

// addPlaces puts devices that are in use at their places.
func addPlaces(places []web.Place, devices []web.Device) []web.Place {
	for _, d := range devices {
		if d.Until != "" {
			continue
		}
		name := cmp.Or(d.Place, d.Name, d.ID)
		i := slices.IndexFunc(places, func(p web.Place) bool { return p.Name == name })
		if i < 0 {
			i = len(places)
			places = append(places, web.Place{Name: name, State: web.StateOK})
		}
		p := &places[i]
		p.Devices = append(p.Devices, d)
		if worseState(d.State, p.State) > 0 {
			p.State = d.State
		}
	}
	return places
}

// needs are the alerts that nobody has acknowledged.
func (l *openLedger) needs() (all []web.Need, err error) {
	open, err := l.openAlertsOf()
	if err != nil {
		return nil, err
	}
	for _, on := range open {
		for _, r := range on.open {
			n := web.Need{What: r.Rule + ": " + r.What, Since: timeText(r.At), Ledger: l.cfg.Name, Alert: r.Number}
			if b, ok := l.store.Device(r.Device); ok && r.Device != 0 {
				stream := int64(l.streamOf(b))
				n.Stream = &stream
				n.What = cmp.Or(b.Name, b.Device()) + ": " + n.What
				if b.Place != "" {
					n.What = b.Place + ", " + n.What
				}
			}
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b web.Need) int { return cmp.Compare(a.Alert, b.Alert) })
	return all, nil
}

// Check implements [web.Settings]: the configuration as it lies in the folder, as
// `cairn run --check` reads it, but for the keyring, which is open.
func (c *console) Check(context.Context) (web.Check, error) {
	a := web.Check{Problems: []string{}, Facts: []string{}}
	cfg, err := loadConfig(c.g.cfg.Dir, nil, os.Environ())
	if err == nil {
		err = cfg.checkFiles()
	}
	var wrong configError
	switch {
	case errors.As(err, &wrong):
		for _, e := range wrong.errs {
			a.Problems = append(a.Problems, e.Error())
		}
	case err != nil:
		a.Problems = append(a.Problems, err.Error())
	default:
		a.OK = true
		a.Facts = cfg.facts()
	}
	return a, nil
}

// facts are what a configuration sets up, in words.
func (c *Config) facts() []string {
	routes := 0
	for i := range c.Ledgers {
		routes += len(c.Ledgers[i].Anchors)
	}
	all := []string{
		"a window lasts " + shortDuration(c.Window),
		fmt.Sprintf("%d %s, %d %s to a chain", len(c.Ledgers), plural(len(c.Ledgers), "ledger"), routes, plural(routes, "route")),
		fmt.Sprintf("%d %s for alerts, %d %s", len(c.Alerts), plural(len(c.Alerts), "rule"), len(c.Receivers), plural(len(c.Receivers), "receiver")),
		fmt.Sprintf("%d line %s, %d %s over HTTP, %d %s of MQTT", len(c.Lines), plural(len(c.Lines), "source"), len(c.Senders), plural(len(c.Senders), "sender"), len(c.Brokers), plural(len(c.Brokers), "broker")),
	}
	if c.UDPListen != "" {
		all = append(all, "frames come by UDP to "+c.UDPListen)
	}
	for i := range c.Ledgers {
		if l := &c.Ledgers[i]; len(l.Anchors) == 0 {
			all = append(all, l.prefix()+"no route is configured: nothing will be anchored"+l.unnoticed())
		}
	}
	return append(all, "what is changed there counts from the next start of the service on")
}
