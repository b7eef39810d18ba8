package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

const (
	// fetchedAtOnce is how many objects of a group are fetched at the same time.
	fetchedAtOnce = 4
	// listedWithin is within how many groups, and batches since a copy has it, the log
	// has to list what was given.
	listedWithin = 16
	// maxUnlisted is how many groups with such objects are remembered.
	maxUnlisted = 4096
	// maxMissing is how many missing objects are remembered, and asked for again.
	maxMissing = 100_000
	// maxRounds is how often the log may grow under one pass.
	maxRounds = 5
)

// errLater says that the rest has to wait for the next pass, and that nothing is
// wrong.
var errLater = errors.New("later")

// errReplaced says that a live group is not the one any more that was announced.
var errReplaced = errors.New("the live group was replaced")

// followGroups takes the groups that the copy lacks, up to its checkpoint.
func (p *pass) followGroups(ctx context.Context) error {
	for round := 0; round < maxRounds; {
		next := p.c.st.Next
		refs, err := p.src.Groups(ctx, next)
		if err != nil {
			return p.failed("the list of groups", err)
		}
		if a := checkRefs(refs, next); a != nil {
			return a
		}
		beyond, err := p.takeGroups(ctx, refs)
		switch {
		case errors.Is(err, errLater):
			return nil
		case errors.Is(err, errReplaced) && round+1 == maxRounds:
			return alarmf(FalseGroup, "what the source gives for its live groups is not what it announces, %d times in a row", maxRounds)
		case err != nil && !errors.Is(err, errReplaced):
			return err
		case beyond || err != nil:
			// A window was closed meanwhile: the groups are of a newer checkpoint.
			round++
			if err := p.followLog(ctx); err != nil {
				return err
			}
			continue
		case p.c.st.Next > next && len(refs) > 0 && !refs[len(refs)-1].Live:
			continue // there may be more
		}
		return p.reached(refs)
	}
	return nil
}

// reached holds that the groups lead up to the checkpoint.
func (p *pass) reached(refs []store.GroupRef) error {
	c := p.c
	next := c.st.Next
	if n := len(c.live); n > 0 {
		next = c.live[n-1].Ref.Next
	}
	if next >= max(c.head.Size, c.begin) || len(refs) > 0 && refs[len(refs)-1].Next >= c.head.Size {
		return nil
	}
	return alarmf(MissingGroup, "the log has %d batches, and no group has those from %d on", c.head.Size, next)
}

// checkRefs holds that an answer about groups is one that a true source gives.
func checkRefs(refs []store.GroupRef, from uint64) *Alarm {
	if len(refs) > MaxGroups {
		return alarmf(FalseAnswer, "%d groups in one answer, at most %d", len(refs), MaxGroups)
	}
	for i, r := range refs {
		switch {
		case r.First >= r.Next || r.Next > merkle.MaxSize || r.Next <= from:
			return alarmf(FalseAnswer, "a group of batches %d to %d, asked from %d on", r.First, r.Next, from)
		case i > 0 && r.First != refs[i-1].Next:
			return alarmf(MissingGroup, "no group has the batches %d to %d", refs[i-1].Next, r.First)
		case i > 0 && refs[i-1].Live && !r.Live:
			return alarmf(FalseAnswer, "the group of batch %d is sealed, and that before it is not", r.First)
		case r.Hour >= share.Hours:
			return alarmf(FalseAnswer, "group %d is of the hour %d, which there is not", r.First, r.Hour)
		case r.Size <= 0 || r.Size > maxGroupBytes:
			return alarmf(FalseAnswer, "group %d has %d bytes, at most %d", r.First, r.Size, maxGroupBytes)
		}
	}
	return nil
}

