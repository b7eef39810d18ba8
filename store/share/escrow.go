// # Escrow file
//
// An escrow file holds the keys of one month of a ledger, so that any k of n
// holders together, and no fewer, can give them back when the gateway is gone.
// Never the root: what is in the file opens that month's hours and no other.
//
// A random scalar s of ristretto255 (RFC 9496) is shared by a polynomial f of
// degree k−1 with f(0) = s (Shamir); holder i of 1…n gets f(i), and the file
// commits to each coefficient by its multiple of the group's generator (Feldman,
// "A practical scheme for non-interactive verifiable secret sharing", 1987), so
// that a holder can check a share without showing it, and a wrong one is told
// from a right one before it is used. The keys are sealed under s.
//
// All integers are big-endian, all CBOR deterministic (RFC 8949 §4.2.1), scalars
// and elements in the 32-byte encoding of RFC 9496:
//
//	"cairn/escrow-file/1\n" (20)
//	length (4) ‖ public
//	n × ( SHA-256(share) (32) ‖ length (4) ‖ share )     in the order of the holders; length 0: left out, the hash stays
//	length (4) ‖ random (32) ‖ sealed
//	digest (32)
//
//	public = ["cairn/escrow-public/1", ledger id bstr32, month tstr "2026-07", part uint, k uint,
//	           [[name tstr, recipient tstr, key bstr32] … the n holders],
//	           commitments bstr (32·k, of the coefficients from f(0) on),
//	           [[compartment id uint, first hour uint, hour after the last uint] … ascending]]
//	share  = an age file to the holder's recipient, of
//	           ["cairn/escrow-share/1", SHA-256(public) bstr32, i uint, f(i) bstr32]
//	sealed = AES-256-GCM(HKDF-SHA256(secret: s, salt: random, info: "cairn/escrow-seal/1"), nonce: 12 zero bytes,
//	           additional data: public) of
//	           ["cairn/escrow/1", ledger id bstr32, log public key bstr32, nonce bstr32, month tstr, part uint,
//	             [[compartment id uint, name tstr, [[level, index, node bstr32] …]] …],
//	             [[statement number uint, item bstr, salt bstr16] …]]
//	digest = SHA-256(SHA-256(public) ‖ SHA-256(share 1) ‖ … ‖ SHA-256(share n) ‖ SHA-256(random ‖ sealed))
//
// The digest is what the ledger's escrow statement names. A copy for one holder
// leaves the others' shares out and has the same digest.
//
// What it does not do: holders cannot tell that what is sealed opens; the gateway
// opens it from the first k shares before it lets the file go. k holders who
// agree have the month's keys, whatever anybody records. Once a month was dealt,
// its keys stay with that dealing: another one for other holders takes nothing
// back from those before, who can only say that they destroyed their shares.
package share

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
	"github.com/fxamacker/cbor/v2"
)

const (
	escrowMagic     = "cairn/escrow-file/1\n"
	escrowPublic    = "cairn/escrow-public/1"
	escrowShareType = "cairn/escrow-share/1"
	escrowSeal      = "cairn/escrow-seal/1"

	// MaxHolders is how many holders can share one escrow file.
	MaxHolders = 32
	// MaxEscrowCompartments is how many compartments one escrow file can hold: more
	// go into further parts.
	MaxEscrowCompartments = 4096
	// MaxEscrow is how many bytes an escrow file can have.
	MaxEscrow = 64 << 20

	maxHolderName    = 64
	maxEscrowPublic  = 1 << 16
	maxEscrowShare   = 4096
	maxEscrowParts   = 1 << 16
	escrowScalarSize = 32
)

var (
	// ErrEscrow tells that bytes are no escrow file, card, release or confirmation,
	// or are damaged: ask for another copy.
	ErrEscrow = errors.New("malformed, damaged or forged")
	// ErrNotHolder tells that none of a file's shares is for this holder's key, or
	// that this copy leaves it out.
	ErrNotHolder = errors.New("no share for this holder's key")
	// ErrDealt tells that a holder's share does not fit the file's commitments: the
	// gateway dealt a share that is worth nothing. Have it deal again.
	ErrDealt = errors.New("the share does not fit the commitments")
	// ErrTooFew tells that fewer shares than needed are there and fit.
	ErrTooFew = errors.New("too few shares")
)

// Holder is one of those who keep a share.
type Holder struct {
	Name      string   // 1 to 64 bytes of printable ASCII without spaces
	Recipient string   // age recipient, "age1…"
	Key       [32]byte // Ed25519
}

