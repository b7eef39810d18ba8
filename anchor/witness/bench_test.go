package witness

import (
	"context"
	"net/http/httptest"
	"testing"

	"cairn/merkle"
)

// BenchmarkCosign is one head of a long log cosigned over HTTP, durably.
func BenchmarkCosign(b *testing.B) {
	const before = 100_000
	l := newTestLog(b, "example.com/log").grow(before+uint64(b.N)+1, 0)
	w := newWitness(b, b.TempDir(), l)
	s := httptest.NewServer(w)
	defer s.Close()
	c, err := NewClient(ClientConfig{URL: s.URL, Key: w.signer.Key})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	size := uint64(before)
	for b.Loop() {
		known := size
		size++
		l.grow(size, 0)
		_, err := c.Cosign(context.Background(), l.head(size), size, known, func(old uint64) ([]merkle.Hash, error) {
			return merkle.ProveConsistency(l, old, size)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
