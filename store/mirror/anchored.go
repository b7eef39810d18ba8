package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cairn/anchor/proof"
	"cairn/merkle"
)

// A window is proven to be anchored in time by the first anchor that holds it, and
// the update file has but the newest ones. So a copy keeps each anchor that it was
// shown, by route and number of batches, and asks for those between: a proof that is
// made of it alone is as timely as the gateway's own.
//
// An anchor's file is a proof file of one head and its receipts by one route: of the
// kept files of package proof 3.6 kB by Ethereum, 85 kB a day if it is hourly, and
// 0.5 kB by Bitcoin or calendars. It grows with the depth of the chain's trees. There is at most one of a route and a number
// of batches, so there are never more than windows.

const (
	anchorsDir = "anchors"
	// maxAnchorAsks is how many updates one pass asks for, of MaxUpdateOf batches each.
	maxAnchorAsks = 64
	// maxRivals is how many receipts of one head and route are kept that differ: which
	// of them is of the chain, the chain says.
	maxRivals = 4
	// maxAnchorFile bounds an anchor's file, in bytes.
	maxAnchorFile = 8 << 20
)

// routeFolder is the name of a route's folder. Routes are named by lower case
// letters, digits, colons and hyphens; of others no anchors are kept.
func routeFolder(route string) (string, bool) {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != ':' && r != '-' }
	return strings.ReplaceAll(route, ":", "_"), route != "" && len(route) <= 64 && !strings.ContainsFunc(route, odd)
}

func (c *Copy) anchorPath(route string, size uint64) string {
	name, _ := routeFolder(route)
	return filepath.Join(c.dir, anchorsDir, name, fmt.Sprintf("%012d", size))
}

