package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cairn/anchor/bitcoin"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// bitcoinCommand makes the key files of Bitcoin routes.
func (c *command) bitcoinCommand() *cobra.Command {
	parent := &cobra.Command{Use: "bitcoin", Short: "Key files of Bitcoin routes"}
	var network, kind, passphrase string
	flags := func(cmd *cobra.Command) *cobra.Command {
		cmd.Args = cobra.ExactArgs(1)
		cmd.Flags().StringVar(&network, "network", "mainnet", "mainnet, testnet4, signet or regtest")
		cmd.Flags().StringVar(&passphrase, "passphrase-file", "", "file of mode 0600 whose first line opens the key")
		_ = cmd.MarkFlagRequired("passphrase-file")
		c.jsonFlag(cmd)
		parent.AddCommand(cmd)
		return cmd
	}
	with := func(make func(path string, pass []byte) (address string, err error)) func(*cobra.Command, []string) error {
		return func(_ *cobra.Command, args []string) error {
			pass, err := readSecretFile(passphrase)
			if err != nil {
				return fmt.Errorf("--passphrase-file: %w", err)
			}
			address, err := make(args[0], pass)
			if err != nil {
				return err
			}
			return c.printKey(args[0], network, address)
		}
	}
	flags(&cobra.Command{
		Use: "new-key --network NAME --passphrase-file F FILE", Short: "Draw a key and write it, encrypted, to a new file",
		RunE: with(func(path string, pass []byte) (string, error) {
			return bitcoin.NewKey(path, network, bitcoin.Kind(kind), pass)
		}),
	}).Flags().StringVar(&kind, "type", string(bitcoin.P2WPKH), "type of its output: wpkh (P2WPKH) or tr (P2TR)")
	flags(&cobra.Command{
		Use: "import-key --network NAME --passphrase-file F FILE", Short: "Read a key from standard input and write it, encrypted, to a new file",
		Long: "Reads one line from standard input: a WIF, or a descriptor wpkh(KEY) or tr(KEY), with or without\n" +
			"checksum, where KEY is a WIF or an extended private key with its path. Use the key for nothing else.",
		RunE: with(func(path string, pass []byte) (string, error) {
			line, err := bufio.NewReader(io.LimitReader(c.In, 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return "", fmt.Errorf("read key: %w", err)
			}
			return bitcoin.ImportKey(path, network, strings.TrimSpace(line), pass)
		}),
	})
	flags(&cobra.Command{
		Use: "show-key --network NAME --passphrase-file F FILE", Short: "Open a key file and show its address",
		RunE: with(func(path string, pass []byte) (string, error) { return bitcoin.CheckKey(path, network, pass) }),
	})
	return parent
}

func (c *command) printKey(file, network, address string) error {
	if c.json {
		return c.printJSON(map[string]string{"file": file, "network": network, "address": address})
	}
	fmt.Fprintf(c.Out, "%s: a key of %s\n  address %s\n", file, network, address)
	return nil
}

// keyAnswer tells a ledger's keys after a change.
type keyAnswer struct {
	Key  string   `json:"key"`  // verifier key of the one that signs from now on
	Keys []string `json:"keys"` // of all, the first first
}

func (c *command) keyCommand() *cobra.Command {
	parent := &cobra.Command{Use: "key", Short: "The key that signs a ledger's checkpoints"}
	cmd := &cobra.Command{
		Use: "rotate", Short: "Let the ledger be signed by a new key from now on",
		Long: "Draws a new log key, records in the ledger that it follows the present one, signed by both, and\n" +
			"signs checkpoints with it from then on. The ledger's id stays. Proofs show the statement, so that\n" +
			"policies which were handed out stay good; monitors and witnesses that pin the key must learn\n" +
			"the new one: give it to their operators. The keyring changes: renew its copies.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[keyAnswer](cmd.Context(), c, "key/rotate", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			fmt.Fprintf(c.Out, "checkpoints are signed from now on by\n  %s\nthe keyring has changed: renew its copies; witnesses need the new key\n", a.Key)
			return nil
		},
	}
	c.ledgerFlag(cmd, theDefaultLedger)
	c.jsonFlag(cmd)
	parent.AddCommand(cmd)
	return parent
}

func (l *openLedger) rotateKey(ctx context.Context, _ nothing) (keyAnswer, error) {
	if _, err := l.store.RotateLogKey(ctx); err != nil {
		return keyAnswer{}, fmt.Errorf("rotate the log key: %w", err)
	}
	origin := ledger.Origin(l.store.Ledger())
	a := keyAnswer{Key: merkle.VerifierKey(origin, l.store.LogKey())}
	for _, k := range l.store.LogKeys() {
		a.Keys = append(a.Keys, merkle.VerifierKey(origin, k))
	}
	return a, nil
}
