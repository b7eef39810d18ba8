package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/store/share"
)

// noTakingBack is the truth about every grant.
const noTakingBack = "What was handed out cannot be taken back: whoever opened an hour keeps it, and an end only withholds what comes after."

func (c *command) grantCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "grant", Short: "Say who may read what, from when until when",
		Long: "A grant gives an audience the keys of some compartments, hour by hour: those that have begun,\n" +
			"within the times of the grant, and no others. Each grant, renewal and end is a statement in the\n" +
			"ledger, so that who could see what, and when, can be shown later.\n\n" + noTakingBack,
	}
	parent.AddCommand(c.grantAdd(), c.grantList(), c.grantShow(), c.grantEnd(), c.grantRenew(), c.grantBundle())
	return parent
}

const timesHelp = "TIME is RFC 3339, or 2006-01-02[ 15:04[:05]] in local time, or a time ago such as -90m, or ahead\n" +
	"such as 2160h. Times are rounded inward to whole quarter hours."

// grantFlags are what the command lines of grants say.
type grantFlags struct {
	to                          []string
	from, until, access, asOf   string
	tokenFile, out              string
	audience, purpose, reason   string
	compartments, devices, only []string
	mirror                      bool
}

func (c *command) grantAdd() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use:   "add --audience NAME --to RECIPIENT… (--compartment C… | --device D… [--fields …] | --mirror) [--from TIME] [--until TIME]",
		Short: "Give an audience the keys of some compartments",
		Long: "Gives an audience the keys of some compartments. RECIPIENT is a public key: age1…, age1pq1…\n" +
			"(post-quantum), \"ssh-ed25519 …\" or \"ssh-rsa …\", or a file with some. A compartment is named as\n" +
			"`cairn compartment list` does, or all of a stream as stream/3/* (of all streams there are as stream/*); --device names those of a device,\n" +
			"with --fields those alone that hold these measurements. The stream's envelope (times, counters,\n" +
			"gaps) and the log go with them. Streams that begin later are not included: grant them then.\n\n" +
			"Without --until the grant is open-ended. From --access-until on this gateway, and mirrors of it,\n" +
			"hand out nothing more for the grant, also of what it opened before.\n\n" +
			"The access token, by which the gateway knows the audience, is shown once and not kept: pass it\n" +
			"on in secret, or write the first bundle with it inside (--out), which the audience alone opens.\n\n" +
			timesHelp + "\n\n" + noTakingBack,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.addGrant(cmd, &f) },
	}
	f.recipientFlag(cmd)
	cmd.Flags().StringVar(&f.audience, "audience", "", "what the audience is called")
	cmd.Flags().StringVar(&f.purpose, "purpose", "", "what they need it for; stands in the ledger")
	cmd.Flags().StringArrayVar(&f.compartments, "compartment", nil, "a compartment, or all of a stream such as stream/3/*; may be repeated")
	cmd.Flags().StringArrayVar(&f.devices, "device", nil, "the compartments of a device, by number, ID or name; may be repeated")
	cmd.Flags().StringSliceVar(&f.only, "fields", nil, "with --device: only the compartments that hold these measurements")
	cmd.Flags().StringVar(&f.from, "from", "", "from this time on (default: the quarter hour that runs)")
	cmd.Flags().StringVar(&f.until, "until", "", "… and before this one (default: open-ended)")
	cmd.Flags().StringVar(&f.access, "access-until", "", "hand out nothing more from this time on (default: open-ended)")
	cmd.Flags().BoolVar(&f.mirror, "mirror", false, "they keep a copy: may fetch everything sealed, and learn devices and grants")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "write the access token to this new file, of mode 0600, instead of showing it")
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "write the first bundle, with the token in it, to this new file")
	_ = cmd.MarkFlagRequired("audience")
	_ = cmd.MarkFlagRequired("to")
	cmd.MarkFlagsOneRequired("compartment", "device", "mirror")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (f *grantFlags) recipientFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.to, "to", nil, "a public key (age1…, age1pq1…, ssh-…), or a file with some; may be repeated")
}

