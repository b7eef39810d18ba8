package store

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// Errors that tell the caller what to do.
var (
	ErrClosed       = errors.New("store is closed")
	ErrDead         = errors.New("store stopped: restart to recover what was acknowledged")
	ErrDiskFull     = errors.New("disk nearly full: free some space, readings are refused until then")
	ErrDamaged      = errors.New("store is damaged")
	ErrUnknown      = errors.New("no such device")
	ErrNotFound     = errors.New("not found")
	ErrNotBatched   = errors.New("the reading's window has not closed yet")
	ErrReadOnly     = errors.New("store was opened read-only")
	ErrOtherKeyring = errors.New("the data belongs to another keyring")
	ErrOldKeyring   = errors.New("the keyring is older than the data: restore its newest copy")
	ErrHeld         = errors.New("no checkpoint is signed until a route confirms this log's newest head")
)

// Options say where a store lives and what it may use. The zero value of an
// optional field is its default.
type Options struct {
	Dir     string // holds Pebble's files
	FS      vfs.FS // default: the disk
	Keyring *share.Keyring

	// Window is the span of a batch: a whole number of seconds that divides a
	// quarter hour. Default 60 s. Fixed at the ledger's first start.
	Window time.Duration
	// Routes are named in the ledger's first statement.
	Routes []string

	Now   func() time.Time       // default time.Now
	Clock func() reading.Clock   // state of the clock; default Unsynced
	Seen  func() []ledger.Seen   // newest blocks, asked when a window opens; default none
	Free  func() (uint64, error) // free bytes on the disk; default asks the system

	MinFree  uint64 // refuse readings below this many free bytes; default 64 MiB
	ReadOnly bool   // no committer, nothing is written
	Pad      int    // objects are padded to a multiple of it; default 4096
	// HoldSigning starts with no checkpoint being signed until AllowSigning.
	HoldSigning bool

	// quiet keeps Pebble from compacting and from gathering statistics. Where it
	// is still at it when opening fails it panics, which tests cannot stand.
	quiet bool
	// leaves is how many batch tree leaves a group may have: maxGroupLeaves, but in tests.
	leaves int

	Logger *slog.Logger // default: discard
	Events func(Event)  // called from the committer, "dead" from anywhere; must not block
}

// Event is something an operator may want to know.
type Event struct {
	Kind   string // "reboot", "clock", "gap", "window", "sealed", "log-key", "disk-full", "disk-ok", "dead"
	Device uint32
	Detail string
}

// Arrival is one thing to be numbered. The store takes over its slices.
type Arrival struct {
	Device       uint32          // device number
	Epoch        uint32          // key epoch
	Verdict      reading.Verdict // Authenticated, Opaque, Insecure or Vouched as intake judged it
	Transport    string
	Counter      frame.Counter
	Measured     int64 // of the device's clock, Unix ms; counts only with HasMeasured
	HasMeasured  bool
	Once         [8]byte // names a message for this device; zero: no name
	Again        bool    // it may have come before: Duplicate if Once is known
	Late         bool    // for the device's late stream, which must be open; verdict Vouched
	Measurements []reading.Measurement
	Wire         []byte // frame with its length byte, the text line, or the message
	Body         []byte // decrypted body
	Type         byte   // frame type as on the wire
	IDLen        byte
	// Done is called once, after the sync or on failure, and must not block.
	Done func(v reading.Verdict, slot, seq uint64, received int64, rebooted bool, err error)
}

// Store is one ledger on disk. Its methods may be called from any goroutine.
type Store struct {
	opt    Options
	db     *pebble.DB
	keys   keyspace
	local  *localSeal
	first  ed25519.PublicKey // log key
	window int64             // ms

	in   chan []Arrival
	ctl  chan func()
	stop chan struct{}
	done chan struct{}
	wr   *writer

	closing sync.RWMutex // held for reading while a slice is queued
	closed  bool         // under closing: nothing is queued any more
	shut    atomic.Bool  // Close was called
	noFlush bool         // for tests of bad disks: a flush begins a new log, and where that fails Pebble panics

	bench struct { // what benchmarks leave out; nothing can be read back then
		noSealing bool // commits and quarter hours stand in the clear, without hidden parts and group objects
		noGroups  bool // quarter hours stay as they are
		keepRuns  bool // rows n stay
	}

	full      atomic.Bool
	dead      atomic.Pointer[error]
	died      chan struct{} // closed when dead is set
	opening   atomic.Bool   // Pebble is being opened
	wg        sync.WaitGroup
	sealReady chan struct{}
	shredding sync.Mutex    // one at a time; taken before sealing
	taken     atomic.Uint64 // how often something was begun under it that takes keys or rows away
	sealing   sync.Mutex    // one quarter hour at a time; covers trails and cursors
	trails    map[uint64]*trail
	cursors   map[uint32]*share.Cursor // of sealers: the next quarter hour's keys are near
	kept      kept                     // what intake has hashed and is not sealed yet
	live      liveGroups
	made      madeGroups

	view atomic.Pointer[view] // what readers see
	com  *committer           // owned by its goroutine

	starts  startTable
	sealed  streamGroups
	openers sync.Map // openerKey → *frame.Opener
}

