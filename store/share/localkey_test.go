package share

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestLocalKeys(t *testing.T) {
	k, path := create(t, quick)
	first := k.LocalKey()
	listed := func(what string, want ...[32]byte) {
		t.Helper()
		if got := k.LocalKeys(); !slices.Equal(got, want) || k.LocalKey() != want[0] {
			t.Fatalf("%s: got %d local keys or others, want %d", what, len(got), len(want))
		}
		same(t, what, reopen(t, path, quick), k)
	}
	listed("created", first)
	change(t, k, func(e *Edit) { e.DropOldLocalKey() })
	listed("nothing dropped", first)
	change(t, k, func(e *Edit) { e.NewLocalKey() })
	second := k.LocalKey()
	if second == first || second == [32]byte{} {
		t.Fatal("the new local key was not drawn")
	}
	listed("renewed", second, first)
	if err := k.Change(func(e *Edit) error { e.NewLocalKey(); return nil }); !errors.Is(err, ErrLimit) {
		t.Errorf("a third: got %v, want ErrLimit", err)
	}
	listed("a third refused", second, first)
	change(t, k, func(e *Edit) { e.AddLogKey(); e.SetSecret("a", nil) })
	listed("another change", second, first)
	change(t, k, func(e *Edit) { e.DropOldLocalKey(); e.DropOldLocalKey() })
	listed("dropped", second)
	change(t, k, func(e *Edit) { e.NewLocalKey(); e.DropOldLocalKey() })
	listed("at once", k.LocalKey())
	if k.LocalKey() == second {
		t.Error("renewed and dropped at once: the key is the same")
	}
}

// Bodies of the third version are there while an old local key is, and no longer.
func TestThirdVersion(t *testing.T) {
	k := MemorySeed([32]byte{31: 1})
	one := must(k.state.encode())
	old := k.LocalKey()
	change(t, k, func(e *Edit) { e.NewLocalKey() })
	now := k.LocalKey()
	want := bytes.Replace(one, []byte(bodyType), []byte("cairn/keyring-body/3"), 1)
	want = bytes.Replace(want, old[:], now[:], 1)
	want[0] = 0x89
	want = append(append(want, 0x80, 0x58, 0x20), old[:]...)
	got := must(k.state.encode())
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	sum := sha256.Sum256(got)
	wantHex(t, "body of two local keys", sum[:], "dc32a85a65fe58becfa84db6e1c3c3fa681109283179c39e6ab8f423d2a216a5")
	change(t, k, func(e *Edit) { e.DropOldLocalKey() })
	if got := must(k.state.encode()); got[0] != 0x87 || !bytes.Contains(got, []byte(bodyType)) {
		t.Error("with one local key again, the body is not of the first version")
	}
	change(t, k, func(e *Edit) { e.NewLocalKey(); e.AddLogKey() })
	same(t, "two log keys and two local ones", newKeyring(nil, nil, must(parseState(must(k.state.encode())))), k)
}

