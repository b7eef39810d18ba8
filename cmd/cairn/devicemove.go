package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/anchor/proof"
)

func placeFlags(cmd *cobra.Command, place, thing *string) {
	cmd.Flags().StringVar(place, "place", "", "where it is, such as \"canteen kitchen\"")
	cmd.Flags().StringVar(thing, "thing", "", "what it is about, such as \"walk-in fridge\"")
}

func (c *command) deviceMove() *cobra.Command {
	var q moveRequest
	var place, thing string
	cmd := &cobra.Command{
		Use:   "move DEVICE {--place PLACE | --thing THING}… [--label KEY=VALUE…]",
		Short: "Bind a device at another place or to another thing",
		Long: "Ends a device's binding and begins another of the same device, with the key it has, at\n" +
			"another place or about another thing. It gets a number and a stream of its own, with new\n" +
			"compartments: who may read the old stream reads nothing of the new one, and the other way\n" +
			"round. What is not named stays as it is; \"\" takes it away. So do its labels, which with\n" +
			"place and thing choose its compartments by the rules in the configuration as they are now.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Device = args[0]
			if cmd.Flags().Changed("place") {
				q.Place = &place
			}
			if cmd.Flags().Changed("thing") {
				q.Thing = &thing
			}
			row, err := ask[deviceRow](cmd.Context(), c, "device/move", &q)
			if err != nil {
				return err
			}
			return c.printPlaced("moved:", &row)
		},
	}
	placeFlags(cmd, &place, &thing)
	cmd.Flags().StringArrayVar(&q.Labels, "label", nil, "KEY=VALUE, in place of all labels that it had; may be repeated")
	cmd.MarkFlagsOneRequired("place", "thing")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) deviceReplace() *cobra.Command {
	var q deviceRequest
	var key keyFlags
	cmd := &cobra.Command{
		Use:   "replace OLD {--id HEX16 | --address ADDRESS} [--key-file F | --key-stdin] [--kind KIND]",
		Short: "Put a new device where another is",
		Long: "Ends a device's binding and begins that of a new one with the same name, at the same place\n" +
			"and about the same thing. It has a stream of its own; the ledger records which device made\n" +
			"way for which.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Key, err = key.read(c); err != nil {
				return err
			}
			if q.Kind == "secure" && q.Key == "" {
				return errors.New("a secure device needs its key: --key-file or --key-stdin; or choose --kind opaque or text")
			}
			q.Device = args[0]
			row, err := ask[deviceRow](cmd.Context(), c, "device/replace", &q)
			if err != nil {
				return err
			}
			return c.printPlaced("takes over:", &row)
		},
	}
	cmd.Flags().StringVar(&q.ID, "id", "", "the new node's ID, 16 hex digits")
	cmd.Flags().StringVar(&q.Address, "address", "", "what senders call the new device, if vouched")
	cmd.Flags().StringVar(&q.Kind, "kind", "secure", "secure, opaque, text or vouched")
	cmd.Flags().StringVar(&q.Floor, "counter-floor", "", "refuse counters up to this one, 12 hex digits")
	cmd.Flags().StringArrayVar(&q.Labels, "label", nil, "KEY=VALUE, in place of all labels that the old one had; may be repeated")
	cmd.MarkFlagsOneRequired("id", "address")
	cmd.MarkFlagsMutuallyExclusive("id", "address")
	key.add(cmd)
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

// printPlaced tells of a binding that began.
func (c *command) printPlaced(done string, row *deviceRow) error {
	if c.json {
		return c.printJSON(row)
	}
	at := ""
	if row.Place != "" || row.Thing != "" {
		at = ", " + placeText(row.Place, row.Thing)
	}
	fmt.Fprintf(c.Out, "device %d %s %s %s, stream %d%s\n", row.Number, done, row.ID, row.Name, row.Slot, at)
	if row.Note != "" {
		fmt.Fprintf(c.Err, "note: %s\n", row.Note)
	}
	return nil
}

