package main

import (
	"context"
	"crypto/ed25519"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

//go:embed cairn.yaml.tmpl
var configTemplate string

// initFlags say what opens the new keyring. With none of the three, an age
// identity is made beside it.
type initFlags struct {
	passphraseFile string
	identityFile   string
	ask            bool
	window         time.Duration
	anchor         string // "ots": a route to the public calendars from the start
}

func (c *command) initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Make a new gateway: keys, configuration and folders; never overwrites",
		Long: "Makes a new gateway in DIR: a keyring with fresh keys, a configuration file in which every\n" +
			"option is explained, and the folder for the data. Nothing that is there is overwritten.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.init(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", "", "file of mode 0600 whose first line shall open the keyring")
	cmd.Flags().StringVar(&f.identityFile, "identity-file", "", "age identity file of mode 0600 that shall open the keyring")
	cmd.Flags().BoolVar(&f.ask, "passphrase", false, "ask for a passphrase now and at each start")
	cmd.Flags().DurationVar(&f.window, "window", time.Minute, "span of a batch, fixed from the first start on")
	cmd.Flags().StringVar(&f.anchor, "anchor", "none", "ots: anchor through the public OpenTimestamps calendars; none: no route yet")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "identity-file", "passphrase")
	return cmd
}

// made is what init has written so far, so that a failure leaves nothing.
type made []string

func (m *made) undo() {
	for i := len(*m) - 1; i >= 0; i-- {
		os.Remove((*m)[i])
	}
}

func (c *command) init(ctx context.Context, dir string, f initFlags) (err error) {
	if f.window < time.Second || f.window%time.Second != 0 || 15*time.Minute%f.window != 0 {
		return fmt.Errorf("--window: %v does not divide 15 minutes in whole seconds", f.window)
	}
	if f.anchor != "none" && f.anchor != typeOTS {
		return fmt.Errorf("--anchor: %.20q is neither ots nor none", f.anchor)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if err := ownFolder(dir, os.Geteuid()); err != nil {
		return err
	}
	for _, name := range []string{configFile, keyringFile, dataDir, ledgersDir} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for a gateway: %w", err)
		} else if err == nil {
			return fmt.Errorf("%s has %s already: there is a gateway, and init never overwrites", dir, name)
		}
	}
	var m made
	defer func() {
		if err != nil {
			m.undo()
		}
	}()
	if err := m.dir(dir); err != nil {
		return err
	}
	if err := m.dir(filepath.Join(dir, dataDir)); err != nil {
		return err
	}
	wrap, config, err := c.newWrap(ctx, dir, f, &m)
	if err != nil {
		return err
	}
	k, err := share.Create(filepath.Join(dir, keyringFile), wrap)
	if err != nil {
		return err
	}
	m = append(m, filepath.Join(dir, keyringFile))
	config["window"] = shortDuration(f.window)
	if err := writeNew(filepath.Join(dir, configFile), []byte(withRoute(renderConfig(config), f.anchor)), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	c.afterInit(dir, k, config, f.anchor)
	return nil
}

