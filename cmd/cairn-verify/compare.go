//go:build !js

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"cairn/anchor/proof"
)

const compareUsage = `usage: cairn-verify compare [--out EVIDENCE] FILE FILE…

Checks proof files of one ledger, or its checkpoints, one by one, and whether the
holder of the log's key signed two things in them that exclude one another: logs
that do not extend one another, two batches of one number, two runs of a stream, an
intake receipt and another reading under its number.

  --out EVIDENCE   where evidence of a contradiction goes, if there is one; it must
                   not exist yet. It shows no reading, and cairn-verify EVIDENCE
                   checks it without these files
  --policy FILE    whose ledger it must be; with --headers and --block as without
                   compare
  --json           print the answer as JSON

exit status: 0 consistent as far as they overlap, 1 they contradict one another, 2
could not be compared
`

type compareCommand struct {
	out, policy     once
	files           []string
	blocks, headers list
	json            bool
}

// compare is the command: it returns the exit status.
func compare(args []string, stdout, stderr io.Writer) int {
	c, err := parseCompare(args)
	if err != nil {
		return misused("cairn-verify compare", compareUsage, err, stdout, stderr)
	}
	a, err := c.run()
	if err != nil {
		fmt.Fprintf(stderr, "COULD NOT COMPARE: %v\n", err)
		return 2
	}
	answer := []byte(a.text())
	if c.json {
		if answer, err = json.MarshalIndent(a, "", "  "); err != nil {
			fmt.Fprintf(stderr, "COULD NOT COMPARE: %v\n", err)
			return 2
		}
		answer = append(answer, '\n')
	}
	if _, err := stdout.Write(answer); err != nil {
		fmt.Fprintf(stderr, "COULD NOT COMPARE: the answer could not be written: %v\n", err)
		return 2
	}
	return a.exit()
}

func parseCompare(args []string) (*compareCommand, error) {
	var c compareCommand
	fs := flag.NewFlagSet("cairn-verify compare", flag.ContinueOnError)
	fs.Var(&c.out, "out", "")
	fs.Var(&c.policy, "policy", "")
	fs.Var(&c.headers, "headers", "")
	fs.Var(&c.blocks, "block", "")
	fs.BoolVar(&c.json, "json", false, "")
	if err := parseFlags(fs, args, func(file string) error { c.files = append(c.files, file); return nil }); err != nil {
		return nil, err
	}
	if len(c.files) < 2 {
		return nil, errors.New("give two files, or more")
	}
	return &c, nil
}

// compared is the answer; JSON has these names.
type compared struct {
	Consistent     bool                 `json:"consistent"` // as far as the files overlap
	Files          []comparedFile       `json:"files"`
	Contradictions []proof.FraudVerdict `json:"contradictions,omitempty"`
	Broken         []string             `json:"brokenReceipts,omitempty"` // receipts, and by which files
	Compared       []string             `json:"compared"`
	NotCompared    []string             `json:"notCompared"`
	Evidence       string               `json:"evidence,omitempty"` // the file with the first of them
}

// comparedFile is what one file proves by itself.
type comparedFile struct {
	Name   string      `json:"name"`
	False  bool        `json:"false"` // it does not hold
	Level  proof.Level `json:"level"`
	Code   proof.Code  `json:"code,omitempty"`
	Answer string      `json:"answer"` // in words
}

// exit is 1 for a contradiction. A file that is false by itself is no ground for
// saying that all is well.
func (a *compared) exit() int {
	if len(a.Contradictions) != 0 {
		return 1
	}
	for i := range a.Files {
		if a.Files[i].False {
			return 2
		}
	}
	return 0
}

func (c *compareCommand) run() (*compared, error) {
	if _, err := os.Lstat(c.out.s); c.out.s != "" && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there already, and is not overwritten: give another name", c.out.s)
	}
	o, err := evidenceOptions(c.policy.s, c.headers, c.blocks)
	if err != nil {
		return nil, err
	}
	receipts, err := c.takeReceipts(o)
	if err != nil {
		return nil, err
	}
	files, a, err := c.readFiles(o)
	if err != nil {
		return nil, err
	}
	broken, err := a.holdReceipts(receipts, c.files, files)
	if err != nil {
		return nil, err
	}
	found, err := proof.Compare(files...)
	if err != nil {
		return nil, err
	}
	a.Compared, a.NotCompared = append(a.Compared, found.Compared...), append(a.NotCompared, found.NotCompared...)
	a.NotCompared = append(a.NotCompared, "what is in none of these files: a gateway may show others another history")
	found.Frauds = append(found.Frauds, broken...)
	for _, f := range found.Frauds {
		a.Contradictions = append(a.Contradictions, f.Verify(proof.Options{Policy: o.Policy}))
	}
	a.Consistent = len(a.Contradictions) == 0
	if len(found.Frauds) != 0 && c.out.s != "" {
		b, err := found.Frauds[0].Encode()
		if err != nil {
			return nil, err
		}
		if err := create(c.out.s, b); err != nil {
			return nil, err
		}
		a.Evidence = c.out.s
	}
	return a, nil
}

