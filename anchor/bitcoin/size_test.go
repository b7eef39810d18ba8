package bitcoin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"cairn/anchor/proof"
)

// The numbers that the design promises: at most 155 with one input.
var goldenSizes = map[shape]int64{
	{P2WPKH, 1}: 153, {P2WPKH, 2}: 221,
	{P2TR, 1}: 154, {P2TR, 2}: 212,
}

func testKey(t testing.TB, kind Kind, seed string) *key {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	secret, _ := btcec.PrivKeyFromBytes(sum[:])
	where, script, err := outputOf(kind, secret, networks["regtest"])
	if err != nil {
		t.Fatal(err)
	}
	return &key{kind: kind, address: where, script: script, secret: secret}
}

func TestSizesAreTheGoldenOnes(t *testing.T) {
	for s, want := range goldenSizes {
		if got := s.vsize(); got != want {
			t.Errorf("%+v: got %d vB, want %d", s, got, want)
		}
		if s.inputs == 1 && want > 155 {
			t.Errorf("%+v has %d vB, at most 155 are promised", s, want)
		}
		most := int64(0)
		for i := range 60 {
			k := testKey(t, s.kind, fmt.Sprint(i))
			var in []coin
			for j := range s.inputs {
				in = append(in, coin{Out: outpoint{Tx: rootOf(100*i + j), Index: uint32(j)}, Value: 10_000 + int64(i)})
			}
			tx := buildTx(in, k.script, rootOf(i), 1000, 800_000)
			if err := k.sign(tx, in); err != nil {
				t.Fatal(err)
			}
			if err := checkTx(tx, in, k.script, rootOf(i), 1000); err != nil {
				t.Fatal(err)
			}
			most = max(most, vsizeOf(tx))
		}
		// Two signatures of 71 bytes save half a virtual byte.
		if most > want || most < want-1 {
			t.Errorf("%+v: signed ones have up to %d vB, want %d", s, most, want)
		}
	}
}

func TestTransactionByteByByte(t *testing.T) {
	k := testKey(t, P2WPKH, "golden")
	in := []coin{{Out: outpoint{Tx: rootOf(1), Index: 7}, Value: 100_000}}
	tx := buildTx(in, k.script, rootOf(2), 153, 0x0c3500)
	raw, err := serializeTx(tx)
	if err != nil {
		t.Fatal(err)
	}
	one, two := rootOf(1), rootOf(2)
	want := "02000000" + "01" + hex.EncodeToString(one[:]) + "07000000" + "00" + "fdffffff" +
		"02" + "0786010000000000" + "16" + hex.EncodeToString(k.script) +
		"0000000000000000" + "22" + "6a20" + hex.EncodeToString(two[:]) + "00350c00"
	if got := hex.EncodeToString(raw); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(raw) == 64 || len(raw) != 125 {
		t.Errorf("got %d bytes without witness, want 125", len(raw))
	}
}

func TestSignRefusesAnotherKeysCoin(t *testing.T) {
	k, other := testKey(t, P2WPKH, "one"), testKey(t, P2WPKH, "other")
	in := []coin{{Out: outpoint{Tx: rootOf(1)}, Value: 100_000}}
	tx := buildTx(in, k.script, rootOf(2), 153, 1)
	k.secret = other.secret
	if err := k.sign(tx, in); err == nil {
		t.Error("the engine took a signature of another key")
	}
	tx = buildTx(in, k.script, rootOf(2), 153, 1)
	for name, err := range map[string]error{
		"root":   checkTx(tx, in, k.script, rootOf(3), 153),
		"fee":    checkTx(tx, in, k.script, rootOf(2), 152),
		"script": checkTx(tx, in, other.script, rootOf(2), 153),
		"inputs": checkTx(tx, append(in, in...), k.script, rootOf(2), 153),
		"input":  checkTx(tx, []coin{{Out: outpoint{Tx: rootOf(9)}, Value: 100_000}}, k.script, rootOf(2), 153),
	} {
		if err == nil {
			t.Errorf("another %s: got no error", name)
		}
	}
}

func TestIDsReadAsExplorersShowThem(t *testing.T) {
	id := [32]byte(rootOf(1))
	b := idBytes(id)
	if hex.EncodeToString(b) != txid(id) {
		t.Errorf("got %x, want %s", b, txid(id))
	}
	if back, ok := idOf(b); !ok || back != id {
		t.Errorf("got %x back", back)
	}
	if got := (outpoint{Tx: id, Index: 3}).String(); got != (proof.Outpoint{TxID: id, Index: 3}).String() {
		t.Errorf("got %s", got)
	}
}
