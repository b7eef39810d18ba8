package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"cairn/anchor"
	"cairn/cmd/cairn/web"
	"cairn/merkle/ledger"
)

// Batches implements [web.Log].
func (c *console) Batches(ctx context.Context, who web.Who, q web.BatchesQuery) (page web.BatchesPage, err error) {
	page.Batches = []web.Batch{}
	l, err := c.one(ctx, q.Ledger)
	if err != nil {
		return page, err
	}
	if err := l.seenBy(who); err != nil {
		return page, err
	}
	size := l.store.LogSize()
	if q.Before != nil {
		size = min(size, *q.Before)
	}
	final, pending := l.reached()
	for size > 0 && len(page.Batches) < q.Limit {
		size--
		b, err := l.batchOf(who, size)
		if err != nil {
			return page, err
		}
		switch {
		case size < final:
			b.State = web.AnchorFinal
		case size < pending:
			b.State = web.AnchorPending
		}
		b.Header = ""
		page.Batches = append(page.Batches, b)
	}
	if size > 0 {
		page.Next = &size
	}
	return page, nil
}

// Batch implements [web.Log].
func (c *console) Batch(ctx context.Context, who web.Who, name string, index uint64) (b web.Batch, err error) {
	l, err := c.one(ctx, name)
	if err != nil {
		return b, err
	}
	if err := l.seenBy(who); err != nil {
		return b, err
	}
	if index >= l.store.LogSize() {
		return b, fmt.Errorf("%w: batch %d%s", web.ErrNotFound, index, l.where())
	}
	if b, err = l.batchOf(who, index); err != nil {
		return b, err
	}
	b.State, b.Anchors, err = l.coverings(index)
	return b, err
}

// seenBy refuses an audience that no grant opens this ledger to.
func (l *openLedger) seenBy(who web.Who) error {
	x, err := l.lens(who)
	if err == nil && x != nil && len(x.spans(ledgerCompartment)) == 0 {
		err = web.ErrNotFound
	}
	return err
}

// reached is how many batches the furthest route holds, finally and at least in a block.
func (l *openLedger) reached() (final, pending uint64) {
	for _, r := range l.routes {
		s := r.Status()
		if s.LastFinal != nil {
			final = max(final, s.LastFinal.Size)
		}
		if s.Pending != nil && s.Pending.State == anchor.Included {
			pending = max(pending, s.Pending.Size)
		}
	}
	return final, pending
}

// batchOf tells of a batch; to an audience what is public of it.
func (l *openLedger) batchOf(who web.Who, index uint64) (web.Batch, error) {
	b := web.Batch{Ledger: l.cfg.Name, Index: index, State: web.AnchorLogged}
	item, err := l.store.Header(index)
	if err != nil {
		return b, err
	}
	h, err := ledger.ParseHeader(item)
	if err != nil {
		return b, err
	}
	b.From, b.To, b.Root, b.Header = timeText(h.From), timeText(h.To), h.Root.String(), hex.EncodeToString(item)
	for i := range h.Seen {
		s := &h.Seen[i]
		b.Seen = append(b.Seen, web.Block{Route: s.Route, Height: s.Height, Hash: "0x" + s.Hash.String(), Time: timeText(s.Time)})
	}
	if who.Role == web.Audience {
		return b, nil
	}
	e, err := l.store.Batch(index)
	if err != nil {
		return b, err
	}
	counts, err := ledger.ParseCounts(e.Hidden[ledger.HiddenCounts].Item)
	if err != nil {
		return b, err
	}
	b.Readings, b.Streams, b.Missed = &counts.Readings, &counts.Streams, &counts.Missed
	if tree, err := ledger.ParseStatementsHead(e.Hidden[ledger.HiddenStatements].Item); err == nil {
		b.Statements = &tree.Size
	}
	return b, nil
}

// Anchors implements [web.Log].
func (c *console) Anchors(ctx context.Context, name string) ([]web.LedgerAnchors, error) {
	chosen, err := c.some(ctx, name)
	if err != nil {
		return nil, err
	}
	all := []web.LedgerAnchors{}
	for _, l := range chosen {
		h, st := l.health(), l.store.Status()
		a := web.LedgerAnchors{
			Ledger: l.cfg.Name, ID: st.Ledger, Batches: st.Batches, Signed: st.Signed, Held: st.Held, Rollback: h.Rollback, Routes: []web.AnchorRoute{},
		}
		if len(l.cfg.Anchors) > 0 {
			a.Quorum = l.cfg.Quorum
		}
		for i := range l.routes {
			a.Routes = append(a.Routes, l.anchorRoute(i))
		}
		all = append(all, a)
	}
	return all, nil
}

