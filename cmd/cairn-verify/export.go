//go:build !js

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cairn/anchor/proof"
)

const exportUsage = `usage: cairn-verify export --format FORMAT --out FILE [flags] PROOF

Writes one thing that a proof file shows in a format of others, and the bytes
that it is about beside it.

  --format FORMAT  ots: an OpenTimestamps file, by the Bitcoin anchors and calendars
                   tlog-proof: a C2SP proof that the batch is in the log
                   chainpoint: a Chainpoint v4 proof, by a Bitcoin anchor
                   checkpoint: the signed checkpoint over the batch
  --reading N      of the readings in the file the N-th, from 0 (default: 0)
  --field NAME     such as received, or a measurement's name; "reading" is all of it
                   (default: all of it, if it is shown, or the only field shown)
  --header         the header of the reading's batch, instead of a field
  --out FILE       the file to write; it must not exist yet
  --shown FILE     where the bytes that it is about go (default: FILE without its
                   ending, or with .shown)
  --policy FILE    whose ledger it must be, and whose anchors alone are written; with
                   --headers and --block as without export

exit status: 0 written, 1 checked and false, 2 could not be written
`

type exportCommand struct {
	proof                             string
	policy, format, out, shown, field once
	reading                           int
	header                            bool
	blocks, headers                   list
}

// export is the command's other half: it returns the exit status.
func export(args []string, stdout, stderr io.Writer) int {
	c, err := parseExport(args)
	if err != nil {
		return misused("cairn-verify export", exportUsage, err, stdout, stderr)
	}
	words, bad, err := c.run()
	switch {
	case bad != nil:
		return conclude(bad, bad.Outcome, false, stdout, stderr)
	case err != nil:
		fmt.Fprintf(stderr, "NOT EXPORTED: %v\n", err)
		return 2
	}
	fmt.Fprint(stdout, words)
	return 0
}

func parseExport(args []string) (*exportCommand, error) {
	var c exportCommand
	fs := flag.NewFlagSet("cairn-verify export", flag.ContinueOnError)
	for name, to := range map[string]*once{"policy": &c.policy, "format": &c.format, "out": &c.out, "shown": &c.shown, "field": &c.field} {
		fs.Var(to, name, "")
	}
	fs.IntVar(&c.reading, "reading", 0, "")
	fs.BoolVar(&c.header, "header", false, "")
	fs.Var(&c.headers, "headers", "")
	fs.Var(&c.blocks, "block", "")
	if err := parseFlags(fs, args, onlyFile(&c.proof)); err != nil {
		return nil, err
	}
	switch {
	case c.proof == "":
		return nil, errors.New("no proof file was given")
	case c.out.s == "":
		return nil, errors.New("--out says where to write")
	case c.header && c.field.given:
		return nil, errors.New("--header and --field are two things")
	}
	if c.format.s == "cose" {
		return nil, errors.New("a COSE receipt is signed by the log's key: ask the gateway's owner for one (cairn export --format cose)")
	}
	if exporters[c.format.s].write == nil {
		return nil, fmt.Errorf("--format %.20q is none of ots, tlog-proof, chainpoint and checkpoint", c.format.s)
	}
	if c.shown.s == "" {
		c.shown.s = strings.TrimSuffix(c.out.s, exporters[c.format.s].ending)
		if c.shown.s == c.out.s || filepath.Base(c.shown.s) == "." || strings.HasSuffix(c.shown.s, "/") {
			c.shown.s = c.out.s + ".shown"
		}
	}
	return &c, nil
}

// exporters are the formats, by name.
var exporters = map[string]struct {
	ending string
	write  func(*proof.File, proof.Selection) (shown, file []byte, err error)
	tell   func(c *exportCommand, f *proof.File, what proof.Selection, shown, file []byte) (string, error)
}{
	"ots":        {".ots", proof.ExportOTS, (*exportCommand).tellOTS},
	"tlog-proof": {".tlog-proof", proof.ExportTlogProof, (*exportCommand).tellTlog},
	"chainpoint": {".chp.json", proof.ExportChainpoint, (*exportCommand).tellChainpoint},
	"checkpoint": {".checkpoint", exportCheckpoint, (*exportCommand).tellTlog},
}

// exportCheckpoint shows nothing but itself.
func exportCheckpoint(f *proof.File, what proof.Selection) (shown, file []byte, err error) {
	file, err = proof.ExportCheckpoint(f, what)
	return nil, file, err
}

