package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"cairn/anchor"
	"cairn/anchor/ethereum"
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
	chains []*ethereum.Chain
	seen   atomic.Pointer[[]*anchor.Route] // routes, for the store, which is open before there are any
	guard  guard
}

// where names the ledger in messages, if there are several.
func (l *openLedger) where() string {
	if !l.g.several() {
		return ""
	}
	return " in the ledger " + l.cfg.Name
}

// close closes the store, and the routes' connections.
func (l *openLedger) close() error {
	for _, c := range l.chains {
		c.Close()
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
// routes, or, when no service runs, the journals of the routes that the ledger
// names.
func (l *openLedger) routesOf() ([]namedRoute, error) {
	var all []namedRoute
	for _, r := range l.routes {
		all = append(all, namedRoute{r.Status().Route, r})
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return nil, err
	}
	for _, s := range stated {
		if known(all, s.name) {
			continue
		}
		r, err := anchor.New(anchor.Config{Chain: journalOnly{name: s.name}, Source: head{l.store}, Journal: l.store.Journal(s.name)})
		if err != nil {
			return nil, err
		}
		all = append(all, namedRoute{s.name, r})
	}
	return all, nil
}

type namedRoute struct {
	name string
	*anchor.Route
}

func known(all []namedRoute, name string) bool {
	for _, r := range all {
		if r.name == name {
			return true
		}
	}
	return false
}

// journalOnly stands for the chain of a route that is looked up and never run.
type journalOnly struct {
	anchor.Chain
	name string
}

func (j journalOnly) Name() string { return j.name }

// statedRoute is one route statement of the ledger.
type statedRoute struct {
	number           uint64 // of the statement
	name             string
	chain            uint64
	contract, sender [20]byte
	code             [32]byte
}

// statedRoutes reads the ledger's route statements, oldest first.
func (l *openLedger) statedRoutes() ([]statedRoute, error) {
	var all []statedRoute
	size := l.store.Statements()
	for n := range size {
		item, _, _, err := l.store.StatementAt(n, size)
		if err != nil {
			return nil, fmt.Errorf("read statement %d: %w", n, err)
		}
		s, err := ledger.ParseStatement(item)
		if err != nil {
			return nil, fmt.Errorf("read statement %d: %w", n, err)
		}
		if s.Kind != ledger.KindRoute {
			continue
		}
		r := statedRoute{number: n}
		r.name, _ = s.Text("route")
		r.chain, _ = s.Uint("chain-id")
		for _, part := range []struct {
			key string
			to  []byte
		}{{"contract", r.contract[:]}, {"sender", r.sender[:]}, {"code-hash", r.code[:]}} {
			b, _ := s.Bytes(part.key)
			copy(part.to, b)
		}
		all = append(all, r)
	}
	return all, nil
}

// head is the ledger as routes see it.
type head struct{ store *store.Store }

// Head implements anchor.Source.
func (h head) Head() (size uint64, root merkle.Hash, note []byte, ok bool) {
	note, size, ok = h.store.Checkpoint()
	if !ok {
		return 0, root, nil, false
	}
	c, err := merkle.OpenCheckpoint(note, h.store.Origin(), h.store.LogKey())
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
