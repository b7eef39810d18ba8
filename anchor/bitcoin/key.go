package bitcoin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"

	"cairn/anchor"
)

// A key file is text:
//
//	cairn/bitcoin-key/1
//	network regtest
//	address bcrt1q…
//	-----BEGIN AGE ENCRYPTED FILE-----
//	…
//
// From the BEGIN line on it is an age file for a passphrase. What is inside is
// one line, a descriptor with its checksum, such as wpkh(WIF)#checksum, which
// any wallet can import. The address stands outside so that funds and anchors
// can be looked for while nobody has given the passphrase; it is believed once
// the key inside has it.
const (
	keyMagic   = "cairn/bitcoin-key/1"
	maxKeyFile = 8 << 10
	// New files take 32 MiB and about a tenth of a second on a desktop to open,
	// so that a small board can; none is opened that takes more than 256 MiB.
	keyWork, maxKeyWork = 15, 18
)

// key is a key out of a file. secret is nil if it is locked, and locked says
// why; address and script may be known all the same.
type key struct {
	kind    Kind
	address string
	script  []byte
	secret  *btcec.PrivateKey
	locked  error
}

// outputOf returns address and output script of a key.
func outputOf(kind Kind, secret *btcec.PrivateKey, params *chaincfg.Params) (string, []byte, error) {
	var a address.Address
	var err error
	if kind == P2TR {
		out := txscript.ComputeTaprootKeyNoScript(secret.PubKey())
		a, err = address.NewAddressTaproot(schnorr.SerializePubKey(out), params)
	} else {
		a, err = address.NewAddressWitnessPubKeyHash(address.Hash160(secret.PubKey().SerializeCompressed()), params)
	}
	if err != nil {
		return "", nil, fmt.Errorf("address of key: %w", err)
	}
	script, err := txscript.PayToAddrScript(a)
	return a.EncodeAddress(), script, err
}

// scriptOf reads an address of one of the two kinds.
func scriptOf(s string, params *chaincfg.Params) (Kind, []byte, error) {
	a, err := address.DecodeAddress(s, params)
	if err != nil || !a.IsForNet(params) {
		return "", nil, fmt.Errorf("not an address of %s", params.Name)
	}
	var kind Kind
	switch a.(type) {
	case *address.AddressWitnessPubKeyHash:
		kind = P2WPKH
	case *address.AddressTaproot:
		kind = P2TR
	default:
		return "", nil, errors.New("neither a P2WPKH nor a P2TR address")
	}
	script, err := txscript.PayToAddrScript(a)
	return kind, script, err
}

// NewKey draws a key and writes it to a new key file of mode 0600. It never
// overwrites. It returns the key's address.
func NewKey(path, network string, kind Kind, passphrase []byte) (string, error) {
	params, err := paramsOf(network)
	if err != nil {
		return "", err
	}
	if kind != P2WPKH && kind != P2TR {
		return "", fmt.Errorf("key kind %.20q is not %s or %s", kind, P2WPKH, P2TR)
	}
	secret, err := btcec.NewPrivateKey()
	if err != nil {
		return "", fmt.Errorf("draw key: %w", err)
	}
	return writeKey(path, network, kind, secret, params, passphrase)
}

// ImportKey writes a key that exists to a new key file, like NewKey. text is a
// WIF (its outputs are P2WPKH then), or a descriptor wpkh(KEY) or tr(KEY) with
// or without checksum, where KEY is a WIF or an extended private key with its
// path, such as wpkh(xprv…/84h/0h/0h/0/0). The key should be used for nothing
// else.
func ImportKey(path, network, text string, passphrase []byte) (string, error) {
	params, err := paramsOf(network)
	if err != nil {
		return "", err
	}
	kind, secret, err := parseSecret(text, params)
	if err != nil {
		return "", fmt.Errorf("import key: %w", err)
	}
	return writeKey(path, network, kind, secret, params, passphrase)
}

