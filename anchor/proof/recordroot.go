package proof

import "cairn/merkle"

// RecordRoot returns the record root that a range's reading leads to: that of
// the fields shown and the hidden path. ok is false where they lead to none.
func (n *Numbered) RecordRoot() (root merkle.Hash, ok bool) {
	root, err := n.recordRoot()
	return root, err == nil
}
