//go:build !js

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"cairn/anchor/proof"
)

const upgradeUsage = `usage: cairn-verify upgrade [--from FILE]… [--calendar] --out NEW FILE

Completes a proof that was written before its anchors were final, by what came
later. FILE stays as it is; NEW holds all that FILE holds.

  --from FILE      take what FILE lacks from this one: an update that the gateway
                   wrote (cairn export --update), or another proof of the same
                   ledger (may be repeated)
  --calendar       ask the OpenTimestamps calendars that FILE names for what they
                   promised; they learn that somebody has it. FILE may be an .ots
                   file
  --out NEW        the file to write; it must not exist yet
  --policy FILE    with --headers and --block as without upgrade: by these it says
                   from which level to which

exit status: 0 written, 1 checked, and there is nothing to add or it must not be
added, 2 could not be done, such as a calendar that does not answer
`

type upgradeCommand struct {
	file                  string
	out, policy           once
	from, blocks, headers list
	calendar              bool
}

// upgrade is the command: it returns the exit status.
func upgrade(args []string, stdout, stderr io.Writer) int {
	c, err := parseUpgrade(args)
	if err != nil {
		return misused("cairn-verify upgrade", upgradeUsage, err, stdout, stderr)
	}
	words, err := c.run()
	if err != nil {
		fmt.Fprintf(stderr, "NOT UPGRADED: %v\n", err)
		if refusedUpgrade(err) {
			return 1
		}
		return 2
	}
	if _, err := io.WriteString(stdout, words); err != nil {
		fmt.Fprintf(stderr, "cairn-verify upgrade: %s is written, but it could not be said: %v\n", c.out.s, err)
		return 2
	}
	return 0
}

// errOpen says that calendars answered, and have nothing yet.
var errOpen = errors.New("the calendars have it in no block yet: ask again in some hours")

// refusedUpgrade reports whether an error says that all was looked at, and there
// is nothing to be had from it.
func refusedUpgrade(err error) bool {
	return slices.ContainsFunc([]error{
		proof.ErrNothingNew, proof.ErrOtherHeads, proof.ErrOtherLedger, proof.ErrFalse, proof.ErrContradict, proof.ErrWorse, errOpen,
	}, func(is error) bool { return errors.Is(err, is) })
}

func parseUpgrade(args []string) (*upgradeCommand, error) {
	var c upgradeCommand
	fs := flag.NewFlagSet("cairn-verify upgrade", flag.ContinueOnError)
	fs.Var(&c.out, "out", "")
	fs.Var(&c.policy, "policy", "")
	fs.Var(&c.from, "from", "")
	fs.Var(&c.headers, "headers", "")
	fs.Var(&c.blocks, "block", "")
	fs.BoolVar(&c.calendar, "calendar", false, "")
	if err := parseFlags(fs, args, onlyFile(&c.file)); err != nil {
		return nil, err
	}
	switch {
	case c.file == "":
		return nil, errors.New("no file was given")
	case c.out.s == "":
		return nil, errors.New("--out says where to write")
	case len(c.from) == 0 && !c.calendar:
		return nil, errors.New("--from and --calendar say where to look: give one or both")
	}
	return &c, nil
}

// run upgrades, and returns what to say of it.
func (c *upgradeCommand) run() (string, error) {
	if _, err := os.Lstat(c.out.s); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there already, and is not overwritten: give another name", c.out.s)
	}
	b, err := read(c.file, proof.MaxFile)
	if err != nil {
		return "", err
	}
	if proof.IsOTS(b) {
		return c.runOTS(b)
	}
	o, err := evidenceOptions(c.policy.s, c.headers, c.blocks)
	if err != nil {
		return "", err
	}
	f, err := decode(c.file, b)
	if err != nil {
		return "", err
	}
	u, failed, err := c.complete(f, o)
	if err != nil {
		return "", err
	}
	out, err := u.File.Encode()
	if err != nil {
		return "", err
	}
	if err := create(c.out.s, out); err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %d bytes, %s\n", c.out.s, len(out), fromTo(u))
	tellUpgrade(&s, u.Added, failed)
	return s.String(), nil
}

