package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"cairn/store/share"
)

// What holders do, and who recovers, on machines that know no gateway.

const holderIdentity = "the holder's key file, from `cairn escrow holder new`"

type checkedShare struct {
	File   string `json:"file"`
	Month  string `json:"month"`
	Holder string `json:"holder,omitempty"`
	Digest string `json:"digest"` // as the ledger's statement has it
	Ledger string `json:"ledger"`
	Fits   bool   `json:"fits"`
	Why    string `json:"why,omitempty"`
}

func (c *command) escrowCheck() *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use: "check --identity KEY FILE…", Short: "On the holder's side: does my share count? (exit code 1 if not)",
		Long: "Opens the holder's share in each file and holds it against what the gateway committed to. A folder stands\n" +
			"for all escrow files in it. Nothing is shown of the share itself. That the digest is the one that the\n" +
			"ledger names is for a mirror or the gateway to say.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.checkShares(identity, args) },
	}
	cmd.Flags().StringVar(&identity, "identity", "", holderIdentity)
	_ = cmd.MarkFlagRequired("identity")
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) checkShares(identity string, paths []string) error {
	k, err := readHolderKey(identity)
	if err != nil {
		return err
	}
	files, named, err := readEscrows(paths)
	if err != nil {
		return err
	}
	var rows []checkedShare
	bad := 0
	for i, e := range files {
		digest := e.Digest()
		r := checkedShare{File: named[i], Month: e.Month.String(), Digest: hex.EncodeToString(digest[:]), Ledger: hex.EncodeToString(e.Ledger[:])}
		at, err := k.Check(e)
		if at >= 0 {
			r.Holder = e.Holders[at].Name
		}
		if r.Fits = err == nil; err != nil {
			r.Why, bad = err.Error(), bad+1
		}
		rows = append(rows, r)
	}
	if c.json {
		err = c.printJSON(rows)
	} else {
		for i, r := range rows {
			if !r.Fits {
				fmt.Fprintf(c.Out, "%s: %s\n", r.File, r.Why)
				continue
			}
			fmt.Fprintf(c.Out, "%s: the share of %s fits, %d of %d open %s\n  digest %s\n", r.File, r.Holder, files[i].Need, len(files[i].Holders), r.Month, r.Digest)
		}
	}
	if err == nil && bad > 0 {
		err = falseError{fmt.Errorf("%d of %d shares do not count: ask the gateway's operator for new ones", bad, len(rows))}
	}
	return err
}

func (c *command) escrowRelease() *cobra.Command {
	var identity, to, out string
	cmd := &cobra.Command{
		Use: "release --identity KEY --to RECIPIENT --out FILE FILE…", Short: "On the holder's side: give my shares to one who recovers",
		Long: "Wraps the holder's share of each file anew, to the age or SSH public key of the one who recovers, and signs\n" +
			"that. Be sure whose key it is, and that they may: with enough releases they can read all of those months.\n" +
			"Releases of the same month to two people are two ways to open it.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := readHolderKey(identity)
			if err != nil {
				return err
			}
			files, _, err := readEscrows(args)
			if err != nil {
				return err
			}
			recipient, err := recipientText(to)
			if err != nil {
				return err
			}
			b, err := k.Release(recipient, time.Now().UnixMilli(), files...)
			if err != nil {
				return err
			}
			if err := writeNew(out, b, 0o600); err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "%s: %d %s for %s\n", out, len(files), plural(len(files), "share"), recipient)
			return nil
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", holderIdentity)
	cmd.Flags().StringVar(&to, "to", "", "public key of the one who recovers: age1…, an SSH one, or a file with it")
	cmd.Flags().StringVar(&out, "out", "", "where the release goes")
	for _, f := range []string{"identity", "to", "out"} {
		_ = cmd.MarkFlagRequired(f)
	}
	return cmd
}

type recoverFlags struct {
	identity, to, out string
	releases          []string
}

