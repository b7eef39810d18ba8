package ingest

import (
	"context"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// Done is told once what became of an arrival: the final verdict and, if it is
// a reading, the slot of its stream, its sequence number there, and when it was
// received (Unix ms). rebooted says that the counter's restart part rose. err
// says that nothing was recorded. It runs on the committer's goroutine and must
// not block.
type Done = func(v reading.Verdict, slot, seq uint64, received int64, rebooted bool, err error)

// Arrival is one thing to be numbered and recorded.
type Arrival struct {
	Device uint32 // number in the registry
	Epoch  uint32 // key epoch
	// Verdict is Authenticated, Opaque, Insecure (text lines) or Vouched. The
	// committer turns Authenticated into Duplicate, Replay or CounterConflict, and
	// what came before under its Once into Duplicate.
	Verdict      reading.Verdict
	Transport    string        // reading.TransportUDP, …
	Counter      frame.Counter // Authenticated only
	Measured     int64         // Vouched only: the device's own time, Unix ms; counts only with HasMeasured
	HasMeasured  bool
	Once         [8]byte // Vouched only: names a message that may be sent again; zero: no name
	Again        bool    // it may have come before: Duplicate if the committer has it already
	Late         bool    // Vouched only: for the device's late stream; no source sets it
	Measurements []reading.Measurement
	Wire         []byte // the frame with its length byte, the text line, or the message
	Body         []byte // the decrypted body; nil if there is none
	Type         byte   // the frame's type byte, or the text line's first character
	IDLen        byte   // ID bytes in the frame or the line
	Done         Done   // may be nil
}

// Recorded is a reading that was recorded.
type Recorded struct {
	Device       uint32                // number in the registry
	Received     int64                 // Unix ms
	Measurements []reading.Measurement // not to be changed; none of a frame without a key
}

// Committer records arrivals, durably and in the order given.
type Committer interface {
	// Submit queues a. It takes over what the elements point to; a itself may
	// be used again after it returns. While the queue is full it waits, at
	// most until ctx ends. With an error nothing of a was taken and no Done
	// will be called.
	Submit(ctx context.Context, a []Arrival) error
}
