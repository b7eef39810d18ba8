package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"cairn/anchor/proof"
)

// headersFlags say which headers of which node.
type headersFlags struct {
	node BitcoinNode
	from int64
	to   int64
	out  string
}

func (c *command) headersCommand() *cobra.Command {
	parent := &cobra.Command{Use: "headers", Short: "Block headers, for those who verify without a node"}
	f := headersFlags{}
	cmd := &cobra.Command{
		Use:   "fetch --network NAME --rpc URL --out FILE",
		Short: "Write a headers file from any Bitcoin node",
		Long: "Writes the headers of a Bitcoin network into a file that cairn-verify takes with --headers.\n" +
			"The node need not be trusted on mainnet: linkage, proof of work, difficulty and the checkpoints\n" +
			"that are built in are checked here, and again by whoever uses the file.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.fetchHeaders(cmd.Context(), f) },
	}
	nodeFlags(cmd, &f.node, "")
	_ = cmd.MarkFlagRequired("rpc")
	cmd.Flags().Int64Var(&f.from, "from", -1, "first height (default: where a checkpoint and all that follows can be checked)")
	cmd.Flags().Int64Var(&f.to, "to", -1, "last height (default: the newest)")
	cmd.Flags().StringVar(&f.out, "out", "", "the file to write; it must not exist yet")
	_ = cmd.MarkFlagRequired("out")
	c.jsonFlag(cmd)
	parent.AddCommand(cmd)
	return parent
}

// nodeFlags adds the flags that say how to reach a Bitcoin node, with their names
// after a prefix.
func nodeFlags(cmd *cobra.Command, n *BitcoinNode, prefix string) {
	cmd.Flags().StringVar(&n.Network, prefix+"network", "mainnet", "mainnet, testnet4, signet or regtest")
	cmd.Flags().StringVar(&n.RPC, prefix+"rpc", "", "the Bitcoin node's JSON-RPC URL, such as http://127.0.0.1:8332")
	cmd.Flags().StringVar(&n.User, prefix+"rpc-user", "", "the node's user")
	cmd.Flags().StringVar(&n.PasswordFile, prefix+"rpc-password-file", "", "file of mode 0600 whose first line is the password")
	cmd.Flags().StringVar(&n.CookieFile, prefix+"rpc-cookie-file", "", "the node's cookie file, instead of the two")
	cmd.Flags().StringVar(&n.CAFile, prefix+"rpc-ca-file", "", "PEM file with the certificate of an https node")
	cmd.MarkFlagsRequiredTogether(prefix+"rpc-user", prefix+"rpc-password-file")
	cmd.MarkFlagsMutuallyExclusive(prefix+"rpc-user", prefix+"rpc-cookie-file")
}

func (c *command) fetchHeaders(ctx context.Context, f headersFlags) error {
	if _, err := os.Lstat(f.out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", f.out)
	}
	password, err := f.node.password()
	if err != nil {
		return err
	}
	node, err := dialNode(f.node, password)
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.CheckNetwork(ctx); err != nil {
		return err
	}
	tip, _, err := node.Tip(ctx)
	if err != nil {
		return err
	}
	from, to := proof.BitcoinStart(f.node.Network), tip
	if f.from >= 0 {
		from = uint32(min(f.from, int64(tip)+1))
	}
	if f.to >= 0 {
		to = uint32(min(f.to, int64(tip)))
	}
	if from > to {
		return fmt.Errorf("the node's newest block is %d: there are no headers from %d to %d", tip, from, to)
	}
	headers := make([]proof.BitcoinHeader, 0, to-from+1)
	g := newGauge(c.progress, "headers", 1)
	err = node.Headers(ctx, from, to, func(_ uint32, h proof.BitcoinHeader) error {
		headers = append(headers, h)
		g.at(uint64(len(headers)), uint64(cap(headers)))
		return nil
	})
	c.progress("")
	if err != nil {
		return fmt.Errorf("fetch headers: %w", err)
	}
	checked, err := proof.NewBitcoinHeaders(f.node.Network, from, headers)
	if err != nil {
		return fmt.Errorf("the node's headers do not hold: %w", err)
	}
	if err := writeNew(f.out, checked.File(), 0o644); err != nil {
		return fmt.Errorf("write headers: %w", err)
	}
	how, connected := checked.Connected()
	if c.json {
		return c.printJSON(struct {
			Out       string `json:"out"`
			Network   string `json:"network"`
			From      uint32 `json:"from"`
			To        uint32 `json:"to"`
			Tip       string `json:"tipHash"`
			Connected bool   `json:"connected"`
			How       string `json:"how"`
		}{f.out, f.node.Network, from, to, displayHash(checked.TipHash()), connected, how})
	}
	fmt.Fprintf(c.Out, "%s: headers %d to %d of %s\n", f.out, from, to, f.node.Network)
	if how != "" {
		fmt.Fprintf(c.Out, "  %s\n", how)
	}
	return nil
}

// displayHash writes a Bitcoin hash as tools show it: last byte first.
func displayHash(h [32]byte) string {
	for i, j := 0, len(h)-1; i < j; i, j = i+1, j-1 {
		h[i], h[j] = h[j], h[i]
	}
	return fmt.Sprintf("%x", h)
}