// takeGroups takes those groups of an answer that end within the checkpoint. beyond
// says that there are others.
func (p *pass) takeGroups(ctx context.Context, refs []store.GroupRef) (beyond bool, err error) {
	c := p.c
	defer func() {
		if kerr := c.keepState(); kerr != nil {
			err = errors.Join(err, kerr)
		}
	}()
	var live []store.GroupRef
	for _, ref := range refs {
		if ref.Next > c.head.Size {
			beyond = true
			break
		}
		if len(c.groups) == 0 && len(live) == 0 && (ref.First < c.begin || !p.keyed(ref.Hour)) {
			continue // of before this copy's time
		}
		if err := p.follows(ref, live); err != nil {
			return false, err
		}
		if ref.Live {
			live = append(live, ref)
			continue
		}
		if err := p.takeSealed(ctx, ref); err != nil {
			return false, err
		}
		p.tell(Progress{Phase: "groups", Done: ref.Next, Of: c.head.Size})
	}
	if beyond {
		return true, nil
	}
	if err := c.keepState(); err != nil {
		return false, err
	}
	return false, p.takeLive(ctx, live)
}

// follows holds that a group continues what the copy has. The first one may come
// after batches that the copy is not about.
func (p *pass) follows(ref store.GroupRef, live []store.GroupRef) error {
	c := p.c
	want := c.st.Next
	if n := len(live); n > 0 {
		want = live[n-1].Next
	} else if len(c.groups) == 0 {
		want = max(want, c.begin)
		if ref.First >= want && p.before(want, ref.First) {
			return nil
		}
	}
	if ref.First != want {
		return alarmf(MissingGroup, "no group has the batches %d to %d", want, ref.First)
	}
	return nil
}

// before reports whether the batches from…to-1 are of hours that the keys do not
// open, so that their groups are none of this copy's.
func (p *pass) before(from, to uint64) bool {
	var last share.Hour
	for at := from; at < to; {
		end := min(at/tileWidth*tileWidth+tileWidth, to)
		entries, err := p.c.tiles.entries(at, end, p.c.head.Size)
		if err != nil {
			return false
		}
		for _, e := range entries {
			h, err := ledger.ParseHeader(e)
			if err != nil {
				return false
			}
			hour, err := share.HourOf(h.From)
			if err != nil || hour != last && p.keyed(hour) {
				return false
			}
			last = hour
		}
		at = end
	}
	return true
}

// keyed reports whether the keys open an hour's groups.
func (p *pass) keyed(h share.Hour) bool {
	_, err := p.keys.Key(ledgerName, h)
	return err == nil
}

// opened is a group that was checked against the log.
type opened struct {
	ref     store.GroupRef
	key     share.HourKey
	g       *store.Group
	raw     []byte
	tree    merkle.Tree       // of statements, after its last batch
	wanted  []store.ObjectRef // of its objects, those that this copy keeps
	fetched map[merkle.Hash][]byte
	missing []missing
	items   []Statement // private statements
}

// key is the ledger's key of a group's hour, asked for again if it is not at hand.
func (p *pass) key(ctx context.Context, ref store.GroupRef) (share.HourKey, error) {
	k, err := p.keys.Key(ledgerName, ref.Hour)
	if err != nil && p.offer(ctx) {
		k, err = p.keys.Key(ledgerName, ref.Hour)
	}
	if err != nil {
		if e, ok := p.keys.(interface{ Ended(h share.Hour) bool }); ok && e.Ended(ref.Hour) {
			return k, errLater // and that will not change
		}
		if late := p.c.now().UnixMilli() - ref.Hour.End(); late < keysWithin.Milliseconds() {
			return k, errLater // not released yet
		}
		return k, alarmf(NoKeys, "the keys of the grant do not open the hour of group %d: %w", ref.First, err)
	}
	return k, nil
}

