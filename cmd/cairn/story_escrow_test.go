package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
	"github.com/rogpeppe/go-internal/testscript"
)

// lie releases, with a holder's key and signature, shares that do not fit, for all
// escrow files in a folder. It knows the formats by their description alone:
//
//	lie KEY FOLDER RECIPIENT OUT
func (s *stage) lie(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: lie KEY FOLDER RECIPIENT OUT")
	}
	identity := ""
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-1") {
			identity = strings.TrimSpace(line)
		}
	}
	id, err := age.ParseX25519Identity(identity)
	ts.Check(err)
	seed, err := hkdf.Key(sha256.New, []byte(identity), nil, "cairn/holder-key/1", ed25519.SeedSize)
	ts.Check(err)
	key := ed25519.NewKeyFromSeed(seed)
	text := strings.TrimSpace(ts.ReadFile(args[2]))
	to, err := age.ParseX25519Recipient(text)
	ts.Check(err)
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[1]), "*.escrow"))
	ts.Check(err)
	enc, err := cbor.CoreDetEncOptions().EncMode()
	ts.Check(err)
	var shares []any
	for _, file := range files {
		b, err := os.ReadFile(file)
		ts.Check(err)
		b = b[len("cairn/escrow-file/1\n"):]
		public := b[4 : 4+binary.BigEndian.Uint32(b)]
		var p []any
		ts.Check(cbor.Unmarshal(public, &p))
		dealing := sha256.Sum256(public)
		for i, h := range p[5].([]any) {
			if h.([]any)[1] != id.Recipient().String() {
				continue
			}
			value := make([]byte, 32)
			value[0] = 77
			plain, err := enc.Marshal([]any{"cairn/escrow-share/1", dealing[:], i + 1, value})
			ts.Check(err)
			var wrapped bytes.Buffer
			w, err := age.Encrypt(&wrapped, to)
			ts.Check(err)
			_, err = w.Write(plain)
			ts.Check(err)
			ts.Check(w.Close())
			shares = append(shares, []any{dealing[:], i + 1, wrapped.Bytes()})
		}
	}
	release := []any{"cairn/escrow-release/1", 1, text, []byte(key.Public().(ed25519.PublicKey)), shares}
	signed, err := enc.Marshal(release)
	ts.Check(err)
	b, err := enc.Marshal(append(release, ed25519.Sign(key, signed)))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), b, 0o600))
}
