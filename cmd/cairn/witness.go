package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cairn/anchor/witness"
	"cairn/merkle"
)

const (
	defaultWitnessListen = "127.0.0.1:9981"
	witnessFolder        = "--dir is the witness's own folder. Keep it apart from any gateway, best on a machine of\n" +
		"other people: a witness in the hands of those who run the log proves nothing."
)

// witnessCommand is a C2SP tlog-witness, which any log may use.
func (c *command) witnessCommand() *cobra.Command {
	parent := &cobra.Command{
		Use: "witness", Short: "Be a witness: cosign the checkpoints of logs that only grow",
		Long: "A witness remembers the newest checkpoint of each log that it knows and cosigns a newer one only\n" +
			"if that extends it. So nobody can be shown another history than everybody else, and a log that\n" +
			"was put back from an old copy is noticed. It speaks C2SP tlog-witness and sees sizes and roots,\n" +
			"no reading.\n\n" + witnessFolder,
	}
	parent.AddCommand(c.witnessInit(), c.witnessRun(), c.witnessAddLog(), c.witnessList())
	return parent
}

type witnessMade struct {
	Name string `json:"name"`
	VKey string `json:"vkey"`
}

func (c *command) witnessInit() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "init --dir DIR --name NAME", Short: "Draw the witness's key and print its public half; never overwrites",
		Long: "Draws the key, writes it to DIR/witness.key (mode 0600) and prints the verifier key that those who\n" +
			"ask and those who verify need. NAME should be a URL without https://, such as\n" +
			"witness.example.com/w1.\n\n" + witnessFolder,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if exists(filepath.Join(c.dir, configFile)) {
				return fmt.Errorf("%s is a gateway's folder: choose another one for the witness", c.dir)
			}
			s, err := witness.NewSigner(name, rand.Reader)
			if err != nil {
				return err
			}
			if err := witness.Init(c.dir, s); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(witnessMade{s.Name(), s.Key.String()})
			}
			_, err = fmt.Fprintln(c.Out, s.Key)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the key's name, such as witness.example.com/w1")
	_ = cmd.MarkFlagRequired("name")
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) witnessAddLog() *cobra.Command {
	return &cobra.Command{
		Use: "add-log --dir DIR VKEY…", Short: "Let the witness know a log, by its verifier key; also while it runs",
		Long: "Adds logs that the witness shall cosign for: their verifier keys (\"key\" in `cairn status --json`). A\n" +
			"log that changes its key keeps its name: add the new key too.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, vkeys []string) error {
			if _, err := witness.ReadSigner(c.dir); err != nil {
				return err
			}
			for _, vkey := range vkeys {
				added, err := witness.AddLog(c.dir, vkey)
				if err != nil {
					return err
				}
				if origin, _, _ := strings.Cut(vkey, "+"); added {
					fmt.Fprintf(c.Err, "cairn: the witness now knows %s\n", origin)
				} else {
					fmt.Fprintf(c.Err, "cairn: the witness knew this key of %s\n", origin)
				}
			}
			return nil
		},
	}
}

// witnessLog is a line of `cairn witness list`.
type witnessLog struct {
	Origin string      `json:"origin"`
	Keys   []string    `json:"keys"` // key IDs
	Size   uint64      `json:"size"`
	Root   merkle.Hash `json:"-"`
	Hash   string      `json:"root,omitempty"`
	Time   string      `json:"time,omitempty"` // of the newest cosignature
	Forked bool        `json:"forked"`
}

func (c *command) witnessList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list --dir DIR", Short: "List the logs that the witness knows, and what it cosigned last (exit code 1 if one forked)",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := witness.ReadSigner(c.dir)
			if err != nil {
				return err
			}
			known, err := witness.List(c.dir, s.Key)
			if err != nil {
				return err
			}
			all, forked := []witnessLog{}, false
			for _, k := range known {
				l := witnessLog{Origin: k.Origin, Keys: k.Keys, Size: k.Size, Root: k.Root, Forked: k.Forked}
				if k.Time > 0 {
					l.Hash, l.Time = k.Root.String(), time.Unix(int64(k.Time), 0).UTC().Format(time.RFC3339)
				}
				all, forked = append(all, l), forked || k.Forked
			}
			if err := c.printLogs(s.Key, all); err != nil {
				return err
			}
			if forked {
				return falseError{errors.New("a log signed two heads of one size; both are in the folder heads, in a file that ends in .fork")}
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *command) printLogs(k witness.Key, all []witnessLog) error {
	if c.json {
		return c.printJSON(struct {
			VKey string       `json:"vkey"`
			Logs []witnessLog `json:"logs"`
		}{k.String(), all})
	}
	fmt.Fprintf(c.Out, "witness %s\n", k)
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	for _, l := range all {
		what := "nothing cosigned yet"
		if l.Time != "" {
			what = fmt.Sprintf("size %d at %s", l.Size, l.Time)
		}
		if l.Forked {
			what += ", FORKED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Origin, strings.Join(l.Keys, " "), what)
	}
	return w.Flush()
}

func (c *command) witnessRun() *cobra.Command {
	var listen, format, level string
	var secure tlsFlags
	var logs []string
	cmd := &cobra.Command{
		Use: "run --dir DIR [--listen ADDRESS] [--log VKEY]…", Short: "Run the witness until it is told to stop",
		Long: "Answers add-checkpoint requests and shows the newest cosigned checkpoints, over HTTP. There is no\n" +
			"password: a witness is public by design, and only checkpoints that a log signed which it knows\n" +
			"change anything. By default only this machine reaches it; beyond that give it a certificate, or\n" +
			"put a server with TLS before it, since gateways take https alone. SIGTERM or an interrupt makes it end.\n\n" + witnessFolder,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runWitness(cmd.Context(), listen, &secure, logs, format, level)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", defaultWitnessListen, "address to listen on")
	secure.add(cmd)
	cmd.Flags().StringArrayVar(&logs, "log", nil, "verifier key of a log to know in this run; add-log keeps one for good")
	cmd.Flags().StringVar(&format, "log-format", "auto", "auto (text on a terminal, else json), json or text")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (c *command) runWitness(ctx context.Context, listen string, secure *tlsFlags, logs []string, format, level string) error {
	log := newLogger(c.Err, format, logLevel(level))
	s, err := witness.ReadSigner(c.dir)
	if err != nil {
		return fmt.Errorf("%w: make a witness with `cairn witness init`", err)
	}
	release, err := lockFolder(c.dir)
	if err != nil {
		return err
	}
	defer release()
	w, err := witness.Open(witness.Config{Dir: c.dir, Signer: s, Logs: logs, Logger: log})
	if err != nil {
		return err
	}
	on, err := secure.listen(listen, log)
	if err != nil {
		return err
	}
	h := &counted{handler: w}
	srv := &listener{newServer(h), on, &h.active}
	log.Info("witness running", "address", on.Addr().String(), "vkey", s.Key.String())
	if secure.cert == "" && !isLoopback(on.Addr().String()) {
		log.Warn("other machines reach this witness without encryption: give it --certificate-file and --key-file, or put a server with TLS before it")
	}
	err = srv.run(ctx)
	if !srv.quiet() && err == nil {
		err = errors.New("a request did not end")
	}
	if err != nil {
		return falseError{err}
	}
	log.Info("stopped")
	return nil
}

// counted counts the requests under work.
type counted struct {
	handler http.Handler
	active  sync.WaitGroup
}

func (h *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.active.Add(1)
	defer h.active.Done()
	h.handler.ServeHTTP(w, r)
}
