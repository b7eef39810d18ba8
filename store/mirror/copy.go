package mirror

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
)

// Files of a copy's folder.
const (
	identityFile   = "ledger.json"
	checkpointFile = "checkpoint"
	stateFile      = "state.json"
	statementsFile = "statements"
	updateFile     = "update"
	sealedDir      = "sealed"
	indexFile      = "sealed/index"
	liveFile       = "sealed/live"
	grantsDir      = "grants"
	evidenceDir    = "evidence"
	stagingDir     = "staging"
	groupFile      = "group"
)

// Identity is whose log a copy is of. It is fixed when the copy begins: nothing
// that a source says changes it.
type Identity struct {
	Ledger merkle.Hash
	LogKey ed25519.PublicKey // the first, which the id is made of
	Nonce  [32]byte
}

// check holds that the id is that of key and nonce.
func (i Identity) check() error {
	if len(i.LogKey) != ed25519.PublicKeySize || ledger.ID(i.LogKey, i.Nonce) != i.Ledger {
		return errors.New("the ledger's id is not that of its log key and nonce")
	}
	return nil
}

// Options say how a copy is opened.
type Options struct {
	// Ledger begins a new copy; of one that is there it must be the ledger. Its zero
	// value opens what is there.
	Ledger Identity
	Keep   []Rule // what is kept how long; nil: everything for ever
	// Begin is the first batch whose group the source must have: those before it were
	// sealed by an older cairn, or are none of this copy's business.
	Begin uint64
	Now   func() time.Time // nil: time.Now
}

// Copy is an independent copy of a ledger in a folder of plain files, as the
// package doc describes it. It is a Source itself. One process has a folder open
// for writing; Follow may be called while others read.
type Copy struct {
	dir   string
	id    Identity
	keep  []Rule
	begin uint64
	now   func() time.Time
	tiles *tiles

	pass      sync.Mutex // held by the one who follows, keeps or writes
	unwritten time.Time  // since when the state is not as its file; of who holds pass

	mu     sync.RWMutex // covers what follows
	note   []byte       // the newest checkpoint as it came; nil: none
	head   merkle.Checkpoint
	st     state
	groups []store.GroupRef // sealed ones, in order
	live   []liveGroup      // what came after them
	leaves []merkle.Hash    // of statements, through the newest group that was checked
	facts  facts            // what the statements say, as far as keys open them
	newest newestWindow

	recalled bool                // the statements of the groups that are here were opened
	olders   map[string]int      // by place, where older found an anchor last; Anchors alone has it
	anchored map[string][]uint64 // sizes of the heads whose anchors are kept, by route, ascending
}

// liveGroup is a live group that is held.
type liveGroup struct {
	Ref     wireRef  `json:"ref"`
	Objects []string `json:"objects"` // names of its files
}

// state is what a copy knows beside the files: state.json. Its replacement is what
// makes a sealed group part of the copy.
type state struct {
	Next       uint64     `json:"next"`       // batches before it have their sealed groups here
	Statements uint64     `json:"statements"` // recorded by those
	Handovers  [][]byte   `json:"handovers"`  // log-key statements, each after the one it needs
	Unlisted   []unlisted `json:"unlisted"`   // objects that no header has listed yet
	Noted      []uint64   `json:"noted"`      // first batches of groups with statements
	Missing    []missing  `json:"missing"`    // objects that could not be had
	Alarms     []*Alarm   `json:"alarms"`     // that last
	Kept       []kept     `json:"kept"`       // how far each rule was applied
	Bundled    uint64     `json:"bundled"`    // for what the bundles were fetched last
	Checked    uint64     `json:"checked"`    // the head by whose log key was checked

	Anchored map[string]uint64 `json:"anchored,omitempty"` // by route, up to which head no anchor is lacking
}

// unlisted is what a later header has to list of a group.
type unlisted struct {
	First      uint64         `json:"first"`
	Statements uint64         `json:"statements"`     // recorded before the group
	Seen       uint64         `json:"seen,omitempty"` // size of the log when the group came
	Objects    []listedObject `json:"objects"`
}

type listedObject struct {
	Compartment uint32 `json:"compartment"`
	Part        uint32 `json:"part"`
	Hash        string `json:"hash"`
}

