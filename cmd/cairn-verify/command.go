//go:build !js

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"cairn/anchor/proof"
)

// parseFlags reads a command line whose flags may stand before and after the
// files. file is called with each of those. A flag without a value is an error.
func parseFlags(fs *flag.FlagSet, args []string, file func(string) error) error {
	fs.SetOutput(io.Discard)
	for {
		if err := fs.Parse(args); err != nil {
			return err
		}
		if fs.NArg() == 0 {
			break
		}
		if err := file(fs.Arg(0)); err != nil {
			return err
		}
		args = fs.Args()[1:]
	}
	var empty error
	fs.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" {
			empty = fmt.Errorf("--%s was given without a value", f.Name)
		}
	})
	return empty
}

// onlyFile sets a command's one file.
func onlyFile(to *string) func(string) error {
	return func(s string) error {
		if *to != "" {
			return fmt.Errorf("one file, please: %q and %q were given", *to, s)
		}
		*to = s
		return nil
	}
}

// misused says what is wrong with a command line, or prints its help, and returns
// the exit status.
func misused(name, usage string, err error, stdout, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "%s: %v\n`%s --help` says how it is used\n", name, err, name)
	return 2
}

// verdict is what any check ends with.
type verdict interface {
	Text() string
	JSON() []byte
}

// conclude prints a verdict and returns the exit status.
func conclude(v verdict, outcome proof.Outcome, asJSON bool, stdout, stderr io.Writer) int {
	text := []byte(v.Text())
	if asJSON {
		text = v.JSON()
	}
	if _, err := stdout.Write(text); err != nil {
		fmt.Fprintf(stderr, "COULD NOT CHECK: the verdict could not be written: %v\n", err)
		return 2
	}
	return outcome.Exit()
}

func couldNot(err error, stderr io.Writer) int {
	fmt.Fprintf(stderr, "COULD NOT CHECK: %v\n", err)
	return 2
}

// begin is how a file begins: enough to tell what it is.
func begin(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; check the name", err)
	}
	defer f.Close()
	var b [64]byte
	n, _ := f.Read(b[:]) // a directory, for one, is told of when it is read
	return b[:n], nil
}
