package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/ingest"
	messages "cairn/ingest/message"
	"cairn/merkle/ledger"
)

// What becomes of lines that were measured when their device was not registered.
const (
	unboundRefuse  = "refuse"
	unboundSkip    = "skip"
	unboundNearest = "nearest"
)

const (
	importRows  = 1000        // lines that are sent at once at most
	importAhead = 24 * 3600e3 // ms: how far a logger's clock may be ahead
)

// importFlags are what the command line of import says.
type importFlags struct {
	device, deviceColumn string
	time, fields         []string
	layout, zone         string
	delimiter, unbound   string
	comma, dry, close    bool
}

// imported is what was done.
type imported struct {
	File    string           `json:"file"`
	Digest  string           `json:"sha256"`
	Dry     bool             `json:"dryRun,omitempty"`
	Rows    int              `json:"rows"`
	Empty   int              `json:"withoutValue,omitempty"`
	Texts   int              `json:"texts,omitempty"` // values that are no numbers
	Text    int              `json:"firstText,omitempty"`
	Skipped int              `json:"skipped,omitempty"` // measured when their device was not registered
	Devices []importedStream `json:"devices"`
}

// importedStream is what one binding got.
type importedStream struct {
	Ledger string  `json:"ledger"`
	Number uint32  `json:"number"`
	Name   string  `json:"name"`
	From   string  `json:"from"` // measured
	To     string  `json:"to"`
	Stream *uint64 `json:"stream,omitempty"` // nil: nothing was new
	Opened bool    `json:"opened,omitempty"`
	Closed bool    `json:"closed,omitempty"`
	Rows   int     `json:"rows"`
	Added  int     `json:"added"`
	Known  int     `json:"known"`

	rows []messages.TableRow
}

func (c *command) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "import FILE (--device D | --device-column COLUMN) --time COLUMN[,COLUMN] --field NAME[:UNIT]=COLUMN…\n" +
			"                         [--zone ZONE] [--layout LAYOUT] [--decimal-comma] [--dry-run] [--close]",
		Short: "Take in what a data logger had kept: a CSV file",
		Long: "Takes in the lines of a CSV file that a data logger exported, as readings that came late: in\n" +
			"a stream of their own beside that of the device, with the file's SHA-256 in the ledger, so\n" +
			"that a proof names the file. Keep the file as it is: `cairn-verify --attachment` tells it\n" +
			"from any other. Each line goes to where its device was when it was measured. Nothing in the\n" +
			"file vouches for itself: such readings prove that they were like that when they came.\n\n" +
			"The file is read whole before anything is taken. A line that was imported before is passed\n" +
			"over, so that files may overlap, and one that was interrupted can be imported again.\n\n" +
			"LAYOUT is such as MM/DD/YYYY hh:mm:ss AM; without it times are RFC 3339, 2026-05-01 09:30[:05]\n" +
			"or 01.05.2026 09:30[:05]. Times that name no zone are of --zone, such as Europe/Zurich or UTC.\n" +
			"Without --time or --field the columns of the file are listed.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.importFile(cmd.Context(), args[0], &f) },
	}
	cmd.Flags().StringVar(&f.device, "device", "", "the device that the file is of, by number, ID or name")
	cmd.Flags().StringVar(&f.deviceColumn, "device-column", "", "the column that names each line's device: by ID, name or address")
	cmd.Flags().StringSliceVar(&f.time, "time", nil, "the column with the time, or the two with date and time")
	cmd.Flags().StringArrayVar(&f.fields, "field", nil, "a measurement, such as 'T:Cel=Temperature(°C)'; may be repeated")
	cmd.Flags().StringVar(&f.zone, "zone", "", "the zone of times that name none")
	cmd.Flags().StringVar(&f.layout, "layout", "", "how times are written")
	cmd.Flags().StringVar(&f.delimiter, "delimiter", "", "what stands between columns (default: the likeliest of ; , and tab)")
	cmd.Flags().BoolVar(&f.comma, "decimal-comma", false, "numbers have a decimal comma")
	cmd.Flags().StringVar(&f.unbound, "unbound", unboundRefuse, "lines measured when their device was not registered: refuse, skip, or nearest, which takes them as of the next registration, or the last")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "say what would be taken in, and take nothing")
	cmd.Flags().BoolVar(&f.close, "close", false, "no more will come for these devices: end their streams of late readings")
	cmd.MarkFlagsMutuallyExclusive("device", "device-column")
	cmd.MarkFlagsOneRequired("device", "device-column")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "close")
	c.ledgerFlag(cmd, "all of them")
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) importFile(ctx context.Context, name string, f *importFlags) error {
	table, err := f.table()
	if err != nil {
		return err
	}
	file, err := readTable(name)
	if err != nil {
		return err
	}
	if len(f.time) == 0 || len(f.fields) == 0 {
		return fmt.Errorf("say which column has the time, with --time, and which the measurements are, with --field: %s", columnsOf(name, file))
	}
	read, err := table.Read(file)
	if errors.Is(err, messages.ErrColumns) {
		return fmt.Errorf("%s: %w: %s", name, err, columnsOf(name, file))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(read.Rows) == 0 {
		return fmt.Errorf("%s: no line has a value in these columns", name)
	}
	sum := sha256.Sum256(file)
	out := imported{
		File: filepath.Base(name), Digest: hex.EncodeToString(sum[:]), Dry: f.dry,
		Rows: len(read.Rows), Empty: read.Empty, Texts: read.Texts, Text: read.Text,
	}
	if len(out.File) > ledger.MaxName {
		out.File = strings.ToValidUTF8(out.File[:ledger.MaxName], "")
	}
	bindings, err := ask[[]deviceRow](ctx, c, "devices", nothing{})
	if err != nil {
		return err
	}
	if err := out.sort(read.Rows, bindings, f, time.Now()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !f.dry {
		if err := c.hold(ctx, func() error { return c.importAll(ctx, &out, f.close) }); err != nil {
			return fmt.Errorf("%s: %w; what was taken in stays, and importing the file again goes on from there", name, err)
		}
	}
	if c.json {
		return c.printJSON(out)
	}
	return c.printImported(&out)
}

// table is how the file is to be read.
func (f *importFlags) table() (*messages.Table, error) {
	t := &messages.Table{Time: f.time, Layout: f.layout, Device: f.deviceColumn, Comma: f.comma}
	if f.zone != "" {
		z, err := time.LoadLocation(f.zone)
		if err != nil {
			return nil, fmt.Errorf("--zone: %w: want one such as Europe/Zurich, or UTC", err)
		}
		t.Zone = z
	}
	switch d := []rune(f.delimiter); {
	case f.delimiter == `\t`:
		t.Delimiter = '\t'
	case len(d) == 1 && d[0] != '"' && d[0] != '\n' && d[0] != '\r':
		t.Delimiter = d[0]
	case len(d) != 0:
		return nil, fmt.Errorf("--delimiter %.20q: want one character, or \\t", f.delimiter)
	}
	if len(f.time) > 2 {
		return nil, errors.New("--time names one column, or those of date and time")
	}
	if !slices.Contains([]string{unboundRefuse, unboundSkip, unboundNearest}, f.unbound) {
		return nil, fmt.Errorf("--unbound %.20q: want %s, %s or %s", f.unbound, unboundRefuse, unboundSkip, unboundNearest)
	}
	for _, text := range f.fields {
		what, column, ok := strings.Cut(text, "=")
		name, unit, _ := strings.Cut(what, ":")
		if !ok || name == "" || column == "" {
			return nil, fmt.Errorf("--field %.80q: want NAME[:UNIT]=COLUMN, such as 'T:Cel=Temperature(°C)'", text)
		}
		t.Fields = append(t.Fields, messages.TableField{Column: column, Name: name, Unit: unit})
	}
	return t, nil
}

func readTable(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, messages.MaxTable+1))
	if err == nil && len(b) > messages.MaxTable {
		err = fmt.Errorf("%s: more than %d bytes: export it in parts, of some months each", name, messages.MaxTable)
	}
	return b, err
}

