package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/merkle/ledger"
)

// Role is what a login or an API token may do. Each of the first three may what
// the one before it may.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // reads everything of the site
	Operator Role = "operator" // also acknowledges alerts and announces maintenance
	Admin    Role = "admin"    // also sees and ends logins and tokens
	Audience Role = "audience" // reads what the grants to one audience open, and nothing else
)

// roles in the order of what they may.
var roles = []Role{Viewer, Operator, Admin}

// may reports whether r may what least may. An audience may nothing by its role.
func (r Role) may(least Role) bool {
	is, needs := slices.Index(roles, r), slices.Index(roles, least)
	return is >= 0 && needs >= 0 && is >= needs
}

// Scopes of API tokens, and the role that each stands for.
var scopes = map[string]Role{"read": Viewer, "operate": Operator, "admin": Admin}

// Who is one who asks.
type Who struct {
	Name     string
	Role     Role
	Audience string // of the grants, for the role Audience
	Token    bool   // by an API token
}

// User is one who may log in.
type User struct {
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Audience string `json:"audience,omitempty"`
	Added    string `json:"added"` // RFC 3339
}

// Token is an API token, without what it is known by.
type Token struct {
	Name  string `json:"name"`
	Scope string `json:"scope"` // read, operate or admin
	Added string `json:"added"`
	Until string `json:"until"`
}

type keptUser struct {
	User
	Password string `json:"password"` // argon2id
}

type keptToken struct {
	Token
	Digest string `json:"sha256"` // of the token, 256 random bits
}

type keptAccounts struct {
	Users  []keptUser  `json:"users"`
	Tokens []keptToken `json:"tokens"`
}

const (
	maxAccounts   = 1000
	maxNameBytes  = 64
	maxTokenYears = 2
	maxFile       = 4 << 20
)

// Accounts are the users and tokens of one gateway, in one file of mode 0600. It
// may be used by many goroutines; the file by one Accounts at a time, which the
// folder's lock sees to.
type Accounts struct {
	path string
	now  func() time.Time

	mu   sync.Mutex // covers what follows, and the file
	kept keptAccounts
}

