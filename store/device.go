package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// NewDevice is what registering a device takes.
type NewDevice struct {
	ID    frame.ID
	Name  string        // free text; "" for none
	Kind  string        // "secure", "opaque", "text" or "vouched"
	Floor frame.Counter // counters up to here are refused: guards a fresh association against old recordings
	Used  frame.Counter // so are those up to here, which another ledger took under this key; no statement says so
	Key   *frame.Key    // for a secure device
	// Rules give measurements compartments of their own. They hold for the life of
	// the stream, and for those that take its place when the clock was ahead.
	Rules []Rule
	// Where it is and what it is about, "" if nobody says: a statement does.
	Place, Thing string
	// Labels are kept as they are for those who move the device later; no statement
	// says them.
	Labels []string
}

// ErrRefused is bad input about a device; the text says what was wrong.
var ErrRefused = errors.New("refused")

// Devices lists the bindings, ended ones too, by device number.
func (s *Store) Devices() []ledger.Binding { return slices.Clone(s.view.Load().devices) }

// DeviceKey gives a secure device's key of an epoch.
func (s *Store) DeviceKey(number, epoch uint32) (key frame.Key, ok bool) {
	b, ok := s.opt.Keyring.Secret(keyName(number, epoch))
	if !ok || len(b) != len(key) {
		return key, false
	}
	copy(key[:], b)
	return key, true
}

func keyName(number, epoch uint32) string { return fmt.Sprintf("device/%d/%d", number, epoch) }

// AddDevice registers a device and opens its stream. It returns when both are
// durable: the keyring first, then the statement and the stream. A crash in
// between leaves a key and compartments that nobody uses: the next device with
// this number takes the key's place, and has compartments of its own.
//
// A device that comes back with a key it has now, under another binding, goes on
// above that one's counters, whatever floor was asked for. The statement says the
// floor that was asked for: the other counters tell how much the device had sent for
// somebody else, and the next holder reads this statement.
func (s *Store) AddDevice(ctx context.Context, n NewDevice) (ledger.Binding, error) {
	var out ledger.Binding
	err := s.begin(ctx, s.had(n.ID), func(c *committer, b *pebble.Batch, now int64) error {
		d, err := c.prepare(&n, now, nil)
		if err != nil {
			return err
		}
		out, err = c.enter(b, d, &n, now, nothingFirst)
		return err
	})
	return out, err
}

func nothingFirst() error { return nil }

// prepare makes the device of a new binding, or says what is wrong with it; gone
// is one whose binding ends in the same commit, nil for none.
func (c *committer) prepare(n *NewDevice, now int64, gone *device) (*device, error) {
	for _, d := range c.devices {
		if d.binding.ID != n.ID {
			continue
		}
		if d.retired {
			return nil, fmt.Errorf("%w: device %s is retired, as number %d named %q", ErrRefused, n.ID, d.binding.Number, d.binding.Name)
		}
		if d.binding.Closed || d == gone {
			continue
		}
		key, has := c.s.DeviceKey(d.binding.Number, d.binding.Epoch)
		if d.binding.Name == n.Name || n.Key != nil && has && key == *n.Key {
			return nil, fmt.Errorf("%w: device %s is registered already, as number %d named %q", ErrRefused, n.ID, d.binding.Number, d.binding.Name)
		}
	}
	if (n.Kind == ledger.BindSecure) != (n.Key != nil) {
		return nil, fmt.Errorf("%w: a secure device needs a key, and only it has one", ErrRefused)
	}
	d := &device{labels: slices.Clone(n.Labels), binding: ledger.Binding{
		Number: c.state.Devices + 1, ID: n.ID, Name: n.Name, Epoch: 1, Kind: n.Kind, Floor: uint64(n.Floor), From: now,
		Place: n.Place, Thing: n.Thing,
	}}
	d.text = d.binding.Device()
	if err := validBinding(d.binding); err != nil {
		return nil, err
	}
	if err := validLabels(d.labels); err != nil {
		return nil, err
	}
	if n.Key != nil {
		last, _, err := c.spent(n.ID, n.Key)
		if err != nil {
			return nil, err
		}
		if used := max(frame.Counter(last), n.Used); used > n.Floor {
			d.epoch, d.counter = d.binding.Epoch, used
		}
	}
	d.found = c.found.of(c.numbersOf(n.ID)...)
	_, err := classNames(n.Rules)
	return d, err
}