func (h *Holder) check() error {
	if len(h.Name) > maxHolderName || !validName(h.Name) {
		return fmt.Errorf("%w: a holder's name is not 1 to %d printable characters", ErrEscrow, maxHolderName)
	}
	if _, err := age.ParseX25519Recipient(h.Recipient); err != nil {
		return fmt.Errorf("%w: holder %s: no age recipient", ErrEscrow, h.Name)
	}
	if h.Key == [32]byte{} {
		return fmt.Errorf("%w: holder %s: no key", ErrEscrow, h.Name)
	}
	return nil
}

// Escrow is an escrow file: its public part, and what it holds sealed.
type Escrow struct {
	Ledger       [32]byte
	Month        Month
	Part         uint32 // files of one month are told apart by it
	Need         int    // k: so many shares open it
	Holders      []Holder
	Compartments []Held // by ascending id

	commitments []byte
	public      []byte     // encoding of all of the above
	sums        [][32]byte // SHA-256 of each holder's wrapped share
	shares      [][]byte   // wrapped; nil: left out
	random      [32]byte
	sealed      []byte
}

// Held tells which hours of a compartment an escrow file has.
type Held struct {
	ID          uint32
	From, Until Hour
}

// EscrowKeys is what an escrow file seals.
type EscrowKeys struct {
	Ledger, LogKey, Nonce [32]byte
	Month                 Month
	Part                  uint32
	Compartments          []Granted // by ascending id
	Statements            []BundleStatement
}

// Commitments are the elements that shares are checked against: 32 bytes for each
// of the Need coefficients.
func (e *Escrow) Commitments() []byte { return bytes.Clone(e.commitments) }

// Digest names the file in the ledger. Copies for one holder have the same.
func (e *Escrow) Digest() [32]byte {
	h := sha256.New()
	sum := sha256.Sum256(e.public)
	h.Write(sum[:])
	for i := range e.sums {
		h.Write(e.sums[i][:])
	}
	sealed := sha256.New()
	sealed.Write(e.random[:])
	sealed.Write(e.sealed)
	h.Write(sealed.Sum(nil))
	return [32]byte(h.Sum(nil))
}

// dealing names the file in shares.
func (e *Escrow) dealing() [32]byte { return sha256.Sum256(e.public) }

// Holder returns the position of the holder of that name, or -1.
func (e *Escrow) Holder(name string) int {
	return slices.IndexFunc(e.Holders, func(h Holder) bool { return h.Name == name })
}

// Has reports whether the copy holds that holder's share.
func (e *Escrow) Has(i int) bool { return i >= 0 && i < len(e.shares) && e.shares[i] != nil }

// For returns a copy for one holder, without the others' shares.
func (e *Escrow) For(name string) (*Escrow, error) {
	at := e.Holder(name)
	if !e.Has(at) {
		return nil, fmt.Errorf("copy for %q: %w", name, ErrNotHolder)
	}
	out := *e
	out.shares = make([][]byte, len(e.shares))
	out.shares[at] = e.shares[at]
	return &out, nil
}

// Join returns a copy with the shares of several copies of one file. It fails with
// [ErrEscrow] when they are not.
func (e *Escrow) Join(o *Escrow) (*Escrow, error) {
	if e.Digest() != o.Digest() {
		return nil, fmt.Errorf("join: %w: copies of different files", ErrEscrow)
	}
	out := *e
	out.shares = slices.Clone(e.shares)
	for i := range out.shares {
		if out.shares[i] == nil {
			out.shares[i] = o.shares[i]
		}
	}
	return &out, nil
}

// shareItem is a share's plaintext.
type shareItem struct {
	_       struct{} `cbor:",toarray"`
	Type    string
	Dealing [32]byte
	Index   uint32 // 1…n
	Value   [32]byte
}

var escrowDecoding = func() cbor.DecMode {
	dec, err := cbor.DecOptions{
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, DupMapKey: cbor.DupMapKeyEnforcedAPF,
		MaxArrayElements: maxEscrowParts, MaxMapPairs: 16, MaxNestedLevels: 6,
	}.DecMode()
	if err != nil {
		panic("share: " + err.Error())
	}
	return dec
}()

// strictly reads what bodyEncoding writes, and nothing else.
func strictly(b []byte, v any, what string) error {
	if err := escrowDecoding.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s", ErrEscrow, what)
	}
	again, err := bodyEncoding.Marshal(v)
	defer clear(again)
	if err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("%w: %s is not in its one form", ErrEscrow, what)
	}
	return nil
}

