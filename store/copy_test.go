package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// copied is what a copy of a ledger has: its groups, their objects by hash.
type copied struct {
	refs    []GroupRef
	groups  []*Group
	objects map[merkle.Hash][]byte
	private []PrivateStatement
}

// keyOf gives a compartment's key of an hour, as a grant would.
func (x *site) keyOf(compartment uint32, hour share.Hour) share.HourKey {
	x.t.Helper()
	k, err := x.s.cursor(compartment).Hour(hour)
	if err != nil {
		x.t.Fatalf("key of compartment %d: %v", compartment, err)
	}
	return k
}

// copyAll seals what has ended, takes everything that a copy takes, and holds it
// against the log by what a copy knows.
func (x *site) copyAll() *copied {
	x.t.Helper()
	x.seal()
	c := &copied{objects: map[merkle.Hash][]byte{}}
	var err error
	if c.refs, err = x.s.Groups(context.Background(), 0, 1000); err != nil {
		x.t.Fatal(err)
	}
	_, signed, _ := x.s.Checkpoint()
	var next uint64
	var tree merkle.Tree
	for _, ref := range c.refs {
		if ref.First != next || ref.Next <= ref.First {
			x.t.Fatalf("group %d to %d, want it to begin at %d", ref.First, ref.Next, next)
		}
		next = ref.Next
		g := x.checkGroup(ref, c.objects)
		if err := g.CheckStatements(&tree); err != nil {
			x.t.Fatal(err)
		}
		c.groups = append(c.groups, g)
		x.openPrivate(c, g)
	}
	if next != signed {
		x.t.Fatalf("the groups end at batch %d, the checkpoint at %d", next, signed)
	}
	x.checkListed(c)
	x.checkStatements(c, tree.Size())
	return c
}

// checkGroup takes one group and its objects, each of them twice.
func (x *site) checkGroup(ref GroupRef, objects map[merkle.Hash][]byte) *Group {
	x.t.Helper()
	object := x.groupObject(ref)
	k := x.keyOf(share.Ledger, ref.Hour)
	g, err := OpenGroup(k, x.s.keys.id, ref.Hour, ref.First, object)
	if err != nil {
		x.t.Fatal(err)
	}
	if got := g.Ref(object, ref.Live); got != ref {
		x.t.Fatalf("the object is of %+v, listed is %+v", got, ref)
	}
	if err := g.Check(x.headers(ref), k); err != nil {
		x.t.Fatal(err)
	}
	objects[ref.Object] = object
	for i, o := range g.Objects {
		b, err := x.s.SealedObject(context.Background(), ref.First, o.Hash)
		if err != nil {
			x.t.Fatalf("object %d of group %d (%s): %v", i, ref.First, o.Name, err)
		}
		if sum(b) != o.Hash || int64(len(b)) != o.Size || len(b)%x.s.opt.Pad != 0 {
			x.t.Fatalf("object %d of group %d (%s) has %d bytes, listed are %d", i, ref.First, o.Name, len(b), o.Size)
		}
		x.checkKeys(g, &o, b)
		objects[o.Hash] = b
	}
	return g
}

// groupObject takes a group's object, which is the same each time.
func (x *site) groupObject(ref GroupRef) []byte {
	x.t.Helper()
	object, err := x.s.GroupObject(context.Background(), ref.First)
	if err != nil {
		x.t.Fatalf("group %d: %v", ref.First, err)
	}
	x.s.made.mu.Lock()
	x.s.made.all, x.s.made.bytes = nil, 0
	x.s.made.mu.Unlock()
	again, err := x.s.GroupObject(context.Background(), ref.First)
	if err != nil || !bytes.Equal(object, again) || sum(object) != ref.Object {
		x.t.Fatalf("group %d made again is another: %v", ref.First, err)
	}
	return object
}

func (x *site) headers(ref GroupRef) (out [][]byte) {
	x.t.Helper()
	for b := ref.First; b < ref.Next; b++ {
		h, err := x.s.Header(b)
		if err != nil {
			x.t.Fatal(err)
		}
		out = append(out, h)
	}
	return out
}

