package ingest

import (
	"context"
	"net/netip"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// Form says what a packet's bytes are.
type Form byte

// The forms of packets.
const (
	FormDatagram Form = iota // a frame without its length byte
	FormWire                 // a frame with its length byte
	FormLine                 // a text line of a hub, without LF
	FormTold                 // a message about a device: Told says what it means
)

// Told is what a sender says that a device said. That the sender is who it says, and
// may speak for devices, is the source's to see to.
type Told struct {
	Device       frame.ID // see AddressID
	Address      string   // how the sender calls the device
	Measured     int64    // the device's own time, Unix ms; counts only with HasMeasured
	HasMeasured  bool
	Measurements []reading.Measurement
	Once         [8]byte // names the message for its device; zero: it has no name
	Again        bool    // it may have been sent before
}

// Packet is one thing that a source received.
type Packet struct {
	Form      Form
	Data      []byte         // copied: the source may use it again
	Transport string         // reading.TransportUDP, …
	From      netip.AddrPort // the sender, if there is an address
	Hub       uint32         // FormLine: the text device of the hub's own status lines, 0 for none
	Told      *Told          // FormTold; not touched again
	Sender    string         // which of the source's it is from, if it has several: none takes the room of the others
	// Whose, if set, is told which device it is to be recorded for, before Done is
	// told that it was.
	Whose func(device uint32)
	// Done, if set, is told once what became of the packet, also when it is
	// rejected or aside; then slot, sequence and time are 0. For a line aside
	// the verdict is 0. It is not called for a packet that was never queued.
	Done Done
}

// Source receives packets until ctx ends or nothing more can come. Run returns
// nil then; with any other error the intake stops.
type Source interface {
	Name() string // unique among an intake's sources
	Run(ctx context.Context, sink Sink) error
}

// Sink is where a source puts what it received. It is safe for concurrent use.
type Sink interface {
	// Offer queues p, or drops and counts it if the queue is full. It never
	// waits: it is for senders that nobody can slow down.
	Offer(p Packet) bool
	// Put queues p, and waits for room as long as ctx lives. It is for senders
	// that wait in turn.
	Put(ctx context.Context, p Packet) error
	// Drop counts what was lost before it could be offered.
	Drop(r Reason, n uint64)
	// Unknown notes that p, which is told, is of a device that nobody is registered
	// for, so that it is refused before it is put.
	Unknown(p Packet)
	// Tell makes an event of the source. It never waits.
	Tell(kind EventKind, detail string)
}
