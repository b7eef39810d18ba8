package merkle_test

import (
	"crypto/ed25519"
	"fmt"

	"cairn/merkle"
)

// A log signs its head; someone who holds its verifier key opens that and
// checks that an entry stands in the log.
func Example() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // draw it at random instead
	vkey := merkle.VerifierKey("example.org/canteen", key.Public().(ed25519.PublicKey))

	var log merkle.Tree
	var leaves merkle.Leaves
	for _, entry := range []string{"first", "second", "third"} {
		leaf := merkle.LeafHash([]byte(entry))
		log.Append(leaf)
		leaves = append(leaves, leaf)
	}
	signed, err := merkle.SignCheckpoint(merkle.Checkpoint{
		Origin: "example.org/canteen", Size: log.Size(), Root: log.Root(),
	}, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := merkle.ProveInclusion(leaves, 1, log.Size())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(signed))

	// Elsewhere, with vkey, signed, path and the entry only:
	origin, pub, err := merkle.ParseVerifierKey(vkey)
	if err != nil {
		fmt.Println(err)
		return
	}
	head, err := merkle.OpenCheckpoint(signed, origin, pub)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(merkle.VerifyInclusion(merkle.LeafHash([]byte("second")), 1, head.Size, path, head.Root))
	fmt.Println(merkle.VerifyInclusion(merkle.LeafHash([]byte("forged")), 1, head.Size, path, head.Root) != nil)
	// Output:
	// example.org/canteen
	// 3
	// w2UeVBcUxT1kjsx7rsp/4sNu9PplvM4ksdcShkN95WY=
	//
	// — example.org/canteen xggCfqRSRqyCgXjNTJrjkgnkkj/8L6Jd9+gIWoAo+q562O+6pJX8icf5q1mflyVuNjxYBJoKHdn/49ATilLq4yOokwA=
	//
	// <nil>
	// true
}
