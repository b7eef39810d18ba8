package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"cairn/merkle"
	"cairn/store/mirror"
	"cairn/store/share"
)

// The formats of what is opened.
const (
	formatCSV   = "csv"
	formatJSON  = "json"
	formatSenML = "senml"
	formatProof = "proof"
)

// openEvery is how often a live reader looks for more.
const openEvery = 10 * time.Second

// openFlags are what the command line of open says.
type openFlags struct {
	from, bundle, identity, tokenFile string
	grant                             uint64
	hasGrant                          bool
	streams                           []uint
	devices, readings, fields         []string
	since, until, format, out         string
	follow                            bool
	every                             time.Duration

	sinceMS, untilMS *int64
}

func (c *command) openCommand() *cobra.Command {
	var f openFlags
	cmd := &cobra.Command{
		Use: "open --from URL|DIR (--bundle FILE | --grant N) --identity FILE [--stream N… | --device D…]\n" +
			"  [--since TIME] [--until TIME] [--format csv|json|senml|proof] [--out FILE] [--follow]",
		Short: "Open what was granted to you, and verify all of it",
		Long: "Turns sealed data into readings, on the side of whoever was granted them: the auditor, the\n" +
			"regulator, the tenant. --from is the address of a ledger at its gateway or a mirror, such as\n" +
			"http://192.0.2.7:9980/ledger/site, or the folder of a copy that cairn mirror keeps. The bundle\n" +
			"is the file that came with the grant; with --grant the source is asked for it.\n\n" +
			"Everything is verified before it is written: each reading is rehashed, up to a checkpoint that\n" +
			"the ledger's key signed. What could not be opened, and why, is told on standard error.\n\n" +
			"  csv    a line for each measurement, safe to open in a spreadsheet, with the device's\n" +
			"         place and thing where the ledger names them\n" +
			"  json   a line for each reading, with these too\n" +
			"  senml  RFC 8428, one record for each measurement\n" +
			"  proof  one file that proves to anyone, by cairn-verify, that the readings of the streams in\n" +
			"         that time are all there were; with --reading it proves those alone\n\n" +
			"TIME is RFC 3339, or 2006-01-02[ 15:04[:05]] in local time, or a time ago such as -90m.\n\n" +
			"Exit codes: 0 all that was granted in that time was opened; 1 the source shows something false;\n" +
			"2 it could not be opened, or not all of it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.hasGrant = cmd.Flags().Changed("grant")
			return c.open(cmd.Context(), &f)
		},
	}
	cmd.Flags().StringVar(&f.from, "from", "", "where the ledger is: the address of a gateway's or mirror's ledger, or a copy's folder")
	cmd.Flags().StringVar(&f.bundle, "bundle", "", "the bundle of the grant, a file")
	cmd.Flags().Uint64Var(&f.grant, "grant", 0, "the grant's number: its bundle is asked of the source")
	cmd.Flags().StringVar(&f.identity, "identity", "", "the private key that the grant was made to: an age identity file, or an SSH key")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "a file with the access token (default: the bundle's)")
	cmd.Flags().UintSliceVar(&f.streams, "stream", nil, "these streams alone; may be repeated")
	cmd.Flags().StringArrayVar(&f.devices, "device", nil, "this device alone, by number, ID or name; may be repeated")
	cmd.Flags().StringVar(&f.since, "since", "", "readings received from this time on")
	cmd.Flags().StringVar(&f.until, "until", "", "… and before this one")
	cmd.Flags().StringVar(&f.format, "format", formatCSV, "csv, json, senml or proof")
	cmd.Flags().StringSliceVar(&f.readings, "reading", nil, "proof: these readings alone, as STREAM/NUMBER; may be repeated")
	cmd.Flags().StringSliceVar(&f.fields, "fields", nil, "proof: show these fields alone, such as received,temperature")
	cmd.Flags().StringVar(&f.out, "out", "", "the file to write; it must not exist yet (default, and -: standard output)")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "go on with what comes, until interrupted; each reading is written once")
	cmd.Flags().DurationVar(&f.every, "every", openEvery, "with --follow: how often to look")
	cmd.MarkFlagsMutuallyExclusive("bundle", "grant")
	cmd.MarkFlagsOneRequired("bundle", "grant")
	cmd.MarkFlagsMutuallyExclusive("stream", "device", "reading")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("identity")
	return cmd
}

