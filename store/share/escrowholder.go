// # Holder's key and card
//
// A holder's key file is an age identity file with one X25519 identity. The key
// that the holder signs with follows from it, so that there is one secret to keep:
//
//	Ed25519 seed (RFC 8032) = HKDF-SHA256(secret: "AGE-SECRET-KEY-1…", no salt, info: "cairn/holder-key/1"), 32 bytes
//
// The card is what others need of it, one word and one value a line:
//
//	cairn/holder-card/1
//	name NAME
//	recipient age1…
//	key HEX                   Ed25519 public key
//	signature HEX             by that key, over all lines before
//
// It proves that one who made it had the key, not who that was: compare the key
// with its owner before it is certified.
package share

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

const (
	cardMagic      = "cairn/holder-card/1"
	holderKeyInfo  = "cairn/holder-key/1"
	maxCard        = 4096
	signatureWord  = "signature "
	signatureLine  = len(signatureWord) + 2*ed25519.SignatureSize + 1
	holderFileNote = "# A holder's key: who has it can open what is shared with the holder, and sign for them. Keep it, tell nobody.\n"
)

// HolderKey is a holder's secret.
type HolderKey struct {
	identity *age.X25519Identity
	sign     ed25519.PrivateKey
}

func (HolderKey) Format(f fmt.State, _ rune)    { hide(f) }
func (HolderKey) MarshalText() ([]byte, error)  { return []byte(hidden), nil }
func (EscrowKeys) Format(f fmt.State, _ rune)   { hide(f) }
func (EscrowKeys) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// NewHolderKey draws a holder's key.
func NewHolderKey() (*HolderKey, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("draw holder's key: %w", err)
	}
	return holderKey(id)
}

func holderKey(id *age.X25519Identity) (*HolderKey, error) {
	seed, err := hkdf.Key(sha256.New, []byte(id.String()), nil, holderKeyInfo, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("holder's key: %w", err)
	}
	defer clear(seed)
	return &HolderKey{identity: id, sign: ed25519.NewKeyFromSeed(seed)}, nil
}

// ReadHolderKey reads a key file. It fails with [ErrMode] when others than the
// owner may read it, [ErrWrap] when it does not hold just one X25519 identity.
func ReadHolderKey(path string) (*HolderKey, error) {
	ids, err := readIdentities(path)
	if err != nil {
		return nil, err
	}
	if len(ids) != 1 {
		return nil, fmt.Errorf("%w: %s holds %d identities: a holder has one", ErrWrap, path, len(ids))
	}
	return holderKey(ids[0])
}

