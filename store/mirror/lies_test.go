package mirror

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
)

// liar is a source that lies in some answers.
type liar struct {
	Source
	checkpoint func([]byte) ([]byte, error)
	tile       func(path string, b []byte) ([]byte, error)
	groups     func([]store.GroupRef) []store.GroupRef
	group      func(ref store.GroupRef, b []byte) ([]byte, error)
	object     func(first uint64, ref store.ObjectRef, b []byte) ([]byte, error)
	leaves     func([]merkle.Hash) []merkle.Hash
	update     func() ([]byte, error)
	bundle     func(n uint64) ([]byte, error)
}

func (l *liar) Checkpoint(ctx context.Context) ([]byte, error) {
	b, err := l.Source.Checkpoint(ctx)
	if err == nil && l.checkpoint != nil {
		return l.checkpoint(bytes.Clone(b))
	}
	return b, err
}

func (l *liar) Tile(ctx context.Context, path string) ([]byte, error) {
	b, err := l.Source.Tile(ctx, path)
	if err == nil && l.tile != nil {
		return l.tile(path, bytes.Clone(b))
	}
	return b, err
}

func (l *liar) Groups(ctx context.Context, from uint64) ([]store.GroupRef, error) {
	all, err := l.Source.Groups(ctx, from)
	if err == nil && l.groups != nil {
		return l.groups(slices.Clone(all)), nil
	}
	return all, err
}

func (l *liar) Group(ctx context.Context, ref store.GroupRef) ([]byte, error) {
	b, err := l.Source.Group(ctx, ref)
	if err == nil && l.group != nil {
		return l.group(ref, bytes.Clone(b))
	}
	return b, err
}

func (l *liar) Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	b, err := l.Source.Object(ctx, first, ref)
	if err == nil && l.object != nil {
		return l.object(first, ref, bytes.Clone(b))
	}
	return b, err
}

func (l *liar) StatementLeaves(ctx context.Context, from, to uint64) ([]merkle.Hash, error) {
	all, err := l.Source.StatementLeaves(ctx, from, to)
	if err == nil && l.leaves != nil {
		return l.leaves(all), nil
	}
	return all, err
}

func (l *liar) Update(ctx context.Context) ([]byte, error) {
	if l.update != nil {
		return l.update()
	}
	return l.Source.Update(ctx)
}

func (l *liar) Bundle(ctx context.Context, n uint64) ([]byte, error) {
	if l.bundle != nil {
		return l.bundle(n)
	}
	return l.Source.Bundle(ctx, n)
}

// resigned signs another head than the site has, by its newest key.
func (s *site) resigned(size uint64, root merkle.Hash) []byte {
	return s.resignedBy(s.key, ledger.Origin(s.id.Ledger), size, root)
}

func (s *site) resignedBy(key ed25519.PrivateKey, origin string, size uint64, root merkle.Hash) []byte {
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: origin, Size: size, Root: root}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	return note
}

// reGroup makes a site that gives another group object for the group of a batch,
// with a true name and reference, after a change of what it says.
func (s *site) reGroup(first uint64, change func(g *store.Group)) Source {
	o := s.fork()
	i := slices.IndexFunc(o.groups, func(r store.GroupRef) bool { return r.First == first })
	ref := o.groups[i]
	g, err := store.OpenGroup(s.hourKey(ledgerName, ref.Hour), s.id.Ledger, ref.Hour, first, s.files[ref.Object])
	if err != nil {
		s.t.Fatal(err)
	}
	change(g)
	object := s.sealBytes(ref.Hour, first, ledgerName, append([]byte{0}, g.Append(nil)...))
	o.files[hashOf(object)] = object
	o.groups[i] = store.GroupRef{First: ref.First, Next: ref.Next, Hour: ref.Hour, Object: hashOf(object), Size: int64(len(object))}
	return o
}

