package share

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

var (
	// ErrRecipient tells that a text is no recipient that a bundle can be sealed to;
	// the error names which and why.
	ErrRecipient = errors.New("not a recipient")
	// ErrIdentity tells that a file holds no private key that opens bundles.
	ErrIdentity = errors.New("not an identity")
)

const (
	maxRecipients = 64
	maxRecipient  = 8 << 10 // bytes of one; a post-quantum one has 1,959, an RSA key of 16,384 bits some 2,750
)

// ParseRecipients reads the public keys of an audience, each an element or a line
// of one, with empty lines and # comments between: age X25519 ("age1…"), age
// post-quantum hybrid ("age1pq1…"), "ssh-ed25519 …" or "ssh-rsa …" (2,048 bits or
// more). At least one, at most 64, none twice, and post-quantum ones not together
// with others: a file is as strong as its weakest recipient. It fails with
// [ErrRecipient], naming the one by its place; private keys given by mistake are
// not printed.
func ParseRecipients(texts []string) ([]age.Recipient, error) {
	var out []age.Recipient
	seen := map[string]bool{}
	hybrid := 0
	for i, text := range texts {
		n := 0
		for line := range strings.Lines(text) {
			n++
			words := strings.Fields(line)
			if len(words) == 0 || words[0][0] == '#' {
				continue
			}
			r, err := parseRecipient(line, words)
			key := strings.Join(words[:min(2, len(words))], " ") // what stands behind an SSH key is a comment
			switch {
			case err != nil:
			case seen[key]:
				err = errors.New("it comes twice")
			case len(out) == maxRecipients:
				err = fmt.Errorf("more than %d", maxRecipients)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: number %d, line %d: %w", ErrRecipient, i+1, n, err)
			}
			if _, ok := r.(*age.HybridRecipient); ok {
				hybrid++
			}
			seen[key] = true
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrRecipient)
	}
	if hybrid != 0 && hybrid != len(out) {
		return nil, fmt.Errorf("%w: %d of %d are post-quantum (age1pq1…): all or none must be", ErrRecipient, hybrid, len(out))
	}
	return out, nil
}

// parseRecipient reads one line, of which words are the fields.
func parseRecipient(line string, words []string) (age.Recipient, error) {
	var r age.Recipient
	var err error
	kind, _, _ := strings.Cut(words[0], "1")
	switch {
	case len(line) > maxRecipient:
		return nil, fmt.Errorf("%d bytes, at most %d", len(line), maxRecipient)
	case strings.HasPrefix(words[0], "AGE-SECRET-KEY-"), strings.HasPrefix(line, "-----BEGIN"):
		return nil, errors.New("this is a private key: give its public half, and use it no more if others have seen it")
	case strings.HasPrefix(words[0], "ssh-"):
		r, err = agessh.ParseRecipient(strings.TrimSpace(line))
	case kind == "age" && len(words) > 1:
		return nil, errors.New("something stands behind the key")
	case strings.HasPrefix(words[0], "age1pq1"):
		r, err = age.ParseHybridRecipient(words[0])
	case kind == "age":
		r, err = age.ParseX25519Recipient(words[0])
	default:
		return nil, errors.New("neither age1…, age1pq1…, ssh-ed25519 nor ssh-rsa")
	}
	if err != nil {
		return nil, fmt.Errorf("%.16s…: %w", words[0], err)
	}
	return r, nil
}

// ReadIdentities reads the private keys at path, which only its owner may use
// ([ErrMode]): age identities, one a line ("AGE-SECRET-KEY-1…" or
// "AGE-SECRET-KEY-PQ-1…", with empty lines and # comments between), or one SSH
// private key (Ed25519 or RSA) without a passphrase. It fails with [ErrIdentity];
// its errors give line numbers and never a line's content.
func ReadIdentities(path string) ([]age.Identity, error) {
	if strings.HasPrefix(strings.ToUpper(path), "AGE-SECRET-KEY-") { // which no error may repeat
		return nil, fmt.Errorf("%w: that is the key itself: write it into a file of mode 0600, and name that", ErrIdentity)
	}
	b, err := readPrivate(path, maxIdentityFile)
	if errors.Is(err, ErrMode) { // as that of a public key may well be
		if text, rerr := os.ReadFile(path); rerr == nil && isPublic(string(text)) {
			return nil, fmt.Errorf("%w: %s: it is a public key: name the file of its private half", ErrIdentity, path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("identity file: %w", err)
	}
	defer clear(b)
	text := strings.TrimSpace(string(b))
	var ids []age.Identity
	switch {
	case strings.HasPrefix(text, "-----BEGIN AGE ENCRYPTED"), strings.HasPrefix(text, "age-encryption.org/"):
		err = errors.New("it is encrypted: decrypt it with age first")
	case strings.HasPrefix(text, "-----BEGIN"):
		ids, err = sshIdentity(b)
	case isPublic(text):
		err = errors.New("it is a public key: name the file of its private half")
	default:
		ids, err = ageIdentities(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrIdentity, path, err)
	}
	return ids, nil
}

func sshIdentity(pem []byte) ([]age.Identity, error) {
	id, err := agessh.ParseIdentity(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, errors.New("this SSH key has a passphrase: take it off a copy (ssh-keygen -p), or use an age identity")
	}
	if err != nil {
		return nil, errors.New("not an SSH private key of Ed25519 or RSA")
	}
	return []age.Identity{id}, nil
}

// isPublic reports whether a file's text is a public key.
func isPublic(text string) bool {
	return strings.HasPrefix(text, "age1") || strings.HasPrefix(text, "ssh-")
}

func ageIdentities(text string) ([]age.Identity, error) {
	var out []age.Identity
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var id age.Identity
		var err error
		if strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1") {
			id, err = age.ParseHybridIdentity(line)
		} else {
			id, err = age.ParseX25519Identity(line)
		}
		if err != nil || len(out) == maxIdentities {
			return nil, fmt.Errorf("line %d: not an age identity, or more than %d", n, maxIdentities)
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, errors.New("no identity in it")
	}
	return out, nil
}
