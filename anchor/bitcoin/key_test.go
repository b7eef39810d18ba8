package bitcoin

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age/armor"
	"github.com/btcsuite/btcd/btcutil/v2"

	"cairn/anchor"
	"cairn/anchor/proof"
)

var testPassphrase = []byte("stones")

// The master key of the mnemonic "abandon … about", which BIP-84 and BIP-86
// derive their test vectors from.
const abandon = "xprv9s21ZrQH143K3GJpoapnV8SFfukcVBSfeCficPSGfubmSFDxo1kuHnLisriDvSnRRuL2Qrg5ggqHKNVpxR86QEC8w35uxmGoggxtQTPvfUu"

func TestImportKeyGivesTheAddressOfTheStandards(t *testing.T) {
	for _, c := range []struct{ network, text, want string }{
		{"mainnet", "wpkh(" + abandon + "/84'/0'/0'/0/0)", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"},
		{"mainnet", "wpkh([73c5da0a/84h]" + abandon + "/84h/0h/0H/0/1)", "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"},
		{"mainnet", "tr(" + abandon + "/86'/0'/0'/0/0)", "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"},
		{"mainnet", "tr(" + abandon + "/86'/0'/0'/1/0)\n", "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7"},
		// The account key of BIP-84's vectors as a WIF (m/84'/0'/0'/0/0).
		{"mainnet", "KyZpNDKnfs94vbrwhJneDi77V6jF64PWPF8x5cdJb8ifgg2DUc9d", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		got, err := ImportKey(path, c.network, c.text, testPassphrase)
		if err != nil || got != c.want {
			t.Errorf("%.20s…: got %s, %v; want %s", c.text, got, err, c.want)
			continue
		}
		if got, err := CheckKey(path, c.network, testPassphrase); err != nil || got != c.want {
			t.Errorf("%.20s… read back: got %s, %v", c.text, got, err)
		}
	}
}

func TestChecksumOfDescriptors(t *testing.T) {
	for text, want := range map[string]string{
		"raw(deadbeef)": "89f8spxm", // BIP-380
		"wpkh(02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9)": "8zl0zxma", // BIP-382
	} {
		if got, err := checksum(text); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestImportKeyRefuses(t *testing.T) {
	wif := "KyZpNDKnfs94vbrwhJneDi77V6jF64PWPF8x5cdJb8ifgg2DUc9d"
	sum, err := checksum("wpkh(" + wif + ")")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := parseSecret("wpkh("+wif+")#"+sum, networks["mainnet"]); err != nil {
		t.Fatalf("with its checksum: %v", err)
	}
	for name, c := range map[string]struct{ network, text, want string }{
		"nothing":              {"mainnet", "", "neither a WIF nor"},
		"words":                {"mainnet", "abandon about", "neither a WIF nor"},
		"checksum":             {"mainnet", "wpkh(" + wif + ")#aaaaaaaa", "checksum does not hold"},
		"typing":               {"mainnet", "wpkh(" + strings.Replace(wif, "Z", "z", 1) + ")#" + sum, "checksum does not hold"},
		"network of a WIF":     {"regtest", wif, "not for regtest"},
		"network of an xprv":   {"signet", "tr(" + abandon + "/0)", "not for signet"},
		"uncompressed":         {"mainnet", "5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss", "uncompressed"},
		"public":               {"mainnet", "wpkh(xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8)", "public one"},
		"range":                {"mainnet", "wpkh(" + abandon + "/0/*)", "one key alone"},
		"script tree":          {"mainnet", "tr(" + wif + ",pk(" + wif + "))", "one key alone"},
		"other function":       {"mainnet", "pkh(" + wif + ")", "neither wpkh"},
		"nested":               {"mainnet", "sh(wpkh(" + wif + "))", "neither wpkh"},
		"path of a WIF":        {"mainnet", "wpkh(" + wif + "/0)", "has no path"},
		"empty path":           {"mainnet", "wpkh(" + abandon + "/)", "step 1"},
		"step too large":       {"mainnet", "wpkh(" + abandon + "/2147483648)", "step 1"},
		"hardened twice":       {"mainnet", "wpkh(" + abandon + "/0'h)", "step 1"},
		"endless origin":       {"mainnet", "wpkh([00000000/84" + wif + ")", "origin does not end"},
		"too long":             {"mainnet", strings.Repeat("a", 600), "longer than"},
		"too deep":             {"mainnet", "wpkh(" + abandon + strings.Repeat("/0", 11) + ")", "more than 10 steps"},
		"foreign character":    {"mainnet", "wpkh(é)#aaaaaaaa", "character that none has"},
		"unknown network":      {"testnet3", wif, "not mainnet"},
		"not closed":           {"mainnet", "wpkh(" + wif, "one key alone"},
		"something behind":     {"mainnet", "wpkh(" + wif + ")x", "one key alone"},
		"checksum of nothing":  {"mainnet", "wpkh(" + wif + ")#", "checksum does not hold"},
		"not for the mainnet":  {"mainnet", "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA", "not for mainnet"},
		"extended key garbled": {"mainnet", "tr(" + abandon[:80] + "/0)", "neither a WIF nor"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		_, err := ImportKey(path, c.network, c.text, testPassphrase)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), wif) || strings.Contains(err.Error(), abandon[:20])) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was written", name)
		}
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	where, err := NewKey(path, "regtest", P2TR, testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want mode 0600", info.Mode(), err)
	}
	if _, err := NewKey(path, "regtest", P2TR, testPassphrase); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: got %v, want one that it exists", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	params := networks["regtest"]
	k := openKey(path, "regtest", params, testPassphrase)
	if k.locked != nil || k.address != where || k.kind != P2TR || k.secret == nil {
		t.Fatalf("got %s, %s, %v", k.address, k.kind, k.locked)
	}
	wif, err := btcutil.NewWIF(k.secret, params, true)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(wif.String())) {
		t.Error("the key stands in the file")
	}
	again := filepath.Join(dir, "again")
	if got, err := ImportKey(again, "regtest", "tr("+wif.String()+")", testPassphrase); err != nil || got != where {
		t.Errorf("imported again: got %s, %v; want %s", got, err, where)
	}
	other, err := NewKey(filepath.Join(dir, "other"), "regtest", P2WPKH, testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte, mode os.FileMode) string {
		p := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(p, data, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	at := bytes.Index(data, []byte(armor.Header))
	for name, c := range map[string]struct {
		path, network string
		passphrase    []byte
		address, want string
	}{
		"passphrase":      {path, "regtest", []byte("pebbles"), where, "does not open it"},
		"no passphrase":   {path, "regtest", nil, where, "no passphrase"},
		"none":            {filepath.Join(dir, "none"), "regtest", testPassphrase, "", "no such file"},
		"folder":          {dir, "regtest", testPassphrase, "", "not a file"},
		"mode":            {write(data, 0o644), "regtest", testPassphrase, "", "mode 0644"},
		"network":         {path, "signet", testPassphrase, "", `"regtest"`},
		"empty":           {write(nil, 0o600), "regtest", testPassphrase, "", "not a key file"},
		"only age":        {write(data[at:], 0o600), "regtest", testPassphrase, "", "not a key file"},
		"only the head":   {write(data[:at], 0o600), "regtest", testPassphrase, "", "not a key file"},
		"cut":             {write(data[:len(data)-60], 0o600), "regtest", testPassphrase, where, "not a key file"},
		"long":            {write(append(bytes.Clone(data), make([]byte, maxKeyFile)...), 0o600), "regtest", testPassphrase, "", "longer than"},
		"another address": {write(bytes.Replace(data, []byte(where), []byte(other), 1), 0o600), "regtest", testPassphrase, "", "another address"},
		"no address":      {write(bytes.Replace(data, []byte(where), []byte("bcrt1q"), 1), 0o600), "regtest", testPassphrase, "", "not a key file of regtest"},
	} {
		got, err := CheckKey(c.path, c.network, c.passphrase)
		if !errors.Is(err, anchor.ErrLocked) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrLocked with %q", name, err, c.want)
		}
		if got != c.address {
			t.Errorf("%s: got address %q, want %q", name, got, c.address)
		}
	}
}

func TestNetworksAreThoseOfTheVerifier(t *testing.T) {
	for name, p := range networks {
		h := proof.BitcoinHeader{}
		var b bytes.Buffer
		if err := p.GenesisBlock.Header.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		copy(h[:], b.Bytes())
		if h.Hash() != *p.GenesisHash {
			t.Errorf("%s: got first block %x, want %s", name, h.Hash(), p.GenesisHash)
		}
		if err := h.CheckWork(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