type recoveredShare struct {
	Holder string `json:"holder"`
	State  string `json:"state"`
}

type recoveredFile struct {
	File   string           `json:"file"`
	Month  string           `json:"month"`
	Need   int              `json:"need"`
	Shares []recoveredShare `json:"shares"`
	Opened bool             `json:"opened"`
	Why    string           `json:"why,omitempty"`
}

func (c *command) escrowRecover() *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover --identity KEY --release FILE… --out BUNDLE FILE…",
		Short: "Open escrowed months with enough holders' releases",
		Long: "Opens escrow files with what their holders released, and writes the keys as a bundle, sealed to the one who\n" +
			"recovers, which `cairn open` takes like a grant's. Needs no gateway. Each share is held against what the\n" +
			"gateway committed to before it is used: one that does not fit spoils nothing, and its holder is named.\n" +
			"A holder who recovers uses their own shares too. Any copy of an escrow file will do, or several.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.recoverEscrow(f, args) },
	}
	cmd.Flags().StringVar(&f.identity, "identity", "", "private key of the one who recovers: an age identity or SSH key file of mode 0600")
	cmd.Flags().StringArrayVar(&f.releases, "release", nil, "a holder's release; one flag for each")
	cmd.Flags().StringVar(&f.to, "to", "", "public key that the bundle is sealed to, or a file with it (default: that of --identity)")
	cmd.Flags().StringVar(&f.out, "out", "", "where the bundle goes")
	for _, n := range []string{"identity", "out"} {
		_ = cmd.MarkFlagRequired(n)
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) recoverEscrow(f recoverFlags, paths []string) error {
	ids, err := share.ReadIdentities(f.identity)
	if err != nil {
		return fmt.Errorf("--identity: %w", err)
	}
	to, err := recoverTo(f.to, ids)
	if err != nil {
		return err
	}
	if exists(f.out) {
		return fmt.Errorf("%s is there already, and is not overwritten", f.out)
	}
	files, named, err := readEscrows(paths)
	if err != nil {
		return err
	}
	if files, named, err = joinCopies(files, named); err != nil {
		return err
	}
	var releases []*share.Release
	for _, path := range f.releases {
		b, err := readSmall(path, 16<<20)
		if err != nil {
			return err
		}
		r, err := share.ParseRelease(b)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		releases = append(releases, r)
	}
	got := share.Recover(files, releases, ids...)
	rows, keys, err := judged(got, named)
	if c.json {
		if perr := c.printJSON(rows); perr != nil {
			return perr
		}
	} else {
		c.printRecovery(rows)
	}
	if errors.Is(err, share.ErrTooFew) {
		return falseError{err}
	}
	if err != nil {
		return err
	}
	return c.writeRecovered(keys, to, f.out)
}

// joinCopies makes one of all copies of a file, under the name of the first.
func joinCopies(files []*share.Escrow, named []string) (joined []*share.Escrow, names []string, err error) {
	at := map[[32]byte]int{}
	for i, e := range files {
		first, had := at[e.Digest()]
		if !had {
			at[e.Digest()] = len(joined)
			joined, names = append(joined, e), append(names, named[i])
			continue
		}
		if joined[first], err = joined[first].Join(e); err != nil {
			return nil, nil, err
		}
	}
	return joined, names, nil
}

// judged tells the shares of each file; err says why not all opened.
func judged(got []share.Recovery, named []string) (rows []recoveredFile, keys []*share.EscrowKeys, err error) {
	for i, r := range got {
		row := recoveredFile{File: named[i], Month: r.File.Month.String(), Need: r.File.Need, Opened: r.Err == nil}
		for h, state := range r.States {
			row.Shares = append(row.Shares, recoveredShare{r.File.Holders[h].Name, state.String()})
		}
		if r.Err != nil {
			row.Why = r.Err.Error()
			err = fmt.Errorf("%s: %w: nothing was written", named[i], r.Err)
		}
		rows, keys = append(rows, row), append(keys, r.Keys)
	}
	return rows, keys, err
}

