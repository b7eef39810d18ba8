package mirror

import (
	"testing"

	"cairn/merkle"
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
