package proof

import (
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// btcdParams are btcd's own rules of the networks that are known here.
var btcdParams = map[BitcoinNetwork]*chaincfg.Params{
	BitcoinMainnet: &chaincfg.MainNetParams, BitcoinTestnet4: &chaincfg.TestNet4Params,
	BitcoinSignet: &chaincfg.SigNetParams, BitcoinRegtest: &chaincfg.RegressionNetParams,
}

func headerOf(t testing.TB, h *wire.BlockHeader) (b BitcoinHeader) {
	t.Helper()
	var w strings.Builder
	if err := h.Serialize(&w); err != nil {
		t.Fatal(err)
	}
	copy(b[:], w.String())
	return b
}

// TestBitcoinNetworks holds the table of networks against btcd's.
func TestBitcoinNetworks(t *testing.T) {
	if len(bitcoinNetworks) != len(btcdParams) {
		t.Fatalf("%d networks, want %d", len(bitcoinNetworks), len(btcdParams))
	}
	for name, want := range btcdParams {
		p := bitcoinNetworks[name]
		if p.name != name || p.limit.Cmp(want.PowLimit) != 0 || p.easiest != want.PowLimitBits || compactBits(p.limit) != p.easiest {
			t.Errorf("%s: limit %x, bits %08x, want %x, %08x", name, p.limit, p.easiest, want.PowLimit, want.PowLimitBits)
		}
		if int64(p.interval) != int64(want.TargetTimespan/want.TargetTimePerBlock) || p.timespan != int64(want.TargetTimespan.Seconds()) {
			t.Errorf("%s: %d blocks in %d s", name, p.interval, p.timespan)
		}
		if p.fixed != want.PoWNoRetargeting || p.testnet4 != want.EnforceBIP94 || !p.fixed && p.testnet4 != want.ReduceMinDifficulty {
			t.Errorf("%s: rules %v %v are not btcd's", name, p.fixed, p.testnet4)
		}
		if len(p.known) != 1+len(want.Checkpoints) || p.known[0] != (bitcoinCheckpoint{0, *want.GenesisHash}) {
			t.Fatalf("%s: %d known blocks, want %d", name, len(p.known), 1+len(want.Checkpoints))
		}
		for i, c := range want.Checkpoints {
			if p.known[1+i] != (bitcoinCheckpoint{uint32(c.Height), *c.Hash}) {
				t.Errorf("%s: known block %d is %v, want %v", name, i, p.known[1+i], c)
			}
		}
		genesis := headerOf(t, &want.GenesisBlock.Header)
		h, err := NewBitcoinHeaders(name, 0, []BitcoinHeader{genesis})
		if err != nil {
			t.Errorf("%s: genesis block: %v", name, err)
			continue
		}
		if how, ok := h.Connected(); ok != (name != BitcoinMainnet) {
			t.Errorf("%s: connected %v: %s", name, ok, how)
		}
		if start := BitcoinStart(name); start%2016 != 0 || start > p.newest().height || start+2016 <= p.newest().height {
			t.Errorf("%s: start %d", name, start)
		}
	}
	if got := BitcoinStart(BitcoinMainnet); got != 808416 {
		t.Errorf("mainnet starts at %d, want 808416", got)
	}
	if _, err := bitcoinParamsOf("litecoin"); !errors.Is(err, ErrBitcoinNetwork) {
		t.Errorf("%v for litecoin", err)
	}
}

// TestBitcoinBits holds the arithmetic of targets against btcd's, which takes
// negative numbers and ones of more than 256 bits for numbers too.
func TestBitcoinBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	refused := []uint32{0, 0x00ffffff, 0x01003456, 0x02000056, 0x03000000, 0x04800001, 0x1d80ffff, 0x22000100, 0x21010000, 0x23000001, 0xff7fffff}
	for _, bits := range refused {
		if got, ok := expandBits(bits); ok {
			t.Errorf("bits %08x are read as %x", bits, got)
		}
		var h BitcoinHeader
		binary.LittleEndian.PutUint32(h[72:], bits)
		if err := h.CheckWork(BitcoinRegtest); !errors.Is(err, ErrBitcoinWork) || h.Work().Sign() != 0 {
			t.Errorf("bits %08x: %v, work %d", bits, err, h.Work())
		}
	}
	some := []uint32{0x01010000, 0x017fffff, 0x02008000, 0x03000001, 0x1d00ffff, 0x207fffff, 0x2100ffff, 0x220000ff, 0x1b0404cb}
	for range 20000 {
		some = append(some, rng.Uint32N(0x24)<<24|rng.Uint32N(1<<24))
	}
	limit := lowOnes(256)
	for _, bits := range some {
		got, ok := expandBits(bits)
		want := blockchain.CompactToBig(bits)
		if wantOK := want.Sign() > 0 && want.Cmp(limit) <= 0; ok != wantOK {
			t.Fatalf("bits %08x: read %v, btcd has %x", bits, ok, want)
		}
		if !ok {
			continue
		}
		if got.Cmp(want) != 0 || compactBits(got) != blockchain.BigToCompact(want) || workOf(got).Cmp(blockchain.CalcWork(bits)) != 0 {
			t.Fatalf("bits %08x: %x, back %08x, work %x", bits, got, compactBits(got), workOf(got))
		}
		odd := new(big.Int).Rsh(got, uint(rng.IntN(9)))
		if odd.Sign() > 0 && compactBits(odd) != blockchain.BigToCompact(odd) {
			t.Fatalf("%x: compact %08x, want %08x", odd, compactBits(odd), blockchain.BigToCompact(odd))
		}
	}
}