func flipped(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

// TestLies holds a copy against sources that lie, each in one way: the lie is named,
// and the copy is what it would be without the lying part.
func TestLies(t *testing.T) {
	s := newSite(t)
	s.close(4) // five minutes into the quarter hour there are five left
	s.state(ledger.Outage{Gap: ledger.Gap{From: 1, To: 2, Reason: "test"}, Missed: 1}.Statement(s.now()), false)
	s.state(ledger.Grant{Audience: "a", Recipients: []string{"age1x"}, Compartments: []string{"ledger"}, From: s.start}.Statement(s.now()), true)
	s.close(30)
	old := s.fork() // what the copy has followed truly, in each case
	s.state(ledger.Outage{Gap: ledger.Gap{From: 2, To: 3, Reason: "test"}, Missed: 1}.Statement(s.now()), false)
	s.close(40)
	s.state(ledger.Grant{Audience: "b", Recipients: []string{"age1x"}, Compartments: []string{"ledger"}, From: s.start}.Statement(s.now()), true)
	s.close(12)
	next := old.sealed() // the group that comes next

	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := old.fork() // a second history, from what the copy has followed
	other.entries = other.entries[:20]
	other.batches, other.hours, other.recorded, other.statements = other.batches[:20], other.hours[:20], other.recorded[:20], other.statements[:other.recorded[19]]
	other.groups, other.pending = other.groups[:1], nil
	other.close(60)
	same := old.fork() // another one that has just the copy's size
	same.entries, same.batches, same.hours, same.recorded = same.entries[:33], same.batches[:33], same.hours[:33], same.recorded[:33]
	same.closeWindow(same.now(), same.hours[32])
	ref := func(first uint64) int {
		return slices.IndexFunc(s.groups, func(r store.GroupRef) bool { return r.First == first })
	}

	lies := []struct {
		name string
		src  Source
		want Kind
		log  bool // the log is true, and followed; what is beyond it is not
	}{
		{"a second history", other, Fork, false},
		{"a second history of one size", same, Fork, false},
		{"a shorter second history", func() Source {
			o := other.fork()
			o.entries = o.entries[:30]
			return &liar{Source: o}
		}(), Fork, false},
		{"an old checkpoint", func() Source { o := old.fork(); o.entries = o.entries[:10]; return o }(), RolledBack, false},
		{"no checkpoint any more", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) { return nil, ErrNone }}, RolledBack, false},
		{"a checkpoint that a stranger signed", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) {
			return s.resignedBy(stranger, ledger.Origin(s.id.Ledger), uint64(len(s.entries)), s.tree().Root()), nil
		}}, FalseCheckpoint, false},
		{"another log's checkpoint", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) {
			return s.resignedBy(s.key, "cairn/other", uint64(len(s.entries)), s.tree().Root()), nil
		}}, FalseCheckpoint, false},
		{"a checkpoint with a bit flipped", &liar{Source: s, checkpoint: func(b []byte) ([]byte, error) { return flipped(b), nil }}, FalseCheckpoint, false},
		{"no checkpoint at all", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) { return []byte("<html>"), nil }}, FalseCheckpoint, false},
		{"a checkpoint beyond the log", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) {
			return s.resigned(uint64(len(s.entries))+5, s.tree().Root()), nil
		}}, FalseTile, false},
		{"a root that no log has", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) {
			return s.resigned(uint64(len(s.entries)), merkle.Hash{1}), nil
		}}, FalseTile, false},
		{"a checkpoint with extensions", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) {
			note, err := merkle.SignCheckpoint(merkle.Checkpoint{
				Origin: ledger.Origin(s.id.Ledger), Size: uint64(len(s.entries)), Root: s.tree().Root(), Extensions: []string{"x"}}, s.key)
			return note, err
		}}, FalseCheckpoint, false},
		{"a flipped bit in an entry", &liar{Source: s, tile: func(p string, b []byte) ([]byte, error) { return flipped(b), nil }}, FalseTile, false},
		{"a bundle that is cut", &liar{Source: s, tile: func(p string, b []byte) ([]byte, error) { return b[:len(b)-1], nil }}, FalseTile, false},
		{"an entry too many", &liar{Source: s, tile: func(p string, b []byte) ([]byte, error) { return merkle.AppendEntry(b, []byte("x")) }}, FalseTile, false},
		{"a tile that is not there", &liar{Source: s, tile: func(string, []byte) ([]byte, error) { return nil, ErrNotFound }}, FalseTile, false},
		{"an endless tile", &liar{Source: s, tile: func(string, []byte) ([]byte, error) { return nil, ErrTooLong }}, FalseAnswer, false},
		{"an entry that is no header", func() Source { o := s.fork(); o.entries = append(o.entries, []byte("x")); return o }(), FalseHeader, false},
		{"a header of another ledger", func() Source {
			o := s.fork()
			h, _ := ledger.ParseHeader(o.entries[len(o.entries)-1])
			h.Ledger, h.Index = merkle.Hash{9}, uint64(len(o.entries))
			o.entries = append(o.entries, h.Append(nil))
			return o
		}(), FalseHeader, false},
		{"a header twice", func() Source { o := s.fork(); o.entries = append(o.entries, o.entries[5]); return o }(), FalseHeader, false},

		{"groups left out in the middle", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
			return slices.DeleteFunc(all, func(r store.GroupRef) bool { return r.First == s.groups[ref(next)+1].First })
		}}, MissingGroup, true},
		{"the next group left out", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
			return slices.DeleteFunc(all, func(r store.GroupRef) bool { return r.First == next })
		}}, MissingGroup, true},
		{"no groups at all", &liar{Source: s, groups: func([]store.GroupRef) []store.GroupRef { return nil }}, MissingGroup, true},
		{"no live groups", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
			return slices.DeleteFunc(all, func(r store.GroupRef) bool { return r.Live })
		}}, MissingGroup, true},
		{"groups backwards", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef { slices.Reverse(all); return all }}, MissingGroup, true},
		{"a group that ends before it begins", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
			all[0].First, all[0].Next = all[0].Next, all[0].First
			return all
		}}, FalseAnswer, true},
		{"groups without end", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
			return slices.Repeat(all[:1], MaxGroups+1)
		}}, FalseAnswer, true},
		{"a group of an hour that there is not", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef { all[0].Hour = 1 << 30; return all }}, FalseAnswer, true},
		{"a group of another hour", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef { all[0].Hour++; return all }}, FalseGroup, true},
		{"a huge group", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef { all[0].Size = 1 << 50; return all }}, FalseAnswer, true},
		{"a sealed group after a live one", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef { all[0].Live = true; return all }}, FalseAnswer, true},
		{"a group with another end", &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
			all[0].Next, all[1].First = all[0].Next-1, all[1].First-1
			return all
		}}, FalseGroup, true},
		{"a group object that is not there", &liar{Source: s, group: func(store.GroupRef, []byte) ([]byte, error) { return nil, ErrNotFound }}, MissingGroup, true},
		{"a group object with a bit flipped", &liar{Source: s, group: func(_ store.GroupRef, b []byte) ([]byte, error) { return flipped(b), nil }}, FalseGroup, true},
		{"another group's object", &liar{Source: s, group: func(store.GroupRef, []byte) ([]byte, error) { return s.files[s.groups[0].Object], nil }}, FalseGroup, true},
		{"live groups that are never what is announced", &liar{Source: s, group: func(r store.GroupRef, b []byte) ([]byte, error) {
			if r.Live {
				return flipped(b), nil
			}
			return b, nil
		}}, FalseGroup, true},
		{"a group with other leaves", s.reGroup(next, func(g *store.Group) { g.Batches[1].Leaves[2] = merkle.Hash{1} }), FalseGroup, true},
		{"a group with other listed objects", s.reGroup(next, func(g *store.Group) { g.Batches[0].Listed = nil; g.Batches[0].Segments = ledger.SegmentsHead{} }), FalseGroup, true},
		{"a group with fewer statements", s.reGroup(next, func(g *store.Group) { g.Statements = nil }), FalseGroup, true},
		{"a group with an object too many", s.reGroup(next, func(g *store.Group) {
			g.Objects = append(g.Objects, store.ObjectRef{Compartment: 99, Name: "stream/9/data", Hash: merkle.Hash{1}, Size: 512})
		}), OtherObject, true},
		{"a group with an object too few", s.reGroup(next, func(g *store.Group) { g.Objects = g.Objects[:len(g.Objects)-1] }), OtherObject, true},
		{"a group with another object", s.reGroup(next, func(g *store.Group) {
			o := &g.Objects[len(g.Objects)-1]
			o.Hash, o.Size = hashOf(s.files[s.groups[0].Object]), int64(len(s.files[s.groups[0].Object]))
		}), OtherObject, true},
		{"an object with a bit flipped", &liar{Source: s, object: func(_ uint64, _ store.ObjectRef, b []byte) ([]byte, error) { return flipped(b), nil }}, FalseObject, true},
		{"an object that is cut", &liar{Source: s, object: func(_ uint64, _ store.ObjectRef, b []byte) ([]byte, error) { return b[1:], nil }}, FalseObject, true},
		{"an endless object", &liar{Source: s, object: func(uint64, store.ObjectRef, []byte) ([]byte, error) { return nil, ErrTooLong }}, FalseAnswer, true},
		{"an object that is withheld", &liar{Source: s, object: func(first uint64, r store.ObjectRef, b []byte) ([]byte, error) {
			if r.Name == "stream/1/data" && first == next {
				return nil, ErrNotFound
			}
			return b, nil
		}}, MissingObject, true},
		{"no update any more but garbage", &liar{Source: s, update: func() ([]byte, error) { return []byte("garbage"), nil }}, FalseUpdate, true},
		{"another ledger's update", &liar{Source: s, update: func() ([]byte, error) {
			o := newSite(t)
			o.close(1)
			return updateOf(o, o.headAt(1)), nil
		}}, FalseUpdate, true},
		{"an update of a second history", &liar{Source: s, update: func() ([]byte, error) { return updateOf(s, other.headAt(40)), nil }}, Fork, true},
		{"an update with a receipt of nothing", &liar{Source: s, update: func() ([]byte, error) { return updateOf(s, s.headAt(40)), nil }}, FalseUpdate, true},
		{"an update beyond the checkpoint", &liar{Source: s, update: func() ([]byte, error) { return updateOf(s, s.resigned(1<<20, merkle.Hash{1})), nil }}, FalseUpdate, true},
		{"an update by a stranger", &liar{Source: s, update: func() ([]byte, error) {
			return updateOf(s, s.resignedBy(stranger, ledger.Origin(s.id.Ledger), 10, merkle.Hash{1})), nil
		}}, FalseUpdate, true},
		{"a bundle that is none", &liar{Source: s, bundle: func(uint64) ([]byte, error) { return []byte("garbage"), nil }}, FalseBundle, true},
		{"no answer", &liar{Source: s, checkpoint: func([]byte) ([]byte, error) { return nil, errors.New("connection refused") }}, Unreachable, false},
	}
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			dir := t.TempDir()
			c := s.open(dir, Options{})
			follow(t, c, old, s.keys())
			before, holds := sum(t, c), files(t, dir)
			err := c.Follow(t.Context(), lie.src, s.keys(), nil)
			if !raised(err, lie.want) {
				t.Fatalf("got %v, want an alarm %s", err, lie.want)
			}
			if !lie.log && sum(t, c) != before {
				t.Errorf("the lie changed the copy")
			}
			for name, b := range holds {
				if got, err := os.ReadFile(filepath.Join(dir, name)); !lie.log && (err != nil || !bytes.Equal(got, b)) && name != stateFile {
					t.Errorf("the lie changed %s", name)
				}
			}
			evidenceHolds(t, c, lie.want)
			// The truth is still taken, and leads to the same copy as ever.
			if err := c.Follow(t.Context(), s, s.keys(), nil); err != nil {
				t.Fatalf("after the lie the truth is refused: %v", err)
			}
			clean := s.open(t.TempDir(), Options{})
			follow(t, clean, s, s.keys())
			if sum(t, c) != sum(t, clean) {
				t.Errorf("after the lie the truth leads to another copy")
			}
			if again := s.open(dir, Options{}); sum(t, again) != sum(t, clean) || lie.want == Fork && len(again.st.Alarms) != 1 {
				t.Errorf("opened again it is another copy, or has forgotten: %d lasting alarms", len(again.st.Alarms))
			}
		})
	}
}

