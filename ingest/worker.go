package ingest

import (
	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// worker judges chunks and makes their arrivals ready for the committer.
type worker struct {
	in    *Intake
	judge *Judge
	done  map[uint32]Done // by device, so that none is made for each frame
}

// rest judges what is left when the sources have ended.
func (w *worker) rest() {
	for {
		select {
		case c := <-w.in.queue.ready:
			w.chunk(c)
			continue
		default:
		}
		c := w.in.queue.take(true)
		if c == nil {
			return
		}
		w.chunk(c)
	}
}

func (w *worker) chunk(c *chunk) {
	for i := range c.packets {
		p := &c.packets[i]
		data := c.data[p.from:p.to]
		var a Arrival
		var d Decision
		switch p.form {
		case FormDatagram:
			d = w.judge.Datagram(data, p.transport, &a)
		case FormWire:
			d = w.judge.Wire(data, p.transport, &a)
		case FormLine:
			d = w.judge.Line(data, p.hub, &a)
			w.in.tally.line(d.Line)
		case FormTold:
			d = w.judge.Told(p.told, data, p.transport, &a)
		}
		if d.Record {
			if p.whose != nil {
				p.whose(d.Device)
			}
			a.Done = w.finisher(d.Device, p.done)
			if w.in.cfg.Recorded != nil {
				a.Done = w.recorder(&a)
			}
			c.out = append(c.out, a)
			continue
		}
		w.reject(p, data, d)
	}
	c.judged <- struct{}{}
}

// finisher returns what the committer calls for an arrival.
func (w *worker) finisher(device uint32, own Done) Done {
	finish := w.done[device]
	if finish == nil {
		in := w.in
		finish = func(v reading.Verdict, slot, seq uint64, _ int64, rebooted bool, err error) {
			in.finish(device, v, slot, seq, rebooted, err)
		}
		w.done[device] = finish
	}
	if own == nil {
		return finish
	}
	return func(v reading.Verdict, slot, seq uint64, received int64, rebooted bool, err error) {
		finish(v, slot, seq, received, rebooted, err)
		own(v, slot, seq, received, rebooted, err)
	}
}

// recorder returns what tells of an arrival that became a reading, and calls its Done.
func (w *worker) recorder(a *Arrival) Done {
	tell, done := w.in.cfg.Recorded, a.Done
	r := Recorded{Device: a.Device, Measurements: a.Measurements}
	return func(v reading.Verdict, slot, seq uint64, received int64, rebooted bool, err error) {
		if became := v != reading.Duplicate && v != reading.Replay && v != reading.CounterConflict; err == nil && became {
			r.Received = received
			tell(r)
		}
		done(v, slot, seq, received, rebooted, err)
	}
}

// reject counts, samples and tells of what is not recorded.
func (w *worker) reject(p *packet, data []byte, d Decision) {
	in := w.in
	if d.Stranger.Len() > 0 {
		in.strangers.hear(d.Stranger, d.heardAs(p.form), p, in.cfg.Now())
	}
	if d.Aside {
		in.tally.aside.Add(1)
		w.hubSays(p, data, d)
	} else {
		in.tally.add(d.Reason, 1)
		if d.Reason != OpaqueLimit {
			in.tally.verdict(d.Verdict)
		}
		in.samples.offer(Sample{
			At: in.cfg.Now(), Verdict: d.Verdict, Reason: d.Reason, Transport: p.transport, Data: data,
		}, p.sender)
		switch {
		case d.Verdict == reading.BadTag:
			in.emit(Event{Kind: EventBadTag, Device: d.Device, Source: p.source})
		case d.Reason == HasKey:
			in.emit(Event{Kind: EventInClear, Device: d.Device, Source: p.source})
		}
	}
	if p.done != nil {
		p.done(d.Verdict, 0, 0, 0, false, nil)
	}
}

// hubSays makes events of what a hub says about frames that it could not use.
func (w *worker) hubSays(p *packet, data []byte, d Decision) {
	switch {
	case d.Line == frame.LineWarning && d.Refused != "":
		w.in.emit(Event{Kind: EventHubAuth, Source: p.source, Detail: "node " + d.Refused})
	case d.Line == frame.LineError && isHubKey(data):
		w.in.emit(Event{Kind: EventHubKey, Source: p.source})
	}
}

func isHubKey(line []byte) bool {
	const text = "!RX key"
	return len(line) >= len(text) && string(line[:len(text)]) == text
}

// sender names who sent p.
func (p *packet) sender() string {
	if p.addr.IsValid() {
		return p.source + " " + p.addr.String()
	}
	return p.source
}
