//go:build amd64 && !purego

package merkle

import "testing"

// TestWithoutSHA runs the hash tests as on a processor without the extensions.
func TestWithoutSHA(t *testing.T) {
	defer func(had bool) { hasSHA = had }(hasSHA)
	hasSHA = false
	t.Run("leaf", TestLeafHash)
	t.Run("node", TestNodeHash)
	t.Run("roots", TestKnownRoots)
	t.Run("allocations", TestAllocations)
}