// updateOf is an update file with one head.
func updateOf(s *site, note []byte) []byte {
	b := proof.NewBuilder([32]byte(s.id.LogKey), s.id.Nonce)
	b.Receipt(proof.Receipt{Route: "ots", Head: b.Head(note), Kind: proof.KindOTS, Data: []byte("nothing")})
	file, err := b.File().Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return file
}

func raised(err error, kind Kind) bool {
	return slices.ContainsFunc(Alarms(err), func(a *Alarm) bool { return a.Kind == kind })
}

// files are all files of a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		all[rel], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// evidenceHolds holds that a fork's evidence proves it to anyone.
func evidenceHolds(t *testing.T, c *Copy, kind Kind) {
	t.Helper()
	if kind != Fork {
		return
	}
	list, err := filepath.Glob(filepath.Join(c.dir, evidenceDir, "*.evidence"))
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d files of evidence, %v", len(list), err)
	}
	b, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	if v := proof.VerifyFraud(b, proof.Options{}); v.Outcome != proof.Verified {
		t.Errorf("the evidence proves nothing: %s", v.Reason)
	}
	notes, err := filepath.Glob(filepath.Join(c.dir, evidenceDir, "*.checkpoint"))
	if err != nil || len(notes) != 2 {
		t.Errorf("got %d signed heads, %v", len(notes), err)
	}
}

// TestLate holds that a log that stopped is noticed.
func TestLate(t *testing.T) {
	s := newSite(t)
	s.close(3)
	now := s.now()
	c := s.open(t.TempDir(), Options{Now: func() time.Time { return time.UnixMilli(now) }})
	follow(t, c, s, s.keys())
	if a := c.Late(3); a != nil {
		t.Errorf("just now it is late: %v", a)
	}
	if got, want := c.Window(), time.Minute; got != want {
		t.Errorf("got windows of %v, want %v", got, want)
	}
	now += 3*60_000 + 1
	if a := c.Late(3); a == nil || a.Kind != LateCheckpoint {
		t.Errorf("got %v after three windows, want it late", a)
	}
}
