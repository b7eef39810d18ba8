package mirror

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// viewHead is a signed head that receipts place on chains, or witnesses cosigned.
type viewHead struct {
	size     uint64
	note     []byte
	receipts []proof.Receipt
}

// route gives the receipts of a route that place the head.
func (h *viewHead) route(name string) (all []proof.Receipt) {
	for _, r := range h.receipts {
		if r.Route == name {
			all = append(all, r)
		}
	}
	return all
}

// update reads the source's update file; nil if there is none.
func (v *View) update(ctx context.Context) (*proof.File, error) {
	b, err := v.src.Update(ctx)
	if errors.Is(err, ErrNone) || errors.Is(err, ErrNotFound) || err == nil && len(b) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	return v.parseUpdate(b)
}

func (v *View) parseUpdate(b []byte) (*proof.File, error) {
	f, err := proof.Decode(b)
	if err != nil {
		return nil, &Lie{What: "update file", Err: err}
	}
	if f.Ledger.Key != v.bundle.LogKey || f.Ledger.Nonce != v.bundle.Nonce {
		return nil, &Lie{What: "update file", Err: errors.New("it is another ledger's")}
	}
	return f, nil
}

// heads gives the heads of an update file, the smallest first. Each is signed, and
// its log is the beginning of the newest checkpoint's; those beyond it are left out.
func (v *View) heads(ctx context.Context, f *proof.File) ([]viewHead, error) {
	if f == nil {
		return nil, nil
	}
	all := make([]viewHead, len(f.Heads))
	for i, h := range f.Heads {
		head, _, err := v.facts.open(h.Note)
		if err != nil {
			return nil, &Lie{What: "update file", Err: fmt.Errorf("head %d: %w", i, err)}
		}
		all[i] = viewHead{size: head.Size, note: h.Note}
		if head.Size > v.log.head.Size || head.Size == 0 {
			all[i].size = 0
			continue
		}
		if err := v.log.extends(ctx, head); err != nil {
			return nil, err
		}
	}
	for _, r := range f.Receipts {
		all[r.Head].receipts = append(all[r.Head].receipts, r)
	}
	all = slices.DeleteFunc(all, func(h viewHead) bool { return h.size == 0 })
	slices.SortStableFunc(all, func(a, b viewHead) int { return cmp.Compare(a.size, b.size) })
	return all, nil
}

// viewBatch is a batch in the file.
type viewBatch struct {
	at         int // position in the file
	index      uint64
	header     []byte
	slots      proof.Shown
	statements proof.Shown
	tree       ledger.StatementsHead
}

// batch adds a batch without heads.
func (p *viewProver) batch(w *viewWindow) *viewBatch {
	if b := p.batches[w.batch]; b != nil {
		return b
	}
	g := &w.group.g.Batches[w.at]
	shown := func(item []byte, at int) proof.Shown {
		return proof.Shown{Item: item, Salt: viewSalt(w.group.key, ledger.HeaderLabel, ledger.NoStream, g.Incarnation, ledger.PairBlock(w.batch, uint64(at)))}
	}
	b := &viewBatch{
		index: w.batch, header: w.group.items[w.at], tree: g.Statements,
		slots:      shown(ledger.Slots{Depth: ledger.Depth(uint64(len(g.Leaves)))}.Append(nil), ledger.HiddenSlots),
		statements: shown(g.Statements.Append(nil), ledger.HiddenStatements),
	}
	b.at = p.b.Batch(b.header, b.slots, nil)
	p.batches[w.batch] = b
	return b
}

// anchored covers a batch by the first head of each route that holds it, or by the
// newest checkpoint where no route does. below takes heads that the file has, if
// there are any.
func (p *viewProver) anchored(ctx context.Context, b *viewBatch, below bool) error {
	if p.covered[b.index] {
		return nil
	}
	p.covered[b.index] = true
	found := false
	for _, route := range p.routes {
		h := p.first(route, b.index, below)
		if h == nil && below {
			h = p.first(route, b.index, false)
		}
		if h == nil {
			continue
		}
		found = true
		if err := p.cover(ctx, b, h.size, h.note); err != nil {
			return err
		}
		p.receipts(h, route)
	}
	if found {
		return nil
	}
	p.unanchored = true
	return p.cover(ctx, b, p.v.log.head.Size, p.v.note)
}

// first is the first head of a route that holds a batch, nil if there is none.
func (p *viewProver) first(route string, batch uint64, have bool) *viewHead {
	for i := range p.heads {
		h := &p.heads[i]
		if _, in := p.sizes[h.size]; h.size > batch && len(h.route(route)) > 0 && (in || !have) {
			return h
		}
	}
	return nil
}

func (p *viewProver) cover(ctx context.Context, b *viewBatch, size uint64, note []byte) error {
	path, err := p.v.log.path(ctx, b.index, size)
	if err != nil {
		return fmt.Errorf("path of batch %d in a log of %d: %w", b.index, size, err)
	}
	p.b.Cover(b.at, p.head(size, note), path)
	p.newest = max(p.newest, size)
	return nil
}

func (p *viewProver) head(size uint64, note []byte) int {
	p.sizes[size] = p.b.Head(note)
	return p.sizes[size]
}

// receipts adds what places a head on a route, once.
func (p *viewProver) receipts(h *viewHead, route string) {
	for _, r := range h.route(route) {
		r.Head = p.sizes[h.size]
		if !slices.ContainsFunc(p.b.File().Receipts, func(x proof.Receipt) bool {
			return x.Head == r.Head && x.Route == r.Route && bytes.Equal(x.Data, r.Data)
		}) {
			p.b.Receipt(r)
		}
	}
	if !slices.Contains(p.used, route) {
		p.used = append(p.used, route)
	}
}