func (l *openLedger) anchorRoute(i int) web.AnchorRoute {
	unit := l.cfg.Anchors[i].unit()
	s := routeOf(l.routeStatus(i), unit)
	r := web.AnchorRoute{
		Route: s.Route, Healthy: s.Healthy, State: s.State, Reason: s.Reason, Notes: append(s.Notes, l.places[i].notes()...),
		Oldest: s.Oldest, OldestAge: s.OldestAge, Next: s.Next, Rule: s.Rule, Money: spending(s.Money), Anchors: []web.Anchor{},
	}
	for _, a := range s.Alarms {
		text := fmt.Sprintf("%s: heads of %d to %d batches: %s", a.At, a.From, a.To, a.What)
		if a.Covered {
			text += " (a later anchor proves the same)"
		}
		r.Undone = append(r.Undone, text)
	}
	for _, a := range slices.Backward(l.routes[i].Anchors()) {
		x := anchorOfStatus(&a)
		row := web.Anchor{Size: x.Batches, Root: x.Root, State: x.State, Tx: x.Tx, Height: x.Block, Hash: x.Hash, Time: x.Time}
		cost := anchor.Amount(0)
		for j := range a.Attempts {
			cost += a.Attempts[j].Cost
		}
		if cost > 0 && unit != "" {
			row.Fee = amountText(cost, unit)
		}
		r.Anchors = append(r.Anchors, row)
	}
	return r
}

func spending(m *moneyStatus) *web.Money {
	if m == nil {
		return nil
	}
	w := &web.Money{Spent: amountText(m.SpentMonth, m.Unit), RunwayDays: m.RunwayDays}
	if m.MonthlyBudget > 0 {
		w.Monthly = amountText(m.MonthlyBudget, m.Unit)
	}
	if m.PerAnchor != nil {
		w.PerAnchor = amountText(*m.PerAnchor, m.Unit)
	}
	if m.Balance != nil {
		w.Balance = amountText(*m.Balance, m.Unit)
	}
	if m.TopUp != nil {
		w.TopUp, w.Address = m.TopUp.Text, m.TopUp.Address
	}
	return w
}

