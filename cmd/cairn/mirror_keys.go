package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"cairn/anchor/witness"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/mirror"
	"cairn/store/share"
)

const (
	mirrorKeyFile = "mirror.key" // signs what the mirror holds: a signed note's key, PRIVATE+KEY+…
	mirrorWitness = "witness"    // the folder of the mirror as a witness
)

// makeMirrorFolder makes the folder, for its owner alone.
func makeMirrorFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the mirror's folder: %w", err)
	}
	return nil
}

// openKeys reads the grant's bundle, from a file or from the source, and the token.
func (s *mirrorService) openKeys(ctx context.Context) error {
	var ids []age.Identity
	for _, path := range s.identity {
		some, err := share.ReadIdentities(path)
		if err != nil {
			return fmt.Errorf("--identity: %w", err)
		}
		ids = append(ids, some...)
	}
	if len(ids) == 0 {
		return errors.New("--identity wants the private key that the grant was made to")
	}
	if s.mirrorFlags.token != "" {
		b, err := readSecretFile(s.mirrorFlags.token)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		s.token = string(b)
	}
	file, err := s.bundleFile(ctx)
	if err != nil {
		return err
	}
	b, err := share.OpenBundle(bytes.NewReader(file), ids...)
	if err != nil {
		return fmt.Errorf("open the bundle: %w", err)
	}
	if s.grant >= 0 && b.Grant != uint64(s.grant) {
		return fmt.Errorf("the bundle is of grant %d, not of %d", b.Grant, s.grant)
	}
	if s.token == "" {
		s.token = b.Token
	}
	s.keys = mirror.NewBundleKeys(b, ids...)
	return nil
}

// bundleFile reads the bundle's file: as given, as kept from before, or from the
// source.
func (s *mirrorService) bundleFile(ctx context.Context) ([]byte, error) {
	if s.bundle != "" {
		b, err := os.ReadFile(s.bundle)
		if err != nil {
			return nil, fmt.Errorf("--bundle: %w", err)
		}
		return b, nil
	}
	if s.grant < 0 {
		return nil, errors.New("a mirror needs its grant: --bundle FILE, or --grant N to fetch it")
	}
	kept, err := os.ReadFile(filepath.Join(s.dir, "grants", fmt.Sprintf("%d.age", s.grant)))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	if s.url == "" || !strings.Contains(s.url, "://") {
		return nil, errors.New("--grant fetches the bundle from a URL: give --bundle FILE")
	}
	src, err := mirror.HTTP(s.audienceURL(uint64(s.grant)), s.token, nil)
	if err != nil {
		return nil, err
	}
	b, err := src.Bundle(ctx, uint64(s.grant))
	if err != nil {
		return nil, fmt.Errorf("fetch the bundle of grant %d: %w", s.grant, err)
	}
	return b, nil
}

// newerBundle takes the bundle that the copy has, if it is newer than the one given.
func (s *mirrorService) newerBundle(ctx context.Context) {
	if b, err := s.copy.Bundle(ctx, s.keys.Grant()); err == nil {
		if _, err := s.keys.Offer(s.keys.Grant(), b); err != nil {
			s.log.Warn("the bundle that was kept is not used", "error", err)
		}
	}
}

// mirrorKeys are the mirror's own keys, by which others know what it says.
type mirrorKeys struct {
	holds   note.Signer // of what it holds
	vkey    string
	witness witness.Signer
	server  *witness.Witness
}

// openMirrorKeys reads the mirror's keys, or draws them at the first start.
func openMirrorKeys(dir, name string, id mirror.Identity) (*mirrorKeys, error) {
	if name == "" {
		name = fmt.Sprintf("mirror-%.8s", id.Ledger)
	}
	k := &mirrorKeys{}
	if err := k.openHolds(filepath.Join(dir, mirrorKeyFile), name); err != nil {
		return nil, err
	}
	if err := k.openWitness(filepath.Join(dir, mirrorWitness), name); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *mirrorKeys) openHolds(path, name string) error {
	secret, err := readSecretFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, _, gerr := note.GenerateKey(rand.Reader, name)
		if gerr != nil {
			return fmt.Errorf("--name: %w", gerr)
		}
		if err := writeNew(path, []byte(text+"\n"), 0o600); err != nil {
			return fmt.Errorf("write the mirror's key: %w", err)
		}
		secret, err = []byte(text), nil
	}
	if err != nil {
		return fmt.Errorf("read the mirror's key: %w", err)
	}
	if k.holds, err = note.NewSigner(string(secret)); err != nil {
		return fmt.Errorf("%s holds no key", path)
	}
	k.vkey, err = verifierKey(string(secret))
	return err
}

// verifierKey is the public half of a signed note's Ed25519 key.
func verifierKey(secret string) (string, error) {
	pub, err := publicOf(secret)
	if err != nil {
		return "", err
	}
	name := strings.SplitN(strings.TrimPrefix(secret, "PRIVATE+KEY+"), "+", 2)[0]
	return merkle.VerifierKey(name, pub), nil
}

func (k *mirrorKeys) openWitness(dir, name string) (err error) {
	k.witness, err = witness.ReadSigner(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if k.witness, err = witness.NewSigner(name, rand.Reader); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
		err = witness.Init(dir, k.witness)
	}
	if err == nil {
		k.server, err = witness.Open(witness.Config{Dir: dir, Signer: k.witness})
	}
	return err
}

// knows lets the witness know the log's keys.
func (k *mirrorKeys) knows(dir string, c *mirror.Copy) error {
	origin := ledger.Origin(c.Identity().Ledger)
	for _, pub := range c.LogKeys() {
		if _, err := witness.AddLog(filepath.Join(dir, mirrorWitness), merkle.VerifierKey(origin, pub)); err != nil {
			return err
		}
	}
	return nil
}

// publicOf is the public key of a signed note's Ed25519 key:
// PRIVATE+KEY+name+hash+base64(01 ‖ seed (32)).
func publicOf(secret string) (ed25519.PublicKey, error) {
	parts := strings.SplitN(secret, "+", 5)
	if len(parts) != 5 {
		return nil, errors.New("the mirror's key is malformed")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("the mirror's key is malformed")
	}
	defer clear(raw)
	return ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey), nil
}
