package share

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// Wrap says what a keyring file opens with: a passphrase or an age identity
// file, exactly one of the two.
type Wrap struct {
	Passphrase []byte
	// Identity is the path of a file with X25519 identities, one
	// "AGE-SECRET-KEY-1…" per line, empty lines and # comments between, readable
	// by its owner only. Any one of the identities opens the keyring.
	Identity string
	// WorkFactor is the scrypt cost of a new passphrase, as a power of two: 1 to
	// 20, 0 for 16. Below 14 is for tests. Opening takes what the file says.
	WorkFactor int
}

func (w Wrap) check() error {
	switch {
	case len(w.Passphrase) == 0 && w.Identity == "":
		return fmt.Errorf("%w: neither passphrase nor identity file", ErrWrap)
	case len(w.Passphrase) > 0 && w.Identity != "":
		return fmt.Errorf("%w: both passphrase and identity file", ErrWrap)
	case w.WorkFactor < 0 || w.WorkFactor > maxWorkFactor:
		return fmt.Errorf("%w: work factor %d, at most %d", ErrWrap, w.WorkFactor, maxWorkFactor)
	}
	return nil
}

func (w Wrap) kind() string {
	if w.Identity != "" {
		return wrapIdentity
	}
	return wrapPassphrase
}

// seal wraps inner: the wrapped part of the file.
func (w Wrap) seal(inner *age.X25519Identity) ([]byte, error) {
	to, err := w.recipients()
	if err != nil {
		return nil, err
	}
	text := []byte(inner.String())
	defer clear(text)
	return encrypt(text, to...)
}

// open is the inverse of seal. It fails with [ErrPassphrase] or [ErrDamaged].
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
		r, err := age.NewScryptRecipient(string(w.Passphrase))
		if err != nil {
			return nil, fmt.Errorf("%w: passphrase refused", ErrWrap)
		}
		r.SetWorkFactor(defaultWorkFactor)
		if w.WorkFactor != 0 {
			r.SetWorkFactor(w.WorkFactor)
		}
		return []age.Recipient{r}, nil
	}
	ids, err := readIdentities(w.Identity)
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
		id, err := age.NewScryptIdentity(string(w.Passphrase))
		if err != nil {
			return nil, fmt.Errorf("%w: passphrase refused", ErrWrap)
		}
		id.SetMaxWorkFactor(maxWorkFactor)
		return []age.Identity{id}, nil
	}
	ids, err := readIdentities(w.Identity)
	if err != nil {
		return nil, err
	}
	var out []age.Identity
	for _, id := range ids {
		out = append(out, id)
	}
	return out, nil
}

// readIdentities reads an age identity file. Its errors give line numbers and
// never a line's content.
func readIdentities(path string) ([]*age.X25519Identity, error) {
	b, err := readPrivate(path, maxIdentityFile)
	if err != nil {
		return nil, fmt.Errorf("identity file: %w", err)
	}
	defer clear(b)
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
			return nil, fmt.Errorf("%w: identity file %s, line %d: not an X25519 identity, or more than %d", ErrWrap, path, n, maxIdentities)
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: identity file %s: no identity in it", ErrWrap, path)
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