// Grants implements [web.Sharing].
func (c *console) Grants(ctx context.Context, who web.Who, name string) ([]web.Grant, error) {
	chosen, err := c.some(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := c.g.listGrantsOf(chosen, grantsRequest{})
	if err != nil {
		return nil, err
	}
	all := []web.Grant{}
	for i := range rows {
		r := &rows[i]
		g := web.Grant{
			Ledger: r.Ledger, Number: r.Number, Audience: r.Audience, Purpose: r.Purpose, State: r.State, InForce: r.InForce, Mirror: r.Mirror,
			Compartments: r.Compartments, From: r.From, Until: r.Until, Access: r.Access, OpensFrom: r.OpensFrom, OpensUntil: r.OpensUntil,
			Ended: r.Ended, Reason: r.Reason,
		}
		if who.Role == web.Audience {
			if r.Audience != who.Audience {
				continue
			}
			g.Reason = "" // stands in a statement, which no grant opens
		}
		all = append(all, g)
	}
	slices.SortStableFunc(all, func(a, b web.Grant) int {
		return cmp.Or(-cmp.Compare(yesFirst(a.InForce), yesFirst(b.InForce)), -cmp.Compare(a.Number, b.Number))
	})
	return all, nothingOf(who, name, len(all))
}

func yesFirst(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Copies implements [web.Sharing].
func (c *console) Copies(ctx context.Context, name string) ([]web.LedgerCopies, error) {
	chosen, err := c.some(ctx, name)
	if err != nil {
		return nil, err
	}
	all := []web.LedgerCopies{}
	for _, l := range chosen {
		s, err := l.sharingStatus(true)
		if err != nil {
			return nil, err
		}
		copies := web.LedgerCopies{Ledger: l.cfg.Name, Mirrors: []web.Mirror{}, Witnesses: []web.Witness{}}
		for i := range s.Mirrors {
			m := &s.Mirrors[i]
			copies.Mirrors = append(copies.Mirrors, web.Mirror{Grant: m.Grant, Audience: m.Audience, Seen: m.Seen, Quiet: m.unseen()})
		}
		for _, w := range l.witnessHealth() {
			copies.Witnesses = append(copies.Witnesses, web.Witness{Name: w.Name, Healthy: w.Healthy, Size: w.Batches, Reason: w.Reason})
		}
		all = append(all, copies)
	}
	return all, nil
}

// Alerts implements [web.Alerts].
func (c *console) Alerts(ctx context.Context, name string, every bool) (web.AlertList, error) {
	list := web.AlertList{Alerts: []web.Alert{}, Maintenance: []web.Mute{}, Receivers: []web.Receiver{}}
	chosen, err := c.some(ctx, name)
	if err != nil {
		return list, err
	}
	a, err := c.g.listAlerts(ctx, name, alertsRequest{All: every})
	if err != nil {
		return list, err
	}
	for _, l := range chosen {
		for i := range a.Alerts {
			if a.Alerts[i].Ledger == l.cfg.Name {
				list.Alerts = append(list.Alerts, l.alertWords(&a.Alerts[i]))
			}
		}
	}
	for i := range a.Mutes {
		list.Maintenance = append(list.Maintenance, muteWords(&a.Mutes[i]))
	}
	for _, r := range a.Receivers {
		list.Receivers = append(list.Receivers, web.Receiver{Name: r.Name, Waiting: r.Waiting, Failing: r.Failing, Error: r.Error})
	}
	return list, nil
}

func (l *openLedger) alertWords(r *alertRow) web.Alert {
	a := web.Alert{
		Ledger: r.Ledger, Number: r.Number, Rule: r.Rule, State: r.State, Device: r.Device, About: r.About, What: r.What, Raised: r.Raised,
		Told: []web.Told{}, Untold: r.Untold, Cleared: r.Cleared, Why: r.Why,
	}
	for _, t := range r.Told {
		a.Told = append(a.Told, web.Told(t))
	}
	for _, k := range r.Acks {
		a.Acks = append(a.Acks, web.Ack(k))
	}
	if r.Device == "" {
		return a
	}
	_ = l.withAlerts(func(x *ledger.Alerts) error { // it was read to make the row
		if raised := x.Find(r.Number); raised != nil {
			stream := int64(raised.Slot)
			a.Stream = &stream
		}
		return nil
	})
	return a
}

func muteWords(m *muteRow) web.Mute {
	return web.Mute{Ledger: m.Ledger, Number: m.Number, Rules: m.Rules, Devices: m.Devices, From: m.From, Until: m.Until, Name: m.Name, Reason: m.Reason}
}

// Acknowledge implements [web.Alerts].
func (c *console) Acknowledge(ctx context.Context, name string, number uint64, by, note string) (web.Alert, error) {
	l, err := c.one(ctx, name)
	if err != nil {
		return web.Alert{}, err
	}
	if len(note) > ledger.MaxPurpose {
		return web.Alert{}, fmt.Errorf("%w: a note has at most %d bytes", web.ErrBad, ledger.MaxPurpose)
	}
	err = l.withAlerts(func(x *ledger.Alerts) error {
		if x.Find(number) == nil {
			return fmt.Errorf("%w: no alert %d%s", web.ErrNotFound, number, l.where())
		}
		return nil
	})
	if err != nil {
		return web.Alert{}, err
	}
	row, err := l.acknowledge(ctx, ackRequest{Alert: number, Name: by, Note: note})
	if err != nil {
		return web.Alert{}, err
	}
	return l.alertWords(&row), nil
}

// Mute implements [web.Alerts].
func (c *console) Mute(ctx context.Context, name, by string, q web.MuteRequest) (web.Mute, error) {
	l, err := c.one(ctx, name)
	if err != nil {
		return web.Mute{}, err
	}
	if most := int(maxMute / time.Minute); q.Minutes < 1 || q.Minutes > most {
		return web.Mute{}, fmt.Errorf("%w: maintenance lasts 1 to %d minutes", web.ErrBad, most)
	}
	row, err := l.muteAlerts(ctx, muteRequest{
		Rules: q.Rules, Devices: q.Devices, Until: time.Now().Add(time.Duration(q.Minutes) * time.Minute).UnixMilli(), Name: by, Reason: q.Reason,
	})
	if err != nil && l.store.Dead() == nil {
		err = fmt.Errorf("%w: %w", web.ErrBad, err)
	}
	return muteWords(&row), err
}

// Unmute implements [web.Alerts].
func (c *console) Unmute(ctx context.Context, name string, number uint64) (web.Mute, error) {
	l, err := c.one(ctx, name)
	if err != nil {
		return web.Mute{}, err
	}
	row, err := l.unmuteAlerts(ctx, unmuteRequest{Number: number})
	if err != nil && l.store.Dead() == nil {
		err = fmt.Errorf("%w: %w", web.ErrNotFound, err)
	}
	return muteWords(&row), err
}
