package share

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"
)

// TestEscrowFrozen opens what an earlier build wrote: two of three shares of the
// compartments ledger and site of a keyring with a known seed. What it wrote must
// go on opening.
func TestEscrowFrozen(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "escrow.frozen-"+name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	e, err := ParseEscrow(read("escrow"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key") // mode 0600, which no checkout keeps
	if err := os.WriteFile(path, read("identity"), 0o600); err != nil {
		t.Fatal(err)
	}
	holder, err := ReadHolderKey(path)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := ParseRelease(read("release"))
	if err != nil {
		t.Fatal(err)
	}
	got := Recover([]*Escrow{e}, []*Release{rel}, age.Identity(holder.Identity()))[0]
	if want := []ShareState{ShareGood, ShareGood, ShareMissing}; got.Err != nil || !slices.Equal(got.States, want) {
		t.Fatalf("got %v, %v, want %v", got.States, got.Err, want)
	}
	k, _ := escrowOf(t, "2026-07")
	sameKeys(t, k, got.Keys)
	if card, err := ParseCard(read("card")); err != nil || card != holder.Public("holder-1") {
		t.Errorf("card: got %v, %v", card, err)
	}
	d, text, signature, err := ParseDestroyed(read("destroyed"))
	if err != nil || !VerifyText(text, signature, e.Holders[0].Key) || d.Digest != FilesDigest([]*Escrow{e}) {
		t.Errorf("confirmation: got %+v, %v", d, err)
	}
	digest := e.Digest()
	if got, want := hex.EncodeToString(digest[:]), "c094f3205320bab34db3b9c956dae064854f4764149954f9a1163b72215b646a"; got != want {
		t.Errorf("digest: got %s, want %s", got, want)
	}
}
