package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"cairn/ingest"
	"cairn/store"
)

// gateway is one site: what the running service and the operator's commands
// both work on.
type gateway struct {
	cfg *Config
	log *slog.Logger
	// ledgers are those that are open: in a running service all of them, in the
	// order of the configuration and the same until its end; for a command those
	// that it asked for.
	ledgers []*openLedger
	opener  opener // nil in a running service
	live    *live  // nil unless the service runs

	users   users
	binding sync.Mutex // held while devices are changed: an ID is open in one ledger only
	release func()     // the folder's lock
}

// opener opens one ledger for a command.
type opener func(ctx context.Context, cfg *LedgerConfig, readOnly bool) (*openLedger, error)

// several reports whether there are other ledgers than the default one.
func (g *gateway) several() bool { return len(g.cfg.Ledgers) > 1 }

// on returns the ledger with a name, "" for the default one. A command may
// change it if it says so when it first asks for it.
func (g *gateway) on(ctx context.Context, name string, writes bool) (*openLedger, error) {
	cfg, err := g.cfg.ledger(name)
	if err != nil {
		return nil, err
	}
	if l := g.opened(cfg); l != nil {
		return l, nil
	}
	if !writes && cfg.unborn() {
		return nil, noData(cfg.Dir)
	}
	l, err := g.opener(ctx, cfg, !writes)
	if err != nil {
		return nil, storeHint(err, cfg.Dir)
	}
	g.ledgers = append(g.ledgers, l)
	return l, nil
}

func (g *gateway) opened(cfg *LedgerConfig) *openLedger {
	for _, l := range g.ledgers {
		if l.cfg == cfg {
			return l
		}
	}
	return nil
}

// errNoData says that a gateway was made and never used.
var errNoData = errors.New("has no data yet: add a device, or start it with `cairn run`")

func noData(dir string) error { return fmt.Errorf("the gateway in %s %w", dir, errNoData) }

// all returns all ledgers that were ever started, in the order of the
// configuration.
func (g *gateway) all(ctx context.Context) ([]*openLedger, error) { return g.every(ctx, false) }

// every is all, for changing them or for reading alone.
func (g *gateway) every(ctx context.Context, writes bool) ([]*openLedger, error) {
	if g.opener == nil {
		return g.ledgers, nil
	}
	var all []*openLedger
	for i := range g.cfg.Ledgers {
		cfg := &g.cfg.Ledgers[i]
		if cfg.unborn() && g.opened(cfg) == nil {
			continue
		}
		l, err := g.on(ctx, cfg.Name, writes)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, noData(g.cfg.Dir)
	}
	return all, nil
}

// some returns the named ledger, or all of them for "".
func (g *gateway) some(ctx context.Context, name string) ([]*openLedger, error) {
	if name == "" {
		return g.all(ctx)
	}
	l, err := g.on(ctx, name, false)
	return []*openLedger{l}, err
}

