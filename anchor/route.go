package anchor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Config makes a Route. Chain, Source and Journal must be set; the zero value
// of everything else is its default.
type Config struct {
	Chain   Chain
	Source  Source
	Journal Journal // of this route alone

	// Every is the cadence: one anchor in each Every of the clock, if the head
	// changed. Default 10 minutes. Jitter is the length of the part at the
	// start of each slot in which the anchor falls at random: default a quarter
	// of Every, negative for none, at most Every.
	Every, Jitter time.Duration

	// Poll is the time between looks at the chain, default 12 s. Timeout ends
	// each call of the chain, default 30 s; SignTimeout and ReceiptTimeout end
	// the two that may take longer, default 2 minutes.
	Poll, Timeout, SignTimeout, ReceiptTimeout time.Duration

	// Resend is how long a transaction may stay unmined before the same is sent
	// again, default 1 minute. Reprice is how long it may be with a node, if blocks
	// come without it, before one at a higher fee and with the newest head takes
	// its place: default 10 minutes, with a Budget at most a sixth of Deadline;
	// negative for never. No more than MaxPrices attempts are made like this,
	// default 24.
	Resend, Reprice time.Duration
	MaxPrices       int

	// Deadline is the time in which an anchor should be in a block: default
	// Every, but at least 30 minutes. Over it the offer for an anchor rises in a
	// line from the chain's estimate to Budget, the most that one anchor may cost
	// with all its attempts; 0 leaves it to the chain's own ceiling, and each
	// Reprice brings the least that replaces. Monthly bounds what the anchors
	// begun in one calendar month (UTC) may cost together, 0 for no bound. Both
	// are in the chain's unit. What stands at a bound waits, and is not lost.
	Deadline        time.Duration
	Budget, Monthly Amount

	// Check is the time between pre-flights while all is well, default 5
	// minutes. Recheck is the time between looks at the newest finals, in case
	// the chain undid what it had called final; default 10 minutes.
	Check, Recheck time.Duration

	// RedAfter is the age of the oldest window that no final anchor covers at
	// which Status turns unhealthy; default four times Every plus 30 minutes.
	RedAfter time.Duration

	// Guard, if not nil, is told whether our log contains the head that the
	// chain holds, when that is first known and whenever it changes. Until it
	// was told true, a gateway that may have been rolled back signs nothing.
	Guard func(ok bool, reason string)

	// Logger gets what an operator wants to know, default none.
	Logger *slog.Logger

	// Fault, if not nil, is called between every two effects; an error stops
	// Run on the spot, as a crash would. For tests.
	Fault func(Point) error
}

// Point names a place between two effects.
type Point string

// The points, in the order in which an anchor passes them.
const (
	PointSigned    Point = "signed"    // an attempt is signed, the journal does not have it
	PointJournaled Point = "journaled" // the journal has the anchor's new state
	PointSent      Point = "sent"      // the chain has an attempt, the journal does not say so
	PointFound     Point = "found"     // an attempt was looked for, the journal does not say so
	PointReceipt   Point = "receipt"   // the receipt is taken, the journal does not have it
	PointCompleted Point = "completed" // the receipt is completed and the block final, the journal says neither
	PointFiled     Point = "filed"     // the final record is written, "current" is not
)

// Points returns all points.
func Points() []Point {
	return []Point{PointSigned, PointJournaled, PointSent, PointFound, PointReceipt, PointCompleted, PointFiled}
}

const (
	recheckFinals = 4   // of the newest
	finalityLag   = 192 // blocks, six epochs, above which status speaks of it
)

// Route anchors one ledger on one chain.
type Route struct {
	cfg      Config
	log      *slog.Logger
	schedule schedule

	// Owned by Run.
	m         *machine
	lastSign  time.Time // when the newest anchor was first signed
	number    uint64    // of the next anchor
	recent    []uint64  // sizes of the newest records, oldest first, at most maxRecent
	checked   time.Time // last good pre-flight
	rechecked time.Time
	behind    *Root     // the chain's head for which the newest finals were looked at again
	book      book      // what the anchors cost, apart from the one in m
	fundsAt   time.Time // last good answer of the purse
	guarded   bool      // Guard was told
	guardOK   bool

	mu     sync.Mutex // covers what follows
	status Status
	flying *Anchor  // the one on its way
	finals []Anchor // the newest, oldest first, without receipts, at most maxRecent
	latest Block
	looked time.Time // when latest was the newest block; zero if the last look failed
	funds  *Funds    // the purse's last answer
	short  bool      // the pre-flight says that it does not pay
	held   error     // why the machine stands
	down   error     // the last pre-flight's or poll's error
}

