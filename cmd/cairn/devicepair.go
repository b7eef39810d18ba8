package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

const (
	// consoleLimit is how long a node may take to tell its ID and to take its key.
	consoleLimit = time.Minute
	pairPoll     = 500 * time.Millisecond
)

// pairing is one call of device pair.
type pairing struct {
	deviceRequest
	line    string // the node's serial device; "": its lines come by standard input
	stdin   bool
	keyFile string // that the node has, or is to have
	newKey  string // file for a key that is made now
	wait    time.Duration
	rotate  bool // it is registered, and gets its next key
}

// operation is what registers the node, or its next key.
func (p *pairing) operation() string {
	if p.rotate {
		return "device/rotate"
	}
	return "device/add"
}

func (c *command) devicePair() *cobra.Command {
	p := pairing{deviceRequest: deviceRequest{Kind: ingest.KindSecure}}
	cmd := &cobra.Command{
		Use:   "pair NAME [--rotate] {--line DEVICE {--new-key-file F | --key-file F} | --stdin --key-file F} [--wait D]",
		Short: "Register a node by what its own serial line says, and wait for its first frame",
		Long: "Registers an OpenTRV node that hangs on a serial cable, and says \"paired\" when a frame of it has\n" +
			"authenticated, in the running service.\n\n" +
			"With --line it asks the node for its ID (I), and gives it a key (K B …): a new one, which it\n" +
			"writes to --new-key-file, or that in --key-file. The line is the node's own, 4800 baud, and\n" +
			"nothing else may have it open. Who listens on the cable meanwhile reads the key.\n\n" +
			"A hub that authenticates frames itself, such as REV10, passes on what fits its one building\n" +
			"key alone: give its nodes that one with --key-file. A key that is in use has been heard: with\n" +
			"--counter-floor, frames recorded earlier cannot be played back, as in cairn device add. A new\n" +
			"key makes that needless, and suits nodes whose frames are passed on as they are.\n\n" +
			"With --stdin nothing is asked and nothing is set: it takes the ID from a line such as\n" +
			"\"ID: 98 A4 F5 99 E3 94 A8 C2\" on standard input, and the node must have the key already.\n\n" +
			"With --rotate NAME is a device that is registered already: the node on the line must be that\n" +
			"one, and gets its next key. Frames that it sends between taking it and the gateway's knowing\n" +
			"it are refused.\n\n" +
			"Where no frame comes in time (--wait) the device stays registered, and the exit code is 1.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.rotate {
				p.Device = args[0]
			} else {
				p.Name = args[0]
			}
			return c.pair(cmd.Context(), &p)
		},
	}
	cmd.Flags().StringVar(&p.line, "line", "", "the node's serial device, such as /dev/ttyUSB0")
	cmd.Flags().BoolVar(&p.stdin, "stdin", false, "take the ID from the node's lines on standard input")
	cmd.Flags().StringVar(&p.keyFile, "key-file", "", "file with the key, 32 hex digits")
	cmd.Flags().StringVar(&p.newKey, "new-key-file", "", "make a key, and write it to this file, which must not exist")
	cmd.Flags().DurationVar(&p.wait, "wait", 15*time.Minute, "give up waiting for the first frame after this long")
	cmd.Flags().BoolVar(&p.rotate, "rotate", false, "give a device that is registered its next key")
	placeFlags(cmd, &p.Place, &p.Thing)
	cmd.Flags().StringVar(&p.Floor, "counter-floor", "", "refuse counters up to this one, 12 hex digits")
	cmd.Flags().StringArrayVar(&p.Labels, "label", nil, "KEY=VALUE, as for cairn device add; may be repeated")
	c.ledgerFlag(cmd, `as the labels have it, else "site"`)
	cmd.MarkFlagsOneRequired("line", "stdin")
	cmd.MarkFlagsMutuallyExclusive("line", "stdin")
	cmd.MarkFlagsOneRequired("key-file", "new-key-file")
	cmd.MarkFlagsMutuallyExclusive("key-file", "new-key-file")
	cmd.MarkFlagsMutuallyExclusive("stdin", "new-key-file")
	for _, name := range []string{"place", "thing", "label"} {
		cmd.MarkFlagsMutuallyExclusive("rotate", name)
	}
	c.jsonFlag(cmd)
	return cmd
}

