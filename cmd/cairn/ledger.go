package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"cairn/anchor"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// openLedger is one ledger of the gateway with its store open. What only a
// running service has stands at its end.
type openLedger struct {
	g       *gateway
	lane    *lane // from intake to the store, in a running service
	cfg     *LedgerConfig
	log     *slog.Logger // names the ledger where there are several
	keyring *share.Keyring
	store   *store.Store

	routes []*anchor.Route
	places []*place                        // of the routes, in order
	seen   atomic.Pointer[[]*anchor.Route] // routes, for the store, which is open before there are any
	guard  guard
	shared sharing
	alerts alertBook
	watch  sharingWatch

	sources   []*routeSource // of the routes, in order
	witnesses []*asked
	cosigned  *cosigned  // nil if there are no witnesses
	published *publisher // nil if nothing is published on IPFS
	escrow    escrowKeeper
	imports   imports
}

// logKey is the verifier key of the log, as witnesses need it.
func (l *openLedger) logKey() string { return merkle.VerifierKey(l.store.Origin(), l.store.LogKey()) }

// where names the ledger in messages, if there are several.
func (l *openLedger) where() string {
	if !l.g.several() {
		return ""
	}
	return " in the ledger " + l.cfg.Name
}

// close closes the store, and the routes' connections.
func (l *openLedger) close() error {
	for _, p := range l.places {
		p.shut()
	}
	if err := l.store.Close(); err != nil {
		return fmt.Errorf("close the store%s: %w", l.where(), err)
	}
	return nil
}

// findDevice finds a binding by number, ID or name. An ID or a name must fit
// one open binding; if it fits none, with ended it may fit one that ended.
func (l *openLedger) findDevice(text string, ended bool) (ledger.Binding, error) {
	var open, closed []ledger.Binding
	number, err := strconv.ParseUint(text, 10, 32)
	isNumber := err == nil
	for _, b := range l.store.Devices() {
		switch {
		case isNumber && uint64(b.Number) == number && (ended || !b.Closed):
			return b, nil
		case b.Device() != text && (b.Name != text || text == ""):
		case b.Closed:
			closed = append(closed, b)
		default:
			open = append(open, b)
		}
	}
	if len(open) == 0 && ended {
		open = closed
	}
	switch len(open) {
	case 0:
		return ledger.Binding{}, fmt.Errorf("no device %q%s: `cairn device list` shows them", text, l.where())
	case 1:
		return open[0], nil
	}
	return ledger.Binding{}, fmt.Errorf("%d devices%s fit %q: name one by its number, from `cairn device list`", len(open), l.where(), text)
}

// routesOf returns what the anchors of the ledger are found by: the running
// routes, and the journals of those places that the ledger names and that do not
// run.
func (l *openLedger) routesOf() ([]namedRoute, error) {
	var all []namedRoute
	runs := map[string]bool{}
	for i, r := range l.routes {
		all = append(all, namedRoute{l.places[i].chain.Name(), r})
		runs[l.places[i].journal] = true
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return nil, err
	}
	for _, name := range routeNames(stated) {
		for n := range distinct(stated, name) {
			journal := journalName(name, n)
			if runs[journal] {
				continue
			}
			r, err := anchor.New(anchor.Config{Chain: journalOnly{name: name}, Source: head{l.store}, Journal: l.store.Journal(journal)})
			if err != nil {
				return nil, err
			}
			all = append(all, namedRoute{name, r})
		}
	}
	return all, nil
}

// namedRoute is a route with its name in the ledger. Two have one name if the
// ledger changed its place on that chain.
type namedRoute struct {
	name string
	*anchor.Route
}

// journalOnly stands for the chain of a route that is looked up and never run.
type journalOnly struct {
	anchor.Chain
	name string
}

func (j journalOnly) Name() string { return j.name }

// head is the ledger as routes see it.
type head struct{ store *store.Store }

// Head implements anchor.Source.
func (h head) Head() (size uint64, root merkle.Hash, note []byte, ok bool) {
	note, size, ok = h.store.Checkpoint()
	if !ok {
		return 0, root, nil, false
	}
	c, err := h.store.OpenCheckpoint(note)
	if err != nil {
		return 0, root, nil, false
	}
	return size, c.Root, note, true
}

// FindRoot implements anchor.Source.
func (h head) FindRoot(root merkle.Hash) (uint64, bool, error) { return h.store.FindRoot(root) }

// WindowStart implements anchor.Source.
func (h head) WindowStart(index uint64) (int64, bool) {
	item, err := h.store.Header(index)
	if err != nil {
		return 0, false
	}
	header, err := ledger.ParseHeader(item)
	return header.From, err == nil
}
