//go:build !js

// Command cairn-verify checks a proof file and says what it proves. It needs no
// account and no server of anyone's; only --rpc uses the network.
//
// Its exit status is 0 when the readings are verified at the required level, 1
// when they were checked and are false or below it, and 2 when they could not
// be checked as asked.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"

	"cairn/anchor/ask"
	"cairn/anchor/proof"
	"cairn/anchor/proof/report"
)

const usage = `usage: cairn-verify [flags] FILE
       cairn-verify export …   write it in a format of others; export --help says how
       cairn-verify upgrade …  complete it with receipts that came later
       cairn-verify compare …  look whether several contradict one another
       cairn-verify frames …   open the frames behind it with the device's key

  --policy FILE    whose ledger it must be, and where it must be anchored
  --block HASH     trust the block with this hash, as its chain's tools write it
                   (may be repeated)
  --headers FILE   trust the block headers in this file, Ethereum's or Bitcoin's
                   (may be repeated)
  --rpc URL        ask this Ethereum node whether a block is final (may be repeated)
  --agree K        how many of the nodes must agree (default: all)
  --require LEVEL  logged, pending, late or anchored (default: anchored)
  --attachment FILE
                   say which photo, certificate or document this is that the proof
                   shows as attached to an installation; one that it does not name
                   is refused (may be repeated)
  --json           print the verdict as JSON
  --schema         print the JSON Schema of that, with an .ots FILE of the verdict
                   on such files; evidence and compare have none
  --report FILE    write a report to print and to hand on, as one HTML page
  --limit LIMIT    draw into it where a measurement ought to lie, such as
                   "temperature=2..8" (may be repeated)

FILE may also be an OpenTimestamps file that others made, with the flags

  --file DATA      what it stamps (default: FILE without .ots, if that is there)
  --network NAME   whose blocks it means: mainnet (the default), testnet4, signet, regtest
  --depth N        how deep a block must be in a headers file (default: 6)

or evidence of fraud that compare wrote, or an intake receipt, which a gateway gave to a
sender: they rest on signatures, and take no more than a policy. Exit 0 says of evidence
that the fraud is proven.

exit status: 0 verified, 1 checked and refused, 2 could not be checked
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return fmt.Sprint(*l) }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// once is a flag that may not be repeated: of two policies, the one that would
// be passed over may be the one that was meant.
type once struct {
	s     string
	given bool
}

func (o *once) String() string { return o.s }
func (o *once) Set(s string) error {
	if o.given {
		return errors.New("it was given twice")
	}
	o.s, o.given = s, true
	return nil
}

type command struct {
	file                  string
	policy, require       once
	blocks, headers, urls list
	attachments           list
	ots                   foreignFlags
	agree                 int
	json, schema          bool
	report                reportFlags
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) != 0 {
		switch args[0] {
		case "export":
			return export(args[1:], stdout, stderr)
		case "upgrade":
			return upgrade(args[1:], stdout, stderr)
		case "compare":
			return compare(args[1:], stdout, stderr)
		case "frames":
			return frames(args[1:], stdout, stderr)
		}
	}
	c, err := parse(args)
	if err != nil {
		return misused("cairn-verify", usage, err, stdout, stderr)
	}
	if c.schema {
		if b, err := begin(c.file); err == nil && (proof.IsFraud(b) || proof.IsIntake(b)) {
			return couldNot(errors.New("the verdicts on evidence of fraud and on intake receipts have no schema"), stderr)
		}
		if _, err := stdout.Write(c.schemaOf()); err != nil {
			fmt.Fprintf(stderr, "cairn-verify: the schema could not be written: %v\n", err)
			return 2
		}
		return 0
	}
	if v, ok, err := c.fraud(); ok && err == nil {
		return conclude(v, v.Outcome, c.json, stdout, stderr)
	} else if ok {
		return couldNot(err, stderr)
	}
	if v, ok, err := c.intake(); ok && err == nil {
		return conclude(v, v.Outcome, c.json, stdout, stderr)
	} else if ok {
		return couldNot(err, stderr)
	}
	if v, ok, err := c.foreign(); ok && err == nil {
		return conclude(v, v.Outcome, c.json, stdout, stderr)
	} else if err != nil {
		return couldNot(err, stderr)
	}
	var told report.Options
	f, v, err := c.verify(&told)
	if err != nil {
		return couldNot(err, stderr)
	}
	unwritten := false
	if c.report.path.s != "" {
		if err := c.report.write(f, v, told); err != nil {
			fmt.Fprintf(stderr, "cairn-verify: %v\n", err)
			unwritten = true
		}
	}
	if exit := conclude(v, v.Outcome, c.json, stdout, stderr); !unwritten {
		return exit
	}
	return 2
}

// parse reads the command line; flags may stand before and after the file.
func parse(args []string) (*command, error) {
	var c command
	var agree once
	fs := flag.NewFlagSet("cairn-verify", flag.ContinueOnError)
	c.trustFlags(fs, &agree)
	fs.Var(&c.attachments, "attachment", "")
	fs.Var(&c.ots.data, "file", "")
	fs.Var(&c.ots.network, "network", "")
	fs.Var(&c.ots.depth, "depth", "")
	fs.BoolVar(&c.schema, "schema", false, "")
	fs.Var(&c.report.path, "report", "")
	fs.Var(&c.report.limits, "limit", "")
	if err := parseFlags(fs, args, onlyFile(&c.file)); err != nil {
		return nil, err
	}
	if c.schema {
		return &c, nil
	}
	if c.file == "" {
		return nil, errors.New("no proof file was given")
	}
	if err := c.agreeOn(&agree); err != nil {
		return nil, err
	}
	return &c, c.report.check()
}

// trustFlags adds the flags that say what to hold a proof against.
func (c *command) trustFlags(fs *flag.FlagSet, agree *once) {
	fs.Var(&c.policy, "policy", "")
	fs.Var(&c.headers, "headers", "")
	fs.Var(&c.blocks, "block", "")
	fs.Var(&c.urls, "rpc", "")
	fs.Var(agree, "agree", "")
	fs.Var(&c.require, "require", "")
	fs.BoolVar(&c.json, "json", false, "")
}

// agreeOn sets how many nodes must agree.
func (c *command) agreeOn(agree *once) error {
	c.agree = len(c.urls)
	if !agree.given {
		return nil
	}
	k, err := strconv.Atoi(agree.s)
	if err != nil {
		return fmt.Errorf("--agree %.20q is no number", agree.s)
	}
	if k < 1 || k > len(c.urls) {
		return fmt.Errorf("--agree %d with %d nodes", k, len(c.urls))
	}
	c.agree = k
	return nil
}

// verify does what was asked, and tells what it was given for that. The file is
// nil if it could not be decoded. An error says that it could not be done, and
// what to do next.
func (c *command) verify(told *report.Options) (*proof.File, *proof.Verdict, error) {
	file, err := read(c.file, proof.MaxFile)
	if err != nil {
		return nil, nil, err
	}
	told.File = input("proof file", c.file, file)
	r := request{Blocks: c.blocks, Require: c.require.s}
	if r.Policy, err = readText(c.policy.s); err != nil {
		return nil, nil, err
	}
	if r.Policy != nil {
		told.Given = append(told.Given, input("policy", c.policy.s, []byte(*r.Policy)))
	}
	var headers [][]byte
	for _, path := range c.headers {
		b, err := read(path, proof.MaxHeaders)
		if err != nil {
			return nil, nil, err
		}
		headers = append(headers, b)
		told.Given = append(told.Given, input("headers file", path, b))
	}
	told.Given = append(told.Given, named("block hash", c.blocks)...)
	var more []proof.HeaderTrust
	if len(c.urls) != 0 {
		nodes, err := ask.New(c.urls, c.agree)
		if err != nil {
			return nil, nil, fmt.Errorf("--rpc: %w", err)
		}
		more = append(more, nodes)
		told.Given = append(told.Given, named(fmt.Sprintf("node, of which %d of %d must agree,", c.agree, len(c.urls)), nodes.Hosts())...)
	}
	o, err := r.options(headers, more...)
	if err != nil {
		return nil, nil, err
	}
	told.Policy = o.Policy
	if o.Attached, err = c.hashAttachments(told); err != nil {
		return nil, nil, err
	}
	f, err := proof.Decode(file)
	if err != nil {
		v := proof.VerifyBytes(file, o)
		return nil, &v, nil
	}
	v := proof.Verify(f, o)
	return f, &v, nil
}

func readText(path string) (*string, error) {
	if path == "" {
		return nil, nil
	}
	b, err := read(path, proof.MaxFile)
	text := string(b)
	return &text, err
}

func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; check the name", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w; check the file", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is over %d bytes: no such file is read", path, limit)
	}
	return b, nil
}