// missing is an object that a source did not give.
type missing struct {
	First uint64 `json:"first"`
	Name  string `json:"name"`
	Hash  string `json:"hash"`
	Size  int64  `json:"size"`
	Why   string `json:"why"`
	Gone  int64  `json:"gone,omitempty"` // Unix ms, since when it says that it is there no more
}

type identityJSON struct {
	Ledger string `json:"ledger"`
	Key    string `json:"key"`
	Nonce  string `json:"nonce"`
	Origin string `json:"origin"`
}

// Open opens a copy's folder, or begins one.
func Open(dir string, o Options) (*Copy, error) {
	c := &Copy{dir: dir, keep: o.Keep, begin: o.Begin, now: o.Now, tiles: newTiles(dir)}
	if c.now == nil {
		c.now = time.Now
	}
	if err := c.identify(o.Ledger); err != nil {
		return nil, err
	}
	c.facts.begin(c.id)
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("open the copy in %s: %w", dir, err)
	}
	_ = os.RemoveAll(filepath.Join(c.dir, stagingDir))
	c.tiles.sweep(c.head.Size)
	return c, nil
}

// identify reads whose log the copy is of, or writes it.
func (c *Copy) identify(want Identity) error {
	path := filepath.Join(c.dir, identityFile)
	b, err := readLimited(path, 4096)
	if errors.Is(err, ErrNotFound) {
		if want.LogKey == nil {
			return fmt.Errorf("%s holds no copy of a ledger", c.dir)
		}
		return c.begins(path, want)
	}
	if err != nil {
		return err
	}
	var j identityJSON
	if err := strictJSON(b, &j); err != nil {
		return fmt.Errorf("%s: %w", identityFile, err)
	}
	var key, nonce merkle.Hash
	if c.id.Ledger, err = parseHash(j.Ledger); err == nil {
		if key, err = parseHash(j.Key); err == nil {
			nonce, err = parseHash(j.Nonce)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", identityFile, err)
	}
	c.id.LogKey, c.id.Nonce = ed25519.PublicKey(key[:]), nonce
	if err := c.id.check(); err != nil {
		return fmt.Errorf("%s: %w", identityFile, err)
	}
	if want.LogKey != nil && want.Ledger != c.id.Ledger {
		return fmt.Errorf("%s holds a copy of the ledger %v, not of %v: choose another folder", c.dir, c.id.Ledger, want.Ledger)
	}
	return nil
}

func (c *Copy) begins(path string, want Identity) error {
	if err := want.check(); err != nil {
		return err
	}
	if err := makeDir(c.dir); err != nil {
		return err
	}
	c.id = want
	b, err := json.MarshalIndent(identityJSON{
		want.Ledger.String(), hex.EncodeToString(want.LogKey), hex.EncodeToString(want.Nonce[:]), ledger.Origin(want.Ledger),
	}, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'), 0o600)
}

// load reads the folder. What a crash left half done is not part of it: records
// beyond the state, live groups whose files are not theirs, partial tiles of
// another size.
func (c *Copy) load() error {
	b, err := readLimited(filepath.Join(c.dir, stateFile), 64<<20)
	switch {
	case err == nil:
		if err := strictJSON(b, &c.st); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, stateFile, err)
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if err := c.loadHead(); err != nil {
		return err
	}
	if err := c.loadAnchors(); err != nil {
		return err
	}
	if err := c.loadIndex(); err != nil {
		return err
	}
	if err := c.loadStatements(); err != nil {
		return err
	}
	c.loadLive()
	return nil
}

func (c *Copy) loadHead() error {
	for _, item := range c.st.Handovers {
		if err := c.facts.handover(item); err != nil {
			return fmt.Errorf("%w: a log-key statement: %w", ErrDamaged, err)
		}
	}
	note, err := readLimited(filepath.Join(c.dir, checkpointFile), merkle.MaxCheckpoint)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	head, _, err := c.facts.open(note)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, checkpointFile, err)
	}
	root, err := merkle.RootAt(c.tiles.at(head.Size), head.Size)
	if err == nil && root != head.Root {
		err = fmt.Errorf("they lead to %v, and it has %v", root, head.Root)
	}
	if err != nil {
		return fmt.Errorf("%w: the tiles do not lead to the checkpoint's root: %w", ErrDamaged, err)
	}
	c.note, c.head = note, head
	return nil
}