// dir makes a folder that is its owner's alone, unless it is there.
func (m *made) dir(path string) error {
	_, err := os.Stat(path)
	if err == nil {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	*m = append(*m, path)
	return nil
}

// newWrap returns what the new keyring opens with, and the settings that say so.
func (c *command) newWrap(ctx context.Context, dir string, f initFlags, m *made) (share.Wrap, map[string]string, error) {
	switch {
	case f.passphraseFile != "":
		p, err := readSecretFile(f.passphraseFile)
		if err != nil {
			return share.Wrap{}, nil, fmt.Errorf("--passphrase-file: %w", err)
		}
		abs, err := filepath.Abs(f.passphraseFile)
		return share.Wrap{Passphrase: p}, map[string]string{"keyring.passphrase_file": abs}, err
	case f.identityFile != "":
		abs, err := filepath.Abs(f.identityFile)
		return share.Wrap{Identity: abs}, map[string]string{"keyring.identity_file": abs}, err
	case f.ask:
		if !isTerminal(c.In) {
			return share.Wrap{}, nil, errors.New("--passphrase asks on a terminal, and standard input is none: use --passphrase-file")
		}
		p, err := c.askPassphrase(ctx, "New passphrase: ")
		if err != nil {
			return share.Wrap{}, nil, err
		}
		again, err := c.askPassphrase(ctx, "Once more: ")
		if err == nil && string(again) != string(p) {
			err = errors.New("the two passphrases differ")
		}
		return share.Wrap{Passphrase: p}, map[string]string{}, err
	}
	path := filepath.Join(dir, identityFile)
	if err := writeIdentity(path); err != nil {
		return share.Wrap{}, nil, err
	}
	*m = append(*m, path)
	return share.Wrap{Identity: path}, map[string]string{"keyring.identity_file": identityFile}, nil
}

func writeIdentity(path string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make identity: %w", err)
	}
	text := fmt.Sprintf("# opens %s\n# public key: %s\n%s\n", keyringFile, id.Recipient(), id)
	if err := writeNew(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

// renderConfig fills in the template; values that are not given are the
// defaults.
func renderConfig(values map[string]string) string {
	var pairs []string
	for _, o := range options {
		v, ok := values[o.key]
		if !ok {
			v = o.def
		}
		pairs = append(pairs, "{{"+o.key+"}}", strings.ReplaceAll(v, `"`, `\"`))
	}
	return strings.NewReplacer(pairs...).Replace(configTemplate)
}

// withRoute puts the route of public calendars, the first of the examples, into a
// fresh configuration.
func withRoute(config, route string) string {
	if route != typeOTS {
		return config
	}
	head, rest, _ := strings.Cut(config, "anchors: []\n")
	var b strings.Builder
	b.WriteString(head + "anchors:\n")
	example := true
	for line := range strings.Lines(rest) {
		if example && strings.HasPrefix(line, "#  - type: ") && line != "#  - type: ots\n" {
			example = false
		}
		if example {
			line = strings.TrimPrefix(line, "#")
		}
		b.WriteString(line)
	}
	return b.String()
}

// hosts are those of some URLs.
func hosts(urls []string) (all []string) {
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil {
			all = append(all, u.Host)
		}
	}
	return all
}

// shortDuration writes 1m0s as 1m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

func (c *command) afterInit(dir string, k *share.Keyring, config map[string]string, route string) {
	p := func(format string, a ...any) { fmt.Fprintf(c.Out, format+"\n", a...) }
	pub := k.LogKey().Public().(ed25519.PublicKey)
	p("made a gateway in %s", dir)
	p("  ledger   %s", ledger.ID(pub, k.Nonce()))
	p("  config   %s", filepath.Join(dir, configFile))
	p("  keyring  %s", filepath.Join(dir, keyringFile))
	switch {
	case config["keyring.identity_file"] == identityFile:
		p("  identity %s", filepath.Join(dir, identityFile))
		p("")
		p("The keyring is encrypted to the identity beside it. That protects copies of the keyring alone,")
		p("such as a backup that leaves the identity out. It does not protect against one who has the whole")
		p("folder: for that move the identity to a medium of its own and name it in the configuration, or")
		p("make the gateway with --passphrase or --passphrase-file.")
	case config["keyring.identity_file"] != "" || config["keyring.passphrase_file"] != "":
		p("")
		p("Whoever has the keyring and the file that opens it can read every reading and sign as this gateway.")
	default:
		p("")
		p("The passphrase will be asked for at each start.")
	}
	p("Without the keyring the data cannot be read, by you neither: keep a copy of it and of what opens it.")
	p("")
	p("next:")
	p("  cairn --dir %s device add --id HEX16 --key-stdin --name fridge", dir)
	p("  cairn --dir %s user add NAME --role admin", dir)
	p("  cairn --dir %s run", dir)
	p("")
	if route == typeOTS {
		p("It anchors through public OpenTimestamps calendars (%s): no wallet, no fee; they see", strings.Join(hosts(publicCalendars), ", "))
		p("a random-looking digest an hour. A route of your own besides, on Bitcoin or Ethereum, also notices a")
		p("folder that was put back from an old copy: the configuration explains both.")
		return
	}
	p("So that others can check, a route belongs into the configuration. The one to start with costs nothing and")
	p("needs no wallet: OpenTimestamps calendars, the first example there (`cairn init --anchor ots` writes it).")
}
