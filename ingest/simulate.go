package ingest

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"cairn/ingest/frame"
)

// Simulator is a node that sends real secure frames, with the counter rules of
// the reference firmware. It is for tests, benches and the demo: its counter
// lives in memory, so a Simulator must not be made twice for one key in use,
// unless the second starts above the first's Counter.
type Simulator struct {
	id     frame.ID
	idLen  int
	opener *frame.Opener
	random io.Reader

	mu      sync.Mutex
	counter frame.Counter // the last one used; under mu
}

// SimulatorOptions are a simulator's. Zero is the default.
type SimulatorOptions struct {
	IDLen   int           // ID bytes on the wire, default 4; negative: none
	Counter frame.Counter // the last counter used; 0: drawn as a new node draws it
	Random  io.Reader     // default crypto/rand
}

// NewSimulator returns a node that has just started.
func NewSimulator(id frame.ID, key frame.Key, o SimulatorOptions) (*Simulator, error) {
	opener, err := frame.NewOpener(key)
	if err != nil {
		return nil, fmt.Errorf("simulate node: %w", err)
	}
	s := &Simulator{id: id, idLen: o.IDLen, opener: opener, random: o.Random, counter: o.Counter}
	if s.random == nil {
		s.random = rand.Reader
	}
	switch {
	case s.idLen == 0:
		s.idLen = 4
	case s.idLen < 0:
		s.idLen = 0
	}
	if s.counter == 0 {
		// A new node seeds its restart counter with entropy, its top 4 bits 0.
		restart, err := s.draw(20)
		if err != nil {
			return nil, err
		}
		s.counter = frame.NewCounter(restart, 0)
		if err := s.Reboot(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// draw returns a number of so many bits, at most 32.
func (s *Simulator) draw(bits int) (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return 0, fmt.Errorf("simulate node: draw counter: %w", err)
	}
	return binary.BigEndian.Uint32(b[:]) >> (32 - bits), nil
}

// ID returns the node's ID.
func (s *Simulator) ID() frame.ID { return s.id }

// Counter returns the last counter used.
func (s *Simulator) Counter() frame.Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counter
}

// Reboot restarts the node: its restart counter rises by one, and it draws a
// new message counter of 20 bits, which may well be lower than the last.
func (s *Simulator) Reboot() error {
	message, err := s.draw(20)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reboot(message)
}

// reboot is Reboot under mu.
func (s *Simulator) reboot(message uint32) error {
	if s.counter.Restart() == frame.MaxCounter.Restart() {
		return fmt.Errorf("simulate node: %w", frame.ErrCounter)
	}
	s.counter = frame.NewCounter(s.counter.Restart()+1, message)
	return nil
}

// Next returns the next basic frame, length byte included: a relay sends it
// without its first byte.
func (s *Simulator) Next(b frame.Body) ([]byte, error) {
	plain, err := frame.AppendBody(nil, b)
	if err != nil {
		return nil, fmt.Errorf("simulate node: %w", err)
	}
	return s.Seal(frame.TypeBasic, plain)
}

// Beacon returns the next beacon.
func (s *Simulator) Beacon() ([]byte, error) { return s.Seal(frame.TypeAlive, nil) }

// Seal returns the next frame of any type with any plaintext of at most 31
// bytes. The message counter never wraps: before it would, the restart counter
// rises.
func (s *Simulator) Seal(typ byte, plain []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counter.Message() == 0xffffff {
		if err := s.reboot(0); err != nil {
			return nil, err
		}
	}
	next, err := s.counter.Add(1)
	if err != nil {
		return nil, fmt.Errorf("simulate node: %w", err)
	}
	wire, err := s.opener.Seal(nil, typ, s.id, s.idLen, next, plain)
	if err != nil {
		return nil, fmt.Errorf("simulate node: %w", err)
	}
	s.counter = next
	return wire, nil
}
