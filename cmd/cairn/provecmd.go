package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	waitPoll       = time.Second
	defaultTimeout = time.Hour
)

// proveFlags are what the command line of prove says.
type proveFlags struct {
	q            proveRequest
	at, from, to string
	measured     string
	fields       []string
	out          string
	frames       string
	wait         bool
	timeout      time.Duration
}

func (c *command) proveCommand() *cobra.Command {
	var f proveFlags
	cmd := &cobra.Command{
		Use: "prove (--device D [--at TIME | --measured TIME | --from TIME --to TIME] | --reading STREAM/SEQ…) [--fields …] --out FILE\n" +
			"  cairn prove --complete (--device D… | --compartment C… | --all) [--from TIME] [--to TIME] [--fields …] --out FILE",
		Short: "Write one file that proves readings to anyone",
		Long: "Writes one file that proves one or several readings to anyone who has cairn-verify, years\n" +
			"later and without this machine. A device alone means its newest reading; --at the newest\n" +
			"received by then; --from and --to all received in between; --measured, of what was imported\n" +
			"of it afterwards, the newest that was measured by then.\n\n" +
			"Without --fields the whole reading is shown. With --fields only those are; the others stay\n" +
			"hidden, and nobody can guess them from the file. The stream's number, the reading's number\n" +
			"and its window are always told.\n\n" +
			"With --complete the file proves as well that nothing was left out: all readings of the devices\n" +
			"received from --from (default: the first) to --to (default: all that is anchored), through all\n" +
			"their bindings, with the gaps that the ledger declares. A compartment, such as stream/3/data,\n" +
			"is one stream with the fields that belong to it. The time is widened to whole windows.\n\n" +
			"TIME is RFC 3339, or 2006-01-02[ 15:04[:05]] in local time, or a time ago such as -90m.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.prove(cmd.Context(), &f) },
	}
	cmd.Flags().StringArrayVar(&f.q.Devices, "device", nil, "the device, by number, ID or name; with --complete may be repeated")
	cmd.Flags().BoolVar(&f.q.Complete, "complete", false, "prove that these are all readings received in that time")
	cmd.Flags().StringArrayVar(&f.q.Compartments, "compartment", nil, "with --complete: a compartment, such as stream/3/data; may be repeated")
	cmd.Flags().BoolVar(&f.q.All, "all", false, "with --complete: every device")
	cmd.Flags().StringVar(&f.at, "at", "", "the newest reading received by this time")
	cmd.Flags().StringVar(&f.measured, "measured", "", "of what was imported, the newest reading measured by this time")
	cmd.Flags().StringVar(&f.from, "from", "", "all readings received from this time on")
	cmd.Flags().StringVar(&f.to, "to", "", "… and before this one")
	cmd.Flags().StringSliceVar(&f.q.Readings, "reading", nil, "a reading by stream and sequence, such as 0/17; may be repeated")
	cmd.Flags().Var(&numbers{&f.q.Alerts}, "alert", "all that the ledger says of this alert, from `cairn alert list`; may be repeated, and goes with readings")
	cmd.Flags().StringSliceVar(&f.fields, "fields", nil, "show these fields alone: device, measured, received, sequence, origin, frame, or a measurement's name")
	cmd.Flags().StringVar(&f.out, "out", "", "the file to write; it must not exist yet (default, and -: standard output)")
	cmd.Flags().StringVar(&f.frames, "frames", "", "write the secure frames of these readings to this file, for one who has the device's key: cairn-verify frames")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the anchor is final; with no route, until the window is closed and signed")
	cmd.Flags().DurationVar(&f.timeout, "timeout", defaultTimeout, "give up waiting after this long")
	cmd.MarkFlagsMutuallyExclusive("device", "reading", "compartment", "all")
	cmd.MarkFlagsOneRequired("device", "reading", "compartment", "all", "alert")
	cmd.MarkFlagsMutuallyExclusive("complete", "frames")
	cmd.MarkFlagsMutuallyExclusive("complete", "reading")
	cmd.MarkFlagsMutuallyExclusive("compartment", "fields")
	for _, one := range []string{"at", "measured"} {
		cmd.MarkFlagsMutuallyExclusive(one, "from")
		cmd.MarkFlagsMutuallyExclusive(one, "to")
		cmd.MarkFlagsMutuallyExclusive(one, "complete")
	}
	cmd.MarkFlagsMutuallyExclusive("at", "measured")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) prove(ctx context.Context, f *proveFlags) error {
	if err := f.parse(time.Now()); err != nil {
		return err
	}
	if f.out == "-" {
		f.out = ""
	}
	if f.out == "" && isTerminal(c.Out) {
		return errors.New("a proof file is binary: name a file with --out, or pipe standard output")
	}
	for _, path := range []string{f.out, f.frames} {
		if _, err := os.Lstat(path); path != "" && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and is not overwritten: give another name", path)
		}
	}
	answer, err := c.proveOnce(ctx, f)
	if err != nil {
		return err
	}
	if f.frames != "" {
		if err := writeNew(f.frames, framesText(answer.Frames), 0o600); err != nil {
			return fmt.Errorf("write frames: %w", err)
		}
	}
	if f.out == "" {
		_, err = c.Out.Write(answer.File)
	} else {
		err = writeNew(f.out, answer.File, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write proof: %w", err)
	}
	return c.reportProof(f.out, answer)
}

