package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cairn/store/mirror"
)

const (
	defaultMirrorEvery = 30 * time.Second
	// lateWindows is how many windows a log may be without a new batch.
	lateWindows = 5
)

const mirrorHelp = "A mirror is an independent copy at the auditor's or the regulator's, in a folder of its own\n" +
	"(--dir): it checks each part as it arrives, keeps evidence of what a gateway must not do, and\n" +
	"serves audiences and further mirrors. It opens no reading by itself: what it has is sealed, and\n" +
	"its grant opens the ledger's structure."

// mirrorFlags are what the command line of a mirror says.
type mirrorFlags struct {
	bundle   string
	grant    int64
	identity []string
	token    string // file
	serve    string // file with the token of those who may have everything
	once     bool
	listen   string
	tls      tlsFlags
	policy   string
	rpc      []string
	agree    int
	headers  []string
	bitcoin  BitcoinNode
	keep     []string
	every    time.Duration
	begin    uint64
	name     string
	ipfs     string
	api      string
	gateway  string
	format   string
	level    string

	bitcoinFrom int64
}

func (c *command) mirrorCommand() *cobra.Command {
	f := mirrorFlags{}
	cmd := &cobra.Command{
		Use:   "mirror URL --dir DIR (--bundle FILE | --grant N) --identity FILE [--token-file FILE] [--once] [--listen ADDRESS]",
		Short: "Keep an independent copy of a ledger, check it, and serve it",
		Long: mirrorHelp + "\n\n" +
			"URL is the address of the ledger at a gateway or another mirror, such as\n" +
			"http://192.0.2.7:9980/ledger/site, or the folder of a copy. The site makes the grant with\n" +
			"`cairn grant add --mirror`. With any other grant the copy has what that audience may have. With\n" +
			"--grant the bundle itself comes from URL: give --policy too, or the first bundle decides which\n" +
			"ledger this is.\n\n" +
			"Exit codes with --once, and of `cairn mirror status`: 0 all is well, 1 an alarm, 2 it could not be done.\n" +
			"A fork is never forgotten: its evidence lies in DIR/evidence, and cairn-verify checks it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 == (f.ipfs == "") {
				return errors.New("a mirror wants one source: the URL of a ledger, or --ipfs CID")
			}
			if f.listen != "" && !isLoopback(f.listen) && f.tls.cert == "" && !f.tls.proxy {
				return fmt.Errorf("--listen: %s can be reached from beyond this machine, where tokens would pass in the clear: give --certificate-file and --key-file, or --behind-proxy if a proxy ends TLS", f.listen)
			}
			return c.runMirror(cmd.Context(), strings.Join(args, ""), &f)
		},
	}
	cmd.Flags().StringVar(&f.bundle, "bundle", "", "the grant's bundle, as it was handed over")
	cmd.Flags().Int64Var(&f.grant, "grant", -1, "instead of the bundle, the grant's number: its bundle is fetched from URL")
	cmd.Flags().StringArrayVar(&f.identity, "identity", nil, "age identity or SSH private key that the grant was made to (may be repeated)")
	cmd.Flags().StringVar(&f.token, "token-file", "", "file with the grant's access token (default: the one in the bundle)")
	cmd.Flags().BoolVar(&f.once, "once", false, "bring the copy up to date, check it, and leave")
	cmd.Flags().StringVar(&f.listen, "listen", "", "serve the copy at this address")
	f.tls.add(cmd)
	cmd.Flags().BoolVar(&f.tls.proxy, "behind-proxy", false, "with --listen: a proxy ends TLS, so take HTTP from beyond this machine")
	cmd.MarkFlagsMutuallyExclusive("certificate-file", "behind-proxy")
	cmd.Flags().StringVar(&f.serve, "serve-token-file", "", "file with a token for those who may have everything; needed to give it beyond this machine to others than mirrors")
	cmd.Flags().StringVar(&f.policy, "policy", "", "the ledger's policy file: who it is, and where and how soon it must be anchored")
	cmd.Flags().StringArrayVar(&f.rpc, "rpc", nil, "URL of an Ethereum node of your own choice, to check anchors (may be repeated)")
	cmd.Flags().IntVar(&f.agree, "rpc-agree", 1, "how many of them must agree")
	nodeFlags(cmd, &f.bitcoin, "bitcoin-")
	cmd.Flags().Int64Var(&f.bitcoinFrom, "bitcoin-from", -1, "first height of the headers that are kept, if there are anchors of before (default: where a checkpoint and all that follows can be checked)")
	cmd.Flags().StringArrayVar(&f.headers, "headers", nil, "file with block headers that you trust, from cairn headers fetch (may be repeated)")
	cmd.Flags().StringArrayVar(&f.keep, "keep", nil, "how long objects are kept, GLOB=AGE such as stream/*/data=90d; the first that fits decides (may be repeated)")
	cmd.Flags().DurationVar(&f.every, "every", defaultMirrorEvery, "how often to look for what is new")
	cmd.Flags().Uint64Var(&f.begin, "begin", 0, "first batch whose group must be there: those before it were sealed by an older cairn")
	cmd.Flags().StringVar(&f.name, "name", "", "name of the mirror's keys, drawn at the first start (default: mirror- and part of the ledger's id)")
	cmd.Flags().StringVar(&f.ipfs, "ipfs", "", "instead of URL, the identifier of the ledger's newest folder on IPFS")
	cmd.Flags().StringVar(&f.api, "ipfs-api", "http://127.0.0.1:5001", "with --ipfs: the RPC of an IPFS node, which need not be trusted")
	cmd.Flags().StringVar(&f.gateway, "ipfs-gateway", "", "with --ipfs: instead of a node, a gateway that hands out blocks, such as https://ipfs.io")
	cmd.MarkFlagsMutuallyExclusive("ipfs-api", "ipfs-gateway")
	cmd.Flags().StringVar(&f.format, "log-format", "auto", "auto (text on a terminal, else json), json or text")
	cmd.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	cmd.MarkFlagsMutuallyExclusive("bundle", "grant")
	c.jsonFlag(cmd)
	cmd.AddCommand(c.mirrorStatusCommand())
	return cmd
}