// open fetches a group object and holds it against the log. tree is that of the
// statements before it.
func (p *pass) openGroup(ctx context.Context, ref store.GroupRef, tree merkle.Tree) (*opened, error) {
	c := p.c
	k, err := p.key(ctx, ref)
	if err != nil {
		return nil, err
	}
	raw, err := p.src.Group(ctx, ref)
	switch {
	case ref.Live && (err == nil && hashOf(raw) != ref.Object || errors.Is(err, ErrNotFound) || errors.Is(err, ErrTooLong)):
		return nil, errReplaced
	case errors.Is(err, ErrNotFound):
		return nil, alarmf(MissingGroup, "the object of group %d: %w", ref.First, err)
	case err != nil:
		return nil, p.failed(fmt.Sprintf("the object of group %d", ref.First), err)
	case int64(len(raw)) != ref.Size || hashOf(raw) != ref.Object:
		return nil, alarmf(FalseGroup, "the object of group %d is not the one that was announced", ref.First)
	}
	return c.check(ref, k, raw, tree)
}

// check opens a group object and holds it against the headers of its batches.
func (c *Copy) check(ref store.GroupRef, k share.HourKey, raw []byte, tree merkle.Tree) (*opened, error) {
	g, err := store.OpenGroup(k, c.id.Ledger, ref.Hour, ref.First, raw)
	if err != nil {
		return nil, alarmf(FalseGroup, "group %d: %w", ref.First, err)
	}
	if g.Next != ref.Next {
		return nil, alarmf(FalseGroup, "group %d was announced up to batch %d, and goes up to %d", ref.First, ref.Next, g.Next)
	}
	headers, err := c.tiles.entries(ref.First, ref.Next, c.head.Size)
	if err != nil {
		return nil, err
	}
	if err := g.Check(headers, k); err != nil {
		return nil, alarmf(FalseGroup, "group %d does not fit the log: %w", ref.First, err)
	}
	o := &opened{ref: ref, key: k, g: g, raw: raw, tree: tree, fetched: map[merkle.Hash][]byte{}}
	return o, o.statements()
}

// statements holds that the leaves of a group continue those before it, and lead to
// the roots that its batches name.
func (o *opened) statements() error {
	g := o.g
	if g.FirstStatement != o.tree.Size() {
		return alarmf(FalseStatements, "group %d begins with statement %d, those before it end with %d", g.First, g.FirstStatement, o.tree.Size())
	}
	left := g.Statements
	for i := range g.Batches {
		b := &g.Batches[i]
		for o.tree.Size() < b.Statements.Size && len(left) > 0 {
			o.tree.Append(left[0].Leaf)
			left = left[1:]
		}
		if o.tree.Size() != b.Statements.Size || o.tree.Root() != b.Statements.Root {
			return alarmf(FalseStatements, "batch %d names %d statements with the root %v, and the group's lead to %d with %v",
				g.First+uint64(i), b.Statements.Size, b.Statements.Root, o.tree.Size(), o.tree.Root())
		}
	}
	if len(left) > 0 {
		return alarmf(FalseStatements, "group %d has %d statements that no batch of it names", g.First, len(left))
	}
	return nil
}

// statementsBefore returns the tree of the statements before the next sealed group.
// If there is no group yet, the leaves come from the source; the group's batches
// then say whether they are the right ones.
func (p *pass) statementsBefore(ctx context.Context, ref store.GroupRef) (merkle.Tree, []merkle.Hash, error) {
	c := p.c
	var tree merkle.Tree
	if p.treeOf == ref.First && ref.First > 0 {
		return p.tree, nil, nil
	}
	if len(c.groups) > 0 || ref.First == 0 {
		for _, leaf := range c.leaves[:c.st.Statements] {
			tree.Append(leaf)
		}
		return tree, nil, nil
	}
	return p.fetchLeaves(ctx, ref)
}