func (f *openFlags) parse(now time.Time) error {
	for _, t := range []struct {
		text, flag string
		to         **int64
	}{{f.since, "since", &f.sinceMS}, {f.until, "until", &f.untilMS}} {
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
	case f.sinceMS != nil && f.untilMS != nil && *f.sinceMS >= *f.untilMS:
		return fmt.Errorf("--since %s is not before --until %s", timeText(*f.sinceMS), timeText(*f.untilMS))
	case !slices.Contains([]string{formatCSV, formatJSON, formatSenML, formatProof}, f.format):
		return fmt.Errorf("format %.40q is none of %s, %s, %s and %s", f.format, formatCSV, formatJSON, formatSenML, formatProof)
	case f.format != formatProof && (len(f.readings) > 0 || len(f.fields) > 0):
		return errors.New("--reading and --fields are of --format proof")
	case f.follow && f.format == formatProof:
		return errors.New("a proof is of what is there: --follow goes with csv, json and senml")
	case f.every < time.Second:
		return errors.New("--every: look once a second at most")
	}
	if f.out == "-" {
		f.out = ""
	}
	return nil
}

func (c *command) open(ctx context.Context, f *openFlags) error {
	if err := f.parse(time.Now()); err != nil {
		return err
	}
	if f.format == formatProof && f.out == "" && isTerminal(c.Out) {
		return errors.New("a proof file is binary: name a file with --out, or pipe standard output")
	}
	if f.out != "" {
		if _, err := os.Lstat(f.out); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and is not overwritten: give another name", f.out)
		}
	}
	o, err := c.grantOpener(ctx, f)
	if err != nil {
		return explained(err)
	}
	if f.format == formatProof {
		return explained(o.prove(ctx))
	}
	return explained(o.read(ctx))
}

// grantOpener opens what a grant gives of one source.
type grantOpener struct {
	*command
	f       *openFlags
	ids     []age.Identity
	src     mirror.Source
	bundle  *share.Bundle
	view    *mirror.View
	streams []uint64 // nil: all
}

func (c *command) grantOpener(ctx context.Context, f *openFlags) (*grantOpener, error) {
	o := &grantOpener{command: c, f: f}
	var err error
	if o.ids, err = share.ReadIdentities(f.identity); err != nil {
		return nil, err
	}
	token := ""
	if f.tokenFile != "" {
		b, err := readSecretFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = string(b)
	}
	number := f.grant
	if f.bundle != "" {
		if err := o.readBundle(); err != nil {
			return nil, err
		}
		number = o.bundle.Grant
		if token == "" {
			token = o.bundle.Token
		}
	}
	if o.src, err = o.source(ctx, number, token); err != nil {
		return nil, err
	}
	if o.bundle == nil {
		if o.bundle, err = o.fetchBundle(ctx, number); err != nil {
			return nil, err
		}
	}
	if o.view, err = mirror.NewView(o.src, o.bundle); err != nil {
		return nil, err
	}
	if !f.follow {
		o.view.Progress = o.viewProgress
	}
	o.streams, err = o.choose()
	return o, err
}

func (o *grantOpener) readBundle() error {
	file, err := os.Open(o.f.bundle)
	if err != nil {
		return fmt.Errorf("--bundle: %w", err)
	}
	defer file.Close()
	if o.bundle, err = share.OpenBundle(file, o.ids...); err != nil {
		return fmt.Errorf("%s: %w", o.f.bundle, err)
	}
	return nil
}

func (o *grantOpener) fetchBundle(ctx context.Context, number uint64) (*share.Bundle, error) {
	b, err := o.src.Bundle(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("the bundle of grant %d: %w", number, err)
	}
	bundle, err := share.OpenBundle(bytes.NewReader(b), o.ids...)
	if err != nil {
		return nil, fmt.Errorf("the bundle of grant %d: %w", number, err)
	}
	if bundle.Grant != number {
		return nil, fmt.Errorf("the source gave the bundle of grant %d, not of %d", bundle.Grant, number)
	}
	return bundle, nil
}