// cosigned adds the newest head that witnesses cosigned, if none that is shown was.
func (p *viewProver) cosigned() {
	var best *viewHead
	newest := viewHead{size: p.v.log.head.Size, note: p.v.note}
	for _, h := range append(slices.Clip(p.heads), newest) {
		if !cosigned(h.note) || h.size < p.newest {
			continue
		}
		if h.size == p.newest {
			return
		}
		best = &h
	}
	if best != nil {
		p.head(best.size, best.note)
	}
}

// cosigned reports whether a note has more signatures than the log's.
func cosigned(note []byte) bool {
	_, lines, _ := bytes.Cut(note, []byte("\n\n"))
	return bytes.Count(lines, []byte("\n")) > 1
}

// extend shows of each head that its log is the beginning of the next one's.
func (p *viewProver) extend(ctx context.Context) error {
	sizes := make([]uint64, 0, len(p.sizes))
	for size := range p.sizes {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	for i := 1; i < len(sizes); i++ {
		path, err := p.v.log.consistency(ctx, sizes[i-1], sizes[i])
		if err != nil {
			return fmt.Errorf("heads of %d and %d batches: %w", sizes[i-1], sizes[i], err)
		}
		p.b.Extend(p.sizes[sizes[i-1]], p.sizes[sizes[i]], path)
	}
	return nil
}

// followed takes over those statements of the update file that lead from the
// ledger's first key and places to later ones, under the heads that they stand
// under there.
func (p *viewProver) followed(ctx context.Context) error {
	if p.update == nil {
		return nil
	}
	for _, s := range p.update.Statements {
		st, err := ledger.ParseStatement(s.Item)
		if err != nil {
			return &Lie{What: "update file", Err: fmt.Errorf("statement %d: %w", s.Index, err)}
		}
		if name, ok := st.Text("route"); st.Kind != ledger.KindLogKey && (!ok || !slices.Contains(p.used, name)) {
			continue
		}
		b := &p.update.Batches[s.Batch]
		h, err := ledger.ParseHeader(b.Header)
		if err != nil || b.Statements == nil || h.Index >= p.newest {
			continue // later than all that is shown
		}
		at := p.b.Batch(b.Header, b.Slots, b.Statements)
		for _, place := range b.Heads {
			if err := p.overtake(ctx, at, h.Index, place.Head); err != nil {
				return err
			}
		}
		s.Batch = at
		p.b.Statement(s)
		p.shown[s.Index] = true
	}
	return nil
}

// overtake covers a batch of the update by one of the heads that it has there.
func (p *viewProver) overtake(ctx context.Context, at int, index uint64, head int) error {
	note := p.update.Heads[head].Note
	i := slices.IndexFunc(p.heads, func(h viewHead) bool { return bytes.Equal(h.note, note) })
	if i < 0 {
		return nil // beyond the checkpoint
	}
	h := &p.heads[i]
	path, err := p.v.log.path(ctx, index, h.size)
	if err != nil {
		return err
	}
	p.b.Cover(at, p.head(h.size, h.note), path)
	for _, route := range p.routes {
		if len(h.route(route)) > 0 {
			p.receipts(h, route)
		}
	}
	return nil
}

// statement adds one statement as a batch shows it; nothing if that batch is older.
func (p *viewProver) statement(ctx context.Context, by *viewBatch, number uint64) error {
	s := p.v.stated[number]
	if number >= by.tree.Size || p.shown[number] && s.said.Kind != ledger.KindBind {
		return nil
	}
	leaves, err := p.v.leaves(ctx, by.tree)
	if err != nil {
		return err
	}
	entry := ledger.HiddenEntry(s.item, s.salt)
	if merkle.LeafHash(entry[:]) != leaves[number] {
		return &Lie{What: "statements", Err: fmt.Errorf("statement %d is not the one of the bundle", number)}
	}
	path, err := merkle.ProveInclusion(leaves, number, by.tree.Size)
	if err != nil {
		return err
	}
	statements := by.statements
	p.b.Batch(by.header, by.slots, &statements)
	p.b.Statement(proof.Statement{Batch: by.at, Index: number, Item: s.item, Salt: s.salt, Path: path})
	p.shown[number] = true
	return nil
}

// leaves reads the leaves of the ledger's statements up to a tree that a batch
// names, and holds them against its root.
func (v *View) leaves(ctx context.Context, tree ledger.StatementsHead) (merkle.Leaves, error) {
	if v.trees == nil {
		v.trees = make(map[uint64]merkle.Hash)
	}
	for have := uint64(len(v.leafs)); have < tree.Size; have = uint64(len(v.leafs)) {
		more, err := v.src.StatementLeaves(ctx, have, min(tree.Size, have+MaxLeaves))
		if err != nil {
			return nil, fmt.Errorf("statements from %d on: %w", have, err)
		}
		if len(more) == 0 {
			return nil, fmt.Errorf("statements from %d on: %w", have, ErrNotFound)
		}
		v.leafs = append(v.leafs, more...)
	}
	leaves := merkle.Leaves(v.leafs[:tree.Size])
	root, ok := v.trees[tree.Size]
	if !ok {
		root = merkle.RootOf(leaves)
		v.trees[tree.Size] = root
	}
	if root != tree.Root {
		v.leafs, v.trees = nil, nil
		return nil, &Lie{What: "statements", Err: fmt.Errorf("the first %d of them lead to another root than the log's", tree.Size)}
	}
	return leaves, nil
}
