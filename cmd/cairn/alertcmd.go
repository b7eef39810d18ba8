package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (c *command) alertCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "alert", Short: "Show and acknowledge alerts, announce maintenance, try receivers",
		Long: "Rules and receivers are in cairn.yaml (alerts, receivers). That an alert was raised, taken by a\n" +
			"receiver, acknowledged and cleared are statements in the ledger, so that all of it can be proven\n" +
			"later: `cairn prove --alert NUMBER`.",
	}
	parent.AddCommand(c.alertList(), c.alertAck(), c.alertMute(), c.alertUnmute(), c.alertTest())
	return parent
}

func (c *command) alertList() *cobra.Command {
	var q alertsRequest
	cmd := &cobra.Command{
		Use: "list", Short: "List what is wrong, newest first (exit code 1 if anything is not acknowledged)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[alertsAnswer](cmd.Context(), c, "alerts", q)
			if err != nil {
				return err
			}
			if c.json {
				err = c.printJSON(a)
			} else {
				_, err = fmt.Fprint(c.Out, a.text())
			}
			for i := range a.Alerts {
				if err == nil && a.Alerts[i].State == alertOpen {
					err = falseError{errors.New("")} // the answer has said why
				}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&q.All, "all", false, "those too that were cleared")
	c.ledgerFlag(cmd, "all of them")
	c.jsonFlag(cmd)
	return cmd
}

func (a *alertsAnswer) text() string {
	var b strings.Builder
	for i := range a.Alerts {
		b.WriteString(a.Alerts[i].text())
	}
	if len(a.Alerts) == 0 {
		b.WriteString("no alert is open\n")
	}
	for _, m := range a.Mutes {
		fmt.Fprintf(&b, "maintenance %d until %s, by %s: %s\n", m.Number, m.Until, m.Name, m.what())
	}
	for _, r := range a.Receivers {
		switch {
		case r.Failing != "":
			fmt.Fprintf(&b, "receiver %s takes nothing since %s, %d waiting: %s\n", r.Name, r.Failing, r.Waiting, r.Error)
		case r.Lost > 0:
			fmt.Fprintf(&b, "receiver %s did not take %d notices\n", r.Name, r.Lost)
		}
	}
	return b.String()
}

func (m *muteRow) what() string {
	text := "all rules"
	if len(m.Rules) > 0 {
		text = strings.Join(m.Rules, ", ")
	}
	if len(m.Devices) > 0 {
		text += " of " + strings.Join(m.Devices, ", ")
	}
	if m.Reason != "" {
		text += ", " + m.Reason
	}
	return text
}

func (r *alertRow) text() string {
	var b strings.Builder
	about := r.Device
	if about == "" {
		about = r.About
	}
	where := ""
	if r.Ledger != siteLedger {
		where = " in " + r.Ledger
	}
	fmt.Fprintf(&b, "%d%s  %s  %s (%s): %s\n", r.Number, where, strings.ToUpper(r.State), r.Rule, about, r.What)
	fmt.Fprintf(&b, "    %s  raised\n", r.Raised)
	for _, t := range r.Told {
		fmt.Fprintf(&b, "    %s  %s was told: %s\n", t.At, t.Receiver, t.News)
	}
	if len(r.Untold) > 0 {
		fmt.Fprintf(&b, "    not told yet: %s\n", strings.Join(r.Untold, ", "))
	}
	for _, k := range r.Acks {
		fmt.Fprintf(&b, "    %s  acknowledged by %s%s\n", k.At, k.Name, strings.TrimSuffix(": "+k.Note, ": "))
	}
	if r.Cleared != "" {
		fmt.Fprintf(&b, "    %s  cleared: %s\n", r.Cleared, r.Why)
	}
	return b.String()
}

// alertNumber reads the argument that names an alert or maintenance.
func alertNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%.20q is no number from `cairn alert list`", text)
	}
	return n, nil
}

func (c *command) alertAck() *cobra.Command {
	var q ackRequest
	cmd := &cobra.Command{
		Use: "ack NUMBER --name NAME [--note TEXT]", Short: "Acknowledge an alert", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if q.Alert, err = alertNumber(args[0]); err != nil {
				return err
			}
			a, err := ask[alertRow](cmd.Context(), c, "alert/ack", q)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			_, err = fmt.Fprint(c.Out, a.text())
			return err
		},
	}
	cmd.Flags().StringVar(&q.Name, "name", "", "who knows of it; stands in the ledger")
	cmd.Flags().StringVar(&q.Note, "note", "", "what is done about it; stands in the ledger")
	_ = cmd.MarkFlagRequired("name")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) alertMute() *cobra.Command {
	var q muteRequest
	var from, until string
	cmd := &cobra.Command{
		Use:   "mute --until TIME --name NAME [--rule R…] [--device D…]",
		Short: "Announce maintenance: raise no alert meanwhile",
		Long: "Announces maintenance. What is wrong meanwhile raises no alert; what still is at its end does\n" +
			"then. Alerts that are open stay so. Of what no device has, such as anchoring, maintenance without\n" +
			"--device alone holds. It is a statement in the ledger.\n\n" + timesHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if from != "" {
				if q.From, err = parseTimeAhead(from, time.Now()); err != nil {
					return fmt.Errorf("--from: %w", err)
				}
			}
			if q.Until, err = parseTimeAhead(until, time.Now()); err != nil {
				return fmt.Errorf("--until: %w", err)
			}
			return c.showMute(ask[muteRow](cmd.Context(), c, "alert/mute", q))
		},
	}
	cmd.Flags().StringArrayVar(&q.Rules, "rule", nil, "only of this rule; may be repeated")
	cmd.Flags().StringArrayVar(&q.Devices, "device", nil, "only of devices whose name or ID fits this pattern; may be repeated")
	cmd.Flags().StringVar(&from, "from", "", "from this time on (default: now)")
	cmd.Flags().StringVar(&until, "until", "", "… and before this one, at most 31 days")
	cmd.Flags().StringVar(&q.Name, "name", "", "who announces it; stands in the ledger")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why; stands in the ledger")
	_ = cmd.MarkFlagRequired("until")
	_ = cmd.MarkFlagRequired("name")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) showMute(m muteRow, err error) error {
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(m)
	}
	fmt.Fprintf(c.Out, "maintenance %d from %s until %s: %s\n", m.Number, m.From, m.Until, m.what())
	return nil
}

func (c *command) alertUnmute() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unmute NUMBER", Short: "End maintenance before its time", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := alertNumber(args[0])
			if err != nil {
				return err
			}
			m, err := ask[muteRow](cmd.Context(), c, "alert/unmute", unmuteRequest{n})
			if err == nil && !c.json {
				fmt.Fprintf(c.Out, "maintenance %d is over\n", m.Number)
				return nil
			}
			return c.showMute(m, err)
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) alertTest() *cobra.Command {
	return &cobra.Command{
		Use: "test RECEIVER", Short: "Send a receiver a notice of nothing, and say whether it took it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := ask[nothing](cmd.Context(), c, "alert/test", testRequest{args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "%s took it\n", args[0])
			return nil
		},
	}
}