// checkKeys holds that an object opens with its key and with none other.
func (x *site) checkKeys(g *Group, o *ObjectRef, b []byte) {
	x.t.Helper()
	aad := ObjectAAD(g.Ledger, g.Hour, g.First, o.Compartment, o.Part)
	content, hidden, err := x.keyOf(o.Compartment, g.Hour).OpenObject(aad, b)
	if err != nil {
		x.t.Fatalf("object %s of group %d: %v", o.Name, g.First, err)
	}
	if _, err := unpackContent(content); err != nil {
		x.t.Fatalf("object %s of group %d: %v", o.Name, g.First, err)
	}
	envelope := len(o.Name) > 9 && o.Name[len(o.Name)-9:] == "/envelope"
	if envelope != (len(hidden) > 0) {
		x.t.Fatalf("object %s of group %d has a hidden part of %d bytes", o.Name, g.First, len(hidden))
	}
	for _, c := range x.keys.Compartments() {
		for _, hour := range []share.Hour{g.Hour - 1, g.Hour, g.Hour + 1} {
			if c.ID == o.Compartment && hour == g.Hour {
				continue
			}
			if _, _, err := x.keyOf(c.ID, hour).OpenObject(aad, b); err == nil {
				x.t.Fatalf("object %s of group %d opens with the key of %s in hour %d", o.Name, g.First, c.Name, hour)
			}
		}
	}
}

func (x *site) openPrivate(c *copied, g *Group) {
	x.t.Helper()
	private := slices.ContainsFunc(g.Statements, func(s GroupStatement) bool { return s.Item == nil })
	at := slices.IndexFunc(g.Objects, func(o ObjectRef) bool { return o.Name == Statements })
	if private != (at >= 0) {
		x.t.Fatalf("group %d: private statements %v, their object is number %d", g.First, private, at)
	}
	if !private {
		return
	}
	o := &g.Objects[at]
	p, err := g.OpenPrivate(x.keyOf(o.Compartment, g.Hour), o.Compartment, c.objects[o.Hash])
	if err != nil {
		x.t.Fatal(err)
	}
	c.private = append(c.private, p.All...)
}

// checkListed holds that each sealed object is listed once by a later header, if
// one has come that could, and that nothing else is listed.
func (x *site) checkListed(c *copied) {
	x.t.Helper()
	listed := map[merkle.Hash]uint64{}
	var last uint64
	for _, g := range c.groups {
		for i := range g.Batches {
			for _, l := range g.Batches[i].Listed {
				if _, twice := listed[l.Sealed]; twice {
					x.t.Fatalf("batch %d lists an object again", g.First+uint64(i))
				}
				listed[l.Sealed] = l.First
				last = max(last, l.First+1)
			}
		}
	}
	var want int
	for i, g := range c.groups {
		if c.refs[i].Live || g.First >= last {
			continue
		}
		all := append([]ObjectRef{{Hash: c.refs[i].Object}}, g.Objects...)
		want += len(all)
		for _, o := range all {
			if first, ok := listed[o.Hash]; !ok || first != g.First {
				x.t.Fatalf("object %s of group %d is not listed", o.Name, g.First)
			}
		}
	}
	if want != len(listed) {
		x.t.Fatalf("%d objects are listed, want %d", len(listed), want)
	}
}

// checkStatements holds what a mirror has of statements against the ledger's.
func (x *site) checkStatements(c *copied, n uint64) {
	x.t.Helper()
	leaves, err := x.s.StatementLeaves(0, n)
	if err != nil {
		x.t.Fatal(err)
	}
	have := map[uint64][]byte{}
	for _, p := range c.private {
		have[p.Number] = p.Item
	}
	for _, g := range c.groups {
		for i, s := range g.Statements {
			at := g.FirstStatement + uint64(i)
			if s.Leaf != leaves[at] {
				x.t.Fatalf("leaf of statement %d differs", at)
			}
			if s.Item != nil {
				have[at] = s.Item
			}
		}
	}
	for i := range n {
		item, _, _, err := x.s.StatementAt(i, x.s.Statements())
		if err != nil || !bytes.Equal(item, have[i]) {
			x.t.Fatalf("statement %d: %q, a copy has %q (%v)", i, item, have[i], err)
		}
	}
}

