package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"cairn/anchor/ethereum"
)

type deployAnswer struct {
	Contract string `json:"contract"`
	CodeHash string `json:"codeHash"`
	ChainID  uint64 `json:"chainId"`
	Sender   string `json:"sender"`
	Tx       string `json:"transaction"`
	Block    uint64 `json:"block"`
}

type deployFlags struct {
	rpc, keystore, passphrase, signer, account, gas string
	chain, maxFee                                   uint64
	timeout                                         time.Duration
}

func (c *command) contractCommand() *cobra.Command {
	parent := &cobra.Command{Use: "contract", Short: "The registry contract that holds anchored heads"}
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy --rpc URL --chain-id N (--keystore F --keystore-passphrase-file F | --signer-url URL --account 0x…)",
		Short: "Deploy the registry and print the configuration for it",
		Long: "Deploys the registry contract and waits until it is in a block. It has no owner and can serve\n" +
			"any number of gateways: where one is deployed already, use that. It costs the account about\n" +
			"150,000 gas, once.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.deploy(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.rpc, "rpc", "", "the node's JSON-RPC URL")
	cmd.Flags().Uint64Var(&f.chain, "chain-id", 0, "the chain that the node must be on")
	cmd.Flags().StringVar(&f.keystore, "keystore", "", "standard keystore file of the account that pays, mode 0600")
	cmd.Flags().StringVar(&f.passphrase, "keystore-passphrase-file", "", "file of mode 0600 whose first line opens the keystore")
	cmd.Flags().StringVar(&f.signer, "signer-url", "", "external signer (account_signTransaction)")
	cmd.Flags().StringVar(&f.account, "account", "", "the external signer's account")
	cmd.Flags().Uint64Var(&f.maxFee, "max-fee-gwei", defaultMaxFee, "do nothing while fees stand above this")
	cmd.Flags().StringVar(&f.gas, "gas", "eip1559", "how the chain charges: eip1559, legacy where blocks have no base fee, or op-stack")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "give up waiting for the block after this long")
	for _, name := range []string{"rpc", "chain-id"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsMutuallyExclusive("keystore", "signer-url")
	cmd.MarkFlagsOneRequired("keystore", "signer-url")
	cmd.MarkFlagsRequiredTogether("keystore", "keystore-passphrase-file")
	cmd.MarkFlagsRequiredTogether("signer-url", "account")
	c.jsonFlag(cmd)
	parent.AddCommand(cmd)
	return parent
}

func (c *command) deploy(ctx context.Context, f deployFlags) error {
	a := AnchorConfig{
		Type: typeEthereum, Ethereum: EthereumConfig{
			RPC: []string{f.rpc}, ChainID: f.chain, MaxFeeGwei: f.maxFee, Gas: f.gas,
			Account: EthereumAccount{Keystore: f.keystore, Passphrase: f.passphrase, SignerURL: f.signer, Account: f.account},
		},
	}
	if f.account != "" && !common.IsHexAddress(f.account) {
		return errors.New("--account: want 0x and 40 hex digits")
	}
	cfg, err := ethereumConfig(&a, a.Ethereum.Account)
	if err != nil {
		return err
	}
	chain, err := ethereum.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer chain.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("not in a block after %v", f.timeout))
	defer cancel()
	d, err := chain.Deploy(ctx)
	if err != nil {
		if d.TxHash != (common.Hash{}) {
			err = fmt.Errorf("%w; it may still come: transaction %s, contract %s", err, d.TxHash, d.Address)
		}
		return fmt.Errorf("deploy: %w", err)
	}
	answer := deployAnswer{d.Address.Hex(), d.CodeHash.Hex(), f.chain, chain.Sender().Hex(), d.TxHash.Hex(), d.Block.Height}
	if c.json {
		return c.printJSON(answer)
	}
	c.printDeployed(&answer, f)
	return nil
}

func (c *command) printDeployed(d *deployAnswer, f deployFlags) {
	p := func(format string, v ...any) { fmt.Fprintf(c.Out, format+"\n", v...) }
	p("deployed the registry in block %d", d.Block)
	p("  contract  %s", d.Contract)
	p("  code hash %s", d.CodeHash)
	p("  sender    %s", d.Sender)
	p("")
	p("in %s:", configFile)
	p("")
	p("anchors:")
	p("  - type: ethereum")
	p("    rpc: %s", f.rpc)
	p("    chain_id: %d", d.ChainID)
	p("    contract: %q", d.Contract)
	if f.keystore != "" {
		p("    keystore: %s", absolute(f.keystore))
		p("    keystore_passphrase_file: %s", absolute(f.passphrase))
	} else {
		p("    signer_url: %s", f.signer)
		p("    account: %q", f.account)
	}
}

// absolute is a path that means the same file in the configuration, where paths
// are relative to the gateway's folder.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
