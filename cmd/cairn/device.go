package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (c *command) deviceCommand() *cobra.Command {
	parent := &cobra.Command{Use: "device", Short: "Register devices at their places, give them new keys, move and replace them"}
	parent.AddCommand(c.deviceAdd(), c.devicePair(), c.deviceSeen(), c.deviceList(), c.deviceRotate(), c.deviceRemove(),
		c.deviceMove(), c.deviceReplace(), c.deviceRetire(), c.deviceCalibrate(), c.deviceAttach(), c.deviceHistory(), c.deviceExport(), c.deviceImport())
	return parent
}

// keyFlags are the ways to give a key.
type keyFlags struct {
	file, argv string
	stdin      bool
}

func (k *keyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.file, "key-file", "", "file with the node's key, 32 hex digits")
	cmd.Flags().BoolVar(&k.stdin, "key-stdin", false, "read the key from standard input")
	cmd.Flags().StringVar(&k.argv, "key", "", "the key itself; others can read it from the process list and the shell's history")
	cmd.MarkFlagsMutuallyExclusive("key-file", "key-stdin", "key")
}

// read returns the key's text, "" if none was given.
func (k *keyFlags) read(c *command) (string, error) {
	switch {
	case k.file != "":
		b, err := readSecretFile(k.file)
		if err != nil {
			return "", fmt.Errorf("--key-file: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	case k.stdin:
		line, err := bufio.NewReader(io.LimitReader(c.In, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("--key-stdin: %w", err)
		}
		if line = strings.TrimSpace(line); line == "" {
			return "", errors.New("--key-stdin: standard input is empty")
		}
		return line, nil
	case k.argv != "":
		fmt.Fprintln(c.Err, "cairn: warning: a key on the command line can be read by others; prefer --key-file or --key-stdin")
	}
	return k.argv, nil
}

func (c *command) deviceAdd() *cobra.Command {
	var q deviceRequest
	var key keyFlags
	cmd := &cobra.Command{
		Use:   "add {--id HEX16 | --address ADDRESS} [--key-file F | --key-stdin] [--name NAME] [--place PLACE] [--thing THING] [--kind KIND] [--label KEY=VALUE…]",
		Short: "Register a device and begin its stream",
		Long: "Registers a device and begins its stream. Kinds: secure (has a key; only frames that\n" +
			"authenticate count), opaque (no key here; frames are recorded unopened), text (known from\n" +
			"a hub's text lines alone), vouched (senders that the configuration names say what it said,\n" +
			"under an --address: the name in SenML, a DevEUI, the {device} of an MQTT topic). With --counter-floor, counters up to there are refused: give\n" +
			"the node's present counter, and frames recorded earlier cannot be played back.\n\n" +
			"Where the gateway runs several ledgers, labels such as jurisdiction=ch choose the one whose\n" +
			"rule in the configuration fits first, \"site\" if none does; or name it with --ledger. The\n" +
			"device stays there: to move it to another, remove and add it.\n\n" +
			"A device is at a --place and about a --thing, such as the fridge in a canteen: the ledger\n" +
			"records both with the binding, and a proof names them. Rules know them as the labels place\n" +
			"and thing. When it goes elsewhere, cairn device move.\n\n" +
			"Labels, name and ID choose the compartments of its measurements too, by the rules in the\n" +
			"configuration as they are now: what can be shown of it apart from the rest, for good.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Key, err = key.read(c); err != nil {
				return err
			}
			if q.Kind == "secure" && q.Key == "" {
				return errors.New("a secure device needs its key: --key-file or --key-stdin; or choose --kind opaque or text")
			}
			return c.changeDevice(cmd, "device/add", "added", &q)
		},
	}
	cmd.Flags().StringVar(&q.ID, "id", "", "the node's ID, 16 hex digits")
	cmd.Flags().StringVar(&q.Address, "address", "", "what senders call a vouched device")
	cmd.Flags().StringVar(&q.Name, "name", "", "what people call it")
	placeFlags(cmd, &q.Place, &q.Thing)
	cmd.Flags().StringVar(&q.Kind, "kind", "secure", "secure, opaque, text or vouched")
	cmd.Flags().StringVar(&q.Floor, "counter-floor", "", "refuse counters up to this one, 12 hex digits")
	cmd.Flags().StringArrayVar(&q.Labels, "label", nil, "KEY=VALUE, such as jurisdiction=ch, for the rules of ledgers and compartments; may be repeated")
	c.ledgerFlag(cmd, `as the labels have it, else "site"`)
	cmd.MarkFlagsOneRequired("id", "address")
	cmd.MarkFlagsMutuallyExclusive("id", "address")
	key.add(cmd)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) deviceRotate() *cobra.Command {
	var q deviceRequest
	var key keyFlags
	cmd := &cobra.Command{
		Use: "rotate DEVICE [--key-file F | --key-stdin]", Short: "Give a device its next key", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Key, err = key.read(c); err != nil {
				return err
			}
			if q.Key == "" {
				return errors.New("give the new key: --key-file or --key-stdin")
			}
			q.Device = args[0]
			return c.changeDevice(cmd, "device/rotate", "has a new key:", &q)
		},
	}
	cmd.Flags().StringVar(&q.Floor, "counter-floor", "", "refuse counters up to this one under the new key, 12 hex digits")
	c.ledgerFlag(cmd, theDefaultLedger)
	key.add(cmd)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) deviceRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove DEVICE", Short: "End a device's binding; its readings stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeDevice(cmd, "device/remove", "removed; its readings stay:", &deviceRequest{Device: args[0]})
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) changeDevice(cmd *cobra.Command, operation, done string, q *deviceRequest) error {
	row, err := ask[deviceRow](cmd.Context(), c, operation, q)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(row)
	}
	where := ""
	if row.Ledger != siteLedger || len(q.Labels) > 0 {
		where = ", in the ledger " + row.Ledger
	}
	fmt.Fprintf(c.Out, "device %d %s %s %s, stream %d%s\n", row.Number, done, row.ID, row.Name, row.Slot, where)
	if row.Note != "" {
		fmt.Fprintf(c.Err, "note: %s\n", row.Note)
	}
	return nil
}

