package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// strangerRow is a node that was heard and that no device is bound for.
type strangerRow struct {
	ID     string `json:"id"`    // its leading bytes, in hex
	Bytes  int    `json:"bytes"` // of 8
	Heard  string `json:"heard"` // secure, insecure, text, refused or told
	Via    string `json:"transport"`
	Source string `json:"source"`
	Called string `json:"address,omitempty"` // told: what device add --address takes
	First  string `json:"first"`
	Last   string `json:"last"`
	Count  uint64 `json:"count"`
}

// strangers lists who was heard since the service started, the latest first.
func (g *gateway) strangers(context.Context, string, nothing) ([]strangerRow, error) {
	if g.live == nil {
		return nil, errors.New("the service does not run, so nothing is heard: start it with `cairn run`")
	}
	rows := []strangerRow{}
	for _, s := range g.live.intake.Strangers() {
		rows = append(rows, strangerRow{
			s.ID.String(), s.ID.Len(), s.Heard, s.Transport, s.Source, s.Address,
			timeText(s.First.UnixMilli()), timeText(s.Last.UnixMilli()), s.Count,
		})
	}
	return rows, nil
}

func (c *command) deviceSeen() *cobra.Command {
	cmd := &cobra.Command{
		Use: "seen", Short: "List nodes that are heard and not registered",
		Long: "Lists the nodes that the running service has heard since it started, over UDP and on hubs'\n" +
			"lines, or been told of by senders and brokers, and that no device is bound for, the latest\n" +
			"first: as much of the ID as they tell, and how they were heard:\n\n" +
			"  secure    a frame that claims to be authentic: register it with its key, or --kind opaque\n" +
			"  text      a hub's text line: --kind text\n" +
			"  insecure  a frame with a CRC alone, which is never a reading\n" +
			"  refused   a hub says that it could not authenticate a frame of it\n" +
			"  told      a sender or a broker speaks of it: --kind vouched --address ADDRESS\n\n" +
			"Nobody has verified any of it: whoever reaches the socket can send any ID. 256 are\n" +
			"remembered; one that invents more pushes out what came from its own address. Frames carry\n" +
			"four bytes of the ID as a rule: `cairn device pair` reads all eight from the node itself.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask[[]strangerRow](cmd.Context(), c, "device/seen", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			if len(rows) == 0 {
				fmt.Fprintln(c.Out, "no node is heard that is not registered")
				return nil
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tBYTES\tHEARD\tFROM\tFIRST\tLAST\tCOUNT\tADDRESS")
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%d of 8\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.Bytes, r.Heard, r.Source, r.First, r.Last, r.Count, r.Called)
			}
			return w.Flush()
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