// plaintexts are pieces of what nobody without a key may see.
func (x *site) plaintexts() [][]byte {
	var all [][]byte
	for _, n := range x.nodes {
		all = append(all, n.id[:], []byte(n.binding.Device()), []byte(n.binding.Name))
	}
	for _, c := range x.keys.Compartments() {
		all = append(all, []byte(c.Name))
	}
	return append(all, []byte("cairn/"), []byte("secure"), []byte("Cel"), []byte("udp"))
}

func (c *copied) secret(t *testing.T, pieces [][]byte) {
	t.Helper()
	for _, object := range c.objects {
		for _, p := range pieces {
			if len(p) > 3 && bytes.Contains(object, p) {
				t.Fatalf("an object shows %q", p)
			}
		}
	}
}

// addClimate adds a device whose temperature has a compartment of its own.
func (x *site) addClimate() {
	x.t.Helper()
	n := len(x.nodes)
	key := frame.Key{15: byte(n + 1), 0: 0x42}
	d, err := x.add(NewDevice{
		ID: frame.ID{0x80, 1, byte(n), 0x90, 0xaa, 0xaa, 0xaa, byte(n)}, Name: fmt.Sprintf("split %d", n), Kind: ledger.BindSecure, Key: &key,
		Rules: []Rule{{Class: "climate", Fields: []string{"T*"}}},
	})
	if err != nil {
		x.t.Fatal(err)
	}
	d.counter = 5
	x.nodes = append(x.nodes, d)
}

// sameSealed holds that what was sealed before is served as it was.
func sameSealed(t *testing.T, before, after *copied) {
	t.Helper()
	for i, ref := range before.refs {
		if ref.Live {
			continue
		}
		if after.refs[i] != ref {
			t.Fatalf("group %d was %+v and is %+v", ref.First, ref, after.refs[i])
		}
		for _, o := range before.groups[i].Objects {
			if !bytes.Equal(before.objects[o.Hash], after.objects[o.Hash]) {
				t.Fatalf("object %s of group %d changed", o.Name, ref.First)
			}
		}
	}
}

// TestCopiesOfHistories plays histories at random and copies the ledger after
// each step: all that a copy has holds against the log.
func TestCopiesOfHistories(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { copyHistory(t, seed) })
	}
}

func copyHistory(t *testing.T, seed uint64) {
	x := newSite(t, 2)
	x.rng = newRand(100 + seed)
	x.addClimate()
	var last *copied
	seen := map[string]int{}
	for step := range 24 {
		switch what := x.rng.IntN(12); what {
		case 0, 1, 2:
			x.pass(time.Duration(1+x.rng.IntN(4)) * minute)
		case 3:
			x.pass(16 * minute)
		case 4:
			x.restart()
			seen["restart"]++
		case 5:
			x.close()
			x.clock.add(time.Duration(1+x.rng.IntN(40)) * minute)
			x.open()
			seen["missed"]++
		case 6:
			x.step(time.Duration(x.rng.IntN(50)-25) * minute)
			seen["step"]++
		case 7:
			if x.rng.IntN(2) == 0 {
				x.addClimate()
			} else {
				x.addDevice()
			}
		case 8:
			x.removeSome()
		case 9:
			x.rotate()
		}
		for range x.rng.IntN(4) {
			if n := x.pick(); n != nil {
				x.submit(n.arrival(t, 300+x.rng.IntN(100)))
			}
		}
		if step%4 != 3 {
			continue
		}
		c := x.copyAll()
		if last != nil {
			sameSealed(t, last, c)
		}
		c.secret(t, x.plaintexts())
		last = c
	}
	x.pass(20 * minute)
	last = x.copyAll()
	x.check()
	x.restart()
	sameSealed(t, last, x.copyAll())
	t.Logf("seed %d: %d groups, %d objects, %v", seed, len(last.groups), len(last.objects), seen)
}

