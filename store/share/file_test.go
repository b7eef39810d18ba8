package share

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

var quick = Wrap{Passphrase: []byte("correct horse"), WorkFactor: 4}

func create(t testing.TB, w Wrap) (*Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring")
	k, err := Create(path, w)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func reopen(t testing.TB, path string, w Wrap) *Keyring {
	t.Helper()
	k, err := Open(path, w)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func identityFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// onlyFile demands that the keyring's folder holds it alone.
func onlyFile(t testing.TB, what, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("%s: got %v in the folder, want the keyring alone", what, entries)
	}
}

func TestFileRoundTrip(t *testing.T) {
	one, two := must(age.GenerateX25519Identity()), must(age.GenerateX25519Identity())
	both := identityFile(t, fmt.Sprintf("# created: today\n\n%s\r\n# second\n  %s", one, two))
	for name, w := range map[string]Wrap{"passphrase": quick, "identity": {Identity: both}} {
		k, path := create(t, w)
		same(t, name+" created", reopen(t, path, w), k)
		change(t, k, func(e *Edit) {
			e.AddCompartment("stream/0/data")
			e.Puncture(Site, 12345)
			e.SetSecret("device/7/1", []byte("v"))
			e.SetSecret("empty", nil)
		})
		again := reopen(t, path, w)
		same(t, name+" changed", again, k)
		change(t, again, func(e *Edit) { e.Puncture(3, 99); e.DeleteSecret("empty") })
		same(t, name+" changed again", reopen(t, path, w), again)
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode: got %v, %v, want 0600", name, info.Mode(), err)
		}
		onlyFile(t, name, path)
	}
	// Either identity opens; another does not.
	k, path := create(t, Wrap{Identity: both})
	same(t, "second identity", reopen(t, path, Wrap{Identity: identityFile(t, two.String())}), k)
	other := identityFile(t, must(age.GenerateX25519Identity()).String())
	if _, err := Open(path, Wrap{Identity: other}); !errors.Is(err, ErrPassphrase) {
		t.Errorf("another identity: got %v, want ErrPassphrase", err)
	}
	if _, err := Open(path, quick); !errors.Is(err, ErrPassphrase) {
		t.Errorf("passphrase for an identity: got %v, want ErrPassphrase", err)
	}
}

func TestThroughLink(t *testing.T) {
	_, path := create(t, quick)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	k := reopen(t, link, quick)
	change(t, k, func(e *Edit) { e.SetSecret("a", []byte("b")) })
	same(t, "behind the link", reopen(t, path, quick), k)
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link: got %v, %v, want a link still", info.Mode(), err)
	}
}

// TestDefaultWorkFactor: what a Wrap without one writes opens, and age's stanza
// says 16.
func TestDefaultWorkFactor(t *testing.T) {
	w := Wrap{Passphrase: quick.Passphrase}
	k, path := create(t, w)
	b, _ := os.ReadFile(path)
	_, stanza, _ := bytes.Cut(b, []byte("-> scrypt "))
	stanza, _, _ = bytes.Cut(stanza, []byte("\n"))
	if !bytes.HasSuffix(stanza, []byte(" 16")) {
		t.Errorf("scrypt stanza: got %q, want work factor 16", stanza)
	}
	same(t, "default work factor", reopen(t, path, quick), k)
}

func TestUnchangedIsNotWritten(t *testing.T) {
	k, path := create(t, quick)
	change(t, k, func(e *Edit) { e.Puncture(Site, 10); e.SetSecret("a", []byte("a")) })
	before, _ := os.ReadFile(path)
	change(t, k, func(e *Edit) { e.Puncture(Site, 10); e.SetSecret("a", []byte("a")); e.DeleteSecret("b") })
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a change of nothing wrote the file")
	}
}