// run exports, and returns what to say, or the verdict by which the file is
// false.
func (c *exportCommand) run() (words string, bad *proof.Verdict, err error) {
	f, v, err := c.verify()
	if err != nil || v.Level == proof.LevelNone {
		return "", v, err
	}
	what, err := f.SelectReading(c.reading, c.field.s)
	if c.header {
		what, err = f.SelectHeaderOf(c.reading)
	} else if err != nil && c.format.s != "ots" && c.format.s != "chainpoint" && !c.field.given {
		what, err = f.SelectHeaderOf(c.reading) // these are of the batch, whichever field is shown
	}
	if err != nil {
		return "", nil, err
	}
	e := exporters[c.format.s]
	shown, file, err := e.write(f, what)
	if err != nil {
		return "", nil, err
	}
	if words, err = e.tell(c, f, what, shown, file); err != nil {
		return "", nil, err
	}
	if err := create(c.out.s, file); err != nil {
		return "", nil, err
	}
	if shown != nil && !holds(c.shown.s, shown) {
		if err := create(c.shown.s, shown); err != nil {
			return "", nil, errors.Join(err, os.Remove(c.out.s))
		}
	}
	note := ""
	if !v.Identity {
		note = " (IDENTITY NOT CHECKED)"
	}
	return fmt.Sprintf("%s: %d bytes, of a proof that is %v%s\n%s", c.out.s, len(file), v.Level, note, words), nil, nil
}

func (c *exportCommand) verify() (*proof.File, *proof.Verdict, error) {
	b, err := read(c.proof, proof.MaxFile)
	if err != nil {
		return nil, nil, err
	}
	headers, err := readAll(c.headers)
	if err != nil {
		return nil, nil, err
	}
	r := request{Blocks: c.blocks}
	if r.Policy, err = readText(c.policy.s); err != nil {
		return nil, nil, err
	}
	o, err := r.options(headers)
	if err != nil {
		return nil, nil, err
	}
	f, err := proof.Decode(b)
	if err != nil {
		v := proof.VerifyBytes(b, o) // it says what is wrong, and what to do
		return nil, &v, nil
	}
	f, v := proof.Counting(f, o)
	return f, &v, nil
}

// holds tells whether a file is there with these bytes, as after an export of the
// same in another format.
func holds(path string, b []byte) bool {
	have, err := read(path, int64(len(b)))
	return err == nil && bytes.Equal(have, b)
}

// create writes a file that was not there.
func create(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

func (c *exportCommand) tellOTS(f *proof.File, what proof.Selection, shown, file []byte) (string, error) {
	network, err := proof.ExportedNetwork(f, what)
	if err != nil {
		return "", err
	}
	parsed, err := proof.ParseOTS(file)
	if err != nil {
		return "", err
	}
	var says []string
	for _, l := range parsed.Tree.Leaves() {
		says = append(says, l.String())
	}
	at, of := "", "a Bitcoin node"
	if network != proof.BitcoinMainnet {
		at, of = " --network "+network, "a node of bitcoin:"+network+", as the file itself does not name the network"
	}
	return fmt.Sprintf(`  shown     %s, %d bytes
  attested  %s
  verify    ots verify -f %s %s
            or any other OpenTimestamps program, with %s; or
            cairn-verify%s --headers HEADERS --file %s %s
  lost      who says it: the log's signature, the ledger's identity, the place of the
            reading among others, lateness
`, c.shown.s, len(shown), strings.Join(says, ", "), c.shown.s, c.out.s, of, at, c.shown.s, c.out.s), nil
}

func (c *exportCommand) tellTlog(f *proof.File, what proof.Selection, shown, _ []byte) (string, error) {
	key, err := f.VerifierKeyOf(what)
	if err != nil {
		return "", err
	}
	words := ""
	if shown != nil {
		words = fmt.Sprintf("  shown     %s, %d bytes: the batch header, which is the log's entry\n", c.shown.s, len(shown))
	}
	return words + fmt.Sprintf(`  log       %s
  verify    with any program for C2SP tlog-proof or tlog-checkpoint, and this policy:
              log %s
              quorum none
            or one that names the witnesses you ask for
  lost      what the batch holds, and every anchor: it says that the log has this batch,
            or that this is the log
`, strings.SplitN(key, "+", 2)[0], key), nil
}

func (c *exportCommand) tellChainpoint(_ *proof.File, _ proof.Selection, shown, _ []byte) (string, error) {
	return fmt.Sprintf(`  shown     %s, %d bytes
  verify    with any Chainpoint v4 parser: the value at the anchor is the merkle root of the
            Bitcoin block whose height is the anchor_id (tbtc: of a network for tests)
  lost      who says it: the log's signature, the ledger's identity, the place of the
            reading among others, lateness; and all anchors but one
`, c.shown.s, len(shown)), nil
}
