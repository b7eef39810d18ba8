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

// The formats of an export.
const (
	formatOTS        = "ots"
	formatTlogProof  = "tlog-proof"
	formatCheckpoint = "checkpoint"
	formatCOSE       = "cose"
)

// exportRequest names a format, and for formatOTS a final anchor, for the others
// a checkpoint and, but for formatCheckpoint, a batch.
type exportRequest struct {
	Format  string  `json:"format,omitempty"`  // "": formatOTS
	Batches uint64  `json:"batches,omitempty"` // the first anchor that holds so many, or the checkpoint of so many; 0: the newest
	Route   string  `json:"route,omitempty"`   // "": any that can be written
	Batch   *uint64 `json:"batch,omitempty"`   // index; nil: the checkpoint's last
}

type exportAnswer struct {
	File    []byte  `json:"file,omitempty"`
	Shown   []byte  `json:"shown,omitempty"` // the batch header
	Route   string  `json:"route,omitempty"`
	Batches uint64  `json:"batches"`
	Root    string  `json:"root"`
	Batch   *uint64 `json:"batch,omitempty"`
	Key     string  `json:"key,omitempty"` // verifier key of the log, at that size
	Signed  int     `json:"cosignatures,omitempty"`
}

func (c *command) exportCommand() *cobra.Command {
	var q exportRequest
	var u updateFlags
	var out, shown string
	var batch uint64
	cmd := &cobra.Command{
		Use: "export --out FILE", Short: "Write an anchored root, a checkpoint or a batch's place in the log in a format of others",
		Long: "Writes, by --format,\n\n" +
			"  ots         a final anchor of a Bitcoin route, or of OpenTimestamps calendars, as an OpenTimestamps\n" +
			"              file. What it stamps is the ledger's root: any OpenTimestamps program verifies it as the\n" +
			"              SHA-256 digest that is printed\n" +
			"  checkpoint  the ledger's signed head with its witnesses' cosignatures, as a C2SP tlog-checkpoint\n" +
			"  tlog-proof  that a batch is in the log of that head, as a C2SP tlog-proof\n" +
			"  cose        the same as a COSE receipt (RFC 9942), signed by the log's key for this purpose\n\n" +
			"or, with --update, the receipts and extensions that a proof lacks which was made before its anchors\n" +
			"were final; its holder joins the two by `cairn-verify upgrade`.\n\n" +
			"What a single reading shows is written in these formats, and as a Chainpoint proof, by\n" +
			"`cairn-verify export`, out of a proof file. Readings as such are what `cairn export readings` writes.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if yes, err := u.asked(); yes || err != nil {
				if err != nil {
					return err
				}
				return c.exportUpdate(cmd.Context(), u, out)
			}
			if cmd.Flags().Changed("batch") {
				q.Batch = &batch
			}
			return c.export(cmd.Context(), q, out, shown)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the file to write; it must not exist yet")
	cmd.Flags().StringVar(&q.Format, "format", formatOTS, "ots, checkpoint, tlog-proof or cose")
	cmd.Flags().Uint64Var(&q.Batches, "batches", 0, "ots: the first anchor that holds so many batches; else the head of so many (default: the newest)")
	cmd.Flags().StringVar(&q.Route, "route", "", "ots: of this route, such as ots or bitcoin:mainnet")
	cmd.Flags().Uint64Var(&batch, "batch", 0, "tlog-proof, cose: the batch with this index in the log (default: the head's last)")
	cmd.Flags().StringVar(&shown, "shown", "", "tlog-proof, cose: where the batch header goes, which the proof is of (default: --out with .header)")
	u.flags(cmd)
	cmd.AddCommand(c.exportReadingsCommand())
	_ = cmd.MarkFlagRequired("out")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) export(ctx context.Context, q exportRequest, out, shown string) error {
	if shown == "" {
		shown = out + ".header"
	}
	written := []string{out}
	if q.Format == formatTlogProof || q.Format == formatCOSE {
		written = append(written, shown)
	}
	for _, path := range written {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and is not overwritten: give another name", path)
		}
	}
	a, err := ask[exportAnswer](ctx, c, "export", q)
	if err != nil {
		return err
	}
	if err := writeNew(out, a.File, 0o644); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	if a.Shown != nil {
		if err := writeNew(shown, a.Shown, 0o644); err != nil {
			return fmt.Errorf("write batch header: %w", err)
		}
	}
	if c.json {
		a.File, a.Shown = nil, nil
		return c.printJSON(a)
	}
	if a.Route != "" {
		fmt.Fprintf(c.Out, "%s: %d batches, anchored by %s\n  digest %s\n", out, a.Batches, a.Route, a.Root)
		return nil
	}
	fmt.Fprintf(c.Out, "%s: a head of %d batches, cosigned by %d\n  log    %s\n", out, a.Batches, a.Signed, a.Key)
	if a.Batch != nil {
		fmt.Fprintf(c.Out, "  entry  %s, the header of batch %d\n", shown, *a.Batch)
	}
	return nil
}

func (l *openLedger) export(_ context.Context, q exportRequest) (exportAnswer, error) {
	switch q.Format {
	case "", formatOTS:
		if q.Batch != nil {
			return exportAnswer{}, fmt.Errorf("--batch is of %s and %s: an OpenTimestamps file here is of the whole ledger's root", formatTlogProof, formatCOSE)
		}
		return l.exportAnchor(q)
	case formatCheckpoint, formatTlogProof, formatCOSE:
		if q.Route != "" {
			return exportAnswer{}, fmt.Errorf("--route is of %s alone", formatOTS)
		}
		return l.exportHead(q)
	}
	return exportAnswer{}, fmt.Errorf("format %.40q is none of %s, %s, %s and %s", q.Format, formatOTS, formatCheckpoint, formatTlogProof, formatCOSE)
}

// exportAnchor writes a final anchor.
func (l *openLedger) exportAnchor(q exportRequest) (exportAnswer, error) {
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
		return exportAnswer{File: file, Route: r.name, Batches: a.Size, Root: a.Root.String()}, err
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