func TestWrongPassphrase(t *testing.T) {
	_, path := create(t, quick)
	for _, p := range []string{"wrong", "correct horse ", "Correct horse"} {
		if _, err := Open(path, Wrap{Passphrase: []byte(p)}); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%q: got %v, want ErrPassphrase", p, err)
		}
	}
}

func TestBadWrap(t *testing.T) {
	id := must(age.GenerateX25519Identity()).String()
	good := identityFile(t, id)
	for name, w := range map[string]Wrap{
		"nothing":      {},
		"both":         {Passphrase: []byte("x"), Identity: good},
		"work factor":  {Passphrase: []byte("x"), WorkFactor: 21},
		"below zero":   {Passphrase: []byte("x"), WorkFactor: -1},
		"empty file":   {Identity: identityFile(t, "# nothing\n")},
		"changed line": {Identity: identityFile(t, id[:20]+"QQ"+id[22:])},
		"two in one":   {Identity: identityFile(t, id+" "+id)},
		"a recipient":  {Identity: identityFile(t, must(age.ParseX25519Identity(id)).Recipient().String())},
		"too many":     {Identity: identityFile(t, strings.Repeat(id+"\n", maxIdentities+1))},
	} {
		path := filepath.Join(t.TempDir(), "keyring")
		_, err := Create(path, w)
		if !errors.Is(err, ErrWrap) {
			t.Errorf("%s: got %v, want ErrWrap", name, err)
		}
		if err != nil && strings.Contains(err.Error(), id[20:40]) {
			t.Errorf("%s: the error holds the identity", name)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there is a file", name)
		}
	}
	if _, err := Create(filepath.Join(t.TempDir(), "k"), Wrap{Identity: good + "x"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no identity file: got %v, want fs.ErrNotExist", err)
	}
}

func TestModes(t *testing.T) {
	id := identityFile(t, must(age.GenerateX25519Identity()).String())
	w := Wrap{Identity: id}
	_, path := create(t, w)
	for _, open := range []string{path, id} {
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601, 0o777} {
			if err := os.Chmod(open, mode); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, w)
			if !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "chmod 600 "+open) {
				t.Errorf("%s with mode %o: got %v, want ErrMode and the chmod line", open, mode, err)
			}
			if err := Rewrap(path, w, w); !errors.Is(err, ErrMode) {
				t.Errorf("rewrap, %s with mode %o: got %v, want ErrMode", open, mode, err)
			}
		}
		if err := os.Chmod(open, 0o400); err != nil {
			t.Fatal(err)
		}
		reopen(t, path, w)
	}
	if _, err := Open(t.TempDir(), quick); err == nil {
		t.Error("a folder opens")
	}
	if _, err := Open(path+"x", quick); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
}

func TestCreateRefusesToOverwrite(t *testing.T) {
	k, path := create(t, quick)
	if _, err := Create(path, quick); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	same(t, "after the refusal", reopen(t, path, quick), k)
	dangling := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dangling, quick); !errors.Is(err, ErrExists) {
		t.Errorf("dangling link: got %v, want ErrExists", err)
	}
	// One that appears between the look and the link.
	late := filepath.Join(t.TempDir(), "keyring")
	f := must(newFile(late, quick))
	f.step = func(step string) error {
		if step == "link" {
			return os.WriteFile(late, []byte("theirs"), 0o600)
		}
		return nil
	}
	if err := f.create(&Memory().state); !errors.Is(err, ErrExists) {
		t.Errorf("file in the last moment: got %v, want ErrExists", err)
	}
	if b, _ := os.ReadFile(late); string(b) != "theirs" {
		t.Error("the file of the last moment is gone")
	}
	onlyFile(t, "after the last moment", late)
}

