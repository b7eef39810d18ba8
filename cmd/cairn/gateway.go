package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"syscall"
	"time"
	"unicode"

	"cairn/anchor"
	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// gateway is one site: what the running service and the operator's commands
// both work on.
type gateway struct {
	cfg     *Config
	log     *slog.Logger
	keyring *share.Keyring
	store   *store.Store
	live    *live // nil unless the service runs

	release func() // the folder's lock
}

// close closes the store and gives the folder back.
func (g *gateway) close() error {
	defer g.release()
	if g.store == nil {
		return nil
	}
	if err := g.store.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

// live is what only a running service has.
type live struct {
	started  time.Time
	registry *ingest.Registry
	intake   *ingest.Intake
	sources  []string
	http     string      // address that the HTTP server listens on; "": none
	ended    func() bool // every source has ended
	routes   []*anchor.Route
	down     downSources
}

// operations are what the control socket offers.
var operations map[string]operation

func init() { // the operations' methods refer to the map through ask
	operations = map[string]operation{
		"status":        asks(false, (*gateway).status),
		"devices":       asks(false, (*gateway).devices),
		"device/add":    asks(true, (*gateway).addDevice),
		"device/rotate": asks(true, (*gateway).rotateDevice),
		"device/remove": asks(true, (*gateway).removeDevice),
		"prove":         asks(false, (*gateway).prove),
		"query":         asks(false, (*gateway).query),
		"policy":        asks(false, (*gateway).policy),
		"fsck":          {run: fsckOperation},
	}
}

// nothing is a request or an answer without content.
type nothing struct{}

// deviceRow is one binding as lists show it.
type deviceRow struct {
	Number uint32 `json:"number"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Slot   uint64 `json:"slot"`
	Epoch  uint32 `json:"epoch"`
	Floor  string `json:"counterFloor"`
	From   string `json:"from"`
	Until  string `json:"until,omitempty"` // there when the binding has ended
}

func rowOf(b ledger.Binding) deviceRow {
	r := deviceRow{
		Number: b.Number, ID: b.Device(), Name: b.Name, Kind: b.Kind, Slot: b.Slot, Epoch: b.Epoch,
		Floor: frame.Counter(b.Floor).String(), From: timeText(b.From),
	}
	if b.Closed {
		r.Until = timeText(b.Until)
	}
	return r
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

func (g *gateway) devices(context.Context, nothing) ([]deviceRow, error) {
	rows := []deviceRow{}
	for _, b := range g.store.Devices() {
		rows = append(rows, rowOf(b))
	}
	return rows, nil
}

// deviceRequest adds a device or gives it another key. Keys travel as text
// because frame.Key refuses to be written.
type deviceRequest struct {
	Device string `json:"device,omitempty"` // rotate and remove: number, ID or name
	ID     string `json:"id,omitempty"`
	Name   string `json:"name,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Floor  string `json:"floor,omitempty"` // 12 hex digits
	Key    string `json:"key,omitempty"`   // 32 hex digits
}

func (q *deviceRequest) key() (*frame.Key, error) {
	if q.Key == "" {
		return nil, nil
	}
	k, err := frame.ParseKey(q.Key)
	return &k, err
}

func (q *deviceRequest) floor() (frame.Counter, error) {
	if q.Floor == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(q.Floor, 16, 64)
	if err != nil || len(q.Floor) != 12 {
		return 0, fmt.Errorf("counter floor %.20q is not 12 hex digits", q.Floor)
	}
	return frame.Counter(n), nil
}

// checkName refuses names that lists would show as something else, and those
// that commands take for a device's number.
func checkName(name string) error {
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("name %.40q: only printable characters, please", name)
		}
	}
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return fmt.Errorf("name %q would be taken for a device's number: add a word", name)
	}
	return nil
}