// btcdTestdata is the folder of real blocks in btcd's module.
func btcdTestdata(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/btcsuite/btcd").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "blockchain", "testdata")
}

// realBlocks are mainnet's first blocks.
func realBlocks(t testing.TB, most int) []*btcutil.Block {
	t.Helper()
	f, err := os.Open(filepath.Join(btcdTestdata(t), "blk_0_to_14131.dat"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var blocks []*btcutil.Block
	for len(blocks) < most {
		var head [8]byte
		if _, err := io.ReadFull(f, head[:]); err != nil || binary.LittleEndian.Uint32(head[:]) != uint32(wire.MainNet) {
			break
		}
		raw := make([]byte, binary.LittleEndian.Uint32(head[4:]))
		if _, err := io.ReadFull(f, raw); err != nil {
			t.Fatal(err)
		}
		b, err := btcutil.NewBlockFromBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// TestRealHeaders checks what mainnet's first blocks are: the rules as they
// were lived, among them checkpoint 11111.
func TestRealHeaders(t *testing.T) {
	blocks := realBlocks(t, 1<<20)
	if len(blocks) < 11112 {
		t.Fatalf("%d blocks", len(blocks))
	}
	var headers []BitcoinHeader
	for _, b := range blocks {
		h := headerOf(t, &b.MsgBlock().Header)
		if h.Hash() != [32]byte(*b.Hash()) || h.Prev() != [32]byte(b.MsgBlock().Header.PrevBlock) ||
			h.Merkle() != [32]byte(b.MsgBlock().Header.MerkleRoot) || h.Bits() != b.MsgBlock().Header.Bits ||
			h.Time() != b.MsgBlock().Header.Timestamp.UnixMilli() {
			t.Fatalf("header %v is read as something else", b.Hash())
		}
		headers = append(headers, h)
	}
	first := uint32(0)
	if headers[0].Hash() != bitcoinNetworks[BitcoinMainnet].known[0].hash {
		first = 1
	}
	h, err := NewBitcoinHeaders(BitcoinMainnet, first, headers)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("blocks %d to %d", h.First(), h.Tip())
	if hash, _ := h.Hash(11111); chainhash.Hash(hash) != *chaincfg.MainNetParams.Checkpoints[0].Hash {
		t.Errorf("block 11111 is %x", reversed(hash))
	}
	if how, ok := h.Connected(); ok {
		t.Errorf("headers of 2009 are connected: %s", how)
	}
	headers[11111-first][79] ^= 1
	if _, err := NewBitcoinHeaders(BitcoinMainnet, first, headers); !errors.Is(err, ErrBitcoinCheckpoint) {
		t.Errorf("%v for another block 11111", err)
	}
}
