package proof

import "cairn/merkle"

// RecordRoot returns the record root that a range's reading leads to: that of
// the fields shown and the hidden path, or the one hash that stands for all. ok
// is false where they lead to none.
func (n *Numbered) RecordRoot() (root merkle.Hash, ok bool) {
	if len(n.Fields) == 0 {
		if len(n.Hidden) != 1 {
			return root, false
		}
		return n.Hidden[0], true
	}
	r := n.alone()
	if r.check() != nil {
		return root, false
	}
	root, bad := r.recompute()
	return root, bad == nil
}
