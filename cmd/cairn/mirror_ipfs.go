package main

import (
	"context"
	"errors"
	"fmt"

	"cairn/store/ipfs"
	"cairn/store/mirror"
)

// fromIPFS looks through the ledger's folders on IPFS, back to those that the copy
// has. What is found is of the day on which it was published: that the ledger and
// its anchors went on since is no alarm of such a copy.
func (s *mirrorService) fromIPFS(ctx context.Context) (mirror.Source, error) {
	newest, err := ipfs.ParseCID(s.ipfs)
	if err != nil {
		return nil, fmt.Errorf("--ipfs: %w", err)
	}
	blocks, err := s.ipfsBlocks()
	if err != nil {
		return nil, err
	}
	_, next, _ := s.copy.Sealed()
	src, err := mirror.FromIPFS(ctx, blocks, newest, s.keys.Identity().Ledger, s.keys, next, s.report())
	if errors.Is(err, mirror.ErrLost) {
		err = fmt.Errorf("%w: ask for it where a node still has it", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--ipfs: %w", err)
	}
	return src, nil
}

// ipfsBlocks is where blocks are asked for.
func (s *mirrorService) ipfsBlocks() (ipfs.Blocks, error) {
	if s.gateway != "" {
		g, err := ipfs.NewGateway(s.gateway, 0)
		if err != nil {
			return nil, fmt.Errorf("--ipfs-gateway: %w", err)
		}
		return g, nil
	}
	n, err := ipfs.NewNode(ipfs.NodeConfig{URL: s.api})
	if err != nil {
		return nil, fmt.Errorf("--ipfs-api: %w", err)
	}
	return n, nil
}
