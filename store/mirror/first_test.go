package mirror

import (
	"context"
	"errors"
	"testing"

	"cairn/merkle"
	"cairn/store"
)

// endless has as many statements as anybody asks for.
type endless struct {
	Source
	asked int
}

func (e *endless) StatementLeaves(_ context.Context, from, to uint64) ([]merkle.Hash, error) {
	if e.asked++; e.asked > 100 {
		return nil, errors.New("asked too often")
	}
	return make([]merkle.Hash, to-from), nil
}

// How many statements there are before a copy's first group, the signed log says, not
// the group: one that names more than there are is not fetched for.
func TestFirstGroupNamesTooMany(t *testing.T) {
	s := newSite(t)
	s.close(70)
	keys := s.keys()
	keys.from = s.groups[2].Hour
	src := &endless{Source: s.reGroup(s.groups[2].First, func(g *store.Group) {
		g.FirstStatement += 1 << 40
		for i := range g.Batches {
			g.Batches[i].Statements.Size += 1 << 40
		}
	})}
	err := s.open(t.TempDir(), Options{}).Follow(t.Context(), src, keys, nil)
	if !raised(err, FalseGroup) || src.asked > 0 {
		t.Errorf("got %v after %d questions for statements, want %s before any", err, src.asked, FalseGroup)
	}
}
