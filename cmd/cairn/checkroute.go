package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"cairn/anchor/bitcoin"
	"cairn/anchor/ethereum"
	"cairn/anchor/ots"
)

// checkRoute opens a route's keys, and makes its chain as a start would. It
// touches nothing that a running service uses, and asks no node.
func checkRoute(ctx context.Context, a *AnchorConfig, ledger string, of wallets) error {
	switch a.Type {
	case typeEthereum:
		return checkEthereum(ctx, a, ledger, of)
	case typeBitcoin:
		return checkBitcoin(ctx, a, ledger, of)
	}
	if _, err := a.OTS.Node.password(); err != nil {
		return err
	}
	if a.OTS.Node.RPC != "" {
		n, err := dialNode(a.OTS.Node, "")
		if err != nil {
			return err
		}
		n.Close()
	}
	c, err := ots.New(otsConfig(a))
	if err != nil {
		return err
	}
	c.Close()
	return nil
}

func checkEthereum(ctx context.Context, a *AnchorConfig, ledger string, of wallets) error {
	var before common.Address
	for i, who := range []EthereumAccount{a.Ethereum.Account, a.Ethereum.Next} {
		if who == (EthereumAccount{}) {
			continue
		}
		cfg, err := ethereumConfig(a, who)
		if err != nil {
			return err
		}
		if cfg.Keystore != "" {
			if cfg.Sender, err = ethereum.CheckKeystore(cfg.Keystore, cfg.Passphrase); err != nil {
				return err
			}
		}
		if i > 0 && cfg.Sender == before {
			return errSameKey
		}
		before = cfg.Sender
		if err := of.claim(fmt.Sprintf("account %s on %s", cfg.Sender, a.Route()), ledger); err != nil {
			return err
		}
		cfg.Passphrase, cfg.Locked = nil, errors.New("it is only checked")
		c, err := ethereum.Dial(ctx, cfg)
		if err != nil {
			return err
		}
		c.Close()
	}
	return nil
}

func checkBitcoin(ctx context.Context, a *AnchorConfig, ledger string, of wallets) error {
	before := ""
	for _, key := range []BitcoinKey{a.Bitcoin.Key, a.Bitcoin.Next} {
		if key == (BitcoinKey{}) {
			continue
		}
		cfg, err := bitcoinConfig(a, key)
		if err != nil {
			return err
		}
		address, err := bitcoin.CheckKey(cfg.Key, cfg.Network, cfg.Passphrase)
		if err != nil {
			return err
		}
		if address == before {
			return errSameKey
		}
		before = address
		if err := of.claim(fmt.Sprintf("key of %s on %s", address, a.Route()), ledger); err != nil {
			return err
		}
		cfg.Passphrase = nil
		c, err := bitcoin.Dial(ctx, cfg)
		if err != nil {
			return err
		}
		c.Close()
	}
	return nil
}