// loadAnchors lists the anchors that the folder has.
func (c *Copy) loadAnchors() error {
	c.anchored = map[string][]uint64{}
	folders, err := os.ReadDir(filepath.Join(c.dir, anchorsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, d := range folders {
		if err != nil {
			break
		}
		route := strings.ReplaceAll(d.Name(), "_", ":")
		if name, ok := routeFolder(route); !ok || name != d.Name() {
			continue
		}
		var list []fs.DirEntry
		list, err = os.ReadDir(filepath.Join(c.dir, anchorsDir, d.Name()))
		for _, f := range list {
			if size, bad := strconv.ParseUint(f.Name(), 10, 63); bad == nil && c.anchorPath(route, size) == filepath.Join(c.dir, anchorsDir, d.Name(), f.Name()) {
				c.anchored[route] = append(c.anchored[route], size)
			}
		}
		slices.Sort(c.anchored[route])
	}
	if err != nil {
		return fmt.Errorf("read the copy: %w", err)
	}
	return nil
}

// placed are a file's receipts by route and the size of the head that they place.
type placed map[string]map[uint64][]proof.Receipt

// placedIn reads the heads of a file that was checked.
func (c *Copy) placedIn(f *proof.File) (placed, error) {
	all := placed{}
	for _, r := range f.Receipts {
		head, _, err := c.facts.open(f.Heads[r.Head].Note)
		if err != nil {
			return nil, alarmf(FalseUpdate, "a head in it: %w", err)
		}
		if _, ok := routeFolder(r.Route); !ok || head.Size == 0 {
			continue
		}
		if all[r.Route] == nil {
			all[r.Route] = map[uint64][]proof.Receipt{}
		}
		all[r.Route][head.Size] = append(all[r.Route][head.Size], r)
	}
	return all, nil
}

// after is the first size of a route beyond a number of batches, 0 if there is none.
func (p placed) after(route string, batches uint64) uint64 {
	first := uint64(0)
	for size := range p[route] {
		if size > batches && (first == 0 || size < first) {
			first = size
		}
	}
	return first
}

// keepAnchors keeps the anchors of a file that was checked. A crash leaves some of
// them, which are listed when the copy is opened.
func (c *Copy) keepAnchors(f *proof.File) (placed, error) {
	all, err := c.placedIn(f)
	if err != nil {
		return nil, err
	}
	for route, sizes := range all {
		dir := filepath.Dir(c.anchorPath(route, 0))
		if err := makeDir(dir); err != nil {
			return nil, err
		}
		for size, receipts := range sizes {
			if err := c.keepAnchor(f, route, size, receipts); err != nil {
				return nil, err
			}
		}
		if err := syncDir(dir); err != nil {
			return nil, err
		}
		c.mu.Lock()
		merged := slices.AppendSeq(slices.Clone(c.anchored[route]), maps.Keys(sizes))
		slices.Sort(merged)
		c.anchored[route] = slices.Compact(merged)
		c.mu.Unlock()
	}
	return all, nil
}

// keepAnchor adds receipts to an anchor's file, and what witnesses signed of its head.
func (c *Copy) keepAnchor(f *proof.File, route string, size uint64, receipts []proof.Receipt) error {
	b := proof.NewBuilder([32]byte(c.id.LogKey), c.id.Nonce)
	old, err := readLimited(c.anchorPath(route, size), maxAnchorFile)
	if err == nil {
		if have, err := proof.Decode(old); err == nil && have.Ledger == b.File().Ledger {
			b = proof.Continue(have)
		}
	}
	for _, r := range receipts {
		addReceipt(b, f, r)
	}
	file, err := b.File().Encode()
	if err != nil || bytes.Equal(file, old) || len(file) > maxAnchorFile {
		return err
	}
	return writeUnsynced(c.anchorPath(route, size), file, 0o600)
}

// addReceipt adds a receipt of a file with its head, unless it is there or there are
// too many that differ.
func addReceipt(b *proof.Builder, f *proof.File, r proof.Receipt) {
	r.Head = b.Head(f.Heads[r.Head].Note)
	rivals := 0
	for _, have := range b.File().Receipts {
		if have.Head == r.Head && have.Route == r.Route {
			rivals++
			if have.Kind == r.Kind && bytes.Equal(have.Data, r.Data) {
				return
			}
		}
	}
	if rivals < maxRivals {
		b.Receipt(r)
	}
}

// UpdateOf is a proof file with, of each batch, the first anchor of each route that
// holds it, as far as the copy has them. ErrNone if it has none.
func (c *Copy) UpdateOf(_ context.Context, batches []uint64) ([]byte, error) {
	b := proof.NewBuilder([32]byte(c.id.LogKey), c.id.Nonce)
	heads := map[uint64]int{}
	bytes := 0
	for route, sizes := range c.firstAnchors(batches) {
		for size := range sizes {
			raw, err := readLimited(c.anchorPath(route, size), maxAnchorFile)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if bytes += len(raw); bytes > MaxUpdate/2 {
				break // whoever asks for less at once gets it all
			}
			f, err := proof.Decode(raw)
			if err != nil {
				return nil, fmt.Errorf("%w: the anchor of %d batches by %s: %w", ErrDamaged, size, route, err)
			}
			for _, r := range f.Receipts {
				addReceipt(b, f, r)
			}
			for _, h := range f.Heads {
				heads[size] = b.Head(h.Note)
			}
		}
	}
	if len(heads) == 0 {
		return nil, ErrNone
	}
	sizes := slices.Sorted(maps.Keys(heads))
	nodes := c.Nodes()
	for i := 1; i < len(sizes); i++ {
		path, err := merkle.ProveConsistency(nodes, sizes[i-1], sizes[i])
		if err != nil {
			return nil, fmt.Errorf("heads of %d and %d batches: %w", sizes[i-1], sizes[i], err)
		}
		b.Extend(heads[sizes[i-1]], heads[sizes[i]], path)
	}
	return b.File().Encode()
}

// firstAnchors finds the sizes of the anchors that hold batches first.
func (c *Copy) firstAnchors(batches []uint64) map[string]map[uint64]bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found := map[string]map[uint64]bool{}
	for route, sizes := range c.anchored {
		found[route] = map[uint64]bool{}
		for _, batch := range batches {
			if i, _ := slices.BinarySearch(sizes, batch+1); i < len(sizes) && sizes[i] <= c.head.Size {
				found[route][sizes[i]] = true
			}
		}
	}
	return found
}

// reach says that of a route's anchors beyond from batches, that of to is the first.
type reach struct{ from, to uint64 }

// followAnchors asks for the anchors that the copy lacks, from where it has all of a
// route to the newest one. It asks for what follows the ends of what it knows; when
// there is more, it looks over all that is lacking at once.
func (p *pass) followAnchors(ctx context.Context) error {
	c := p.c
	src, ok := p.src.(updater)
	if !ok {
		return nil
	}
	through := map[string]uint64{}
	maps.Copy(through, c.st.Anchored)
	known := map[string][]reach{}
	var failed error
	for ask := 0; ask < maxAnchorAsks && failed == nil; ask++ {
		of := c.lacking(through, known, ask == 1)
		if len(of) == 0 {
			break
		}
		var got placed
		if got, failed = p.askAnchors(ctx, src, of); got == nil {
			break
		}
		if !c.learnSpans(got, of, through, known) {
			break // nothing that was not known: it has no more
		}
	}
	if !maps.Equal(through, c.st.Anchored) {
		st := c.st
		st.Anchored = through
		if err := c.putState(st); err != nil {
			return err
		}
	}
	return failed
}

// newestAnchors are the greatest sizes of each route that the copy has.
func (c *Copy) newestAnchors() map[string]uint64 {
	all := map[string]uint64{}
	for route, sizes := range c.anchored {
		if n := len(sizes); n > 0 {
			all[route] = sizes[n-1]
		}
	}
	return all
}

// anchorsFrom is the first batch whose anchors a copy needs.
func (c *Copy) anchorsFrom() uint64 {
	if len(c.groups) > 0 {
		return c.groups[0].First
	}
	return c.begin
}

// lacking are batches to ask for: the ends of what is known. With over, those that
// lie evenly over the rest too.
func (c *Copy) lacking(through map[string]uint64, known map[string][]reach, over bool) []uint64 {
	var ends, grid []uint64
	for route, newest := range c.newestAnchors() {
		at := max(through[route], c.anchorsFrom())
		if step := max((newest-min(at, newest))/MaxUpdateOf, 1); over {
			for b := at; b < newest; b += step {
				grid = append(grid, b)
			}
		}
		for _, s := range known[route] {
			if s.from > at {
				ends = append(ends, at)
			}
			at = max(at, s.to)
		}
		if at < newest {
			ends = append(ends, at)
		}
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	ends = append(ends[:min(len(ends), MaxUpdateOf)], grid...)
	return ends[:min(len(ends), MaxUpdateOf)]
}

// learnSpans takes what an answer tells, and reports whether it tells anything.
func (c *Copy) learnSpans(got placed, of []uint64, through map[string]uint64, known map[string][]reach) (more bool) {
	for route := range c.newestAnchors() {
		for _, batch := range of {
			if to := got.after(route, batch); to > 0 && !slices.Contains(known[route], reach{batch, to}) {
				known[route], more = append(known[route], reach{batch, to}), true
			}
		}
		slices.SortFunc(known[route], func(a, b reach) int { return cmp.Compare(a.from, b.from) })
		at := max(through[route], c.anchorsFrom())
		for _, s := range known[route] {
			if s.from <= at && s.to > at {
				at = s.to
				through[route] = at
			}
		}
	}
	return more
}

// askAnchors asks for the first anchors of batches, checks and keeps them. Nil
// without an error: the source has none.
func (p *pass) askAnchors(ctx context.Context, src updater, batches []uint64) (placed, error) {
	b, err := src.UpdateOf(ctx, batches)
	switch {
	case errors.Is(err, ErrNone), errors.Is(err, ErrNotFound), errors.Is(err, ErrGone):
		return nil, nil
	case err != nil:
		return nil, p.failed("older anchors", err)
	case len(b) > MaxUpdate:
		return nil, alarmf(FalseAnswer, "an update of %d bytes", len(b))
	}
	f, err := p.checkAnchors(b)
	if errors.Is(err, errBeyond) {
		return nil, nil // one was placed since; the next pass has its checkpoint
	}
	if err != nil {
		return nil, err
	}
	return p.c.keepAnchors(f)
}

// checkAnchors holds an update of some batches as checkUpdate does, together with
// the statements of the newest update: these lead to later log keys and places.
func (p *pass) checkAnchors(b []byte) (*proof.File, error) {
	f, err := p.readUpdate(b)
	if err != nil {
		return nil, err
	}
	if v := proof.Verify(p.c.withUpdate(f), proof.Options{}); v.False() {
		return nil, alarmf(FalseUpdate, "older anchors: %s [%s]", v.Reason, v.Code)
	}
	return f, nil
}

// withUpdate is the newest update with the receipts of another file.
func (c *Copy) withUpdate(f *proof.File) *proof.File {
	whole := proof.NewBuilder([32]byte(c.id.LogKey), c.id.Nonce)
	if raw, err := c.Update(context.Background()); err == nil {
		if newest, err := proof.Decode(raw); err == nil {
			whole = proof.Continue(newest)
		}
	}
	for _, r := range f.Receipts {
		addReceipt(whole, f, r)
	}
	return whole.File()
}