// validBinding checks what the statements of a binding would say.
func validBinding(b ledger.Binding) error {
	err := b.Statement().Validate()
	if p, is := b.Placed(); err == nil && is {
		err = p.Statement(b.From).Validate()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// enter opens the stream of a device that prepare made. What comes first is
// stated before its binding, once nothing but the disk can fail.
func (c *committer) enter(b *pebble.Batch, d *device, n *NewDevice, now int64, first func() error) (ledger.Binding, error) {
	made, err := c.newCompartments([][]Rule{n.Rules}, func(e *share.Edit) {
		if n.Key != nil {
			key := *n.Key
			e.SetSecret(keyName(d.binding.Number, 1), key[:])
		}
	})
	if err == nil {
		err = first()
	}
	if err == nil {
		err = c.bind(b, d, now, made[0])
	}
	if err != nil {
		return ledger.Binding{}, err
	}
	c.state.Devices = d.binding.Number
	c.devices[d.binding.Number] = d
	return d.binding, nil
}

// spent gives the counter up to which a key has been used, if it has, by any
// binding of a device. One that was rotated out is refused: its counters are
// forgotten.
func (c *committer) spent(id frame.ID, key *frame.Key) (last uint64, used bool, err error) {
	for _, d := range c.devices {
		if d.binding.ID != id {
			continue
		}
		for e := uint32(1); e <= d.binding.Epoch; e++ {
			if old, ok := c.s.DeviceKey(d.binding.Number, e); !ok || old != *key {
				continue
			}
			if e < d.binding.Epoch {
				return 0, true, fmt.Errorf("%w: device %d has had this key before: its counters must not begin anew", ErrRefused, d.binding.Number)
			}
			used, last = true, max(last, d.binding.Floor)
			if d.epoch == e {
				last = max(last, uint64(d.counter))
			}
		}
	}
	return last, used, nil
}

// compartments are those of one stream.
type compartments struct {
	envelope uint32
	classes  *classes
}

// newCompartments makes the compartments of the next streams, one for each list
// of rules, in one change of the keyring. Where it has some of a stream's name
// already, they were made just before a crash, or by a history that the data was
// restored from before: another holder may have had them, so they are left alone.
func (c *committer) newCompartments(rules [][]Rule, with func(*share.Edit)) ([]compartments, error) {
	kr := c.s.opt.Keyring
	names := make([]string, len(rules))
	for i := range names {
		stream := fmt.Sprintf("stream/%d", c.state.Slots+uint64(i))
		names[i] = stream
		for again := 2; ; again++ {
			if _, taken := kr.CompartmentNamed(names[i] + "/" + EnvelopeClass); !taken {
				break
			}
			names[i] = fmt.Sprintf("%s.%d", stream, again)
		}
	}
	out := make([]compartments, len(rules))
	if err := kr.Change(func(e *share.Edit) error {
		with(e)
		for i, name := range names {
			all, err := classNames(rules[i])
			if err != nil {
				return err
			}
			out[i].envelope = e.AddCompartment(name + "/" + EnvelopeClass)
			k := &classes{scheme: schemeJoint, rules: rules[i]}
			for _, x := range all {
				k.list = append(k.list, class{x, e.AddCompartment(name + "/" + x)})
			}
			out[i].classes = k
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("keys of stream %d: %w", c.state.Slots, err)
	}
	return out, nil
}

// bind opens a stream for a device from now on, with compartments of its own.
func (c *committer) bind(b *pebble.Batch, d *device, now int64, p compartments) error {
	slot := c.state.Slots
	st := c.newStream(slot, p)
	st.device, st.number, st.opened, st.dirty, st.runBatch = d, d.binding.Number, c.logTree.Size(), true, c.logTree.Size()
	c.state.Slots++
	d.binding.Slot, d.binding.From, d.stream, d.dirty = slot, now, st, true
	c.streams = append(c.streams, st)
	c.active = append(c.active, st)
	c.infos, c.bindings = nil, nil
	if err := c.appendStatement(b, d.binding.Statement()); err != nil {
		return err
	}
	if p, is := d.binding.Placed(); is {
		if err := c.appendStatement(b, p.Statement(now)); err != nil {
			return err
		}
	}
	found := d.found
	d.found = nil
	return c.recalibrate(b, d.binding.Number, slot, now, found)
}

// newStream makes a stream of these compartments, which the keyring has.
func (c *committer) newStream(slot uint64, p compartments) *stream {
	st := &stream{
		slot: slot, envelope: p.envelope, classes: p.classes, known: map[string]byte{},
		tag:   ledger.Tag(c.s.opt.Keyring.TagKey(), c.s.keys.id, slot),
		stats: runStats{bare: p.classes.scheme != schemeSite},
	}
	st.cols.scheme = p.classes.scheme
	st.cols.class = make([]dataColumns, len(p.classes.list))
	st.cursors = append(st.cursors, c.s.cursor(p.envelope))
	for _, x := range p.classes.list {
		st.cursors = append(st.cursors, c.s.cursor(x.compartment))
	}
	return st
}

// RotateDevice gives a device its next key. Counters begin above floor; those
// of the old key stay refused.
func (s *Store) RotateDevice(ctx context.Context, number uint32, key *frame.Key, floor frame.Counter) (ledger.Binding, error) {
	var out ledger.Binding
	err := s.change(ctx, func(c *committer, b *pebble.Batch, now int64) error {
		d, err := c.open(number)
		if err != nil {
			return err
		}
		if d.binding.Kind != ledger.BindSecure || key == nil {
			return fmt.Errorf("%w: only a secure device has a key to rotate, and it needs the new one", ErrRefused)
		}
		if _, used, err := c.spent(d.binding.ID, key); err != nil {
			return err
		} else if used {
			return fmt.Errorf("%w: device %s has this key already: its counters must not begin anew", ErrRefused, d.binding.Device())
		}
		next := d.binding
		next.Epoch, next.Floor = next.Epoch+1, uint64(floor)
		st := next.Rotate(now)
		if err := st.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		k := *key
		if err := s.opt.Keyring.Change(func(e *share.Edit) error {
			e.SetSecret(keyName(number, next.Epoch), k[:])
			return nil
		}); err != nil {
			return fmt.Errorf("store the device's key: %w", err)
		}
		if err := c.appendStatement(b, st); err != nil {
			return err
		}
		d.binding, d.dirty, c.bindings = next, true, nil
		out = next
		return nil
	})
	return out, err
}

// RemoveDevice ends a binding: the stream's next summary says that it is closed.
func (s *Store) RemoveDevice(ctx context.Context, number uint32) error {
	return s.change(ctx, func(c *committer, b *pebble.Batch, now int64) error {
		d, err := c.open(number)
		if err != nil {
			return err
		}
		return c.unbind(b, d, now)
	})
}

// unbind ends a device's open binding.
func (c *committer) unbind(b *pebble.Batch, d *device, now int64) error {
	ended := d.binding
	ended.Closed, ended.Until = true, max(now, ended.From)
	if err := c.appendStatement(b, ended.Unbind()); err != nil {
		return err
	}
	d.binding, d.dirty, c.bindings = ended, true, nil
	d.stream.closing, d.stream.dirty = true, true
	d.stream = nil
	return nil
}

func (c *committer) open(number uint32) (*device, error) {
	d := c.devices[number]
	if d == nil || d.binding.Closed {
		return nil, fmt.Errorf("device %d: %w", number, ErrUnknown)
	}
	return d, nil
}

// AddStatement records a statement and returns its number. One that names a log
// key is refused: RotateLogKey makes it.
func (s *Store) AddStatement(ctx context.Context, st ledger.Statement) (n uint64, err error) {
	return s.AddStatements(ctx, []ledger.Statement{st})
}

// AddStatements is AddStatement for several, all of them or none, which get consecutive
// numbers from first on.
func (s *Store) AddStatements(ctx context.Context, all []ledger.Statement) (first uint64, err error) {
	for i := range all {
		if all[i].Kind == ledger.KindLogKey {
			return 0, fmt.Errorf("%w: a %s statement goes with a key in the keyring: rotate the log key", ErrRefused, all[i].Kind)
		}
		if err := all[i].Validate(); err != nil {
			return 0, err
		}
	}
	// The ledger's state alone changes: where there are many streams, writing all that
	// have readings since the last snapshot would be most of the work.
	err = s.changeAnd(ctx, (*committer).putState, func(c *committer, b *pebble.Batch, now int64) error {
		first = c.stTree.Size()
		for _, st := range all {
			st.At = now
			if err := c.appendStatement(b, st); err != nil {
				return err
			}
		}
		return nil
	})
	return first, err
}

// foundAtOnce is how many statements are read before intake goes on, some ms.
const foundAtOnce = 500

// begin is change for what begins a stream, of a device that was bound before if again
// is set. What is to be said again of it is read first. One that is damaged changes
// nothing; a disk that cannot be read stops the store.
func (s *Store) begin(ctx context.Context, again bool, fn func(c *committer, b *pebble.Batch, now int64) error) error {
	for all := !again; !all; {
		err := s.do(ctx, func() (err error) {
			if all, err = s.com.found.read(s, foundAtOnce); err != nil && !errors.Is(err, ErrDamaged) {
				s.die(err)
				err = s.Dead()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.change(ctx, fn)
}

// had reports whether a device was ever bound.
func (s *Store) had(id frame.ID) bool {
	return slices.ContainsFunc(s.view.Load().devices, func(b ledger.Binding) bool { return b.ID == id })
}

// change runs fn in the committer, writes what it put into the batch together
// with the rows it made dirty, and waits until that is durable. A bad request
// fails before it has changed anything; a failure after that stops the store.
func (s *Store) change(ctx context.Context, fn func(c *committer, b *pebble.Batch, now int64) error) error {
	return s.changeAnd(ctx, (*committer).snapshot, fn)
}

// changeAnd is change that writes of the rows just those that rows puts there.
func (s *Store) changeAnd(ctx context.Context, rows func(*committer, *pebble.Batch) error, fn func(c *committer, b *pebble.Batch, now int64) error) error {
	durable := make(chan error, 1)
	err := s.do(ctx, func() error {
		c := s.com
		b := s.db.NewBatch()
		slots, statements := c.state.Slots, c.stTree.Size()
		now, _ := c.stamp()
		err := fn(c, b, now)
		changed := c.state.Slots != slots || c.stTree.Size() != statements
		if err == nil {
			err, changed = rows(c, b), true
		}
		if err != nil {
			if changed {
				s.die(err)
			}
			b.Close()
			return err
		}
		c.write(b, nil, func(err error) { durable <- err })
		return nil
	})
	if err != nil {
		return err
	}
	return <-durable
}

// StatementAt gives a statement, its salt, and its path in the tree of the first
// size statements.
func (s *Store) StatementAt(n, size uint64) (item []byte, salt [16]byte, path []merkle.Hash, err error) {
	r, err := s.statementRow(s.db, n)
	if err != nil {
		return nil, salt, nil, err
	}
	inc, err := s.start(r.Start)
	if err != nil {
		return nil, salt, nil, err
	}
	if salt, err = s.statementSalt(n, &r, inc, s.cursor); err != nil {
		return nil, salt, nil, err
	}
	path, err = merkle.ProveInclusion(nodeRows{s, kindStateNode}, n, size)
	return r.Item, salt, path, err
}

// Statements is how many statements the ledger has.
func (s *Store) Statements() uint64 { return s.view.Load().state.Statements }

// cursor is a fresh cursor over a compartment's key tree.
func (s *Store) cursor(compartment uint32) *share.Cursor {
	c, ok := s.opt.Keyring.Compartment(compartment)
	if !ok {
		return share.NewCursor(new(share.Tree))
	}
	return share.NewCursor(c.Tree)
}

// notFound turns Pebble's sentinel into this package's, with what was missing.
func notFound(err error, format string, a ...any) error {
	if errors.Is(err, pebble.ErrNotFound) {
		err = ErrNotFound
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, a...), err)
}