// framesText writes frames as cairn-verify reads them.
func framesText(all []provenFrame) []byte {
	var b []byte
	for _, x := range all {
		b = fmt.Appendf(b, "%s %x\n", x.ID, x.Frame)
	}
	return b
}

func (f *proveFlags) parse(now time.Time) error {
	f.q.Frames = f.frames != ""
	for _, t := range []struct {
		text string
		to   **int64
		flag string
	}{{f.at, &f.q.At, "at"}, {f.measured, &f.q.Measured, "measured"}, {f.from, &f.q.From, "from"}, {f.to, &f.q.To, "to"}} {
		if t.text == "" {
			continue
		}
		ms, err := parseTime(t.text, now)
		if err != nil {
			return fmt.Errorf("--%s: %w", t.flag, err)
		}
		*t.to = &ms
	}
	switch {
	case f.q.Complete:
	case f.q.All || len(f.q.Compartments) != 0:
		return errors.New("--all and --compartment go with --complete")
	case len(f.q.Devices) > 1:
		return errors.New("several devices go with --complete")
	case len(f.q.Devices) == 0 && (f.q.At != nil || f.q.Measured != nil || f.q.From != nil || f.q.To != nil):
		return errors.New("--at, --measured, --from and --to choose among a device's readings: give --device")
	}
	for _, name := range f.fields {
		if name = strings.TrimSpace(name); name == "all" {
			f.q.Fields = nil
			return nil
		}
		f.q.Fields = append(f.q.Fields, name)
	}
	return nil
}

// parseTime reads a time in one of the forms that the help names, as Unix ms.
func parseTime(text string, now time.Time) (int64, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago <= 0 {
		return now.Add(ago).UnixMilli(), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UnixMilli(), nil
	}
	for _, form := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t.UnixMilli(), nil
		}
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 1e11 {
		return ms, nil
	}
	return 0, fmt.Errorf("%.40q is no time such as 2026-05-01T09:00:00Z, \"2026-05-01 11:00\" or -90m", text)
}

// numbers are a flag's that may be repeated.
type numbers struct{ all *[]uint64 }

func (n numbers) Set(text string) error {
	x, err := alertNumber(text)
	if err == nil {
		*n.all = append(*n.all, x)
	}
	return err
}

func (n numbers) String() string { return "" }
func (n numbers) Type() string   { return "number" }

