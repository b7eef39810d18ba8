package proof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Limits of what calendars are asked and answer.
const (
	MaxCalendarAnswer = 10_000 // bytes, the protocol's own limit
	maxAnswerLeaves   = 32     // attestations in one answer
	maxHops           = 4      // promises on one path, one after the other
	maxQuestions      = 64     // in all
)

// ErrNotYet says that a calendar has not kept its promise yet: ask again later.
var ErrNotYet = errors.New("not in a block yet")

// CalendarAsk asks a calendar for what it promised of a message, and returns the
// answer's bytes: GET <uri>/timestamp/<message in hexadecimal>. ErrNotYet says
// that it has no more than the promise. This package asks nobody itself.
type CalendarAsk func(uri string, message []byte) ([]byte, error)

// Completion is what came of asking calendars.
type Completion struct {
	Asked  int      // promises
	Kept   []string // words of each answer that told more
	Open   []string // of each promise that is not kept yet
	Failed []error  // of each calendar that did not answer, or not as it should
}

// Complete asks the calendars that the timestamp names for what they promised,
// and adds it. A promise stays where it is, kept or not: an answer is no more
// than the calendar's word until somebody's headers bear it out, and a wrong one
// must not end the search for the right one.
func (t *Timestamp) Complete(ask CalendarAsk) Completion {
	var c Completion
	t.complete(ask, &c)
	return c
}

func (t *Timestamp) complete(ask CalendarAsk, c *Completion) {
	type question struct{ uri, message string }
	type reply struct {
		answer []byte
		err    error
	}
	replies := make(map[question]*reply)
	for hop, more := 0, true; more && hop < maxHops; hop++ {
		more = false
		for _, leaf := range t.Leaves() {
			if leaf.Kind != OTSPending || leaf.Node.attested() {
				continue
			}
			q := question{leaf.URI, string(leaf.Node.Message())}
			r, asked := replies[q]
			if !asked && c.Asked == maxQuestions {
				continue
			}
			if !asked {
				r = new(reply)
				r.answer, r.err = ask(leaf.URI, leaf.Node.Message())
				replies[q] = r
				c.Asked++
				more = true
			}
			t.take(&leaf, r.answer, r.err, asked, c)
		}
	}
}

// take adds what a calendar answered, in the place of a promise, and notes what
// came of it. again says that it stands elsewhere too.
func (t *Timestamp) take(leaf *OTSLeaf, answer []byte, err error, again bool, c *Completion) {
	var words string
	if err == nil {
		words, err = t.keep(leaf.Path, answer)
	}
	switch {
	case again:
	case errors.Is(err, ErrNotYet):
		c.Open = append(c.Open, leaf.URI)
	case err != nil:
		c.Failed = append(c.Failed, fmt.Errorf("calendar %s: %w", leaf.URI, err))
	default:
		c.Kept = append(c.Kept, fmt.Sprintf("%s says: %s", leaf.URI, words))
	}
}

// attested reports whether a Bitcoin block is named below a node.
func (t *Timestamp) attested() (ok bool) {
	t.each(func(a OTSAttestation, _ *Timestamp) { ok = ok || a.Kind == OTSBitcoin })
	return ok
}

// keep adds a calendar's answer at the end of a path, or leaves all as it was,
// and says what the answer is. One that tells nothing new is an ErrNotYet.
func (t *Timestamp) keep(path []OTSOp, answer []byte) (words string, err error) {
	before, err := t.MarshalBinary()
	if err != nil {
		return "", err
	}
	node, err := t.Path(path...)
	if err != nil {
		return "", err
	}
	tree, err := parseCalendarAnswer(node.Message(), answer)
	if err != nil {
		return "", err
	}
	var after []byte
	if err = node.Merge(tree); err == nil {
		after, err = t.MarshalBinary()
	}
	if err != nil { // too much for one timestamp
		old, bad := ParseTimestamp(t.msg, before)
		if bad == nil {
			*t = *old
		}
		return "", errors.Join(err, bad)
	}
	if bytes.Equal(before, after) {
		return "", ErrNotYet
	}
	words = "another calendar will know"
	tree.each(func(a OTSAttestation, _ *Timestamp) {
		if a.Kind == OTSBitcoin {
			words = a.String()
		}
	})
	return words, nil
}

