package mirror

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// facts are what a ledger's statements say that a copy needs: by which key the log
// is signed, who may have what, what was shredded or dropped.
type facts struct {
	origin string
	id     merkle.Hash
	keys   []logKey
	window time.Duration

	next     uint64 // statement that was not taken yet
	grants   ledger.Grants
	removals []removal
	places   map[string]placeAt // the newest of each chain
}

// placeAt is a place of anchors that a statement names.
type placeAt struct {
	proof.Place
	words  string
	number uint64 // of the statement
	at     int64  // Unix ms
}

// logKey is a log key and the statement by which it came.
type logKey struct {
	pub    ed25519.PublicKey
	item   []byte // nil: the first
	number uint64 // of the statement, once it was met
	met    bool
}

func (f *facts) begin(id Identity) {
	f.id, f.origin = id.Ledger, ledger.Origin(id.Ledger)
	f.keys = []logKey{{pub: id.LogKey, met: true}}
}

// open opens a checkpoint by one of the log's keys, and says which.
func (f *facts) open(note []byte) (cp merkle.Checkpoint, by int, err error) {
	for by = len(f.keys) - 1; by >= 0; by-- {
		cp, err = merkle.OpenCheckpoint(note, f.origin, f.keys[by].pub)
		if !errors.Is(err, merkle.ErrUnsigned) {
			return cp, by, err
		}
	}
	return cp, 0, err
}

var errHandover = errors.New("it hands over no key that this log has")

// handover takes a statement by which the newest log key hands the log over. One
// that is known already changes nothing.
func (f *facts) handover(item []byte) error {
	s, err := ledger.ParseStatement(item)
	if err != nil {
		return err
	}
	k, err := ledger.LogKeyFrom(s)
	if err != nil {
		return err
	}
	if err := k.Verify(f.id, s.At); err != nil {
		return err
	}
	newest := f.keys[len(f.keys)-1].pub
	if !newest.Equal(ed25519.PublicKey(k.Old[:])) {
		return errHandover
	}
	for _, have := range f.keys {
		if have.pub.Equal(ed25519.PublicKey(k.New[:])) {
			return fmt.Errorf("%w: the new key was the log's before", errHandover)
		}
	}
	f.keys = append(f.keys, logKey{pub: append(ed25519.PublicKey(nil), k.New[:]...), item: append([]byte(nil), item...)})
	return nil
}

// rival returns the statement that is known to hand over the same key as this one,
// to another.
func (f *facts) rival(item []byte) []byte {
	k, err := logKeyOf(item)
	if err != nil {
		return nil
	}
	s, err := ledger.ParseStatement(item)
	if err != nil || k.Verify(f.id, s.At) != nil {
		return nil
	}
	for i := 1; i < len(f.keys); i++ {
		if f.keys[i-1].pub.Equal(ed25519.PublicKey(k.Old[:])) && !f.keys[i].pub.Equal(ed25519.PublicKey(k.New[:])) {
			return f.keys[i].item
		}
	}
	return nil
}

// meet notes the number of a log-key statement.
func (f *facts) meet(item []byte, number uint64) {
	k, err := logKeyOf(item)
	if err != nil {
		return
	}
	for i := range f.keys {
		if f.keys[i].pub.Equal(ed25519.PublicKey(k.New[:])) {
			f.keys[i].number, f.keys[i].met = number, true
		}
	}
}

// signer returns which key signs a log whose newest header has so many statements.
func (f *facts) signer(statements uint64) int {
	by := 0
	for i, k := range f.keys {
		if i > 0 && k.met && k.number < statements {
			by = i
		}
	}
	return by
}

// take takes a statement that was checked. What it does not need it passes over.
func (f *facts) take(s Statement) {
	st, err := ledger.ParseStatement(s.Item)
	if err != nil {
		return // of a later version
	}
	switch st.Kind {
	case ledger.KindGenesis:
		if g, err := ledger.GenesisFrom(st); err == nil {
			f.window = time.Duration(g.Window) * time.Millisecond
		}
	case ledger.KindLogKey:
		f.meet(s.Item, s.Number)
	case ledger.KindRoute, ledger.KindRouteBitcoin:
		if p, words, ok := proof.PlaceOf(&st); ok && s.Number >= f.places[p.Chain()].number {
			if f.places == nil {
				f.places = map[string]placeAt{}
			}
			f.places[p.Chain()] = placeAt{p, words, s.Number, st.At}
		}
	}
	if s.Number >= f.next { // live groups show theirs again and again
		f.next = s.Number + 1
		f.takeShared(s.Number, st)
	}
}

// kindOf is the kind of a statement, "" of none.
func kindOf(item []byte) string {
	if item == nil {
		return ""
	}
	s, err := ledger.ParseStatement(item)
	if err != nil {
		return ""
	}
	return s.Kind
}

func sortStatements(all []Statement) {
	slices.SortFunc(all, func(a, b Statement) int { return cmp.Compare(a.Number, b.Number) })
}
