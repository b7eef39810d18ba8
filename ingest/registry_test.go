package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cairn/ingest/frame"
)

func TestRegistryRefuses(t *testing.T) {
	id := testID(t, idA)
	unset := frame.Key{}
	for i := range unset {
		unset[i] = 0xff
	}
	good := Device{Number: 1, ID: id, Kind: KindSecure, Key: &keyA}
	for _, c := range []struct {
		name    string
		devices []Device
	}{
		{"kind", []Device{{Number: 9, ID: id, Kind: "other"}}},
		{"secure without key", []Device{{Number: 9, ID: id, Kind: KindSecure}}},
		{"opaque with key", []Device{{Number: 9, ID: id, Kind: KindOpaque, Key: &keyA}}},
		{"key not set", []Device{{Number: 9, ID: id, Kind: KindSecure, Key: &unset}}},
		{"epoch twice", []Device{
			{Number: 9, ID: id, Kind: KindSecure, Key: &keyA},
			{Number: 9, ID: id, Kind: KindSecure, Key: &keyB}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := testRegistry(t, good)
			err := r.Set(append(c.devices, Device{Number: 2, ID: id, Kind: KindText}))
			if !errors.Is(err, ErrDevice) || !strings.Contains(err.Error(), "9") {
				t.Errorf("got %v want %v 9", err, ErrDevice)
			}
			if r.Len() != 1 {
				t.Errorf("after the error: got %d devices want the 1 of before", r.Len())
			}
		})
	}
}

// Prefix lookup against a plain search.
func TestWithPrefix(t *testing.T) {
	var devices []Device
	for i := range uint32(200) {
		id := frame.ID{byte(i % 3), byte(i % 5), 0xff, byte(i), 0, 0, 0, byte(i / 7)}
		if i%50 == 0 {
			id = frame.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, byte(255 - i)}
		}
		devices = append(devices, Device{Number: i, ID: id, Kind: KindOpaque})
	}
	list := testRegistry(t, devices...).current.Load().opaque
	for n := range 9 {
		for _, d := range devices {
			prefix := d.ID[:n]
			want := make(map[uint32]bool)
			for _, e := range devices {
				if e.ID.HasPrefix(prefix) {
					want[e.Number] = true
				}
			}
			got := withPrefix(list, prefix)
			if len(got) != len(want) {
				t.Fatalf("%x: got %d want %d", prefix, len(got), len(want))
			}
			for _, e := range got {
				if !want[e.device] {
					t.Fatalf("%x: got device %d", prefix, e.device)
				}
			}
		}
	}
	if got := withPrefix(list, []byte{7, 7}); len(got) != 0 {
		t.Errorf("no such prefix: got %d", len(got))
	}
}

// A cipher is prepared once for a key, not once for each list.
func TestRegistryKeepsEntries(t *testing.T) {
	a := Device{Number: 1, ID: testID(t, idA), Epoch: 1, Kind: KindSecure, Key: &keyA}
	r := testRegistry(t, a)
	before := r.current.Load().secure[0]
	if err := r.Set([]Device{{Number: 2, ID: testID(t, idB), Kind: KindSecure, Key: &keyB}, a}); err != nil {
		t.Fatal(err)
	}
	if after := r.current.Load().secure[0]; after != before {
		t.Errorf("same device: got a new entry")
	}
	a.Key = &keyC
	if err := r.Set([]Device{a}); err != nil {
		t.Fatal(err)
	}
	if after := r.current.Load().secure[0]; after == before {
		t.Errorf("other key: got the old entry")
	}
}

func TestDeviceShowsNoKey(t *testing.T) {
	key := frame.Key{0x5e, 0xc4, 0xe7, 0x5e, 0x5e}
	d := Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &key}
	text := fmt.Sprintf("%v %+v %#v", d, d, d)
	for _, shown := range []string{"94", "0x5e", "5ec4"} {
		if strings.Contains(text, shown) {
			t.Errorf("the key shows in %s", text)
		}
	}
}

func TestSimulator(t *testing.T) {
	s := testNode(t, idA, keyA, SimulatorOptions{})
	if c := s.Counter(); c.Restart() == 0 || c.Restart() > 1<<20 || c.Message() >= 1<<20 {
		t.Errorf("first counter: got %v", c)
	}
	open, err := frame.NewOpener(keyA)
	if err != nil {
		t.Fatal(err)
	}
	last := s.Counter()
	for i := range 100 {
		if i%10 == 9 {
			if err := s.Reboot(); err != nil {
				t.Fatal(err)
			}
			if s.Counter().Restart() != last.Restart()+1 {
				t.Fatalf("reboot: got %v after %v", s.Counter(), last)
			}
		}
		wire, err := s.Beacon()
		if i%2 == 0 {
			wire, err = s.Next(frame.Body{Valve: i, Stats: []byte(`{"L":1`)})
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := frame.Parse(wire)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open.Open(nil, f, s.ID()); err != nil {
			t.Fatal(err)
		}
		if f.Counter() <= last || f.Counter() != s.Counter() {
			t.Fatalf("counter: got %v after %v", f.Counter(), last)
		}
		last = f.Counter()
	}
}

// The message counter never wraps, and the restart counter ends for good.
func TestSimulatorWraps(t *testing.T) {
	s := testNode(t, idA, keyA, SimulatorOptions{Counter: frame.NewCounter(7, 0xffffff)})
	if _, err := s.Beacon(); err != nil || s.Counter() != frame.NewCounter(8, 1) {
		t.Errorf("got %v, %v want %v", s.Counter(), err, frame.NewCounter(8, 1))
	}
	s = testNode(t, idA, keyA, SimulatorOptions{Counter: frame.MaxCounter})
	if _, err := s.Beacon(); !errors.Is(err, frame.ErrCounter) {
		t.Errorf("at the end: got %v want %v", err, frame.ErrCounter)
	}
	if err := s.Reboot(); !errors.Is(err, frame.ErrCounter) {
		t.Errorf("reboot at the end: got %v want %v", err, frame.ErrCounter)
	}
	if _, err := s.Next(frame.Body{Valve: 200}); !errors.Is(err, frame.ErrBody) {
		t.Errorf("valve 200: got %v want %v", err, frame.ErrBody)
	}
}