// pick is a device that still sends, or nil.
func (x *site) pick() *node {
	var all []*node
	for _, n := range x.nodes {
		for _, d := range x.s.Devices() {
			if d.Number == n.binding.Number && !d.Closed {
				all = append(all, n)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[x.rng.IntN(len(all))]
}

func (x *site) removeSome() {
	x.t.Helper()
	if n := x.pick(); n != nil {
		if err := x.s.RemoveDevice(context.Background(), n.binding.Number); err != nil {
			x.t.Fatal(err)
		}
	}
}

// TestLiveGroups follows one quarter hour: its live group grows with each window,
// and the sealed one takes its place.
func TestLiveGroups(t *testing.T) {
	x := newSite(t, 2)
	x.pass(16 * minute)
	x.seal()
	ctx := context.Background()
	last := GroupRef{}
	for range 5 {
		x.send(x.nodes[0])
		x.pass(minute)
		refs, err := x.s.Groups(ctx, last.Next, 10)
		if err != nil {
			t.Fatal(err)
		}
		ref := refs[len(refs)-1]
		if !ref.Live || last.Live && (ref.First != last.First || ref.Next != last.Next+1) {
			t.Fatalf("live is %+v after %+v", ref, last)
		}
		g := x.checkGroup(ref, map[merkle.Hash][]byte{})
		if last.Live { // what was named before can still be had
			for _, o := range x.keptObjects(last) {
				if _, err := x.s.SealedObject(ctx, last.First, o); err != nil {
					t.Fatalf("an object of the live group before: %v", err)
				}
			}
		}
		if len(g.Batches) != int(ref.Next-ref.First) {
			t.Fatalf("%d batches in %+v", len(g.Batches), ref)
		}
		last = ref
		if again, err := x.s.Groups(ctx, 0, 10); err != nil || again[len(again)-1] != ref {
			t.Fatalf("listed again it is %+v: %v", again[len(again)-1], err)
		}
	}
	if refs, err := x.s.Groups(ctx, last.Next, 10); err != nil || len(refs) != 0 {
		t.Fatalf("behind the newest group are %+v: %v", refs, err)
	}
	x.pass(16 * minute)
	x.seal()
	refs, err := x.s.Groups(ctx, last.First, 1)
	if err != nil || len(refs) != 1 || refs[0].Live || refs[0].First != last.First || refs[0].Next < last.Next {
		t.Fatalf("after sealing %+v: %v", refs, err)
	}
	sealed := x.checkGroup(refs[0], map[merkle.Hash][]byte{})
	for _, o := range sealed.Objects {
		if o.Hash == last.Object {
			t.Fatal("a sealed object is one of the live group")
		}
	}
	if _, err := x.s.SealedObject(ctx, last.First, merkle.Hash{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an object that nobody has: %v", err)
	}
	if _, err := x.s.GroupObject(ctx, last.First+1); !errors.Is(err, ErrNotFound) {
		t.Errorf("a group that begins nowhere: %v", err)
	}
}

// keptObjects lists the hashes of a live group that is kept.
func (x *site) keptObjects(ref GroupRef) (out []merkle.Hash) {
	g := x.s.live.find(func(g *liveGroup) bool { return g.ref == ref })
	if g == nil {
		x.t.Fatalf("the live group %+v is not kept", ref)
	}
	for h := range g.objects {
		out = append(out, h)
	}
	return out
}

// TestLiveBeforeSealing holds sealing up over two borders: what has ended is live
// too, hour by hour.
func TestLiveBeforeSealing(t *testing.T) {
	x := newSite(t, 3)
	x.s.sealing.Lock()
	defer x.s.sealing.Unlock()
	for range 20 {
		x.send(x.nodes[:2]...)
		x.pass(minute)
	}
	r := x.s.reader()
	defer r.close()
	var tree merkle.Tree
	first, groups := uint64(0), 0
	for ; first < r.v.signed; groups++ {
		b, err := r.batchesOfHour(first, r.v.signed)
		if err != nil {
			t.Fatal(err)
		}
		l, err := r.makeLive(context.Background(), b, drawNonce(), noHash)
		if err != nil {
			t.Fatal(err)
		}
		k := x.keyOf(share.Ledger, l.ref.Hour)
		g, err := OpenGroup(k, x.s.keys.id, l.ref.Hour, first, l.object)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(g.Check(x.headers(l.ref), k), g.CheckStatements(&tree)); err != nil {
			t.Fatal(err)
		}
		for _, o := range g.Objects {
			x.checkKeys(g, &o, l.objects[o.Hash])
		}
		first = b.next
	}
	if groups != 2 {
		t.Errorf("20 minutes in two quarter hours made %d groups", groups)
	}
}

// TestLiveAgain makes objects again that were too much to keep.
func TestLiveAgain(t *testing.T) {
	x := newSite(t, 2)
	x.send(x.nodes...)
	x.pass(minute)
	refs, err := x.s.Groups(context.Background(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	kept := x.s.live.find(func(g *liveGroup) bool { return g.ref == refs[0] })
	for h := range kept.objects {
		kept.objects[h] = nil
	}
	x.checkGroup(refs[0], map[merkle.Hash][]byte{})
}

// TestLiveIsBounded adds groups that are too large together.
func TestLiveIsBounded(t *testing.T) {
	var c liveGroups
	for i := range 20 {
		c.add(&liveGroup{bytes: liveBytes/2 + 1, group: batchGroup{first: uint64(i)}})
		if len(c.kept.all) != 1 {
			t.Fatalf("%d groups of more than half of what may be kept", len(c.kept.all))
		}
	}
	for i := range 20 {
		c.add(&liveGroup{bytes: 1, group: batchGroup{first: uint64(i)}})
	}
	if n := len(c.kept.all); n != liveKept || c.kept.all[n-1].group.first != 19 {
		t.Fatalf("%d groups are kept, want %d", n, liveKept)
	}
}

// TestGroupsStayUnderTheCheckpoint holds signing back.
func TestGroupsStayUnderTheCheckpoint(t *testing.T) {
	x := newSite(t, 1)
	x.pass(20 * minute)
	x.seal()
	if err := x.s.HoldSigning(context.Background(), "a test"); err != nil {
		t.Fatal(err)
	}
	_, signed, _ := x.s.Checkpoint()
	x.pass(40 * minute)
	x.seal()
	refs, err := x.s.Groups(context.Background(), 0, 100)
	if err != nil || len(refs) == 0 {
		t.Fatal(refs, err)
	}
	if next := refs[len(refs)-1].Next; next != signed || refs[len(refs)-1].Live {
		t.Errorf("sealed groups lead up to batch %d, signed are %d", next, signed)
	}
	if err := x.s.AllowSigning(context.Background()); err != nil {
		t.Fatal(err)
	}
	x.copyAll()
	if n, err := x.s.Groups(context.Background(), 0, 1); err != nil || len(n) != 1 {
		t.Errorf("asked for one group came %d: %v", len(n), err)
	}
}

// TestGroupsBehind asks for groups when more than a few quarter hours wait to be
// sealed.
func TestGroupsBehind(t *testing.T) {
	x := newSite(t, 1)
	x.s.sealing.Lock()
	for range 5 {
		x.pass(15 * minute)
	}
	if from := x.s.view.Load().state.SealFrom; from != 0 {
		t.Fatalf("sealed up to %d in spite of the lock", from)
	}
	x.s.sealing.Unlock()
	x.copyAll()
	if _, err := x.s.live.groups(context.Background(), x.s, 0, 0, 10); !errors.Is(err, errSealed) {
		t.Errorf("live groups of what is sealed: %v", err)
	}
}

// TestMadeGroups fills what keeps group objects.
func TestMadeGroups(t *testing.T) {
	var m madeGroups
	for i := range uint64(20) {
		m.put(i, make([]byte, madeBytes/4))
	}
	if m.get(15) != nil || m.get(16) == nil || m.get(19) == nil || m.bytes != madeBytes {
		t.Errorf("%d group objects of %d bytes are kept", len(m.all), m.bytes)
	}
}

// TestObserverSeesNothing compares what one who sees sizes alone sees of a stream
// that sent and of one that did not.
func TestObserverSeesNothing(t *testing.T) {
	sizes := func(send bool) (out []int64) {
		x := newSite(t, 3)
		x.pass(16 * minute)
		for range 10 {
			if x.pass(minute); send {
				x.send(x.nodes[0])
			}
		}
		x.pass(10 * minute)
		c := x.copyAll()
		g := c.groups[len(c.groups)-2]
		for _, o := range g.Objects {
			if o.Compartment != share.Site {
				out = append(out, o.Size)
			}
		}
		return append(out, c.refs[len(c.groups)-2].Size)
	}
	silent, sent := sizes(false), sizes(true)
	if !slices.Equal(silent, sent) {
		t.Errorf("sizes without readings %d, with ten %d", silent, sent)
	}
}

// TestFsckFindsAnotherGroup damages what a group object is made of.
func TestFsckFindsAnotherGroup(t *testing.T) {
	x := newSite(t, 2)
	x.send(x.nodes...)
	x.pass(20 * minute)
	x.seal()
	x.pass(minute)
	x.check()
	refs, err := x.s.Groups(context.Background(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	key := x.s.keys.segment(segmentKey{Hour: uint32(refs[0].Hour), First: refs[0].First, Compartment: share.Ledger})
	val, closer, err := x.s.db.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	val = slices.Clone(val)
	closer.Close()
	val[len(val)-1]++ // the last object's length
	if err := x.s.db.Set(key, val, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.GroupObject(context.Background(), refs[0].First); !errors.Is(err, ErrDamaged) {
		t.Errorf("made again: %v, want ErrDamaged", err)
	}
	rep, err := x.s.Fsck(context.Background(), FsckOptions{})
	if err != nil || rep.OK() {
		t.Errorf("fsck found nothing: %v", err)
	}
}

func TestStatementLeavesLimits(t *testing.T) {
	x := newSite(t, 1)
	n := x.s.Statements()
	for _, r := range [][2]uint64{{1, 0}, {0, n + 1}} {
		if _, err := x.s.StatementLeaves(r[0], r[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("leaves %d to %d: %v", r[0], r[1], err)
		}
	}
	if all, err := x.s.StatementLeaves(n, n); err != nil || len(all) != 0 {
		t.Errorf("no leaves: %d, %v", len(all), err)
	}
}

// TestGroupIsCut has quarter hours of more leaves than one group may have: each
// becomes several groups, and none before it has ended.
func TestGroupIsCut(t *testing.T) {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1), opt: Options{leaves: 5 * 8}}
	x.open()
	n := x.addDevice()
	for range 40 {
		x.send(n)
		x.pass(minute)
		x.copyAll()
	}
	x.pass(16 * minute)
	c := x.copyAll()
	x.check()
	hours := map[share.Hour]int{}
	for _, g := range c.groups {
		if len(g.Batches) > 5 {
			t.Errorf("a group of %d batches", len(g.Batches))
		}
		hours[g.Hour]++
	}
	if hour := c.groups[0].Hour + 1; hours[hour] != 3 {
		t.Errorf("groups by quarter hour are %v, want 3 in %d", hours, hour)
	}
}

// TestOldGroups follows a ledger that sealed quarter hours before there were
// objects: those have none, and what comes then has all.
func TestOldGroups(t *testing.T) {
	for _, f := range formats {
		t.Run(f.dir, func(t *testing.T) {
			x := f.open(t)
			x.seal()
			if _, err := x.s.GroupObject(t.Context(), 0); !errors.Is(err, ErrOldGroup) {
				t.Errorf("the first group: %v, want ErrOldGroup", err)
			}
			if _, err := x.s.SealedObject(t.Context(), 0, merkle.Hash{}); !errors.Is(err, ErrOldGroup) {
				t.Errorf("its object: %v, want ErrOldGroup", err)
			}
			x.pass(20 * minute)
			x.seal()
			refs, err := x.s.Groups(t.Context(), 0, 100)
			if err != nil || len(refs) < 2 {
				t.Fatal(refs, err)
			}
			for i, ref := range refs {
				if i > 0 && ref.First != refs[i-1].Next {
					t.Errorf("group %d comes after %d", ref.First, refs[i-1].Next)
				}
				x.checkGroup(ref, map[merkle.Hash][]byte{})
			}
			x.check()
		})
	}
}

// TestCopyWhileSealing takes groups while windows close and quarter hours are
// sealed: what is listed follows without a hole.
func TestCopyWhileSealing(t *testing.T) {
	x := newSite(t, 2)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		var err error
		for from := uint64(0); err == nil; {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			var refs []GroupRef
			if refs, err = x.s.Groups(context.Background(), from, 100); err != nil {
				break
			}
			for i, ref := range refs {
				if i > 0 && ref.First != refs[i-1].Next {
					err = fmt.Errorf("group %d comes after %d", ref.First, refs[i-1].Next)
				}
				if _, e := x.s.GroupObject(context.Background(), ref.First); e != nil && err == nil && !ref.Live {
					err = e
				}
				if !ref.Live {
					from = ref.Next
				}
			}
		}
		done <- err
	}()
	for range 60 {
		x.send(x.nodes...)
		x.pass(minute)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	x.copyAll()
}