// view is the committed state that readers go by.
type view struct {
	size       uint64 // closed windows = log entries
	state      ledgerState
	checkpoint []byte // newest signed, nil if none
	signed     uint64 // its size
	held       string // why nothing is signed; "" if signing
	keys       logKeys
	devices    []ledger.Binding
	streams    []streamInfo // by slot
	nextCommit uint64
	lastStamp  int64
	oldest     int64 // received of the first reading not under a signed checkpoint, 0 if none
}

// streamInfo is what readers need of a stream.
type streamInfo struct {
	slot     uint64
	device   uint32
	envelope uint32
	classes  *classes
	opened   uint64
	closedBy uint64
	closed   bool
	late     bool
	tag      [12]byte
}

// active says whether batch has a summary of the stream.
func (i *streamInfo) active(batch uint64) bool {
	return batch >= i.opened && (!i.closed || batch <= i.closedBy)
}

const (
	queueSlices = 32
	maxSlice    = 1024
	maxCommit   = 4096
)

func (o *Options) fill() error {
	if o.Keyring == nil {
		return errors.New("store: a keyring is needed")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Window == 0 {
		o.Window = time.Minute
	}
	if o.Window < time.Second || o.Window%time.Second != 0 || 15*time.Minute%o.Window != 0 {
		return fmt.Errorf("store: a window of %v: it must be whole seconds and divide 15 minutes", o.Window)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clock == nil {
		o.Clock = func() reading.Clock { return reading.Unsynced }
	}
	if o.Seen == nil {
		o.Seen = func() []ledger.Seen { return nil }
	}
	if o.leaves == 0 {
		o.leaves = maxGroupLeaves
	}
	if o.Pad == 0 {
		o.Pad = 4096
	}
	if o.Pad < 1 || o.Pad > maxPad {
		return fmt.Errorf("store: objects padded to %d bytes: it must be 1 to %d", o.Pad, maxPad)
	}
	if o.MinFree == 0 {
		o.MinFree = 64 << 20
	}
	if o.Free == nil {
		o.Free = func() (uint64, error) {
			u, err := o.FS.GetDiskUsage(o.Dir)
			if errors.Is(err, vfs.ErrUnsupported) {
				return math.MaxUint64, nil
			}
			return u.AvailBytes, err
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	return nil
}

// Open opens or makes the ledger of a keyring in a folder, recovers what was
// acknowledged, closes the windows that passed, and starts to commit.
func Open(o Options) (*Store, error) {
	s, err := prepare(o)
	if err != nil {
		return nil, err
	}
	o = s.opt
	if err := s.openDB(); err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Dir, damaged(err))
	}
	if err := s.recover(); err != nil {
		err = s.otherTime(err)
		s.db.Close()
		return nil, damaged(err)
	}
	if o.ReadOnly {
		close(s.done)
		return s, nil
	}
	if err := s.addStatements(); err != nil {
		s.db.Close()
		return nil, err
	}
	s.wr = newWriter(s)
	if err := s.com.start(); err != nil {
		s.wr.close()
		s.db.Close()
		return nil, err
	}
	s.wg.Add(2)
	go func() { defer s.wg.Done(); s.sealLoop() }()
	go func() { defer s.wg.Done(); s.goOnShredding() }()
	go s.com.run()
	return s, nil
}

// Statements is the name of the compartment of statements that not everybody who
// follows the ledger is shown.
const Statements = "statements"

// addStatements makes the compartment of private statements where there is none.
func (s *Store) addStatements() error {
	if _, ok := s.opt.Keyring.CompartmentNamed(Statements); ok {
		return nil
	}
	if err := s.opt.Keyring.Change(func(e *share.Edit) error {
		e.AddCompartment(Statements)
		return nil
	}); err != nil {
		return fmt.Errorf("compartment %s: %w", Statements, err)
	}
	return nil
}

// statements is that compartment.
func (s *Store) statements() (share.Compartment, error) {
	c, ok := s.opt.Keyring.CompartmentNamed(Statements)
	if !ok {
		return c, fmt.Errorf("the keyring has no compartment %q: %w", Statements, ErrOldKeyring)
	}
	return c, nil
}

// prepare makes a store that has no database yet.
func prepare(o Options) (*Store, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	pub := o.Keyring.LogKey().Public().(ed25519.PublicKey)
	local, err := newLocalSeal(o.Keyring.LocalKeys())
	if err != nil {
		return nil, err
	}
	return &Store{
		opt: o, first: pub, local: local, window: o.Window.Milliseconds(), cursors: map[uint32]*share.Cursor{},
		keys:      keyspace{ledger.ID(pub, o.Keyring.Nonce())},
		in:        make(chan []Arrival, queueSlices),
		ctl:       make(chan func()),
		stop:      make(chan struct{}),
		died:      make(chan struct{}),
		done:      make(chan struct{}),
		sealReady: make(chan struct{}, 1),
	}, nil
}

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS: gate{s.opt.FS, s}, ReadOnly: s.opt.ReadOnly,
		EventListener:     s.background(),
		DisableTableStats: s.opt.quiet, DisableAutomaticCompactions: s.opt.quiet,
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   8 << 20,
		MemTableSize:                8 << 20,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		BytesPerSync:                1 << 20,
		MaxOpenFiles:                256,
		Logger:                      pebbleLogger{s},
	}
	o.CompactionConcurrencyRange = func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) }
	return o
}

