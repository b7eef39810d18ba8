package ots

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"cairn/anchor/proof"
)

// FuzzAnswer reads what a calendar might answer: no answer may cost much, and
// what is taken is written again as it was understood.
func FuzzAnswer(f *testing.F) {
	msg := sha256.Sum256([]byte("message"))
	for _, seed := range []string{
		"f0010208000588960d73d7190101aa",
		"0083dfe30d2ef90c8e0b0a68747470733a2f2f6162",
		"ff000588960d73d719010107f10200010808000588960d73d7190102e807",
		"f2f2f2f300000102030405060708020102",
		"0208000588960d73d7190101aa",
		"67000588960d73d719010a8080808080808080807f",
		"f0",
	} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg[:], b)
	}
	f.Fuzz(func(t *testing.T, msg, b []byte) {
		tree, err := parseAnswer(msg, b)
		if err != nil {
			if !errors.Is(err, errAnswer) {
				t.Fatalf("got %v, want %v", err, errAnswer)
			}
			return
		}
		if !bytes.Equal(tree.Message(), msg) {
			t.Fatalf("got a tree of %x for %x", tree.Message(), msg)
		}
		written, err := tree.MarshalBinary()
		if err != nil {
			t.Fatalf("write again: %v", err)
		}
		again, err := parseAnswer(msg, written)
		if err != nil {
			t.Fatalf("read again: %v", err)
		}
		if w, err := again.MarshalBinary(); err != nil || !bytes.Equal(w, written) {
			t.Fatalf("written twice: %x and %x, %v", written, w, err)
		}
		for _, leaf := range tree.Leaves() {
			m := msg
			for _, op := range leaf.Path {
				if m, err = op.Apply(m); err != nil {
					t.Fatalf("apply %s: %v", op, err)
				}
			}
			if !bytes.Equal(m, leaf.Node.Message()) {
				t.Fatalf("%s: the path gives %x, the tree has %x", leaf, m, leaf.Node.Message())
			}
			if leaf.Kind == proof.OTSBitcoin && len(m) != 32 {
				t.Fatalf("%d bytes attested in a block", len(m))
			}
		}
	})
}

// FuzzHarmless: whatever a server says, it is short and plain.
func FuzzHarmless(f *testing.F) {
	f.Add([]byte("Pending confirmation; 3 blocks #1"))
	f.Add([]byte("\x1b[2J<script>\x00\xff\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := harmless(b)
		if len(s) > maxWords {
			t.Fatalf("%d bytes", len(s))
		}
		for _, c := range []byte(s) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || bytes.IndexByte([]byte("#-.,; "), c) >= 0) {
				t.Fatalf("byte %02x in %q", c, s)
			}
		}
	})
}

// FuzzBook reads what a journal might hold.
func FuzzBook(f *testing.F) {
	b, err := encMode.Marshal(&book{Version: bookVersion, Entries: []entry{{ID: []byte{1}, Height: 7, Answers: []answer{{URI: "https://a", Message: []byte{2}, Tree: []byte{3}}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseBook(b)
		if err != nil {
			if !errors.Is(err, errBook) {
				t.Fatalf("got %v, want %v", err, errBook)
			}
			return
		}
		again, err := encMode.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseBook(again); err != nil {
			t.Fatalf("read again: %v", err)
		}
	})
}
