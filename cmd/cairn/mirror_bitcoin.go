package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cairn/anchor/bitcoin"
	"cairn/anchor/proof"
)

const (
	// moved is how many blocks below the newest one that is kept are read again: a
	// chain that moved further is read from its beginning.
	moved = 144
	// headersEvery is after how many blocks the headers are written to the folder.
	headersEvery = 144
)

// mirrorBitcoin is a mirror's own access to a Bitcoin network: a node of its choice,
// whose headers it keeps in its folder. They are held to the network's rules and to
// the blocks that are built in, as those of a headers file are; so on mainnet the
// node need not be trusted.
type mirrorBitcoin struct {
	node  *bitcoin.Node
	name  string // the network's
	from  uint32 // first height
	path  string
	held  *proof.BitcoinHeaders // nil: none yet
	saved uint32                // newest height in the file
}

// openBitcoin makes the node, and reads the headers that the folder has.
func (f *mirrorFlags) openBitcoin(dir string) (*mirrorBitcoin, error) {
	if f.bitcoin.RPC == "" {
		return nil, nil
	}
	password, err := f.bitcoin.password()
	if err != nil {
		return nil, err
	}
	b := &mirrorBitcoin{name: f.bitcoin.Network, from: proof.BitcoinStart(f.bitcoin.Network), path: filepath.Join(dir, "headers-"+f.bitcoin.Network)}
	if f.bitcoinFrom >= 0 {
		b.from = f.bitcoinFrom32()
	}
	if b.node, err = dialNode(f.bitcoin, password); err != nil {
		return nil, err
	}
	file, err := os.ReadFile(b.path)
	if err != nil {
		return b, nil //nolint:nilerr // they are fetched
	}
	if held, err := proof.ParseBitcoinHeaders(file); err == nil && held.Network() == b.name && held.First() <= b.from {
		b.held, b.saved = held, held.Tip()
	}
	return b, nil
}

func (f *mirrorFlags) bitcoinFrom32() uint32 { return uint32(min(f.bitcoinFrom, 1<<32-1)) }

// refresh brings the headers up to the node's newest block.
func (b *mirrorBitcoin) refresh(ctx context.Context) error {
	if err := b.node.CheckNetwork(ctx); err != nil {
		return err
	}
	tip, hash, err := b.node.Tip(ctx)
	switch {
	case err != nil:
		return err
	case b.held != nil && b.held.TipHash() == hash:
		return nil
	case tip < b.from:
		return fmt.Errorf("the Bitcoin node's newest block is %d: headers are wanted from %d on", tip, b.from)
	}
	fresh, err := b.extend(ctx, tip)
	if err != nil && b.held != nil && ctx.Err() == nil {
		fresh, err = b.fetch(ctx, b.held.First(), tip, nil) // the chain moved
	}
	if err != nil {
		return fmt.Errorf("the Bitcoin node's headers: %w", err)
	}
	if b.held != nil && fresh.First() == b.held.First() && fresh.WorkFrom(fresh.First()).Cmp(b.held.WorkFrom(b.held.First())) < 0 {
		return nil // the node is behind: there is a chain with more work
	}
	b.held = fresh
	return b.save()
}

// extend reads what is new, and the newest that is kept once more.
func (b *mirrorBitcoin) extend(ctx context.Context, tip uint32) (*proof.BitcoinHeaders, error) {
	if b.held == nil {
		return b.fetch(ctx, b.from, tip, nil)
	}
	first := b.held.First()
	at := max(first, min(b.held.Tip(), tip)-min(moved, min(b.held.Tip(), tip)-first))
	var kept []proof.BitcoinHeader
	for height := first; height < at; height++ {
		h, _ := b.held.At(height)
		kept = append(kept, h)
	}
	return b.fetch(ctx, at, tip, kept)
}

// fetch reads headers, and checks them together with those before them.
func (b *mirrorBitcoin) fetch(ctx context.Context, from, to uint32, before []proof.BitcoinHeader) (*proof.BitcoinHeaders, error) {
	all := before
	err := b.node.Headers(ctx, from, to, func(_ uint32, h proof.BitcoinHeader) error {
		all = append(all, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return proof.NewBitcoinHeaders(b.name, from-uint32(len(before)), all)
}

// save writes the headers now and then: what a crash loses is fetched again.
func (b *mirrorBitcoin) save() error {
	tip := b.held.Tip()
	if _, err := os.Stat(b.path); err == nil && tip < b.saved+headersEvery && tip >= b.saved {
		return nil
	}
	if err := replaceStatus(b.path, b.held.File()); err != nil {
		return fmt.Errorf("keep the headers: %w", err)
	}
	b.saved = tip
	return nil
}

// trust is what a mirror trusts of a chain that it asked just now.
func (b *mirrorBitcoin) trust(ctx context.Context) (proof.HeaderTrust, error) {
	err := b.refresh(ctx)
	if b.held == nil {
		return nil, errors.Join(err)
	}
	return b.held, err
}