func (c *command) deviceList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List all devices, also those removed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask[[]deviceRow](cmd.Context(), c, "devices", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			if len(rows) == 0 {
				fmt.Fprintln(c.Out, "no devices yet: `cairn device add` registers one")
				return nil
			}
			return c.printDevices(rows)
		},
	}
	c.ledgerFlag(cmd, "all of them")
	c.jsonFlag(cmd)
	return cmd
}

// printDevices names the ledgers where there are devices in others than the
// default one.
func (c *command) printDevices(rows []deviceRow) error {
	several := slices.ContainsFunc(rows, func(r deviceRow) bool { return r.Ledger != siteLedger })
	placed := slices.ContainsFunc(rows, func(r deviceRow) bool { return r.Place != "" || r.Thing != "" })
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	if several {
		fmt.Fprint(w, "LEDGER\t")
	}
	places := ""
	if placed {
		places = "PLACE\tTHING\t"
	}
	fmt.Fprintln(w, "NUMBER\tID\tNAME\t"+places+"KIND\tSTREAM\tKEY EPOCH\tFROM\tUNTIL\tCOMPARTMENTS")
	for _, r := range rows {
		if several {
			fmt.Fprintf(w, "%s\t", r.Ledger)
		}
		if placed {
			places = r.Place + "\t" + r.Thing + "\t"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s%s\t%d\t%d\t%s\t%s\t%s\n", r.Number, r.ID, r.Name, places, r.Kind, r.Slot, r.Epoch, r.From, r.Until, strings.Join(r.Compartments, " "))
	}
	return w.Flush()
}
