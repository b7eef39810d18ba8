package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/rogpeppe/go-internal/testscript"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// history gives a ledger of a new site a past, as a file tells it:
//
//	history SITE LEDGER FILE
//
// Each line is one of
//
//	begin TIME                         the clock shows this (RFC 3339)
//	begin SPAN ago                     that long ago, at a quarter hour's begin
//	bind NAME KEY=VALUE…               a device with these labels begins a stream; place and thing say where it is
//	unbind NAME
//	calibrate NAME WHO FIELD=NUMBER    WHO calibrated it just now
//	attach NAME FILE                   a photo of it, which there is not, has this name
//	send SPAN STEP NAME:FIELD=V,…      every STEP for SPAN each device named sends its fields; V|V|… take turns
//	away SPAN                          the gateway is off
//	until TIME                         the same until then
//	now                                the same until now
//
// The store that does it is the real one, in memory and on a clock that hurries;
// the window and the rules of compartments are those of the configuration.
func (s *stage) history(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: history SITE LEDGER FILE")
	}
	cfg, err := readConfig(ts.MkAbs(args[0]), nil, nil, nil)
	ts.Check(err)
	of, err := cfg.ledger(args[1])
	ts.Check(err)
	keyring, err := share.Open(filepath.Join(of.Dir, keyringFile), share.Wrap{Identity: filepath.Join(cfg.Dir, identityFile)})
	ts.Check(err)
	h := &historian{cfg: cfg, keyring: keyring, mem: vfs.NewMem(), devices: map[string]*pastDevice{}, seals: make(chan struct{}, 1)}
	for i, line := range strings.Split(ts.ReadFile(args[2]), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := h.line(words); err != nil {
			ts.Fatalf("%s, line %d: %v", args[2], i+1, err)
		}
	}
	ts.Check(h.sealed())
	ts.Check(h.stop())
	dir := filepath.Join(of.Dir, dataDir)
	if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
		ts.Check(err)
	}
	_, err = vfs.Clone(h.mem, vfs.Default, "data", dir)
	ts.Check(err)
}

// historian lets a store live through what a story's past tells.
type historian struct {
	cfg     *Config
	keyring *share.Keyring
	mem     *vfs.MemFS
	clock   *hurry
	st      *store.Store // nil while the gateway is off
	devices map[string]*pastDevice
	seals   chan struct{} // something was sealed
}

type pastDevice struct {
	ledger.Binding
	id   frame.ID
	sent int64 // by all its bindings
}

func (h *historian) line(words []string) error {
	ctx, verb, words := context.Background(), words[0], words[1:]
	at := func(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }
	switch {
	case verb == "begin" && len(words) == 1:
		t, err := at(words[0])
		h.clock = &hurry{now: t, until: t}
		return err
	case verb == "begin" && len(words) == 2 && words[1] == "ago":
		d, err := time.ParseDuration(words[0])
		t := time.Now().Round(0).Truncate(15 * time.Minute).Add(-d)
		h.clock = &hurry{now: t, until: t}
		return err
	case h.clock == nil:
		return errors.New("the first line is begin TIME")
	case verb == "bind" && len(words) > 0:
		return h.bind(ctx, words[0], words[1:])
	case verb == "unbind" && len(words) == 1 && h.devices[words[0]] != nil:
		if err := h.start(); err != nil {
			return err
		}
		return h.st.RemoveDevice(ctx, h.devices[words[0]].Number)
	case verb == "calibrate" && len(words) == 3 && h.devices[words[0]] != nil:
		field, offset, _ := strings.Cut(words[2], "=")
		return h.note(ctx, words[0], func(b ledger.Binding) ledger.Statement {
			return ledger.Calibration{
				Number: b.Number, Slot: b.Slot, By: words[1], Calibrated: h.clock.until.UnixMilli(), Field: field, Offset: offset,
			}.Statement(0)
		})
	case verb == "attach" && len(words) == 2 && h.devices[words[0]] != nil:
		return h.note(ctx, words[0], func(b ledger.Binding) ledger.Statement {
			return ledger.Attachment{Number: b.Number, Slot: b.Slot, What: ledger.AttachPhoto, Name: words[1]}.Statement(0)
		})
	case verb == "send" && len(words) > 2:
		return h.send(ctx, words[0], words[1], words[2:])
	case verb == "away" && len(words) == 1:
		d, err := time.ParseDuration(words[0])
		if err != nil {
			return err
		}
		return h.away(h.clock.until.Add(d))
	case verb == "until" && len(words) == 1:
		t, err := at(words[0])
		if err != nil {
			return err
		}
		return h.away(t)
	case verb == "now" && len(words) == 0:
		return h.away(time.Now().Add(-time.Minute))
	}
	return fmt.Errorf("%q is no such line", verb)
}