// New checks the configuration and returns the route. It reads nothing yet.
func New(cfg Config) (*Route, error) {
	if cfg.Chain == nil || cfg.Source == nil || cfg.Journal == nil {
		return nil, errors.New("anchor: chain, source and journal must be set")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Every, 10*time.Minute)
	def(&cfg.Jitter, cfg.Every/4)
	def(&cfg.Poll, 12*time.Second)
	def(&cfg.Timeout, 30*time.Second)
	def(&cfg.SignTimeout, 2*time.Minute)
	def(&cfg.ReceiptTimeout, 2*time.Minute)
	def(&cfg.Resend, time.Minute)
	def(&cfg.Check, 5*time.Minute)
	def(&cfg.Recheck, 10*time.Minute)
	def(&cfg.RedAfter, 4*cfg.Every+30*time.Minute)
	def(&cfg.Deadline, max(cfg.Every, 30*time.Minute))
	reprice := 10 * time.Minute
	if cfg.Budget > 0 {
		reprice = max(cfg.Poll, min(reprice, cfg.Deadline/6))
	}
	def(&cfg.Reprice, reprice)
	if cfg.MaxPrices == 0 {
		cfg.MaxPrices = 24
	}
	for _, d := range []time.Duration{cfg.Every, cfg.Poll, cfg.Timeout, cfg.SignTimeout, cfg.ReceiptTimeout, cfg.Resend, cfg.Check, cfg.Recheck, cfg.RedAfter, cfg.Deadline} {
		if d < 0 {
			return nil, fmt.Errorf("anchor: negative duration %s", d)
		}
	}
	if cfg.Jitter > cfg.Every {
		return nil, fmt.Errorf("anchor: jitter %s is longer than the cadence %s", cfg.Jitter, cfg.Every)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Route{
		cfg: cfg, log: log.With("route", cfg.Chain.Name()),
		schedule: schedule{every: cfg.Every, jitter: cfg.Jitter, random: rand.Int64N},
		status:   Status{Route: cfg.Chain.Name()},
	}, nil
}

func (r *Route) pace() pace {
	_, purse := r.cfg.Chain.(Purse)
	return pace{
		poll: r.cfg.Poll, resend: r.cfg.Resend, reprice: r.cfg.Reprice, prices: r.cfg.MaxPrices,
		deadline: r.cfg.Deadline, budget: r.cfg.Budget, monthly: r.cfg.Monthly, free: !purse, every: r.cfg.Every,
	}
}

// Guards reports whether the chain keeps a head, so that the route will tell
// Config.Guard something. It asks no node, and may be called before Run.
func (r *Route) Guards() bool { return KeepsHead(r.cfg.Chain) }

// Run resumes what the journal holds and anchors until ctx ends, then returns
// nil. It returns an error only if the journal cannot be read; whatever goes
// wrong later is in Status. It must be called once.
func (r *Route) Run(ctx context.Context) error {
	guards := r.Guards()
	r.mu.Lock()
	r.status.Guards = guards
	r.mu.Unlock()
	if err := r.load(); err != nil {
		return fmt.Errorf("route %s: %w", r.cfg.Chain.Name(), err)
	}
	tick := time.NewTicker(r.cfg.Poll)
	defer tick.Stop()
	for {
		err := r.round(ctx)
		r.publish()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round is one look at everything. Only Fault makes it fail.
func (r *Route) round(ctx context.Context) error {
	up := r.poll(ctx)
	if up && r.due(time.Now()) {
		r.start()
	}
	if r.m == nil {
		return nil
	}
	return r.drive(ctx)
}

// poll looks at the tips, the pre-flight, the guard and the newest finals. It
// reports whether a new anchor may be started.
func (r *Route) poll(ctx context.Context) bool {
	now := time.Now()
	tips, err := call(ctx, r.cfg.Timeout, r.cfg.Chain.Tips)
	if err != nil {
		r.setBlind()
		r.setDown(ctx, fmt.Errorf("look at the chain: %w", err))
		return false
	}
	r.setTips(tips)
	if r.m != nil {
		r.m.on(now, evTips{tips})
	}
	var short error
	unpaid := r.m != nil && errors.Is(r.m.reason, ErrFunds)
	if unpaid || r.checked.IsZero() || now.Sub(r.checked) >= r.cfg.Check {
		err := call0(ctx, r.cfg.Timeout, r.cfg.Chain.Ready)
		r.askFunds(ctx, now, err)
		r.checked = now
		switch {
		case errors.Is(err, ErrFunds):
			r.checked, short = time.Time{}, err // it is said in time: what is left is spent
		case err != nil:
			r.checked = time.Time{}
			if errors.Is(err, ErrLocked) { // the chain's head can be asked for without the key
				r.guard(ctx)
			}
			r.setDown(ctx, err)
			return false
		}
	}
	if !r.guard(ctx) {
		return false
	}
	r.setDown(ctx, short)
	r.recheck(ctx, now, tips)
	return true
}

// due reports whether a new anchor is due: none is on its way, its time has
// come, and the head is not the last anchor's.
func (r *Route) due(now time.Time) bool {
	if r.m != nil || now.Before(r.schedule.due(r.lastSign)) {
		return false
	}
	size, _, _, ok := r.cfg.Source.Head()
	return ok && size > r.anchored()
}

// anchored returns the largest size that is final, 0 if there is none.
func (r *Route) anchored() uint64 { return r.before(math.MaxUint64) }

func (r *Route) start() {
	size, root, note, _ := r.cfg.Source.Head()
	r.m = queue(r.number, head{size, root, note}, r.pace(), &r.book)
}

// load reads the journal: the anchor on its way, if any, and the newest finals.
func (r *Route) load() error {
	key, value, ok, err := r.cfg.Journal.Seek(currentKey)
	if err != nil {
		return fmt.Errorf("read anchor journal: %w", err)
	}
	if !ok || key != currentKey {
		return nil
	}
	rec, err := parseRecord(value)
	if err != nil {
		return fmt.Errorf("read anchor journal: %w", err)
	}
	a := rec.Anchor
	r.number, r.book = a.Number+1, rec.Book
	for _, p := range r.book.Paid {
		r.number = max(r.number, p.Number+1)
	}
	r.lastSign = time.UnixMilli(a.Attempts[0].SignedAt)
	for _, size := range rec.Recent {
		f, ok, err := r.final(size)
		if err != nil {
			return err
		}
		if ok {
			r.remember(f)
			r.number = max(r.number, f.Number+1)
			err = r.rememberOthers(&f)
		}
		if err != nil {
			return err
		}
	}
	if err := r.rememberOthers(&a); err != nil {
		return err
	}
	if a.State == Final {
		r.book.set(&a)
	} else {
		r.m = resume(a, r.pace(), &r.book)
		r.log.Info("resuming anchor", "size", a.Size, "state", string(a.State))
	}
	r.publish()
	return nil
}

// rememberOthers adds the records that an anchor has under the sizes of its other
// attempts: "current" may be older than they are.
func (r *Route) rememberOthers(a *Anchor) error {
	for i := range a.Attempts {
		size := a.Attempts[i].Size
		if slices.Contains(r.recent, size) {
			continue
		}
		f, ok, err := r.final(size)
		if err != nil {
			return err
		}
		if ok && f.Number == a.Number {
			r.remember(f)
		}
	}
	return nil
}

// remember adds a final to the recent ones, or replaces it.
func (r *Route) remember(a Anchor) {
	a = a.clone()
	a.Receipt = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.finals {
		if r.finals[i].Size == a.Size {
			r.finals[i] = a
			return
		}
	}
	r.finals = append(r.finals, a)
	r.recent = append(r.recent, a.Size)
	if n := len(r.finals) - maxRecent; n > 0 {
		r.finals = append([]Anchor(nil), r.finals[n:]...)
		r.recent = append([]uint64(nil), r.recent[n:]...)
	}
}

func call[T any](ctx context.Context, d time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

func call0(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	_, err := call(ctx, d, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}