// proveOnce asks for the proof, and with --wait until it is final.
func (c *command) proveOnce(ctx context.Context, f *proveFlags) (proveAnswer, error) {
	defer c.progress("")
	if !f.wait {
		return ask[proveAnswer](ctx, c, "prove", f.q)
	}
	now := time.Now().UnixMilli()
	switch {
	case f.q.Complete && f.q.To == nil:
		f.q.To = &now // "all" is all until we began to wait
	case len(f.q.Devices) != 0 && f.q.From == nil && f.q.To == nil && f.q.At == nil && f.q.Measured == nil:
		f.q.At = &now // "the newest" must stay the same one
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("not final after %v: `cairn status` says what it waits for", f.timeout))
	defer cancel()
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		answer, err := ask[proveAnswer](ctx, c, "prove", f.q)
		switch {
		case err == nil && !answer.Tail && (answer.State == stateFinal || answer.Routes == 0):
			return answer, nil
		case ctx.Err() != nil:
			return answer, context.Cause(ctx)
		case err != nil && !errors.Is(err, errAgain):
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// writeNew writes a file that must not exist, whole or not at all.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// reportProof says on standard error what was written.
func (c *command) reportProof(out string, a proveAnswer) error {
	if c.json {
		type report struct {
			Out      string        `json:"out"`
			Bytes    int           `json:"bytes"`
			State    string        `json:"state"`
			Readings []provenShort `json:"readings,omitempty"`
			Ranges   []provenRange `json:"ranges,omitempty"`
			Passed   []passedOver  `json:"passedOver,omitempty"`
			Tail     bool          `json:"tail,omitempty"`
			Alerts   []alertRow    `json:"alerts,omitempty"`
		}
		if out == "" {
			return errors.New("--json needs --out: standard output holds the proof")
		}
		return c.printJSON(report{out, len(a.File), a.State, a.Readings, a.Ranges, a.Passed, a.Tail, a.Alerts})
	}
	for i, r := range a.Ranges {
		if i == 8 {
			fmt.Fprintf(c.Err, "… and %d more\n", len(a.Ranges)-i)
			break
		}
		known := ", and no more can come"
		if r.Known != "" {
			known = ", as known until " + r.Known
		}
		fmt.Fprintf(c.Err, "all of %s (stream %d) received from %s to %s: %d %s%s\n", r.Device, r.Stream, r.From, r.To, r.Readings, plural(int(r.Readings), "reading"), known)
		for _, x := range r.Shredded {
			fmt.Fprintf(c.Err, "- not shown of %d of them: %s, which was shredded\n", x.Readings, x.Compartment)
		}
	}
	if a.Tail {
		fmt.Fprintln(c.Err, "what came after that is not known yet: prove again later, or use --wait")
	}
	for i, r := range a.Readings {
		if i == 8 {
			fmt.Fprintf(c.Err, "… and %d more\n", len(a.Readings)-i)
			break
		}
		values := strings.Join(r.Values, ", ")
		if len(r.Values) == 0 {
			values = "no value is known here"
		}
		fmt.Fprintf(c.Err, "reading %s of %s, received %s: %s\n", r.ID, r.Device, r.Received, values)
		for _, x := range r.Shredded {
			fmt.Fprintf(c.Err, "- not shown: %s, which was shredded\n", x)
		}
	}
	printPassed(c.Err, a.Passed)
	for i := range a.Alerts {
		fmt.Fprintf(c.Err, "alert %s", a.Alerts[i].text())
	}
	name := "standard output"
	if out != "" {
		name = filepath.Clean(out)
	}
	fmt.Fprintf(c.Err, "%s: %d bytes, %s\n", name, len(a.File), stateWords(a))
	return nil
}

func stateWords(a proveAnswer) string {
	switch {
	case a.State == stateFinal:
		return "anchored in a final block"
	case a.State == statePending:
		return "its anchor is in a block that is not final yet: prove again later, or use --wait"
	case a.Routes > 0:
		return "not anchored yet: prove again later, or use --wait"
	}
	return "not anchored: no route is configured"
}
