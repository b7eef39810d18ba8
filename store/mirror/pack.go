package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/share"
)

// A pack is many objects in one answer, so that who opens months of an idle site
// does not ask tens of thousands of times. To sealed/pack?groups=A,B,…&of=C,D,…
// a handler answers with the objects of the groups that begin with the batches A,
// B…, in this order: of each the group object and those of the compartments C, D…,
// by number, each as
//
//	length (4) ‖ object
//
// in big-endian, at most MaxPack bytes in all. What the asker may not have, or what
// cannot be had, is left out, and so is the first group that has no room any more
// and all after it. Whoever asks knows each by its SHA-256, and asks for what is
// missing by its own path, which says why. A source without packs answers 404.
const (
	MaxPack         = 4 << 20 // bytes of one answer
	maxPackGroups   = 256     // that are asked for at once
	maxPackedOf     = 256     // compartments
	packsAtOnce     = 2       // that a handler makes at the same time
	packLengthBytes = 4
	leastObject     = 64 // bytes: a sealed object is longer
)

// packer is a source that gives many objects at once.
type packer interface {
	// Pack gives group objects of the groups that begin with these batches, and their
	// objects of these compartments: what is left out is to be asked for by itself.
	// ErrNotFound: the source makes no packs.
	Pack(ctx context.Context, groups []uint64, compartments []uint32) ([][]byte, error)
}

// Pack implements packer.
func (s *httpSource) Pack(ctx context.Context, groups []uint64, compartments []uint32) ([][]byte, error) {
	var b strings.Builder
	b.WriteString("sealed/pack?groups=")
	for i, n := range groups {
		b.WriteString(comma(i))
		b.WriteString(strconv.FormatUint(n, 10))
	}
	b.WriteString("&of=")
	for i, n := range compartments {
		b.WriteString(comma(i))
		b.WriteString(strconv.FormatUint(uint64(n), 10))
	}
	answer, err := s.get(ctx, b.String(), MaxPack)
	if err != nil {
		return nil, err
	}
	return parsePack(answer)
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// parsePack takes an answer apart. The objects lie in it.
func parsePack(b []byte) (all [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < packLengthBytes {
			return nil, errors.New("a pack that ends within a length")
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[packLengthBytes:]; n < leastObject || uint64(n) > uint64(len(b)) {
			return nil, fmt.Errorf("a pack that has %d bytes for an object of %d", len(b), n)
		}
		all, b = append(all, b[:n:n]), b[n:]
	}
	return all, nil
}

func appendPacked(dst, object []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(object))), object...)
}

// pack answers with many objects.
func (h *handler) pack(a *ask) (reply, error) {
	groups, err := a.numbers("groups", maxPackGroups)
	if err != nil {
		return reply{}, err
	}
	of, err := a.numbers("of", maxPackedOf)
	if err != nil {
		return reply{}, err
	}
	select {
	case h.packs <- struct{}{}:
		defer func() { <-h.packs }()
	case <-a.Context().Done():
		return reply{}, a.Context().Err()
	}
	var out []byte
	for _, first := range groups {
		p := packing{a: a, of: of, room: MaxPack - len(out)}
		all, err := h.objects(a.Context(), first, p.wants)
		if err := a.Context().Err(); err != nil {
			return reply{}, err
		}
		if p.full && len(out) > 0 {
			break
		}
		if err != nil {
			continue // it is asked for by itself, and then answered with why
		}
		for _, b := range all {
			out = appendPacked(out, b)
		}
		if p.full {
			break
		}
	}
	return reply{octets, cacheNever, out}, nil
}

// packing says what of one group goes into a pack.
type packing struct {
	a    *ask
	of   []uint64
	room int  // bytes
	full bool // something had no room
}

// wants reports whether an object goes into the pack; that of the ledger comes
// first, and without it nothing does.
func (p *packing) wants(h share.Hour, o *store.ObjectRef) bool {
	if g := p.a.grant; g != nil && (!inHours(g, h) || !opens(g, o.Name)) {
		return false
	}
	if o.Compartment != share.Ledger && !slices.Contains(p.of, uint64(o.Compartment)) || p.full {
		return false
	}
	p.full = o.Size > int64(p.room-packLengthBytes)
	p.room -= packLengthBytes + int(min(o.Size, MaxPack))
	return !p.full
}

// grouper is a source that gives many objects of a group with less work.
type grouper interface {
	// GroupObjects gives the objects of a group that are wanted, the group object first:
	// if that one is not, none.
	GroupObjects(ctx context.Context, first uint64, wanted func(h share.Hour, o *store.ObjectRef) bool) ([][]byte, error)
}

// objects gives the objects of a group that are wanted.
func (h *handler) objects(ctx context.Context, first uint64, wanted func(share.Hour, *store.ObjectRef) bool) ([][]byte, error) {
	if src, ok := h.src.(grouper); ok {
		return src.GroupObjects(ctx, first, wanted)
	}
	ref, objects, err := h.access.Listing(ctx, first)
	if err != nil || !wanted(ref.Hour, &store.ObjectRef{Compartment: share.Ledger, Name: ledgerName, Hash: ref.Object, Size: ref.Size}) {
		return nil, err
	}
	b, err := h.src.Group(ctx, ref)
	if err != nil {
		return nil, err
	}
	all := [][]byte{b}
	for i := range objects {
		if !wanted(ref.Hour, &objects[i]) {
			continue
		}
		if b, err := h.src.Object(ctx, first, objects[i]); err == nil && int64(len(b)) <= objects[i].Size {
			all = append(all, b)
		}
	}
	return all, nil
}

