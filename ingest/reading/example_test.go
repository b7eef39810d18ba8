package reading_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"

	"cairn/ingest/reading"
	"cairn/merkle"
)

// From a reading to its items, entries, leaves and root. The salt keys are
// SHA-256 of the classes' names. Nine items make 16 leaves, seven of them
// decoys.
func Example() {
	r := &reading.Reading{
		Device:   "aaaaaaaa55555555",
		Received: 1_767_225_600_500,
		Clock:    reading.Synced,
		Sequence: 7,
		Origin: reading.Origin{Transport: reading.TransportUDP, Verdict: reading.Authenticated,
			Counter: 0x2a000319, HasCounter: true},
		Frame: sha256.Sum256([]byte("the frame as it was received")), HasFrame: true,
	}
	boiler, err := reading.FromStat("b", "", true, 1, "")
	if err != nil {
		panic(err)
	}
	temperature, err := reading.FromStat("T", "C16", true, 299, "")
	if err != nil {
		panic(err)
	}
	r.Measurements = []reading.Measurement{boiler, temperature}
	fmt.Println(temperature.Name, temperature.Value, temperature.Unit)
	if err := r.Validate(); err != nil {
		panic(err)
	}

	block := func(name string) cipher.Block {
		key := sha256.Sum256([]byte(name))
		c, err := aes.NewCipher(key[:])
		if err != nil {
			panic(err)
		}
		return c
	}
	salts := &reading.Salts{Envelope: block("envelope"), Data: block("data"), Site: block("site")}
	var h reading.Hasher
	leaves := h.Leaves(r, salts)
	n := h.Items().Len()
	for i := range n {
		fmt.Printf("item %d %x\n", i, h.Items().At(i))
	}
	for i, leaf := range leaves {
		salt := salts.Salt(r.Sequence, i, n)
		entry := reading.DecoyEntry(salt)
		if i < n {
			entry = reading.HiddenEntry(h.Items().At(i), salt)
		}
		fmt.Printf("entry %d %x\nleaf %d %v\n", i, entry, i, leaf)
		if merkle.LeafHash(entry[:]) != leaf {
			panic("the leaf is not that of its entry")
		}
	}
	root := merkle.PerfectRoot(leaves)
	fmt.Println("root", root, h.Root(r, salts) == root)

	var tag [reading.TagSize]byte
	copy(tag[:], "twelve bytes")
	fmt.Printf("reading entry %x\n", reading.Entry(tag, r.Sequence, root))
	fmt.Println("its leaf", reading.EntryLeaf(tag, r.Sequence, root))
	// Output:
	// T 18.6875 Cel
	// item 0 896f636169726e2f72656164696e672f315827836d636169726e2f6669656c642f316664657669636570616161616161616135353535353535355819836d636169726e2f6669656c642f31686d65617375726564f65828846d636169726e2f6669656c642f316872656365697665641b0000019b76daa9f46673796e6365645819836d636169726e2f6669656c642f316873657175656e636507582d856d636169726e2f6669656c642f31666f726967696e637564706d61757468656e746963617465641a2a0003195837836d636169726e2f6669656c642f31656672616d6558200415e1fdeee938204044b491c3cc75dad72550f78bbaf3ad7998808afd5dfdb053846d636169726e2f6669656c642f3161626001581d846d636169726e2f6669656c642f3161546343656cc482231a0002d9fb
	// item 1 836d636169726e2f6669656c642f31666465766963657061616161616161613535353535353535
	// item 2 836d636169726e2f6669656c642f31686d65617375726564f6
	// item 3 846d636169726e2f6669656c642f316872656365697665641b0000019b76daa9f46673796e636564
	// item 4 836d636169726e2f6669656c642f316873657175656e636507
	// item 5 856d636169726e2f6669656c642f31666f726967696e637564706d61757468656e746963617465641a2a000319
	// item 6 836d636169726e2f6669656c642f31656672616d6558200415e1fdeee938204044b491c3cc75dad72550f78bbaf3ad7998808afd5dfdb0
	// item 7 846d636169726e2f6669656c642f3161626001
	// item 8 846d636169726e2f6669656c642f3161546343656cc482231a0002d9fb
	// entry 0 bd527017f1bb130917a412282d5fc082e633fc3528e186e963cebb9ee3679a37ef0af952ae718ff28c4df475e0d8dadc
	// leaf 0 90e79263b9a50e3fd59fb1e4814664eb366497abb332ccf866606f10fe350b2b
	// entry 1 1cc5103d3313875ab31394e0852132db174729c8c711354329ec726bfc32156e8dbc6885561ab20b34cd1af56c8cbb46
	// leaf 1 25ba81b9a196c347e8869f39f38a2c6e00a2e94dfcc29e3e632047f9180de968
	// entry 2 a445e2441740a130720ed2ba6484828535bb49b0c6894274043b1290982ac128272994ade109ccab35e8ff652ca32387
	// leaf 2 890d573e78026323065556c9d0df5d14fbccaa6ebda0672e43793b1eeac269f9
	// entry 3 1113b1400e034e38a5b370583f3fa4cddb6c669fe25f3d05512cac32dce29a3b9bc7df83e82e77dd3feecd032b338b79
	// leaf 3 223719394049086607b807c53be9d2134fd5dacd41346d82eca37327709788ab
	// entry 4 12b0bf16c4a17e4750700abe6c0a98e96d05e65eb030035e617de97a4fe476c4642583030f9d6124b1e898c5afde2056
	// leaf 4 0f8096cb21268da7495c5c2cbbc944ca297643ec80a45a9a786369e675481257
	// entry 5 0c5171fe8528f6584848a2bd2b2c02279895f9df1f1cbc1cb038fbacece9b67c3c06c4f0c38fd0c27b702d4387afb98a
	// leaf 5 a0b2ef765e0f748cfb94070403c078b59b71e402c1e799091454743d3b9b99b3
	// entry 6 95429f9d9c3f7f8dee3aef5eff18b2468016ea7f92c430b34b0a21aa4eff7c3b0de25c67a42ed33473578da606c31a0e
	// leaf 6 f3b4602ea40c74d96e861ae37a047383cec04580193969b872190c80a633b0ad
	// entry 7 3f40200ca7993864189f8f1a54f065a40668a0da91dc6ce69d1493756e3775a01cb5d81e27365fc21b2966bc2f646487
	// leaf 7 d9782c3557bb7af1604bd5dfcad9e915e10484c80662cf22f07f961ffe8f6a2b
	// entry 8 451acfc542fdcac1690ba1fa70a119f687986da1edb72dff697c4f3a122c8459cfbf18e6a4e7e9cea795dd0e5b6c98fa
	// leaf 8 ff9f65a2e66b7d9eae86b2411682524aebbd50aefe0adce4a6d1a4d05cde0843
	// entry 9 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e9000024394dc137b5a414d37a97810ab4a11
	// leaf 9 9624bffa62b337886df3a34ef3194276f8eb0c0a637d2dcd849beb4072ad21c2
	// entry 10 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e900017ecd4fcaef4f441db76897cbc58b98d
	// leaf 10 1337b45386ab51c78a2825d50e0afc240c5f7be59b31e64bb1d3676bd4a94cf0
	// entry 11 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e9000154c5d6f9cde63a8e2955b1bd4b51341
	// leaf 11 e17c44a7a8c6e3daee91d4024c3ae4cf91201b6d6e0b220a548a52759039f270
	// entry 12 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e900077f9d1414d29cd1a793da2fc3ce12b1b
	// leaf 12 27f0375ecbb36fa8874172317d1eca3a280c84747ab8e3b0c1b6f2b33117ca61
	// entry 13 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e90004273583b61bfe872339e1d2b2fd22316
	// leaf 13 d6ec9e885795b4fd74a76df4904fa53ca97c01ba1578d965631155b6611d9aa6
	// entry 14 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e90001f34f93b80a233caf536f79420756902
	// leaf 14 498807bf08329e12840fd2304f657a7fc652e94bb158dab94bb3f93f6b882be7
	// entry 15 d71fecbb9647200bef01d0092f56d040368a6f05c8d03d73a2115a2d8c7e90002046c2c24e6c05b18cd91acbc1aaef2e
	// leaf 15 5b8e886148b707288c5fda5a30d0c6e8c78d520c7dc48eb3f7be8e0c715d9e77
	// root 46930f3261110e83b8522416d2acdbbb80689c696d68958775e2d1066fdc4b77 true
	// reading entry 7477656c7665206279746573000000000000000746930f3261110e83b8522416d2acdbbb80689c696d68958775e2d1066fdc4b77
	// its leaf 98edac769ec0e2c92639c1945613817c3da4fe38972b57884cf0806e2caa09f4
}
