package share

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"filippo.io/age"
)

var (
	// ErrPassphrase tells that the passphrase or identity is not the keyring's.
	ErrPassphrase = errors.New("keyring does not open with this passphrase or identity")
	// ErrWrap tells that a Wrap is empty, contradicts itself, or names an identity
	// file that holds no X25519 identity.
	ErrWrap = errors.New("bad wrap")
)

const (
	wrapPassphrase = "passphrase"
	wrapIdentity   = "identity"

	defaultWorkFactor = 16 // 64 MiB, about a quarter of a second on a desktop
	maxWorkFactor     = 20 // 1 GiB
	maxIdentityFile   = 1 << 16
	maxIdentities     = 16
)

// Wrap says what a keyring file opens with: a passphrase, an age identity file or
// a credential, exactly one of the three.
type Wrap struct {
	Passphrase []byte
	// Identity is the path of a file with X25519 identities, one
	// "AGE-SECRET-KEY-1…" per line, empty lines and # comments between, readable
	// by its owner only. Any one of the identities opens the keyring.
	Identity string
	// Credential is what a service manager hands over (systemd.exec(5),
	// LoadCredentialEncrypted=): the content of an identity file if its first line
	// that is neither empty nor a comment begins with "AGE-SECRET-KEY-", else a
	// passphrase, of which one line end at the end is no part. A keyring does not
	// tell whether it was given so or as one of the two above.
	Credential []byte
	// WorkFactor is the scrypt cost of a new passphrase, as a power of two: 1 to
	// 20, 0 for 16. Below 14 is for tests. Opening takes what the file says.
	WorkFactor int
}

func (w Wrap) check() error {
	given := 0
	for _, is := range []bool{len(w.Passphrase) > 0, w.Identity != "", len(w.Credential) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return fmt.Errorf("%w: neither passphrase, identity file nor credential", ErrWrap)
	case given > 1:
		return fmt.Errorf("%w: more than one of passphrase, identity file and credential", ErrWrap)
	case w.WorkFactor < 0 || w.WorkFactor > maxWorkFactor:
		return fmt.Errorf("%w: work factor %d, at most %d", ErrWrap, w.WorkFactor, maxWorkFactor)
	case len(w.Credential) > maxIdentityFile:
		return fmt.Errorf("%w: credential of %d bytes, at most %d", ErrWrap, len(w.Credential), maxIdentityFile)
	case w.kind() == wrapPassphrase && w.passphrase() == "":
		return fmt.Errorf("%w: the credential is an empty passphrase", ErrWrap)
	}
	return nil
}

func (w Wrap) kind() string {
	if w.Identity != "" || holdsIdentity(w.Credential) {
		return wrapIdentity
	}
	return wrapPassphrase
}

func holdsIdentity(credential []byte) bool {
	for line := range bytes.Lines(credential) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return bytes.HasPrefix(line, []byte("AGE-SECRET-KEY-"))
		}
	}
	return false
}

func (w Wrap) passphrase() string {
	if len(w.Passphrase) > 0 {
		return string(w.Passphrase)
	}
	text, _ := bytes.CutSuffix(w.Credential, []byte("\n"))
	text, _ = bytes.CutSuffix(text, []byte("\r"))
	return string(text)
}

// again returns the recipients to wrap another identity to in place of the one
// wrapped, which w has opened: for a passphrase at the same cost unless w names
// one, for identities all of those there were.
func (w Wrap) again(wrapped []byte) ([]age.Recipient, error) {
	header, _, _ := bytes.Cut(wrapped, []byte("\n---"))
	if w.kind() == wrapPassphrase && w.WorkFactor == 0 {
		w.WorkFactor = workFactor(header)
	}
	to, err := w.recipients()
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(header, []byte("\n-> X25519 ")); w.kind() == wrapIdentity && n != len(to) {
		return nil, fmt.Errorf("%w: the keyring is wrapped to %d identities and %d are given: give all of them, or rewrap it to these", ErrWrap, n, len(to))
	}
	return to, nil
}