func (g *gateway) addDevice(ctx context.Context, q deviceRequest) (deviceRow, error) {
	if err := checkName(q.Name); err != nil {
		return deviceRow{}, err
	}
	id, err := frame.ParseID(q.ID)
	if err != nil {
		return deviceRow{}, err
	}
	key, err := q.key()
	if err != nil {
		return deviceRow{}, err
	}
	floor, err := q.floor()
	if err != nil {
		return deviceRow{}, err
	}
	b, err := g.store.AddDevice(ctx, store.NewDevice{ID: id, Name: q.Name, Kind: q.Kind, Floor: floor, Key: key})
	if err != nil {
		return deviceRow{}, fmt.Errorf("add device: %w", err)
	}
	return rowOf(b), g.syncRegistry()
}

func (g *gateway) rotateDevice(ctx context.Context, q deviceRequest) (deviceRow, error) {
	b, err := g.findDevice(q.Device, false)
	if err != nil {
		return deviceRow{}, err
	}
	key, err := q.key()
	if err != nil {
		return deviceRow{}, err
	}
	floor, err := q.floor()
	if err != nil {
		return deviceRow{}, err
	}
	rotated, err := g.store.RotateDevice(ctx, b.Number, key, floor)
	if err != nil {
		return deviceRow{}, fmt.Errorf("rotate the key of device %d: %w", b.Number, err)
	}
	return rowOf(rotated), g.syncRegistry()
}

func (g *gateway) removeDevice(ctx context.Context, q deviceRequest) (deviceRow, error) {
	b, err := g.findDevice(q.Device, false)
	if err != nil {
		return deviceRow{}, err
	}
	if err := g.store.RemoveDevice(ctx, b.Number); err != nil {
		return deviceRow{}, fmt.Errorf("remove device %d: %w", b.Number, err)
	}
	if b, err = g.findDevice(strconv.FormatUint(uint64(b.Number), 10), true); err != nil {
		return deviceRow{}, err
	}
	return rowOf(b), g.syncRegistry()
}

// findDevice finds a binding by number, ID or name. An ID or a name must fit
// one open binding; if it fits none, with ended it may fit one that ended.
func (g *gateway) findDevice(text string, ended bool) (ledger.Binding, error) {
	var open, closed []ledger.Binding
	number, err := strconv.ParseUint(text, 10, 32)
	isNumber := err == nil
	for _, b := range g.store.Devices() {
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
		return ledger.Binding{}, fmt.Errorf("no device %q: `cairn device list` shows them", text)
	case 1:
		return open[0], nil
	}
	return ledger.Binding{}, fmt.Errorf("%d devices fit %q: name one by its number, from `cairn device list`", len(open), text)
}

// syncRegistry tells intake what devices there are.
func (g *gateway) syncRegistry() error {
	if g.live == nil {
		return nil
	}
	var devices []ingest.Device
	for _, b := range g.store.Devices() {
		if b.Closed {
			continue
		}
		d := ingest.Device{Number: b.Number, ID: b.ID, Epoch: b.Epoch, Kind: b.Kind, Floor: frame.Counter(b.Floor)}
		if b.Kind == ingest.KindSecure {
			key, ok := g.store.DeviceKey(b.Number, b.Epoch)
			if !ok {
				return fmt.Errorf("the keyring has no key of device %d, epoch %d: restore the keyring that goes with this data", b.Number, b.Epoch)
			}
			d.Key = &key
		}
		devices = append(devices, d)
	}
	if err := g.live.registry.Set(devices); err != nil {
		return fmt.Errorf("tell intake of the devices: %w", err)
	}
	return nil
}

// routesOf returns what the anchors of the ledger are found by: the running
// routes, or, when no service runs, the journals of the routes that the ledger
// names.
func (g *gateway) routesOf() ([]namedRoute, error) {
	var all []namedRoute
	if g.live != nil {
		for _, r := range g.live.routes {
			all = append(all, namedRoute{r.Status().Route, r})
		}
	}
	stated, err := g.statedRoutes()
	if err != nil {
		return nil, err
	}
	for _, s := range stated {
		if known(all, s.name) {
			continue
		}
		r, err := anchor.New(anchor.Config{Chain: journalOnly{name: s.name}, Source: head{g.store}, Journal: g.store.Journal(s.name)})
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
func (g *gateway) statedRoutes() ([]statedRoute, error) {
	var all []statedRoute
	size := g.store.Statements()
	for n := range size {
		item, _, _, err := g.store.StatementAt(n, size)
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