func (c *command) printRecovery(rows []recoveredFile) {
	for _, r := range rows {
		what := "opened"
		if !r.Opened {
			what = "does not open"
		}
		fmt.Fprintf(c.Out, "%s: %s (%d of %d needed)\n", r.File, what, r.Need, len(r.Shares))
		for _, s := range r.Shares {
			fmt.Fprintf(c.Out, "  share of %s: %s\n", s.Holder, s.State)
		}
	}
}

func (c *command) writeRecovered(keys []*share.EscrowKeys, to []age.Recipient, out string) error {
	b, err := share.RecoveredBundle(keys, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	if err := share.SealBundle(&sealed, b, to); err != nil {
		return err
	}
	if err := writeNew(out, sealed.Bytes(), 0o600); err != nil {
		return err
	}
	if !c.json {
		fmt.Fprintf(c.Out, "%s: the keys of %d compartments, %s to %s\n  next   cairn open\n", out, len(b.Compartments),
			time.UnixMilli(b.From).UTC().Format(time.RFC3339), time.UnixMilli(*b.Until).UTC().Format(time.RFC3339))
	}
	return nil
}

// recoverTo is whom the bundle is sealed to.
func recoverTo(text string, ids []age.Identity) ([]age.Recipient, error) {
	if text != "" {
		text, err := recipientText(text)
		if err != nil {
			return nil, err
		}
		to, err := share.ParseRecipients([]string{text})
		if err != nil {
			return nil, fmt.Errorf("--to: %w", err)
		}
		return to, nil
	}
	var to []age.Recipient
	for _, id := range ids {
		switch id := id.(type) {
		case *age.X25519Identity:
			to = append(to, id.Recipient())
		case *age.HybridIdentity:
			to = append(to, id.Recipient())
		default:
			return nil, errors.New("say by --to which public key the bundle is sealed to: that of an SSH key is not taken from its private half")
		}
	}
	return to, nil
}

// recipientText is the public key that --to gives: itself, or a file with it.
func recipientText(to string) (string, error) {
	all, err := recipients([]string{to})
	if err != nil {
		return "", err
	}
	if len(all) > 1 {
		return "", fmt.Errorf("--to: %s holds %d public keys: give the one", to, len(all))
	}
	return all[0], nil
}

type destroyFlags struct {
	identity, before, out string
	compartments          []uint
	ledger, name          string // of one who holds no escrow files
}

func (c *command) escrowDestroy() *cobra.Command {
	var f destroyFlags
	cmd := &cobra.Command{
		Use:   "destroy --identity KEY --before TIME --out CONFIRMATION (FILE… | --ledger ID --name NAME)",
		Short: "On the holder's side: destroy shares of what was shredded, and sign that",
		Long: "Deletes those of the files that hold keys of hours before a time, and writes a confirmation with the\n" +
			"holder's signature, which the gateway's operator records (cairn escrow confirm). Files that hold later\n" +
			"hours alone stay. Destroy other copies first, of the files and in backups: your signature says that\n" +
			"there are none. A disk may keep what was overwritten; nothing here proves that it does not. Whoever\n" +
			"holds other copies than shares, a backup or a mirror, destroys those and signs without files, with\n" +
			"--ledger and --name.",
		RunE: func(_ *cobra.Command, args []string) error { return c.destroyShares(f, args) },
	}
	cmd.Flags().StringVar(&f.identity, "identity", "", holderIdentity)
	cmd.Flags().StringVar(&f.before, "before", "", "the time, such as 2026-07-01 or 2026-07-01T12:15:00Z")
	cmd.Flags().StringVar(&f.out, "out", "", "where the confirmation goes")
	cmd.Flags().UintSliceVar(&f.compartments, "compartment", nil, "only files with such hours of one of these compartments, by number (default: any)")
	cmd.Flags().StringVar(&f.ledger, "ledger", "", "without files: the ledger's id, 64 hex digits")
	cmd.Flags().StringVar(&f.name, "name", "", "without files: the holder's name in the ledger")
	cmd.MarkFlagsRequiredTogether("ledger", "name")
	for _, n := range []string{"identity", "before", "out"} {
		_ = cmd.MarkFlagRequired(n)
	}
	return cmd
}

func (c *command) destroyShares(f destroyFlags, paths []string) error {
	k, err := readHolderKey(f.identity)
	if err != nil {
		return err
	}
	before, err := parseBefore(f.before)
	if err != nil {
		return err
	}
	if exists(f.out) {
		return fmt.Errorf("%s is there already, and is not overwritten", f.out)
	}
	said := share.Destroyed{Holder: f.name, Before: before}
	var files []*share.Escrow
	var named []string
	switch {
	case f.name != "" && len(paths) > 0:
		return errors.New("--ledger and --name are for one who has no escrow files: they say both")
	case f.name != "":
		id, err := hex.DecodeString(f.ledger)
		if err != nil || len(id) != len(said.Ledger) {
			return errors.New("--ledger: want the ledger's id, 64 hex digits")
		}
		said.Ledger = [32]byte(id)
	default:
		if files, named, err = readEscrows(paths); err != nil {
			return err
		}
		if said.Holder, err = holderOf(k, files); err != nil {
			return err
		}
		said.Ledger = files[0].Ledger
	}
	gone, err := c.destroyFiles(files, named, before, f.compartments)
	if err != nil {
		return err
	}
	said.Files, said.Digest, said.At = uint32(len(gone)), share.FilesDigest(gone), time.Now().Truncate(time.Second).UnixMilli()
	word, err := k.Confirm(&said)
	if err != nil {
		return err
	}
	if err := writeNew(f.out, word, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "%s: %s signs to have destroyed %d %s\n  next   give it to the gateway's operator: cairn escrow confirm %s\n", f.out, said.Holder, len(gone), plural(len(gone), "file"), f.out)
	return nil
}

// holderOf is the one name that a holder has in files of one ledger.
func holderOf(k *share.HolderKey, files []*share.Escrow) (string, error) {
	name := ""
	for _, e := range files {
		at, err := k.Check(e)
		if at < 0 {
			return "", err
		}
		if name == "" {
			name = e.Holders[at].Name
		}
		if e.Ledger != files[0].Ledger || e.Holders[at].Name != name {
			return "", errors.New("files of several ledgers, or in which this holder has several names: destroy them one after the other")
		}
	}
	return name, nil
}

// destroyFiles destroys those of the files that have hours before a time.
func (c *command) destroyFiles(files []*share.Escrow, named []string, before int64, compartments []uint) (gone []*share.Escrow, err error) {
	for i, e := range files {
		if !holdsBefore(e, before, compartments) {
			continue
		}
		if err := share.DestroyFile(named[i]); err != nil {
			return gone, err
		}
		fmt.Fprintf(c.Out, "%s: destroyed\n", named[i])
		gone = append(gone, e)
	}
	return gone, nil
}

// holdsBefore reports whether a file has hours that begin before a time (Unix ms).
func holdsBefore(e *share.Escrow, before int64, compartments []uint) bool {
	return slices.ContainsFunc(e.Compartments, func(h share.Held) bool {
		return h.From.Start() < before && (len(compartments) == 0 || slices.Contains(compartments, uint(h.ID)))
	})
}

// parseBefore reads a time of whole seconds in UTC: a day is its beginning.
func parseBefore(text string) (int64, error) {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, strings.TrimSpace(text)); err == nil && t.Unix() >= 0 {
			return t.Unix() * 1000, nil
		}
	}
	return 0, fmt.Errorf("--before: %.40q is no time such as 2026-07-01 or 2026-07-01T12:15:00Z", text)
}
