package bitcoin

import (
	"testing"

	"cairn/anchor/proof"
	"cairn/scripts/btcd"
)

// BenchmarkHeaders is what `headers fetch` takes, and BenchmarkScan what a scan
// from the birthday takes with blocks that are almost empty.
func BenchmarkHeaders(b *testing.B) {
	n := btcd.Start(b)
	n.Mine(500)
	node, err := NewNode(NodeConfig{Network: "regtest", URL: n.URL, User: n.User, Password: n.Password})
	if err != nil {
		b.Fatal(err)
	}
	defer node.Close()
	for b.Loop() {
		if err := node.Headers(b.Context(), 1, 500, func(uint32, proof.BitcoinHeader) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/500*1e6, "µs/header")
}

func BenchmarkScan(b *testing.B) {
	n := btcd.Start(b)
	n.Mine(500)
	c := dial(b, configOf(b, n, P2WPKH))
	for b.Loop() {
		c.scan.reset()
		if err := c.scan.follow(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/500*1e6, "µs/block")
}
