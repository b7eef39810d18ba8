package share

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"
)

// sshKeys draws an SSH key pair and gives the public line and the private file.
func sshKeys(t testing.TB, private any, passphrase string) (public, file string) {
	t.Helper()
	signer := must(ssh.NewSignerFromKey(private))
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "auditor@example")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(signer.PublicKey())), string(pem.EncodeToMemory(block))
}

func ed25519Key() ed25519.PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return private
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// everyKind has a recipient and an identity file of each kind.
func everyKind(t testing.TB) map[string][2]string {
	x, pq := must(age.GenerateX25519Identity()), must(age.GenerateHybridIdentity())
	kinds := map[string][2]string{
		"X25519":       {x.Recipient().String(), "# created: today\n\n" + x.String() + "\n"},
		"post-quantum": {pq.Recipient().String(), pq.String()},
	}
	for name, key := range map[string]any{"ssh-ed25519": ed25519Key(), "ssh-rsa": rsaKey()} {
		public, file := sshKeys(t, key, "")
		kinds[name] = [2]string{strings.TrimSpace(public) + " auditor@example", file}
	}
	return kinds
}

func TestEveryRecipient(t *testing.T) {
	b := testBundle(t)
	kinds := everyKind(t)
	for name, pair := range kinds {
		to, err := ParseRecipients([]string{pair[0]})
		if err != nil || len(to) != 1 {
			t.Fatalf("%s: got %d recipients, %v, want one", name, len(to), err)
		}
		var out bytes.Buffer
		if err := SealBundle(&out, b, to); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for other, pair := range kinds {
			ids, err := ReadIdentities(identityFile(t, pair[1]))
			if err != nil || len(ids) != 1 {
				t.Fatalf("%s: got %d identities, %v, want one", other, len(ids), err)
			}
			got, err := OpenBundle(bytes.NewReader(out.Bytes()), ids...)
			if other != name {
				if !errors.Is(err, ErrNotForUs) {
					t.Errorf("to %s, opened by %s: got %v, want ErrNotForUs", name, other, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sameBundle(t, name, got, b)
		}
	}
}

// Several recipients in one argument and in several, each of whom opens.
func TestRecipientLines(t *testing.T) {
	kinds := everyKind(t)
	to, err := ParseRecipients([]string{
		"# auditors\n\n  " + kinds["X25519"][0] + "\r\n" + kinds["ssh-rsa"][0] + "\n", "", kinds["ssh-ed25519"][0],
	})
	if err != nil || len(to) != 3 {
		t.Fatalf("got %d recipients, %v, want three", len(to), err)
	}
	b := testBundle(t)
	var out bytes.Buffer
	if err := SealBundle(&out, b, to); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X25519", "ssh-rsa", "ssh-ed25519"} {
		got, err := OpenBundle(bytes.NewReader(out.Bytes()), must(ReadIdentities(identityFile(t, kinds[name][1])))...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sameBundle(t, name, got, b)
	}
}

func TestRecipientsRefused(t *testing.T) {
	kinds := everyKind(t)
	one, pq, rsaLine := kinds["X25519"][0], kinds["post-quantum"][0], kinds["ssh-rsa"][0]
	secret := must(age.GenerateX25519Identity()).String()
	weak, err := ssh.NewPublicKey(&rsa.PublicKey{N: must(rsa.GenerateKey(rand.Reader, 1024)).N, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, maxRecipients+1)
	for i := range many {
		many[i] = must(age.GenerateX25519Identity()).Recipient().String()
	}
	for name, c := range map[string]struct {
		texts []string
		says  string
	}{
		"nothing":          {nil, "none"},
		"comments":         {[]string{"# a", ""}, "none"},
		"a word":           {[]string{one, "# x\nmallory"}, "number 2, line 2"},
		"passphrase":       {[]string{"scrypt"}, "neither"},
		"private key":      {[]string{secret}, "private key"},
		"SSH private key":  {[]string{kinds["ssh-ed25519"][1]}, "private key"},
		"changed":          {[]string{one[:20] + "b" + one[21:]}, "age1"},
		"cut post-quantum": {[]string{pq[:1900]}, "age1pq1"},
		"behind the key":   {[]string{one + " x"}, "behind"},
		"twice":            {[]string{one, one}, "twice"},
		"SSH twice":        {[]string{rsaLine, rsaLine + " other comment"}, "twice"},
		"mixed":            {[]string{one, pq}, "post-quantum"},
		"weak RSA":         {[]string{string(ssh.MarshalAuthorizedKey(weak))}, "ssh-rsa"},
		"options":          {[]string{`command="x" ` + rsaLine}, "neither"},
		"long":             {[]string{"ssh-rsa " + strings.Repeat("A", maxRecipient)}, "bytes"},
		"too many":         {many, "more than 64"},
	} {
		to, err := ParseRecipients(c.texts)
		if !errors.Is(err, ErrRecipient) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %d recipients, %v, want ErrRecipient saying %q", name, len(to), err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), secret[20:30]) {
			t.Errorf("%s: the error holds a private key", name)
		}
	}
}

func TestIdentitiesRefused(t *testing.T) {
	id := must(age.GenerateX25519Identity()).String()
	_, locked := sshKeys(t, ed25519Key(), "correct horse")
	for name, c := range map[string]struct{ text, says string }{
		"empty":               {"# nothing\n", "no identity"},
		"changed":             {"\n" + id[:20] + "QQ" + id[22:], "line 1"},
		"second line":         {id + "\n" + id[:30], "line 2"},
		"recipient":           {must(age.ParseX25519Identity(id)).Recipient().String(), "public key"},
		"too many":            {strings.Repeat(id+"\n", maxIdentities+1), "line 17"},
		"encrypted identity":  {"age-encryption.org/v1\n-> scrypt x 18\n", "encrypted"},
		"armoured":            {"-----BEGIN AGE ENCRYPTED FILE-----\n", "encrypted"},
		"SSH with passphrase": {locked, "ssh-keygen -p"},
		"other PEM":           {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "SSH"},
	} {
		ids, err := ReadIdentities(identityFile(t, c.text))
		if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %d identities, %v, want ErrIdentity saying %q", name, len(ids), err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), id[20:30]) {
			t.Errorf("%s: the error holds the identity", name)
		}
	}
	path := identityFile(t, id)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadIdentities(path); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: got %v, want ErrMode and the chmod line", mode, err)
		}
	}
	if _, err := ReadIdentities(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
}

func FuzzParseRecipients(f *testing.F) {
	for _, pair := range everyKind(f) {
		f.Add(pair[0])
	}
	f.Add("# comment\n\nage1\nssh-rsa\nssh-ed25519 AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		to, err := ParseRecipients([]string{text})
		if (err == nil) != (len(to) > 0) || err != nil && !errors.Is(err, ErrRecipient) {
			t.Fatalf("got %d recipients, %v", len(to), err)
		}
	})
}
