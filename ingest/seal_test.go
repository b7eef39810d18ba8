package ingest

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/ingest/frame"
)

// sealRaw seals a block of 32 bytes as it is, padding included, which package
// frame refuses to do.
func sealRaw(t testing.TB, key frame.Key, id string, c frame.Counter, padded []byte) []byte {
	t.Helper()
	if len(padded) != 32 {
		t.Fatalf("block of %d bytes", len(padded))
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	node := testID(t, id)
	header := append([]byte{62, 0xcf, byte(c&15)<<4 | 4}, node[:4]...)
	header = append(header, 32)
	nonce := c.Append(slices.Clone(node[:6]))
	sealed := gcm.Seal(nil, nonce, padded, header)
	wire := c.Append(append(header, sealed[:32]...))
	return append(append(wire, sealed[32:]...), 0x80)
}

// dumpLine is the '|' line of a hub for these bytes.
func dumpLine(b []byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "|%d ", len(b))
	for _, c := range b {
		if c >= 16 && c < 0x7e && c >= ' ' {
			s.WriteString(" " + string(rune(c)))
		} else {
			fmt.Fprintf(&s, "%02X", c)
		}
	}
	return s.String()
}
