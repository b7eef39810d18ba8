package ingest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"cairn/ingest/reading"
)

// ErrRefused is wrapped by what a [Packet]'s Done is told when the committer
// did not take it: nothing was recorded, and the sender may send it again.
var ErrRefused = errors.New("committer refused")

// Config is an intake's. Registry and Committer must be set; zero elsewhere is
// the default.
type Config struct {
	Registry  *Registry
	Committer Committer

	Judges     int // goroutines that judge; default: one for each CPU, at most 4
	Queue      int // packets that may wait for the committer; default 16384
	Batch      int // packets that are submitted together at most; default 256
	Candidates int // keys tried on one frame; default 8
	// OpaqueRate is how many frames a second are recorded, over UDP, for each
	// device without a key: nothing tells its frames from invented ones.
	// Default 2 with a burst of 120; negative: no limit.
	OpaqueRate  float64
	OpaqueBurst float64
	// Drain is how long the end waits for the committer to take what was
	// received; default 2 s.
	Drain time.Duration

	Samples int    // rejected samples held for each verdict; default 100
	Keeper  Keeper // takes the same samples; may be nil
	// Events is told what happens, from one goroutine of its own. If it is
	// slow, events are lost and counted; intake never waits for it. May be nil.
	Events func(Event)
	// Recorded is told of each reading that is on disk and signed. It runs on the
	// committer's goroutine and must not block. May be nil.
	Recorded func(Recorded)
	Now      func() time.Time // default time.Now
}

func (c *Config) setDefaults() {
	if c.Judges <= 0 {
		c.Judges = min(runtime.GOMAXPROCS(0), 4)
	}
	if c.Queue <= 0 {
		c.Queue = 16384
	}
	if c.Batch <= 0 {
		c.Batch = 256
	}
	if c.OpaqueRate == 0 {
		c.OpaqueRate = 2
	}
	if c.OpaqueBurst == 0 {
		c.OpaqueBurst = 120
	}
	if c.Drain <= 0 {
		c.Drain = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Intake joins sources, judges and the committer. Run it once.
type Intake struct {
	cfg       Config
	queue     *queue
	tally     Tally
	samples   *Samples
	strangers strangers
	throttle  throttle
	events    chan Event
	ended     chan struct{} // closed when no source runs any more
}

// New returns an intake that is not running.
func New(cfg Config) (*Intake, error) {
	if cfg.Registry == nil || cfg.Committer == nil {
		return nil, errors.New("intake needs a registry and a committer")
	}
	cfg.setDefaults()
	chunks := max((cfg.Queue+cfg.Batch-1)/cfg.Batch, 2)
	return &Intake{
		cfg:     cfg,
		queue:   newQueue(cfg.Batch, chunks, cfg.Judges+1),
		samples: NewSamples(cfg.Samples, cfg.Keeper),
		events:  make(chan Event, eventQueue),
		ended:   make(chan struct{}),
	}, nil
}

// Tally returns the intake's counters.
func (in *Intake) Tally() *Tally { return &in.tally }

// Samples returns the newest rejected samples.
func (in *Intake) Samples() *Samples { return in.samples }

// Strangers returns the nodes that were heard, or told of by senders and brokers, and
// that no device is bound for, the latest first. Those that named no byte of their ID are not among them, nor is one
// that names the ID of a device.
func (in *Intake) Strangers() []Stranger { return in.strangers.list(in.cfg.Registry) }

// Judge returns a judge with the intake's registry, limits and counters.
func (in *Intake) Judge() *Judge {
	j := NewJudge(in.cfg.Registry, in.cfg.Candidates, &in.tally)
	j.opaque = limits{in.cfg.OpaqueRate, in.cfg.OpaqueBurst}
	j.now = in.cfg.Now
	return j
}

// Run runs the sources until ctx ends, all of them have ended, or one fails;
// that error it returns. Then it submits what was received, within
// [Config.Drain]. What the committer has not answered by then it still counts
// when the answer comes.
func (in *Intake) Run(ctx context.Context, sources ...Source) error {
	var telling, judging, submitting sync.WaitGroup
	told := make(chan struct{})
	telling.Go(func() { in.tell(told) })
	submitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	submitting.Go(func() { in.submit(submitCtx) })
	for range in.cfg.Judges {
		judging.Go(in.judge)
	}

	err := in.runSources(ctx, sources)
	timer := time.AfterFunc(in.cfg.Drain, cancel)
	defer timer.Stop()
	close(in.ended)
	judging.Wait()
	close(in.queue.order)
	submitting.Wait()
	close(told)
	telling.Wait()
	return err
}

// runSources returns the first error of a source, and stops the others then.
func (in *Intake) runSources(ctx context.Context, sources []Source) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	var once sync.Once
	var failed error
	for _, s := range sources {
		running.Go(func() {
			err := s.Run(ctx, &feed{in: in, name: s.Name()})
			if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return
			}
			once.Do(func() { failed = fmt.Errorf("source %s: %w", s.Name(), err) })
			cancel(err)
		})
	}
	running.Wait()
	return failed
}