// fetchLeaves fetches the statements before a copy's first group. How many there
// are, the group says, and the log: without that a source could name any number.
// The leaves are held against the group's batches later.
func (p *pass) fetchLeaves(ctx context.Context, ref store.GroupRef) (tree merkle.Tree, leaves []merkle.Hash, err error) {
	k, err := p.key(ctx, ref)
	if err != nil {
		return tree, nil, err
	}
	raw, err := p.src.Group(ctx, ref)
	if err != nil {
		return tree, nil, p.failed("the first group", err)
	}
	g, err := store.OpenGroup(k, p.c.id.Ledger, ref.Hour, ref.First, raw)
	if err != nil {
		return tree, nil, alarmf(FalseGroup, "group %d: %w", ref.First, err)
	}
	headers, err := p.c.tiles.entries(g.First, min(g.Next, p.c.head.Size), p.c.head.Size)
	if err != nil {
		return tree, nil, err
	}
	if err := g.Check(headers, k); err != nil {
		return tree, nil, alarmf(FalseGroup, "group %d does not fit the log: %w", ref.First, err)
	}
	for uint64(len(leaves)) < g.FirstStatement {
		from := uint64(len(leaves))
		to := min(from+MaxLeaves, g.FirstStatement)
		some, err := p.src.StatementLeaves(ctx, from, to)
		if err != nil || uint64(len(some)) != to-from {
			return tree, nil, p.failed("the statements", fmt.Errorf("%d to %d: %d came: %w", from, to, len(some), err))
		}
		leaves = append(leaves, some...)
	}
	for _, leaf := range leaves {
		tree.Append(leaf)
	}
	return tree, leaves, nil
}

// takeSealed makes a sealed group part of the copy. The order of the writes, and
// what a crash after each leaves:
//
//	objects, group object, their folder   files that the next pass writes again
//	leaves of statements                  leaves that were checked
//	record of the index                   a record beyond the state, written again
//	state                                 the group is here; once for some groups
func (p *pass) takeSealed(ctx context.Context, ref store.GroupRef) error {
	c := p.c
	tree, earlier, err := p.statementsBefore(ctx, ref)
	if err != nil {
		return err
	}
	o, err := p.openGroup(ctx, ref, tree)
	if err != nil {
		return err
	}
	st := c.st
	st.Unlisted = slices.Clone(st.Unlisted)
	if err := p.list(o, &st); err != nil {
		return err
	}
	o.note(&st, c.head.Size)
	if err := p.fetch(ctx, o); err != nil {
		return err
	}
	if err := p.openPrivate(o); err != nil {
		return err
	}
	if err := c.putFiles(o); err != nil {
		return err
	}
	if err := c.putLeaves(earlier, o); err != nil {
		return err
	}
	if err := c.putRecord(ref); err != nil {
		return err
	}
	st.Next, st.Statements = ref.Next, o.tree.Size()
	if len(o.g.Statements) > 0 {
		st.Noted = append(slices.Clip(st.Noted), ref.First)
	}
	st.Missing = append(slices.Clip(st.Missing), o.missing...)
	st.Missing = st.Missing[:min(len(st.Missing), maxMissing)]
	if err := p.learn(o, &st); err != nil {
		return err
	}
	c.setSealed(st, ref)
	p.tree, p.treeOf = o.tree, ref.Next
	if time.Since(c.unwritten) >= stateEvery {
		if err := c.keepState(); err != nil {
			return err
		}
	}
	c.sweepGroup(ref.First, o.named())
	return nil // retry says what is still missing once all statements are known
}

// goneWithin is how long a source may say that it has an object no more before a
// statement says why: it is recorded first, and under a checkpoint a window later.
const goneWithin = time.Hour

func (m missing) alarm(now time.Time) *Alarm {
	if m.Gone != 0 && now.Sub(time.UnixMilli(m.Gone)) < goneWithin {
		return alarmf(NoMore, "group %d, compartment %s, object %.16s…: %s; no statement says why yet", m.First, m.Name, m.Hash, m.Why)
	}
	return alarmf(MissingObject, "group %d, compartment %s, object %.16s…: %s", m.First, m.Name, m.Hash, m.Why)
}

// list holds the objects that the group's headers list against those that were
// given before.
func (p *pass) list(o *opened, st *state) error {
	for i := range o.g.Batches {
		for _, s := range o.g.Batches[i].Listed {
			if err := st.listed(o.g.First+uint64(i), s.Segment); err != nil {
				return errors.Join(err, p.c.forget(s.First))
			}
		}
	}
	return nil
}

