package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

func (c *command) ledgerCommand() *cobra.Command {
	parent := &cobra.Command{Use: "ledger", Short: "Further ledgers of this gateway, each with its own key, log and routes"}
	parent.AddCommand(c.ledgerAdd(), c.ledgerList())
	return parent
}

func (c *command) ledgerAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add NAME", Short: "Make a further ledger: keys and a folder for its data; never overwrites",
		Long: "Makes the ledger NAME in the folder ledgers/NAME: a keyring with fresh keys, which opens with\n" +
			"what opens the gateway's own, and the folder for the data. Then name it in the configuration,\n" +
			"under ledgers, and start the service again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.addLedger(cmd.Context(), args[0]) },
	}
}

func (c *command) addLedger(ctx context.Context, name string) error {
	if err := checkLedgerName(name); err != nil {
		return err
	}
	// The configuration may name the ledger already, which is not there yet.
	cfg, err := readConfig(c.dir, nil, os.Environ(), nil)
	if err != nil {
		return err
	}
	at := filepath.Join(cfg.path(ledgersDir), name)
	if exists(at) {
		return fmt.Errorf("%s is there already, and is not overwritten: give another name", at)
	}
	w, err := c.wrap(ctx, cfg)
	if err != nil {
		return err
	}
	defer clear(w.Passphrase)
	// A mistyped passphrase would make a ledger that the service cannot open.
	if _, err := openKeyring(cfg, &cfg.Ledgers[0], w); err != nil {
		return err
	}
	k, err := makeLedger(at, w)
	if err != nil {
		return fmt.Errorf("make the ledger %s: %w", name, err)
	}
	c.afterLedger(cfg, name, at, k)
	return nil
}

// makeLedger makes a ledger's folder, whole or not at all: it is put together
// under a name that is no ledger's and renamed. What a crash leaves of it was
// never in use.
func makeLedger(at string, w share.Wrap) (k *share.Keyring, err error) {
	parent := filepath.Dir(at)
	if err := os.Mkdir(parent, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	temp, err := os.MkdirTemp(parent, ".new-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(temp)
		}
	}()
	if err := os.Mkdir(filepath.Join(temp, dataDir), 0o700); err != nil {
		return nil, err
	}
	if k, err = share.Create(filepath.Join(temp, keyringFile), w); err != nil {
		return nil, err
	}
	// A folder that is there, and not empty, stops the rename.
	if err := os.Rename(temp, at); err != nil {
		return nil, err
	}
	return k, syncFolder(parent)
}

// syncFolder makes what was renamed in a folder last.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (c *command) afterLedger(cfg *Config, name, at string, k *share.Keyring) {
	p := func(format string, a ...any) { fmt.Fprintf(c.Out, format+"\n", a...) }
	p("made the ledger %s", name)
	p("  ledger   %s", ledger.ID(k.LogKey().Public().(ed25519.PublicKey), k.Nonce()))
	p("  keyring  %s", filepath.Join(at, keyringFile))
	p("")
	p("It opens with what opens %s. Keep a copy of both.", cfg.path(keyringFile))
	if _, err := cfg.ledger(name); err == nil {
		p("The configuration names it: start the service again.")
		return
	}
	p("next, in %s, and then start the service again:", cfg.path(configFile))
	p("")
	p("ledgers:")
	p("  - name: %s", name)
	p("    when: [site=%s]", name)
	p("    anchors: []")
}

// ledgerRow is one ledger as lists show it.
type ledgerRow struct {
	Name    string   `json:"name"`
	Ledger  string   `json:"ledger,omitempty"` // its ID; absent while it has no data
	When    []string `json:"when"`
	Routes  []string `json:"routes"`
	Quorum  string   `json:"quorum,omitempty"`
	Devices int      `json:"devices"` // open bindings
	Listed  bool     `json:"configured"`
}

// listLedgers lists the ledgers in the order in which their rules are tried, the
// default one, which is what is left, first.
func (g *gateway) listLedgers(ctx context.Context, _ string, _ nothing) ([]ledgerRow, error) {
	var rows []ledgerRow
	for i := range g.cfg.Ledgers {
		cfg := &g.cfg.Ledgers[i]
		r := ledgerRow{Name: cfg.Name, When: []string{}, Routes: []string{}, Listed: !cfg.Unlisted}
		for _, w := range cfg.When {
			r.When = append(r.When, w.String())
		}
		for j := range cfg.Anchors {
			r.Routes, r.Quorum = append(r.Routes, cfg.Anchors[j].Route()), cfg.Quorum
		}
		if g.opened(cfg) != nil || !cfg.unborn() {
			l, err := g.on(ctx, cfg.Name, false)
			if err != nil {
				return nil, err
			}
			r.Ledger = l.store.Ledger().String()
			for _, b := range l.store.Devices() {
				if !b.Closed {
					r.Devices++
				}
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (c *command) ledgerList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the ledgers of this gateway, their rules and routes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask[[]ledgerRow](cmd.Context(), c, "ledgers", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(rows)
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tLEDGER\tDEVICES\tWHEN\tROUTES")
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", r.Name, r.Ledger, r.Devices, r.rule(), strings.Join(r.Routes, ", "))
			}
			return w.Flush()
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

// rule is the ledger's rule in words.
func (r *ledgerRow) rule() string {
	switch {
	case !r.Listed:
		return "(not in the configuration)"
	case r.Name == siteLedger:
		return "no other rule fits"
	case len(r.When) == 0:
		return "only with --ledger"
	}
	return strings.Join(r.When, " ")
}
