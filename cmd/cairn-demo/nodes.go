package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"

	"cairn/ingest"
	"cairn/ingest/frame"
)

// sensor is one simulated radio node.
type sensor struct {
	name  string
	note  string // what the audience is told
	thing string // what it is about
	id    frame.ID
	key   frame.Key // the node's own
	known frame.Key // what the gateway is told; another one for a node with a wrong key
	*ingest.Simulator
}

// Rounds that every node sends; temperatures are sixteenths of a degree.
const (
	rounds      = 6
	freezerCold = -288 // -18 °C
	freezerWarm = -104 // -6.5 °C, reached in the last round
	fridgeTemp  = 68   // 4.25 °C
)

func makeSensors() (map[string]*sensor, []string, error) {
	order := []string{"fridge", "freezer", "valve", "echo", "stranger"}
	notes := map[string]string{
		"fridge": "a fridge, steady", "freezer": "a freezer that warms up", "valve": "a radiator valve",
		"echo": "a node whose frames someone records and plays back", "stranger": "a node with a wrong key",
	}
	things := map[string]string{"fridge": "walk-in fridge", "freezer": "chest freezer", "valve": "radiator", "echo": "dairy display", "stranger": "cellar"}
	all := map[string]*sensor{}
	for i, name := range order {
		s := &sensor{name: name, note: notes[name], thing: things[name], id: frame.ID{0x80 + byte(i), 0xc1, 0xa2, 0x93, 0x84, 0xb5, 0xd6, 0xe7}}
		if _, err := rand.Read(s.key[:]); err != nil {
			return nil, nil, fmt.Errorf("draw key: %w", err)
		}
		s.known = s.key
		if name == "stranger" {
			s.known[0] ^= 1
		}
		var err error
		if s.Simulator, err = ingest.NewSimulator(s.id, s.key, ingest.SimulatorOptions{}); err != nil {
			return nil, nil, err
		}
		all[name] = s
	}
	return all, order, nil
}

// keyText is the key as operators type it: frame.Key itself refuses to be
// printed.
func keyText(k frame.Key) string {
	b := [16]byte(k)
	return hex.EncodeToString(b[:])
}

// body is what a node says in one round.
func (s *sensor) body(round int) frame.Body {
	b := frame.Body{Valve: -1}
	temperature := fridgeTemp
	switch s.name {
	case "freezer":
		temperature = freezerCold + (freezerWarm-freezerCold)*round/(rounds-1)
	case "valve":
		b.Valve, b.CallForHeat, temperature = 10*round, round > 2, 300+round
	}
	b.Stats = fmt.Appendf(nil, `{"T|C16":%d`, temperature)
	return b
}

// air is the way from the nodes to the gateway: a relay that forwards frames
// over UDP without their length byte.
type air struct{ conn net.Conn }

func (a air) send(wire []byte) error {
	if _, err := a.conn.Write(wire[1:]); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}