// note notes the group's own objects, to be listed by headers after a log of size.
func (o *opened) note(st *state, size uint64) {
	own := unlisted{First: o.g.First, Statements: o.g.FirstStatement, Seen: size}
	own.Objects = append(own.Objects, listedObject{share.Ledger, 0, o.ref.Object.String()})
	for _, ref := range o.g.Objects {
		own.Objects = append(own.Objects, listedObject{ref.Compartment, ref.Part, ref.Hash.String()})
	}
	st.Unlisted = append(st.Unlisted, own)
	st.Unlisted = st.Unlisted[max(0, len(st.Unlisted)-maxUnlisted):]
}

// checkListed holds that the log has listed what was given, but for the newest
// groups, and those that the log had no time to list since they were given: after a
// gateway was off, many are sealed at once, and the next windows' headers list them.
// What the live groups list counts; without them nothing can be said.
func (p *pass) checkListed(context.Context) error {
	all, n := p.unlisted, len(p.c.groups)
	switch {
	case len(all) == 0 || n <= listedWithin || all[0].First >= p.c.groups[n-listedWithin].First:
		return nil
	case p.c.head.Size-min(all[0].Seen, p.c.head.Size) <= listedWithin:
		return nil
	}
	return alarmf(UnlistedObject, "the log has not listed %d objects of group %d, up to batch %d", len(all[0].Objects), all[0].First, p.c.st.Next)
}

// forget takes a group that was not the log's out of the copy, and those after it:
// they are fetched again. What was given as its object stays as evidence. Objects
// that were struck off as listed before need not be listed again.
func (c *Copy) forget(first uint64) error {
	i, ok := c.find(first)
	k := slices.IndexFunc(c.st.Unlisted, func(u unlisted) bool { return u.First == first })
	if !ok || k < 0 {
		return nil
	}
	if raw, err := readLimited(c.groupPath(first), maxGroupBytes); err == nil {
		name := fmt.Sprintf("other-object-%d-%x.group", first, c.groups[i].Object[:4])
		if err := makeDir(filepath.Join(c.dir, evidenceDir)); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(c.dir, evidenceDir, name), raw, 0o600); err != nil {
			return err
		}
	}
	st := c.st
	st.Next, st.Statements = first, st.Unlisted[k].Statements
	st.Unlisted = slices.DeleteFunc(slices.Clone(st.Unlisted), func(u unlisted) bool { return u.First >= first })
	st.Noted = slices.DeleteFunc(slices.Clone(st.Noted), func(n uint64) bool { return n >= first })
	st.Missing = slices.DeleteFunc(slices.Clone(st.Missing), func(m missing) bool { return m.First >= first })
	st.Kept = nil
	if i == 0 {
		st.Next = 0
	}
	if err := c.putState(st); err != nil {
		return err
	}
	c.mu.Lock()
	c.groups, c.live = slices.Clone(c.groups[:i]), nil
	c.mu.Unlock()
	return nil
}

// listed strikes an object off those that are to be listed. What a header lists of
// groups before the copy's first is nothing that it could know.
func (st *state) listed(batch uint64, s ledger.Segment) error {
	i := slices.IndexFunc(st.Unlisted, func(u unlisted) bool { return u.First == s.First })
	if i < 0 {
		return nil
	}
	u := &st.Unlisted[i]
	k := slices.IndexFunc(u.Objects, func(o listedObject) bool { return o.Compartment == s.Compartment && o.Part == s.Part })
	switch {
	case k < 0:
		return alarmf(OtherObject, "batch %d lists an object of compartment %d in group %d that the group does not name", batch, s.Compartment, s.First)
	case u.Objects[k].Hash != s.Sealed.String():
		return alarmf(OtherObject, "batch %d lists another object of compartment %d in group %d than was given", batch, s.Compartment, s.First)
	}
	u.Objects = slices.Delete(slices.Clone(u.Objects), k, k+1)
	if len(u.Objects) == 0 {
		st.Unlisted = slices.Delete(st.Unlisted, i, i+1)
	}
	return nil
}

