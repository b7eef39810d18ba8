package ethereum

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
	"cairn/merkle"
)

func TestKeystore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key.json")
	made, err := CreateKeystore(path, testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateKeystore(path, testPassphrase); !errors.Is(err, os.ErrExist) {
		t.Errorf("CreateKeystore over another: %v, want ErrExist", err)
	}
	if got, err := CheckKeystore(path, testPassphrase); err != nil || got != made {
		t.Errorf("CheckKeystore = %s, %v, want %s", got, err, made)
	}
	// go-ethereum reads it.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := keystore.DecryptKey(data, string(testPassphrase)); err != nil || k.Address != made {
		t.Errorf("DecryptKey = %+v, %v", k, err)
	}
	write := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	other := strings.Replace(string(data), strings.ToLower(made.Hex()[2:]), strings.Repeat("11", 20), 1)
	tests := []struct {
		name, path, passphrase, says string
	}{
		{"wrong passphrase", path, "pebbles", "passphrase"},
		{"open mode", write("open", string(data), 0o640), "stones", "0600"},
		{"folder", dir, "stones", "not a file"},
		{"gone", filepath.Join(dir, "gone"), "stones", "no such file"},
		{"empty", write("empty", "", 0o600), "stones", "not a keystore"},
		{"no JSON", write("text", "hello", 0o600), "stones", "not a keystore"},
		{"other JSON", write("json", `{"a":1}`, 0o600), "stones", "not a keystore"},
		{"long", write("long", strings.Repeat(" ", maxKeystore)+string(data), 0o600), "stones", "not a keystore"},
		{"other address", write("other", other, 0o600), "stones", "another address"},
	}
	for _, tt := range tests {
		_, err := CheckKeystore(tt.path, []byte(tt.passphrase))
		if !errors.Is(err, anchor.ErrLocked) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want ErrLocked that says %q", tt.name, err, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), tt.passphrase) && tt.passphrase != "stones" {
			t.Errorf("%s: error holds the passphrase: %v", tt.name, err)
		}
	}
}

// Without its passphrase a key is locked, whatever the keystore; its account is
// known all the same.
func TestNoPassphrase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	made, err := CreateKeystore(path, []byte("stones"))
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the passphrase file is gone")
	c, err := Dial(t.Context(), Config{URL: "http://127.0.0.1:1", ChainID: 1, Contract: common.Address{1}, Ledger: [32]byte{1}, Keystore: path, Locked: gone})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Sender(); got != [20]byte(made) {
		t.Errorf("sender %x, want %x", got, made)
	}
	for name, err := range map[string]error{"ready": c.key.ready(t.Context()), "sign": func() error { _, err := c.key.sign(t.Context(), nil); return err }()} {
		if !errors.Is(err, anchor.ErrLocked) || !errors.Is(err, gone) {
			t.Errorf("%s: %v, want ErrLocked and %v", name, err, gone)
		}
	}
}

func TestExternalSigner(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	cfg := configOf(t, d)
	cfg.Keystore, cfg.Passphrase = "", nil
	cfg.Sender = crypto.PubkeyToAddress(d.key().PublicKey)
	cfg.Signer = newSigner(t, d.key(), nil)
	c, cfg := deployed(t, d, cfg)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	mustReceipt(t, c, a, rootOf(1), f.Block)

	stranger, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*types.DynamicFeeTx){
		"nonce":    func(tx *types.DynamicFeeTx) { tx.Nonce++ },
		"data":     func(tx *types.DynamicFeeTx) { tx.Data = append([]byte{1}, tx.Data...) },
		"fee":      func(tx *types.DynamicFeeTx) { tx.GasFeeCap.Lsh(tx.GasFeeCap, 4) },
		"to":       func(tx *types.DynamicFeeTx) { tx.To = &common.Address{} },
		"value":    func(tx *types.DynamicFeeTx) { tx.Value = ether(1) },
		"chain id": func(tx *types.DynamicFeeTx) { tx.ChainID.SetUint64(1) },
	} {
		cfg.Signer = newSigner(t, d.key(), edit)
		if _, err := dial(t, cfg).Sign(ctx, order(rootOf(1), rootOf(2))); !errors.Is(err, anchor.ErrLocked) {
			t.Errorf("signer that changes %s: %v, want ErrLocked", name, err)
		}
	}
	cfg.Signer = newSigner(t, stranger, nil)
	if err := dial(t, cfg).Ready(ctx); !errors.Is(err, anchor.ErrLocked) || !strings.Contains(err.Error(), cfg.Sender.Hex()) {
		t.Errorf("signer without the account: %v", err)
	}
	// It lies about its accounts: the signature tells.
	tx := types.NewTx(&types.DynamicFeeTx{ChainID: chainID(d.id())})
	signed, err := types.SignTx(tx, types.LatestSignerForChainID(chainID(d.id())), stranger)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSigned(tx, signed, cfg.Sender, d.id()); !errors.Is(err, anchor.ErrLocked) {
		t.Errorf("signature of another: %v", err)
	}
}

func TestConfigContradictions(t *testing.T) {
	t.Parallel()
	good := Config{URL: "http://127.0.0.1:1", ChainID: 1, Keystore: "k"}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no URL":         func(c *Config) { c.URL = "" },
		"scheme":         func(c *Config) { c.URL = "ftp://host/secret-token" },
		"no host":        func(c *Config) { c.URL = "http:///secret-token" },
		"control":        func(c *Config) { c.URL = "http://host/secret-token\x00" },
		"no chain id":    func(c *Config) { c.ChainID = 0 },
		"no key":         func(c *Config) { c.Keystore = "" },
		"two keys":       func(c *Config) { c.Signer, c.Sender = "http://h", common.Address{1} },
		"no sender":      func(c *Config) { c.Keystore, c.Signer = "", "http://h" },
		"signer URL":     func(c *Config) { c.Keystore, c.Signer, c.Sender = "", "x://secret-token", common.Address{1} },
		"negative fee":   func(c *Config) { c.MaxFeeGwei = -1 },
		"huge fee":       func(c *Config) { c.MaxFeeGwei = 1e30 },
		"tip above fee":  func(c *Config) { c.MaxFeeGwei, c.MaxTipGwei = 1, 2 },
		"negative limit": func(c *Config) { c.Timeout = -1 },
		"second URL":     func(c *Config) { c.URLs = []string{"ftp://host/secret-token"} },
		"twice":          func(c *Config) { c.URLs = []string{c.URL} },
		"empty URL":      func(c *Config) { c.URLs = []string{""} },
		"many":           func(c *Config) { c.URLs = strings.Split(strings.Repeat("http://secret-token ", 40), " ") },
		"tag":            func(c *Config) { c.FinalTag = "latest" },
		"tag and depth":  func(c *Config) { c.FinalTag, c.Depth = "safe", 3 },
		"gas rule":       func(c *Config) { c.GasRule = "free" },
	} {
		c := good
		change(&c)
		_, err := Dial(t.Context(), c)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%s: error gives the URL away: %v", name, err)
		}
	}
	several := Config{}
	if err := several.check(); err == nil || strings.Count(err.Error(), "\n") < 2 {
		t.Errorf("all that is wrong with nothing at all: %v", err)
	}
	secret, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c := Config{URL: "http://127.0.0.1:1", ChainID: 1, Keystore: keystoreOf(t, secret), Passphrase: testPassphrase, Sender: common.Address{1}}
	if _, err := Dial(t.Context(), c); err == nil {
		t.Error("a sender that is not the keystore's gave no error")
	}
}