func (c *Copy) loadStatements() error {
	b, err := readLimited(filepath.Join(c.dir, statementsFile), 1<<30)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	c.leaves = splitHashes(b[:len(b)/merkle.HashSize*merkle.HashSize])
	if uint64(len(c.leaves)) < c.st.Statements {
		return fmt.Errorf("%w: %d statements of %d", ErrDamaged, len(c.leaves), c.st.Statements)
	}
	// Those beyond are of live groups. They were checked before they were written.
	return nil
}

// loadLive reads the live groups, up to the first whose files are not there.
func (c *Copy) loadLive() {
	b, err := readLimited(filepath.Join(c.dir, liveFile), maxListing)
	if err != nil {
		return
	}
	var all []liveGroup
	if strictJSON(b, &all) != nil {
		return
	}
	next := c.st.Next
	for _, l := range all {
		raw, err := readLimited(c.groupPath(l.Ref.First), maxGroupBytes)
		if err != nil || l.Ref.First != next || hashOf(raw).String() != l.Ref.Object || l.Ref.Next > c.head.Size {
			return
		}
		c.live, next = append(c.live, l), l.Ref.Next
	}
}

// Identity says whose log the copy is of.
func (c *Copy) Identity() Identity { return c.id }

// Dir is the copy's folder.
func (c *Copy) Dir() string { return c.dir }

// Head is the newest checkpoint that the copy holds, and its note; not ok before
// the first.
func (c *Copy) Head() (head merkle.Checkpoint, note []byte, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.head, c.note, c.note != nil
}

// Signed reports whether one of the log's keys, as far as they are known, signed a
// checkpoint.
func (c *Copy) Signed(note []byte) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, _, err := c.facts.open(note)
	return err == nil
}

// Sealed says up to which batch the sealed groups are here, from which on, and how
// many they are.
func (c *Copy) Sealed() (from, next uint64, groups int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.groups) > 0 {
		from = c.groups[0].First
	}
	return from, c.st.Next, len(c.groups)
}

// Header returns an entry of the log.
func (c *Copy) Header(index uint64) ([]byte, error) {
	head, _, _ := c.Head()
	return c.tiles.entry(index, head.Size)
}

// RootAt returns the log's root at a size that is not beyond the copy's.
func (c *Copy) RootAt(size uint64) (merkle.Hash, error) {
	return merkle.RootAt(c.Nodes(), size)
}

// Nodes reads the log's tree.
func (c *Copy) Nodes() merkle.NodeReader {
	head, _, _ := c.Head()
	return c.tiles.at(head.Size)
}

// FindRoot looks for the size at which the log had a root. It reads all of it.
func (c *Copy) FindRoot(root merkle.Hash) (size uint64, ok bool, err error) {
	var t merkle.Tree
	if root == t.Root() {
		return 0, true, nil
	}
	head, _, _ := c.Head()
	for t.Size() < head.Size {
		to := min(t.Size()/tileWidth*tileWidth+tileWidth, head.Size)
		entries, err := c.tiles.entries(t.Size(), to, head.Size)
		if err != nil {
			return 0, false, err
		}
		for _, e := range entries {
			if t.Append(merkle.LeafHash(e)); t.Root() == root {
				return t.Size(), true, nil
			}
		}
	}
	return 0, false, nil
}

func (c *Copy) groupDir(first uint64) string {
	return filepath.Join(c.dir, sealedDir, fmt.Sprintf("%012d", first))
}

func (c *Copy) groupPath(first uint64) string { return filepath.Join(c.groupDir(first), groupFile) }

// Checkpoint implements Source.
func (c *Copy) Checkpoint(context.Context) ([]byte, error) {
	_, note, ok := c.Head()
	if !ok {
		return nil, ErrNone
	}
	return note, nil
}

// Tile implements Source.
func (c *Copy) Tile(_ context.Context, path string) ([]byte, error) {
	level, index, width, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	head, _, _ := c.Head()
	return c.tiles.read(level, index, width, head.Size)
}