// TestDamage cuts the file at every length and flips a bit of every byte.
func TestDamage(t *testing.T) {
	_, path := create(t, quick)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, quick); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", what, err)
		}
	}
	for n := range good {
		if _, _, err := splitFile(good[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d: got %v, want ErrDamaged", n, err)
		}
		flipped := bytes.Clone(good)
		flipped[n] ^= 0x20
		if _, _, err := splitFile(flipped); !errors.Is(err, ErrDamaged) {
			t.Errorf("flip in byte %d: got %v, want ErrDamaged", n, err)
		}
	}
	damaged("empty", nil)
	damaged("half", good[:len(good)/2])
	damaged("longer", append(bytes.Clone(good), 0))
	// Damage under a right checksum, as a bad writer would leave it.
	sum := func(b []byte) []byte {
		s := sha256.Sum256(b)
		return append(b, s[:]...)
	}
	rest := bytes.IndexByte(good, '\n') + 1
	first := func(line string) []byte {
		return sum(append([]byte(line), good[rest:len(good)-sumSize]...))
	}
	for _, line := range []string{
		"cairn/keyring/1 passphrase 999999\n", "cairn/keyring/1 passphrase 0\n", "cairn/keyring/1 passphrase -1\n",
		"cairn/keyring/1 passphrase 070\n", "cairn/keyring/1 passphrase\n", "cairn/keyring/1 other 70\n",
		"cairn/keyring/1 passphrase 70 \n", "cairn/keyring/2 passphrase 70\n",
	} {
		damaged(line, first(line))
	}
	inBody := bytes.Clone(good[:len(good)-sumSize])
	inBody[len(inBody)-1] ^= 1
	damaged("body", sum(inBody))
}

var errInjected = errors.New("injected")

// TestFailedWrite fails a change at every step: before the rename the old keyring
// stays on disk and in memory, and the next change works.
func TestFailedWrite(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "rename", "sync folder"} {
		k, path := create(t, quick)
		old := reopen(t, path, quick)
		k.file.step = func(s string) error {
			if s == step {
				return errInjected
			}
			return nil
		}
		edit := func(e *Edit) error { e.AddCompartment("three"); e.Puncture(Site, 9); return nil }
		if err := k.Change(edit); !errors.Is(err, errInjected) {
			t.Fatalf("%s: got %v, want the error injected", step, err)
		}
		same(t, step+", memory", k, old)
		onlyFile(t, step, path)
		k.file.step = nil
		if step == "sync folder" {
			if err := k.Change(edit); !errors.Is(err, ErrBroken) || !errors.Is(err, errInjected) {
				t.Errorf("%s, next change: got %v, want ErrBroken", step, err)
			}
			if got := len(reopen(t, path, quick).Compartments()); got != 3 {
				t.Errorf("%s: got %d compartments on disk, want 3", step, got)
			}
			continue
		}
		same(t, step+", disk", reopen(t, path, quick), old)
		if err := k.Change(edit); err != nil {
			t.Fatalf("%s, next change: %v", step, err)
		}
		same(t, step+", next change", reopen(t, path, quick), k)
	}
}

// TestCrash copies the folder at every step of a change, as a crash there would
// leave it, and opens the copy: it holds the old keyring until the rename.
func TestCrash(t *testing.T) {
	k, path := create(t, quick)
	old := reopen(t, path, quick)
	var steps []string
	var copies []string
	k.file.step = func(step string) error {
		steps = append(steps, step)
		copies = append(copies, t.TempDir())
		return os.CopyFS(copies[len(copies)-1], os.DirFS(filepath.Dir(path)))
	}
	change(t, k, func(e *Edit) { e.AddCompartment("three"); e.Puncture(Site, 9) })
	if want := []string{"create", "write", "sync", "rename", "sync folder"}; !slices.Equal(steps, want) {
		t.Fatalf("steps: got %v, want %v", steps, want)
	}
	for i, dir := range copies {
		copied := filepath.Join(dir, "keyring")
		if err := os.Chmod(copied, 0o600); err != nil { // the copying follows the umask
			t.Fatal(err)
		}
		want := old
		if steps[i] == "sync folder" {
			want = k
		}
		same(t, "crash before "+steps[i], reopen(t, copied, quick), want)
		onlyFile(t, "crash before "+steps[i], copied)
	}
}

