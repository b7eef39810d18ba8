package share

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// same compares two keyrings in all they hold.
func same(t testing.TB, what string, got, want *Keyring) {
	t.Helper()
	g, err := got.state.encode()
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.state.encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) || !got.LogKey().Equal(want.LogKey()) {
		t.Fatalf("%s: the keyrings differ", what)
	}
}

func change(t testing.TB, k *Keyring, fn func(*Edit)) {
	t.Helper()
	if err := k.Change(func(e *Edit) error { fn(e); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	k := Memory()
	for id, name := range map[uint32]string{Ledger: "ledger", Site: "site"} {
		c, ok := k.Compartment(id)
		if !ok || c.ID != id || c.Name != name {
			t.Errorf("compartment %d: got %d %q, want %q", id, c.ID, c.Name, name)
		}
	}
	if k.LogKey().Equal(Memory().LogKey()) || k.Nonce() == k.TagKey() || k.TagKey() == k.LocalKey() {
		t.Error("secrets are not drawn each by itself")
	}
	k.LogKey()[0] ^= 1
	if !k.LogKey().Equal(newKeyring(nil, nil, &k.state).LogKey()) {
		t.Error("LogKey gives out its own bytes")
	}
	same(t, "same seed", MemorySeed([32]byte{5}), MemorySeed([32]byte{5}))
}

func TestChange(t *testing.T) {
	k := Memory()
	value := []byte("key of device 7")
	change(t, k, func(e *Edit) {
		if id := e.AddCompartment("stream/0/envelope"); id != 3 {
			t.Errorf("first id: got %d, want 3", id)
		}
		if id := e.AddCompartment("stream/0/data"); id != 4 {
			t.Errorf("second id: got %d, want 4", id)
		}
		e.SetSecret("device/7/1", value)
		if _, ok := k.Secret("device/7/1"); ok {
			t.Error("an edit shows before the change is made")
		}
	})
	clear(value)
	if got, ok := k.Secret("device/7/1"); !ok || string(got) != "key of device 7" {
		t.Errorf("secret: got %q, %v", got, ok)
	}
	if c, ok := k.CompartmentNamed("stream/0/data"); !ok || c.ID != 4 {
		t.Errorf("compartment by name: got %d, %v, want 4", c.ID, ok)
	}
	for _, id := range []uint32{0, 5, 1 << 31, ^uint32(0)} {
		if _, ok := k.Compartment(id); ok {
			t.Errorf("there is a compartment %d", id)
		}
	}
	c, _ := k.Compartment(4)
	if err := c.Tree.Puncture(5); !errors.Is(err, ErrOwned) {
		t.Errorf("puncture of a keyring's tree: got %v, want ErrOwned", err)
	}
	cursor := NewCursor(c.Tree)
	key, err := cursor.Hour(1000)
	if err != nil {
		t.Fatal(err)
	}
	old := k.state.secrets["device/7/1"]
	change(t, k, func(e *Edit) {
		e.Puncture(4, 1000)
		e.Puncture(4, 1001)
		e.SetSecret("device/7/1", []byte("first"))
		e.SetSecret("device/7/1", []byte("second"))
		e.SetSecret("gone", nil)
		e.DeleteSecret("gone")
	})
	if !bytes.Equal(old, make([]byte, len(old))) {
		t.Error("a secret replaced is not overwritten")
	}
	if got, _ := k.Secret("device/7/1"); string(got) != "second" {
		t.Errorf("secret: got %q, want the second", got)
	}
	if _, ok := k.Secret("gone"); ok {
		t.Error("a deleted secret is there")
	}
	if _, err := cursor.Hour(1000); !errors.Is(err, ErrShredded) {
		t.Errorf("cursor at a shredded hour: got %v, want ErrShredded", err)
	}
	if after, err := cursor.Hour(1001); err != nil || after == key {
		t.Errorf("cursor after the shredded hour: %v, or the same key", err)
	}
}

func TestChangeFails(t *testing.T) {
	stop := errors.New("stop")
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct {
		name string
		want error
		fn   func(*Edit) error
	}{
		{"by fn", stop, func(*Edit) error { return stop }},
		{"name taken", ErrTaken, func(e *Edit) error { e.AddCompartment("site"); return nil }},
		{"name taken by an edit", ErrTaken, func(e *Edit) error { e.AddCompartment("new"); return nil }},
		{"empty name", ErrLimit, func(e *Edit) error { e.AddCompartment(""); return nil }},
		{"long name", ErrLimit, func(e *Edit) error { e.AddCompartment(long); return nil }},
		{"space in name", ErrLimit, func(e *Edit) error { e.SetSecret("a b", nil); return nil }},
		{"long secret", ErrLimit, func(e *Edit) error { e.SetSecret("a", make([]byte, maxSecret+1)); return nil }},
		{"first error stays", ErrTaken, func(e *Edit) error {
			e.AddCompartment("site")
			if id := e.AddCompartment("fine"); id != 0 {
				t.Errorf("id after an error: got %d, want 0", id)
			}
			e.SetSecret("", nil)
			return nil
		}},
	} {
		k := Memory()
		change(t, k, func(e *Edit) { e.AddCompartment("three"); e.SetSecret("kept", []byte("kept")) })
		before, _ := k.state.encode()
		err := k.Change(func(e *Edit) error {
			e.AddCompartment("new")
			e.Puncture(1, 50)
			e.Puncture(4, 50)
			e.SetSecret("kept", []byte("other"))
			e.DeleteSecret("kept")
			e.SetSecret("fresh", []byte("fresh"))
			return c.fn(e)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if after, _ := k.state.encode(); !bytes.Equal(before, after) {
			t.Errorf("%s: a failed change has changed the keyring", c.name)
		}
	}
	if err := Memory().Change(func(e *Edit) error { e.Puncture(3, 1); return nil }); err == nil {
		t.Error("puncture of no compartment: no error")
	}
}

func TestEditAfterChange(t *testing.T) {
	k := Memory()
	var kept *Edit
	change(t, k, func(e *Edit) { kept = e; e.AddCompartment("three") })
	kept.SetSecret("late", nil)
	kept.DeleteSecret("late")
	kept.Puncture(1, 5)
	if id := kept.AddCompartment("late"); id != 0 || len(k.Compartments()) != 3 {
		t.Errorf("an edit works after its change: id %d", id)
	}
	c, _ := k.Compartment(1)
	if _, err := c.Tree.Hour(1); err != nil {
		t.Error(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	k := Memory()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 25 {
				name := fmt.Sprintf("stream/%d/%d", i, n)
				change(t, k, func(e *Edit) {
					e.Puncture(e.AddCompartment(name), Hour(n))
					e.Puncture(Site, Hour(n))
					e.SetSecret(name, []byte(name))
				})
			}
		})
		wg.Go(func() {
			c, _ := k.Compartment(Site)
			cursor := NewCursor(c.Tree)
			for n := range 200 {
				if _, err := cursor.Hour(Hour(100 + n%3)); err != nil {
					t.Error(err)
				}
				if _, err := c.Tree.Cover(100, 200); err != nil {
					t.Error(err)
				}
				k.Compartments()
				k.Secret("stream/0/0")
			}
		})
	}
	wg.Wait()
	if n := len(k.Compartments()); n != 102 {
		t.Errorf("got %d compartments, want 102", n)
	}
}

// TestNothingPrinted prints everything every way and looks for key bytes.
func TestNothingPrinted(t *testing.T) {
	var root [32]byte
	for i := range root {
		root[i] = 'K'
	}
	tree := must(FromNodes([]Node{{Key: root}}))
	wrap := Wrap{Passphrase: root[:]}
	k := Memory()
	k.state.nonce = root
	values := []any{
		Node{Key: root}, &Node{Key: root}, []Node{{Key: root}},
		HourKey{Seal: root, Salt: root}, &HourKey{Seal: root},
		tree, Compartment{Name: "n", Tree: tree}, NewCursor(tree), k, wrap, &wrap, k.edit(),
	}
	for _, v := range values {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		for _, leak := range []string{"KKK", "4b4b", "4B4B", "75 75", "75,75", "0x4b, 0x4b", "S0tL"} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%T prints its secret (%s)", v, leak)
			}
		}
	}
}

func FuzzParseState(f *testing.F) {
	k := MemorySeed([32]byte{9})
	add := func() {
		b, err := k.state.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add()
	change(f, k, func(e *Edit) {
		e.AddCompartment("stream/0/data")
		e.Puncture(3, 77777)
		e.SetSecret("device/7/1", []byte("v"))
		e.SetSecret("empty", nil)
	})
	add()
	change(f, k, func(e *Edit) { e.AddLogKey(); e.AddLogKey() })
	add()
	change(f, k, func(e *Edit) { e.NewLocalKey() })
	add()
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("got %v, want ErrDamaged", err)
			}
			return
		}
		again, err := s.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted, but encodes to other bytes: %v", err)
		}
	})
}

