package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle/ledger"
)

// exportRequest names a final anchor.
type exportRequest struct {
	Batches uint64 `json:"batches,omitempty"` // the first that holds so many; 0: the newest
	Route   string `json:"route,omitempty"`   // "": any that can be written
}

type exportAnswer struct {
	File    []byte `json:"file"`
	Route   string `json:"route"`
	Batches uint64 `json:"batches"`
	Root    string `json:"root"`
}

func (c *command) exportCommand() *cobra.Command {
	var q exportRequest
	var out string
	cmd := &cobra.Command{
		Use: "export --out FILE.ots", Short: "Write the OpenTimestamps file of an anchored root",
		Long: "Writes a final anchor of a Bitcoin route, or of OpenTimestamps calendars, as an OpenTimestamps\n" +
			"file. What it stamps is the ledger's root: any OpenTimestamps program verifies it as the SHA-256\n" +
			"digest that is printed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there already, and is not overwritten", out)
			}
			a, err := ask[exportAnswer](cmd.Context(), c, "export", q)
			if err != nil {
				return err
			}
			if err := writeNew(out, a.File, 0o644); err != nil {
				return fmt.Errorf("write timestamp: %w", err)
			}
			if c.json {
				a.File = nil
				return c.printJSON(a)
			}
			fmt.Fprintf(c.Out, "%s: %d batches, anchored by %s\n  digest %s\n", out, a.Batches, a.Route, a.Root)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the file to write; it must not exist yet")
	cmd.Flags().Uint64Var(&q.Batches, "batches", 0, "the first anchor that holds so many batches (default: the newest)")
	cmd.Flags().StringVar(&q.Route, "route", "", "of this route, such as ots or bitcoin:mainnet")
	_ = cmd.MarkFlagRequired("out")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (l *openLedger) export(_ context.Context, q exportRequest) (exportAnswer, error) {
	routes, err := l.routesOf()
	if err != nil {
		return exportAnswer{}, err
	}
	var names []string
	for _, r := range routes {
		if r.name != ledger.RouteNameOTS && !strings.HasPrefix(r.name, ledger.BitcoinRoutes) {
			continue
		}
		names = append(names, r.name)
		if q.Route != "" && r.name != q.Route {
			continue
		}
		size := q.Batches
		if size == 0 {
			if size, err = newestFinal(r.Route, l.store.LogSize()); err != nil {
				return exportAnswer{}, err
			}
		}
		a, ok, err := r.Lookup(max(size, 1))
		if err != nil {
			return exportAnswer{}, fmt.Errorf("anchors of %s: %w", r.name, err)
		}
		if !ok {
			continue
		}
		tree, err := timestampOf(r.name, &a)
		if err != nil {
			return exportAnswer{}, fmt.Errorf("anchor of %d batches by %s: %w", a.Size, r.name, err)
		}
		file, err := proof.WriteOTS(tree)
		return exportAnswer{file, r.name, a.Size, a.Root.String()}, err
	}
	switch {
	case len(names) == 0:
		return exportAnswer{}, errors.New("the ledger has no route whose anchors an OpenTimestamps file can hold: bitcoin or ots")
	case q.Route != "" && !slices.Contains(names, q.Route):
		return exportAnswer{}, fmt.Errorf("no route %.80q: there is %s", q.Route, strings.Join(names, ", "))
	}
	return exportAnswer{}, againError{errors.New("no final anchor holds as many batches yet")}
}

// timestampOf is an anchor as a tree over its root.
func timestampOf(route string, a *anchor.Anchor) (*proof.Timestamp, error) {
	if route == ledger.RouteNameOTS {
		r, err := proof.ParseOTSReceipt(a.Receipt)
		if err != nil {
			return nil, err
		}
		return proof.ParseTimestamp(a.Root[:], r.Timestamp)
	}
	r, err := proof.ParseBitcoinReceipt(a.Receipt)
	if err != nil {
		return nil, err
	}
	return proof.BitcoinTimestamp(r, a.Root)
}