// close closes the stores, all at once, and gives the folder back.
func (g *gateway) close() error {
	defer g.release()
	errs := make([]error, len(g.ledgers))
	var closing sync.WaitGroup
	for i, l := range g.ledgers {
		closing.Go(func() { errs[i] = l.close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// live is what only a running service has.
type live struct {
	started  time.Time
	registry *ingest.Registry
	intake   *ingest.Intake
	sources  []string
	posted   *ingest.HTTP // nil: nobody may post
	http     string       // address that the HTTP server listens on; "": none
	ended    func() bool  // every source has ended
	down     downSources
	twice    twice
	alerting *alerting // nil: there is no rule and no receiver
	reload   func() (reloadAnswer, error)
	console  *console // nil: none is served
}

// operations are what the control socket offers.
var operations map[string]operation

func init() { // the operations' methods refer to the map through ask
	operations = map[string]operation{
		"reload":           asksAll(true, (*gateway).reload),
		"status":           asksAll(false, (*gateway).status),
		"devices":          asksAll(false, (*gateway).devices),
		"device/add":       asksAll(true, (*gateway).addDevice),
		"device/seen":      asksAll(false, (*gateway).strangers),
		"device/import":    asksAll(true, (*gateway).importDevices),
		"device/rotate":    asks(true, (*openLedger).rotateDevice),
		"device/remove":    asks(true, (*openLedger).removeDevice),
		"device/move":      asks(true, (*openLedger).moveDevice),
		"device/replace":   asks(true, (*openLedger).replaceDevice),
		"device/retire":    asks(true, (*openLedger).retireDevice),
		"device/calibrate": asks(true, (*openLedger).calibrateDevice),
		"device/attach":    asks(true, (*openLedger).attachToDevice),
		"device/history":   asks(false, (*openLedger).deviceHistory),
		"snapshot":         {writes: true, run: snapshotOperation},
		"import":           asks(true, (*openLedger).importLate),
		"import/close":     asks(true, (*openLedger).closeLate),
		"prove":            asksLong((*openLedger).prove),
		"trend":            asks(false, (*openLedger).trend),
		"receipt":          asks(false, (*openLedger).receipt),
		"query":            asks(false, (*openLedger).query),
		"readings":         asks(false, (*openLedger).readings),
		"policy":           asks(false, (*openLedger).policy),
		"export":           asks(false, (*openLedger).export),
		"export/update":    asks(false, (*openLedger).update),
		"key/rotate":       asks(true, (*openLedger).rotateKey),
		"fsck":             {run: fsckOperation},
		"ledgers":          asksAll(false, (*gateway).listLedgers),
		"compartments":     asksAll(false, (*gateway).listCompartments),
		"grants":           asksAll(false, (*gateway).listGrants),
		"grant/add":        asks(true, (*openLedger).addGrant),
		"grant/end":        asks(true, (*openLedger).endGrant),
		"grant/renew":      asks(true, (*openLedger).renewGrant),
		"grant/show":       asks(false, (*openLedger).showGrant),
		"grant/bundle":     asks(false, (*openLedger).bundleOf),
		"ipfs/list":        asks(false, (*openLedger).listIPFS),

		"escrow/holders":    asks(false, (*openLedger).listHolders),
		"escrow/holder/add": asks(true, (*openLedger).addHolder),
		"escrow/holder/end": asks(true, (*openLedger).endHolder),
		"escrow/make":       asks(true, (*openLedger).makeEscrow),
		"escrow/list":       asks(false, (*openLedger).listEscrow),
		"escrow/confirm":    asks(true, (*openLedger).confirmDestroyed),
		"shred":             asks(false, (*openLedger).previewShred),
		"shred/do":          asks(true, (*openLedger).planShred),
		"drop":              asksLong((*openLedger).drop),
		"shreds":            asks(false, (*openLedger).listShreds),

		"users":         asksAll(false, (*gateway).listUsers),
		"user/add":      asksAll(true, (*gateway).addUser),
		"user/password": asksAll(true, (*gateway).setPassword),
		"user/remove":   asksAll(true, (*gateway).removeUser),
		"tokens":        asksAll(false, (*gateway).listTokens),
		"token/add":     asksAll(true, (*gateway).addToken),
		"token/revoke":  asksAll(true, (*gateway).revokeToken),

		"alerts":       asksAll(false, (*gateway).listAlerts),
		"alert/ack":    asks(true, (*openLedger).acknowledge),
		"alert/mute":   asks(true, (*openLedger).muteAlerts),
		"alert/unmute": asks(true, (*openLedger).unmuteAlerts),
		"alert/test":   asksAll(false, (*gateway).testReceiver),
	}
}

// nothing is a request or an answer without content.
type nothing struct{}

// errInUse says that another process has the folder open. It may pass.
var errInUse = errors.New("another cairn uses this folder at this moment")

// storeHint adds to an error what the operator can do.
func storeHint(err error, dir string) error {
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%s: %w", dir, errInUse)
	case errors.Is(err, store.ErrOtherKeyring):
		return fmt.Errorf("%w: put back the keyring that %s was made with", err, dir)
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%w: keep a copy of %s, then try `cairn fsck`", err, dir)
	}
	return err
}
