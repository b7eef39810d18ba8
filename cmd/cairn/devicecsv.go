package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cairn/ingest"
	"cairn/merkle/ledger"
)

// Columns of the list of devices. number, from and until are the ledger's own: an import
// passes over them.
const (
	columnID     = "id"
	columnAddr   = "address" // instead of the ID
	columnName   = "name"
	columnKind   = "kind"
	columnPlace  = "place"
	columnThing  = "thing"
	columnLabels = "labels" // KEY=VALUE, a blank between them
	columnFloor  = "counter_floor"
	columnKey    = "key_file" // with the node's key; beside the list, unless its path is whole
	columnNumber = "number"
	columnFrom   = "from"
	columnUntil  = "until"
)

var (
	exportColumns = []string{columnNumber, columnID, columnName, columnKind, columnPlace, columnThing, columnLabels, columnFloor, columnFrom, columnUntil}
	importColumns = []string{columnID, columnAddr, columnName, columnKind, columnPlace, columnThing, columnLabels, columnFloor, columnKey}
)

// maxImported is how many devices one list may have.
const maxImported = 10_000

// importRequest adds devices, all of them or, where any is refused, none.
type importRequest struct {
	Devices []importedDevice `json:"devices"`
	DryRun  bool             `json:"dryRun"`
}

type importedDevice struct {
	Line int `json:"line"` // of the list
	deviceRequest
}

type importAnswer struct {
	Devices []deviceRow `json:"devices"`
	DryRun  bool        `json:"dryRun,omitempty"` // they could be added
	Count   int         `json:"count"`
}

// importDevices checks all devices before it adds the first.
func (g *gateway) importDevices(ctx context.Context, name string, q importRequest) (importAnswer, error) {
	a := importAnswer{Devices: []deviceRow{}, DryRun: q.DryRun, Count: len(q.Devices)}
	if len(q.Devices) > maxImported {
		return a, fmt.Errorf("%d devices: one list has at most %d", len(q.Devices), maxImported)
	}
	g.binding.Lock()
	defer g.binding.Unlock()
	prepared := make([]newDevice, len(q.Devices))
	lines := map[[8]byte]int{}
	for i := range q.Devices {
		x := &q.Devices[i]
		d, err := g.prepare(ctx, name, &x.deviceRequest)
		if err == nil {
			err = d.free()
		}
		if other, twice := lines[d.ID]; err == nil && twice {
			err = fmt.Errorf("device %s stands in line %d too", d.ID, other)
		}
		if err != nil {
			return a, fmt.Errorf("line %d: %w: nothing was added", x.Line, err)
		}
		lines[d.ID], prepared[i] = x.Line, d
	}
	if q.DryRun {
		return a, nil
	}
	for i := range prepared {
		row, err := prepared[i].add(ctx)
		if err != nil {
			return a, errors.Join(fmt.Errorf("line %d: %w: %d devices before it were added, and stay: take them out of the list", q.Devices[i].Line, err, i), g.syncRegistry())
		}
		a.Devices = append(a.Devices, row)
	}
	return a, g.syncRegistry()
}

// free refuses a device that is bound already, or that the store would refuse for its
// kind and key.
func (d *newDevice) free() error {
	kinds := []string{ingest.KindSecure, ingest.KindOpaque, ingest.KindText, ingest.KindVouched}
	switch {
	case !slices.Contains(kinds, d.Kind):
		return fmt.Errorf("kind %.20q is none of %s", d.Kind, strings.Join(kinds, ", "))
	case (d.Kind == ingest.KindSecure) != (d.Key != nil):
		return fmt.Errorf("a device has a key if it is of kind %s, and then needs one", ingest.KindSecure)
	}
	i := slices.IndexFunc(d.l.store.Devices(), func(b ledger.Binding) bool { return b.ID == d.ID && !b.Closed })
	if i >= 0 {
		return fmt.Errorf("device %s is registered%s as number %d", d.ID, d.l.where(), d.l.store.Devices()[i].Number)
	}
	return nil
}

