package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// shredding is a shred statement, and whose word there is that copies are gone.
type shredding struct {
	number     uint64
	at, before int64 // Unix ms
	holders    []string
	confirmed  []string
}

// open are the holders who have not confirmed.
func (s *shredding) open() []string {
	return slices.DeleteFunc(slices.Clone(s.holders), func(h string) bool { return slices.Contains(s.confirmed, h) })
}

func (k *escrowKnown) applyShred(number uint64, s ledger.Statement) {
	if d, err := ledger.ShredFrom(s); err == nil {
		k.shreds = append(k.shreds, shredding{number: number, at: s.At, before: d.Before, holders: d.Holders})
		return
	}
	c, err := ledger.ShredConfirmFrom(s)
	if err != nil {
		return
	}
	for i := range k.shreds {
		if k.shreds[i].number == c.Shred {
			k.shreds[i].confirmed = append(k.shreds[i].confirmed, c.Holder)
		}
	}
}

// confirmedBy lists the shreddings that a holder's word is about: it names that
// holder, was made before the word was given, and the word goes as far. Seconds
// are all that a word tells.
func (k *escrowKnown) confirmedBy(d *share.Destroyed) (all []*shredding) {
	for i := range k.shreds {
		s := &k.shreds[i]
		if slices.Contains(s.open(), d.Holder) && s.before <= d.Before && s.at/1000*1000 <= d.At {
			all = append(all, s)
		}
	}
	return all
}

type confirmRequest struct {
	File []byte `json:"file"`
}

type confirmRow struct {
	Shred uint64   `json:"shred"` // statement
	Open  []string `json:"open"`  // holders who have not confirmed
}

type confirmAnswer struct {
	Holder string       `json:"holder"`
	Shreds []confirmRow `json:"shreds"`
}

// confirmDestroyed records a holder's word for every shredding that it is about.
func (l *openLedger) confirmDestroyed(ctx context.Context, q confirmRequest) (confirmAnswer, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return confirmAnswer{}, err
	}
	d, text, signature, err := share.ParseDestroyed(q.File)
	if err != nil {
		return confirmAnswer{}, err
	}
	if d.Ledger != [32]byte(l.store.Ledger()) {
		return confirmAnswer{}, fmt.Errorf("it is about the ledger %x, not this one%s", d.Ledger, l.where())
	}
	signed := func(h certified) bool { return h.Name == d.Holder && share.VerifyText(text, signature, h.Key) }
	if !slices.ContainsFunc(e.known.holders, signed) {
		return confirmAnswer{}, fmt.Errorf("no holder %q of that key was ever certified%s", d.Holder, l.where())
	}
	a := confirmAnswer{Holder: d.Holder}
	for _, s := range e.known.confirmedBy(&d) {
		c := ledger.ShredConfirm{Shred: s.number, Holder: d.Holder, Text: text, Signature: signature}
		if _, err := l.store.AddStatement(ctx, c.Statement(0)); err != nil {
			return a, fmt.Errorf("record the confirmation: %w", err)
		}
		s.confirmed = append(s.confirmed, d.Holder) // the statement, when it is read, says so again
		a.Shreds = append(a.Shreds, confirmRow{Shred: s.number, Open: s.open()})
	}
	if len(a.Shreds) == 0 {
		return a, errors.New("it confirms nothing: no shredding that names this holder was before it, goes no further, and has not been confirmed")
	}
	return a, nil
}

// confirmCommand records a holder's confirmation.
func (c *command) confirmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "confirm FILE", Short: "Record a holder's signed word that copies of what was shredded are destroyed",
		Long: "Reads a confirmation from `cairn escrow destroy`, checks the holder's signature, and records it in the\n" +
			"ledger for each shredding that it is about. It is the holder's word: nothing here proves that it is true.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readSmall(args[0], 1<<16)
			if err != nil {
				return err
			}
			a, err := ask[confirmAnswer](cmd.Context(), c, "escrow/confirm", confirmRequest{File: b})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			for _, s := range a.Shreds {
				rest := "all who were named have confirmed"
				if len(s.Open) > 0 {
					rest = "not yet: " + strings.Join(s.Open, ", ")
				}
				fmt.Fprintf(c.Out, "shredding %d: %s has confirmed; %s\n", s.Shred, a.Holder, rest)
			}
			return nil
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}
