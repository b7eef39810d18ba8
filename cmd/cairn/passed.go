package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// statedShred is what a shred or dropped statement says, as far as it tells why
// readings are not there.
type statedShred struct {
	number       uint64
	before       int64 // Unix ms
	compartments []string
	reason       string
	mirrors      []string // who holds it; nil: it was shredded
}

// passedOver is a stretch of a stream's readings that were shredded as a whole, or
// dropped, by one statement. Times are the borders of quarter hours.
type passedOver struct {
	Stream    uint64  `json:"stream"`
	First     uint64  `json:"first"`
	Readings  uint64  `json:"readings"`
	From      string  `json:"from"`
	To        string  `json:"to"`
	Statement *uint64 `json:"statement,omitempty"` // absent: the folder is older than its keyring
	Reason    string  `json:"reason,omitempty"`
	// HeldBy are the mirrors that have it, where it was dropped here.
	HeldBy []string `json:"heldBy,omitempty"`

	end int64 // To, in Unix ms
}

func (p *passedOver) text() string {
	if p.HeldBy != nil {
		return fmt.Sprintf("readings %d/%d to %d/%d, received from %s to %s, were dropped here by statement %d; they are held by %s",
			p.Stream, p.First, p.Stream, p.First+p.Readings-1, p.From, p.To, *p.Statement, strings.Join(p.HeldBy, ", "))
	}
	text := fmt.Sprintf("readings %d/%d to %d/%d, received from %s to %s, were shredded as a whole, ",
		p.Stream, p.First, p.Stream, p.First+p.Readings-1, p.From, p.To)
	if p.Statement == nil {
		return text + "by a statement that this folder does not have: it is an older copy"
	}
	text += fmt.Sprintf("by statement %d", *p.Statement)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// printPassed names what a list or a proof passes over.
func printPassed(w io.Writer, all []passedOver) {
	for i := range all {
		fmt.Fprintln(w, "not there:", all[i].text())
	}
}

// passedOver finds what a query for a device's readings in [from, to) ms passes
// over.
func (l *openLedger) passedOver(ctx context.Context, device uint32, from, to int64) (all []passedOver, err error) {
	for _, s := range l.store.Streams(device) {
		of, err := l.passedOf(ctx, s.Slot, from, to)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	return all, nil
}

// passedOf is passedOver for one stream.
func (l *openLedger) passedOf(ctx context.Context, slot uint64, from, to int64) (all []passedOver, err error) {
	shreds, err := l.shredsOf(slot)
	if err != nil {
		return nil, err
	}
	var at *statedShred
	err = l.store.PassedOver(ctx, slot, from, to, func(x store.Passed) error {
		by := shredBy(shreds, x.Hour)
		if n := len(all); n == 0 || by != at || all[n-1].First+all[n-1].Readings != x.First {
			p := passedOver{Stream: slot, First: x.First, From: timeText(x.Hour.Start())}
			if by != nil {
				p.Statement, p.Reason, p.HeldBy = &by.number, by.reason, by.mirrors
			}
			all, at = append(all, p), by
		}
		p := &all[len(all)-1]
		p.Readings, p.To, p.end = x.Next-p.First, timeText(x.Hour.End()), x.Hour.End()
		return nil
	})
	return all, err
}

// shredsOf are the shreddings of a stream's envelope, in order.
func (l *openLedger) shredsOf(slot uint64) (of []statedShred, err error) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if err := l.shared.read(l); err != nil {
		return nil, err
	}
	all := l.store.Compartments(slot)
	for _, s := range l.shared.shreds {
		if len(all) > 0 && slices.Contains(s.compartments, all[0].Name) {
			of = append(of, s)
		}
	}
	return of, nil
}

// shredBy is the statement by which an hour was shredded: the first that reaches it.
func shredBy(all []statedShred, h share.Hour) *statedShred {
	for i := range all {
		if h.Start() < all[i].before {
			return &all[i]
		}
	}
	return nil
}

// goneError is store.ErrShredded or ErrDropped in words that name what went.
type goneError string

func (e goneError) Error() string { return string(e) }
func (e goneError) Is(target error) bool {
	return target == store.ErrShredded || target == store.ErrDropped
}

// whyGone says, where a reading could not be read as it was shredded as a whole, by
// which statement.
func (l *openLedger) whyGone(ctx context.Context, id readingID, err error) error {
	if !gone(err) {
		return err
	}
	all, perr := l.passedOf(ctx, id.slot, 0, math.MaxInt64)
	if perr != nil {
		return err
	}
	for i := range all {
		if p := &all[i]; id.seq-p.First < p.Readings {
			return goneError(p.text())
		}
	}
	return err
}

// whyNot is whyGone for a range, which takes the summary before its first window
// too, and from when on there can be one.
func (c *completer) whyNot(ctx context.Context, slot uint64, err error) error {
	if !gone(err) {
		return err
	}
	all, perr := c.l.passedOf(ctx, slot, 0, c.to)
	if perr != nil || len(all) == 0 {
		return err
	}
	last := &all[len(all)-1]
	begin := last.end + c.l.g.cfg.Window.Milliseconds()
	if c.from >= begin {
		return err
	}
	return goneError(fmt.Sprintf("%s. What is left can be proven complete --from %s on", last.text(), timeText(begin)))
}

// noReading says that there is no reading to prove, and what there was.
func noReading(what string, gone []passedOver) error {
	if len(gone) == 0 {
		return errors.New(what)
	}
	return fmt.Errorf("%s that is left: %s", what, gone[len(gone)-1].text())
}

// stateShred notes a shredding.
func (s *sharing) stateShred(n uint64, st ledger.Statement) {
	if d, err := ledger.ShredFrom(st); err == nil {
		s.shreds = append(s.shreds, statedShred{number: n, before: d.Before, compartments: d.Compartments, reason: d.Reason})
	}
	if d, err := ledger.DroppedFrom(st); err == nil {
		s.shreds = append(s.shreds, statedShred{number: n, before: d.Before, compartments: d.Compartments, mirrors: d.Mirrors})
	}
}