// Write writes a new key file, mode 0600, for good. It refuses to overwrite
// ([ErrExists]).
func (k *HolderKey) Write(path string) error {
	text := []byte(holderFileNote + k.identity.String() + "\n")
	defer clear(text)
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write holder's key %s: %w", path, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("write holder's key: %w", err)
	}
	_, err = w.Write(text)
	if err == nil {
		err = w.Sync()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("write holder's key %s: %w", path, err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Public returns the key's public halves under a name.
func (k *HolderKey) Public(name string) Holder {
	return Holder{Name: name, Recipient: k.identity.Recipient().String(), Key: [32]byte(k.sign.Public().(ed25519.PublicKey))}
}

// Identity opens what is encrypted to the holder.
func (k *HolderKey) Identity() age.Identity { return k.identity }

// Card returns the holder's card under a name of 1 to 64 printable characters.
func (k *HolderKey) Card(name string) ([]byte, error) {
	h := k.Public(name)
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("holder's card: %w", err)
	}
	return k.signText(cardText(&h)), nil
}

func cardText(h *Holder) []byte {
	return fmt.Appendf(nil, "%s\nname %s\nrecipient %s\nkey %x\n", cardMagic, h.Name, h.Recipient, h.Key)
}

// signText appends the line with the signature.
func (k *HolderKey) signText(text []byte) []byte {
	return fmt.Appendf(text, "%s%x\n", signatureWord, k.signBytes(text))
}

func (k *HolderKey) signBytes(b []byte) []byte { return ed25519.Sign(k.sign, b) }

// splitSigned takes the signature off a signed text. It fails with [ErrEscrow].
func splitSigned(b []byte, what string) (text []byte, signature [64]byte, err error) {
	if len(b) > maxCard || len(b) < signatureLine || b[len(b)-1] != '\n' {
		return nil, signature, fmt.Errorf("%w: no %s", ErrEscrow, what)
	}
	text, last := b[:len(b)-signatureLine], string(b[len(b)-signatureLine:len(b)-1])
	digits, ok := strings.CutPrefix(last, signatureWord)
	sig, err := hex.DecodeString(digits)
	if !ok || err != nil || digits != hex.EncodeToString(sig) {
		return nil, signature, fmt.Errorf("%w: no %s: the last line is no signature", ErrEscrow, what)
	}
	return text, [64]byte(sig), nil
}

// ParseCard reads a card and checks its signature. It accepts just what
// [HolderKey.Card] writes, and fails with [ErrEscrow].
func ParseCard(b []byte) (Holder, error) {
	text, sig, err := splitSigned(b, "holder's card")
	if err != nil {
		return Holder{}, err
	}
	var h Holder
	lines := strings.Split(string(text), "\n")
	if len(lines) != 5 || lines[0] != cardMagic {
		return Holder{}, fmt.Errorf("%w: it is not a holder's card", ErrEscrow)
	}
	h.Name, h.Recipient = strings.TrimPrefix(lines[1], "name "), strings.TrimPrefix(lines[2], "recipient ")
	key, err := hex.DecodeString(strings.TrimPrefix(lines[3], "key "))
	if err != nil || len(key) != len(h.Key) {
		return Holder{}, fmt.Errorf("%w: a holder's card without key", ErrEscrow)
	}
	h.Key = [32]byte(key)
	if err := h.check(); err != nil {
		return Holder{}, err
	}
	if string(cardText(&h)) != string(text) {
		return Holder{}, fmt.Errorf("%w: a holder's card is not in its one form", ErrEscrow)
	}
	if !ed25519.Verify(h.Key[:], text, sig[:]) {
		return Holder{}, fmt.Errorf("%w: the card's signature is not by its key", ErrEscrow)
	}
	return h, nil
}

// Check finds the holder's share in an escrow file, opens it and holds it against
// the commitments: nil means that it counts as one of those that are needed. It
// returns the holder's position. It fails with [ErrNotHolder], and with [ErrDealt]
// when the gateway dealt a share that is worth nothing.
func (k *HolderKey) Check(e *Escrow) (int, error) {
	i, s, err := k.share(e)
	if err != nil {
		return i, err
	}
	return i, e.fits(s)
}

func (k *HolderKey) share(e *Escrow) (int, secretsharing.Share, error) {
	me := k.Public("")
	for i := range e.Holders {
		if e.Holders[i].Recipient != me.Recipient {
			continue
		}
		if e.shares[i] == nil {
			return i, secretsharing.Share{}, fmt.Errorf("%s, part %d: this copy leaves the share of %s out: %w", e.Month, e.Part, e.Holders[i].Name, ErrNotHolder)
		}
		s, err := e.unwrap(i, e.shares[i], k.identity)
		if err != nil {
			err = fmt.Errorf("%s, part %d: the share of %s: %w: %w", e.Month, e.Part, e.Holders[i].Name, ErrDealt, err)
		}
		return i, s, err
	}
	return -1, secretsharing.Share{}, fmt.Errorf("%s, part %d: %w", e.Month, e.Part, ErrNotHolder)
}

// unwrap opens the share of a holder. Whether it fits is to be seen.
func (e *Escrow) unwrap(i int, wrapped []byte, ids ...age.Identity) (s secretsharing.Share, err error) {
	plain, err := decrypt(wrapped, 256, ids...)
	if err != nil {
		return s, errNotForKey
	}
	defer clear(plain)
	var item shareItem
	if err := strictly(plain, &item, "a share"); err != nil {
		return s, err
	}
	defer clear(item.Value[:])
	if item.Type != escrowShareType || item.Dealing != e.dealing() || item.Index != uint32(i+1) {
		return s, fmt.Errorf("%w: a share of another file or holder", ErrEscrow)
	}
	s.ID, s.Value = group.Ristretto255.NewScalar().SetUint64(uint64(item.Index)), group.Ristretto255.NewScalar()
	if err := s.Value.UnmarshalBinary(item.Value[:]); err != nil {
		return s, fmt.Errorf("%w: a share is no scalar", ErrEscrow)
	}
	return s, nil
}

var errNotForKey = errors.New("it does not open with this key")