func (c *command) deviceRetire() *cobra.Command {
	var q noteRequest
	cmd := &cobra.Command{
		Use: "retire DEVICE [--reason TEXT]", Short: "End a device's binding for good; its readings stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Device = args[0]
			row, err := ask[deviceRow](cmd.Context(), c, "device/retire", &q)
			if err != nil {
				return err
			}
			return c.printPlaced("retired; its readings stay:", &row)
		},
	}
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why; recorded in the ledger")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) deviceCalibrate() *cobra.Command {
	var q noteRequest
	var offset, certificate, at string
	cmd := &cobra.Command{
		Use:   "calibrate DEVICE --by WHO --at TIME {--offset FIELD=NUMBER | --certificate FILE}…",
		Short: "Record that a device was calibrated",
		Long: "Records in the ledger who calibrated a device and when: what is to be added to one of its\n" +
			"measurements, the SHA-256 of the certificate, or both. Readings stay as the device sent\n" +
			"them; a proof of one that came later shows the calibration beside it. It goes with the\n" +
			"device: where a stream of it begins, the newest of each field is said again. The\n" +
			"certificate itself is not kept here.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Device = args[0]
			var err error
			if q.Calibrated, err = parseTime(at, time.Now()); err != nil {
				return fmt.Errorf("--at: %w", err)
			}
			if offset != "" {
				var ok bool
				if q.Field, q.Offset, ok = strings.Cut(offset, "="); !ok {
					return fmt.Errorf("--offset %.60q is not FIELD=NUMBER, such as T=-0.25", offset)
				}
			}
			if certificate != "" {
				if q.Digest, err = hashFile(certificate); err != nil {
					return fmt.Errorf("--certificate: %w", err)
				}
			}
			return c.noted(cmd, "device/calibrate", "calibrated", &q)
		},
	}
	cmd.Flags().StringVar(&q.By, "by", "", "who calibrated it")
	cmd.Flags().StringVar(&at, "at", "", "when")
	cmd.Flags().StringVar(&offset, "offset", "", "what to add to a measurement, such as T=-0.25")
	cmd.Flags().StringVar(&certificate, "certificate", "", "the certificate's file")
	cmd.MarkFlagRequired("by")
	cmd.MarkFlagRequired("at")
	cmd.MarkFlagsOneRequired("offset", "certificate")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) deviceAttach() *cobra.Command {
	var q noteRequest
	cmd := &cobra.Command{
		Use:   "attach DEVICE FILE --kind photo|certificate|document [--name NAME]",
		Short: "Record the SHA-256 of a photo or paper about a device's installation",
		Long: "Records in the ledger the SHA-256 of a file about a device where it is now: a photo of the\n" +
			"sensor in place, a certificate. The file itself is not kept here: keep it as it is. A proof\n" +
			"of a reading that came later shows the hash, so that the file can be told from another.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Device = args[0]
			var err error
			if q.Digest, err = hashFile(args[1]); err != nil {
				return err
			}
			if !cmd.Flags().Changed("name") {
				q.Name = filepath.Base(args[1])
			}
			return c.noted(cmd, "device/attach", "has "+q.What, &q)
		},
	}
	cmd.Flags().StringVar(&q.What, "kind", "", "photo, certificate or document")
	cmd.Flags().StringVar(&q.Name, "name", "", "what to call it (default: the file's name)")
	cmd.MarkFlagRequired("kind")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) noted(cmd *cobra.Command, operation, done string, q *noteRequest) error {
	row, err := ask[noteRow](cmd.Context(), c, operation, q)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(row)
	}
	hash := ""
	if row.Digest != "" {
		hash = ", SHA-256 " + row.Digest
	}
	fmt.Fprintf(c.Out, "device %d %s, statement %d%s\n", row.Number, done, row.Statement, hash)
	return nil
}

// hashFile returns the SHA-256 of a file in hexadecimal.
func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, proof.MaxAttached+1))
	switch {
	case err != nil:
		return "", err
	case n > proof.MaxAttached:
		return "", fmt.Errorf("%s: more than %d bytes", name, proof.MaxAttached)
	case n == 0:
		return "", fmt.Errorf("%s: it is empty", name)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (c *command) deviceHistory() *cobra.Command {
	var q historyRequest
	cmd := &cobra.Command{
		Use:   "history {DEVICE | --place PLACE | --thing THING}",
		Short: "Show where a device was, or what was at a place, and what was recorded of it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Device = args[0]
			}
			if (q.Device == "") == (q.Place == "" && q.Thing == "") {
				return errors.New("name a device, or a --place or --thing")
			}
			rows, err := ask[[]historyRow](cmd.Context(), c, "device/history", &q)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			return c.printHistory(rows)
		},
	}
	placeFlags(cmd, &q.Place, &q.Thing)
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) printHistory(rows []historyRow) error {
	if len(rows) == 0 {
		fmt.Fprintln(c.Out, "nothing was bound there")
		return nil
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		until := "now"
		if r.Until != "" {
			until = r.Until
		}
		fmt.Fprintf(w, "device %d %s %s, stream %d, %s to %s\n", r.Number, r.ID, r.Name, r.Slot, r.From, until)
		for _, e := range r.Events {
			fmt.Fprintf(w, "  %s\t%d\t%s\n", e.At, e.Statement, e.Text)
		}
	}
	return w.Flush()
}
