// Package bitcoin anchors on Bitcoin: a chain of transactions of one key, each
// with the ledger's root in an OP_RETURN.
package bitcoin

import (
	_ "github.com/btcsuite/btcd/address/v2"
	_ "github.com/btcsuite/btcd/btcec/v2"
	_ "github.com/btcsuite/btcd/btcjson"
	_ "github.com/btcsuite/btcd/btcutil/v2"
	_ "github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	_ "github.com/btcsuite/btcd/chaincfg/v2"
	_ "github.com/btcsuite/btcd/chainhash/v2"
	_ "github.com/btcsuite/btcd/rpcclient"
	_ "github.com/btcsuite/btcd/txscript/v2"
	_ "github.com/btcsuite/btcd/wire/v2"
)
