package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask[fsckAnswer](cmd.Context(), c, "fsck", nothing{})
			if isTerminal(c.Err) {
				fmt.Fprint(c.Err, "\r\x1b[K")
			}
			if errors.Is(err, store.ErrDamaged) { // it does not even open
				return falseError{fmt.Errorf("%w: %w", errFsck, err)}
			}
			if err != nil {
				return err
			}
			return c.reportFsck(r)
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

// fsckOperation is fsck with progress.
func fsckOperation(ctx context.Context, g *gateway, request json.RawMessage, progress func(string)) (any, error) {
	if err := strictJSON(request, &nothing{}); err != nil {
		return nil, err
	}
	heads, err := g.anchoredHeads()
	if err != nil {
		return nil, err
	}
	told := time.Now()
	return g.fsck(ctx, heads, func(done, total uint64) {
		if now := time.Now(); now.Sub(told) >= time.Second {
			told = now
			progress(fmt.Sprintf("%d of %d batches", done, total))
		}
	})
}

// anchoredHeads lists every final anchor of every route.
func (g *gateway) anchoredHeads() ([]store.AnchoredHead, error) {
	routes, err := g.routesOf()
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
	store.FsckReport
	OK bool `json:"ok"`
}

// fsck checks the whole store against itself and the anchors.
func (g *gateway) fsck(ctx context.Context, heads []store.AnchoredHead, progress func(done, total uint64)) (fsckAnswer, error) {
	r, err := g.store.Fsck(ctx, store.FsckOptions{Progress: progress, Heads: heads})
	return fsckAnswer{r, err == nil && r.OK()}, err
}

var errFsck = errors.New("the store is not what it should be: keep a copy of the folder before anything else")

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
			fmt.Fprintln(c.Out, "every hash follows from the readings")
		}
	}
	if !a.OK {
		return falseError{errFsck}
	}
	return nil
}
