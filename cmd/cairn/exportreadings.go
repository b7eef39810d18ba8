package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/mirror"
)

// exportPage is how many readings one answer holds at most.
const exportPage = 5000

// readingsRequest asks for a device's readings received in [From, To) ms, after one
// that an earlier answer ended with.
type readingsRequest struct {
	Device string       `json:"device"`
	From   int64        `json:"from"`
	To     int64        `json:"to"`
	After  *store.After `json:"after,omitempty"`
}

type readingsAnswer struct {
	Ledger   merkle.Hash       `json:"ledger"`
	Readings []exportedReading `json:"readings"`
	More     bool              `json:"more"`
	About    uint64            `json:"about"`                // how many there are in all of the time; the first answer has it
	Passed   []passedOver      `json:"passedOver,omitempty"` // in all of the time; the first answer has it
}

// exportedReading is a reading as it is: its values are in Values, as CBOR.
type exportedReading struct {
	mirror.Opened
	Values   [][]byte
	Shredded []string `json:",omitempty"` // compartments whose part of it is gone
}

func exportedOf(f *store.Found, of ledger.Binding) exportedReading {
	r := exportedReading{Shredded: f.Shredded, Opened: mirror.Opened{
		Slot: f.Slot, Batch: f.Batch, Name: of.Name, Place: of.Place, Thing: of.Thing, Reading: f.Reading,
	}}
	r.Measurements = slices.Clone(f.Measurements)
	for i := range r.Measurements {
		r.Values = append(r.Values, reading.AppendValue(nil, r.Measurements[i].Value))
		r.Measurements[i].Value = reading.Value{}
	}
	return r
}

// opened puts the values back.
func (r *exportedReading) opened() (*mirror.Opened, error) {
	if len(r.Values) != len(r.Measurements) {
		return nil, fmt.Errorf("reading %s has %d values of %d: are cairn and the running service of one version?", r.ID(), len(r.Values), len(r.Measurements))
	}
	for i := range r.Measurements {
		v, _, err := reading.ParseValue(r.Values[i])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", r.ID(), err)
		}
		r.Measurements[i].Value = v
	}
	return &r.Opened, nil
}

// readings gives a device's readings, a page at a time, stream after stream.
func (l *openLedger) readings(ctx context.Context, q readingsRequest) (a readingsAnswer, err error) {
	a.Ledger, a.Readings = l.store.Ledger(), []exportedReading{}
	d, err := l.findDevice(q.Device, true)
	if err != nil {
		return a, err
	}
	if q.After == nil {
		if a.Passed, err = l.passedOver(ctx, d.Number, q.From, q.To); err != nil {
			return a, err
		}
		if a.About, err = l.store.About(d.Number, q.From, q.To); err != nil {
			return a, err
		}
	}
	err = l.store.QueryAfter(ctx, d.Number, q.After, q.From, q.To, func(f *store.Found) (bool, error) {
		if a.More = len(a.Readings) == exportPage; a.More {
			return false, nil
		}
		a.Readings = append(a.Readings, exportedOf(f, d))
		return true, nil
	})
	return a, err
}

func (c *command) exportReadingsCommand() *cobra.Command {
	var q readingsRequest
	var from, to string
	var f openFlags
	cmd := &cobra.Command{
		Use:   "readings --device D [--from TIME] [--to TIME] [--format csv|json|senml] [--out FILE]",
		Short: "Write a device's readings as CSV, JSON lines or SenML",
		Long: "Writes the readings of a device that were received in a span of time, of each stream oldest first, in the\n" +
			"formats of `cairn open`: CSV with a line for each measurement, JSON with a line for each reading, or one\n" +
			"SenML pack (RFC 8428). Without --from and --to: all of them. What was shredded is left out, and named on\n" +
			"standard error. What is written proves nothing by itself: that is what `cairn prove` is for.\n\n" +
			"TIME is RFC 3339, or 2006-01-02[ 15:04[:05]] in local time, or a time ago such as -90m.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			q.To = math.MaxInt64
			for _, t := range []struct {
				flag, text string
				to         *int64
			}{{"from", from, &q.From}, {"to", to, &q.To}} {
				if t.text == "" {
					continue
				}
				ms, err := parseTime(t.text, now)
				if err != nil {
					return fmt.Errorf("--%s: %w", t.flag, err)
				}
				*t.to = ms
			}
			if q.From >= q.To {
				return fmt.Errorf("--from %s is not before --to %s", timeText(q.From), timeText(q.To))
			}
			if !slices.Contains([]string{formatCSV, formatJSON, formatSenML}, f.format) {
				return fmt.Errorf("format %.40q is none of %s, %s and %s", f.format, formatCSV, formatJSON, formatSenML)
			}
			return c.exportReadings(cmd.Context(), q, f)
		},
	}
	cmd.Flags().StringVar(&q.Device, "device", "", "the device, by number, ID or name")
	cmd.Flags().StringVar(&from, "from", "", "readings received from this time on")
	cmd.Flags().StringVar(&to, "to", "", "… and before this one")
	cmd.Flags().StringVar(&f.format, "format", formatCSV, "csv, json or senml")
	cmd.Flags().StringVar(&f.out, "out", "", "the file to write (default: standard output)")
	_ = cmd.MarkFlagRequired("device")
	c.ledgerFlag(cmd, theDefaultLedger)
	return cmd
}

// exportReadings writes page after page, as they come. Where no service runs the
// folder stays open meanwhile.
func (c *command) exportReadings(ctx context.Context, q readingsRequest, f openFlags) (err error) {
	if f.out != "" && exists(f.out) {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", f.out)
	}
	dst, done, err := (&grantOpener{command: c, f: &f}).output()
	if err != nil {
		return err
	}
	defer func() { err = done(interrupted(ctx, err)) }()
	return c.hold(ctx, func() error {
		var w readingWriter
		n, about, parts := uint64(0), uint64(0), map[string]int{}
		g := newGauge(c.progress, "readings", 1)
		defer c.progress("")
		for more := true; more; {
			a, err := ask[readingsAnswer](ctx, c, "readings", q)
			if err != nil {
				return err
			}
			if w == nil {
				w = newReadingWriter(f.format, dst, a.Ledger)
			}
			printPassed(c.Err, a.Passed)
			for i := range a.Readings {
				o, err := a.Readings[i].opened()
				if err != nil {
					return err
				}
				if err := w.write(o); err != nil {
					return err
				}
				for _, name := range a.Readings[i].Shredded {
					parts[name]++
				}
				q.After = &store.After{Slot: o.Slot, Sequence: o.Sequence, Received: o.Received}
			}
			n, about, more = n+uint64(len(a.Readings)), max(about, a.About), a.More
			g.at(n, max(n, about))
		}
		c.progress("")
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			fmt.Fprintf(c.Err, "not there: %s of %d %s was shredded\n", name, parts[name], plural(parts[name], "reading"))
		}
		return w.close()
	})
}