// Deal seals a month's keys so that any need of the holders can open them. The
// keys' compartments come in order of their ids and hold nodes of that month
// alone; no two holders have a name or a key in common. Before it returns it has
// checked every share, and opened the keys from the last of them.
func Deal(k *EscrowKeys, need int, holders []Holder) (*Escrow, error) {
	if err := checkHolders(holders, need); err != nil {
		return nil, fmt.Errorf("deal: %w", err)
	}
	plain, err := k.encode()
	if err != nil {
		return nil, fmt.Errorf("deal: %w", err)
	}
	defer clear(plain)
	e := &Escrow{Ledger: k.Ledger, Month: k.Month, Part: k.Part, Need: need, Holders: slices.Clone(holders)}
	for i := range k.Compartments {
		e.Compartments = append(e.Compartments, k.Compartments[i].held())
	}
	shares, secret, err := e.split()
	if err != nil {
		return nil, fmt.Errorf("deal: %w", err)
	}
	defer clear(secret[:])
	if err := e.wrap(shares); err != nil {
		return nil, fmt.Errorf("deal: %w", err)
	}
	if _, err := rand.Read(e.random[:]); err != nil {
		return nil, fmt.Errorf("deal: %w", err)
	}
	e.sealed = e.aead(&secret).Seal(nil, make([]byte, 12), plain, e.public)
	if err := e.tryOut(shares); err != nil {
		return nil, fmt.Errorf("deal: %w", err)
	}
	return e, nil
}

func checkHolders(holders []Holder, need int) error {
	if len(holders) > MaxHolders {
		return fmt.Errorf("%d holders, at most %d: %w", len(holders), MaxHolders, ErrLimit)
	}
	if need < 1 || need > len(holders) {
		return fmt.Errorf("%d of %d holders cannot be asked for: %w", need, len(holders), ErrTooFew)
	}
	names, recipients, keys := map[string]bool{}, map[string]bool{}, map[[32]byte]bool{}
	for i := range holders {
		h := &holders[i]
		if err := h.check(); err != nil {
			return err
		}
		if names[h.Name] || recipients[h.Recipient] || keys[h.Key] {
			return fmt.Errorf("%w: holder %s has a name or key of another", ErrEscrow, h.Name)
		}
		names[h.Name], recipients[h.Recipient], keys[h.Key] = true, true, true
	}
	return nil
}

// split draws the secret and its shares, and sets commitments and public part.
func (e *Escrow) split() ([]secretsharing.Share, [32]byte, error) {
	scalar := group.Ristretto255.RandomNonZeroScalar(rand.Reader)
	ss := secretsharing.New(rand.Reader, uint(e.Need-1), scalar)
	for _, c := range ss.CommitSecret() {
		b, err := c.MarshalBinary()
		if err != nil {
			return nil, [32]byte{}, err
		}
		e.commitments = append(e.commitments, b...)
	}
	secret, err := scalar.MarshalBinary()
	if err != nil {
		return nil, [32]byte{}, err
	}
	defer clear(secret)
	if e.public, err = e.encodePublic(); err != nil {
		return nil, [32]byte{}, err
	}
	return ss.Share(uint(len(e.Holders))), [32]byte(secret), nil
}

// wrap wraps each share to its holder.
func (e *Escrow) wrap(shares []secretsharing.Share) error {
	for i := range shares {
		to, err := age.ParseX25519Recipient(e.Holders[i].Recipient)
		if err != nil {
			return fmt.Errorf("holder %s: no age recipient", e.Holders[i].Name)
		}
		wrapped, err := e.wrapShare(i, shares[i].Value, to)
		if err != nil {
			return err
		}
		e.shares = append(e.shares, wrapped)
		e.sums = append(e.sums, sha256.Sum256(wrapped))
	}
	return nil
}

func (e *Escrow) wrapShare(i int, value group.Scalar, to ...age.Recipient) ([]byte, error) {
	b, err := value.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("write share: %w", err)
	}
	defer clear(b)
	plain, err := bodyEncoding.Marshal(&shareItem{Type: escrowShareType, Dealing: e.dealing(), Index: uint32(i + 1), Value: [32]byte(b)})
	if err != nil {
		return nil, fmt.Errorf("write share: %w", err)
	}
	defer clear(plain)
	return encrypt(plain, to...)
}

