package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
)

// lateRequest are some lines of a logger's file, of one binding.
type lateRequest struct {
	Device uint32    `json:"device"` // number
	Digest string    `json:"digest"` // SHA-256 of the file, in hex
	Name   string    `json:"name"`   // of the file
	Rows   []lateRow `json:"rows"`
	Last   bool      `json:"last,omitempty"` // nothing of this file follows for that binding
}

// lateRow is one line.
type lateRow struct {
	Line         []byte                `json:"line"`
	Measured     int64                 `json:"measured"` // Unix ms
	Measurements []reading.Measurement `json:"measurements"`
}

// lateAnswer says what became of them.
type lateAnswer struct {
	Stream uint64 `json:"stream"`
	Opened bool   `json:"opened,omitempty"` // the stream was opened for them
	Added  int    `json:"added"`
	Known  int    `json:"known"`            // that had been imported before
	Closed bool   `json:"closed,omitempty"` // the stream was ended
}

// lineHash tells a line from others. Its first half is enough: who writes the files
// may import what they like anyway.
type lineHash [16]byte

func hashLine(line []byte) lineHash {
	sum := sha256.Sum256(line)
	return lineHash(sum[:16])
}

// imports keeps, while a file is imported, which lines a binding has already.
type imports struct {
	mu       sync.Mutex // one import at a time; covers what follows
	device   uint32
	known    map[lineHash]bool // nil: of no device
	attached map[uint64][]string
}

// importLate numbers lines that are not there yet in the late stream of their binding,
// which it opens if it must. The file's hash is attached to the stream once, before its
// first reading. A line is known by its bytes: what a logger exports again, or what is
// imported again after it was interrupted, is numbered once.
func (l *openLedger) importLate(ctx context.Context, q lateRequest) (a lateAnswer, err error) {
	x := &l.imports
	x.mu.Lock()
	defer x.mu.Unlock()
	digest, err := (&noteRequest{Digest: q.Digest}).digest()
	if err != nil {
		return a, err
	}
	b, ok := l.store.Device(q.Device)
	if !ok {
		return a, fmt.Errorf("no device %d%s: `cairn device list` shows them", q.Device, l.where())
	}
	if err := x.learn(ctx, l, q.Device); err != nil {
		return a, err
	}
	if q.Last {
		defer func() { x.known = nil }()
	}
	arrivals := x.arrivals(&q)
	if a.Known = len(q.Rows) - len(arrivals); len(arrivals) == 0 {
		return a, nil
	}
	full := false
	before := len(l.store.Streams(b.Number))
	a.Stream, err = l.store.OpenLate(ctx, b.Number, func(b ledger.Binding) []ledger.Statement {
		have := x.attached[b.Slot]
		if full = len(have) >= maxNotes && !slices.Contains(have, q.Digest); full || slices.Contains(have, q.Digest) {
			return nil
		}
		return []ledger.Statement{ledger.Attachment{Number: b.Number, Slot: b.Slot, What: ledger.AttachData, Name: q.Name, Digest: digest}.Statement(0)}
	})
	if full {
		return a, fmt.Errorf("stream %d%s has readings of %d files, and takes no more: import the last of them again with --close, which ends it, and go on", a.Stream, l.where(), maxNotes)
	}
	if err != nil {
		return a, fmt.Errorf("import for device %d%s: %w", b.Number, l.where(), err)
	}
	if !slices.Contains(x.attached[a.Stream], q.Digest) {
		x.attached[a.Stream] = append(x.attached[a.Stream], q.Digest)
	}
	a.Opened = len(l.store.Streams(b.Number)) > before
	a.Added, err = x.submit(ctx, l, arrivals)
	return a, err
}

// learn reads which lines of a device were imported, and which files are attached to
// its late streams.
func (x *imports) learn(ctx context.Context, l *openLedger, device uint32) error {
	if x.known != nil && x.device == device {
		return nil
	}
	known := map[lineHash]bool{}
	for _, s := range l.store.Streams(device) {
		if !s.Late {
			continue
		}
		err := l.store.QueryStream(ctx, s.Slot, func(f *store.Found) (bool, error) {
			if f.HasFrame {
				known[lineHash(f.Frame[:16])] = true
			}
			return true, nil
		})
		if err != nil && !gone(err) {
			return fmt.Errorf("read what was imported before: %w", err)
		}
	}
	attached := map[uint64][]string{}
	err := l.eachStatement(func(_ uint64, s ledger.Statement) {
		if a, err := ledger.AttachmentFrom(s); err == nil && a.What == ledger.AttachData {
			attached[a.Slot] = append(attached[a.Slot], hex.EncodeToString(a.Digest[:]))
		}
	})
	if err != nil {
		return err
	}
	x.device, x.known, x.attached = device, known, attached
	return nil
}

// arrivals are those of the rows that are not known, each line once.
func (x *imports) arrivals(q *lateRequest) (all []store.Arrival) {
	fresh := map[lineHash]bool{}
	for _, r := range q.Rows {
		h := hashLine(r.Line)
		if x.known[h] || fresh[h] {
			continue
		}
		fresh[h] = true
		all = append(all, store.Arrival{
			Device: q.Device, Verdict: reading.Vouched, Transport: reading.TransportCSV, Late: true,
			Measured: r.Measured, HasMeasured: true, Measurements: r.Measurements, Wire: r.Line,
		})
	}
	return all
}

// submit waits until all are on disk and signed. Those of them that failed are not
// known.
func (x *imports) submit(ctx context.Context, l *openLedger, all []store.Arrival) (added int, err error) {
	errs := make([]error, len(all))
	var waiting sync.WaitGroup
	waiting.Add(len(all))
	for i := range all {
		all[i].Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) {
			errs[i] = err
			waiting.Done()
		}
	}
	if err := l.store.Submit(ctx, all); err != nil {
		return 0, fmt.Errorf("import%s: %w", l.where(), err)
	}
	waiting.Wait()
	for i := range all {
		if errs[i] != nil {
			err = cmp.Or(err, fmt.Errorf("line %.80q%s: %w", all[i].Wire, l.where(), errs[i]))
			continue
		}
		x.known[hashLine(all[i].Wire)] = true
		added++
	}
	return added, err
}

// closeLate ends the late stream of a device, given by its number; it is no error that
// there is none.
func (l *openLedger) closeLate(ctx context.Context, q lateRequest) (a lateAnswer, err error) {
	i := slices.IndexFunc(l.store.Streams(q.Device), func(s store.Stream) bool { return s.Late && !s.Closed })
	if i < 0 {
		return a, nil
	}
	a.Stream = l.store.Streams(q.Device)[i].Slot
	if err := l.store.CloseLate(ctx, q.Device); err != nil {
		return a, fmt.Errorf("end stream %d%s: %w", a.Stream, l.where(), err)
	}
	a.Closed = true
	return a, nil
}
