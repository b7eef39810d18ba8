package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cairn/store/share"
)

func (c *command) escrowCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "escrow", Short: "Have others keep the keys, so that enough of them together can open the data without this site",
		Long: "The keys of each month are shared among holders, so that any K of them together can give them back when\n" +
			"this site is lost, and fewer learn nothing. Whoever has K shares of a month can read all of it.\n\n" +
			"On the gateway:           holder add, make, hand, rotate, list, confirm\n" +
			"On a holder's machine:    holder new, check, release, destroy\n" +
			"To open the data again:   recover, on any machine",
	}
	parent.AddCommand(c.holderCommand(), c.escrowMake(), c.escrowRotate(), c.escrowList(), c.escrowHand(), c.escrowCheck(), c.escrowRelease(),
		c.escrowRecover(), c.escrowDestroy(), c.confirmCommand())
	return parent
}

func (c *command) escrowMake() *cobra.Command {
	var q escrowRequest
	cmd := &cobra.Command{
		Use: "make [--need K] [--from MONTH]", Short: "Deal the keys of all months that are not dealt yet to the certified holders",
		Long: "Makes the escrow files that are missing, from the ledger's first month on, in the folder escrow. The first\n" +
			"one says by --need how many holders it takes. From then on the service deals each new month, and each new\n" +
			"device's keys, by itself. Give each holder a copy of what is theirs: `cairn escrow hand`.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.askEscrow(cmd, q) },
	}
	cmd.Flags().IntVar(&q.Need, "need", 0, "how many holders can open a month together (default: as before)")
	cmd.Flags().StringVar(&q.From, "from", "", "first month, such as 2026-07 (default: the ledger's first)")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) escrowRotate() *cobra.Command {
	q := escrowRequest{Rotate: true}
	cmd := &cobra.Command{
		Use: "rotate [--need K] [--from MONTH]", Short: "Deal all months anew to those who are holders now",
		Long: "Deals every month anew that was dealt to other holders than those certified now, or for another number of\n" +
			"them, and destroys the files of before in this folder. It takes nothing back: as long as enough holders of\n" +
			"before keep their shares they can open what those open. Ask them for `cairn escrow destroy`.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.askEscrow(cmd, q) },
	}
	cmd.Flags().IntVar(&q.Need, "need", 0, "how many holders can open a month together (default: as before)")
	cmd.Flags().StringVar(&q.From, "from", "", "first month, such as 2026-07 (default: the ledger's first)")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) askEscrow(cmd *cobra.Command, q escrowRequest) error {
	a, err := ask[escrowAnswer](cmd.Context(), c, "escrow/make", q)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(a)
	}
	for _, f := range a.Made {
		fmt.Fprintf(c.Out, "%s: %d compartments, %d of %s\n", f.File, f.Compartments, f.Need, strings.Join(f.Holders, ", "))
	}
	for _, f := range a.Gone {
		fmt.Fprintf(c.Out, "%s: superseded, destroyed here; %s may have copies\n", f.File, strings.Join(f.Holders, ", "))
	}
	if len(a.Made) == 0 {
		fmt.Fprintln(c.Out, "nothing to deal: the keys of every month are in a file, as `cairn escrow list` shows")
		for _, f := range a.Others {
			fmt.Fprintf(c.Out, "%s: still %d of %s: `cairn escrow rotate` deals it anew\n", f.File, f.Need, strings.Join(f.Holders, ", "))
		}
		return nil
	}
	fmt.Fprintln(c.Out, "  next   cairn escrow hand NAME --out FOLDER, for each holder")
	return nil
}

func (c *command) escrowList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the escrow files that the ledger names (exit code 1 if keys are in none that is here)",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[escrowAnswer](cmd.Context(), c, "escrow/list", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				err = c.printJSON(a)
			} else {
				err = c.printEscrow(a)
			}
			if err == nil && len(a.Lacking) > 0 {
				err = falseError{fmt.Errorf("keys of %s are in no escrow file that is here: `cairn escrow make` deals them", strings.Join(a.Lacking, ", "))}
			}
			return err
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) printEscrow(a escrowAnswer) error {
	if a.Need == 0 {
		_, err := fmt.Fprintln(c.Out, "escrow has not begun: `cairn escrow make --need K` begins it")
		return err
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tSTATE\tCOMPARTMENTS\tNEED\tHOLDERS")
	for _, f := range a.Files {
		n := "-"
		if f.Compartments > 0 {
			n = fmt.Sprint(f.Compartments)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d of %d\t%s\n", f.File, f.State, n, f.Need, len(f.Holders), strings.Join(f.Holders, ", "))
	}
	return w.Flush()
}

// escrowHand copies, for one holder, the files that are theirs.
func (c *command) escrowHand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "hand NAME --out FOLDER", Short: "Write a holder's copies of the escrow files",
		Long: "Writes the current files that the holder has a share in, each without the others' shares, into a folder.\n" +
			"Those that are there already stay; those there whose time is over are named: the holder should\n" +
			"destroy them. Nobody opens anything with these files alone.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := ask[escrowAnswer](cmd.Context(), c, "escrow/list", nothing{})
			if err != nil {
				return err
			}
			cfg, err := loadConfig(c.dir, nil, os.Environ())
			if err != nil {
				return err
			}
			l, err := cfg.ledger(c.ledger)
			if err != nil {
				return err
			}
			return c.handEscrow(a, l, args[0], out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the folder, which is made if it is not there")
	_ = cmd.MarkFlagRequired("out")
	c.ledgerFlag(cmd, theDefaultLedger)
	return cmd
}

func (c *command) handEscrow(a escrowAnswer, l *LedgerConfig, name, out string) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	had := 0
	for _, f := range a.Files {
		target := filepath.Join(out, filepath.Base(f.File))
		if f.State != escrowCurrent {
			if exists(target) {
				fmt.Fprintf(c.Out, "%s: its time is over (%s): the holder should destroy it\n", target, f.State)
			}
			continue
		}
		e, err := share.ReadEscrow(l.path(f.File))
		if err != nil {
			return err
		}
		if e.Holder(name) < 0 {
			continue
		}
		had++
		if exists(target) {
			continue
		}
		mine, err := e.For(name)
		if err != nil {
			return err
		}
		if err := writeNew(target, mine.Append(nil), 0o600); err != nil {
			return err
		}
		fmt.Fprintf(c.Out, "%s\n", target)
	}
	if had == 0 {
		return fmt.Errorf("no current file has a share of %q: `cairn escrow list` shows whose they are", name)
	}
	return nil
}

// readEscrows reads the files that a command names; a folder stands for all
// escrow files in it.
func readEscrows(paths []string) (files []*share.Escrow, named []string, err error) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			in, err := filepath.Glob(filepath.Join(path, "*"+escrowSuffix))
			if err != nil {
				return nil, nil, err
			}
			named = append(named, in...)
			continue
		}
		named = append(named, path)
	}
	for _, path := range named {
		e, err := share.ReadEscrow(path)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, e)
	}
	if len(files) == 0 {
		return nil, nil, errors.New("there is no escrow file")
	}
	return files, named, nil
}
