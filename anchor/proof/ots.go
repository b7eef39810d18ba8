package proof

// OpenTimestamps proofs.
//
// A detached file is
//
//	00 "OpenTimestamps" 00 00 "Proof" 00 bf 89 e2 e8 84 e8 92 94 ‖ version 01 ‖
//	hash (1) ‖ digest ‖ node
//
// with hash the operation that gave the digest of the file beside it: 08
// SHA-256 (32 bytes), 02 SHA-1 or 03 RIPEMD-160 (20). A node belongs to a
// message, first of all the digest:
//
//	node        = *( ff item ) item
//	item        = 00 attestation | operation ‖ node of its result
//	operation   = 08 | 02 | 03 | 67 (hashes) | f2 (reverse) | f3 (hexlify)
//	              | f0 argument (append) | f1 argument (prepend)
//	attestation = tag (8) ‖ payload
//	argument, payload = varuint length ‖ bytes
//
// A varuint has seven bits in a byte, the lowest first, the top bit on all but
// the last. Payloads: tag 0588960d73d71901, a varuint height: the message is
// the merkle root of that Bitcoin block, in internal byte order;
// 06869a0d73d71b45 the same in Litecoin; 30fe8087b5c7ead7 a varuint number:
// the message is that Ethereum block's transactions root; 83dfe30d2ef90c8e a
// varuint length and a URI: a calendar will know more of this message.
//
// Read is what the reference reads: up to 255 operations deep, messages and
// arguments of up to 4096 bytes, payloads of up to 8192; and no more than 4096
// operations and attestations in all, because a reversal costs one byte and
// makes a message of 4096, and varuints of up to 10 bytes. An unknown operation
// is an error, an unknown attestation is kept. Written is what the reference
// writes: varuints in their shortest form; of a node first the attestations, by
// tag and then height, URI or payload, then the operations by tag and argument.

import (
	"bytes"
	"fmt"
	"slices"
)

// Timestamp is a node of a proof: a message, what is attested of it, and the
// operations that lead on from it.
type Timestamp struct {
	msg  []byte
	atts []OTSAttestation // ascending, none twice
	ops  []otsEdge        // ascending by operation, none twice
}

type otsEdge struct {
	op   OTSOp
	node *Timestamp
}

// NewTimestamp returns a node without anything yet. It keeps msg, which is at
// most 4096 bytes.
func NewTimestamp(msg []byte) *Timestamp { return &Timestamp{msg: msg} }

// Message returns the node's message. It must not be changed.
func (t *Timestamp) Message() []byte { return t.msg }

// Attest adds an attestation, once.
func (t *Timestamp) Attest(a OTSAttestation) error {
	if err := a.check(); err != nil {
		return err
	}
	i, found := slices.BinarySearchFunc(t.atts, a, OTSAttestation.compare)
	if !found {
		t.atts = slices.Insert(t.atts, i, a)
	}
	return nil
}

// Remove takes an attestation away, as after a calendar has kept its promise.
func (t *Timestamp) Remove(a OTSAttestation) {
	if i, found := slices.BinarySearchFunc(t.atts, a, OTSAttestation.compare); found {
		t.atts = slices.Delete(t.atts, i, i+1)
	}
}

// Path applies operations one after the other and returns the node that they
// end at. Those that are there already are followed.
func (t *Timestamp) Path(ops ...OTSOp) (*Timestamp, error) {
	for _, op := range ops {
		i, found := t.find(op)
		if !found {
			msg, err := op.Apply(t.msg)
			if err != nil {
				return nil, err
			}
			t.ops = slices.Insert(t.ops, i, otsEdge{op, &Timestamp{msg: msg}})
		}
		t = t.ops[i].node
	}
	return t, nil
}

func (t *Timestamp) find(op OTSOp) (int, bool) {
	return slices.BinarySearchFunc(t.ops, op, func(e otsEdge, op OTSOp) int { return e.op.compare(op) })
}

// Merge adds everything that another proof for the same message has.
func (t *Timestamp) Merge(o *Timestamp) error {
	if !bytes.Equal(t.msg, o.msg) {
		return fmt.Errorf("%w: merge of %.40x with %.40x", ErrOTS, t.msg, o.msg)
	}
	for _, a := range o.atts {
		if err := t.Attest(a); err != nil {
			return err
		}
	}
	for _, e := range o.ops {
		next, err := t.Path(e.op)
		if err != nil {
			return err
		}
		if err := next.Merge(e.node); err != nil {
			return err
		}
	}
	return nil
}

// OTSLeaf is an attestation in its place.
type OTSLeaf struct {
	OTSAttestation
	Node *Timestamp // whose message it is of
	Path []OTSOp    // from the first message to Node's
}

// Leaves returns all attestations in the order in which they are written.
func (t *Timestamp) Leaves() []OTSLeaf {
	var leaves []OTSLeaf
	t.leaves(nil, &leaves)
	return leaves
}

func (t *Timestamp) leaves(path []OTSOp, to *[]OTSLeaf) {
	for _, a := range t.atts {
		*to = append(*to, OTSLeaf{a, t, slices.Clone(path)})
	}
	for _, e := range t.ops {
		e.node.leaves(append(path, e.op), to)
	}
}

// each calls f for every attestation, in the order in which they are written,
// and returns how many bytes the messages of all nodes have.
func (t *Timestamp) each(f func(OTSAttestation, *Timestamp)) (size int) {
	for _, a := range t.atts {
		f(a, t)
	}
	size = len(t.msg)
	for _, e := range t.ops {
		size += e.node.each(f)
	}
	return size
}

// Only returns a copy with those attestations that keep accepts and what leads
// to them; nil if there are none.
func (t *Timestamp) Only(keep func(OTSAttestation) bool) *Timestamp {
	c := &Timestamp{msg: t.msg}
	for _, a := range t.atts {
		if keep(a) {
			c.atts = append(c.atts, a)
		}
	}
	for _, e := range t.ops {
		if next := e.node.Only(keep); next != nil {
			c.ops = append(c.ops, otsEdge{e.op, next})
		}
	}
	if len(c.atts) == 0 && len(c.ops) == 0 {
		return nil
	}
	return c
}
