package share

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"os"
	"testing"
)

func addLogKey(t testing.TB, k *Keyring) (pub ed25519.PublicKey) {
	t.Helper()
	change(t, k, func(e *Edit) { pub = e.AddLogKey() })
	return pub
}

func TestLogKeys(t *testing.T) {
	k := Memory()
	first := k.LogKey().Public().(ed25519.PublicKey)
	all := []ed25519.PublicKey{first}
	listed := func(what string) {
		t.Helper()
		got := k.LogKeys()
		if len(got) != len(all) {
			t.Fatalf("%s: got %d log keys, want %d", what, len(got), len(all))
		}
		for i := range all {
			key, ok := k.LogKeyOf(all[i])
			if !got[i].Equal(all[i]) || !ok || !all[i].Equal(key.Public()) {
				t.Errorf("%s: log key %d is another one, or not to be had", what, i)
			}
			clear(key)
		}
		if !all[0].Equal(k.LogKey().Public()) {
			t.Errorf("%s: LogKey is not the first", what)
		}
	}
	listed("new")
	for range 3 {
		all = append(all, addLogKey(t, k))
		listed("added")
	}
	change(t, k, func(e *Edit) { e.SetSecret("a", []byte("b")) })
	listed("another change")
	unused := all[2]
	change(t, k, func(e *Edit) {
		e.DropLogKey(unused)
		e.DropLogKey(unused)
		all = append(all, e.AddLogKey())
	})
	all = append(all[:2:2], all[3:]...)
	listed("one dropped, one added")
	if _, ok := k.LogKeyOf(unused); ok {
		t.Error("a dropped key is there")
	}
	for name, fn := range map[string]func(*Edit){
		"the first":  func(e *Edit) { e.AddLogKey(); e.DropLogKey(first); e.DropLogKey(all[1]) },
		"by another": func(e *Edit) { e.DropLogKey(all[1]); e.AddCompartment("site"); e.AddLogKey() },
	} {
		if err := k.Change(func(e *Edit) error { fn(e); return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
		listed("a change failed: " + name)
	}
	change(t, k, func(e *Edit) {
		for range maxLogKeys - len(all) {
			e.AddLogKey()
		}
	})
	if err := k.Change(func(e *Edit) error { e.AddLogKey(); return nil }); !errors.Is(err, ErrLimit) {
		t.Errorf("%d log keys: got %v, want ErrLimit", maxLogKeys+1, err)
	}
}

// TestBodyVersions: a keyring is of the first version until a second log key is
// drawn, whatever else changes, and reads back in either.
func TestBodyVersions(t *testing.T) {
	version := func(k *Keyring) string {
		t.Helper()
		b, err := k.state.encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{bodyType, rotatedType} {
			if bytes.HasPrefix(b[2:], []byte(v)) {
				return v
			}
		}
		return ""
	}
	k, path := create(t, quick)
	change(t, k, func(e *Edit) { e.AddCompartment("three"); e.SetSecret("a", []byte("b")); e.Puncture(3, 9) })
	if v := version(k); v != bodyType {
		t.Errorf("before: got %q, want %q", v, bodyType)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	k = reopen(t, path, quick)
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("opening a keyring of the first version wrote it anew")
	}
	pub := addLogKey(t, k)
	if v := version(k); v != rotatedType {
		t.Errorf("after: got %q, want %q", v, rotatedType)
	}
	again := reopen(t, path, quick)
	same(t, "two log keys", again, k)
	if key, ok := again.LogKeyOf(pub); !ok || !pub.Equal(key.Public()) {
		t.Error("the second log key is not in the file")
	}
	change(t, again, func(e *Edit) { e.DropLogKey(pub) })
	if v := version(reopen(t, path, quick)); v != bodyType {
		t.Errorf("dropped again: got %q, want %q", v, bodyType)
	}
}

// TestLogKeyCrash copies the folder at every step of drawing a log key: until the
// rename there is the old keyring, then the one with the key.
func TestLogKeyCrash(t *testing.T) {
	for _, at := range []string{"create", "write", "sync", "rename", "sync folder"} {
		k, path := create(t, quick)
		old := reopen(t, path, quick)
		k.file.step = func(step string) error {
			if step == at {
				return errInjected
			}
			return nil
		}
		var pub ed25519.PublicKey
		err := k.Change(func(e *Edit) error { pub = e.AddLogKey(); return nil })
		if !errors.Is(err, errInjected) {
			t.Fatalf("%s: got %v, want the error injected", at, err)
		}
		same(t, at+", memory", k, old)
		again := reopen(t, path, quick)
		if _, ok := again.LogKeyOf(pub); ok != (at == "sync folder") {
			t.Errorf("%s: the key in the file: got %v", at, ok)
		}
		if at != "sync folder" {
			same(t, at+", disk", again, old)
		}
		onlyFile(t, at, path)
	}
}

// TestGoldenRotated freezes the second version of the body.
func TestGoldenRotated(t *testing.T) {
	k := MemorySeed([32]byte{31: 1})
	want, err := k.state.encode()
	if err != nil {
		t.Fatal(err)
	}
	// The same but for the head, the version and the list at the end.
	want[0] = 0x88
	want = bytes.Replace(want, []byte(bodyType), []byte("cairn/keyring-body/2"), 1)
	want = append(want, 0x82)
	for range 2 {
		key, _ := k.LogKeyOf(addLogKey(t, k))
		want = append(append(want, 0x58, 0x20), key.Seed()...)
	}
	got, err := k.state.encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	sum := sha256.Sum256(got)
	wantHex(t, "body of three log keys", sum[:], "d91f47f5c3985cdd295ed57ed7b564c34d873c1f7ac6cc18d6444a7b320dbd6a")
}

func TestParseRotatedRefuses(t *testing.T) {
	k := MemorySeed([32]byte{9})
	addLogKey(t, k)
	body := func(edit func(*rotatedItem)) []byte {
		s, err := k.state.encode()
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := parseBody(s)
		if err != nil {
			t.Fatal(err)
		}
		edit(&b)
		out, err := bodyEncoding.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := parseState(body(func(*rotatedItem) {})); err != nil {
		t.Fatal(err)
	}
	one, err := MemorySeed([32]byte{9}).state.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"first version's type":   body(func(b *rotatedItem) { b.Type = bodyType }),
		"third version":          body(func(b *rotatedItem) { b.Type = "cairn/keyring-body/3" }),
		"none":                   body(func(b *rotatedItem) { b.LaterSeeds = nil }),
		"twice":                  body(func(b *rotatedItem) { b.LaterSeeds = append(b.LaterSeeds, b.LaterSeeds[0]) }),
		"the first again":        body(func(b *rotatedItem) { b.LaterSeeds[0] = b.LogSeed }),
		"too many":               body(func(b *rotatedItem) { b.LaterSeeds = manySeeds(maxLogKeys) }),
		"second's type, shorter": bytes.Replace(one, []byte(bodyType), []byte(rotatedType), 1),
	} {
		if _, err := parseState(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

func manySeeds(n int) [][32]byte {
	all := make([][32]byte, n)
	for i := range all {
		all[i] = [32]byte{byte(i), byte(i >> 8), 31: 77}
	}
	return all
}
