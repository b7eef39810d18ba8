package ethereum

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"runtime/debug"
	"slices"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
)

// key signs as one account.
type key interface {
	address() common.Address
	// ready says, with ErrLocked, why it could not sign now.
	ready(ctx context.Context) error
	sign(ctx context.Context, tx *types.Transaction) (*types.Transaction, error)
}

const (
	maxKeystore = 64 << 10
	// New keystores take 32 MiB and about a tenth of a second on a desktop to
	// open, so that a small board can. Any parameters are read.
	scryptN, scryptP = 1 << 15, 1
	bigScryptN       = 1 << 17 // above: give the memory back at once
)

// keystoreKey is a key out of a file. locked says why there is none.
type keystoreKey struct {
	sender common.Address
	chain  uint64
	secret *ecdsa.PrivateKey
	locked error
}

func openKeystore(path string, passphrase []byte) *keystoreKey {
	sender, secret, err := readKeystore(path, passphrase)
	return &keystoreKey{sender: sender, secret: secret, locked: err}
}

// CheckKeystore reads a keystore file as Dial does and returns its address. Its
// error, which wraps anchor.ErrLocked, says why the key could not be used.
func CheckKeystore(path string, passphrase []byte) (common.Address, error) {
	a, _, err := readKeystore(path, passphrase)
	return a, err
}

func readKeystore(path string, passphrase []byte) (common.Address, *ecdsa.PrivateKey, error) {
	locked := func(what string) error { return fmt.Errorf("%w: keystore %s: %s", anchor.ErrLocked, path, what) }
	var none common.Address
	f, err := os.Open(path)
	if err != nil {
		return none, nil, fmt.Errorf("%w: keystore: %w", anchor.ErrLocked, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return none, nil, fmt.Errorf("%w: keystore: %w", anchor.ErrLocked, err)
	case !info.Mode().IsRegular():
		return none, nil, locked("not a file")
	case info.Mode().Perm()&0o077 != 0:
		return none, nil, locked(fmt.Sprintf("mode %04o lets others read it, want 0600", info.Mode().Perm()))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeystore+1))
	if err != nil {
		return none, nil, fmt.Errorf("%w: keystore: %w", anchor.ErrLocked, err)
	}
	var head struct {
		Address string
		Crypto  struct {
			KDF       string
			KDFParams struct{ N int }
		}
	}
	if len(data) > maxKeystore || json.Unmarshal(data, &head) != nil {
		return none, nil, locked("not a keystore")
	}
	sender := common.HexToAddress(head.Address)
	k, err := keystore.DecryptKey(data, string(passphrase))
	if head.Crypto.KDFParams.N >= bigScryptN {
		debug.FreeOSMemory()
	}
	switch {
	case errors.Is(err, keystore.ErrDecrypt):
		return sender, nil, locked("the passphrase does not open it")
	case err != nil:
		return sender, nil, locked("not a keystore that can be read")
	case head.Address != "" && k.Address != sender:
		return sender, nil, locked("the key inside is of another address")
	}
	return k.Address, k.PrivateKey, nil
}

// CreateKeystore draws a key and writes it to a new keystore file of mode 0600.
// It never overwrites.
func CreateKeystore(path string, passphrase []byte) (common.Address, error) {
	secret, err := ecdsa.GenerateKey(crypto.S256(), rand.Reader)
	if err != nil {
		return common.Address{}, fmt.Errorf("draw key: %w", err)
	}
	return WriteKeystore(path, passphrase, secret)
}