func writeKey(path, network string, kind Kind, secret *btcec.PrivateKey, params *chaincfg.Params, passphrase []byte) (string, error) {
	where, _, err := outputOf(kind, secret, params)
	if err != nil {
		return "", err
	}
	text, err := secretText(kind, secret, params)
	if err != nil {
		return "", err
	}
	data, err := encryptKey(fmt.Sprintf("%s\nnetwork %s\naddress %s\n", keyMagic, network, where), text, passphrase)
	if err != nil {
		return "", fmt.Errorf("encrypt key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("write key file: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("write key file: %w", err)
	}
	return where, nil
}

func encryptKey(head, text string, passphrase []byte) ([]byte, error) {
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(keyWork)
	out := bytes.NewBufferString(head)
	armored := armor.NewWriter(out)
	w, err := age.Encrypt(armored, to)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, text+"\n")
	if err := errors.Join(err, w.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// CheckKey reads a key file as Dial does and returns its address, which it
// knows without the passphrase too. Its error, which wraps anchor.ErrLocked,
// says why the key could not be used.
func CheckKey(path, network string, passphrase []byte) (string, error) {
	params, err := paramsOf(network)
	if err != nil {
		return "", err
	}
	k := openKey(path, network, params, passphrase)
	return k.address, k.locked
}

// openKey reads a key file. What is wrong with it is in locked.
func openKey(path, network string, params *chaincfg.Params, passphrase []byte) (k key) {
	locked := func(what string) { k.locked = fmt.Errorf("%w: key file %s: %s", anchor.ErrLocked, path, what) }
	data, err := readKeyFile(path)
	if err != nil {
		k.locked = fmt.Errorf("%w: key file: %w", anchor.ErrLocked, err)
		return k
	}
	head, sealed, ok := cutKeyFile(data)
	switch {
	case !ok:
		locked("not a key file")
		return k
	case head.network != network:
		locked(fmt.Sprintf("it is of %.20q, want %s", head.network, network))
		return k
	}
	if k.kind, k.script, err = scriptOf(head.address, params); err != nil {
		locked("not a key file of " + network)
		return k
	}
	k.address = head.address
	text, err := decryptKey(sealed, passphrase)
	if err != nil {
		locked(err.Error())
		return k
	}
	kind, secret, err := parseSecret(text, params)
	if err != nil {
		locked(err.Error())
		return k
	}
	if where, _, err := outputOf(kind, secret, params); err != nil || where != k.address {
		locked("the key inside is of another address")
		k.address, k.script = "", nil
		return k
	}
	k.secret = secret
	return k
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s has mode %04o, which lets others read it, want 0600", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxKeyFile)
	}
	return data, err
}

type keyHead struct{ network, address string }

// cutKeyFile parts a key file into what can be read and what is encrypted.
func cutKeyFile(data []byte) (h keyHead, sealed []byte, ok bool) {
	at := bytes.Index(data, []byte(armor.Header))
	if at < 0 {
		return h, nil, false
	}
	lines := bufio.NewScanner(bytes.NewReader(data[:at]))
	var got []string
	for lines.Scan() {
		got = append(got, lines.Text())
	}
	if len(got) != 3 || got[0] != keyMagic {
		return h, nil, false
	}
	var a, b bool
	h.network, a = strings.CutPrefix(got[1], "network ")
	h.address, b = strings.CutPrefix(got[2], "address ")
	return h, data[at:], a && b
}

func decryptKey(sealed, passphrase []byte) (string, error) {
	if len(passphrase) == 0 {
		return "", errors.New("there is no passphrase")
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return "", errors.New("there is no passphrase")
	}
	id.SetMaxWorkFactor(maxKeyWork)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed)), id)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return "", errors.New("the passphrase does not open it")
	case err != nil:
		return "", errors.New("not a key file that can be read")
	}
	text, err := io.ReadAll(io.LimitReader(r, maxDescriptor+2))
	if err != nil {
		return "", errors.New("not a key file that can be read")
	}
	return string(text), nil
}