func (c *command) deviceExport() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "export", Short: "Write the registered devices as CSV, without their keys", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask[[]deviceRow](cmd.Context(), c, "devices", nothing{})
			if err != nil {
				return err
			}
			w := csv.NewWriter(c.Out)
			if err := w.Write(exportColumns); err != nil {
				return err
			}
			for _, r := range rows {
				if r.Until != "" && !all {
					continue
				}
				number := strconv.FormatUint(uint64(r.Number), 10)
				if err := w.Write([]string{number, r.ID, r.Name, r.Kind, r.Place, r.Thing, strings.Join(r.Labels, " "), r.Floor, r.From, r.Until}); err != nil {
					return err
				}
			}
			w.Flush()
			return w.Error()
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those too whose binding has ended")
	c.ledgerFlag(cmd, "all of them")
	return cmd
}

func (c *command) deviceImport() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "import FILE [--dry-run]", Short: "Register the devices of a CSV list, all or none",
		Long: "Registers the devices of a CSV list. Its first line names the columns: " + strings.Join(importColumns, ",\n") +
			".\nA device has an id or an address; kind is secure if it is left out, and a secure device\n" +
			"needs key_file, a file of mode 0600 with 32 hex digits, beside the list. Labels stand as\n" +
			"KEY=VALUE with blanks between them. What `cairn device export` writes fits, once there\n" +
			"are key files. If anything in the list is wrong nothing is registered.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			devices, err := readDevices(args[0])
			if err != nil {
				return err
			}
			a, err := ask[importAnswer](cmd.Context(), c, "device/import", importRequest{devices, dry})
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if c.json {
				return c.printJSON(a)
			}
			if a.DryRun {
				fmt.Fprintf(c.Out, "%d %s could be registered: leave out --dry-run\n", a.Count, plural(a.Count, "device"))
				return nil
			}
			fmt.Fprintf(c.Out, "%d %s registered\n", a.Count, plural(a.Count, "device"))
			return c.printDevices(a.Devices)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check the list, and register nothing")
	c.ledgerFlag(cmd, `as the labels have it, else "site"`)
	c.jsonFlag(cmd)
	return cmd
}

// maxList is the longest list, in bytes.
const maxList = 16 << 20

// readDevices reads a list of devices with their keys.
func readDevices(file string) ([]importedDevice, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := parseDevices(io.LimitReader(f, maxList), func(name string) (string, error) {
		b, err := readSecretFile(within(filepath.Dir(file), name))
		return strings.TrimSpace(string(b)), err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// parseDevices reads a list; key reads a key's file.
func parseDevices(in io.Reader, key func(file string) (string, error)) (all []importedDevice, err error) {
	r := csv.NewReader(in)
	columns, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the line of the columns' names: %w", err)
	}
	if len(columns) > 0 {
		columns[0] = strings.TrimPrefix(columns[0], "\ufeff") // as spreadsheets write it
	}
	for i, c := range columns {
		switch {
		case !slices.Contains(importColumns, c) && !slices.Contains(exportColumns, c):
			return nil, fmt.Errorf("column %d: %.40q is none of %s", i+1, c, strings.Join(importColumns, ", "))
		case slices.Contains(columns[:i], c):
			return nil, fmt.Errorf("column %d: %s is there twice", i+1, c)
		}
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		get := func(column string) string {
			if i := slices.Index(columns, column); i >= 0 {
				return strings.TrimSpace(record[i])
			}
			return ""
		}
		if get(columnUntil) != "" {
			continue // its binding has ended
		}
		if len(all) == maxImported {
			return nil, fmt.Errorf("line %d: a list has at most %d devices", line, maxImported)
		}
		d := importedDevice{line, deviceRequest{
			ID: get(columnID), Address: get(columnAddr), Name: get(columnName), Kind: get(columnKind), Floor: get(columnFloor),
			Place: get(columnPlace), Thing: get(columnThing), Labels: strings.Fields(get(columnLabels)),
		}}
		if d.Kind == "" {
			d.Kind = ingest.KindSecure
		}
		if file := get(columnKey); file != "" {
			if d.Key, err = key(file); err != nil {
				return nil, fmt.Errorf("line %d, column %s: %w", line, columnKey, err)
			}
		}
		if d.ID == "" && d.Address == "" {
			return nil, fmt.Errorf("line %d: neither %s nor %s", line, columnID, columnAddr)
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no device in it")
	}
	return all, nil
}
