package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

func (c *command) holderCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "holder", Short: "Who keeps shares of the escrowed keys, or other copies",
		Long: "A holder makes a key and a card (new) and gives the card to the gateway's operator, who compares\n" +
			"the key with the holder and certifies it (add): the ledger names it from then on.",
	}
	parent.AddCommand(c.holderNew(), c.holderAdd(), c.holderList(), c.holderEnd())
	return parent
}

func (c *command) holderNew() *cobra.Command {
	var name, key, card string
	cmd := &cobra.Command{
		Use: "new --name NAME --key FILE --card FILE", Short: "On the holder's side: draw a key, and write its card",
		Long: "Draws the holder's key, writes it to --key (mode 0600; an age identity file) and its public half, signed,\n" +
			"to --card. Neither is overwritten. Keep the key, and a copy of it elsewhere; give the card to the\n" +
			"gateway's operator, and tell them the key that is printed another way.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.newHolder(name, key, card) },
	}
	cmd.Flags().StringVar(&name, "name", "", "the holder's name: up to 64 printable characters without spaces")
	cmd.Flags().StringVar(&key, "key", "", "where the key goes")
	cmd.Flags().StringVar(&card, "card", "", "where the card goes")
	for _, f := range []string{"name", "key", "card"} {
		_ = cmd.MarkFlagRequired(f)
	}
	return cmd
}

func (c *command) newHolder(name, keyFile, cardFile string) error {
	k, err := share.NewHolderKey()
	if err != nil {
		return err
	}
	card, err := k.Card(name)
	if err != nil {
		return err
	}
	if exists(cardFile) {
		return fmt.Errorf("%s is there already, and is not overwritten", cardFile)
	}
	if err := k.Write(keyFile); err != nil {
		return err
	}
	if err := writeNew(cardFile, card, 0o644); err != nil {
		return fmt.Errorf("write the card: %w", err)
	}
	fmt.Fprintf(c.Out, "holder %s\n  key   %x\n  file  %s (keep it, show nobody)\n  card  %s (for the gateway's operator)\n", name, k.Public(name).Key, keyFile, cardFile)
	return nil
}

// holderRequest certifies or ends a holder.
type holderRequest struct {
	Card []byte `json:"card,omitempty"`
	Kind string `json:"kind,omitempty"`
	Name string `json:"name,omitempty"`
}

// holderRow is one holder as lists show it.
type holderRow struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Key       string `json:"key"`
	Recipient string `json:"recipient,omitempty"`
	Statement uint64 `json:"statement"`
	Ended     bool   `json:"ended"`
}

func (h *certified) row() holderRow {
	return holderRow{Name: h.Name, Kind: h.Kind, Key: hex.EncodeToString(h.Key[:]), Recipient: h.Recipient, Statement: h.number, Ended: h.ended}
}

func (c *command) holderAdd() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use: "add CARD", Short: "Certify a holder: the ledger names it from now on",
		Long: "Reads a holder's card and records in the ledger that it is one. Compare the key that is printed with\n" +
			"the holder first, by another way than the card came. A holder of shares (--kind escrow) takes part in\n" +
			"what is dealt from now on; `cairn escrow rotate` deals what is there already anew. Every audience of\n" +
			"the ledger reads the names of holders, but of those of --kind audience.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			card, err := readSmall(args[0], 1<<16)
			if err != nil {
				return err
			}
			if _, err := share.ParseCard(card); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			row, err := ask[holderRow](cmd.Context(), c, "escrow/holder/add", holderRequest{Card: card, Kind: kind})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(row)
			}
			fmt.Fprintf(c.Out, "holder %s is certified, kind %s\n  key  %s\n", row.Name, row.Kind, row.Key)
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "kind", ledger.HolderEscrow, "what it holds: escrow, mirror, backup or audience")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) holderList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the holders that the ledger names", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask[[]holderRow](cmd.Context(), c, "escrow/holders", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tKIND\tKEY\tSTATE")
			for _, r := range rows {
				state := "certified"
				if r.Ended {
					state = "ended"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, r.Kind, r.Key, state)
			}
			return w.Flush()
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) holderEnd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "end NAME", Short: "Record that a holder gets nothing new from now on",
		Long: "Records that the holder is none any more. What was dealt stays dealt: its shares go on counting, until\n" +
			"`cairn escrow rotate` deals the months anew for those who are left, and enough of the holders of before\n" +
			"have destroyed theirs.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			row, err := ask[holderRow](cmd.Context(), c, "escrow/holder/end", holderRequest{Name: args[0]})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(row)
			}
			fmt.Fprintf(c.Out, "holder %s has ended; its shares of before go on counting\n", row.Name)
			if row.Kind == ledger.HolderEscrow {
				fmt.Fprintln(c.Out, "  next   cairn escrow rotate")
			}
			return nil
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has over %d bytes", path, limit)
	}
	return b, err
}

