package proof

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto/keccak"
	"github.com/ethereum/go-ethereum/rlp"
)

// ErrTrie says that the nodes of a Merkle Patricia proof do not lead from the
// root to a value under the key: one is wrong, missing or left over.
var ErrTrie = errors.New("trie proof does not hold")

// maxTrieNodes is the deepest path there can be: 64 nibbles of a hashed key,
// the root and the value's own node.
const maxTrieNodes = 66

func keccak256(parts ...[]byte) (h [32]byte) {
	d := keccak.NewLegacyKeccak256()
	for _, p := range parts {
		d.Write(p)
	}
	d.Sum(h[:0])
	return h
}

// trieValue follows nodes, the root's first, to the value under key in the
// Merkle Patricia trie with this root (Yellow Paper appendix D). Every node
// must be used, in the order given. A key that the trie does not have is an
// ErrTrie: absence is not something that a receipt could want to show.
//
// It stands here, and not geth's trie package, because that links a database,
// and because nothing but the hashes of RLP lists is needed.
func trieValue(root [32]byte, key []byte, nodes [][]byte) ([]byte, error) {
	if len(nodes) == 0 || len(nodes) > maxTrieNodes {
		return nil, fmt.Errorf("%w: %d nodes", ErrTrie, len(nodes))
	}
	want := root[:]
	path := nibbles(key)
	for i, node := range nodes {
		if h := keccak256(node); !bytes.Equal(h[:], want) {
			return nil, fmt.Errorf("%w: node %d has hash %x, want %x", ErrTrie, i, h, want)
		}
		if i > 0 && len(node) < 32 {
			return nil, fmt.Errorf("%w: node %d is short and not inside its parent", ErrTrie, i)
		}
		s, err := stepNode(node, path)
		// A node shorter than its hash stands inside its parent.
		for err == nil && s.inline != nil {
			s, err = stepNode(s.inline, s.rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: node %d: %w", ErrTrie, i, err)
		}
		if s.value != nil {
			if i != len(nodes)-1 {
				return nil, fmt.Errorf("%w: %d nodes left over", ErrTrie, len(nodes)-1-i)
			}
			return s.value, nil
		}
		want, path = s.hash, s.rest
	}
	return nil, fmt.Errorf("%w: it ends before a value", ErrTrie)
}

// trieStep is where one node leads: to a value, or with the rest of the path
// to a child, given by hash or standing inside. Exactly one of value, hash and
// inline is set.
type trieStep struct {
	value, hash, inline []byte
	rest                []byte
}

func stepNode(node, path []byte) (trieStep, error) {
	list, after, err := rlp.SplitList(node)
	if err != nil || len(after) != 0 {
		return trieStep{}, errors.New("not one list")
	}
	elems, err := rlp.SplitListValues(node)
	if err != nil {
		return trieStep{}, err
	}
	switch len(elems) {
	case 17:
		if len(path) == 0 {
			return valueStep(elems[16])
		}
		return childStep(elems[path[0]], path[1:])
	case 2:
		return stepShort(list, elems, path)
	}
	return trieStep{}, fmt.Errorf("%d elements", len(elems))
}

// stepShort goes through a leaf or an extension, whose key is in hex-prefix
// encoding (Yellow Paper appendix C).
func stepShort(list []byte, elems [][]byte, path []byte) (trieStep, error) {
	enc, _, err := rlp.SplitString(list)
	if err != nil {
		return trieStep{}, err
	}
	if len(enc) == 0 || enc[0]>>4 > 3 {
		return trieStep{}, errors.New("key is not hex-prefix encoded")
	}
	flag, key := enc[0]>>4, nibbles(enc)[1:]
	if flag&1 == 0 {
		if key[0] != 0 {
			return trieStep{}, errors.New("key is not hex-prefix encoded")
		}
		key = key[1:]
	}
	if !bytes.HasPrefix(path, key) {
		return trieStep{}, errors.New("no value under this key")
	}
	rest := path[len(key):]
	if flag&2 == 0 {
		if len(key) == 0 {
			return trieStep{}, errors.New("extension by nothing")
		}
		return childStep(elems[1], rest)
	}
	if len(rest) != 0 {
		return trieStep{}, errors.New("no value under this key")
	}
	return valueStep(elems[1])
}

func valueStep(elem []byte) (trieStep, error) {
	v, _, err := rlp.SplitString(elem)
	if err != nil {
		return trieStep{}, err
	}
	if len(v) == 0 {
		return trieStep{}, errors.New("no value under this key")
	}
	return trieStep{value: v}, nil
}

func childStep(elem, rest []byte) (trieStep, error) {
	kind, content, _, err := rlp.Split(elem)
	switch {
	case err != nil:
		return trieStep{}, err
	case kind == rlp.List && len(elem) < 32:
		return trieStep{inline: elem, rest: rest}, nil
	case kind == rlp.String && len(content) == 32:
		return trieStep{hash: content, rest: rest}, nil
	case kind == rlp.String && len(content) == 0:
		return trieStep{}, errors.New("no value under this key")
	}
	return trieStep{}, errors.New("child is neither a hash nor a short node")
}

func nibbles(b []byte) []byte {
	n := make([]byte, 0, 2*len(b))
	for _, c := range b {
		n = append(n, c>>4, c&0x0f)
	}
	return n
}
