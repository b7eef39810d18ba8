package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// identity makes somebody's key pair: NAME.key, and NAME.pub with what a grant
// is made to:
//
//	identity NAME [age|pq|ssh]
func (s *stage) identity(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: identity NAME [age|pq|ssh]")
	}
	var secret []byte
	var public string
	switch kind := append(args, "age")[1]; kind {
	case "age":
		id, err := age.GenerateX25519Identity()
		ts.Check(err)
		secret, public = []byte(id.String()+"\n"), id.Recipient().String()
	case "pq":
		id, err := age.GenerateHybridIdentity()
		ts.Check(err)
		secret, public = []byte(id.String()+"\n"), id.Recipient().String()
	case "ssh":
		pub, private, err := ed25519.GenerateKey(nil)
		ts.Check(err)
		block, err := ssh.MarshalPrivateKey(private, "")
		ts.Check(err)
		key, err := ssh.NewPublicKey(pub)
		ts.Check(err)
		secret, public = pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	default:
		ts.Fatalf("no kind of key %q", kind)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), secret, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), []byte(public+"\n"), 0o644))
}

// absent reads every file below some folders, byte for byte, and fails if one
// holds a text:
//
//	absent TEXT PATH…
func (s *stage) absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: absent TEXT PATH…")
	}
	files := 0
	for _, root := range args[1:] {
		err := filepath.WalkDir(ts.MkAbs(root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) { // a store at work removes files
				return nil
			}
			files++
			if err == nil && bytes.Contains(b, []byte(args[0])) {
				err = fmt.Errorf("%s holds %q", path, args[0])
			}
			return err
		})
		ts.Check(err)
	}
	if files == 0 {
		ts.Fatalf("there is nothing in %v", args[1:])
	}
}

// guess tries to learn a field that a proof hides: every whole number in a range,
// under every salt that is in the file, against every hash that is in it. Fields
// that are shown must be found by the same search, once their hashes are put
// among the others.
//
//	guess FILE FIELD FROM TO
func (s *stage) guess(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: guess FILE FIELD FROM TO")
	}
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	f, err := proof.Decode(b)
	ts.Check(err)
	from, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	to, err := strconv.ParseInt(args[3], 10, 64)
	ts.Check(err)
	var shown []proof.Field
	hashes := map[merkle.Hash]bool{}
	for _, r := range f.Ranges {
		for _, n := range r.Readings {
			for _, h := range n.Hidden {
				hashes[h] = true
			}
			shown = append(shown, n.Fields...)
		}
	}
	if len(shown) == 0 || len(hashes) == 0 {
		ts.Fatalf("%s shows or hides nothing: %d fields, %d hashes", args[0], len(shown), len(hashes))
	}
	among := func(item []byte, salt [16]byte) bool {
		e := ledger.HiddenEntry(item, salt)
		return hashes[merkle.LeafHash(e[:])]
	}
	for value := from; value <= to; value++ {
		guess := reading.Reading{Measurements: []reading.Measurement{{Name: args[1], Value: reading.Int(value)}}}
		item := reading.AppendItem(nil, &guess, reading.IndexData)
		for _, x := range shown {
			if among(item, x.Salt) {
				ts.Fatalf("%s was guessed: %d", args[1], value)
			}
		}
	}
	for _, x := range shown {
		e := ledger.HiddenEntry(x.Item, x.Salt)
		hashes[merkle.LeafHash(e[:])] = true
		if !among(x.Item, x.Salt) {
			ts.Fatalf("field %d, which is shown, is not found", x.Index)
		}
	}
	fmt.Fprintf(ts.Stdout(), "%d salts against %d hashes: not guessed\n", len(shown), len(hashes))
}
