package mirror

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// side is one of two signed heads that exclude one another.
type side struct {
	head merkle.Checkpoint
	note []byte
}

func sideOf(head merkle.Checkpoint, note []byte) side { return side{head, note} }

// prefix is what the log of the greater head was at the size of the smaller.
type prefix struct {
	root merkle.Hash
	path []merkle.Hash
}

// fork keeps the evidence of two histories and raises the alarm that stays. The
// smaller head comes first. Of a prefix of nil the heads have one size.
func (p *pass) fork(a, b side, pre *prefix) error {
	kind := proof.FraudTwoRoots
	if pre != nil {
		kind = proof.FraudNotExtended
	}
	what := fmt.Sprintf("the log's key signed two histories: a log of %d batches with the root %v, and one of %d with the root %v that does not extend it",
		a.head.Size, a.head.Root, b.head.Size, b.head.Root)
	if pre == nil {
		what = fmt.Sprintf("the log's key signed two logs of %d batches, with the roots %v and %v", a.head.Size, a.head.Root, b.head.Root)
	}
	file, err := p.c.fraud(kind, a, b, pre)
	if err != nil {
		what += fmt.Sprintf("; the notes are kept, and evidence could not be made of them: %v", err)
	}
	name := fmt.Sprintf("%s-%d-%s", kind, a.head.Size, hex.EncodeToString(b.head.Root[:4]))
	files := []evidence{{name + ".first.checkpoint", a.note}, {name + ".second.checkpoint", b.note}}
	if err == nil {
		files = append(files, evidence{name + ".evidence", file})
	}
	return p.lasting(Fork, what, files)
}

// evidence is a file of evidence.
type evidence struct {
	name string
	data []byte
}

// lasting writes evidence, and an alarm that stays. Evidence that is there is not
// written again.
func (p *pass) lasting(kind Kind, what string, files []evidence) error {
	c := p.c
	if err := makeDir(filepath.Join(c.dir, evidenceDir)); err != nil {
		return err
	}
	last := ""
	for _, f := range files {
		path := filepath.Join(c.dir, evidenceDir, f.name)
		last = filepath.ToSlash(filepath.Join(evidenceDir, f.name))
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := writeFile(path, f.data, 0o600); err != nil {
			return err
		}
	}
	a := &Alarm{Kind: kind, Text: what, File: last, At: c.now().UTC().Format(time.RFC3339)}
	if slices.ContainsFunc(c.st.Alarms, func(have *Alarm) bool { return have.Kind == kind && have.File == last }) {
		return a
	}
	st := c.st
	st.Alarms = append(slices.Clone(st.Alarms), a)
	if err := c.putState(st); err != nil {
		return err
	}
	return a
}

// evidence makes the file that proves it to anyone: cairn-verify checks it.
func (c *Copy) fraud(kind proof.FraudKind, a, b side, pre *prefix) ([]byte, error) {
	f := &proof.Fraud{Ledger: proof.Ledger{Key: [32]byte(c.id.LogKey), Nonce: c.id.Nonce}, Kind: kind}
	last := 0
	for i, s := range []side{a, b} {
		_, by, err := c.facts.open(s.note)
		if err != nil {
			return nil, err
		}
		h := &proof.FraudHead{Size: s.head.Size, Root: s.head.Root}
		if h.Key, h.Signature, err = signatureOf(s.note, s.head.Origin, c.facts.keys[by].pub); err != nil {
			return nil, err
		}
		f.Sides[i], last = proof.FraudSide{Head: h}, max(last, by)
	}
	for _, k := range c.facts.keys[1 : last+1] {
		f.Handovers = append(f.Handovers, k.item)
	}
	if pre != nil {
		f.Prefix = &proof.FraudPrefix{Root: pre.root, Path: pre.path}
	}
	return f.Encode()
}

// signatureOf finds the signature of a log key in a note: the ID of the key, and
// the signature alone.
func signatureOf(note []byte, origin string, pub ed25519.PublicKey) (id [4]byte, sig [ed25519.SignatureSize]byte, err error) {
	_, rest, _ := strings.Cut(merkle.VerifierKey(origin, pub), "+")
	want, _, _ := strings.Cut(rest, "+")
	end := bytes.LastIndex(note, []byte("\n\n"))
	if end < 0 {
		return id, sig, merkle.ErrUnsigned
	}
	text := note[:end+1]
	for line := range strings.Lines(string(note[end+2:])) {
		words := strings.Fields(line)
		if len(words) != 3 || words[1] != origin {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(words[2])
		if err != nil || len(raw) != len(id)+len(sig) || hex.EncodeToString(raw[:4]) != want || !ed25519.Verify(pub, text, raw[4:]) {
			continue
		}
		copy(id[:], raw)
		copy(sig[:], raw[4:])
		return id, sig, nil
	}
	return id, sig, merkle.ErrUnsigned
}

// twoHandovers raises the alarm of a key that was handed over twice.
func (p *pass) twoHandovers(a, b []byte) error {
	c := p.c
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	k, err := logKeyOf(a)
	if err != nil {
		return err
	}
	f := &proof.Fraud{Ledger: proof.Ledger{Key: [32]byte(c.id.LogKey), Nonce: c.id.Nonce}, Kind: proof.FraudTwoHandovers}
	f.Sides = [2]proof.FraudSide{{Handover: a}, {Handover: b}}
	for i, have := range c.facts.keys {
		if have.pub.Equal(ed25519.PublicKey(k.Old[:])) {
			for _, before := range c.facts.keys[1 : i+1] {
				f.Handovers = append(f.Handovers, before.item)
			}
		}
	}
	name := fmt.Sprintf("%s-%x", proof.FraudTwoHandovers, k.Old[:4])
	files := []evidence{{name + ".first.statement", a}, {name + ".second.statement", b}}
	if file, err := f.Encode(); err == nil {
		files = append(files, evidence{name + ".evidence", file})
	}
	return p.lasting(TwoKeys, fmt.Sprintf("the log key %x was handed over to two keys", k.Old), files)
}

func logKeyOf(item []byte) (k ledger.LogKey, err error) {
	s, err := ledger.ParseStatement(item)
	if err != nil {
		return k, err
	}
	return ledger.LogKeyFrom(s)
}
