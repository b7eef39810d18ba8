package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"testing"
	"time"

	"cairn/merkle/ledger"
)

// away is a source that nobody reaches.
type away struct{ Source }

func (away) Checkpoint(context.Context) ([]byte, error) { return nil, errors.New("no route to host") }
func (away) Bundle(context.Context, uint64) ([]byte, error) {
	return nil, errors.New("no route to host")
}

// endedSite is a site with a grant whose access ended after 30 minutes, as a
// statement says that was made in the quarter hour that runs or in one before.
func endedSite(t *testing.T, sealed bool) (s *site, end int64) {
	t.Helper()
	s = newSite(t)
	end = s.start + 30*60_000
	g := ledger.Grant{Audience: "part", Compartments: []string{"stream/0/data"}, From: s.start, Recipients: []string{"age1x"}, Token: sha256.Sum256([]byte("part"))}
	n := s.state(g.Statement(s.start), true)
	s.close(40)
	s.state(ledger.GrantEnd{Grant: n, Until: end, Access: &end}.Statement(s.now()), true)
	s.close(2)
	if sealed {
		s.close(30)
	}
	return s, end
}

// ends holds that a copy knows of one grant, and of its end.
func ends(t *testing.T, c *Copy, end int64) {
	t.Helper()
	all, err := c.Grants(t.Context())
	if err != nil || len(all) != 1 || all[0].Access == nil || *all[0].Access != end {
		t.Fatalf("got the grants %+v, %v, want one whose access ended at %d", all, err, end)
	}
}

// A mirror that starts while its source is away knows all the same who may have what,
// also what it learnt from a live group.
func TestGrantsWithoutSource(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		s, end := endedSite(t, sealed)
		dir := t.TempDir()
		follow(t, s.open(dir, Options{}), s, s.keys())
		c := s.open(dir, Options{})
		if all, err := c.Grants(t.Context()); err == nil {
			t.Errorf("got the grants %+v before any statement was read, want an error", all)
		}
		if err := c.Follow(t.Context(), away{s}, s.keys(), nil); !raised(err, Unreachable) {
			t.Fatalf("got %v, want that the source cannot be reached", err)
		}
		ends(t, c, end)
		follow(t, c, s, s.keys())
		ends(t, c, end)
	}
}

// As long as not all statements could be read there are no grants: the end of one may
// be among the others.
func TestGrantsOfDamagedCopy(t *testing.T) {
	s, end := endedSite(t, true)
	dir := t.TempDir()
	c := s.open(dir, Options{})
	follow(t, c, s, s.keys())
	last := ""
	for _, r := range s.groups {
		g, err := c.group(s.keys(), r)
		if err != nil {
			t.Fatal(err)
		}
		if g.FirstStatement <= 2 && g.FirstStatement+uint64(len(g.Statements)) > 2 {
			last = c.groupPath(r.First)
		}
	}
	whole, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(last, flipped(bytes.Clone(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	c = s.open(dir, Options{})
	s.close(20)
	if err := c.Follow(t.Context(), s, s.keys(), nil); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v, want %v", err, ErrDamaged)
	}
	if all, err := c.Grants(t.Context()); err == nil {
		t.Errorf("got the grants %+v with a group that cannot be read, want an error", all)
	}
	if err := os.WriteFile(last, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	follow(t, c, s, s.keys())
	ends(t, c, end)
}

// A clock that was put back does not open again what has ended.
func TestNowOfCopy(t *testing.T) {
	s, end := endedSite(t, true)
	c := s.open(t.TempDir(), Options{Now: func() time.Time { return time.UnixMilli(end - 1) }})
	follow(t, c, s, s.keys())
	if got := c.Now().UnixMilli(); got < end {
		t.Errorf("got %d as the time, want at least that of the newest window, %d", got, s.now()-s.window)
	}
}