func (l *openLedger) listHolders(_ context.Context, _ nothing) ([]holderRow, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return nil, err
	}
	rows := []holderRow{}
	for i := range e.known.holders {
		rows = append(rows, e.known.holders[i].row())
	}
	return rows, nil
}

// addHolder certifies a holder by its card.
func (l *openLedger) addHolder(ctx context.Context, q holderRequest) (holderRow, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return holderRow{}, err
	}
	h, err := share.ParseCard(q.Card)
	if err != nil {
		return holderRow{}, err
	}
	s := ledger.Holder{Name: h.Name, Kind: q.Kind, Recipient: h.Recipient, Key: h.Key}.Statement(0)
	if err := s.Validate(); err != nil {
		return holderRow{}, err
	}
	for _, was := range e.known.holders {
		switch {
		case was.ended:
		case was.Name == h.Name && was.Key == h.Key && was.Kind == q.Kind:
			return was.row(), nil
		case was.Name == h.Name:
			return holderRow{}, fmt.Errorf("there is a holder %s, of another key or kind: `cairn escrow holder end %s` ends that, or give the new one another name", h.Name, h.Name)
		case was.Key == h.Key && was.Kind == q.Kind:
			return holderRow{}, fmt.Errorf("this is the key of the holder %s: two shares in one hand are one", was.Name)
		}
	}
	if q.Kind == ledger.HolderEscrow && len(e.known.sharers()) == share.MaxHolders {
		return holderRow{}, fmt.Errorf("there are %d holders of shares: end one first", share.MaxHolders)
	}
	return l.recordHolder(ctx, s, h.Name)
}

// endHolder records that a holder is none any more.
func (l *openLedger) endHolder(ctx context.Context, q holderRequest) (holderRow, error) {
	e := &l.escrow
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := l.refreshEscrow(); err != nil {
		return holderRow{}, err
	}
	h, ok := e.known.certified(q.Name)
	if !ok {
		return holderRow{}, fmt.Errorf("no holder %q%s: `cairn escrow holder list` shows them", q.Name, l.where())
	}
	return l.recordHolder(ctx, ledger.HolderEnd{Name: q.Name, Audience: h.Kind == ledger.HolderAudience}.Statement(0), q.Name)
}

// recordHolder records a statement about a holder and gives its row after that.
func (l *openLedger) recordHolder(ctx context.Context, s ledger.Statement, name string) (holderRow, error) {
	if _, err := l.store.AddStatement(ctx, s); err != nil {
		return holderRow{}, fmt.Errorf("record the holder: %w", err)
	}
	if err := l.refreshEscrow(); err != nil {
		return holderRow{}, err
	}
	all := l.escrow.known.holders
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Name == name {
			return all[i].row(), nil
		}
	}
	return holderRow{}, errors.New("the ledger does not name the holder")
}

// holderKey reads the key of a holder who is at this machine.
func readHolderKey(path string) (*share.HolderKey, error) {
	k, err := share.ReadHolderKey(path)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	return k, nil
}