func (c *command) addGrant(cmd *cobra.Command, f *grantFlags) error {
	now := time.Now()
	q := grantRequest{
		Audience: f.audience, Purpose: f.purpose, Compartments: f.compartments, Devices: f.devices, Fields: f.only, Mirror: f.mirror,
		From: endHour(now.UnixMilli()).Start(),
	}
	if len(f.only) > 0 && len(f.devices) == 0 {
		return errors.New("--fields says which compartments of a device: give --device")
	}
	var err error
	if q.To, err = recipients(f.to); err != nil {
		return err
	}
	if f.from != "" {
		if q.From, err = parseTimeAhead(f.from, now); err != nil {
			return fmt.Errorf("--from: %w", err)
		}
	}
	if q.Until, err = timeOrNone("until", f.until, now); err != nil {
		return err
	}
	if q.Access, err = timeOrNone("access-until", f.access, now); err != nil {
		return err
	}
	for _, path := range []string{f.tokenFile, f.out} {
		if _, err := os.Lstat(path); path != "" && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and is not overwritten: give another name", path)
		}
	}
	token := newToken()
	files, err := f.newFiles(token)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(token))
	q.Token = hex.EncodeToString(digest[:])
	if f.out != "" {
		q.Secret = token
	}
	a, err := ask[grantAnswer](cmd.Context(), c, "grant/add", q)
	if err != nil {
		for _, path := range files {
			_ = os.Remove(path)
		}
		return err
	}
	return c.afterAdd(f, a, token)
}

// newFiles writes the token, and makes the file of the bundle, before anything is in
// the ledger: what was granted there stays there, also with no place for its token.
func (f *grantFlags) newFiles(token string) (made []string, err error) {
	if f.tokenFile != "" {
		if err := writeNew(f.tokenFile, []byte(token+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("--token-file: %w: nothing was granted", err)
		}
		made = append(made, f.tokenFile)
	}
	if f.out != "" {
		if err := writeNew(f.out, nil, 0o644); err != nil {
			for _, path := range made {
				_ = os.Remove(path)
			}
			return nil, fmt.Errorf("--out: %w: nothing was granted", err)
		}
		made = append(made, f.out)
	}
	return made, nil
}

// afterAdd hands over what is there once.
func (c *command) afterAdd(f *grantFlags, a grantAnswer, token string) error {
	if f.out != "" {
		if err := replaceFile(f.out, a.Bundle); err != nil {
			_ = os.Remove(f.out)
			next := fmt.Sprintf("`cairn grant bundle %d` writes it again", a.Number)
			if f.tokenFile == "" {
				next = fmt.Sprintf("the token was in it: `cairn grant end %d`, and make another", a.Number)
			}
			return fmt.Errorf("grant %d is made, and its bundle not written: %w: %s", a.Number, err, next)
		}
	}
	a.Bundle = nil
	shown := f.tokenFile == "" && f.out == ""
	if c.json {
		type answer struct {
			grantAnswer
			Token string `json:"token,omitempty"`
		}
		if !shown {
			token = ""
		}
		return c.printJSON(answer{a, token})
	}
	fmt.Fprintf(c.Out, "grant %d to %s\n", a.Number, a.Audience)
	c.printGrant(&a.grantRow)
	if shown {
		fmt.Fprintf(c.Out, "  token     %s\n\nThe token is shown this once: pass it on in secret.\n", token)
	}
	for _, n := range a.Notes {
		fmt.Fprintf(c.Err, "note: %s\n", n)
	}
	fmt.Fprintln(c.Err, noTakingBack)
	return nil
}

// newToken draws an access token: 256 bits in lower case base32.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// recipients reads public keys, and files with some, as the ledger states them: a
// key each, without comments.
func recipients(args []string) ([]string, error) {
	var all []string
	for _, arg := range args {
		text, where := arg, ""
		if isSecret(arg) {
			return nil, errors.New("--to: that is a private key: give its public half, and use it no more: it stands in the shell's history now")
		}
		if !strings.HasPrefix(arg, "age1") && !strings.HasPrefix(arg, "ssh-") {
			b, err := readShort(arg)
			if err != nil {
				return nil, fmt.Errorf("--to: %.64q is no public key such as age1… or ssh-ed25519 …, nor a file with some: %w", arg, err)
			}
			text, where = b, arg+": "
		}
		var keys []string
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			if len(words) == 0 || words[0][0] == '#' {
				continue
			}
			if strings.HasPrefix(words[0], "ssh-") && len(words) > 2 {
				words = words[:2] // the rest is a comment, often somebody's name
			}
			keys = append(keys, strings.Join(words, " "))
		}
		if _, err := share.ParseRecipients(keys); err != nil {
			return nil, fmt.Errorf("--to: %s%w", where, err)
		}
		all = append(all, keys...)
	}
	if _, err := share.ParseRecipients(all); err != nil { // too many
		return nil, fmt.Errorf("--to: %w", err)
	}
	return all, nil
}

