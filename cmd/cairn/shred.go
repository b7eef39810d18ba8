package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// shredTruth is what every shredding is worth.
const shredTruth = "What shredding does: this site forgets the keys of those quarter hours, and nobody who has its disk and its\n" +
	"keyring from then on, old tables included, can read or guess what stood there. What is left is proven as before.\n\n" +
	"What it does not do: it takes nothing back from others. Who was granted those hours, holds enough shares\n" +
	"of the escrowed keys, or has an earlier copy of keyring.cairn with what opens it, can still read every copy\n" +
	"of the data: a mirror's, a backup's, or what was published on IPFS, which nobody can delete everywhere.\n" +
	"They are named here, and asked to confirm; a confirmation is their word, not a proof. The statement in the\n" +
	"ledger is public: all audiences read what was shredded, the reason, and the holders of shares,\n" +
	"mirrors and backups that are certified, but no audience's name.\n" +
	"How many readings came and when stays known with the envelope, as does about how long what was sealed is.\n" +
	"Copies of the site's folder of before do not open with the keyring of after: make new backups of both."

// shredRequest says what to shred.
type shredRequest struct {
	Compartments []string `json:"compartments,omitempty"` // names, or stream/3/*
	Devices      []string `json:"devices,omitempty"`
	Fields       []string `json:"fields,omitempty"` // with Devices: the compartments of these alone
	Before       int64    `json:"before"`           // Unix ms, rounded down to a quarter hour
	Reason       string   `json:"reason,omitempty"`
	Do           bool     `json:"do,omitempty"` // else only say what would go
}

// shredAnswer is what goes or went, and who may have copies.
type shredAnswer struct {
	Compartments []string           `json:"compartments"`
	Before       string             `json:"before"`
	Notes        []string           `json:"notes,omitempty"`
	Holders      []string           `json:"holders"` // names; the statement has no audience's
	Copies       []string           `json:"copies"`  // who has what, in words
	Done         *store.ShredReport `json:"done,omitempty"`
}

// planShred finds out what a request means, and does it if it says so.
func (l *openLedger) planShred(ctx context.Context, q shredRequest) (shredAnswer, error) {
	a := shredAnswer{Holders: []string{}, Copies: []string{}}
	before, err := share.HourOf(q.Before)
	if err != nil {
		return a, fmt.Errorf("--before: %w", err)
	}
	a.Before = timeText(before.Start())
	chosen := map[string]bool{}
	for _, name := range q.Compartments {
		if err := l.choose(chosen, name, true); err != nil {
			return a, err
		}
	}
	for _, device := range q.Devices {
		notes, err := l.chooseDevice(chosen, device, q.Fields)
		if err != nil {
			return a, err
		}
		a.Notes = append(a.Notes, notes...)
	}
	for _, c := range l.keyring.Compartments() { // in the order of their ids
		if chosen[c.Name] && c.Tree.First() < before {
			a.Compartments = append(a.Compartments, c.Name)
		}
	}
	if len(a.Compartments) == 0 {
		return a, fmt.Errorf("nothing of it is there before %s", a.Before)
	}
	o := store.ShredOptions{Compartments: a.Compartments, Before: before, Reason: q.Reason}
	if err := l.store.CanShred(o); err != nil {
		return a, err
	}
	if o.Holders, err = l.copiesOf(&a, before); err != nil || !q.Do {
		return a, err
	}
	defer l.g.forgetRead()
	rep, err := l.store.Shred(ctx, o)
	if err != nil {
		return a, err
	}
	a.Done = &rep
	return a, nil
}

// previewShred says what would go.
func (l *openLedger) previewShred(ctx context.Context, q shredRequest) (shredAnswer, error) {
	q.Do = false
	return l.planShred(ctx, q)
}

// copiesOf names who may have copies of what is shredded, or keys of it, and of
// these those whom the statement may name to all its readers.
func (l *openLedger) copiesOf(a *shredAnswer, before share.Hour) (public []string, err error) {
	e := &l.escrow
	e.mu.Lock()
	err = l.refreshEscrow()
	for _, c := range e.known.copies(a.Compartments, before.Start()) {
		a.Copies = append(a.Copies, c.name+": "+c.what)
		if slices.Contains(a.Holders, c.name) {
			continue
		}
		a.Holders = append(a.Holders, c.name)
		if e.known.public(c.name) {
			public = append(public, c.name)
		}
	}
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	cids, err := l.publishedBefore(before)
	if err == nil && len(cids) > 0 {
		a.Copies = append(a.Copies, fmt.Sprintf("IPFS: sealed copies, %d published, the newest of those %s", len(cids), cids[len(cids)-1]))
	}
	return public, err
}

// publishedBefore lists what was published of hours below before.
func (l *openLedger) publishedBefore(before share.Hour) (cids []string, err error) {
	err = l.eachStatement(func(_ uint64, s ledger.Statement) {
		p, err := ledger.PublishedFrom(s)
		if err != nil {
			return // another kind
		}
		if from, _, err := l.store.Span(p.First); err == nil && from < before.Start() {
			cids = append(cids, p.CID)
		}
	})
	return cids, err
}

// shredListed is one shredding in a list.
type shredListed struct {
	Number       uint64   `json:"number"` // statement
	At           string   `json:"at"`
	Before       string   `json:"before"`
	Compartments []string `json:"compartments"`
	Reason       string   `json:"reason,omitempty"`
	Here         bool     `json:"here"` // this site has no keys of it
	Confirmed    []string `json:"confirmed"`
	Open         []string `json:"open"`
}

