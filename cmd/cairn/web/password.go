package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Passwords are kept as argon2id (RFC 9106) in the form of its reference
// implementation: $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH.

// cost is what one guess takes: 19 MiB and two passes, the least that OWASP's
// Password Storage Cheat Sheet names for argon2id, since a gateway may be a small
// board.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

var passwordCost = cost{19 << 10, 2, 1}

const (
	minPassword = 12   // characters
	maxPassword = 1024 // bytes
	saltSize    = 16
	hashSize    = 32
	// maxHashing is how many passwords are hashed at one time: 38 MiB, and at the most as
	// much again of those before, until it is collected.
	maxHashing = 2
	// What is read from the file may cost no more than this.
	maxMemory = 1 << 20 // KiB
	maxPasses = 16
)

// hashing holds a place for each password that is being hashed.
var hashing = make(chan struct{}, maxHashing)

// ErrBusy says that too much is asked at this moment. It passes.
var ErrBusy = errors.New("too much is asked at this moment: try again")

// checkPassword refuses a password that is too short to be one, or that a browser
// could not send.
func checkPassword(password []byte) error {
	switch n := utf8.RuneCount(password); {
	case !utf8.Valid(password):
		return errors.New("the password is not UTF-8, and browsers send nothing else: set the terminal to it, or write the file in it")
	case len(password) > maxPassword:
		return fmt.Errorf("the password has %d bytes: at most %d", len(password), maxPassword)
	case n < minPassword:
		return fmt.Errorf("the password has %d characters: at least %d, such as four words", n, minPassword)
	}
	return nil
}

// HashPassword returns what is kept of a password.
func HashPassword(ctx context.Context, password []byte) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	sum, err := passwordCost.hash(ctx, password, salt, hashSize)
	if err != nil {
		return "", err
	}
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, passwordCost.memory, passwordCost.passes, passwordCost.lanes,
		e.EncodeToString(salt), e.EncodeToString(sum)), nil
}

// isPassword reports whether kept is what was kept of password.
func isPassword(ctx context.Context, kept string, password []byte) (bool, error) {
	c, salt, want, err := parseHash(kept)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		password = password[:0] // none has so many bytes, and none is empty
	}
	sum, err := c.hash(ctx, password, salt, uint32(len(want)))
	return err == nil && subtle.ConstantTimeCompare(sum, want) == 1, err
}

// hash waits for its turn, at most until ctx ends.
func (c cost) hash(ctx context.Context, password, salt []byte, size uint32) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		return argon2.IDKey(password, salt, c.passes, c.memory, c.lanes, size), nil
	case <-ctx.Done():
		return nil, ErrBusy
	}
}

func parseHash(kept string) (c cost, salt, sum []byte, err error) {
	bad := errors.New("a password's hash is none of argon2id")
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.lanes); err != nil {
		return c, nil, nil, bad
	}
	salt, e1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	sum, e2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	ok := fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.passes, c.lanes) == parts[3]
	if !ok || e1 != nil || e2 != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 ||
		c.memory < 8 || c.memory > maxMemory || c.passes < 1 || c.passes > maxPasses || c.lanes < 1 {
		return c, nil, nil, bad
	}
	return c, salt, sum, nil
}
