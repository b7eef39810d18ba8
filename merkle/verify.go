package merkle

import "fmt"

// VerifyInclusion checks that the leaf hash stands at index in the tree of
// this size and root (RFC 9162 section 2.1.3.2), by a path that ProveInclusion
// gave. Any other answer than nil is an ErrProof.
func VerifyInclusion(leaf Hash, index, size uint64, path []Hash, root Hash) error {
	got, err := RootFromInclusion(leaf, index, size, path)
	if err != nil {
		return err
	}
	return sameRoot("inclusion", got, root)
}

// RootFromInclusion returns the root that a tree of this size has if the leaf
// hash stands at index, by the given path. A path that is too short or too
// long, or an index outside the tree, is an ErrProof.
func RootFromInclusion(leaf Hash, index, size uint64, path []Hash) (Hash, error) {
	if size > MaxSize || index >= size {
		return Hash{}, fmt.Errorf("%w: inclusion: leaf %d of %d", ErrProof, index, size)
	}
	h := leaf
	n := 0
	for fn, sn := index, size-1; sn != 0; fn, sn = fn>>1, sn>>1 {
		// An even node that is the last of its level has no sibling there.
		if fn&1 == 0 && fn == sn {
			continue
		}
		if n == len(path) {
			return Hash{}, fmt.Errorf("%w: inclusion: path of %d hashes is too short for leaf %d of %d", ErrProof, n, index, size)
		}
		climb(&h, &path[n], fn&1 == 1)
		n++
	}
	if n != len(path) {
		return Hash{}, fmt.Errorf("%w: inclusion: path of %d hashes for leaf %d of %d, want %d", ErrProof, len(path), index, size, n)
	}
	return h, nil
}

// VerifyConsistency checks that the tree of size old with root oldRoot is a
// prefix of the one of this size and root (RFC 9162 section 2.1.4.2), by a
// proof that ProveConsistency gave. The empty tree, whose root must be
// EmptyRoot, is a prefix of every tree. Any other answer than nil is an
// ErrProof.
func VerifyConsistency(old, size uint64, oldRoot, root Hash, proof []Hash) error {
	if size > MaxSize || old > size {
		return fmt.Errorf("%w: consistency: size %d of %d", ErrProof, old, size)
	}
	if old == 0 || old == size {
		return verifyTrivialConsistency(old, size, oldRoot, root, proof)
	}
	first, second, err := rootsFromConsistency(old, size, oldRoot, proof)
	if err != nil {
		return err
	}
	if err := sameRoot("consistency: old tree", first, oldRoot); err != nil {
		return err
	}
	return sameRoot("consistency: new tree", second, root)
}

func verifyTrivialConsistency(old, size uint64, oldRoot, root Hash, proof []Hash) error {
	if len(proof) != 0 {
		return fmt.Errorf("%w: consistency: %d hashes for sizes %d and %d, want none", ErrProof, len(proof), old, size)
	}
	if old == 0 {
		if err := sameRoot("consistency: empty tree", oldRoot, emptyRoot); err != nil {
			return err
		}
	}
	if old == size {
		return sameRoot("consistency: same size", root, oldRoot)
	}
	return nil
}

// rootsFromConsistency returns the roots of both trees, 0 < old < size, that
// follow from the proof.
func rootsFromConsistency(old, size uint64, oldRoot Hash, proof []Hash) (first, second Hash, err error) {
	fn, sn := old-1, size-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	// RFC 9162: "If first is an exact power of 2, then prepend first_hash to
	// the consistency_path array." All of fn's bits are gone exactly then.
	first, n := oldRoot, 0
	if fn != 0 {
		if len(proof) == 0 {
			return first, second, fmt.Errorf("%w: consistency: no hashes for sizes %d and %d", ErrProof, old, size)
		}
		first, n = proof[0], 1
	}
	second = first
	for ; sn != 0; fn, sn = fn>>1, sn>>1 {
		if fn&1 == 0 && fn == sn {
			continue
		}
		if n == len(proof) {
			return first, second, fmt.Errorf("%w: consistency: %d hashes are too few for sizes %d and %d", ErrProof, n, old, size)
		}
		if fn&1 == 1 {
			nodeHash(&first, &proof[n], &first)
			nodeHash(&second, &proof[n], &second)
		} else {
			nodeHash(&second, &second, &proof[n])
		}
		n++
	}
	if n != len(proof) {
		return first, second, fmt.Errorf("%w: consistency: %d hashes for sizes %d and %d, want %d", ErrProof, len(proof), old, size, n)
	}
	return first, second, nil
}

// VerifyRange checks that these leaf hashes, at least one, are all the leaves
// from the given index on in the tree of this size and root, without a hole,
// by a proof that ProveRange gave. Any other answer than nil is an ErrProof.
func VerifyRange(leaves []Hash, from, size uint64, proof []Hash, root Hash) error {
	got, err := RootFromRange(leaves, from, size, proof)
	if err != nil {
		return err
	}
	return sameRoot("range", got, root)
}

// RootFromRange returns the root that a tree of this size has if these leaf
// hashes, at least one, stand at from and after, by the given proof. A proof
// of another length than needed, or leaves outside the tree, is an ErrProof.
func RootFromRange(leaves []Hash, from, size uint64, proof []Hash) (Hash, error) {
	n := uint64(len(leaves))
	if n == 0 || size > MaxSize || from >= size || n > size-from {
		return Hash{}, fmt.Errorf("%w: range: %d leaves from %d of %d", ErrProof, n, from, size)
	}
	w := rangeWalk{leaves: leaves, from: from, to: from + n, proof: proof}
	h, ok := w.root(0, size)
	if !ok {
		return Hash{}, fmt.Errorf("%w: range: %d hashes are too few for leaves [%d, %d) of %d", ErrProof, len(proof), from, w.to, size)
	}
	if len(w.proof) != 0 {
		return Hash{}, fmt.Errorf("%w: range: %d hashes left over of %d for leaves [%d, %d) of %d", ErrProof, len(w.proof), len(proof), from, w.to, size)
	}
	return h, nil
}

// rangeWalk walks a tree as appendOutside does and takes from the proof what
// that put there.
type rangeWalk struct {
	leaves   []Hash // of [from, to)
	from, to uint64
	proof    []Hash // what is left of it
}

// root returns the root of the subtree over [begin, end); not ok when the
// proof ends too soon. It recurses to the height of the tree.
func (w *rangeWalk) root(begin, end uint64) (h Hash, ok bool) {
	if w.from <= begin && end <= w.to {
		return subtreeRoot(w.leaves[begin-w.from : end-w.from]), true
	}
	if end <= w.from || w.to <= begin {
		if len(w.proof) == 0 {
			return Hash{}, false
		}
		h, w.proof = w.proof[0], w.proof[1:]
		return h, true
	}
	mid := begin + split(end-begin)
	if h, ok = w.root(begin, mid); !ok {
		return Hash{}, false
	}
	right, ok := w.root(mid, end)
	nodeHash(&h, &h, &right)
	return h, ok
}

func sameRoot(what string, got, want Hash) error {
	if got != want {
		return fmt.Errorf("%w: %s: root is %v, want %v", ErrProof, what, got, want)
	}
	return nil
}