// workFactor reads the scrypt stanza of an age header that has been opened.
func workFactor(header []byte) int {
	_, stanza, _ := bytes.Cut(header, []byte("\n-> scrypt "))
	stanza, _, _ = bytes.Cut(stanza, []byte("\n"))
	_, cost, _ := bytes.Cut(stanza, []byte(" "))
	n, err := strconv.Atoi(string(cost))
	if err != nil || n < 1 || n > maxWorkFactor {
		return defaultWorkFactor
	}
	return n
}

// open opens the wrapped part of a file. It fails with [ErrPassphrase] or [ErrDamaged].
func (w Wrap) open(wrapped []byte) (*age.X25519Identity, error) {
	ids, err := w.identities()
	if err != nil {
		return nil, err
	}
	text, err := decrypt(wrapped, 256, ids...)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("%w: wrapped identity", ErrDamaged)
	}
	defer clear(text)
	inner, err := age.ParseX25519Identity(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: wrapped identity is none", ErrDamaged)
	}
	return inner, nil
}

func (w Wrap) recipients() ([]age.Recipient, error) {
	if w.kind() == wrapPassphrase {
		r, err := age.NewScryptRecipient(w.passphrase())
		if err != nil {
			return nil, fmt.Errorf("%w: passphrase refused", ErrWrap)
		}
		r.SetWorkFactor(defaultWorkFactor)
		if w.WorkFactor != 0 {
			r.SetWorkFactor(w.WorkFactor)
		}
		return []age.Recipient{r}, nil
	}
	ids, err := w.readIdentities()
	if err != nil {
		return nil, err
	}
	var out []age.Recipient
	for _, id := range ids {
		out = append(out, id.Recipient())
	}
	return out, nil
}

func (w Wrap) identities() ([]age.Identity, error) {
	if w.kind() == wrapPassphrase {
		id, err := age.NewScryptIdentity(w.passphrase())
		if err != nil {
			return nil, fmt.Errorf("%w: passphrase refused", ErrWrap)
		}
		id.SetMaxWorkFactor(maxWorkFactor)
		return []age.Identity{id}, nil
	}
	ids, err := w.readIdentities()
	if err != nil {
		return nil, err
	}
	var out []age.Identity
	for _, id := range ids {
		out = append(out, id)
	}
	return out, nil
}

func (w Wrap) readIdentities() ([]*age.X25519Identity, error) {
	if w.Identity == "" {
		return parseIdentities(w.Credential, "credential")
	}
	return readIdentities(w.Identity)
}

// readIdentities reads an age identity file.
func readIdentities(path string) ([]*age.X25519Identity, error) {
	b, err := readPrivate(path, maxIdentityFile)
	if err != nil {
		return nil, fmt.Errorf("identity file: %w", err)
	}
	defer clear(b)
	return parseIdentities(b, "identity file "+path)
}

// parseIdentities reads the text of one. Its errors give line numbers and never a
// line's content.
func parseIdentities(b []byte, what string) ([]*age.X25519Identity, error) {
	var out []*age.X25519Identity
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, err := age.ParseX25519Identity(line)
		if err != nil || len(out) == maxIdentities {
			return nil, fmt.Errorf("%w: %s, line %d: not an X25519 identity, or more than %d", ErrWrap, what, n, maxIdentities)
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s: no identity in it", ErrWrap, what)
	}
	return out, nil
}

func encrypt(plain []byte, to ...age.Recipient) ([]byte, error) {
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, to...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return buf.Bytes(), nil
}

// decrypt reads an age file whose plaintext has at most limit bytes.
func decrypt(sealed []byte, limit int64, ids ...age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(plain)) > limit {
		err = errors.New("too long")
	}
	if err != nil {
		clear(plain)
		return nil, err
	}
	return plain, nil
}
