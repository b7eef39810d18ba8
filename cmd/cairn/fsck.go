package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cairn/store"
)

func (c *command) fsckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "fsck", Short: "Read everything again and recompute every hash (exit code 1 if something is wrong)",
		Long: "Reads every stored value, recomputes every hash from the readings up, and compares with the\n" +
			"signed checkpoint and every final anchor. It takes about as long as reading the data does, and\n" +
			"may run beside the service.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.fsckAll(cmd.Context()) },
	}
	c.ledgerFlag(cmd, "all of them, one after the other")
	c.jsonFlag(cmd)
	return cmd
}

// fsckAll checks the named ledger, or all that have data. One that is wrong does
// not keep the others from being looked at.
func (c *command) fsckAll(ctx context.Context) error {
	names := []string{c.ledger}
	if c.ledger == "" {
		cfg, err := loadConfig(c.dir, nil, os.Environ())
		if err != nil {
			return err
		}
		names = names[:0]
		for i := range cfg.Ledgers {
			if l := &cfg.Ledgers[i]; i == 0 || !l.unborn() {
				names = append(names, l.Name)
			}
		}
	}
	var errs []error
	for _, name := range names {
		err := c.fsckOne(ctx, name, len(names) > 1)
		if err != nil && len(names) > 1 {
			err = fmt.Errorf("ledger %s: %w", name, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// fsckOne checks one ledger; named says that there are others.
func (c *command) fsckOne(ctx context.Context, name string, named bool) error {
	c.ledger = name
	r, err := ask[fsckAnswer](ctx, c, "fsck", nothing{})
	c.progress("")
	if errors.Is(err, store.ErrDamaged) { // it does not even open
		return falseError{fmt.Errorf("%w: %w", errFsck, err)}
	}
	if err != nil {
		return err
	}
	if named && !c.json {
		fmt.Fprintf(c.Out, "ledger %s: ", name)
	}
	return c.reportFsck(r)
}

// fsckOperation is fsck with progress.
func fsckOperation(ctx context.Context, g *gateway, on string, request json.RawMessage, progress func(string)) (any, error) {
	if err := strictJSON(request, &nothing{}); err != nil {
		return nil, err
	}
	l, err := g.on(ctx, on, false)
	if err != nil {
		return nil, err
	}
	heads, err := l.anchoredHeads()
	if err != nil {
		return nil, err
	}
	return l.fsck(ctx, heads, newGauge(progress, "batches", 1).at)
}

// anchoredHeads lists every final anchor of every route.
func (l *openLedger) anchoredHeads() ([]store.AnchoredHead, error) {
	routes, err := l.routesOf()
	if err != nil {
		return nil, err
	}
	var heads []store.AnchoredHead
	for _, r := range routes {
		for size := uint64(1); ; {
			a, ok, err := r.Lookup(size)
			if err != nil {
				return nil, fmt.Errorf("anchors of %s: %w", r.name, err)
			}
			if !ok {
				break
			}
			heads = append(heads, store.AnchoredHead{Size: a.Size, Root: a.Root, Where: fmt.Sprintf("%s block %d", r.name, a.Included.Height)})
			size = a.Size + 1
		}
	}
	return heads, nil
}

// fsckAnswer is what fsck found; none of it, if Findings is empty.
type fsckAnswer struct {
	Ledger string `json:"ledger"`
	store.FsckReport
	OK bool `json:"ok"`
}

// fsck checks the whole store against itself and the anchors.
func (l *openLedger) fsck(ctx context.Context, heads []store.AnchoredHead, progress func(done, total uint64)) (fsckAnswer, error) {
	r, err := l.store.Fsck(ctx, store.FsckOptions{Progress: progress, Heads: heads})
	return fsckAnswer{l.cfg.Name, r, err == nil && r.OK()}, err
}

var errFsck = errors.New("the store is not what it should be: keep a copy of the folder before anything else")

// keptInstead says of which readings there are hashes alone.
func keptInstead(a *fsckAnswer) string {
	var all []string
	for _, x := range []struct {
		n    uint64
		what string
	}{{a.Gone, "shredded"}, {a.Left, "shredded in part"}, {a.Dropped, "dropped"}} {
		if x.n > 0 {
			all = append(all, fmt.Sprintf("%d that were %s", x.n, x.what))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return ", and from what was kept of " + strings.Join(all, ", ")
}

func (c *command) reportFsck(a fsckAnswer) error {
	if c.json {
		if err := c.printJSON(a); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.Out, "read %d readings in %d batches, %d statements, compared with %d heads\n", a.Readings, a.Batches, a.Statements, a.Heads)
		for _, f := range a.Findings {
			fmt.Fprintf(c.Out, "- %s\n", f)
		}
		if a.More > 0 {
			fmt.Fprintf(c.Out, "- and %d more\n", a.More)
		}
		if a.OK {
			fmt.Fprintln(c.Out, "every hash follows from the readings"+keptInstead(&a))
		}
	}
	if !a.OK {
		return falseError{errFsck}
	}
	return nil
}
