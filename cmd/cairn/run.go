package main

import (
	"context"
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

	"cairn/anchor"
	"cairn/anchor/ethereum"
	"cairn/ingest"
	"cairn/merkle/ledger"
	"cairn/store"
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
			cfg, err := loadConfig(c.dir, cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if check {
				return c.check(cmd.Context(), cfg)
			}
			return c.run(cmd.Context(), cfg)
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
	k, err := c.openKeyring(ctx, cfg)
	if err != nil {
		return err
	}
	if _, err := readToken(cfg.HTTPTokenFile); err != nil {
		return err
	}
	for i := range cfg.Anchors {
		a := &cfg.Anchors[i]
		e, err := ethereumConfig(a)
		if err != nil {
			return fmt.Errorf("anchors[%d]: %w", i, err)
		}
		if e.Keystore == "" {
			continue
		}
		if _, err := ethereum.CheckKeystore(e.Keystore, e.Passphrase); err != nil {
			return fmt.Errorf("anchors[%d]: %w", i, err)
		}
	}
	fmt.Fprintf(c.Out, "configuration and keyring are in order: %d routes, %d line sources\n", len(cfg.Anchors), len(cfg.Lines))
	if len(cfg.Anchors) == 0 {
		fmt.Fprintln(c.Out, "no route is configured: nothing will be anchored, and a rollback goes unnoticed")
	}
	if len(k.Compartments()) == 0 {
		return errors.New("the keyring has no compartments")
	}
	return nil
}

// openFolder opens the folder for one command.
func (c *command) openFolder(ctx context.Context, readOnly bool) (*gateway, error) {
	cfg, err := loadConfig(c.dir, nil, os.Environ())
	if err != nil {
		return nil, err
	}
	g := &gateway{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	if readOnly && g.unborn() {
		return nil, fmt.Errorf("the gateway in %s has no data yet: add a device, or start it with `cairn run`", cfg.Dir)
	}
	if g.release, err = lockFolder(cfg.Dir); err != nil {
		return nil, err
	}
	if g.keyring, err = c.openKeyring(ctx, cfg); err == nil {
		o := g.storeOptions()
		o.ReadOnly = readOnly
		g.store, err = store.Open(o)
	}
	if err != nil {
		g.release()
		return nil, storeHint(err, cfg.Dir)
	}
	return g, nil
}

// unborn reports whether the ledger was never started.
func (g *gateway) unborn() bool {
	entries, err := os.ReadDir(g.cfg.path(dataDir))
	return err == nil && len(entries) == 0
}

func (g *gateway) storeOptions() store.Options {
	o := store.Options{
		Dir: g.cfg.path(dataDir), Keyring: g.keyring, Window: g.cfg.Window, Clock: clockState,
		MinFree: g.cfg.MinFree, HoldSigning: len(g.cfg.Anchors) > 0, Logger: g.log,
	}
	for i := range g.cfg.Anchors {
		o.Routes = append(o.Routes, g.cfg.Anchors[i].Route())
	}
	return o
}

// service is a gateway that runs, with what only running needs.
type service struct {
	*gateway
	token   string
	sources []ingest.Source
	chains  []*ethereum.Chain
	seen    atomic.Pointer[[]*anchor.Route] // for the store, which is open before there are routes
	guard   guard
	died    context.CancelCauseFunc
}

// run runs the service until ctx ends or it dies.
func (c *command) run(ctx context.Context, cfg *Config) error {
	s := &service{gateway: &gateway{cfg: cfg, log: newLogger(c.Err, cfg.LogFormat, cfg.LogLevel)}}
	ctx, s.died = context.WithCancelCause(ctx)
	defer s.died(nil)
	if err := s.open(ctx, c); err != nil {
		return err
	}
	clean, err := s.serve(ctx, c)
	for _, chain := range s.chains {
		chain.Close()
	}
	if !clean {
		// A request still reads the store. What was acknowledged is on disk.
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

// open opens all that the service needs of its folder. A command that is at
// work there has a moment to end.
func (s *service) open(ctx context.Context, c *command) (err error) {
	if s.token, err = readToken(s.cfg.HTTPTokenFile); err != nil {
		return err
	}
	if err := patiently(ctx, func() (err error) { s.release, err = lockFolder(s.cfg.Dir); return err }); err != nil {
		return err
	}
	if s.keyring, err = c.openKeyring(ctx, s.cfg); err == nil {
		err = s.openStore()
	}
	if err != nil {
		s.release()
	}
	return err
}

func (s *service) openStore() (err error) {
	o := s.storeOptions()
	o.Seen = s.seenBlocks
	o.Events = func(e store.Event) {
		switch e.Kind {
		case "dead":
			s.died(fmt.Errorf("the store stopped: %s", e.Detail))
		case "window", "sealed":
			s.log.Debug(e.Kind, "detail", e.Detail)
		default:
			s.log.Warn("store", "event", e.Kind, "device", e.Device, "detail", e.Detail)
		}
	}
	if s.store, err = store.Open(o); err != nil {
		return storeHint(err, s.cfg.Dir)
	}
	return nil
}

// seenBlocks are the newest blocks of the routes, for a window that opens.
func (s *service) seenBlocks() []ledger.Seen {
	routes := s.seen.Load()
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
// the store any more.
func (s *service) serve(ctx context.Context, c *command) (clean bool, err error) {
	l := &live{started: time.Now(), registry: ingest.NewRegistry()}
	s.live = l
	if err := s.makeRoutes(ctx); err != nil {
		return true, err
	}
	if err := s.makeSources(c); err != nil {
		return true, err
	}
	l.intake, err = ingest.New(ingest.Config{Registry: l.registry, Committer: committer{s.store}, Events: s.intakeEvent})
	if err != nil {
		return true, err
	}
	if err := s.syncRegistry(); err != nil {
		return true, err
	}
	servers, err := s.listen()
	if err != nil {
		return true, err
	}
	group, ctx := errgroup.WithContext(ctx)
	var ended atomic.Bool
	l.ended = ended.Load
	group.Go(func() error {
		err := l.intake.Run(ctx, s.sources...)
		ended.Store(true)
		return err
	})
	for _, r := range l.routes {
		group.Go(func() error { return r.Run(ctx) })
	}
	group.Go(func() error { s.follow(ctx); return nil })
	for _, srv := range servers {
		group.Go(func() error { return srv.run(ctx) })
	}
	s.log.Info("running", "ledger", s.store.Ledger().String(), "window", s.cfg.Window.String(), "sources", l.sources, "http", l.http,
		"devices", l.registry.Len(), "routes", len(l.routes))
	if len(l.routes) == 0 {
		s.log.Warn("no route is configured: nothing is anchored, and a rollback goes unnoticed")
	}
	err = group.Wait()
	clean = true
	for _, srv := range servers {
		clean = srv.quiet() && clean
	}
	return clean, err
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
	for i, l := range s.cfg.Lines {
		src, err := ingest.NewLines(ingest.LinesConfig{
			Name: fmt.Sprintf("lines%d", i), Path: l.Path, Stdin: c.In, Baud: l.Baud, Hub: l.HubDevice, Answer: l.Answer,
		})
		if err != nil {
			return err
		}
		s.sources = append(s.sources, src)
		s.live.sources = append(s.live.sources, "lines "+l.Path)
	}
	return nil
}

func (s *service) intakeEvent(e ingest.Event) {
	s.live.down.note(e)
	s.log.Warn("intake", "event", string(e.Kind), "device", e.Device, "source", e.Source, "count", e.Count, "detail", e.Detail)
}

// committer is the store as intake sees it.
type committer struct{ store *store.Store }

// Submit implements ingest.Committer.
func (c committer) Submit(ctx context.Context, a []ingest.Arrival) error {
	out := make([]store.Arrival, len(a))
	for i := range a {
		out[i] = store.Arrival(a[i])
	}
	return c.store.Submit(ctx, out)
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
	if s.cfg.HTTPListen == "" {
		return all, nil
	}
	web := newHTTPServer(s.gateway, s.token)
	if on, err = net.Listen("tcp", s.cfg.HTTPListen); err != nil {
		all[0].on.Close()
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	s.live.http = on.Addr().String()
	return append(all, &listener{newServer(web), on, &web.active}), nil
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
