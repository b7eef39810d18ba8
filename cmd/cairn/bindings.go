package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/store"
)

// deviceRow is one binding as lists show it.
type deviceRow struct {
	Ledger string   `json:"ledger"`
	Number uint32   `json:"number"`
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Place  string   `json:"place,omitempty"`
	Thing  string   `json:"thing,omitempty"`
	Labels []string `json:"labels,omitempty"` // that it was added with
	Kind   string   `json:"kind"`
	Slot   uint64   `json:"slot"`
	Epoch  uint32   `json:"epoch"`
	Floor  string   `json:"counterFloor"`
	From   string   `json:"from"`
	Until  string   `json:"until,omitempty"` // there when the binding has ended
	// What can be shown apart from the rest, by the last parts of its names.
	Compartments []string `json:"compartments"`
	Note         string   `json:"note,omitempty"` // what whoever adds it should know
}

// noteAgain is the truth about a node that goes to its next holder.
const noteAgain = "this device was bound before, and its counter goes on: who may read the new stream sees in its first reading how many frames the node had sent since it last started. Where that must not be known, restart the node first"

func (l *openLedger) rowOf(b ledger.Binding) deviceRow {
	r := deviceRow{
		Ledger: l.cfg.Name, Number: b.Number, ID: b.Device(), Name: b.Name, Place: b.Place, Thing: b.Thing, Kind: b.Kind, Slot: b.Slot, Epoch: b.Epoch,
		Floor: frame.Counter(b.Floor).String(), From: timeText(b.From), Compartments: l.classesOf(b.Slot),
	}
	if b.Closed {
		r.Until = timeText(b.Until)
	}
	return r
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// devices lists the devices of a ledger, or of all of them if none is named.
func (g *gateway) devices(ctx context.Context, name string, _ nothing) ([]deviceRow, error) {
	chosen, err := g.some(ctx, name)
	if err != nil {
		return nil, err
	}
	rows := []deviceRow{}
	for _, l := range chosen {
		labels, err := l.store.Labels(ctx)
		if err != nil {
			return nil, err
		}
		for _, b := range l.store.Devices() {
			row := l.rowOf(b)
			row.Labels = labels[b.Number]
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// deviceRequest adds a device or gives it another key. Keys travel as text
// because frame.Key refuses to be written.
type deviceRequest struct {
	Device string `json:"device,omitempty"` // rotate and remove: number, ID or name
	ID     string `json:"id,omitempty"`     // rotate: what the device's must be, if it is given
	// Address is what senders call a vouched device, instead of its ID.
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Floor   string `json:"floor,omitempty"` // 12 hex digits
	Key     string `json:"key,omitempty"`   // 32 hex digits
	// Labels choose the ledger of a new device, where none is named, and its
	// compartments.
	Labels []string `json:"labels,omitempty"`
	// Place and Thing are labels too, for the rules.
	Place string `json:"place,omitempty"`
	Thing string `json:"thing,omitempty"`
	Try   bool   `json:"try,omitempty"` // add and rotate: only say whether it could be
}

// id is the device's ID, given as such or as the address that senders use.
func (q *deviceRequest) id() (frame.ID, error) {
	switch {
	case q.Address == "":
		return frame.ParseID(q.ID)
	case q.ID != "":
		return frame.ID{}, errors.New("a device has an ID or an address, not both: the ID follows from the address")
	case q.Kind != ingest.KindVouched:
		return frame.ID{}, fmt.Errorf("a device of kind %s has an ID; senders give addresses to those of kind %s", q.Kind, ingest.KindVouched)
	case len(q.Address) > ingest.MaxAddress:
		return frame.ID{}, fmt.Errorf("an address has at most %d bytes", ingest.MaxAddress)
	}
	return ingest.AddressID(q.Address), nil
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

// node is what tells the device's frames from others.
func (q *deviceRequest) node() (id frame.ID, key *frame.Key, floor frame.Counter, err error) {
	if id, err = q.id(); err == nil {
		key, err = q.key()
	}
	if err == nil {
		floor, err = q.floor()
	}
	return id, key, floor, err
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

// newDevice is a device that may be added to a ledger.
type newDevice struct {
	l *openLedger
	store.NewDevice
}

// prepare checks a device that is to be added, and finds its ledger. It changes nothing.
// The caller holds g.binding.
func (g *gateway) prepare(ctx context.Context, name string, q *deviceRequest) (d newDevice, err error) {
	if err := errors.Join(checkName(q.Name), checkPlace("place", q.Place), checkPlace("thing", q.Thing)); err != nil {
		return d, err
	}
	id, key, floor, err := q.node()
	if err != nil {
		return d, err
	}
	labels, err := q.labels()
	if err != nil {
		return d, err
	}
	l, err := g.ledgerFor(ctx, name, labels)
	if err != nil {
		return d, err
	}
	if len(l.store.Devices()) >= maxJoined {
		return d, fmt.Errorf("add device%s: it has had %d, and takes no more", l.where(), maxJoined)
	}
	used, err := l.usedElsewhere(ctx, id, key, true)
	if err != nil {
		return d, fmt.Errorf("add device%s: %w", l.where(), err)
	}
	return newDevice{l, store.NewDevice{
		ID: id, Name: q.Name, Kind: q.Kind, Floor: floor, Used: used, Key: key, Rules: storeRules(g.cfg.rulesFor(labels, q.Name, id.String())),
		Place: q.Place, Thing: q.Thing, Labels: q.Labels,
	}}, nil
}

// add adds a device that was prepared.
func (d *newDevice) add(ctx context.Context) (deviceRow, error) {
	b, err := d.l.store.AddDevice(ctx, d.NewDevice)
	if err != nil {
		return deviceRow{}, fmt.Errorf("add device%s: %w", d.l.where(), err)
	}
	row := d.l.rowOf(b)
	if d.Key != nil && (d.Used > 0 || d.l.boundBefore(b)) {
		row.Note = noteAgain
	}
	return row, nil
}

func (g *gateway) addDevice(ctx context.Context, name string, q deviceRequest) (deviceRow, error) {
	g.binding.Lock()
	defer g.binding.Unlock()
	d, err := g.prepare(ctx, name, &q)
	if err != nil {
		return deviceRow{}, err
	}
	if q.Try {
		return deviceRow{}, d.free()
	}
	row, err := d.add(ctx)
	if err != nil {
		return deviceRow{}, err
	}
	return row, g.syncRegistry()
}

// boundBefore reports whether a device had a binding in this ledger before this one.
func (l *openLedger) boundBefore(b ledger.Binding) bool {
	return slices.ContainsFunc(l.store.Devices(), func(o ledger.Binding) bool { return o.ID == b.ID && o.Number != b.Number && o.Closed })
}

// ledgerFor finds the ledger of a new device: the named one, or that of its
// labels.
func (g *gateway) ledgerFor(ctx context.Context, name string, labels []Label) (*openLedger, error) {
	if err := g.cfg.checkLabels(labels); err != nil {
		return nil, err
	}
	if name == "" && len(labels) > 0 {
		cfg, err := g.cfg.choose(labels)
		if err != nil {
			return nil, err
		}
		name = cfg.Name
	}
	return g.on(ctx, name, true)
}

func (l *openLedger) rotateDevice(ctx context.Context, q deviceRequest) (deviceRow, error) {
	l.g.binding.Lock()
	defer l.g.binding.Unlock()
	b, err := l.findDevice(q.Device, false)
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
	if q.ID != "" && q.ID != b.Device() {
		return deviceRow{}, fmt.Errorf("device %d%s is %s, and this is %s", b.Number, l.where(), b.Device(), q.ID)
	}
	if err := l.rotatable(b, key); err != nil {
		return deviceRow{}, fmt.Errorf("rotate the key of device %d%s: %w", b.Number, l.where(), err)
	}
	used, err := l.usedElsewhere(ctx, frame.ID(b.ID), key, false)
	if err != nil {
		return deviceRow{}, fmt.Errorf("rotate the key of device %d%s: %w", b.Number, l.where(), err)
	}
	if q.Try {
		return l.rowOf(b), nil
	}
	rotated, err := l.store.RotateDevice(ctx, b.Number, key, max(floor, used))
	if err != nil {
		return deviceRow{}, fmt.Errorf("rotate the key of device %d%s: %w", b.Number, l.where(), err)
	}
	return l.rowOf(rotated), l.g.syncRegistry()
}

// rotatable says why a device cannot have a key next.
func (l *openLedger) rotatable(b ledger.Binding, key *frame.Key) error {
	if b.Kind != ledger.BindSecure || key == nil {
		return fmt.Errorf("it is %s: only a secure device has a key to rotate, and it needs the new one", b.Kind)
	}
	for _, o := range l.store.Devices() {
		for e := uint32(1); o.ID == b.ID && e <= o.Epoch; e++ {
			if had, ok := l.store.DeviceKey(o.Number, e); ok && had == *key {
				return fmt.Errorf("device %d has had this key before: its counters must not begin anew", o.Number)
			}
		}
	}
	return nil
}

func (l *openLedger) removeDevice(ctx context.Context, q deviceRequest) (deviceRow, error) {
	l.g.binding.Lock()
	defer l.g.binding.Unlock()
	b, err := l.findDevice(q.Device, false)
	if err != nil {
		return deviceRow{}, err
	}
	if err := l.store.RemoveDevice(ctx, b.Number); err != nil {
		return deviceRow{}, fmt.Errorf("remove device %d%s: %w", b.Number, l.where(), err)
	}
	if b, err = l.findDevice(strconv.FormatUint(uint64(b.Number), 10), true); err != nil {
		return deviceRow{}, err
	}
	return l.rowOf(b), l.g.syncRegistry()
}

// usedElsewhere looks at what the gateway's other ledgers know of a device that
// this one is about to have under a key (nil for none). With unbound, another
// ledger's open binding of it is refused. A key that another ledger has seen
// frames of goes on above their counters, as within one ledger: else what was
// recorded then could be played back here.
func (l *openLedger) usedElsewhere(ctx context.Context, id frame.ID, key *frame.Key, unbound bool) (used frame.Counter, err error) {
	if !l.g.several() {
		return 0, nil
	}
	all, err := l.g.all(ctx)
	if err != nil {
		return 0, err
	}
	for _, other := range all {
		if other == l {
			continue
		}
		for _, b := range other.store.Devices() {
			if frame.ID(b.ID) != id {
				continue
			}
			if !b.Closed && unbound {
				return 0, fmt.Errorf("device %s is registered in the ledger %s, as number %d named %q, and belongs to one ledger at a time: remove it there first", id, other.cfg.Name, b.Number, b.Name)
			}
			last, err := other.lastCounter(ctx, b, key)
			if err != nil {
				return 0, fmt.Errorf("in the ledger %s: %w", other.cfg.Name, err)
			}
			used = max(used, last)
		}
	}
	return used, nil
}

// lastCounter is up to where a binding has used a key's counters, 0 if it never
// had that key. A key that was rotated out is refused: what came under it cannot
// be told from what came under the next one.
func (l *openLedger) lastCounter(ctx context.Context, b ledger.Binding, key *frame.Key) (last frame.Counter, err error) {
	if key == nil || b.Kind != ledger.BindSecure {
		return 0, nil
	}
	for e := uint32(1); e <= b.Epoch; e++ {
		had, ok := l.store.DeviceKey(b.Number, e)
		if !ok || had != *key {
			continue
		}
		if e < b.Epoch {
			return 0, fmt.Errorf("device %d has had this key before: its counters must not begin anew", b.Number)
		}
		last = frame.Counter(b.Floor)
		err := l.newest(ctx, b, time.Now().UnixMilli(), func(f *store.Found) {
			if f.Origin.HasCounter {
				last = max(last, frame.Counter(f.Origin.Counter))
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return last, nil
}

// syncRegistry tells intake what devices there are in all ledgers. Its numbers
// of them are joined of ledger and number. The rules know of a device before the
// first reading that intake takes of it.
func (g *gateway) syncRegistry() error {
	if g.live == nil {
		return nil
	}
	if g.live.alerting != nil {
		g.live.alerting.devicesChanged()
	}
	bindings := make([][]ledger.Binding, len(g.ledgers))
	for i, l := range g.ledgers {
		bindings[i] = l.store.Devices()
	}
	owners, several := owners(bindings)
	var devices []ingest.Device
	for i, l := range g.ledgers {
		for _, b := range bindings[i] {
			if b.Closed || owners[b.ID] != i {
				continue
			}
			d, err := l.intakeDevice(i, b)
			if err != nil {
				return err
			}
			devices = append(devices, d)
		}
	}
	g.live.twice.set(g.tellTwice(several))
	if err := g.live.registry.Set(devices); err != nil {
		return fmt.Errorf("tell intake of the devices: %w", err)
	}
	return nil
}

func (l *openLedger) intakeDevice(index int, b ledger.Binding) (ingest.Device, error) {
	number, err := joinNumber(index, b.Number)
	if err != nil {
		return ingest.Device{}, err
	}
	d := ingest.Device{Number: number, ID: b.ID, Epoch: b.Epoch, Kind: b.Kind, Floor: frame.Counter(b.Floor)}
	if b.Kind == ingest.KindSecure {
		key, ok := l.store.DeviceKey(b.Number, b.Epoch)
		if !ok {
			return d, fmt.Errorf("the keyring%s has no key of device %d, epoch %d: restore the keyring that goes with this data", l.where(), b.Number, b.Epoch)
		}
		d.Key = &key
	}
	return d, nil
}

// owners says which ledger, by index, has each open ID. Where several have one,
// which only a ledger that was put back from a copy can bring about, it is the
// one that bound it last: there the device was moved to. Those IDs are listed,
// each with the ledgers that have it.
func owners(bindings [][]ledger.Binding) (owner map[[8]byte]int, several map[[8]byte][]int) {
	owner, several = map[[8]byte]int{}, map[[8]byte][]int{}
	from := map[[8]byte]int64{}
	for i, list := range bindings {
		for _, b := range list {
			if b.Closed {
				continue
			}
			first, taken := owner[b.ID]
			if taken && first != i && !slices.Contains(several[b.ID], i) {
				if len(several[b.ID]) == 0 {
					several[b.ID] = []int{first}
				}
				several[b.ID] = append(several[b.ID], i)
			}
			if !taken || b.From > from[b.ID] {
				owner[b.ID], from[b.ID] = i, b.From
			}
		}
	}
	return owner, several
}

// tellTwice puts into words what owners listed.
func (g *gateway) tellTwice(several map[[8]byte][]int) []string {
	var all []string
	for id, in := range several {
		names := make([]string, len(in))
		for i, k := range in {
			names[i] = g.ledgers[k].cfg.Name
		}
		all = append(all, fmt.Sprintf("device %s is registered in the ledgers %s: the one that bound it last gets its readings; remove it from the other", frame.ID(id), strings.Join(names, " and ")))
	}
	slices.Sort(all)
	return all
}

// twice are the devices that more than one ledger has. The zero value has none.
type twice struct {
	mu  sync.Mutex
	all []string // under mu
}

func (t *twice) set(all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = all
}

func (t *twice) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}
