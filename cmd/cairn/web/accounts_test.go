package web

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cheap makes passwords cost little, for the length of a test.
func cheap(t testing.TB) {
	t.Helper()
	old := passwordCost
	passwordCost = cost{8, 1, 1}
	t.Cleanup(func() { passwordCost = old })
}

func hashOf(t testing.TB, password string) string {
	t.Helper()
	h, err := HashPassword(t.Context(), []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestPasswordCost: what is written is what OWASP names, and a reference hash is understood.
func TestPasswordCost(t *testing.T) {
	h := hashOf(t, "four words make one")
	if !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(h, "four") {
		t.Errorf("kept as %s", h)
	}
	if other := hashOf(t, "four words make one"); other == h {
		t.Error("twice the same salt")
	}
	// From the command of the reference implementation: argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 <<< password
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for password, want := range map[string]bool{"password": true, "Password": false, "": false} {
		if got, err := isPassword(t.Context(), reference, []byte(password)); got != want || err != nil {
			t.Errorf("%q: %v, %v; want %v", password, got, err, want)
		}
	}
	if _, err := isPassword(t.Context(), nobody, nil); err != nil {
		t.Errorf("nobody's: %v", err)
	}
	// A browser sends UTF-8 alone: nobody could log in with the last one.
	for _, bad := range []string{"short", strings.Repeat("x", maxPassword+1), "a key under the m\xfcllbin"} {
		if _, err := HashPassword(t.Context(), []byte(bad)); err == nil {
			t.Errorf("a password of %d bytes is taken", len(bad))
		}
	}
}

// TestHashingIsLimited: who does not get a turn in time is told so, and no memory is taken.
func TestHashingIsLimited(t *testing.T) {
	for range maxHashing {
		hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := HashPassword(ctx, []byte("four words make one")); err != ErrBusy {
		t.Errorf("got %v, want ErrBusy", err)
	}
	for range maxHashing {
		<-hashing
	}
}

func testAccounts(t testing.TB, now func() time.Time) *Accounts {
	t.Helper()
	a, err := OpenAccounts(filepath.Join(t.TempDir(), "users.json"), now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestUsers(t *testing.T) {
	cheap(t)
	a := testAccounts(t, time.Now)
	for _, bad := range []User{
		{Name: "", Role: Viewer}, {Name: "a\nb", Role: Viewer}, {Name: " a", Role: Viewer}, {Name: strings.Repeat("a", 65), Role: Viewer},
		{Name: "a", Role: "root"}, {Name: "a", Role: Audience}, {Name: "a", Role: Admin, Audience: "x"},
	} {
		if _, err := a.AddUser(bad, hashOf(t, "four words make one")); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, u := range []User{{Name: "ana", Role: Admin}, {Name: "food office", Role: Audience, Audience: "Food Office"}} {
		if _, err := a.AddUser(u, hashOf(t, "password of "+u.Name)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.AddUser(u, hashOf(t, "password of "+u.Name)); err == nil {
			t.Errorf("%s is taken twice", u.Name)
		}
	}
	if info, err := os.Stat(a.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	b, err := OpenAccounts(a.path, time.Now)
	if err != nil || len(b.Users()) != 2 {
		t.Fatalf("read again: %v, %v", b, err)
	}
	for _, c := range []struct {
		name, password string
		want           bool
	}{{"ana", "password of ana", true}, {"ana", "password of Ana", false}, {"bob", "password of ana", false}, {"", "", false}} {
		if _, ok, err := b.login(t.Context(), c.name, []byte(c.password)); ok != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.name, ok, err)
		}
	}
	_, before, _ := b.stamp("ana")
	if err := b.SetPassword("ana", hashOf(t, "another one of ana")); err != nil {
		t.Fatal(err)
	}
	if _, after, _ := b.stamp("ana"); after == before {
		t.Error("a session outlives its password")
	}
	if err := b.RemoveUser("ana"); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := b.stamp("ana"); ok || b.RemoveUser("ana") == nil || b.SetPassword("ana", hashOf(t, "another one of ana")) == nil {
		t.Error("one who was removed is there")
	}
	if err := os.Chmod(a.path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAccounts(a.path, time.Now); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
}

func TestTokens(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := testAccounts(t, func() time.Time { return now })
	_, secret, err := a.AddToken("grafana", "read", now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(a.path); err != nil || strings.Contains(string(b), secret) {
		t.Errorf("the token is in the file, or %v", err)
	}
	if who, ok := a.bearer(secret); !ok || who != (Who{Name: "grafana", Role: Viewer, Token: true}) {
		t.Errorf("its holder is %+v, %v", who, ok)
	}
	for _, bad := range []string{"", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret)} {
		if _, ok := a.bearer(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, c := range []struct {
		name, scope string
		lasts       time.Duration
	}{{"grafana", "read", time.Hour}, {"x", "root", time.Hour}, {"x", "", time.Hour}, {"x", "read", 0}, {"x", "read", 3 * 365 * 24 * time.Hour}, {"", "read", time.Hour}} {
		if _, _, err := a.AddToken(c.name, c.scope, now.Add(c.lasts)); err == nil {
			t.Errorf("%+v is made", c)
		}
	}
	now = now.Add(time.Hour)
	if _, ok := a.bearer(secret); ok {
		t.Error("a token goes on after its end")
	}
	if _, again, err := a.AddToken("grafana", "admin", now.Add(time.Hour)); err != nil || len(a.Tokens()) != 1 {
		t.Errorf("its name after its end: %v, %d tokens", err, len(a.Tokens()))
	} else if err := a.RevokeToken("grafana"); err != nil {
		t.Error(err)
	} else if _, ok := a.bearer(again); ok {
		t.Error("a token goes on after it was revoked")
	}
}

// FuzzAccounts: whatever the file holds, it is refused or means the same when it is written again.
func FuzzAccounts(f *testing.F) {
	f.Add([]byte(`{"users":[{"name":"ana","role":"admin","added":"2026-01-01T00:00:00Z","password":"` + nobody + `"}],"tokens":[]}`))
	f.Add([]byte(`{"users":[],"tokens":[{"name":"g","scope":"read","added":"","until":"2026-01-01T00:00:00Z","sha256":"` + strings.Repeat("ab", 32) + `"}]}`))
	f.Add([]byte(`{"users":[{"role":"root"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseAccounts(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseAccounts(again); err != nil {
			t.Errorf("taken, and not again: %v", err)
		}
	})
}
