package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cairn/cmd/cairn/web"
	"cairn/ingest"
	"cairn/ingest/alert"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

const (
	// httpGrace is how long requests may go on after the signal to leave.
	httpGrace = time.Second
	// finalsPoll is how often the store is told what is final.
	finalsPoll = 30 * time.Second
)

func (c *command) runCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "run", Short: "Run the gateway until it is told to stop",
		Long: "Runs the gateway. SIGTERM or an interrupt makes it commit and leave within five seconds, a\n" +
			"second one leave at once. Exit code 1 means that it died and should be started again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			again := &reloader{read: func() (*Config, map[string]string, error) { return readAgain(c.dir, cmd.Flags(), os.Environ()) }}
			cfg, values, err := again.read()
			if err != nil {
				return err
			}
			if check {
				return c.check(cmd.Context(), cfg)
			}
			again.values = values
			return c.run(cmd.Context(), cfg, again)
		},
	}
	for _, o := range options {
		cmd.Flags().String(o.flag(), "", o.help)
	}
	cmd.Flags().BoolVar(&check, "check", false, "check the configuration and the keyring, and do not start")
	return cmd
}

// check opens what can be opened without disturbing a running service.
func (c *command) check(ctx context.Context, cfg *Config) error {
	w, err := c.wrap(ctx, cfg)
	if err != nil {
		return err
	}
	defer forget(w)
	routes, of := 0, wallets{}
	for i := range cfg.Ledgers {
		if err := checkLedger(ctx, cfg, &cfg.Ledgers[i], w, of); err != nil {
			return err
		}
		routes += len(cfg.Ledgers[i].Anchors)
	}
	if err := cfg.checkFiles(); err != nil {
		return err
	}
	what := "keyring"
	if len(cfg.Ledgers) > 1 {
		what = fmt.Sprintf("the keyrings of %d ledgers", len(cfg.Ledgers))
	}
	fmt.Fprintf(c.Out, "configuration and %s are in order: %d routes, %d line sources\n", what, routes, len(cfg.Lines))
	for i := range cfg.Ledgers {
		l := &cfg.Ledgers[i]
		if l.Unlisted {
			fmt.Fprintf(c.Out, "%sit is in the folder, and the configuration does not name it\n", l.prefix())
		}
		if len(l.Anchors) == 0 {
			fmt.Fprintf(c.Out, "%sno route is configured: nothing will be anchored%s\n", l.prefix(), l.unnoticed())
		}
	}
	return nil
}

// checkFiles reads the files that the configuration names, but for keys.
func (c *Config) checkFiles() error {
	token, err := readToken(c.HTTPTokenFile)
	if err == nil {
		_, err = c.readSenders(token)
	}
	var logins []brokerLogin
	if err == nil {
		logins, err = c.readBrokers()
	}
	if err == nil {
		_, err = c.readReceivers(logins)
	}
	if err == nil {
		_, err = c.serverTLS(nil)
	}
	if err == nil && c.Console {
		_, err = web.OpenAccounts(c.path(usersFile), time.Now)
	}
	return err
}

func checkLedger(ctx context.Context, cfg *Config, l *LedgerConfig, w share.Wrap, of wallets) error {
	k, err := openKeyring(cfg, l, w)
	if err != nil {
		return err
	}
	if len(k.Compartments()) == 0 {
		return fmt.Errorf("%sthe keyring has no compartments", l.prefix())
	}
	for i := range l.Anchors {
		if err := checkRoute(ctx, &l.Anchors[i], l.Name, of); err != nil {
			return fmt.Errorf("%sanchors[%d]: %w", l.prefix(), i, err)
		}
	}
	return nil
}