// mirrorService is a running mirror.
type mirrorService struct {
	*mirrorFlags
	c     *command
	log   *slog.Logger
	dir   string
	url   string
	keys  *mirror.BundleKeys
	token string
	copy  *mirror.Copy
	src   mirror.Source
	own   *mirrorKeys
	chain *mirrorChain // nil: no policy

	kick chan chan struct{} // asks for a pass now, and is told when it is over

	mu     sync.Mutex // covers what follows
	status mirrorStatus
}

// runMirror runs a mirror, or one pass of it.
func (c *command) runMirror(ctx context.Context, url string, f *mirrorFlags) error {
	if exists(filepath.Join(c.dir, configFile)) {
		return fmt.Errorf("%s is a gateway's folder: choose another one for the mirror, with --dir", c.dir)
	}
	s := &mirrorService{mirrorFlags: f, c: c, dir: c.dir, url: strings.TrimRight(url, "/"), kick: make(chan chan struct{})}
	s.log = newLogger(c.Err, f.format, logLevel(f.level))
	release, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	if f.once {
		s.pass(ctx)
		return s.conclude()
	}
	return s.serveMirror(ctx)
}

// open opens all that a mirror needs; it asks the source for the bundle alone.
func (s *mirrorService) open(ctx context.Context) (release func(), err error) {
	rules, err := keepRules(s.keep)
	if err != nil {
		return nil, err
	}
	if s.listen != "" && s.once {
		return nil, errors.New("--once leaves when it is done, and --listen serves: give one of them")
	}
	if s.every < time.Second {
		return nil, errors.New("--every is at least a second")
	}
	if s.chain, err = s.openChain(s.dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.chain.close()
		}
	}()
	if err := s.openKeys(ctx); err != nil {
		return nil, err
	}
	id := s.keys.Identity()
	if s.chain != nil && (s.chain.policy.Ledger != id.Ledger || !s.chain.policy.Key.Equal(id.LogKey)) {
		return nil, falseError{fmt.Errorf("the bundle is of the ledger %v, the policy of %v", id.Ledger, s.chain.policy.Ledger)}
	}
	if err := makeMirrorFolder(s.dir); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(s.dir)
	if err != nil {
		return nil, err
	}
	if s.copy, err = mirror.Open(s.dir, mirror.Options{Ledger: id, Keep: rules, Begin: s.begin}); err == nil {
		if s.own, err = openMirrorKeys(s.dir, s.name, id); err == nil {
			err = s.openSource(ctx)
		}
	}
	if err != nil {
		unlock()
		return nil, err
	}
	s.newerBundle(ctx)
	s.status.begin(s)
	return func() { s.chain.close(); unlock() }, nil
}