// TestLeftover: whatever a crash leaves in PATH.new is never read.
func TestLeftover(t *testing.T) {
	k, path := create(t, quick)
	leave := func() {
		if err := os.WriteFile(path+newSuffix, []byte("half a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	change(t, k, func(e *Edit) { e.SetSecret("a", []byte("b")) })
	onlyFile(t, "change", path)
	leave()
	same(t, "open", reopen(t, path, quick), k)
	onlyFile(t, "open", path)
	leave()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, quick); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, "create", path)
}

func TestFailedCreate(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "link", "sync folder"} {
		path := filepath.Join(t.TempDir(), "keyring")
		f := must(newFile(path, quick))
		f.step = func(s string) error {
			if s == step {
				return errInjected
			}
			return nil
		}
		if err := f.create(&Memory().state); !errors.Is(err, errInjected) {
			t.Errorf("%s: got %v, want the error injected", step, err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
			t.Errorf("%s: got %v in the folder, want nothing", step, entries)
		}
	}
}

func TestRewrap(t *testing.T) {
	k, path := create(t, quick)
	change(t, k, func(e *Edit) { e.SetSecret("a", []byte("b")) })
	newer := Wrap{Passphrase: []byte("battery staple"), WorkFactor: 4}
	if err := Rewrap(path, newer, quick); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("rewrap by the wrong passphrase: got %v, want ErrPassphrase", err)
	}
	if err := Rewrap(path, quick, Wrap{}); !errors.Is(err, ErrWrap) {
		t.Fatalf("rewrap to nothing: got %v, want ErrWrap", err)
	}
	inner := k.file.inner.String()
	if err := Rewrap(path, quick, newer); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, quick); !errors.Is(err, ErrPassphrase) {
		t.Errorf("old passphrase: got %v, want ErrPassphrase", err)
	}
	again := reopen(t, path, newer)
	same(t, "rewrapped", again, k)
	if again.file.inner.String() == inner {
		t.Error("the identity between was not drawn anew")
	}
	before := len(k.Compartments())
	if err := k.Change(func(e *Edit) error { e.AddCompartment("x"); return nil }); !errors.Is(err, ErrStale) {
		t.Errorf("change by the keyring opened before: got %v, want ErrStale", err)
	}
	if len(k.Compartments()) != before {
		t.Error("a stale change shows in memory")
	}
	id := Wrap{Identity: identityFile(t, must(age.GenerateX25519Identity()).String())}
	if err := Rewrap(path, newer, id); err != nil {
		t.Fatal(err)
	}
	same(t, "rewrapped to an identity", reopen(t, path, id), k)
	onlyFile(t, "rewrap", path)
}

func FuzzSplitFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keyring")
	if _, err := Create(path, quick); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-sumSize])
	f.Add([]byte("cairn/keyring/1 identity 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		file, body, err := splitFile(append(bytes.Clone(b), sum[:]...))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("got %v, want ErrDamaged", err)
			}
			return
		}
		again := fmt.Appendf(nil, "%s %s %d\n%s%s", fileMagic, file.kind, len(file.wrapped), file.wrapped, body)
		if !bytes.Equal(again, b) {
			t.Fatalf("got %q again, want %q", again, b)
		}
	})
}

// BenchmarkChange sets a secret in a keyring of 400 punctured compartments.
func BenchmarkChange(b *testing.B) {
	k, _ := create(b, quick)
	change(b, k, func(e *Edit) {
		for i := range 400 {
			e.Puncture(e.AddCompartment(fmt.Sprintf("stream/%d", i)), 1_000_000)
		}
	})
	n := 0
	for b.Loop() {
		change(b, k, func(e *Edit) { n++; e.SetSecret("n", fmt.Append(nil, n)) })
	}
}