type shredListRequest struct{}

func (l *openLedger) listShreds(context.Context, shredListRequest) ([]shredListed, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return nil, err
	}
	out := []shredListed{}
	for i := range e.known.shreds {
		s := &e.known.shreds[i]
		x := shredListed{
			Number: s.number, At: timeText(s.at), Before: timeText(s.said.Before), Compartments: s.said.Compartments, Reason: s.said.Reason,
			Here: true, Confirmed: append([]string{}, s.confirmed...), Open: append([]string{}, s.open()...),
		}
		for _, name := range x.Compartments {
			c, ok := l.keyring.CompartmentNamed(name)
			x.Here = x.Here && ok && c.Tree.First().Start() >= s.said.Before
		}
		out = append(out, x)
	}
	return out, nil
}

func (c *command) shredCommand() *cobra.Command {
	var q shredRequest
	var before string
	var yes bool
	cmd := &cobra.Command{
		Use:   "shred (--compartment C… | --device D… [--fields …]) --before TIME [--reason TEXT] [--yes]",
		Short: "Forget what stands in past quarter hours, for good",
		Long: "Says what would be shredded and who may have copies of it, and with --yes shreds it. Only whole quarter\n" +
			"hours that are sealed can be; an envelope goes only together with all data of its stream. Devices that\n" +
			"were registered before compartments were set apart are refused.\n\n" + shredTruth + "\n\n" + timesHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Before, err = parseTime(before, time.Now()); err != nil {
				return fmt.Errorf("--before: %w", err)
			}
			if len(q.Fields) > 0 && len(q.Devices) == 0 {
				return errors.New("--fields says which compartments of a device: give --device")
			}
			return c.shred(cmd, q, yes)
		},
	}
	cmd.Flags().StringArrayVar(&q.Compartments, "compartment", nil, "a compartment, or all of a stream such as stream/3/*; may be repeated")
	cmd.Flags().StringArrayVar(&q.Devices, "device", nil, "the compartments of a device, by number, ID or name; may be repeated")
	cmd.Flags().StringSliceVar(&q.Fields, "fields", nil, "with --device: only the compartments that hold these measurements")
	cmd.Flags().StringVar(&before, "before", "", "quarter hours that end by this time")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why; public: every audience of the ledger can read it, so name nobody")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	_ = cmd.MarkFlagRequired("before")
	cmd.MarkFlagsOneRequired("compartment", "device")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	cmd.AddCommand(c.shredList(), c.confirmCommand())
	return cmd
}

// shred shows what is to go before it goes.
func (c *command) shred(cmd *cobra.Command, q shredRequest, yes bool) error {
	a, err := ask[shredAnswer](cmd.Context(), c, "shred", q)
	if err != nil {
		return err
	}
	if !c.json {
		printPlan(c.Out, &a)
	}
	if yes {
		q.Do = true
		if a, err = ask[shredAnswer](cmd.Context(), c, "shred/do", q); err != nil {
			return err
		}
	}
	switch {
	case c.json:
		return c.printJSON(a)
	case a.Done == nil:
		fmt.Fprintln(c.Out, "nothing was shredded: --yes does it, and it cannot be taken back")
	default:
		fmt.Fprintf(c.Out, "shredded here, by statement %d: of %d readings, %d bytes of sealed content\n", a.Done.Statement, a.Done.Readings, a.Done.Bytes)
	}
	return nil
}

func printPlan(w io.Writer, a *shredAnswer) {
	fmt.Fprintf(w, "before %s, for good:\n  %s\n", a.Before, strings.Join(a.Compartments, "\n  "))
	for _, n := range a.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	if len(a.Copies) == 0 {
		fmt.Fprintln(w, "the ledger knows of nobody else who may have copies")
		return
	}
	fmt.Fprintf(w, "not shredded by this, who may have copies or keys:\n  %s\n", strings.Join(a.Copies, "\n  "))
}

func (c *command) shredList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "What was shredded, and who has confirmed it",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := ask[[]shredListed](cmd.Context(), c, "shreds", shredListRequest{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(all)
			}
			for i := range all {
				printShred(c.Out, &all[i])
			}
			return nil
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func printShred(w io.Writer, x *shredListed) {
	state := "shredded here"
	if !x.Here {
		state = "begun here, and not through"
	}
	if len(x.Confirmed) > 0 {
		state += "; confirmed, signed: " + strings.Join(x.Confirmed, ", ")
	}
	if len(x.Open) > 0 {
		state += "; not confirmed: " + strings.Join(x.Open, ", ")
	}
	fmt.Fprintf(w, "%d  %s  before %s: %s\n", x.Number, strings.Join(x.Compartments, ", "), x.Before, state)
	if x.Reason != "" {
		fmt.Fprintf(w, "    because: %s\n", x.Reason)
	}
}

// leftOf takes what was shredded out of the items that are to be shown; where they
// were named one by one it fails instead.
func leftOf(items [][]byte, shown []int, shredded []string, named bool) ([]int, error) {
	if len(shredded) == 0 {
		return shown, nil
	}
	all := slices.DeleteFunc(slices.Clone(shown), func(i int) bool { return items[i] == nil })
	if len(all) == 0 || named && len(all) < len(shown) {
		return nil, fmt.Errorf("a field that was asked for: %w, with %s", store.ErrShredded, strings.Join(shredded, ", "))
	}
	return all, nil
}
