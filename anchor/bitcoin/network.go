package bitcoin

import (
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"cairn/anchor/proof"
)

// networks are the networks that can be anchored on. Every signet begins with
// the same block: which one a node is on cannot be told by it.
var networks = map[string]*chaincfg.Params{
	proof.BitcoinMainnet:  &chaincfg.MainNetParams,
	proof.BitcoinTestnet4: &chaincfg.TestNet4Params,
	proof.BitcoinSignet:   &chaincfg.SigNetParams,
	proof.BitcoinRegtest:  &chaincfg.RegressionNetParams,
}

func paramsOf(network string) (*chaincfg.Params, error) {
	p, ok := networks[network]
	if !ok {
		return nil, fmt.Errorf("network %.20q is not mainnet, testnet4, signet or regtest", network)
	}
	return p, nil
}

// maxSatPerVB is the highest fee rate that is ever believed or offered, in
// satoshi per virtual byte. Bitcoin Core sends nothing above 10,000.
const maxSatPerVB = 10_000