// WriteKeystore writes a key to a new keystore file, like CreateKeystore.
func WriteKeystore(path string, passphrase []byte, secret *ecdsa.PrivateKey) (common.Address, error) {
	k := &keystore.Key{Address: crypto.PubkeyToAddress(secret.PublicKey), PrivateKey: secret}
	if _, err := rand.Read(k.Id[:]); err != nil {
		return common.Address{}, fmt.Errorf("draw id: %w", err)
	}
	k.Id[6], k.Id[8] = k.Id[6]&0x0f|0x40, k.Id[8]&0x3f|0x80 // RFC 9562, version 4
	data, err := keystore.EncryptKey(k, string(passphrase), scryptN, scryptP)
	if err != nil {
		return common.Address{}, fmt.Errorf("encrypt key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return common.Address{}, fmt.Errorf("write keystore: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return common.Address{}, fmt.Errorf("write keystore: %w", err)
	}
	return k.Address, nil
}

func (k *keystoreKey) address() common.Address { return k.sender }

func (k *keystoreKey) ready(context.Context) error { return k.locked }

func (k *keystoreKey) sign(_ context.Context, tx *types.Transaction) (*types.Transaction, error) {
	if k.locked != nil {
		return nil, k.locked
	}
	signed, err := types.SignTx(tx, types.LatestSignerForChainID(chainID(k.chain)), k.secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", anchor.ErrLocked, err)
	}
	return signed, nil
}

// externalKey is a key that another process holds.
type externalKey struct {
	*endpoint
	sender common.Address
	chain  uint64
}

func (k *externalKey) address() common.Address { return k.sender }

func (k *externalKey) ready(ctx context.Context) error {
	var list []common.Address
	if err := k.call(ctx, &list, "account_list"); err != nil {
		return k.lockedBy(err)
	}
	if !slices.Contains(list, k.sender) {
		return fmt.Errorf("%w: the external signer does not have %s", anchor.ErrLocked, k.sender)
	}
	return nil
}

// lockedBy drops the wrapped sentinel: for a signer it means another thing.
func (k *externalKey) lockedBy(err error) error {
	return fmt.Errorf("%w: %s", anchor.ErrLocked, err)
}

// sign asks the signer, and checks that it signed what was asked for.
func (k *externalKey) sign(ctx context.Context, tx *types.Transaction) (*types.Transaction, error) {
	args := map[string]any{
		"from": k.sender, "to": tx.To(), "input": hexutil.Bytes(tx.Data()),
		"nonce": hexutil.Uint64(tx.Nonce()), "gas": hexutil.Uint64(tx.Gas()), "value": (*hexutil.Big)(tx.Value()),
		"chainId": (*hexutil.Big)(chainID(k.chain)),
	}
	if tx.Type() == types.LegacyTxType {
		args["gasPrice"] = (*hexutil.Big)(tx.GasPrice())
	} else {
		args["maxFeePerGas"], args["maxPriorityFeePerGas"] = (*hexutil.Big)(tx.GasFeeCap()), (*hexutil.Big)(tx.GasTipCap())
		args["accessList"] = types.AccessList{}
	}
	var res struct {
		Raw hexutil.Bytes `json:"raw"`
	}
	if err := k.call(ctx, &res, "account_signTransaction", args); err != nil {
		return nil, k.lockedBy(err)
	}
	signed := new(types.Transaction)
	if err := signed.UnmarshalBinary(res.Raw); err != nil {
		return nil, fmt.Errorf("%w: the external signer's transaction cannot be read", anchor.ErrLocked)
	}
	return signed, nil
}

// checkSigned makes sure that signed is tx, signed by sender: an external
// signer lets people edit what they sign.
func checkSigned(tx, signed *types.Transaction, sender common.Address, chain uint64) error {
	signer := types.LatestSignerForChainID(chainID(chain))
	if !signed.Protected() || signer.Hash(tx) != signer.Hash(signed) || signed.Type() != tx.Type() || !bytes.Equal(tx.Data(), signed.Data()) {
		return fmt.Errorf("%w: another transaction was signed than the one asked for", anchor.ErrLocked)
	}
	from, err := types.Sender(signer, signed)
	if err != nil || from != sender {
		return fmt.Errorf("%w: the signature is not by %s", anchor.ErrLocked, sender)
	}
	return nil
}

func chainID(id uint64) *big.Int { return new(big.Int).SetUint64(id) }