// openFolder opens the folder for one command; ledgers are opened when they are
// asked for.
func (c *command) openFolder(ctx context.Context) (*gateway, error) {
	cfg, err := loadConfig(c.dir, nil, os.Environ())
	if err != nil {
		return nil, err
	}
	if err := ownFolder(cfg.Dir, os.Geteuid()); err != nil {
		return nil, err
	}
	g := &gateway{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	unlock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	var w share.Wrap // asked for once, whatever number of ledgers is opened
	asked := false
	g.release = func() { forget(w); unlock() }
	g.opener = func(ctx context.Context, l *LedgerConfig, readOnly bool) (*openLedger, error) {
		if !asked {
			if w, err = c.wrap(ctx, cfg); err != nil {
				return nil, err
			}
			asked = true
		}
		return g.open(l, w, func(o *store.Options) { o.ReadOnly = readOnly })
	}
	return g, nil
}

// open opens one ledger; with sets options of its store.
func (g *gateway) open(cfg *LedgerConfig, w share.Wrap, with func(*store.Options)) (*openLedger, error) {
	l := &openLedger{g: g, cfg: cfg, log: g.log}
	if g.several() {
		l.log = g.log.With("ledger", cfg.Name)
	}
	var err error
	if l.keyring, err = openKeyring(g.cfg, cfg, w); err != nil {
		return nil, err
	}
	o := store.Options{
		Dir: cfg.path(dataDir), Keyring: l.keyring, Window: g.cfg.Window, Clock: g.cfg.clock,
		MinFree: g.cfg.MinFree, Pad: g.cfg.Pad, HoldSigning: cfg.guards(), Logger: l.log, Seen: l.seenBlocks,
	}
	for i := range cfg.Anchors {
		o.Routes = append(o.Routes, cfg.Anchors[i].Route())
	}
	with(&o)
	if l.store, err = store.Open(o); err != nil {
		return nil, storeHint(err, cfg.Dir)
	}
	return l, nil
}

// service is a gateway that runs, with what only running needs.
type service struct {
	*gateway
	token   string
	senders []ingest.Sender
	brokers []brokerLogin // in the order of the configuration
	told    []alert.Receiver
	tls     *tls.Config // of the HTTP server; nil: none
	sources []ingest.Source
	died    context.CancelCauseFunc
	again   *reloader
}

// run runs the service until ctx ends or it dies.
func (c *command) run(ctx context.Context, cfg *Config, again *reloader) error {
	again.level.Set(logLevel(cfg.LogLevel))
	s := &service{gateway: &gateway{cfg: cfg, log: newLogger(c.Err, cfg.LogFormat, &again.level)}, again: again}
	ctx, s.died = context.WithCancelCause(ctx)
	defer s.died(nil)
	if err := s.openAll(ctx, c); err != nil {
		return err
	}
	clean, err := s.serve(ctx, c)
	if !clean {
		// A request still reads a store. What was acknowledged is on disk.
		s.log.Warn("left without closing the store: a request did not end")
	} else if cerr := s.close(); err == nil {
		err = cerr
	}
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, errSignal) && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err != nil {
		s.log.Error("died", "error", err)
		return falseError{fmt.Errorf("the service died: %w", err)}
	}
	s.log.Info("stopped")
	return nil
}

