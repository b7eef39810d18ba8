package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/store"
)

// compartmentRow is a compartment as lists show it.
type compartmentRow struct {
	Ledger string   `json:"ledger"`
	Number uint32   `json:"number"`
	Name   string   `json:"name"`
	Device uint32   `json:"device,omitempty"` // number
	Called string   `json:"deviceName,omitempty"`
	Holds  string   `json:"holds"`
	Fields []string `json:"fields,omitempty"` // patterns of the rules that lead here
	Since  string   `json:"since,omitempty"`  // keys of before were destroyed
	Grants []uint64 `json:"grants,omitempty"` // in force
}

// listCompartments lists the compartments of a ledger, or of all of them if none
// is named.
func (g *gateway) listCompartments(ctx context.Context, name string, _ nothing) ([]compartmentRow, error) {
	chosen, err := g.some(ctx, name)
	if err != nil {
		return nil, err
	}
	rows := []compartmentRow{}
	for _, l := range chosen {
		some, err := l.compartmentRows(time.Now().UnixMilli())
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

func (l *openLedger) compartmentRows(now int64) ([]compartmentRow, error) {
	grants, err := l.grantsNow()
	if err != nil {
		return nil, err
	}
	names := map[uint32]string{}
	for _, b := range l.store.Devices() {
		names[b.Number] = b.Name
	}
	byID := map[uint32]compartmentRow{}
	for _, s := range l.store.AllStreams() {
		for _, c := range l.store.Compartments(s.Slot) {
			byID[c.ID] = compartmentRow{Device: s.Device, Called: names[s.Device], Holds: holds(&c), Fields: c.Fields}
		}
	}
	var rows []compartmentRow
	for _, c := range l.keyring.Compartments() {
		r, used := byID[c.ID]
		r.Ledger, r.Number, r.Name = l.cfg.Name, c.ID, c.Name
		if !used {
			r.Holds = holdsAlone(c.Name)
		}
		if first := keysSince(&c); first > 0 {
			r.Since = timeText(first.Start())
		}
		for i := range grants {
			if grants[i].InForce(now) && grants[i].Opens(c.Name) {
				r.Grants = append(r.Grants, grants[i].Number)
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// holds says what is in a compartment of a stream.
func holds(c *store.StreamCompartment) string {
	switch {
	case c.Class == store.EnvelopeClass:
		return "device, times, counters, gaps"
	case c.Class == store.DefaultClass:
		return "all other measurements"
	}
	return "measurements: " + strings.Join(c.Fields, " ")
}

// holdsAlone says it of one that is no stream's.
func holdsAlone(name string) string {
	switch name {
	case ledgerCompartment:
		return "the log; goes with every grant"
	case "site":
		return "what no grant opens"
	case store.Statements:
		return "devices, grants; for mirrors"
	}
	return "nothing: a crash came before its stream"
}

func (c *command) compartmentCommand() *cobra.Command {
	parent := &cobra.Command{Use: "compartment", Short: "What can be shown apart from the rest"}
	cmd := &cobra.Command{
		Use: "list", Short: "List all compartments, what they hold and who is granted them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask[[]compartmentRow](cmd.Context(), c, "compartments", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			return c.printCompartments(rows)
		},
	}
	c.ledgerFlag(cmd, "all of them")
	c.jsonFlag(cmd)
	parent.AddCommand(cmd)
	return parent
}

func (c *command) printCompartments(rows []compartmentRow) error {
	several := slices.ContainsFunc(rows, func(r compartmentRow) bool { return r.Ledger != siteLedger })
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	if several {
		fmt.Fprint(w, "LEDGER\t")
	}
	fmt.Fprintln(w, "COMPARTMENT\tDEVICE\tHOLDS\tGRANTS\tKEYS SINCE")
	for _, r := range rows {
		if several {
			fmt.Fprintf(w, "%s\t", r.Ledger)
		}
		device := ""
		if r.Device != 0 {
			device = strings.TrimSpace(fmt.Sprintf("%d %s", r.Device, r.Called))
		}
		grants := make([]string, len(r.Grants))
		for i, n := range r.Grants {
			grants[i] = fmt.Sprint(n)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, device, r.Holds, strings.Join(grants, " "), r.Since)
	}
	return w.Flush()
}

// classesOf are the last parts of the names of a stream's compartments.
func (l *openLedger) classesOf(slot uint64) []string {
	var all []string
	for _, c := range l.store.Compartments(slot) {
		all = append(all, c.Class)
	}
	return all
}
