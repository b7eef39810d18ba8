package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/scripts/node"
)

func init() { storyPrograms["serialnode"] = serialNode }

// serialNode is a node on a serial cable, until it is interrupted: serialnode DEVICE PORT ID
// [KEY]. It sends a frame three times a second, under the key that it was given last.
func serialNode() {
	if err := runSerialNode(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "serialnode:", err)
		os.Exit(1)
	}
}

func runSerialNode(args []string) error {
	if len(args) < 3 {
		return errors.New("want: DEVICE PORT ID [KEY]")
	}
	id, err := frame.ParseID(args[2])
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", "127.0.0.1:"+args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	r := &serialRadio{id: id}
	if len(args) > 3 {
		key, err := frame.ParseKey(args[3])
		if err != nil {
			return err
		}
		r.take(key)
	}
	n, err := node.Start(node.Options{ID: id, Cycle: 100 * time.Millisecond, Noise: true, Misread: 1, Key: r.take})
	if err != nil {
		return err
	}
	defer n.Close()
	if err := os.Symlink(n.Path, args[0]); err != nil {
		return err
	}
	leave := make(chan os.Signal, 1)
	signal.Notify(leave, syscall.SIGINT)
	for tick := time.NewTicker(300 * time.Millisecond); ; {
		select {
		case <-leave:
			return nil
		case <-tick.C:
			if err := r.send(conn); err != nil {
				return err
			}
		}
	}
}

// serialRadio is the radio of a node on a cable.
type serialRadio struct {
	id  frame.ID
	mu  sync.Mutex
	sim *ingest.Simulator // nil: no key yet; under mu
}

// take gives it a key; its counter goes on.
func (r *serialRadio) take(key [16]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var o ingest.SimulatorOptions
	if r.sim != nil {
		o.Counter = r.sim.Counter()
	}
	sim, err := ingest.NewSimulator(r.id, key, o)
	if err != nil {
		panic(err)
	}
	r.sim = sim
}

func (r *serialRadio) send(conn net.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sim == nil {
		return nil
	}
	wire, err := r.sim.Next(frame.Body{Valve: -1, Stats: []byte(`{"T|C16":64`)})
	if err == nil {
		_, err = conn.Write(wire[1:])
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil // the service is not up
	}
	return err
}