func (h *historian) start() error {
	if h.st != nil {
		return nil
	}
	st, err := store.Open(store.Options{
		Dir: "data", FS: h.mem, Keyring: h.keyring, Window: h.cfg.Window, Now: h.clock.Now,
		Clock: func() reading.Clock { return reading.Synced }, Free: func() (uint64, error) { return 1 << 40, nil },
		Events: func(e store.Event) {
			if e.Kind != "sealed" {
				return
			}
			select {
			case h.seals <- struct{}{}:
			default:
			}
		},
	})
	h.st = st
	return err
}

func (h *historian) stop() error {
	if h.st == nil {
		return nil
	}
	err := h.st.Close()
	h.st = nil
	return err
}

// sealed waits until every quarter hour that has ended is sealed.
func (h *historian) sealed() error {
	for most := uint64(15 * time.Minute / h.cfg.Window); h.st != nil; {
		if st := h.st.Status(); st.Batches-st.SealedTo <= most {
			break
		}
		<-h.seals
	}
	return nil
}

// atOnce is less than what makes a store doubt its clock at a start.
const atOnce = 30 * 24 * time.Hour

// away lets time pass while the gateway is off; in steps, in between which it is
// started.
func (h *historian) away(until time.Time) error {
	for h.clock.until.Before(until) {
		if err := h.stop(); err != nil {
			return err
		}
		h.clock.until = h.clock.until.Add(min(atOnce, until.Sub(h.clock.until)))
		h.clock.now = h.clock.until
		if err := h.start(); err != nil {
			return err
		}
		if err := h.st.AllowSigning(context.Background()); err != nil { // any change has it look at the clock
			return err
		}
	}
	return nil
}

func (h *historian) bind(ctx context.Context, name string, labels []string) error {
	if err := h.start(); err != nil {
		return err
	}
	d := h.devices[name]
	if d == nil {
		d = &pastDevice{id: frame.ID{0x80, 9, 9, 9, 9, 9, 9, byte(len(h.devices))}}
		h.devices[name] = d
	}
	kv, err := parseLabels(labels)
	if err != nil {
		return err
	}
	n := store.NewDevice{
		ID: d.id, Name: name, Kind: ledger.BindSecure, Key: &frame.Key{d.id[7], byte(d.Number + 1)},
		Rules: storeRules(h.cfg.rulesFor(kv, name, d.id.String())),
	}
	for _, l := range kv {
		switch l.Key {
		case labelPlace:
			n.Place = l.Value
		case labelThing:
			n.Thing = l.Value
		}
	}
	b, err := h.st.AddDevice(ctx, n)
	d.Binding = b
	return err
}

// note records a statement about a device's binding.
func (h *historian) note(ctx context.Context, name string, say func(ledger.Binding) ledger.Statement) error {
	if err := h.start(); err != nil {
		return err
	}
	_, err := h.st.AddStatement(ctx, say(h.devices[name].Binding))
	return err
}

// send has devices send, each its own fields.
func (h *historian) send(ctx context.Context, span, step string, what []string) error {
	all, err := time.ParseDuration(span)
	if err != nil {
		return err
	}
	each, err := time.ParseDuration(step)
	if err != nil || each <= 0 {
		return fmt.Errorf("every %q: %w", step, err)
	}
	if err := h.start(); err != nil {
		return err
	}
	for end := h.clock.until.Add(all); h.clock.until.Before(end); {
		if err := h.clock.pass(ctx, h.st, each); err != nil {
			return err
		}
		var arrivals []store.Arrival
		for _, w := range what {
			a, err := h.arrival(w)
			if err != nil {
				return err
			}
			arrivals = append(arrivals, a)
		}
		if err := h.st.Submit(ctx, arrivals); err != nil {
			return err
		}
	}
	return nil
}

// arrival is what a device sends next, as NAME:FIELD=V|V…,… says.
func (h *historian) arrival(text string) (a store.Arrival, err error) {
	name, fields, _ := strings.Cut(text, ":")
	d := h.devices[name]
	if d == nil {
		return a, fmt.Errorf("no device %q is bound", name)
	}
	a = arrivalOf(d.Binding, d.sent, 0)
	a.Measurements = nil
	for _, f := range strings.Split(fields, ",") {
		field, values, _ := strings.Cut(f, "=")
		turns := strings.Split(values, "|")
		v, err := strconv.ParseFloat(turns[d.sent%int64(len(turns))], 64)
		if err != nil {
			return a, err
		}
		unit := map[string]string{"T": "Cel", "H": "%RH"}[field]
		a.Measurements = append(a.Measurements, reading.Measurement{Name: field, Unit: unit, Value: reading.Decimal(int64(v*100), -2)})
	}
	d.sent++
	return a, nil
}