// Groups implements Source.
func (c *Copy) Groups(_ context.Context, from uint64) ([]store.GroupRef, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	i := sort.Search(len(c.groups), func(i int) bool { return c.groups[i].Next > from })
	all := slices.Clone(c.groups[i:min(len(c.groups), i+MaxGroups)])
	for _, l := range c.live {
		if len(all) < MaxGroups && l.Ref.Next > from && i+len(all) >= len(c.groups) {
			ref, err := l.Ref.ref()
			if err != nil {
				return nil, err
			}
			all = append(all, ref)
		}
	}
	return all, nil
}

// Group implements Source.
func (c *Copy) Group(_ context.Context, ref store.GroupRef) ([]byte, error) {
	return readLimited(c.groupPath(ref.First), maxGroupBytes)
}

// Object implements Source. What a schedule has removed is an ErrGone.
func (c *Copy) Object(_ context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	b, err := readLimited(filepath.Join(c.groupDir(first), ref.Hash.String()), maxObject)
	if errors.Is(err, ErrNotFound) && c.holds(first) && len(c.keep) > 0 {
		return nil, fmt.Errorf("%w: it is not here, or not kept this long", ErrGone)
	}
	return b, err
}

func (c *Copy) holds(first uint64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.find(first)
	return ok
}

// find finds a sealed group; c.mu is held.
func (c *Copy) find(first uint64) (int, bool) {
	return slices.BinarySearchFunc(c.groups, first, func(r store.GroupRef, first uint64) int {
		switch {
		case r.First < first:
			return -1
		case r.First > first:
			return 1
		}
		return 0
	})
}

// StatementLeaves implements Source.
func (c *Copy) StatementLeaves(_ context.Context, from, to uint64) ([]merkle.Hash, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if from > to || to > uint64(len(c.leaves)) || to-from > MaxLeaves {
		return nil, fmt.Errorf("%w: statements %d to %d of %d", ErrNotFound, from, to, len(c.leaves))
	}
	return slices.Clone(c.leaves[from:to]), nil
}

// Update implements Source.
func (c *Copy) Update(context.Context) ([]byte, error) {
	b, err := readLimited(filepath.Join(c.dir, updateFile), MaxUpdate)
	return none(b, err)
}

// Bundles implements Source.
func (c *Copy) Bundles(context.Context) ([]uint64, error) {
	list, err := os.ReadDir(filepath.Join(c.dir, grantsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the copy: %w", err)
	}
	all := []uint64{}
	for _, f := range list {
		if n, ok := grantOf(f.Name()); ok {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// Bundle implements Source.
func (c *Copy) Bundle(_ context.Context, grant uint64) ([]byte, error) {
	return readLimited(c.bundlePath(grant), MaxBundle)
}

// stateEvery is how often the state is written while groups come. A crash has what
// came since then fetched again, but for what lies in the folder.
const stateEvery = time.Second

// setSealed makes a sealed group the copy's, with a state that keepState writes.
func (c *Copy) setSealed(st state, ref store.GroupRef) {
	if c.unwritten.IsZero() {
		c.unwritten = time.Now()
	}
	c.mu.Lock()
	c.st = st
	c.groups = append(c.groups, ref)
	c.live = slices.DeleteFunc(c.live, func(l liveGroup) bool { return l.Ref.First < ref.Next })
	c.mu.Unlock()
}

// keepState writes a state that was set and not written.
func (c *Copy) keepState() error {
	if c.unwritten.IsZero() {
		return nil
	}
	return c.putState(c.st)
}

// putState replaces the state; c.pass is held.
func (c *Copy) putState(st state) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.dir, stateFile), append(b, '\n'), 0o600); err != nil {
		return err
	}
	c.unwritten = time.Time{}
	c.mu.Lock()
	c.st = st
	c.mu.Unlock()
	return nil
}

// LogKeys are the log's keys as far as they are known, the first first.
func (c *Copy) LogKeys() []ed25519.PublicKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]ed25519.PublicKey, len(c.facts.keys))
	for i := range all {
		all[i] = c.facts.keys[i].pub
	}
	return all
}

// Lasting are the alarms that stay.
func (c *Copy) Lasting() []*Alarm {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.st.Alarms)
}

// Lacking is how many objects the source could not give.
func (c *Copy) Lacking() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.st.Missing)
}

// Live is how many live groups are here, and up to which batch.
func (c *Copy) Live() (groups int, next uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := len(c.live); n > 0 {
		return n, c.live[n-1].Ref.Next
	}
	return 0, c.st.Next
}
