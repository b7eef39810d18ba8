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
	number    uint64
	at        int64 // Unix ms
	said      ledger.Shred
	holders   []string // who may have copies: those it names, and the audiences of then
	confirmed []string
}

// open are the holders who have not confirmed.
func (s *shredding) open() []string {
	return slices.DeleteFunc(slices.Clone(s.holders), func(h string) bool { return slices.Contains(s.confirmed, h) })
}

func (k *escrowKnown) applyShred(number uint64, s ledger.Statement) {
	if d, err := ledger.ShredFrom(s); err == nil {
		x := shredding{number: number, at: s.At, said: d, holders: slices.Clone(d.Holders)}
		for _, c := range k.copies(d.Compartments, d.Before) {
			if !k.public(c.name) && !slices.Contains(x.holders, c.name) {
				x.holders = append(x.holders, c.name)
			}
		}
		k.shreds = append(k.shreds, x)
		return
	}
	c, err := ledger.ShredConfirmFrom(s)
	if err != nil {
		return
	}
	for i := range k.shreds {
		if x := &k.shreds[i]; x.number == c.Shred && !slices.Contains(x.confirmed, c.Holder) {
			x.confirmed = append(x.confirmed, c.Holder)
		}
	}
}

// public reports whether every reader of the ledger knows somebody as a holder, and
// not as an audience alone.
func (k *escrowKnown) public(name string) bool {
	return slices.ContainsFunc(k.holders, func(h certified) bool { return h.Name == name && h.Kind != ledger.HolderAudience })
}

// copyOf is what somebody may have of what is shredded.
type copyOf struct{ name, what string }

// copies lists who may have copies of what some compartments had before a time, or
// keys of it, as the statements tell up to here.
func (k *escrowKnown) copies(compartments []string, before int64) (all []copyOf) {
	for _, h := range k.holders {
		what := map[string]string{
			ledger.HolderEscrow: "shares of the escrowed keys", ledger.HolderMirror: "a copy of what is sealed",
			ledger.HolderBackup: "backups of the site", ledger.HolderAudience: "keys that were granted",
		}[h.Kind]
		if h.ended {
			what += " of before the end of that"
		}
		all = append(all, copyOf{h.Name, what})
	}
	for _, g := range k.grants.All() {
		some := slices.ContainsFunc(compartments, func(c string) bool { return slices.Contains(g.Compartments, c) })
		switch {
		case g.From >= before:
		case some:
			all = append(all, copyOf{g.Audience, fmt.Sprintf("the keys of such hours from %s on, by grant %d", timeText(g.From), g.Number)})
		case g.Mirror:
			all = append(all, copyOf{g.Audience, fmt.Sprintf("a mirror, by grant %d", g.Number)})
		}
	}
	return all
}

// confirmedBy lists the shreddings that a holder's word is about: that holder may
// have copies, it was made before the word was given, and the word goes as far.
// Seconds are all that a word tells.
func (k *escrowKnown) confirmedBy(d *share.Destroyed) (all []*shredding) {
	for i := range k.shreds {
		s := &k.shreds[i]
		if slices.Contains(s.open(), d.Holder) && s.said.Before <= d.Before && s.at/1000*1000 <= d.At {
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
		named := e.known.public(d.Holder) && slices.Contains(s.said.Holders, d.Holder)
		c := ledger.ShredConfirm{Shred: s.number, Holder: d.Holder, Text: text, Signature: signature, Audience: !named}
		if _, err := l.store.AddStatement(ctx, c.Statement(0)); err != nil {
			return a, fmt.Errorf("record the confirmation: %w", err)
		}
		s.confirmed = append(s.confirmed, d.Holder) // the statement, when it is read, says so again
		a.Shreds = append(a.Shreds, confirmRow{Shred: s.number, Open: s.open()})
	}
	if len(a.Shreds) == 0 {
		return a, errors.New("it confirms nothing: no shredding of what this holder may have was before it, goes no further, and has not been confirmed")
	}
	return a, nil
}

// confirmCommand records a holder's confirmation.
func (c *command) confirmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "confirm FILE", Short: "Record a holder's signed word that copies of what was shredded are destroyed",
		Long: "Reads a confirmation from `cairn escrow destroy`, checks the holder's signature, and records it in the\n" +
			"ledger for each shredding that it is about. It is the holder's word: nothing here proves that it is true.\n" +
			"What an audience signs is as hidden from the others as its grant.",
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
				rest := "all who may have copies have confirmed"
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