func TestParseThirdRefuses(t *testing.T) {
	k := MemorySeed([32]byte{9})
	one := must(k.state.encode())
	change(t, k, func(e *Edit) { e.NewLocalKey() })
	body := func(edit func(*renewedItem)) []byte {
		var b renewedItem
		if err := bodyDecoding.Unmarshal(must(k.state.encode()), &b); err != nil {
			t.Fatal(err)
		}
		edit(&b)
		return must(bodyEncoding.Marshal(&b))
	}
	if _, err := parseState(body(func(*renewedItem) {})); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"blank":                 body(func(b *renewedItem) { b.OldLocalKey = [32]byte{} }),
		"the new one":           body(func(b *renewedItem) { b.OldLocalKey = b.LocalKey }),
		"second version's type": body(func(b *renewedItem) { b.Type = rotatedType }),
		"later seed twice":      body(func(b *renewedItem) { b.LaterSeeds = [][32]byte{{1}, {1}} }),
		"third's type, shorter": bytes.Replace(one, []byte(bodyType), []byte(renewedType), 1),
	} {
		if _, err := parseState(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

// shred is the change that a shredding makes.
func shred(e *Edit) error {
	e.Puncture(Site, 9)
	e.NewLocalKey()
	e.Rewrap()
	return nil
}

// opensBody tells whether the identity between that k has opens the body of the
// file at path.
func opensBody(t testing.TB, k *Keyring, path string) bool {
	t.Helper()
	_, body, err := splitFile(must(os.ReadFile(path)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = decrypt(body, maxFile, k.file.inner)
	return err == nil
}

func TestEditRewrap(t *testing.T) {
	one, two := must(age.GenerateX25519Identity()), must(age.GenerateX25519Identity())
	both := identityFile(t, fmt.Sprintf("%s\n%s\n", one, two))
	for name, w := range map[string]Wrap{
		"passphrase": quick, "identities": {Identity: both}, "credential": {Credential: []byte("correct horse\n"), WorkFactor: 4},
	} {
		k, path := create(t, w)
		before := reopen(t, path, w)
		if err := k.CanRewrap(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := k.Change(shred); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if opensBody(t, before, path) {
			t.Errorf("%s: the identity between of before opens the file of after", name)
		}
		same(t, name, reopen(t, path, w), k)
		onlyFile(t, name, path)
		change(t, k, func(e *Edit) { e.DropOldLocalKey() }) // the new identity is the one in use
		same(t, name+", next change", reopen(t, path, w), k)
		change(t, reopen(t, path, w), func(e *Edit) { e.Rewrap() })
		if opensBody(t, k, path) {
			t.Errorf("%s: rewrapped after an open: the identity between is the same", name)
		}
	}
	if err := Memory().Change(shred); err != nil {
		t.Errorf("in memory: %v", err)
	}
}

// A keyring opened with one of its two identities is not wrapped to it alone.
func TestRewrapNeedsAllIdentities(t *testing.T) {
	one, two := must(age.GenerateX25519Identity()), must(age.GenerateX25519Identity())
	both := Wrap{Identity: identityFile(t, fmt.Sprintf("%s\n%s\n", one, two))}
	_, path := create(t, both)
	k := reopen(t, path, Wrap{Credential: []byte(two.String())})
	before := must(os.ReadFile(path))
	if err := k.CanRewrap(); !errors.Is(err, ErrWrap) || !strings.Contains(err.Error(), "2 identities and 1") {
		t.Errorf("got %v, want ErrWrap and both numbers", err)
	}
	if err := k.Change(shred); !errors.Is(err, ErrWrap) {
		t.Errorf("change: got %v, want ErrWrap", err)
	}
	if !bytes.Equal(before, must(os.ReadFile(path))) {
		t.Error("a change refused has written the file")
	}
	same(t, "refused", k, reopen(t, path, both))
	change(t, k, func(e *Edit) { e.SetSecret("a", nil) }) // others than a rewrap are made
	same(t, "another change", reopen(t, path, both), k)
}

// A rewrap of a passphrase keeps what the file says of its cost.
func TestRewrapKeepsCost(t *testing.T) {
	_, path := create(t, Wrap{Passphrase: quick.Passphrase, WorkFactor: 5})
	cost := func() int {
		header, _, _ := bytes.Cut(must(os.ReadFile(path)), []byte("\n---"))
		return workFactor(header)
	}
	for _, c := range [][2]int{{0, 5}, {7, 7}, {0, 7}} {
		k := reopen(t, path, Wrap{Passphrase: quick.Passphrase, WorkFactor: c[0]})
		change(t, k, func(e *Edit) { e.Rewrap() })
		if got := cost(); got != c[1] {
			t.Errorf("opened with work factor %d: got %d after the rewrap, want %d", c[0], got, c[1])
		}
	}
}

// TestShredFails fails the change of a shredding at every step, both before the
// step was done and after, and copies the folder then, as a crash would leave it.
// Either keyring is there whole, and the identity between fits it.
func TestShredFails(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		for _, at := range []string{"create", "write", "sync", "rename", "sync folder"} {
			what := fmt.Sprintf("%s, persisted %v", at, persisted)
			k, path := create(t, quick)
			old, crashed := reopen(t, path, quick), filepath.Join(t.TempDir(), "copy")
			hook := func(step string) error {
				if step != at {
					return nil
				}
				if err := os.CopyFS(crashed, os.DirFS(filepath.Dir(path))); err != nil {
					return err
				}
				return errInjected
			}
			if persisted {
				k.file.done = hook
			} else {
				k.file.step = hook
			}
			replaced := at == "sync folder" || at == "rename" && persisted
			if err := k.Change(shred); !errors.Is(err, errInjected) || errors.Is(err, ErrBroken) != replaced {
				t.Fatalf("%s: got %v, want the error injected, ErrBroken %v", what, err, replaced)
			}
			same(t, what+", memory", k, old)
			onlyFile(t, what, path)
			disk := reopen(t, path, quick)
			copied := filepath.Join(crashed, "keyring")
			if err := os.Chmod(copied, 0o600); err != nil { // the copying follows the umask
				t.Fatal(err)
			}
			same(t, what+", crash", reopen(t, copied, quick), disk)
			onlyFile(t, what+", crash", copied)
			k.file.step, k.file.done = nil, nil
			if replaced {
				if len(disk.LocalKeys()) != 2 || disk.LocalKeys()[1] != old.LocalKey() || opensBody(t, old, path) {
					t.Errorf("%s: the file has not all of the shredding", what)
				}
				if err := k.Change(shred); !errors.Is(err, ErrBroken) {
					t.Errorf("%s, next change: got %v, want ErrBroken", what, err)
				}
				continue
			}
			same(t, what+", disk", disk, old)
			if err := k.Change(shred); err != nil {
				t.Fatalf("%s, next change: %v", what, err)
			}
			same(t, what+", next change", reopen(t, path, quick), k)
			if opensBody(t, old, path) {
				t.Errorf("%s, next change: the identity between is the old one", what)
			}
		}
	}
}

func TestCredential(t *testing.T) {
	id, other := must(age.GenerateX25519Identity()), must(age.GenerateX25519Identity())
	file := identityFile(t, id.String())
	for name, c := range map[string]struct {
		credential string
		same       Wrap
	}{
		"passphrase":             {"correct horse", quick},
		"with line end":          {"correct horse\n", quick},
		"with carriage return":   {"correct horse\r\n", quick},
		"identity":               {id.String(), Wrap{Identity: file}},
		"identity with comments": {"# created: today\n\n" + id.String() + "\n", Wrap{Identity: file}},
	} {
		w := Wrap{Credential: []byte(c.credential), WorkFactor: 4}
		k, path := create(t, w)
		same(t, name, reopen(t, path, c.same), k)
		k, path = create(t, c.same)
		same(t, name+", the other way", reopen(t, path, w), k)
		for _, wrong := range []string{"Correct horse", "correct horse\n\n", " correct horse", other.String()} {
			if _, err := Open(path, Wrap{Credential: []byte(wrong)}); !errors.Is(err, ErrPassphrase) {
				t.Errorf("%s: another credential: got %v, want ErrPassphrase", name, err)
			}
		}
	}
	for name, w := range map[string]Wrap{
		"empty passphrase":  {Credential: []byte("\n")},
		"with a passphrase": {Credential: []byte("x"), Passphrase: []byte("x")},
		"with a file":       {Credential: []byte("x"), Identity: file},
		"damaged identity":  {Credential: []byte(id.String()[:40])},
		"too long":          {Credential: make([]byte, maxIdentityFile+1)},
	} {
		if _, err := Create(filepath.Join(t.TempDir(), "k"), w); !errors.Is(err, ErrWrap) || strings.Contains(err.Error(), id.String()[20:30]) {
			t.Errorf("%s: got %v, want ErrWrap", name, err)
		}
	}
}