// source finds the source: a folder, or the paths of an address that the token
// opens, the grant's own before those of everything.
func (o *grantOpener) source(ctx context.Context, number uint64, token string) (mirror.Source, error) {
	if !strings.HasPrefix(o.f.from, "http://") && !strings.HasPrefix(o.f.from, "https://") {
		return copyIn(o.f.from)
	}
	address := strings.TrimRight(o.f.from, "/")
	all := []string{address}
	if own := fmt.Sprintf("%s/grant/%d", address, number); token != "" && number != share.Recovered && !strings.Contains(address, "/grant/") {
		all = []string{own, address}
	}
	var first error
	for _, a := range all {
		src, err := mirror.HTTP(a, token, nil)
		if err != nil {
			return nil, err
		}
		_, err = src.Checkpoint(ctx)
		if err == nil || !errors.Is(err, mirror.ErrRefused) && !errors.Is(err, mirror.ErrNotFound) {
			return src, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// copyIn opens a copy's folder, or says what was named instead of one.
func copyIn(dir string) (mirror.Source, error) {
	switch {
	case !exists(dir):
		return nil, fmt.Errorf("--from: %.200q is neither a folder nor an address, which begins with http:// or https://", dir)
	case exists(filepath.Join(dir, configFile)):
		return nil, fmt.Errorf("--from: %s is a gateway's folder, not a copy's: give the address of its ledger, such as http://127.0.0.1:9980/ledger/site", dir)
	}
	return mirror.FolderSource(dir)
}

// choose finds the streams that were named.
func (o *grantOpener) choose() ([]uint64, error) {
	granted := o.view.Streams()
	var all []uint64
	for _, n := range o.f.streams {
		if !slices.ContainsFunc(granted, func(s mirror.Stream) bool { return s.Slot == uint64(n) }) {
			return nil, fmt.Errorf("the grant has nothing of stream %d: it has %s", n, streamsText(granted))
		}
		all = append(all, uint64(n))
	}
	for _, text := range o.f.devices {
		found := false
		for _, s := range granted {
			if s.Device != "" && (s.Device == strings.ToLower(text) || s.Name == text || strconv.FormatUint(uint64(s.Number), 10) == text) {
				all, found = append(all, s.Slot), true
			}
		}
		if !found {
			return nil, fmt.Errorf("the grant has nothing of a device %.80q: it has %s", text, streamsText(granted))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func streamsText(all []mirror.Stream) string {
	words := make([]string, 0, len(all))
	for _, s := range all {
		w := fmt.Sprintf("stream %d", s.Slot)
		if s.Device != "" {
			w += fmt.Sprintf(" (device %d, %q, %s)", s.Number, s.Name, s.Device)
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return "no stream"
	}
	return strings.Join(words, ", ")
}

func (o *grantOpener) query(seen *mirror.Seen) mirror.Query {
	q := mirror.Query{Streams: o.streams, From: deref(o.f.sinceMS, 0), To: deref(o.f.untilMS, 0), Live: true, Seen: seen}
	if len(q.Streams) == 0 {
		q.Streams = nil
	}
	return q
}

// read writes readings.
func (o *grantOpener) read(ctx context.Context) (err error) {
	dst, done, err := o.output()
	if err != nil {
		return err
	}
	defer func() { err = done(interrupted(ctx, err)) }()
	w := newReadingWriter(o.f.format, dst, o.bundle.Ledger)
	if o.f.follow {
		return o.followLive(ctx, w)
	}
	report, err := o.view.Readings(ctx, o.query(nil), w.write)
	o.progress("")
	if cerr := w.close(); err == nil {
		err = cerr
	}
	if err != nil {
		if report.Readings > 0 && o.f.out == "" {
			fmt.Fprintf(o.Err, "the %d %s above hold; nothing that came after them counts\n", report.Readings, plural(report.Readings, "reading"))
		}
		return err
	}
	o.say(report, "opened and verified")
	return o.lacking(report)
}

// say tells what was opened and what was not.
func (o *grantOpener) say(r *mirror.ViewReport, what string) {
	head, _ := o.view.Head()
	fmt.Fprintf(o.Err, "ledger %x: a log of %d batches, signed by its key\n", o.bundle.Ledger, head.Size)
	live := ""
	if r.Live > 0 {
		live = fmt.Sprintf(", %d of them not sealed yet", r.Live)
	}
	fmt.Fprintf(o.Err, "%s: %d %s of %d %s in %d %s%s\n", what, r.Readings, plural(r.Readings, "reading"),
		r.StreamCount(), plural(r.StreamCount(), "stream"), r.Groups, plural(r.Groups, "quarter hour"), live)
	if len(r.Hidden) > 0 {
		fmt.Fprintf(o.Err, "not in this grant: %s\n", strings.Join(r.Hidden, ", "))
	}
	for i := range r.Missing {
		if i == maxMissingSaid {
			fmt.Fprintf(o.Err, "not opened: … and %d more\n", len(r.Missing)-i)
			break
		}
		fmt.Fprintf(o.Err, "not opened: %v\n", &r.Missing[i])
	}
}

// maxMissingSaid is how much of what is missing is listed.
const maxMissingSaid = 20

// lacking is an error if not all was opened that the grant gives, and nothing says
// why; or nothing at all was.
func (o *grantOpener) lacking(r *mirror.ViewReport) error {
	for i := range r.Missing {
		m := &r.Missing[i]
		if m.Why == mirror.Unproven {
			return fmt.Errorf("%w: %s of %s: ask for a grant of all of the stream, or for another copy", errNotAll, m.Detail, mirror.HourText(m.Hour))
		}
		if m.Why == mirror.Gone && !m.Explained() {
			return fmt.Errorf("%w: the source says that it has %s of %s no longer, and no statement that was read tells why: ask another copy", errNotAll, m.Compartment, mirror.HourText(m.Hour))
		}
		if !m.Explained() {
			return fmt.Errorf("%w: the source does not have %s of %s: ask it again later, or another copy", errNotAll, m.Compartment, mirror.HourText(m.Hour))
		}
	}
	if r.Groups == 0 {
		return fmt.Errorf("nothing was opened: %s", o.span())
	}
	return nil
}

// span says in words what the bundle opens.
func (o *grantOpener) span() string {
	b := o.bundle
	s := fmt.Sprintf("the bundle opens the hours from %s to %s", timeText(b.From), mirror.HourText(b.Through))
	if b.Grant != share.Recovered && b.Until == nil {
		s += ", and was made at " + timeText(b.Issued) + ": a newer one may open more"
	}
	return s
}

// prove writes a proof.
func (o *grantOpener) prove(ctx context.Context) error {
	q := mirror.ProofQuery{Streams: o.streams, From: o.f.sinceMS, To: o.f.untilMS, Readings: o.f.readings, Fields: o.f.fields}
	if len(q.Streams) == 0 {
		q.Streams = nil
	}
	p, err := o.view.Prove(ctx, q)
	o.progress("")
	if err != nil {
		return interrupted(ctx, err)
	}
	file, err := p.File.Encode()
	if err != nil {
		return fmt.Errorf("write proof: %w", err)
	}
	if o.f.out == "" {
		_, err = o.Out.Write(file)
	} else {
		err = writeNew(o.f.out, file, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write proof: %w", err)
	}
	p.Report.Readings = p.Readings
	for _, r := range p.Ranges {
		p.Report.Readings += r.Readings
		known := ", as known until " + timeText(r.To)
		if r.Ended {
			known = ", and no more can come"
		}
		fmt.Fprintf(o.Err, "all of stream %d received from %s to %s: %d %s%s\n", r.Slot, timeText(r.From), timeText(r.To), r.Readings, plural(r.Readings, "reading"), known)
		if r.Cut {
			fmt.Fprintf(o.Err, "  that is less than was asked for: what lies outside is not granted, could not be opened, or is not in the log yet\n")
		}
	}
	o.say(p.Report, "opened, verified and proven")
	state := "not anchored yet: prove again once the source has a receipt"
	switch {
	case p.Anchored:
		state = "with receipts of " + strings.Join(p.Routes, ", ")
	case len(p.Routes) > 0:
		state = "only a part of it is under a receipt yet: prove again later"
	}
	name := "standard output"
	if o.f.out != "" {
		name = o.f.out
	}
	fmt.Fprintf(o.Err, "%s: %d bytes, %s\n", name, len(file), state)
	return nil
}

// explained gives an error the exit code that it means, and what to do next.
func explained(err error) error {
	var lie *mirror.Lie
	var unreached *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unreached):
		return fmt.Errorf("%w: the source cannot be reached: try again later, or take another copy", err)
	case errors.As(err, &lie) && errors.Is(err, merkle.ErrOrigin):
		return fmt.Errorf("%w: --from is the address of another ledger than the bundle is of", lie.Err)
	case errors.As(err, &lie):
		return falseError{fmt.Errorf("%w: keep it as evidence, and take another copy", err)}
	case errors.Is(err, mirror.ErrRefused):
		return fmt.Errorf("%w: give the grant's access token with --token-file", err)
	case errors.Is(err, mirror.ErrGone):
		return fmt.Errorf("%w: what was opened before stays opened, and nothing more is served", err)
	case errors.Is(err, share.ErrNotForUs):
		return fmt.Errorf("%w: give the key that the grant was made to with --identity", err)
	case errors.Is(err, mirror.ErrNone):
		return fmt.Errorf("%w: the ledger has not closed a window yet", err)
	}
	return err
}