// columnsOf says what a file seems to have.
func columnsOf(name string, file []byte) string {
	all := messages.Guess(file)
	if all == nil {
		return fmt.Sprintf("%s has no columns that can be told: is it CSV?", name)
	}
	return fmt.Sprintf("the columns of %s seem to be %q", name, all)
}

// sort finds for each line the binding that held when it was measured. It changes
// nothing, and refuses all where one line has none.
func (out *imported) sort(rows []messages.TableRow, bindings []deviceRow, f *importFlags, now time.Time) error {
	by, at := map[string][]deviceRow{}, map[[2]string]int{}
	unbound, first := 0, -1
	for i := range rows {
		x := &rows[i]
		if x.Measured > now.UnixMilli()+importAhead {
			return fmt.Errorf("line %d: %s has not come yet: look at the logger's clock, --layout and --zone", x.Line, timeText(x.Measured))
		}
		text := f.device
		if f.deviceColumn != "" {
			text = x.Device
		}
		all, ok := by[text]
		if !ok {
			var err error
			if all, err = bindingsNamed(bindings, text); err != nil {
				return fmt.Errorf("line %d: %w", x.Line, err)
			}
			by[text] = all
		}
		b := boundAt(all, x.Measured, f.unbound == unboundNearest)
		if b == nil {
			if unbound++; first < 0 {
				first = i
			}
			continue
		}
		key := [2]string{b.Ledger, fmt.Sprint(b.Number)}
		n, ok := at[key]
		if !ok {
			n = len(out.Devices)
			at[key] = n
			out.Devices = append(out.Devices, importedStream{Ledger: b.Ledger, Number: b.Number, Name: b.Name})
		}
		d := &out.Devices[n]
		d.rows = append(d.rows, *x)
	}
	if unbound > 0 && f.unbound == unboundRefuse {
		return fmt.Errorf("line %d: %s: the device was not registered then, and %d more lines are like it: with --unbound skip they are left out, with --unbound nearest taken as of the registration that came next, or the last",
			rows[first].Line, timeText(rows[first].Measured), unbound-1)
	}
	out.Skipped = unbound
	for i := range out.Devices {
		d := &out.Devices[i]
		slices.SortStableFunc(d.rows, func(a, b messages.TableRow) int { return int(min(max(a.Measured-b.Measured, -1), 1)) })
		d.Rows = len(d.rows)
		d.From, d.To = timeText(d.rows[0].Measured), timeText(d.rows[len(d.rows)-1].Measured)
	}
	return nil
}

