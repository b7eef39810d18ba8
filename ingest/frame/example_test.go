package frame_test

import (
	"encoding/hex"
	"fmt"

	"cairn/ingest/frame"
)

// A relay's datagram, the specification's third example, opened with the test
// key of 16 zeros.
func Example() {
	datagram, _ := hex.DecodeString("cf94aaaaaaaa20" +
		"b345f92969570cb8286614b4f069b00871dad8fe47c1c353834888037d587575" +
		"00002a000319" + "293b3152c326d26dd08d701e4b680dcb" + "80")
	id, err := frame.ParseID("aaaaaaaa55555555")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := frame.ParseKey("00000000000000000000000000000000")
	if err != nil {
		fmt.Println(err)
		return
	}
	opener, err := frame.NewOpener(key)
	if err != nil {
		fmt.Println(err)
		return
	}

	var buf [frame.MaxWire]byte
	f, err := frame.ParseDatagram(datagram, &buf)
	if err != nil {
		fmt.Println(err)
		return
	}
	plaintext, err := opener.Open(nil, f, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := frame.ParseBody(plaintext)
	if err != nil {
		fmt.Println(err)
		return
	}
	stats, err := frame.ParseStats(body.Stats, false)
	if err != nil {
		fmt.Println(err)
		return
	}

	c := f.Counter()
	fmt.Printf("restart %d, message %d, valve %d\n", c.Restart(), c.Message(), body.Valve)
	for _, s := range stats {
		fmt.Printf("%s = %d\n", s.Name(), s.Int)
	}
	// Output:
	// restart 42, message 793, valve -1
	// b = 1
}