func TestParseStateRefuses(t *testing.T) {
	body := func(edit func(*bodyItem)) []byte {
		var b bodyItem
		s, _ := MemorySeed([32]byte{9}).state.encode()
		if err := bodyDecoding.Unmarshal(s, &b); err != nil {
			t.Fatal(err)
		}
		edit(&b)
		out, err := bodyEncoding.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	good := body(func(*bodyItem) {})
	if _, err := parseState(good); err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"empty":         nil,
		"trailing byte": append(bytes.Clone(good), 0),
		"cut":           good[:len(good)-1],
		"long form":     append([]byte{0x98, 0x07}, good[1:]...),
		"indefinite":    append(append([]byte{0x9f}, good[1:]...), 0xff),
		"null secrets":  append(bytes.Clone(good[:len(good)-1]), 0xf6),
		"type":          body(func(b *bodyItem) { b.Type = "cairn/keyring-body/2" }),
		"no site":       body(func(b *bodyItem) { b.Compartments = b.Compartments[:1] }),
		"site first":    body(func(b *bodyItem) { b.Compartments[0].Name = "site" }),
		"id":            body(func(b *bodyItem) { b.Compartments[1].ID = 3 }),
		"tree":          body(func(b *bodyItem) { b.Compartments[1].Tree = nil }),
		"name twice": body(func(b *bodyItem) {
			b.Compartments = append(b.Compartments, compartmentItem{ID: 3, Name: "site", Tree: b.Compartments[0].Tree})
		}),
		"secret name":  body(func(b *bodyItem) { b.Secrets = []secretItem{{Name: ""}} }),
		"secret twice": body(func(b *bodyItem) { b.Secrets = []secretItem{{Name: "a"}, {Name: "a"}} }),
		"secret order": body(func(b *bodyItem) { b.Secrets = []secretItem{{Name: "b"}, {Name: "a"}} }),
		"secret long":  body(func(b *bodyItem) { b.Secrets = []secretItem{{Name: "a", Value: make([]byte, maxSecret+1)}} }),
	}
	for name, b := range cases {
		if _, err := parseState(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}