// isSecret reports whether a word of the command line is a private key itself, which
// no error may repeat.
func isSecret(arg string) bool {
	return strings.HasPrefix(strings.ToUpper(arg), "AGE-SECRET-KEY-") || strings.Contains(arg, "PRIVATE KEY-----")
}

// readShort reads a file of public keys.
func readShort(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(b), err
}

// parseTimeAhead is parseTime that takes durations ahead too.
func parseTimeAhead(text string, now time.Time) (int64, error) {
	if ahead, err := time.ParseDuration(text); err == nil && ahead > 0 {
		return now.Add(ahead).UnixMilli(), nil
	}
	return parseTime(text, now)
}

// timeOrNone reads a flag's time, nil for "".
func timeOrNone(flag, text string, now time.Time) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	ms, err := parseTimeAhead(text, now)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return &ms, nil
}

// openEnded is the word for a time that never comes.
const openEnded = "open"

// timeOrOpen reads a flag's time or openEnded, nil for "": as it was.
func timeOrOpen(flag, text string, now time.Time) (*openEnd, error) {
	if text == openEnded {
		return &openEnd{}, nil
	}
	at, err := timeOrNone(flag, text, now)
	if at == nil {
		return nil, err
	}
	return &openEnd{at}, nil
}

func (c *command) grantEnd() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use: "end GRANT [--until TIME] [--access-until TIME] [--reason TEXT]", Short: "Give out no more keys for a grant",
		Long: "Ends a grant, named by its number or by its audience: keys of hours from --until on (default: now)\n" +
			"are not given out. With --access-until this gateway, and mirrors of it, hand out nothing at all\n" +
			"for it from then on. A grant that has ended is named by its number, and ended again by what takes\n" +
			"more away.\n\n" + timesHelp + "\n\n" + noTakingBack,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			now := time.Now()
			q := changeRequest{Grant: args[0], Reason: f.reason}
			if at, err := timeOrNone("until", f.until, now); err != nil {
				return err
			} else if at != nil {
				q.Until = &openEnd{at}
			}
			if at, err := timeOrNone("access-until", f.access, now); err != nil {
				return err
			} else if at != nil {
				q.Access = &openEnd{at}
			}
			return c.changeGrant(cmd, "grant/end", "ends", &q)
		},
	}
	cmd.Flags().StringVar(&f.until, "until", "", "no keys of hours from this time on (default: now)")
	cmd.Flags().StringVar(&f.access, "access-until", "", "hand out nothing more from this time on")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why; stands in the ledger")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) grantRenew() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use: "renew GRANT [--until TIME|open] [--access-until TIME|open] [--to RECIPIENT…]", Short: "Let a grant go on, or to other keys of its audience",
		Long: "Sets until when a grant goes on that has not been ended, named by its number or by its audience;\n" +
			"open means open-ended. With --to its bundle is sealed to these public keys from now on, in\n" +
			"place of those before. What is not given stays as it is.\n\n" + timesHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			now := time.Now()
			q := changeRequest{Grant: args[0]}
			if q.Until, err = timeOrOpen("until", f.until, now); err != nil {
				return err
			}
			if q.Access, err = timeOrOpen("access-until", f.access, now); err != nil {
				return err
			}
			if len(f.to) > 0 {
				if q.To, err = recipients(f.to); err != nil {
					return err
				}
			}
			return c.changeGrant(cmd, "grant/renew", "goes on", &q)
		},
	}
	cmd.Flags().StringVar(&f.until, "until", "", "keys of hours before this time; open: of all to come")
	cmd.Flags().StringVar(&f.access, "access-until", "", "hand out nothing more from this time on; open: no such time")
	f.recipientFlag(cmd)
	cmd.MarkFlagsOneRequired("until", "access-until", "to")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) changeGrant(cmd *cobra.Command, operation, done string, q *changeRequest) error {
	a, err := ask[grantAnswer](cmd.Context(), c, operation, q)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(a)
	}
	fmt.Fprintf(c.Out, "grant %d to %s %s\n", a.Number, a.Audience, done)
	c.printGrant(&a.grantRow)
	fmt.Fprintln(c.Err, noTakingBack)
	return nil
}