// maxCompared bounds the bytes of all files together.
const maxCompared = 1 << 30

// readFiles reads and verifies the files: proofs first, as a checkpoint does not
// say what the ledger's id is made of.
func (c *compareCommand) readFiles(o proof.Options) ([]*proof.File, *compared, error) {
	a := &compared{Files: make([]comparedFile, len(c.files)), Compared: []string{}, NotCompared: []string{}}
	files, total := make([]*proof.File, len(c.files)), 0
	notes := make(map[int][]byte)
	var proofs []*proof.File
	for i, path := range c.files {
		b, err := read(path, proof.MaxFile)
		if err != nil {
			return nil, nil, err
		}
		if total += len(b); total > maxCompared {
			return nil, nil, fmt.Errorf("the files have over %d bytes in all: compare fewer", maxCompared)
		}
		if proof.IsCheckpoint(b) {
			notes[i] = b
			continue
		}
		if files[i], err = decode(path, b); err != nil {
			return nil, nil, err
		}
		proofs = append(proofs, files[i])
		a.Files[i] = alone(path, files[i], o)
	}
	for i, note := range notes {
		var err error
		if files[i], err = proof.CheckpointFile(note, proofs...); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.files[i], err)
		}
		a.Files[i] = comparedFile{c.files[i], false, proof.LevelLogged, "", "a checkpoint, signed by the log's key"}
	}
	return files, a, nil
}

// alone says what a file is by itself.
func alone(path string, f *proof.File, o proof.Options) comparedFile {
	v := proof.Verify(f, o)
	switch {
	case v.Code == proof.CodeUpdate:
		return comparedFile{path, false, v.Level, v.Code, "an update: it holds by itself"}
	case v.Level == proof.LevelNone:
		return comparedFile{path, true, v.Level, v.Code, fmt.Sprintf("FALSE: %s [%s]", v.Reason, v.Code)}
	}
	return comparedFile{path, false, v.Level, v.Code, fmt.Sprintf("holds by itself: %v", v.Level)}
}

func (a *compared) text() string {
	var b strings.Builder
	switch {
	case len(a.Contradictions) != 0:
		v := &a.Contradictions[0]
		note := ""
		if !v.Identity {
			note = " (IDENTITY NOT CHECKED)"
		}
		fmt.Fprintf(&b, "CONTRADICTION: under signatures of the log's key%s: %s [%s]\n", note, v.What, v.Fraud)
		for _, more := range a.Contradictions[1:] {
			fmt.Fprintf(&b, "  and: %s [%s]\n", more.What, more.Fraud)
		}
		for _, broken := range a.Broken {
			fmt.Fprintf(&b, "  the receipt is broken: %s\n", quoted(broken))
		}
	case a.exit() != 0:
		b.WriteString("NO ANSWER: a file is false by itself, so that what it says counts for nothing\n")
	default:
		b.WriteString("CONSISTENT as far as they overlap\n")
	}
	b.WriteByte('\n')
	for i := range a.Files {
		fmt.Fprintf(&b, "%s\n  %s\n", quoted(a.Files[i].Name), quoted(a.Files[i].Answer))
	}
	b.WriteString("\ncompared\n")
	for _, s := range a.Compared {
		fmt.Fprintf(&b, "  - %s\n", s)
	}
	b.WriteString("\nNOT COMPARED\n")
	for _, s := range a.NotCompared {
		fmt.Fprintf(&b, "  - %s\n", s)
	}
	if a.Evidence != "" {
		fmt.Fprintf(&b, "\nevidence   %s: keep it with these files; anyone checks it with cairn-verify %s\n", a.Evidence, a.Evidence)
	} else if len(a.Contradictions) != 0 {
		b.WriteString("\nevidence   none was written: --out says where to\n")
	}
	return b.String()
}

// quoted shows what comes from outside as it is, unless it could steer a
// terminal.
func quoted(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// fraud checks the file if it is evidence of fraud; ok tells whether it is.
func (c *command) fraud() (v *proof.FraudVerdict, ok bool, err error) {
	b, err := begin(c.file)
	if err != nil || !proof.IsFraud(b) {
		return nil, false, err
	}
	if len(c.attachments) != 0 {
		return nil, true, errAttachment
	}
	if c.require.given || c.report.path.given || len(c.urls)+len(c.blocks)+len(c.headers) != 0 {
		return nil, true, errors.New("evidence of fraud rests on signatures alone: give no more than a policy, for whose ledger it is")
	}
	if b, err = read(c.file, proof.MaxFraud); err != nil {
		return nil, true, err
	}
	o, err := evidenceOptions(c.policy.s, nil, nil)
	if err != nil {
		return nil, true, err
	}
	verdict := proof.VerifyFraud(b, o)
	return &verdict, true, nil
}