// damaged names what Pebble calls corruption, and leaves out its stack.
func damaged(err error) error {
	if pebble.IsCorruptionError(err) && !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %s", ErrDamaged, firstLine(err.Error()))
	}
	return err
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// pebbleLogger turns Pebble's fatal errors into a store that is dead; see gate.
type pebbleLogger struct{ s *Store }

func (l pebbleLogger) Infof(string, ...any) {}
func (l pebbleLogger) Errorf(f string, a ...any) {
	l.s.opt.Logger.Error("storage", "error", firstLine(fmt.Sprintf(f, a...)))
}
func (l pebbleLogger) Fatalf(f string, a ...any) {
	cause := errors.New(firstLine(fmt.Sprintf(f, a...)))
	for _, x := range a {
		if err, ok := x.(error); ok {
			cause = damaged(err)
		}
	}
	l.s.fatal(cause)
}

// die marks the store as stopped; only the first cause is kept.
func (s *Store) die(cause error) {
	err := fmt.Errorf("%w (%w)", ErrDead, cause)
	if s.dead.CompareAndSwap(nil, &err) {
		close(s.died)
		s.opt.Logger.Error("store stopped", "error", cause)
		s.opt.Events(Event{Kind: "dead", Detail: cause.Error()})
	}
}

// Dead gives the reason why the store stopped, or nil.
func (s *Store) Dead() error {
	if e := s.dead.Load(); e != nil {
		return *e
	}
	return nil
}

// DiskFull says whether readings are refused for lack of space.
func (s *Store) DiskFull() bool { return s.full.Load() }

// Ledger is the ledger's id, Origin its checkpoint origin; both stay when the log
// key changes.
func (s *Store) Ledger() merkle.Hash { return s.keys.id }
func (s *Store) Origin() string      { return ledger.Origin(s.keys.id) }

// Submit queues arrivals for the next group commit and returns; each one's Done
// tells how it went. It blocks while the queue is full. An error means that
// none of them was taken: ErrDiskFull, ErrClosed, ErrDead, or the context's.
// Where that happens after the first of a long slice were taken, the Done of
// the others is told instead.
func (s *Store) Submit(ctx context.Context, a []Arrival) error {
	for taken := false; len(a) > 0; taken = true {
		n := min(len(a), maxSlice)
		if err := s.queue(ctx, a[:n:n]); err != nil {
			if !taken {
				return err
			}
			refuse(a, err)
			return nil
		}
		a = a[n:]
	}
	return nil
}

// queue hands one slice to the committer. Close waits for those who are in here
// before it empties the queue for the last time, so that nothing is left in it.
func (s *Store) queue(ctx context.Context, a []Arrival) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return ErrClosed
	}
	if err := s.refusal(); err != nil {
		return err
	}
	select {
	case s.in <- a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return ErrClosed
	}
}

// refuse tells arrivals that they were not taken.
func refuse(a []Arrival, err error) {
	for i := range a {
		(&ack{done: a[i].Done, verdict: a[i].Verdict}).call(err)
	}
}

func (s *Store) refusal() error {
	if err := s.Dead(); err != nil {
		return err
	}
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	if s.full.Load() {
		return ErrDiskFull
	}
	return nil
}

// Close commits what is queued, syncs and closes. The open window stays open:
// the next start closes it. Readers must be done before; a second Close gives
// ErrClosed.
func (s *Store) Close() error {
	if s.shut.Swap(true) {
		return ErrClosed
	}
	if !s.opt.ReadOnly {
		close(s.stop)
		<-s.done
		s.wg.Wait()
		s.wr.close()
		s.flush()
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close %s: %w", filepath.Base(s.opt.Dir), err)
	}
	return s.Dead()
}

// flush moves what only the write-ahead log holds into tables, whose checksums
// tell a damaged byte from a write that was cut off. It is given little time: the
// log alone loses nothing.
func (s *Store) flush() {
	if s.Dead() != nil || s.noFlush {
		return
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		s.opt.Logger.Warn("flush at the end", "error", err)
		return
	}
	select {
	case <-flushed:
	case <-s.died:
	case <-time.After(2 * time.Second):
	}
}

// do runs fn in the committer and waits for it.
func (s *Store) do(ctx context.Context, fn func() error) error {
	if err := s.Dead(); err != nil {
		return err
	}
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	res := make(chan error, 1)
	select {
	case s.ctl <- func() { res <- fn() }:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrClosed
	}
	select {
	case err := <-res:
		return err
	case <-s.done:
	}
	select {
	case err := <-res: // it ran before the committer ended
		return err
	default:
		return ErrClosed
	}
}