// named are the names of a group's files.
func (o *opened) named() map[string]bool {
	all := map[string]bool{}
	for _, ref := range o.g.Objects {
		all[ref.Hash.String()] = true
	}
	return all
}

// fetch fetches the objects that this copy keeps of a group.
func (p *pass) fetch(ctx context.Context, o *opened) error {
	for _, ref := range o.g.Objects {
		if ref.Size < 0 || ref.Size > maxObject {
			return alarmf(FalseGroup, "group %d names an object of %d bytes, at most %d", o.g.First, ref.Size, maxObject)
		}
		if p.keys.Wants(ref.Name) && !p.c.expired(ref.Name, o.g.Hour) {
			o.wanted = append(o.wanted, ref)
		}
	}
	var (
		mu    sync.Mutex
		first error
		wg    sync.WaitGroup
		slots = make(chan struct{}, fetchedAtOnce)
	)
	fctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, ref := range o.wanted {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			b, err := p.object(fctx, o.g.First, ref)
			if o.ref.Live && len(Alarms(err)) > 0 && Alarms(err)[0].Kind == FalseObject {
				err = errReplaced
			}
			mu.Lock()
			defer mu.Unlock()
			var lost *lostError
			switch {
			case err == nil:
				o.fetched[ref.Hash] = b
			case errors.As(err, &lost):
				if !p.c.excused(ref.Name, o.g.Hour) {
					o.missing = append(o.missing, p.lost(missing{First: o.g.First, Name: ref.Name, Hash: ref.Hash.String(), Size: ref.Size}, lost))
				}
			case first == nil:
				first = err
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

// lost notes what a source answered, and since when it says that an object is gone.
func (p *pass) lost(m missing, err *lostError) missing {
	m.Why = err.Error()
	if !errors.Is(err, ErrGone) {
		m.Gone = 0
	} else if m.Gone == 0 {
		m.Gone = p.c.now().UnixMilli()
	}
	return m
}

// lostError says that a source does not have an object.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// object fetches one object, or takes it from the folder if it is there.
func (p *pass) object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	if b, err := readLimited(filepath.Join(p.c.groupDir(first), ref.Hash.String()), ref.Size); err == nil && hashOf(b) == ref.Hash {
		return b, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := p.src.Object(ctx, first, ref)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrGone), errors.Is(err, ErrRefused):
		return nil, &lostError{err}
	case err != nil:
		return nil, p.failed(fmt.Sprintf("an object of group %d", first), err)
	case int64(len(b)) != ref.Size || hashOf(b) != ref.Hash:
		return nil, alarmf(FalseObject, "group %d, compartment %s: %d bytes that do not hash to %v", first, ref.Name, len(b), ref.Hash)
	}
	return b, nil
}

// putFiles writes a group's files.
func (c *Copy) putFiles(o *opened) error {
	dir := c.groupDir(o.g.First)
	if err := makeDir(dir); err != nil {
		return err
	}
	for h, b := range o.fetched {
		path := filepath.Join(dir, h.String())
		if info, err := os.Stat(path); err == nil && info.Size() == int64(len(b)) {
			continue // it was checked when it was read
		}
		if err := writeUnsynced(path, b, 0o600); err != nil {
			return err
		}
	}
	if err := writeUnsynced(filepath.Join(dir, groupFile), o.raw, 0o600); err != nil {
		return err
	}
	return syncDir(dir)
}

// putLeaves appends the leaves of a group's statements, after earlier ones where it
// is the first group.
func (c *Copy) putLeaves(earlier []merkle.Hash, o *opened) error {
	leaves, from := c.leaves, uint64(len(c.leaves))
	if from >= o.tree.Size() {
		return nil // a live group brought them
	}
	if earlier != nil {
		leaves, from = earlier, 0
	}
	for i := uint64(len(leaves)) - o.g.FirstStatement; i < uint64(len(o.g.Statements)); i++ {
		leaves = append(leaves, o.g.Statements[i].Leaf)
	}
	b := make([]byte, 0, (uint64(len(leaves))-from)*merkle.HashSize)
	for _, leaf := range leaves[from:] {
		b = append(b, leaf[:]...)
	}
	if err := writeAt(filepath.Join(c.dir, statementsFile), int64(from)*merkle.HashSize, b); err != nil {
		return err
	}
	c.mu.Lock()
	c.leaves = leaves
	c.mu.Unlock()
	return nil
}

// takeLive takes the live groups, all of them or none: those that changed since the
// list was made are the next pass's.
func (p *pass) takeLive(ctx context.Context, refs []store.GroupRef) error {
	c := p.c
	var tree merkle.Tree
	var earlier []merkle.Hash
	live := []liveGroup{}
	var all []*opened
	p.unlisted = nil
	listed := c.st // what the live ones list is struck off for good once they are sealed
	listed.Unlisted = slices.Clone(listed.Unlisted)
	for i, ref := range refs {
		if i == 0 {
			var err error
			if tree, earlier, err = p.statementsBefore(ctx, ref); err != nil {
				return err
			}
		}
		o, err := p.openLive(ctx, ref, tree)
		if err != nil {
			return err
		}
		if err := p.list(o, &listed); err != nil {
			return err
		}
		if err := p.fetch(ctx, o); err != nil {
			return err
		}
		if len(o.missing) > 0 {
			return errReplaced
		}
		if err := p.openPrivate(o); err != nil {
			return err
		}
		l := liveGroup{Ref: toWire(ref)}
		for name := range o.named() {
			l.Objects = append(l.Objects, name)
		}
		live, all, tree = append(live, l), append(all, o), o.tree
	}
	for _, o := range all {
		if err := c.putFiles(o); err != nil {
			return err
		}
		if err := c.putLeaves(earlier, o); err != nil {
			return err
		}
		earlier = nil
		st := c.st
		if err := p.learn(o, &st); err != nil {
			return err
		}
	}
	b, err := json.Marshal(live)
	if err != nil {
		return err
	}
	if len(live) > 0 || len(c.live) > 0 {
		if err := writeFile(filepath.Join(c.dir, liveFile), append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.live = live
	c.mu.Unlock()
	for _, o := range all {
		c.sweepGroup(o.g.First, o.named())
	}
	p.unlisted = listed.Unlisted
	return nil
}

// openLive opens a live group, from the folder if it has not changed.
func (p *pass) openLive(ctx context.Context, ref store.GroupRef, tree merkle.Tree) (*opened, error) {
	if raw, err := readLimited(p.c.groupPath(ref.First), maxGroupBytes); err == nil && hashOf(raw) == ref.Object {
		k, err := p.key(ctx, ref)
		if err != nil {
			return nil, err
		}
		return p.c.check(ref, k, raw, tree)
	}
	return p.openGroup(ctx, ref, tree)
}

// retry asks again for the objects that were missing.
func (p *pass) retry(ctx context.Context) error {
	c := p.c
	if len(c.st.Missing) == 0 {
		return nil
	}
	var left []missing
	for _, m := range c.st.Missing {
		i, ok := c.find(m.First)
		hash, err := parseHash(m.Hash)
		if !ok || err != nil {
			continue
		}
		hour := c.groups[i].Hour
		if c.excused(m.Name, hour) || c.expired(m.Name, hour) {
			continue
		}
		b, err := p.object(ctx, m.First, store.ObjectRef{Name: m.Name, Hash: hash, Size: m.Size})
		if err == nil {
			err = writeFile(filepath.Join(c.groupDir(m.First), m.Hash), b, 0o600)
		}
		if err != nil {
			var lost *lostError
			if errors.As(err, &lost) {
				m = p.lost(m, lost)
			} else {
				p.raise(err)
			}
			left = append(left, m)
			p.raise(m.alarm(c.now()))
		}
	}
	if slices.Equal(left, c.st.Missing) {
		return nil
	}
	st := c.st
	st.Missing = left
	return c.putState(st)
}
