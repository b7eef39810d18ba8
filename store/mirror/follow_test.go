package mirror

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
)

func TestFollow(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	c := s.open(dir, Options{})
	for _, n := range []int{1, 3, 20, 300, 7} {
		s.close(n)
		follow(t, c, s, s.keys())
		head, _, ok := c.Head()
		if !ok || head.Size != uint64(len(s.entries)) {
			t.Fatalf("got a head of %d batches, want %d", head.Size, len(s.entries))
		}
		if _, next, groups := c.Sealed(); next != s.sealed() || groups != len(s.groups) {
			t.Errorf("got %d groups up to %d, want %d up to %d", groups, next, len(s.groups), s.sealed())
		}
		before := sum(t, c)
		if before != sum(t, s.open(dir, Options{})) {
			t.Errorf("after %d batches the folder that is opened again is another", head.Size)
		}
		follow(t, c, s, s.keys())
		if sum(t, c) != before {
			t.Errorf("nothing was new, and the copy changed")
		}
		second := s.open(t.TempDir(), Options{})
		follow(t, second, c, s.keys())
		if sum(t, second) != before {
			t.Errorf("the copy of a copy of %d batches is another", head.Size)
		}
		if root, err := c.RootAt(head.Size / 2); err != nil || root != rootAt(s, head.Size/2) {
			t.Errorf("got the root %v of half the log, %v", root, err)
		}
	}
}

func rootAt(s *site, size uint64) merkle.Hash {
	root, err := merkle.RootAt(s.leafHashes(), size)
	if err != nil {
		s.t.Fatal(err)
	}
	return root
}

// TestFollowSince holds that a copy whose keys begin later has the groups since then,
// and all statements, and that groups may be left out on purpose alone.
func TestFollowSince(t *testing.T) {
	s := newSite(t)
	s.state(ledger.Outage{Gap: ledger.Gap{From: 1, To: 2, Reason: "test"}, Missed: 1}.Statement(s.now()), false)
	s.close(70)
	keys := s.keys()
	keys.from = s.groups[2].Hour
	c := s.open(t.TempDir(), Options{})
	follow(t, c, s, keys)
	if from, _, groups := c.Sealed(); from != s.groups[2].First || groups != len(s.groups)-2 {
		t.Errorf("got %d groups from %d on, want %d from %d on", groups, from, len(s.groups)-2, s.groups[2].First)
	}
	if got := len(c.leaves); got != len(s.statements) {
		t.Errorf("got %d statements, want %d", got, len(s.statements))
	}
	own := &liar{Source: s, groups: func(all []store.GroupRef) []store.GroupRef {
		return slices.DeleteFunc(all, func(r store.GroupRef) bool { return r.Hour < keys.from })
	}}
	second := s.open(t.TempDir(), Options{})
	follow(t, second, own, keys)
	if sum(t, second) != sum(t, c) {
		t.Errorf("from a source that lists its audience's groups alone it is another copy")
	}
	third := s.open(t.TempDir(), Options{})
	if err := third.Follow(t.Context(), own, s.keys(), nil); !raised(err, MissingGroup) {
		t.Errorf("got %v for groups that the keys open and the source leaves out, want %s", err, MissingGroup)
	}
	fourth := s.open(t.TempDir(), Options{Begin: s.groups[2].First})
	follow(t, fourth, own, s.keys())
	own.leaves = func(all []merkle.Hash) []merkle.Hash { all[0] = merkle.Hash{}; return all }
	fifth := s.open(t.TempDir(), Options{})
	if err := fifth.Follow(t.Context(), own, keys, nil); !raised(err, FalseStatements) {
		t.Errorf("got %v for leaves that are not the log's, want %s", err, FalseStatements)
	}
}

// TestRotate holds that a log is followed to another key by the statement that hands
// it over, wherever that is found, and that keys sign in their own time alone.
func TestRotate(t *testing.T) {
	s := newSite(t)
	s.close(10)
	dir := t.TempDir()
	c := s.open(dir, Options{})
	follow(t, c, s, s.keys())
	old := s.key
	st := s.rotate()
	early := s.fork() // signs with the new key before there is a statement
	early.close(1)
	s.state(st, false)
	s.close(30)
	late := s.fork()
	late.key = old

	known := s.keys()
	known.known = []Statement{{Item: st.Append(nil)}}
	one := s.open(t.TempDir(), Options{})
	if err := one.Follow(t.Context(), early, known, nil); err != nil && !raised(err, OldKey) {
		t.Errorf("got %v", err)
	}
	two := s.open(t.TempDir(), Options{})
	if err := two.Follow(t.Context(), late, s.keys(), nil); !raised(err, OldKey) || !raised(two.Follow(t.Context(), late, s.keys(), nil), OldKey) {
		t.Errorf("got %v for a checkpoint by the replaced key, want %s", err, OldKey)
	}
	follow(t, c, s, s.keys()) // found in the groups to come
	follow(t, s.open(t.TempDir(), Options{}), s, known)
	again := s.open(dir, Options{})
	if sum(t, again) != sum(t, c) {
		t.Errorf("opened again it is another copy")
	}
	follow(t, s.open(t.TempDir(), Options{}), again, s.keys())

	rival := s.fork()
	rival.key = old
	other := rival.rotate()
	rival.state(other, false)
	rival.close(20)
	both := s.keys()
	both.known = []Statement{{Item: other.Append(nil)}}
	if err := c.Follow(t.Context(), rival, both, nil); !raised(err, TwoKeys) {
		t.Errorf("got %v for a key that was handed over twice, want %s", err, TwoKeys)
	}
	list, err := filepath.Glob(filepath.Join(dir, evidenceDir, "*.evidence"))
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d files of evidence, %v", len(list), err)
	}
	if b, err := os.ReadFile(list[0]); err != nil || proof.VerifyFraud(b, proof.Options{}).Outcome != proof.Verified {
		t.Errorf("the evidence proves nothing, %v", err)
	}
}
