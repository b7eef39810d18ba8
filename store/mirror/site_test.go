package mirror

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// site is a gateway made of the pure parts: it has a log, groups and statements as a
// store would, and is a Source of its newest state.
type site struct {
	t      *testing.T
	id     Identity
	key    ed25519.PrivateKey // the newest log key
	trees  map[string]*share.Tree
	ids    map[string]uint32
	start  int64 // Unix milliseconds of the first window
	window int64
	clock  int64 // extra milliseconds between windows that did not happen

	entries    [][]byte
	batches    []store.GroupBatch
	hours      []share.Hour
	statements []Statement
	private    map[uint64]bool
	recorded   []uint64 // statements after each batch
	pending    []store.ListedObject
	groups     []store.GroupRef
	files      map[merkle.Hash][]byte
	lives      []store.GroupRef
	update     []byte
	bundles    map[uint64][]byte
	objects    int // readings' objects in each group
}

const testCompartments = 3

// newSite begins a ledger with a genesis statement, five minutes before an hour's end.
func newSite(t *testing.T) *site {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{
		t: t, key: key, start: share.Hour(1_980_000).Start() + 600_000, window: 60_000, trees: map[string]*share.Tree{}, files: map[merkle.Hash][]byte{},
		ids:     map[string]uint32{ledgerName: share.Ledger, statementsName: 3, "stream/0/envelope": 4, "stream/0/data": 5, "stream/1/data": 6},
		private: map[uint64]bool{}, bundles: map[uint64][]byte{}, objects: testCompartments,
	}
	s.id = Identity{LogKey: public}
	_, _ = rand.Read(s.id.Nonce[:])
	s.id.Ledger = ledger.ID(public, s.id.Nonce)
	for name := range s.ids {
		if s.trees[name], err = share.NewTree(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	s.state(ledger.Genesis{LogKey: [32]byte(public), Nonce: s.id.Nonce, Window: s.window}.Statement(s.start), false)
	return s
}

// fork returns a site that goes on by itself from here.
func (s *site) fork() *site {
	o := *s
	o.entries, o.batches, o.hours = slices.Clone(s.entries), slices.Clone(s.batches), slices.Clone(s.hours)
	o.statements, o.recorded, o.pending = slices.Clone(s.statements), slices.Clone(s.recorded), slices.Clone(s.pending)
	o.groups, o.files = slices.Clone(s.groups), map[merkle.Hash][]byte{}
	for h, b := range s.files {
		o.files[h] = b
	}
	o.private = map[uint64]bool{}
	for n := range s.private {
		o.private[n] = true
	}
	return &o
}

func (s *site) state(st ledger.Statement, private bool) uint64 {
	if err := st.Validate(); err != nil {
		s.t.Fatal(err)
	}
	n := uint64(len(s.statements))
	x := Statement{Number: n, Item: st.Append(nil)}
	_, _ = rand.Read(x.Salt[:])
	s.statements, s.private[n] = append(s.statements, x), private
	return n
}

func (s *site) hourKey(name string, h share.Hour) share.HourKey {
	k, err := s.trees[name].Hour(h)
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

var incarnation = [16]byte{7, 7, 7}

func saltOf(b cipher.Block, in [16]byte) (out [16]byte) {
	b.Encrypt(out[:], in[:])
	return out
}

// now is the end of the newest window.
func (s *site) now() int64 { return s.start + int64(len(s.entries))*s.window + s.clock }

// close closes n windows. An hour's group is sealed with the first window of the
// next one.
func (s *site) close(n int) {
	for range n {
		from := s.now()
		hour, err := share.HourOf(from)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(s.hours) > 0 && s.hours[len(s.hours)-1] != hour && s.sealed() < uint64(len(s.entries)) {
			s.seal()
		}
		s.closeWindow(from, hour)
	}
}

func (s *site) closeWindow(from int64, hour share.Hour) {
	index := uint64(len(s.entries))
	k := s.hourKey(ledgerName, hour)
	b := store.GroupBatch{Incarnation: incarnation, Leaves: make([]merkle.Hash, 8), Listed: s.pending}
	s.pending = nil
	for i := range b.Leaves {
		_, _ = rand.Read(b.Leaves[i][:])
	}
	leaves := make([]merkle.Hash, len(b.Listed))
	for i, seg := range b.Listed {
		e := ledger.HiddenEntry(seg.Segment.Append(nil), seg.Salt)
		leaves[i] = merkle.LeafHash(e[:])
	}
	b.Segments = ledger.SegmentsHead{Count: uint64(len(leaves)), Root: merkle.RootOf(leaves)}
	var tree merkle.Tree
	for i := range s.statements {
		tree.Append(s.statements[i].leaf())
	}
	b.Statements = ledger.StatementsHead{Size: tree.Size(), Root: tree.Root()}
	h := ledger.Header{Ledger: s.id.Ledger, Index: index, From: from, To: from + s.window, Root: merkle.PerfectRoot(slices.Clone(b.Leaves))}
	salt := k.SaltBlock(ledger.HeaderLabel, ledger.NoStream, incarnation)
	for at, item := range [][]byte{
		ledger.Counts{}.Append(nil), ledger.NoIntake(), ledger.Slots{Depth: 3}.Append(nil), b.Segments.Append(nil), b.Statements.Append(nil),
	} {
		h.Hidden[at] = ledger.Hide(item, saltOf(salt, ledger.PairBlock(index, uint64(at))))
	}
	s.entries, s.batches, s.hours = append(s.entries, h.Append(nil)), append(s.batches, b), append(s.hours, hour)
	s.recorded = append(s.recorded, tree.Size())
	s.lives = nil
}

// seal seals the group of the batches since the last one.
func (s *site) seal() {
	ref, objects := s.group(s.sealed(), uint64(len(s.entries)), false)
	s.groups = append(s.groups, ref)
	for _, o := range append(objects, store.ObjectRef{Compartment: share.Ledger, Hash: ref.Object}) {
		s.pending = append(s.pending, store.ListedObject{Segment: ledger.Segment{
			Compartment: o.Compartment, Hour: uint32(ref.Hour), Part: o.Part, First: ref.First, Next: ref.Next, Sealed: o.Hash,
		}})
	}
	s.lives = nil
}

func (s *site) sealed() uint64 {
	if n := len(s.groups); n > 0 {
		return s.groups[n-1].Next
	}
	return 0
}

// group makes the objects of a group.
func (s *site) group(first, next uint64, live bool) (store.GroupRef, []store.ObjectRef) {
	hour := s.hours[first]
	g := &store.Group{Ledger: s.id.Ledger, Hour: hour, First: first, Next: next, Batches: s.batches[first:next]}
	if first > 0 {
		g.FirstStatement = s.recorded[first-1]
	}
	var hidden []Statement
	for n := g.FirstStatement; n < s.recorded[next-1]; n++ {
		x := store.GroupStatement{Leaf: s.statements[n].leaf(), Item: s.statements[n].Item, Salt: s.statements[n].Salt}
		if s.private[n] {
			x = store.GroupStatement{Leaf: x.Leaf}
			hidden = append(hidden, s.statements[n])
		}
		g.Statements = append(g.Statements, x)
	}
	if len(hidden) > 0 {
		p := store.PrivateStatements{First: g.FirstStatement}
		for _, x := range hidden {
			p.All = append(p.All, store.PrivateStatement(x))
		}
		g.Objects = append(g.Objects, s.object(hour, first, statementsName, p.Append([]byte{0})))
	}
	for _, name := range []string{"stream/0/envelope", "stream/0/data", "stream/1/data"}[:s.objects] {
		g.Objects = append(g.Objects, s.object(hour, first, name, binary.BigEndian.AppendUint64(nil, next)))
	}
	object := s.sealBytes(hour, first, ledgerName, append([]byte{0}, g.Append(nil)...))
	h := hashOf(object)
	s.files[h] = object
	return store.GroupRef{First: first, Next: next, Hour: hour, Live: live, Object: h, Size: int64(len(object))}, g.Objects
}

func (s *site) object(hour share.Hour, first uint64, name string, content []byte) store.ObjectRef {
	b := s.sealBytes(hour, first, name, content)
	h := hashOf(b)
	s.files[h] = b
	return store.ObjectRef{Compartment: s.ids[name], Name: name, Hash: h, Size: int64(len(b))}
}

func (s *site) sealBytes(hour share.Hour, first uint64, name string, content []byte) []byte {
	var random [32]byte
	_, _ = rand.Read(random[:])
	b, err := s.hourKey(name, hour).SealObject(nil, store.ObjectAAD(s.id.Ledger, hour, first, s.ids[name], 0), &random, content, nil, 512)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// live makes the live groups, once for each state.
func (s *site) live() []store.GroupRef {
	if s.lives != nil {
		return s.lives
	}
	for at := s.sealed(); at < uint64(len(s.entries)); {
		next := at + 1
		for next < uint64(len(s.entries)) && s.hours[next] == s.hours[at] {
			next++
		}
		ref, _ := s.group(at, next, true)
		s.lives, at = append(s.lives, ref), next
	}
	return s.lives
}

func (s *site) tree() *merkle.Tree {
	var t merkle.Tree
	for _, e := range s.entries {
		t.Append(merkle.LeafHash(e))
	}
	return &t
}

// head is the signed head of the first size batches.
func (s *site) headAt(size int) []byte {
	var t merkle.Tree
	for _, e := range s.entries[:size] {
		t.Append(merkle.LeafHash(e))
	}
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(s.id.Ledger), Size: t.Size(), Root: t.Root()}, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return note
}

// rotate hands the log over to a new key.
func (s *site) rotate() ledger.Statement {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	st := ledger.SignLogKey(s.id.Ledger, s.key, key, s.now())
	s.key = key
	return st
}

func (s *site) Checkpoint(context.Context) ([]byte, error) {
	if len(s.entries) == 0 {
		return nil, ErrNone
	}
	return s.headAt(len(s.entries)), nil
}

func (s *site) leafHashes() merkle.Leaves {
	all := make(merkle.Leaves, len(s.entries))
	for i, e := range s.entries {
		all[i] = merkle.LeafHash(e)
	}
	return all
}

func (s *site) Tile(_ context.Context, path string) ([]byte, error) {
	level, index, width, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if merkle.TileWidth(level, index, uint64(len(s.entries))) < width {
		return nil, ErrNotFound
	}
	if level != merkle.EntriesLevel {
		return merkle.ReadTile(s.leafHashes(), level, index, width)
	}
	var b []byte
	for _, e := range s.entries[index*256 : index*256+uint64(width)] {
		b, _ = merkle.AppendEntry(b, e)
	}
	return b, nil
}

func (s *site) Groups(_ context.Context, from uint64) ([]store.GroupRef, error) {
	var all []store.GroupRef
	for _, r := range append(slices.Clone(s.groups), s.live()...) {
		if r.Next > from && len(all) < MaxGroups {
			all = append(all, r)
		}
	}
	return all, nil
}

func (s *site) Group(_ context.Context, ref store.GroupRef) ([]byte, error) {
	for _, r := range append(slices.Clone(s.groups), s.live()...) {
		if r.First == ref.First {
			return s.files[r.Object], nil
		}
	}
	return nil, ErrNotFound
}

func (s *site) Object(_ context.Context, _ uint64, ref store.ObjectRef) ([]byte, error) {
	if b, ok := s.files[ref.Hash]; ok {
		return b, nil
	}
	return nil, ErrNotFound
}

func (s *site) StatementLeaves(_ context.Context, from, to uint64) ([]merkle.Hash, error) {
	var all []merkle.Hash
	for _, x := range s.statements[from:to] {
		all = append(all, x.leaf())
	}
	return all, nil
}

func (s *site) Update(context.Context) ([]byte, error) {
	if s.update == nil {
		return nil, ErrNone
	}
	return s.update, nil
}

func (s *site) Bundles(context.Context) ([]uint64, error) {
	var all []uint64
	for n := range s.bundles {
		all = append(all, n)
	}
	slices.Sort(all)
	return all, nil
}

func (s *site) Bundle(_ context.Context, n uint64) ([]byte, error) {
	if b, ok := s.bundles[n]; ok {
		return b, nil
	}
	return nil, ErrNotFound
}

// testKeys are the keys of a mirror that has all hours but those before from.
type testKeys struct {
	s     *site
	from  share.Hour
	until share.Hour
	only  []string // compartments that are wanted; nil: all
	known []Statement
}

func (k *testKeys) Key(name string, h share.Hour) (share.HourKey, error) {
	if h < k.from || k.until != 0 && h >= k.until || name != ledgerName && name != statementsName {
		return share.HourKey{}, errors.New("not granted")
	}
	return k.s.trees[name].Hour(h)
}

func (k *testKeys) Wants(name string) bool { return k.only == nil || slices.Contains(k.only, name) }

func (k *testKeys) Offer(_ uint64, b []byte) (bool, error) {
	if !bytes.HasPrefix(b, []byte(ageMagic)) {
		return false, errors.New("no age file")
	}
	return false, nil
}
func (k *testKeys) Grant() uint64           { return 1 }
func (k *testKeys) Statements() []Statement { return k.known }

func (s *site) keys() *testKeys { return &testKeys{s: s} }

// open opens a copy of the site whose clock is the site's.
func (s *site) open(dir string, o Options) *Copy {
	s.t.Helper()
	o.Ledger = s.id
	if o.Now == nil {
		o.Now = func() time.Time { return time.UnixMilli(s.now()) }
	}
	c, err := Open(dir, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// follow follows a source without any alarm.
func follow(t *testing.T, c *Copy, src Source, keys Keys) {
	t.Helper()
	if err := c.Follow(t.Context(), src, keys, nil); err != nil {
		t.Fatal(err)
	}
}

// sum is a hash over all that a copy says as a source, so that two of them can be
// compared.
func sum(t *testing.T, src Source) string {
	t.Helper()
	h := sha256.New()
	put := func(what string, b []byte, err error) {
		fmt.Fprintf(h, "%s %d %x %v\n", what, len(b), sha256.Sum256(b), err != nil)
	}
	ctx := t.Context()
	note, err := src.Checkpoint(ctx)
	put("checkpoint", note, err)
	refs, err := src.Groups(ctx, 0)
	put("groups", fmt.Append(nil, refs), err)
	for _, r := range refs {
		b, err := src.Group(ctx, r)
		put("group", b, err)
	}
	if c, ok := src.(*Copy); ok {
		held, err := holding(ctx, c)
		put("held", []byte(held), err)
		leaves, err := c.StatementLeaves(ctx, 0, uint64(len(c.leaves)))
		put("leaves", fmt.Append(nil, leaves), err)
		all, err := c.Bundles(ctx)
		put("bundles", fmt.Append(nil, all), err)
		for _, n := range all {
			b, err := c.Bundle(ctx, n)
			put("bundle", b, err)
		}
	}
	b, err := src.Update(ctx)
	put("update", b, err)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// holding is what a copy says that it holds of all its groups, under a nonce of zeros.
func holding(ctx context.Context, c *Copy) (string, error) {
	if len(c.groups) == 0 {
		return "", nil
	}
	all := ""
	for at := 0; at < len(c.groups); at += MaxHeldGroups {
		last := min(at+MaxHeldGroups, len(c.groups)) - 1
		h, err := c.Held(ctx, c.groups[at].First, c.groups[last].Next, merkle.Hash{})
		if err != nil {
			return "", err
		}
		all += h.Text()
	}
	return all, nil
}
