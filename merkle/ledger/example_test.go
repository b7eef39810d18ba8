package ledger_test

import (
	"crypto/aes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// One batch of a ledger that has given three slots: streams 0 and 2 are
// active, stream 1 is not any more. The keys are SHA-256 of short names.
func Example() {
	salt := func(key string, block [16]byte) (s [16]byte) {
		k := sha256.Sum256([]byte(key))
		c, err := aes.NewCipher(k[:])
		if err != nil {
			panic(err)
		}
		c.Encrypt(s[:], block[:])
		return s
	}
	seed := sha256.Sum256([]byte("log key"))
	pub := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	id := ledger.ID(pub, sha256.Sum256([]byte("nonce")))
	const batch, from, to = 41, 1_767_225_600_000, 1_767_225_660_000
	fmt.Println("origin", ledger.Origin(id))

	// Stream 0 took reading 7 in this window, stream 2 took none.
	reading := merkle.LeafHash(make([]byte, 52))
	rests := map[uint64]ledger.Rest{
		0: {From: from + 500, To: from + 500, HasReceived: true, Seen: 1, LostKnown: true,
			Ranges: []ledger.Range{{Name: "T", Unit: "Cel", Min: []byte{0x12}, Max: []byte{0x12}}}},
		2: {LostKnown: true},
	}
	summaries := map[uint64]ledger.Summary{
		0: {Slot: 0, From: from, To: to, First: 7, Next: 8, Run: reading, Stream: sha256.Sum256([]byte("stream 0"))},
		2: {Slot: 2, From: from, To: to, Run: merkle.EmptyRoot(), Stream: merkle.EmptyRoot()},
	}

	tagKey := sha256.Sum256([]byte("tag key"))
	leaves := make([]merkle.Hash, 1<<ledger.Depth(3))
	for i := range leaves {
		slot := uint64(i)
		s, active := summaries[slot]
		if !active {
			decoy := ledger.DecoyEntry(salt("site slot", ledger.PairBlock(batch, slot)))
			leaves[i] = merkle.LeafHash(decoy[:])
			continue
		}
		rest := rests[slot].Append(nil)
		s.Hidden = ledger.Hide(rest, salt("data rest", ledger.SummaryBlock(batch)))
		item := s.Append(nil)
		entry := ledger.SummaryEntry(ledger.Tag(tagKey, id, slot), item,
			salt("envelope summary", ledger.SummaryBlock(batch)))
		leaves[i] = merkle.LeafHash(entry[:])
		fmt.Printf("rest %x\nsummary %x\nentry %x\n", rest, item, entry)
	}
	fmt.Println("leaf 1", leaves[1])

	hidden := [][]byte{
		ledger.Counts{Readings: 1, Streams: 2}.Append(nil),
		ledger.NoIntake(),
		ledger.Slots{Depth: ledger.Depth(3)}.Append(nil),
		ledger.SegmentsHead{Root: merkle.EmptyRoot()}.Append(nil),
		ledger.StatementsHead{Size: 1, Root: sha256.Sum256([]byte("genesis"))}.Append(nil),
	}
	header := ledger.Header{Ledger: id, Index: batch, From: from, To: to, Root: merkle.PerfectRoot(leaves),
		Seen: []ledger.Seen{{Route: "ethereum:1", Height: 24_136_052, Hash: sha256.Sum256([]byte("block")), Time: from - 1000}}}
	for i, item := range hidden {
		key := "ledger header"
		if i < ledger.HiddenSlots {
			key = "site header"
		}
		header.Hidden[i] = ledger.Hide(item, salt(key, ledger.PairBlock(batch, uint64(i))))
		fmt.Printf("hidden %d %x\n", i, item)
	}
	item := header.Append(nil)
	fmt.Printf("header %x\n", item)
	fmt.Println("log leaf", merkle.LeafHash(item))
	// Output:
	// origin cairn/7d588f1b98f097e10d7543dd2ac8f1eabccc205c8e4a6e6c742cca6ed1c035fb
	// rest 876c636169726e2f726573742f311b0000019b76daa9f41b0000019b76daa9f4818461546343656c1212010080
	// summary 8a6f636169726e2f73756d6d6172792f31001b0000019b76daa8001b0000019b76db92600708f45820353fd628b7f6e7d426e5d6a27d1bc3ac22fa7f812e7594cf2ec5ca1175785b50582002818db3dbafb0d504a4779f95fc16bbcf22bd51644f880d0a57fb2ccffbfe2658203a9b51fcf805fc81853885e1d518617001266c75434557a7a484b38e72c9590f
	// entry 935f82f43c58c6bb087444e1ffffffffffffffff7e7b875a261cbcfe6dbbdd023f115da3dc221342c1e9aad29f90a7d465657629
	// rest 876c636169726e2f726573742f31f6f680000080
	// summary 8a6f636169726e2f73756d6d6172792f31021b0000019b76daa8001b0000019b76db92600000f45820e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555820e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555820bee1e139f81909122fb799a2a25785b155f850e0ea5496f96ad6991e38c944af
	// entry 2c084aedb06302078e22c2b3ffffffffffffffff9a47699d7681206aa65aade81a56df8316a2f2883d90823d89c95a88a2521849
	// leaf 1 45a8e77e2bd1f322c84516959186c63c6bd5b39d5b168c2e21541c218b9ec280
	// hidden 0 846e636169726e2f636f756e74732f31010200
	// hidden 1 816e636169726e2f696e74616b652f31
	// hidden 2 826d636169726e2f736c6f74732f3103
	// hidden 3 8370636169726e2f7365676d656e74732f31005820e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
	// hidden 4 8372636169726e2f73746174656d656e74732f31015820aeebad4a796fcc2e15dc4c6061b45ed9b373f26adfc798ca7d2d8cc58182718e
	// header 886d636169726e2f62617463682f3158207d588f1b98f097e10d7543dd2ac8f1eabccc205c8e4a6e6c742cca6ed1c035fb18291b0000019b76daa8001b0000019b76db926081846a657468657265756d3a311a017049745820496aca80e4d8f29fb8e8cd816c3afb48d3f103970b3a2ee1600c08ca67326dee1b0000019b76daa4185820071c761999a6178d1ed503508a6e24b6758e94b73f18a70b1f4f7a0144495fb4855820593636087dfeaffff3cd1aabd71901f62bb6d17a6d3e1d7bb0b8751551206e84582053923a75312214829e914b03659184ff2979bbf069a7cef88e6035a3d8f4e327582003d002698008d902c1f0d1f0e847f0c62e1d43c647216edb8654ef8179d381255820d85dbb038ff6fedaf04722c5ceaa6e2f484f1fa045729ee893a285f27eaad336582075ef62d4f123913b6be56e0c1af57df0c9f4f72960cb0a1a0525d762d3529bcd
	// log leaf 19970ae9470afcb709f38e25182f7e70392d7e8ac8f8b692aa4fc88a3a239030
}