// parseCalendarAnswer reads what a calendar says of a message. That it names a
// block does not mean that the block commits to anything.
func parseCalendarAnswer(msg, b []byte) (*Timestamp, error) {
	if len(b) > MaxCalendarAnswer {
		return nil, fmt.Errorf("its answer is longer than %d bytes", MaxCalendarAnswer)
	}
	t, err := ParseTimestamp(msg, b)
	if err != nil {
		return nil, err
	}
	leaves := t.Leaves()
	if len(leaves) > maxAnswerLeaves {
		return nil, fmt.Errorf("its answer has %d attestations, at most %d", len(leaves), maxAnswerLeaves)
	}
	for _, leaf := range leaves {
		for _, op := range leaf.Path {
			if op.Tag == OTSSHA1 || op.Tag == OTSRIPEMD160 {
				return nil, fmt.Errorf("its answer goes through %s", op)
			}
		}
		if leaf.Kind == OTSBitcoin && (len(leaf.Node.Message()) != 32 || leaf.Height > math.MaxUint32) {
			return nil, fmt.Errorf("its answer attests %d bytes in block %d", len(leaf.Node.Message()), leaf.Height)
		}
	}
	return t, nil
}

// CompleteOTS completes an OpenTimestamps file, and returns it as it is then.
func CompleteOTS(b []byte, ask CalendarAsk) ([]byte, Completion, error) {
	f, err := ParseOTS(b)
	if err != nil {
		return nil, Completion{}, err
	}
	c := f.Tree.Complete(ask)
	b, err = f.MarshalBinary()
	return b, c, err
}

// CompleteCalendars returns a file whose OpenTimestamps receipts have what their
// calendars promised, as far as these tell. The file itself stays as it is.
func CompleteCalendars(f *File, ask CalendarAsk) (*File, Completion, error) {
	var c Completion
	g := f.clone()
	for i := range g.Receipts {
		r := &g.Receipts[i]
		if r.Kind != KindOTS || r.Head < 0 || r.Head >= len(g.Heads) {
			continue
		}
		at, err := headOf(g, r.Head)
		if err != nil {
			return nil, c, err
		}
		ots, err := ParseOTSReceipt(r.Data)
		if err != nil {
			return nil, c, fmt.Errorf("receipt %d: %w", i, err)
		}
		tree, err := ParseTimestamp(at.root[:], ots.Timestamp)
		if err != nil {
			return nil, c, fmt.Errorf("receipt %d: %w", i, err)
		}
		kept := len(c.Kept)
		if tree.complete(ask, &c); len(c.Kept) == kept {
			continue
		}
		if ots.Timestamp, err = tree.MarshalBinary(); err == nil {
			r.Data, err = ots.MarshalBinary()
		}
		if err != nil {
			return nil, c, fmt.Errorf("receipt %d: %w", i, err)
		}
	}
	return g, c, nil
}

// mergeOTS returns the receipt that says what both say of one root; not ok if
// they are of different networks, or too much for one.
func mergeOTS(root [32]byte, a, b []byte) (data []byte, ok bool) {
	x, err := ParseOTSReceipt(a)
	if err != nil {
		return nil, false
	}
	y, err := ParseOTSReceipt(b)
	if err != nil || x.Network != y.Network {
		return nil, false
	}
	t, err := ParseTimestamp(root[:], x.Timestamp)
	if err != nil {
		return nil, false
	}
	u, err := ParseTimestamp(root[:], y.Timestamp)
	if err != nil || t.Merge(u) != nil {
		return nil, false
	}
	if x.Timestamp, err = t.MarshalBinary(); err != nil {
		return nil, false
	}
	for _, block := range y.Blocks {
		i, found := x.block(block.Height)
		switch {
		case !found:
			x.Blocks = slices.Insert(x.Blocks, i, block)
		case x.Blocks[i].Header != block.Header:
			return nil, false // of two chains: who is right is not known here
		case cmp.Compare(len(x.Blocks[i].Following), len(block.Following)) < 0:
			x.Blocks[i] = block
		}
	}
	data, err = x.MarshalBinary()
	return data, err == nil
}