// pair reads the ID, sets the key, registers the device and waits for its first
// frame. A key is never lost on the way: it is in its file before the node has it.
func (c *command) pair(ctx context.Context, p *pairing) error {
	if !p.rotate {
		if err := checkName(p.Name); err != nil {
			return err
		}
	}
	if _, err := ask[[]strangerRow](ctx, c, "device/seen", nothing{}); err != nil {
		return err // nobody would hear the node
	}
	key, err := p.drawKey()
	if err != nil {
		return err
	}
	if err := c.console(ctx, p, key); err != nil {
		return err
	}
	row, err := ask[deviceRow](ctx, c, p.operation(), &p.deviceRequest)
	if err != nil && p.line != "" {
		register := "add --id " + p.ID
		if p.rotate {
			register = "rotate " + p.Device
		}
		err = fmt.Errorf("%w: node %s has the key in %s: register it with `cairn device %s --key-file`", err, p.ID, p.file(), register)
	}
	if err != nil {
		return err
	}
	since := int64(0)
	if p.rotate {
		since = time.Now().UnixMilli() // what came before was under the key before
	}
	fmt.Fprintf(c.Err, "device %d is registered: %s %s; waiting for its first frame, at most %s\n", row.Number, row.ID, row.Name, p.wait)
	if row.Note != "" {
		fmt.Fprintf(c.Err, "note: %s\n", row.Note)
	}
	return c.firstFrame(ctx, p, row, since)
}

// file is where the key is.
func (p *pairing) file() string {
	if p.newKey != "" {
		return p.newKey
	}
	return p.keyFile
}

// drawKey reads the key, or draws one.
func (p *pairing) drawKey() (key frame.Key, err error) {
	if p.newKey == "" {
		b, err := readSecretFile(p.keyFile)
		if err == nil {
			key, err = frame.ParseKey(string(b))
		}
		if err != nil {
			return key, fmt.Errorf("--key-file: %w", err)
		}
	} else {
		if _, err := os.Lstat(p.newKey); !errors.Is(err, fs.ErrNotExist) {
			return key, fmt.Errorf("--new-key-file: %s is there already: name a new file, or use it with --key-file", p.newKey)
		}
		if _, err := rand.Read(key[:]); err != nil {
			return key, fmt.Errorf("draw a key: %w", err)
		}
	}
	p.Key = fmt.Sprintf("%x", [16]byte(key))
	return key, nil
}

// console has the node tell its ID, and with --line take its key. Before anything is
// set it is known that the device can be registered.
func (c *command) console(ctx context.Context, p *pairing, key frame.Key) error {
	ctx, cancel := context.WithTimeout(ctx, min(consoleLimit, p.wait))
	defer cancel()
	if p.line == "" {
		id, err := ingest.ListenID(ctx, c.In)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		p.ID = id.String()
		return nil
	}
	node, err := ingest.OpenConsole(p.line)
	if err != nil {
		return err
	}
	defer node.Close()
	fmt.Fprintf(c.Err, "asking the node on %s for its ID\n", p.line)
	id, err := node.ReadID(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.line, err)
	}
	p.ID = id.String()
	try := p.deviceRequest
	try.Try = true
	if _, err := ask[deviceRow](ctx, c, p.operation(), &try); err != nil {
		return fmt.Errorf("%w: the node keeps the key that it has", err)
	}
	if p.newKey != "" {
		if err := writeNew(p.newKey, []byte(p.Key+"\n"), 0o600); err != nil {
			return fmt.Errorf("--new-key-file: %w", err)
		}
	}
	if err := node.SetKey(ctx, key); err != nil {
		return fmt.Errorf("%s: %w: what key node %s has now is not known; try again with --key-file %s", p.line, err, p.ID, p.file())
	}
	return nil
}

// firstFrame waits until a frame of the device that came since then (ms) has become a
// reading.
func (c *command) firstFrame(ctx context.Context, p *pairing, row deviceRow, since int64) error {
	c.ledger = row.Ledger
	ctx, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	tick := time.NewTicker(pairPoll)
	defer tick.Stop()
	q := queryRequest{Device: strconv.FormatUint(uint64(row.Number), 10), From: since, To: math.MaxInt64}
	for {
		a, err := ask[queryAnswer](ctx, c, "query", q)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("device %d is registered, and whether it was heard is not known: %w", row.Number, err)
		}
		if err == nil && len(a.Readings) > 0 && a.Readings[0].Verdict == reading.Authenticated.String() {
			return c.paired(row, &a.Readings[0])
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return fmt.Errorf("device %d is registered and not heard yet: %w", row.Number, cause)
			}
			return falseError{fmt.Errorf("not paired: no frame of %s has authenticated within %s; device %d stays registered, and `cairn status` counts what was refused: is the node in reach, is its key that in %s, does its hub pass its frames on", row.ID, p.wait, row.Number, p.file())}
		}
	}
}

func (c *command) paired(row deviceRow, first *readingRow) error {
	if c.json {
		return c.printJSON(struct {
			deviceRow
			First readingRow `json:"first"` // reading
		}{row, *first})
	}
	fmt.Fprintf(c.Out, "device %d paired: %s %s, stream %d; its first frame came %s\n", row.Number, row.ID, row.Name, row.Slot, timeText(first.Received))
	return nil
}