// judge is one judging goroutine. It ends when the sources have and the queue
// is empty.
func (in *Intake) judge() {
	w := &worker{in: in, judge: in.Judge(), done: make(map[uint32]Done)}
	for {
		select {
		case c := <-in.queue.ready:
			w.chunk(c)
		case <-in.queue.wake:
			if c := in.queue.take(false); c != nil {
				w.chunk(c)
			}
		case <-in.ended:
			w.rest()
			return
		}
	}
}

// submit hands judged chunks on in the order in which they were closed.
func (in *Intake) submit(ctx context.Context) {
	for c := range in.queue.order {
		<-c.judged
		if len(c.out) > 0 {
			in.commit(ctx, c.out)
		}
		in.queue.release(c)
	}
}

func (in *Intake) commit(ctx context.Context, out []Arrival) {
	in.tally.submitted.Add(uint64(len(out)))
	err := in.cfg.Committer.Submit(ctx, out)
	if err == nil {
		return
	}
	err = fmt.Errorf("%w: %w", ErrRefused, err)
	for i := range out {
		out[i].Done(out[i].Verdict, 0, 0, 0, false, err)
	}
}

// emit makes an event, unless one like it was made a moment ago.
func (in *Intake) emit(e Event) {
	e.At = in.cfg.Now()
	if !in.throttle.pass(&e) {
		return
	}
	in.tally.events.Add(1)
	if in.cfg.Events == nil {
		return
	}
	select {
	case in.events <- e:
	default:
		in.tally.lostEvent.Add(1)
	}
}

// tell passes events on until told is closed and none is left.
func (in *Intake) tell(told <-chan struct{}) {
	for {
		select {
		case e := <-in.events:
			in.cfg.Events(e)
		case <-told:
			for {
				select {
				case e := <-in.events:
					in.cfg.Events(e)
				default:
					return
				}
			}
		}
	}
}

// finish is told what became of a device's arrival.
func (in *Intake) finish(device uint32, v reading.Verdict, slot, seq uint64, rebooted bool, err error) {
	in.tally.finished.Add(1)
	if err != nil {
		reason := CommitFailed
		if errors.Is(err, ErrRefused) {
			reason = CommitterRefused
		}
		in.tally.add(reason, 1)
		in.emit(Event{Kind: EventRefused, Detail: err.Error()})
		return
	}
	in.tally.verdict(v)
	e := Event{Device: device, Slot: slot, Seq: seq, Committed: true}
	if rebooted {
		in.tally.reboots.Add(1)
		e.Kind = EventReboot
		in.emit(e)
	}
	switch v {
	case reading.CounterConflict:
		e.Kind, e.Committed = EventConflict, false
		in.emit(e)
	case reading.Replay:
		e.Kind, e.Committed = EventReplay, false
		in.emit(e)
	}
}

// feed is one source's sink.
type feed struct {
	in   *Intake
	name string
}

func (f *feed) packet(p Packet) packet {
	return packet{
		form: p.Form, addr: p.From, hub: p.Hub, told: p.Told, transport: p.Transport, source: f.name, whose: p.Whose, done: p.Done, speaker: speakerOf(&p), poster: p.Sender,
	}
}

func (f *feed) Offer(p Packet) bool {
	f.in.tally.received.Add(1)
	reason := QueueFull
	switch err := f.in.queue.offer(f.packet(p), p.Data); err {
	case nil:
		return true
	case errShare:
		reason = DeviceShare
	}
	f.in.tally.add(reason, 1)
	f.in.emit(Event{Kind: EventDropped, Source: f.name})
	return false
}

func (f *feed) Put(ctx context.Context, p Packet) error {
	if err := f.in.queue.put(ctx, f.packet(p), p.Data); err != nil {
		return err
	}
	f.in.tally.received.Add(1)
	return nil
}

func (f *feed) Drop(r Reason, n uint64) {
	f.in.tally.add(r, n)
	switch r {
	case KernelDrop:
		f.in.emit(Event{Kind: EventKernel, Source: f.name, Count: n})
	case SourceLimit:
		f.in.tally.received.Add(n)
	case MessageContent:
		f.in.tally.received.Add(n)
		f.in.tally.verdicts[reading.Malformed].Add(n)
	}
}

func (f *feed) Unknown(p Packet) {
	packet := f.packet(p)
	f.in.strangers.hear(prefixOf(p.Told.Device[:]), HeardTold, &packet, f.in.cfg.Now())
}

func (f *feed) Tell(kind EventKind, detail string) {
	f.in.emit(Event{Kind: kind, Source: f.name, Detail: detail})
}