func keepRules(texts []string) (all []mirror.Rule, err error) {
	for _, text := range texts {
		r, err := mirror.ParseRule(text)
		if err != nil {
			return nil, fmt.Errorf("--keep: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}

// openSource makes the source that is followed.
func (s *mirrorService) openSource(ctx context.Context) (err error) {
	switch {
	case s.ipfs != "":
		s.src, err = s.fromIPFS(ctx)
	case !strings.Contains(s.url, "://"):
		if same, _ := filepath.Abs(s.url); same == mustAbs(s.dir) {
			return errors.New("the source is the mirror's own folder")
		}
		s.src, err = mirror.FolderSource(s.url)
	case s.keys.Mirror():
		s.src, err = mirror.HTTP(s.url, s.token, nil)
	default:
		s.src, err = mirror.HTTP(s.audienceURL(s.keys.Grant()), s.token, nil)
	}
	return err
}

func mustAbs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// audienceURL is where an audience finds what it may have.
func (s *mirrorService) audienceURL(grant uint64) string {
	return fmt.Sprintf("%s/grant/%d", s.url, grant)
}

// copyingOften is how often the log is told of a long pass.
const copyingOften = 2 * time.Second

// report tells people of long passes.
func (s *mirrorService) report() mirror.Report {
	told := time.Now()
	return func(p mirror.Progress) {
		if time.Since(told) < copyingOften {
			return
		}
		told = time.Now()
		s.log.Info("copying", "what", p.Phase, "done", p.Done, "of", p.Of)
	}
}

// serveMirror follows, and serves, until it is told to leave.
func (s *mirrorService) serveMirror(ctx context.Context) error {
	var srv *listener
	if s.listen != "" {
		h, err := s.handler()
		if err != nil {
			return err
		}
		on, err := s.tls.listen(s.listen, s.log)
		if err != nil {
			return err
		}
		srv = &listener{newServer(h), on, &h.active}
		s.log.Info("mirror running", "address", on.Addr().String(), "ledger", s.copy.Identity().Ledger.String())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	running.Go(func() { s.followAlways(ctx) })
	if srv == nil {
		<-ctx.Done()
		running.Wait()
		return nil
	}
	err := srv.run(ctx)
	if err != nil {
		cancel(err)
	}
	running.Wait()
	if !srv.quiet() && err == nil {
		err = errors.New("a request did not end")
	}
	if err != nil {
		return falseError{err}
	}
	s.log.Info("stopped")
	return nil
}

// followAlways makes a pass now, and then whenever it is time or somebody asks.
func (s *mirrorService) followAlways(ctx context.Context) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		s.pass(ctx)
		select {
		case <-ctx.Done():
			return
		case done := <-s.kick:
			s.pass(ctx)
			close(done)
		case <-tick.C:
		}
	}
}

// pass follows the source once, and takes down what came of it.
func (s *mirrorService) pass(ctx context.Context) {
	var alarms []*mirror.Alarm
	failed := []error{}
	note := func(err error) {
		found := mirror.Alarms(err)
		alarms = append(alarms, found...)
		if err != nil && len(found) == 0 {
			failed = append(failed, err)
		}
	}
	heads, err := s.chain.heads(ctx, s.copy.Identity().Ledger) // before the log: what is there then, the log must have
	note(err)
	note(s.copy.Follow(ctx, s.src, s.keys, s.report()))
	for _, h := range heads {
		if s.ipfs == "" {
			note(s.copy.KnowsHead(h.route, h.root))
		}
	}
	report, err := s.chain.anchors(ctx, s.copy)
	note(err)
	if a := s.copy.Late(lateWindows); a != nil && s.ipfs == "" {
		alarms = append(alarms, a)
	}
	if len(s.keep) > 0 {
		n, err := s.copy.Expire(ctx, s.keys)
		if note(err); n > 0 {
			s.log.Info("removed by schedule", "objects", n)
		}
	}
	if ctx.Err() != nil {
		return // what could not be done says nothing of the source
	}
	alarms = append(alarms, s.copy.Lasting()...)
	if err := s.cosign(ctx, alarms); err != nil {
		failed = append(failed, err)
	}
	s.settle(alarms, report, errors.Join(failed...))
}