// bindingsNamed are those of one device, through all that it had, in order.
func bindingsNamed(bindings []deviceRow, text string) (all []deviceRow, err error) {
	ids := map[string]bool{}
	id := ingest.AddressID(text).String()
	for _, b := range bindings {
		if b.Name == text && text != "" || b.ID == id || fmt.Sprint(b.Number) == text {
			ids[b.ID] = true
		}
	}
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("no device %.80q is registered: `cairn device add`", text)
	case len(ids) > 1:
		return nil, fmt.Errorf("several devices have had the name %.80q: name one by its ID", text)
	}
	for _, b := range bindings {
		if ids[b.ID] {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b deviceRow) int { return strings.Compare(a.From, b.From) })
	return all, nil
}

// boundAt is the binding that held at a time, or with nearest the one that began next,
// else the last; nil if there is none.
func boundAt(all []deviceRow, ms int64, nearest bool) *deviceRow {
	at := timeText(ms)
	for i := range all {
		b := &all[i]
		if b.Until != "" && b.Until <= at {
			continue
		}
		if b.From <= at || nearest {
			return b
		}
		return nil
	}
	if nearest {
		return &all[len(all)-1]
	}
	return nil
}

// fitting is how many of the lines go into one request.
func fitting(rows []messages.TableRow) int {
	bytes := 0
	for i := range rows {
		bytes += 2*len(rows[i].Text) + 200*len(rows[i].Measurements) + 100 // in JSON, at most
		if i == importRows || i > 0 && bytes > maxRequest/2 {
			return i
		}
	}
	return len(rows)
}

// importAll sends what was sorted, binding after binding.
func (c *command) importAll(ctx context.Context, out *imported, end bool) error {
	on := c.ledger
	defer func() { c.ledger = on }()
	defer c.progress("")
	done, g := 0, newGauge(c.progress, "lines", 1)
	for i := range out.Devices {
		d := &out.Devices[i]
		c.ledger = d.Ledger
		for rest := d.rows; len(rest) > 0; {
			n := fitting(rest)
			q := lateRequest{Device: d.Number, Digest: out.Digest, Name: out.File, Last: n == len(rest)}
			for _, x := range rest[:n] {
				q.Rows = append(q.Rows, lateRow{Line: x.Text, Measured: x.Measured, Measurements: x.Measurements})
			}
			rest = rest[n:]
			a, err := ask[lateAnswer](ctx, c, "import", q)
			if err != nil {
				return err
			}
			d.Added, d.Known, d.Opened = d.Added+a.Added, d.Known+a.Known, d.Opened || a.Opened
			if a.Added > 0 {
				d.Stream = &a.Stream
			}
			done += len(q.Rows)
			g.at(uint64(done), uint64(out.Rows))
		}
		if end {
			a, err := ask[lateAnswer](ctx, c, "import/close", lateRequest{Device: d.Number})
			if err != nil {
				return err
			}
			if d.Closed = a.Closed; a.Closed {
				d.Stream = &a.Stream
			}
		}
	}
	return nil
}

func (c *command) printImported(out *imported) error {
	fmt.Fprintf(c.Out, "%s: SHA-256 %s\n", out.File, out.Digest)
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	for _, d := range out.Devices {
		where := "nothing new"
		switch {
		case out.Dry:
			where = "not taken: leave out --dry-run"
		case d.Stream != nil:
			where = fmt.Sprintf("stream %d", *d.Stream)
		}
		if d.Closed {
			where += ", ended"
		}
		fmt.Fprintf(w, "device %d %s\t%s to %s\t%d lines\t%d new\t%d there already\t%s\n", d.Number, d.Name, d.From, d.To, d.Rows, d.Added, d.Known, where)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if out.Empty > 0 {
		fmt.Fprintf(c.Err, "%d lines have no value in these columns\n", out.Empty)
	}
	if out.Texts > 0 {
		fmt.Fprintf(c.Err, "%d values are no numbers, and were taken as texts: the first is in line %d\n", out.Texts, out.Text)
	}
	if out.Skipped > 0 {
		fmt.Fprintf(c.Err, "%d lines were measured when their device was not registered, and are left out\n", out.Skipped)
	}
	for _, d := range out.Devices {
		if d.Opened {
			fmt.Fprintf(c.Err, "stream %d is new: grants that were made before it do not open it\n", *d.Stream)
		}
	}
	return nil
}