// openAll opens all that the service needs of its folder. A command that is at
// work there has a moment to end.
func (s *service) openAll(ctx context.Context, c *command) (err error) {
	if s.token, err = readToken(s.cfg.HTTPTokenFile); err != nil {
		return err
	}
	if s.senders, err = s.cfg.readSenders(s.token); err != nil {
		return err
	}
	if s.brokers, err = s.cfg.readBrokers(); err != nil {
		return err
	}
	if s.told, err = s.cfg.readReceivers(s.brokers); err != nil {
		return err
	}
	if s.tls, err = s.cfg.serverTLS(s.log); err != nil {
		return err
	}
	if s.release, err = lockFolderSoon(ctx, s.cfg.Dir); err != nil {
		return err
	}
	if err = removeSnapshots(s.cfg.Dir); err == nil {
		err = s.openLedgers(ctx, c)
	}
	if err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

func (s *service) openLedgers(ctx context.Context, c *command) error {
	w, err := c.wrap(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer clear(w.Passphrase)
	for i := range s.cfg.Ledgers {
		cfg := &s.cfg.Ledgers[i]
		l, err := s.open(cfg, w, func(o *store.Options) { o.Events = func(e store.Event) { s.storeEvent(cfg, e) } })
		if err != nil {
			return fmt.Errorf("%s%w", cfg.prefix(), err)
		}
		for _, other := range s.ledgers {
			if other.store.Ledger() == l.store.Ledger() {
				err = fmt.Errorf("the ledgers %s and %s have one and the same key: one folder is a copy of the other, move it away", other.cfg.Name, cfg.Name)
			}
		}
		s.ledgers = append(s.ledgers, l)
		if err != nil {
			return err
		}
	}
	return nil
}

// storeEvent is told by the store of a ledger, also before it is open.
func (s *service) storeEvent(cfg *LedgerConfig, e store.Event) {
	log := s.log
	if s.several() {
		log = log.With("ledger", cfg.Name)
	}
	switch e.Kind {
	case "dead":
		s.died(fmt.Errorf("%sthe store stopped: %s", cfg.prefix(), e.Detail))
	case "window", "sealed":
		log.Debug(e.Kind, "detail", e.Detail)
	default:
		log.Warn("store", "event", e.Kind, "device", e.Device, "detail", e.Detail)
	}
}

// seenBlocks are the newest blocks of the routes, for a window that opens.
func (l *openLedger) seenBlocks() []ledger.Seen {
	routes := l.seen.Load()
	if routes == nil {
		return nil
	}
	var all []ledger.Seen
	for _, r := range *routes {
		if b, ok := r.Seen(); ok {
			all = append(all, ledger.Seen{Route: r.Status().Route, Height: b.Height, Hash: b.Hash, Time: b.Time})
		}
	}
	return all
}

// serve runs everything on top of the open store. clean says that nothing uses
// a store any more.
func (s *service) serve(ctx context.Context, c *command) (clean bool, err error) {
	v := &live{started: time.Now(), registry: ingest.NewRegistry(), reload: s.reload}
	s.live = v
	if err := s.makeRoutes(ctx); err != nil {
		return true, err
	}
	if err := s.makeSources(c); err != nil {
		return true, err
	}
	if v.alerting, err = newAlerting(s.gateway, s.told); err != nil {
		return true, err
	}
	if v.console, err = newConsole(s.gateway, s.log); err != nil {
		return true, err
	}
	cfg := ingest.Config{Registry: v.registry, Committer: newCommitter(s.ledgers), Events: s.intakeEvent, Recorded: s.recorded()}
	if v.intake, err = ingest.New(cfg); err != nil {
		return true, err
	}
	if err := s.syncRegistry(); err != nil {
		return true, err
	}
	if v.alerting != nil {
		if err := v.alerting.begin(ctx); err != nil {
			return true, fmt.Errorf("alerts: %w", err)
		}
	}
	servers, err := s.listen()
	if err != nil {
		return true, err
	}
	group, ctx := errgroup.WithContext(ctx)
	var ended atomic.Bool
	v.ended = ended.Load
	group.Go(func() error {
		err := v.intake.Run(ctx, s.sources...)
		ended.Store(true)
		return err
	})
	if v.alerting != nil {
		group.Go(func() error { v.alerting.run(ctx); return nil })
	}
	if v.console != nil {
		group.Go(func() error { v.console.run(ctx); return nil })
	}
	for _, l := range s.ledgers {
		for _, r := range l.routes {
			group.Go(func() error { return r.Run(ctx) })
		}
		group.Go(func() error { l.follow(ctx); return nil })
		group.Go(func() error { l.askWitnesses(ctx); return nil })
		group.Go(func() error { l.keepEscrow(ctx); return nil })
		group.Go(func() error { l.keepDropping(ctx); return nil })
		group.Go(func() error { l.published.run(ctx); return nil })
		for i, p := range l.places {
			group.Go(func() error { return l.nameSuccessor(ctx, p, l.cfg.Anchors[i].Poll) })
		}
	}
	for _, srv := range servers {
		group.Go(func() error { return srv.run(ctx) })
	}
	s.tellRunning()
	group.Go(func() error { s.followState(ctx); return nil })
	err = group.Wait()
	clean = true
	for _, srv := range servers {
		clean = srv.quiet() && clean
	}
	return clean, err
}

// makeRoutes makes all ledgers' routes. That no two share a wallet is known before
// any ledger says where it is anchored: what it said stays.
func (s *service) makeRoutes(ctx context.Context) error {
	for _, l := range s.ledgers {
		if err := l.dialPlaces(ctx); err != nil {
			return err
		}
	}
	if err := s.ownWallets(); err != nil {
		return err
	}
	for _, l := range s.ledgers {
		if err := l.makeWitnesses(); err != nil {
			return err
		}
		if err := l.makeRoutes(ctx); err != nil {
			return err
		}
		if err := l.makePublisher(); err != nil {
			return err
		}
	}
	return nil
}

// tellRunning logs what runs, a line for each ledger.
func (s *service) tellRunning() {
	for i, l := range s.ledgers {
		if i > 0 {
			s.log.Info("ledger", "name", l.cfg.Name, "ledger", l.store.Ledger().String(), "routes", len(l.routes))
		}
		if l.cfg.Unlisted {
			l.log.Error("the configuration does not name this ledger: it has no rule and no route")
		} else if len(l.routes) == 0 {
			l.log.Warn("no route is configured: nothing is anchored" + l.cfg.unnoticed())
		}
	}
	site, v := s.ledgers[0], s.live
	s.log.Info("running", "ledger", site.store.Ledger().String(), "window", s.cfg.Window.String(), "sources", v.sources, "http", v.http,
		"devices", v.registry.Len(), "routes", len(site.routes))
	if v.console == nil {
		return
	}
	if a, err := s.accounts(); err == nil && len(a.Users()) == 0 {
		s.log.Info("nobody may log in to the console yet: cairn user add NAME --role admin")
	}
}

// makeSources opens the sockets, so that a start fails while someone looks.
func (s *service) makeSources(c *command) error {
	if s.cfg.UDPListen != "" {
		rate := s.cfg.UDPRate
		if rate == 0 {
			rate = -1 // no limit
		}
		u, err := ingest.ListenUDP(ingest.UDPConfig{Addr: s.cfg.UDPListen, SourceRate: rate, ReceiveBuffer: s.cfg.UDPReceiveBuffer})
		if err != nil {
			return err
		}
		if got := u.Buffer(); got > 0 && got < s.cfg.UDPReceiveBuffer {
			s.log.Warn("the kernel gave a smaller receive buffer: raise net.core.rmem_max", "bytes", got, "asked", s.cfg.UDPReceiveBuffer)
		}
		s.sources = append(s.sources, u)
		s.live.sources = append(s.live.sources, "udp "+u.Addr().String())
	}
	if err := s.makeSenders(); err != nil {
		return err
	}
	if err := s.makeBrokers(); err != nil {
		return err
	}
	for i, l := range s.cfg.Lines {
		hub, err := s.hubNumber(&l)
		if err != nil {
			return err
		}
		src, err := ingest.NewLines(ingest.LinesConfig{
			Name: fmt.Sprintf("lines%d", i), Path: l.Path, Stdin: c.In, Baud: l.Baud, Hub: hub, Answer: l.Answer,
		})
		if err != nil {
			return err
		}
		s.sources = append(s.sources, src)
		s.live.sources = append(s.live.sources, "lines "+l.Path)
	}
	return nil
}

// hubNumber is intake's number of the hub's own device, 0 for none.
func (s *service) hubNumber(l *LinesConfig) (uint32, error) {
	if l.HubDevice == 0 {
		return 0, nil
	}
	for i := range s.ledgers {
		if s.ledgers[i].cfg.Name == l.HubLedger {
			return joinNumber(i, l.HubDevice)
		}
	}
	return 0, fmt.Errorf("lines: hub_device: no ledger %s", l.HubLedger)
}

// recorded returns what is told of each reading; nil if nobody wants to know.
func (s *service) recorded() func(ingest.Recorded) {
	rules, c := len(s.cfg.Alerts) > 0, s.live.console
	switch {
	case rules && c != nil:
		return func(r ingest.Recorded) { s.live.alerting.recorded(r); c.recorded(r) }
	case rules:
		return s.live.alerting.recorded
	case c != nil:
		return c.recorded
	}
	return nil
}

func (s *service) intakeEvent(e ingest.Event) {
	s.live.down.note(e)
	if s.live.alerting != nil {
		s.live.alerting.event(e)
	}
	log := s.log
	index, number := splitNumber(e.Device)
	if s.several() && number > 0 && index < len(s.ledgers) {
		log = s.ledgers[index].log
	}
	log.Warn("intake", "event", string(e.Kind), "device", number, "source", e.Source, "count", e.Count, "detail", e.Detail)
}

// listener is one HTTP server on one socket.
type listener struct {
	server *http.Server
	on     net.Listener
	active *sync.WaitGroup
}

func (s *service) listen() ([]*listener, error) {
	var all []*listener
	control := &controlServer{g: s.gateway, log: s.log}
	on, err := listenControl(s.cfg.path(socketFile))
	if err != nil {
		return nil, err
	}
	all = append(all, &listener{newServer(control), on, &control.active})
	all[0].server.WriteTimeout = 0 // operations take as long as they take, and their owner waits
	if s.cfg.HTTPListen == "" {
		return all, nil
	}
	public := newHTTPServer(s.gateway, s.token)
	if on, err = net.Listen("tcp", s.cfg.HTTPListen); err != nil {
		all[0].on.Close()
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	s.live.http = on.Addr().String()
	if s.tls != nil {
		on = tls.NewListener(on, s.tls)
	}
	server := newServer(public)
	if c := s.live.console; c != nil {
		server.RegisterOnShutdown(c.server.Close)
	}
	return append(all, &listener{server, on, &public.active}), nil
}

// run serves until ctx ends.
func (l *listener) run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.server.BaseContext = func(net.Listener) context.Context { return base }
	stop := context.AfterFunc(ctx, func() {
		grace, done := context.WithTimeout(context.Background(), httpGrace)
		defer done()
		if l.server.Shutdown(grace) != nil {
			cancel()
			l.server.Close()
		}
	})
	defer stop()
	err := l.server.Serve(l.on)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", l.on.Addr(), err)
}

// quiet waits a moment for requests to end, and reports whether they did.
func (l *listener) quiet() bool {
	done := make(chan struct{})
	go func() { l.active.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(2 * httpGrace):
		return false
	}
}