// numbers reads a list of numbers of the query, at most so many.
func (a *ask) numbers(name string, most int) ([]uint64, error) {
	words := strings.Split(a.URL.Query().Get(name), ",")
	if len(words) > most {
		return nil, refuse(http.StatusBadRequest, "%s= takes at most %d numbers", name, most)
	}
	all := make([]uint64, len(words))
	for i, w := range words {
		n, err := number(w)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "%s= wants numbers", name)
		}
		all[i] = n
	}
	return all, nil
}

// aheadPacks is how many packs wait for the reader, besides the one that is being
// fetched and the one that it is at.
const aheadPacks = 1

// ahead fetches what a walk will ask for, pack by pack, while it verifies what came
// before. What it brings counts for nothing until it was hashed and found to be
// what was asked for; what it does not bring is fetched by itself.
type ahead struct {
	packs  chan fetched
	cancel context.CancelFunc
	now    fetched
}

// fetched is what one pack brought.
type fetched struct {
	until   uint64 // batch: of groups that begin before it there is nothing more to come
	objects map[merkle.Hash][]byte
}

// fetchAhead begins to fetch groups and their objects of some compartments; nil if
// the source makes no packs or it is not worth one. It ends with stop.
func (v *View) fetchAhead(ctx context.Context, refs []store.GroupRef, compartments []uint32) *ahead {
	src, ok := v.src.(packer)
	if !ok || v.noPacks.Load() || len(refs) < 2 || len(compartments) == 0 || len(compartments) > maxPackedOf {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{packs: make(chan fetched, aheadPacks), cancel: cancel}
	go func() {
		defer close(a.packs)
		for len(refs) > 0 {
			some := refs[:min(len(refs), maxPackGroups)]
			groups := make([]uint64, len(some))
			for i := range some {
				groups[i] = some[i].First
			}
			all, err := src.Pack(ctx, groups, compartments)
			if errors.Is(err, ErrNotFound) {
				v.noPacks.Store(true)
			}
			if err != nil {
				return // what is asked for by itself says why
			}
			f := fetched{objects: make(map[merkle.Hash][]byte, len(all))}
			for _, b := range all {
				f.objects[hashOf(b)] = b
			}
			// The next pack begins with the first group that had no room. One that fills a
			// pack alone is there in part.
			n := 0
			for i := range some {
				if f.objects[some[i].Object] != nil {
					n = i + 1
				}
			}
			n = max(n, 1)
			f.until, refs = some[n-1].Next, refs[n:]
			select {
			case a.packs <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	return a
}

// to lets a walk go on to a group: packs of those before are let go.
func (a *ahead) to(first uint64) {
	for a != nil && a.now.until <= first {
		next, ok := <-a.packs
		if !ok {
			a.now = fetched{until: ^uint64(0)}
			return
		}
		a.now = next
	}
}

// take gives an object that was fetched, or nil.
func (a *ahead) take(hash merkle.Hash) []byte {
	if a == nil {
		return nil
	}
	return a.now.objects[hash]
}

// stop ends the fetching, and waits until it has.
func (a *ahead) stop() {
	if a == nil {
		return
	}
	a.cancel()
	for range a.packs { //nolint:revive // until it is closed
	}
}

// group fetches a group's object, and gives its SHA-256.
func (v *View) group(ctx context.Context, ref store.GroupRef) ([]byte, merkle.Hash, error) {
	if b := v.ahead.take(ref.Object); b != nil {
		return b, ref.Object, nil
	}
	b, err := v.src.Group(ctx, ref)
	return b, hashOf(b), err
}

// object likewise fetches another one.
func (v *View) object(ctx context.Context, first uint64, o *store.ObjectRef) ([]byte, merkle.Hash, error) {
	if b := v.ahead.take(o.Hash); b != nil {
		return b, o.Hash, nil
	}
	b, err := v.src.Object(ctx, first, *o)
	return b, hashOf(b), err
}

// wantedCompartments are those whose objects a walk opens.
func (w *viewWalk) wantedCompartments() (all []uint32) {
	for i := range w.v.streams {
		s := &w.v.streams[i]
		if !w.q.wants(s.slot) {
			continue
		}
		all = append(all, s.envelope)
		for _, c := range s.classes {
			all = append(all, c.id)
		}
	}
	return all
}

// wantedGroups are those of a list that a walk opens and that are sealed: a live one
// may be another by the time that it is asked for.
func (w *viewWalk) wantedGroups(refs []store.GroupRef) (all []store.GroupRef) {
	for _, r := range refs {
		if r.Live || !w.wants(r.Hour) || r.Next > w.v.log.head.Size {
			continue
		}
		if _, ok, err := w.v.key(share.Ledger, r.Hour); ok && err == nil {
			all = append(all, r)
		}
	}
	return all
}

// wants reports whether an hour touches what is asked for.
func (w *viewWalk) wants(h share.Hour) bool { return h.End() > w.from && h.Start() < w.to }