// OpenAccounts reads the file, which need not be there.
func OpenAccounts(path string, now func() time.Time) (*Accounts, error) {
	a := &Accounts{path: path, now: now}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("users: %s can be read by others: chmod 600 %s", path, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if a.kept, err = parseAccounts(b); err != nil {
		return nil, fmt.Errorf("users: %s: %w: put back a copy, or move it away and add them again", path, err)
	}
	return a, nil
}

// parseAccounts reads the file's bytes strictly: a role that is not known must
// not become another one.
func parseAccounts(b []byte) (k keptAccounts, err error) {
	if len(b) > maxFile {
		return k, fmt.Errorf("more than %d bytes", maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return k, fmt.Errorf("not what was written: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return k, errors.New("something follows its end")
	}
	if len(k.Users) > maxAccounts || len(k.Tokens) > maxAccounts {
		return k, fmt.Errorf("more than %d users or tokens", maxAccounts)
	}
	names := map[string]bool{}
	for i := range k.Users {
		u := &k.Users[i]
		if err := checkUser(&u.User); err != nil {
			return k, err
		}
		if _, _, _, err := parseHash(u.Password); err != nil {
			return k, fmt.Errorf("user %q: %w", u.Name, err)
		}
		if names[u.Name] {
			return k, fmt.Errorf("user %q is there twice", u.Name)
		}
		names[u.Name] = true
	}
	clear(names)
	for i := range k.Tokens {
		t := &k.Tokens[i]
		if digest, err := hex.DecodeString(t.Digest); err != nil || len(digest) != sha256.Size || scopes[t.Scope] == "" || checkName(t.Name) != nil {
			return k, fmt.Errorf("token %.64q has no name, scope or digest", t.Name)
		}
		if _, err := time.Parse(time.RFC3339, t.Until); err != nil {
			return k, fmt.Errorf("token %q: until: %w", t.Name, err)
		}
		if names[t.Name] {
			return k, fmt.Errorf("token %q is there twice", t.Name)
		}
		names[t.Name] = true
	}
	return k, nil
}

func checkName(name string) error {
	if !ledger.ValidParty(name) || len(name) > maxNameBytes || strings.TrimSpace(name) != name {
		return fmt.Errorf("%.70q is no name: 1 to %d bytes, no control characters", name, maxNameBytes)
	}
	return nil
}

func checkUser(u *User) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	switch {
	case u.Role == Audience && !ledger.ValidParty(u.Audience):
		return fmt.Errorf("user %q: an audience's login needs the audience's name, as its grants have it", u.Name)
	case u.Role == Audience:
		return nil
	case !slices.Contains(roles, u.Role):
		return fmt.Errorf("user %q: role %.20q is none of viewer, operator, admin, audience", u.Name, u.Role)
	case u.Audience != "":
		return fmt.Errorf("user %q: only the role audience goes with an audience", u.Name)
	}
	return nil
}

// write replaces the file, whole. a.mu is held; on failure nothing has changed here,
// but the next start may find the new file, if the folder could not be synced.
func (a *Accounts) write(k keptAccounts) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	if err := replace(a.path, append(b, '\n')); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	a.kept = k
	return nil
}

// replace writes a file of mode 0600: to the side, synced, renamed, and the
// folder synced.
func replace(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Users lists who may log in, by name.
func (a *Accounts) Users() []User {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []User{}
	for i := range a.kept.Users {
		all = append(all, a.kept.Users[i].User)
	}
	slices.SortFunc(all, func(x, y User) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// AddUser adds one who may log in; hash is of HashPassword.
func (a *Accounts) AddUser(u User, hash string) (User, error) {
	u.Added = a.now().UTC().Format(time.RFC3339)
	if err := checkUser(&u); err != nil {
		return u, err
	}
	if _, _, _, err := parseHash(hash); err != nil {
		return u, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.user(u.Name) >= 0 {
		return u, fmt.Errorf("user %q is there already: `cairn user password` gives another password, `cairn user remove` ends the login", u.Name)
	}
	if len(a.kept.Users) >= maxAccounts {
		return u, fmt.Errorf("there are %d users, and no more are taken", maxAccounts)
	}
	k := a.kept
	k.Users = append(slices.Clone(k.Users), keptUser{u, hash})
	return u, a.write(k)
}

// user is the index of a user, below 0 if there is none. a.mu is held.
func (a *Accounts) user(name string) int {
	return slices.IndexFunc(a.kept.Users, func(u keptUser) bool { return u.Name == name })
}

func noUser(name string) error {
	return fmt.Errorf("no user %.70q: `cairn user list` shows them", name)
}

// SetPassword gives a user another password, which ends their sessions.
func (a *Accounts) SetPassword(name, hash string) error {
	if _, _, _, err := parseHash(hash); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.user(name)
	if i < 0 {
		return noUser(name)
	}
	k := a.kept
	k.Users = slices.Clone(k.Users)
	k.Users[i].Password = hash
	return a.write(k)
}

// RemoveUser ends a login and its sessions.
func (a *Accounts) RemoveUser(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.user(name)
	if i < 0 {
		return noUser(name)
	}
	k := a.kept
	k.Users = slices.Delete(slices.Clone(k.Users), i, i+1)
	return a.write(k)
}

// stamp is of a user what a session rests on: with another one it is over.
func (a *Accounts) stamp(name string) (Who, string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.user(name)
	if i < 0 {
		return Who{}, "", false
	}
	u := &a.kept.Users[i]
	return Who{Name: u.Name, Role: u.Role, Audience: u.Audience}, u.stamp(), true
}

func (u *keptUser) stamp() string { return u.Added + u.Password }

// nobody's password, so that an unknown name takes as long as a known one.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// login checks a name and a password. It returns the stamp of the user whose password
// it was: by then the user may have another one.
func (a *Accounts) login(ctx context.Context, name string, password []byte) (stamp string, ok bool, err error) {
	a.mu.Lock()
	hash := nobody
	i := a.user(name)
	if i >= 0 {
		hash, stamp = a.kept.Users[i].Password, a.kept.Users[i].stamp()
	}
	a.mu.Unlock()
	ok, err = isPassword(ctx, hash, password)
	return stamp, ok && i >= 0, err
}

// tokenPrefix tells an API token from others that programs carry about.
const tokenPrefix = "cairn_"

// AddToken makes an API token, which is told this once.
func (a *Accounts) AddToken(name, scope string, until time.Time) (Token, string, error) {
	now := a.now()
	t := Token{Name: name, Scope: scope, Added: now.UTC().Format(time.RFC3339), Until: until.UTC().Format(time.RFC3339)}
	switch {
	case checkName(name) != nil:
		return t, "", checkName(name)
	case scopes[scope] == "":
		return t, "", fmt.Errorf("scope %.20q is none of read, operate, admin", scope)
	case !until.After(now):
		return t, "", errors.New("the token's end has passed")
	case until.After(now.AddDate(maxTokenYears, 0, 0)):
		return t, "", fmt.Errorf("a token lasts at most %d years", maxTokenYears)
	}
	var random [32]byte
	_, _ = rand.Read(random[:])
	secret := tokenPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:]))
	digest := sha256.Sum256([]byte(secret))
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.kept
	k.Tokens = slices.DeleteFunc(slices.Clone(k.Tokens), func(t keptToken) bool { return t.over(now) })
	if slices.ContainsFunc(k.Tokens, func(t keptToken) bool { return t.Name == name }) {
		return t, "", fmt.Errorf("token %q is there already: `cairn token revoke` ends it", name)
	}
	if len(k.Tokens) >= maxAccounts {
		return t, "", fmt.Errorf("there are %d tokens, and no more are made", maxAccounts)
	}
	k.Tokens = append(k.Tokens, keptToken{t, hex.EncodeToString(digest[:])})
	if err := a.write(k); err != nil {
		return t, "", err
	}
	return t, secret, nil
}

func (t *keptToken) over(now time.Time) bool {
	until, err := time.Parse(time.RFC3339, t.Until)
	return err != nil || !now.Before(until)
}

// Tokens lists the tokens, also those that are over, by name.
func (a *Accounts) Tokens() []Token {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []Token{}
	for i := range a.kept.Tokens {
		all = append(all, a.kept.Tokens[i].Token)
	}
	slices.SortFunc(all, func(x, y Token) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// RevokeToken ends a token.
func (a *Accounts) RevokeToken(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.kept.Tokens, func(t keptToken) bool { return t.Name == name })
	if i < 0 {
		return fmt.Errorf("no token %.70q: `cairn token list` shows them", name)
	}
	k := a.kept
	k.Tokens = slices.Delete(slices.Clone(k.Tokens), i, i+1)
	return a.write(k)
}

// bearer finds who has a token. The digests are compared, so that comparing tells
// nothing of the token.
func (a *Accounts) bearer(secret string) (Who, bool) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return Who{}, false
	}
	sum := sha256.Sum256([]byte(secret))
	digest, now := hex.EncodeToString(sum[:]), a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.kept.Tokens {
		t := &a.kept.Tokens[i]
		if t.Digest == digest && !t.over(now) {
			return Who{Name: t.Name, Role: scopes[t.Scope], Token: true}, true
		}
	}
	return Who{}, false
}
