package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes.
const (
	exitDone  = 0
	exitFalse = 1 // checked and false; or the service died
	exitError = 2 // could not be done, or wrongly asked for
)

var (
	// errSignal is why a context ended when the process was told to leave.
	errSignal = errors.New("told to leave")
	// errFalse is wrapped by errors that mean "checked, and the answer is no".
	errFalse = errors.New("checked and false")
)

// falseError is an answer of no, with what to print.
type falseError struct{ error }

func (e falseError) Is(target error) bool { return target == errFalse }
func (e falseError) Unwrap() error        { return e.error }

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// command is what all commands share.
type command struct {
	Streams
	dir    string // --dir
	json   bool   // --json
	ledger string // --ledger

	held *gateway     // of a command that asks many times, where no service runs
	told func(string) // takes what an operation tells, instead of progress
	line progressLine // of progress
}

// Run carries out one command line and returns its exit code.
func Run(ctx context.Context, args []string, s Streams) int {
	c := &command{Streams: s}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(s.Err, "cairn: %s\n", text)
	}
	if errors.Is(err, errFalse) {
		return exitFalse
	}
	return exitError
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cairn",
		Short: "Keep sensor readings in full and in private, and let anyone check them later",
		Long: "cairn is a gateway: it takes in what sensors send, keeps every reading sealed on this\n" +
			"machine, and anchors their ledger on a public chain, so that a reading can be proven\n" +
			"unaltered to anyone, years later, without this machine.\n\n" +
			"Exit codes: 0 done; 1 checked and false, or the service died; 2 could not be done.",
		SilenceErrors: true, SilenceUsage: true,
	}
	dir := os.Getenv(envDir)
	if dir == "" {
		dir = "."
	}
	root.PersistentFlags().StringVar(&c.dir, "dir", dir, "the gateway's folder ("+envDir+")")
	root.AddCommand(c.initCommand(), c.runCommand(), c.reloadCommand(), c.statusCommand(), c.deviceCommand(), c.ledgerCommand(), c.frameCommand(),
		c.grantCommand(), c.compartmentCommand(),
		c.openCommand(),
		c.importCommand(),
		c.backupCommand(), c.restoreCommand(),
		c.identityCommand(),
		c.queryCommand(), c.proveCommand(), c.receiptCommand(), c.policyCommand(), c.exportCommand(), c.headersCommand(), c.witnessCommand(), c.escrowCommand(), c.shredCommand(), c.dropCommand(),
		c.mirrorCommand(),
		c.alertCommand(), c.userCommand(), c.tokenCommand(),
		c.doctorCommand(),
		c.ipfsCommand(),
		c.keyCommand(), c.bitcoinCommand(), c.contractCommand(), c.fsckCommand(), c.versionCommand())
	root.InitDefaultCompletionCmd()
	_ = root.MarkPersistentFlagDirname("dir")
	c.complete(root)
	return root
}

// ledgerFlag adds --ledger; without says what happens without it.
func (c *command) ledgerFlag(cmd *cobra.Command, without string) {
	cmd.Flags().StringVar(&c.ledger, "ledger", "", "the ledger, from cairn ledger list (default: "+without+")")
}

const theDefaultLedger = `"site", that of the gateway's own folder`

func (c *command) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.json, "json", false, "answer in JSON")
}

// printJSON writes v for programs.
func (c *command) printJSON(v any) error {
	e := json.NewEncoder(c.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// isTerminal reports whether a stream is one that a person looks at.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