func (c *command) grantShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show GRANT", Short: "Show one grant", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := ask[grantAnswer](cmd.Context(), c, "grant/show", changeRequest{Grant: args[0]})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			fmt.Fprintf(c.Out, "grant %d to %s\n", a.Number, a.Audience)
			c.printGrant(&a.grantRow)
			return nil
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) printGrant(r *grantRow) {
	line := func(name, format string, a ...any) {
		fmt.Fprintf(c.Out, "  %-9s %s\n", name, fmt.Sprintf(format, a...))
	}
	line("state", "%s", r.State)
	if r.Purpose != "" {
		line("purpose", "%s", r.Purpose)
	}
	line("from", "%s", r.From)
	line("until", "%s", or(r.Until, "open-ended"))
	line("access", "%s", or(r.Access, "open-ended"))
	line("opens", "%s", r.opens())
	if r.Ended != "" {
		line("ended", "%s", strings.TrimSuffix(r.Ended+", "+r.Reason, ", "))
	}
	for _, name := range r.Compartments {
		line("of", "%s", name)
	}
	for _, to := range r.Recipients {
		line("to", "%s", to)
	}
	if r.Mirror {
		line("mirror", "keeps a copy of everything sealed")
	}
}

func (r *grantRow) opens() string {
	if r.OpensFrom == "" {
		if r.State == grantWaits || r.State == grantGoes {
			return "nothing yet"
		}
		return "nothing"
	}
	return r.OpensFrom + " to " + r.OpensUntil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (c *command) grantList() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use: "list [--as-of TIME]", Short: "List all grants, also those that ended, as they are or as they were", Args: cobra.NoArgs,
		Long: "Lists all grants, also those that ended. With --as-of as the ledger's statements had it at a time\n" +
			"in the past: which grants had been made, what state they were in, and the hours that they had\n" +
			"opened by then at the most.\n\n" + timesHelp + "\n\n" + noTakingBack,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var q grantsRequest
			var err error
			if q.AsOf, err = timeOrNone("as-of", f.asOf, time.Now()); err != nil {
				return err
			}
			rows, err := ask[[]grantRow](cmd.Context(), c, "grants", q)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			return c.printGrants(rows, q.AsOf)
		},
	}
	cmd.Flags().StringVar(&f.asOf, "as-of", "", "as it was at this time; a date means its begin")
	c.ledgerFlag(cmd, "all of them")
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) printGrants(rows []grantRow, asOf *int64) error {
	if asOf != nil {
		fmt.Fprintf(c.Out, "as of %s, by the statements made until then:\n", timeText(*asOf))
	}
	if len(rows) == 0 {
		fmt.Fprintln(c.Out, "no grants: nobody but the site has any key")
		return nil
	}
	several := slices.ContainsFunc(rows, func(r grantRow) bool { return r.Ledger != siteLedger })
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	if several {
		fmt.Fprint(w, "LEDGER\t")
	}
	fmt.Fprintln(w, "GRANT\tAUDIENCE\tSTATE\tOPENS\tUNTIL\tACCESS UNTIL\tCOMPARTMENTS\tPURPOSE")
	for i := range rows {
		r := &rows[i]
		if several {
			fmt.Fprintf(w, "%s\t", r.Ledger)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.Audience, r.State, r.opens(), or(r.Until, openEnded), or(r.Access, openEnded),
			strings.Join(r.Compartments, " "), r.Purpose)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(c.Err, noTakingBack)
	return nil
}

func (c *command) grantBundle() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use: "bundle GRANT -o FILE", Short: "Write the keys that a grant has released until now, for its audience alone",
		Long: "Writes the present bundle of a grant, an age file that the grant's public keys open and nobody\n" +
			"else: the keys of its hours until now. A file that is there is replaced. The gateway hands out the\n" +
			"same to whoever has the grant's token. " + noTakingBack,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.out == "-" {
				f.out = ""
			}
			if f.out == "" && (isTerminal(c.Out) || c.json) {
				return errors.New("a bundle is binary: name a file with --out, or pipe standard output")
			}
			a, err := ask[grantAnswer](cmd.Context(), c, "grant/bundle", changeRequest{Grant: args[0]})
			if err != nil {
				return err
			}
			if f.out == "" {
				_, err = c.Out.Write(a.Bundle)
				return err
			}
			if err := replaceFile(f.out, a.Bundle); err != nil {
				return fmt.Errorf("write bundle: %w", err)
			}
			if c.json {
				a.Bundle = nil
				return c.printJSON(a)
			}
			fmt.Fprintf(c.Err, "%s: the keys of grant %d to %s, %s\n", filepath.Clean(f.out), a.Number, a.Audience, a.opens())
			return nil
		},
	}
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "the file to write; one that is there is replaced (default, and -: standard output)")
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	return cmd
}

// replaceFile writes a file whole, in place of one that may be there.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".cairn-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
