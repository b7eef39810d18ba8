package bitcoin

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"cairn/anchor"
)

// FuzzPayloads feeds every reader of what a node answers.
func FuzzPayloads(f *testing.F) {
	var block, header bytes.Buffer
	genesis := networks["regtest"].GenesisBlock
	if err := errors.Join(genesis.Serialize(&block), genesis.Header.Serialize(&header)); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		`null`, `0`, `-1`, `812345`, `1e30`, `""`, `[]`, `{}`, `0.00001`,
		`"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"`,
		`"` + hex.EncodeToString(header.Bytes()) + `"`, `"` + hex.EncodeToString(block.Bytes()) + `"`,
		`{"feerate":0.0001,"blocks":6}`, `{"errors":["Insufficient data"],"blocks":0}`,
		`{"mempoolminfee":0.00001,"minrelaytxfee":0.00001,"incrementalrelayfee":0.00001}`,
		`{"value":0.5,"scriptPubKey":{"hex":"0014"}}`,
		`[{"txid":"00","vout":0,"spendingtxid":"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"}]`,
		`[{"allowed":false,"reject-reason":"missing-inputs"}]`, `[{"allowed":true}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := json.RawMessage(data)
		check := func(what string, err error) {
			if err != nil && !errors.Is(err, anchor.ErrAgain) {
				t.Errorf("%s: got %v, want ErrAgain", what, err)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
			}
		}
		_, err := readHeight(b)
		check("height", err)
		_, err = readHash(b)
		check("hash", err)
		_, err = readHeader(b)
		check("header", err)
		if block, _, err := readBlock(b); err == nil {
			ids := txHashes(block)
			if root, _ := merkleRoot(ids); root != block.Header.MerkleRoot {
				t.Error("a block that does not make up its root")
			}
		} else {
			check("block", err)
		}
		rate, err := readSmartFee(b)
		if check("smart fee", err); rate < 0 || rate > maxSatPerVB {
			t.Errorf("rate %f", rate)
		}
		rate, err = readFee(b)
		if check("fee", err); rate < 0 || rate > maxSatPerVB {
			t.Errorf("rate %f", rate)
		}
		pool, err := readRelay(b)
		if check("relay", err); err == nil && (pool.more < 1 || pool.least < 0) {
			t.Errorf("relay %+v", pool)
		}
		out, err := readOutput(b)
		if check("output", err); out != nil && (out.value < 0 || out.value > maxMoney) {
			t.Errorf("output of %d", out.value)
		}
		_, _, err = readSpender(b)
		check("spender", err)
		_, err = readAccept(b)
		check("accept", err)
		_, _ = readTx(data)
	})
}

// FuzzImport reads what people paste.
func FuzzImport(f *testing.F) {
	f.Add("wpkh(" + abandon + "/84'/0'/0'/0/0)#00000000")
	f.Add("tr([00000000/86h]" + abandon + "/0)")
	f.Add("KyZpNDKnfs94vbrwhJneDi77V6jF64PWPF8x5cdJb8ifgg2DUc9d")
	f.Fuzz(func(t *testing.T, text string) {
		kind, secret, err := parseSecret(text, networks["mainnet"])
		if err != nil {
			return
		}
		again, err := secretText(kind, secret, networks["mainnet"])
		if err != nil {
			t.Fatal(err)
		}
		if k, s, err := parseSecret(again, networks["mainnet"]); err != nil || k != kind || !s.Key.Equals(&secret.Key) {
			t.Errorf("it reads back as another: %v", err)
		}
	})
}