// complete takes first what files have, then what calendars say.
func (c *upgradeCommand) complete(f *proof.File, o proof.Options) (*proof.Upgraded, []error, error) {
	var from []*proof.File
	for _, path := range c.from {
		b, err := read(path, proof.MaxFile)
		if err != nil {
			return nil, nil, err
		}
		s, err := decode(path, b)
		if err != nil {
			return nil, nil, err
		}
		from = append(from, s)
	}
	var u *proof.Upgraded
	if len(from) != 0 {
		var err error
		u, err = proof.Upgrade(f, o, from...)
		if again := errors.Is(err, proof.ErrNothingNew) || errors.Is(err, proof.ErrOtherHeads); err != nil && !(again && c.calendar) {
			return nil, nil, err
		}
	}
	if !c.calendar {
		return u, nil, nil
	}
	now := f
	if u != nil {
		now = u.File
	}
	done, came, err := proof.CompleteCalendars(now, newCalendars().ask)
	if err != nil {
		return nil, nil, err
	}
	if len(came.Kept) == 0 && u != nil {
		return u, append(came.Failed, open(&came)...), nil
	}
	if err := nothing(&came); err != nil {
		return nil, nil, err
	}
	asked, err := proof.Completed(now, done, came, o)
	if err != nil {
		return nil, nil, err
	}
	if u != nil {
		asked.Before, asked.Added = u.Before, append(u.Added, asked.Added...)
	}
	return asked, append(came.Failed, open(&came)...), nil
}

// open says of each promise that is not kept yet.
func open(came *proof.Completion) (all []error) {
	for _, uri := range came.Open {
		all = append(all, fmt.Errorf("calendar %s: %w", uri, proof.ErrNotYet))
	}
	return all
}

// nothing says why calendars added nothing; nil if they did.
func nothing(came *proof.Completion) error {
	switch {
	case len(came.Kept) != 0:
		return nil
	case len(came.Failed) != 0:
		return errors.Join(came.Failed...)
	case len(came.Open) != 0:
		return errOpen
	}
	return fmt.Errorf("%w: no calendar's promise in it is open", proof.ErrNothingNew)
}

// runOTS completes an OpenTimestamps file.
func (c *upgradeCommand) runOTS(b []byte) (string, error) {
	if len(c.from) != 0 || c.policy.given || len(c.headers)+len(c.blocks) != 0 {
		return "", errors.New("an OpenTimestamps file is completed by --calendar alone")
	}
	done, came, err := proof.CompleteOTS(b, newCalendars().ask)
	if err != nil {
		return "", err
	}
	if err := nothing(&came); err != nil {
		return "", err
	}
	if err := create(c.out.s, done); err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %d bytes\n", c.out.s, len(done))
	tellUpgrade(&s, came.Kept, append(came.Failed, open(&came)...))
	return s.String(), nil
}

func tellUpgrade(s *strings.Builder, added []string, failed []error) {
	for _, words := range added {
		fmt.Fprintf(s, "  added     %s\n", quoted(words))
	}
	for _, err := range failed {
		fmt.Fprintf(s, "  not added %s\n", quoted(err.Error()))
	}
	s.WriteString("  verify    as FILE: with a policy, and headers or block hashes. No node was asked for any\n")
}

// fromTo says what the level was and is.
func fromTo(u *proof.Upgraded) string {
	if u.After.Level == proof.LevelNone {
		return "an update with more in it"
	}
	note := ""
	if !u.After.Identity {
		note = " (IDENTITY NOT CHECKED)"
	}
	if u.Before.Level == u.After.Level {
		return fmt.Sprintf("%v as before%s", u.After.Level, note)
	}
	return fmt.Sprintf("from %v to %v%s", u.Before.Level, u.After.Level, note)
}

// decode reads a proof file, and says of which one it is that it cannot.
func decode(path string, b []byte) (*proof.File, error) {
	f, err := proof.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// evidenceOptions reads what files are checked against.
func evidenceOptions(policy string, headers, blocks []string) (proof.Options, error) {
	read, err := readAll(headers)
	if err != nil {
		return proof.Options{}, err
	}
	r := request{Blocks: blocks}
	if r.Policy, err = readText(policy); err != nil {
		return proof.Options{}, err
	}
	return r.options(read)
}
