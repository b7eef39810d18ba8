package merkle

import (
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// The two oracles, golang.org/x/mod/sumdb/tlog ("tlog") and
// github.com/transparency-dev/merkle ("dev"), and the ways to them.

// storedNodes reads nodes from the stored hashes of tlog.
type storedNodes struct{ t *tlogTree }

func (s storedNodes) Node(level int, index uint64) (Hash, error) {
	return Hash(s.t.hashes[tlog.StoredHashIndex(level, int64(index))]), nil
}

func toTlog(proof []Hash) []tlog.Hash {
	out := make([]tlog.Hash, len(proof))
	for i, h := range proof {
		out[i] = tlog.Hash(h)
	}
	return out
}

func fromTlog(proof []tlog.Hash) []Hash {
	out := make([]Hash, len(proof))
	for i, h := range proof {
		out[i] = Hash(h)
	}
	return out
}

func toDev(proof []Hash) [][]byte {
	out := make([][]byte, len(proof))
	for i := range proof {
		out[i] = proof[i][:]
	}
	return out
}

func fromDev(proof [][]byte) []Hash {
	out := make([]Hash, len(proof))
	for i, h := range proof {
		out[i] = Hash(h)
	}
	return out
}

func devInclusion(r NodeReader, index, size uint64) ([]Hash, error) {
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, err
	}
	return devFetch(r, nodes)
}

func devConsistency(r NodeReader, old, size uint64) ([]Hash, error) {
	nodes, err := proof.Consistency(old, size)
	if err != nil {
		return nil, err
	}
	return devFetch(r, nodes)
}

func devFetch(r NodeReader, nodes proof.Nodes) ([]Hash, error) {
	hashes, err := devNodes(r, nodes.IDs)
	if err != nil {
		return nil, err
	}
	out, err := nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	return fromDev(out), err
}

func devNodes(r NodeReader, ids []compact.NodeID) ([][]byte, error) {
	var hashes [][]byte
	for _, id := range ids {
		h, err := r.Node(int(id.Level), id.Index)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h[:])
	}
	return hashes, nil
}
