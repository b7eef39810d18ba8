package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
)

// golden freezes version 0: a change of any byte of the format shows here.
const golden = "7ff86ca04ed9519f0998be517df1e932de0c87c9cbf8a6d65b3a2deac40974be"

func TestGolden(t *testing.T) {
	s := newSite("golden").build(5)
	sum := sha256.Sum256(mustEncode(t, s.file(t, 5, thePicks()...)))
	if got := hex.EncodeToString(sum[:]); got != golden {
		t.Errorf("SHA-256 of the file is %s, want %s", got, golden)
	}
}

func ExampleParsePolicy() {
	policy, err := ParsePolicy([]byte(`cairn-policy 1
# the canteen's ledger for food safety
ledger 0d1c9b963e98f9c43fbfe45a593bf111a528a4c131836345aa3bae5d3a38e67f cairn/0d1c9b963e98f9c43fbfe45a593bf111a528a4c131836345aa3bae5d3a38e67f+6f88bba1+AWbRRAv0fCP4Opd2LaNapYkdgHNJR9+6wve8FpSkYRaQ
route ethereum chain=1 contract=0x00000000000000000000000000000000000000aa code=0x00000000000000000000000000000000000000000000000000000000000000bb sender=0x00000000000000000000000000000000000000cc
late 2h
`))
	fmt.Println(err, policy.Late, len(policy.Routes))
	// Output: <nil> 2h0m0s 1
}
