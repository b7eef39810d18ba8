package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// MaxUpdateOf is how many batches one update may be asked for.
const MaxUpdateOf = 512

// updater is a source that has older receipts than those of its update file: of the
// first anchors that hold some batches, which alone show that these were anchored
// in time.
type updater interface {
	// UpdateOf is a proof file like Update's, for these batches. ErrNone if no anchor
	// holds any of them.
	UpdateOf(ctx context.Context, batches []uint64) ([]byte, error)
}

// UpdateOf implements updater, by the path sealed/update?of=1,2,3. A source that
// does not know of it answers with its update file.
func (s *httpSource) UpdateOf(ctx context.Context, batches []uint64) ([]byte, error) {
	words := make([]string, len(batches))
	for i, b := range batches {
		words[i] = strconv.FormatUint(b, 10)
	}
	return none(s.get(ctx, "sealed/update?of="+strings.Join(words, ","), MaxUpdate))
}

// updateOf answers what UpdateOf asks.
func (h *handler) updateOf(a *ask) ([]byte, error) {
	list := a.URL.Query().Get("of")
	src, ok := h.src.(updater)
	if list == "" || !ok {
		return h.src.Update(a.Context())
	}
	words := strings.Split(list, ",")
	if len(words) > MaxUpdateOf {
		return nil, refuse(http.StatusBadRequest, "at most %d batches at once", MaxUpdateOf)
	}
	batches := make([]uint64, len(words))
	for i, w := range words {
		n, err := number(w)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "of= wants numbers of batches")
		}
		batches[i] = n
	}
	return src.UpdateOf(a.Context(), batches)
}

// firstHeads asks for the heads that first held some batches, and adds them to
// those at hand.
func (p *viewProver) firstHeads(ctx context.Context, batches []uint64) error {
	src, ok := p.v.src.(updater)
	if !ok || len(p.heads) == 0 {
		return nil
	}
	slices.Sort(batches)
	batches = slices.Compact(batches)
	for len(batches) > 0 {
		n := min(len(batches), MaxUpdateOf)
		b, err := src.UpdateOf(ctx, batches[:n])
		batches = batches[n:]
		if errors.Is(err, ErrNone) || errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("update: %w", err)
		}
		f, err := p.v.parseUpdate(b)
		if err != nil {
			return err
		}
		more, err := p.v.heads(ctx, f)
		if err != nil {
			return err
		}
		for _, h := range more {
			if !slices.ContainsFunc(p.heads, func(have viewHead) bool { return have.size == h.size && len(have.receipts) >= len(h.receipts) }) {
				p.heads = append(p.heads, h)
			}
		}
	}
	slices.SortStableFunc(p.heads, func(a, b viewHead) int {
		switch {
		case a.size < b.size:
			return -1
		case a.size > b.size:
			return 1
		}
		return 0
	})
	return nil
}
