package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/ingest/reading"
	"cairn/store"
)

// queryPage is how many readings one answer holds at most.
const queryPage = 20000

// queryRequest asks for a device's readings received in [From, To) ms, after
// one that an earlier answer ended with.
type queryRequest struct {
	Device string       `json:"device"`
	From   int64        `json:"from"`
	To     int64        `json:"to"`
	After  *store.After `json:"after,omitempty"`
}

type queryAnswer struct {
	Readings []readingRow `json:"readings"`
	More     bool         `json:"more"`
	Passed   []passedOver `json:"passedOver,omitempty"` // in all of the time; the first answer has it
}

// readingRow is one reading as lists show it.
type readingRow struct {
	ID       string     `json:"id"` // stream/sequence, as `cairn prove --reading` takes it
	Device   string     `json:"device"`
	Measured *int64     `json:"measured_ms,omitempty"` // where its device says
	Received int64      `json:"received_ms"`
	Clock    string     `json:"clock"`
	Origin   string     `json:"transport"`
	Verdict  string     `json:"verdict"`
	Counter  *uint64    `json:"counter,omitempty"`
	Values   []valueRow `json:"values"`
	Shredded []string   `json:"shredded,omitempty"` // compartments whose part of it is gone
}

type valueRow struct {
	Name  string `json:"name"`
	Unit  string `json:"unit,omitempty"`
	Value string `json:"value"`
}

func rowOfReading(f *store.Found) readingRow {
	row := readingRow{
		ID: readingID{f.Slot, f.Sequence}.String(), Device: f.Device, Received: f.Received, Clock: f.Clock.String(),
		Origin: f.Origin.Transport, Verdict: f.Origin.Verdict.String(), Values: []valueRow{},
		Shredded: f.Shredded,
	}
	if f.Origin.HasCounter {
		row.Counter = &f.Origin.Counter
	}
	if f.HasMeasured {
		row.Measured = &f.Measured
	}
	for _, m := range f.Measurements {
		row.Values = append(row.Values, valueRow{m.Name, m.Unit, m.Value.String()})
	}
	return row
}

// query lists a device's readings, a page at a time, binding after binding.
func (l *openLedger) query(ctx context.Context, q queryRequest) (queryAnswer, error) {
	answer := queryAnswer{Readings: []readingRow{}}
	d, err := l.findDevice(q.Device, true)
	if err != nil {
		return answer, err
	}
	if q.After == nil {
		if answer.Passed, err = l.passedOver(ctx, d.Number, q.From, q.To); err != nil {
			return answer, err
		}
	}
	err = l.store.QueryAfter(ctx, d.Number, q.After, q.From, q.To, func(f *store.Found) (bool, error) {
		if answer.More = len(answer.Readings) == queryPage; answer.More {
			return false, nil
		}
		answer.Readings = append(answer.Readings, rowOfReading(f))
		return true, nil
	})
	return answer, err
}

func (c *command) queryCommand() *cobra.Command {
	var device, from, to string
	cmd := &cobra.Command{
		Use:   "query --device D [--from TIME] [--to TIME]",
		Short: "List a device's readings",
		Long: "Lists the readings of a device that were received in a span of time, oldest first, one\n" +
			"binding after the other. Without --from and --to: of the last hour. With --json each\n" +
			"reading is one line. What was shredded of a reading is named. Readings that were shredded as\n" +
			"a whole do not appear: which those are is said on standard error, and with --json in lines\n" +
			"that have passedOver alone.\n\n" +
			"TIME is RFC 3339, or 2006-01-02[ 15:04[:05]] in local time, or a time ago such as -90m.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			q := queryRequest{Device: device}
			for _, t := range []struct {
				flag, text string
				to         *int64
			}{{"from", from, &q.From}, {"to", to, &q.To}} {
				ms, err := parseTime(t.text, now)
				if err != nil {
					return fmt.Errorf("--%s: %w", t.flag, err)
				}
				*t.to = ms
			}
			if q.From >= q.To {
				return fmt.Errorf("--from %s is not before --to %s", timeText(q.From), timeText(q.To))
			}
			return c.hold(cmd.Context(), func() error { return c.listReadings(cmd.Context(), q) })
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "the device, by number, ID or name")
	cmd.Flags().StringVar(&from, "from", "-1h", "readings received from this time on")
	cmd.Flags().StringVar(&to, "to", "0s", "… and before this one")
	_ = cmd.MarkFlagRequired("device")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

// listReadings prints page after page.
func (c *command) listReadings(ctx context.Context, q queryRequest) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	if !c.json {
		fmt.Fprintln(w, "READING\tRECEIVED\tCLOCK\tORIGIN\tVALUES")
	}
	lines := json.NewEncoder(c.Out)
	lines.SetEscapeHTML(false)
	for {
		a, err := ask[queryAnswer](ctx, c, "query", q)
		if err != nil {
			return err
		}
		if !c.json {
			printPassed(c.Err, a.Passed)
		}
		for i := range a.Passed {
			if !c.json {
				break
			}
			if err := lines.Encode(map[string]*passedOver{"passedOver": &a.Passed[i]}); err != nil {
				return fmt.Errorf("write the answer: %w", err)
			}
		}
		for i := range a.Readings {
			if c.json {
				if err := lines.Encode(&a.Readings[i]); err != nil {
					return fmt.Errorf("write the answer: %w", err)
				}
				continue
			}
			fmt.Fprintln(w, a.Readings[i].text())
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		if !a.More {
			return nil
		}
		last := &a.Readings[len(a.Readings)-1]
		ids, err := parseIDs([]string{last.ID})
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		q.After = &store.After{Slot: ids[0].slot, Sequence: ids[0].seq, Received: last.Received}
	}
}

func (r *readingRow) text() string {
	values := make([]string, len(r.Values))
	for i, v := range r.Values {
		values[i] = strings.TrimSpace(v.Name + " " + v.Value + " " + v.Unit)
	}
	for _, name := range r.Shredded {
		values = append(values, name+" was shredded")
	}
	origin := r.Origin + ", " + r.Verdict
	if r.Verdict == reading.Insecure.String() {
		origin = r.Origin + ", told by the hub"
	} else if r.Verdict == reading.Vouched.String() {
		origin = r.Origin + ", told by a sender"
	}
	if r.Origin == reading.TransportCSV {
		origin = "a logger's file"
	}
	if r.Measured != nil {
		origin += ", measured " + timeText(*r.Measured)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", r.ID, time.UnixMilli(r.Received).UTC().Format("2006-01-02T15:04:05.000Z"), r.Clock, origin, strings.Join(values, ", "))
}