// tryOut checks each share and opens the file by the last of them.
func (e *Escrow) tryOut(shares []secretsharing.Share) error {
	for i := range shares {
		if err := e.fits(shares[i]); err != nil {
			return fmt.Errorf("holder %s: %w", e.Holders[i].Name, err)
		}
	}
	_, err := e.open(shares[len(shares)-e.Need:])
	return err
}

// fits checks a share against the commitments.
func (e *Escrow) fits(s secretsharing.Share) error {
	commitments, err := elements(e.commitments)
	if err != nil {
		return err
	}
	if !secretsharing.Verify(uint(e.Need-1), s, commitments) {
		return ErrDealt
	}
	return nil
}

// elements reads encoded elements, each in the one encoding that it has.
func elements(b []byte) (all []group.Element, err error) {
	for ; len(b) >= escrowScalarSize; b = b[escrowScalarSize:] {
		x := group.Ristretto255.NewElement()
		if err := x.UnmarshalBinary(b[:escrowScalarSize]); err != nil {
			return nil, fmt.Errorf("%w: a commitment is no element of ristretto255", ErrEscrow)
		}
		again, err := x.MarshalBinary()
		if err != nil || !bytes.Equal(again, b[:escrowScalarSize]) {
			return nil, fmt.Errorf("%w: a commitment is not in its one form", ErrEscrow)
		}
		all = append(all, x)
	}
	return all, nil
}

// open opens the sealed keys with Need shares that fit.
func (e *Escrow) open(shares []secretsharing.Share) (*EscrowKeys, error) {
	scalar, err := secretsharing.Recover(uint(e.Need-1), shares)
	if err != nil {
		return nil, fmt.Errorf("%w: %d of %d", ErrTooFew, len(shares), e.Need)
	}
	b, err := scalar.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	secret := [32]byte(b)
	clear(b)
	defer clear(secret[:])
	plain, err := e.aead(&secret).Open(nil, make([]byte, 12), e.sealed, e.public)
	if err != nil {
		return nil, fmt.Errorf("the shares fit, and what is sealed does not open: the gateway made a worthless file: %w", ErrSeal)
	}
	defer clear(plain)
	return e.parseKeys(plain)
}

func (e *Escrow) aead(secret *[32]byte) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, secret[:], e.random[:], escrowSeal, 32)
	if err != nil {
		panic("share: " + err.Error()) // 32 bytes are far below the limit of RFC 5869
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("share: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("share: " + err.Error())
	}
	return aead
}

// Month is a calendar month in UTC, counted from January 1970.
type Month uint32

const maxMonth Month = 119*12 + 7 // 2089-08, in which the hours end

// MonthOf is the month in which a time lies, in Unix milliseconds, or [ErrHour].
func MonthOf(ms int64) (Month, error) {
	if _, err := HourOf(ms); err != nil {
		return 0, err
	}
	t := time.UnixMilli(ms).UTC()
	return Month((t.Year()-1970)*12 + int(t.Month()) - 1), nil
}

// ParseMonth reads a month such as "2026-07".
func ParseMonth(s string) (Month, error) {
	t, err := time.Parse("2006-01", s)
	if err != nil || t.Year() < 1970 {
		return 0, fmt.Errorf("%.20q is no month such as 2026-07", s)
	}
	m := Month((t.Year()-1970)*12 + int(t.Month()) - 1)
	if m > maxMonth || m.String() != s {
		return 0, fmt.Errorf("%.20q is no month such as 2026-07", s)
	}
	return m, nil
}

func (m Month) String() string { return m.start().Format("2006-01") }

func (m Month) start() time.Time { return time.Date(1970, 1+time.Month(m), 1, 0, 0, 0, 0, time.UTC) }

// From is the month's first hour.
func (m Month) From() Hour { return min(Hour(m.start().Unix()/hourSeconds), Hours) }

// Until is the hour after the month's last one.
func (m Month) Until() Hour { return (m + 1).From() }

// Left returns the smallest set of nodes that gives those of the hours
// from ≤ h < until whose keys are there, in order of hours, and no other: none if
// all of them were shredded.
func (t *Tree) Left(from, until Hour) ([]Node, error) {
	if from > until || until > 1<<t.depth {
		return nil, fmt.Errorf("cover hours %d to %d: %w", from, until, ErrHour)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []Node
	for i := range t.nodes {
		out = t.cover(out, &t.nodes[i], from, until)
	}
	return out, nil
}

// FirstHour is the first hour whose key is there; false if there is none.
func (t *Tree) FirstHour() (Hour, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.nodes) == 0 {
		return 0, false
	}
	return t.nodes[0].first(t.depth), true
}
