package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// regtestChain returns regtest's genesis block and n blocks on it.
func regtestChain(t testing.TB, n int) []BitcoinHeader {
	t.Helper()
	chain := []BitcoinHeader{headerOf(t, &chaincfg.RegressionNetParams.GenesisBlock.Header)}
	for range n {
		last := &chain[len(chain)-1]
		chain = append(chain, after(last, last.seconds()+600, regtestBits))
	}
	return chain
}

func TestHeadersFile(t *testing.T) {
	chain := regtestChain(t, 20)
	b, err := WriteBitcoinHeaders(BitcoinRegtest, 0, chain)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "v1.bitcoin-headers", b)
	if want := 16 + 1 + 7 + 8 + 21*80 + 32; len(b) != want {
		t.Errorf("%d bytes, want %d", len(b), want)
	}
	h, err := ParseBitcoinHeaders(b)
	if err != nil {
		t.Fatal(err)
	}
	if h.Network() != BitcoinRegtest || h.First() != 0 || h.Tip() != 20 || h.Len() != 21 || h.TipHash() != chain[20].Hash() {
		t.Errorf("%s, %d to %d, %d headers", h.Network(), h.First(), h.Tip(), h.Len())
	}
	if how, ok := h.Connected(); !ok || how != "contains the genesis block" {
		t.Errorf("connected %v: %s", ok, how)
	}
	if !bytes.Equal(h.File(), b) {
		t.Error("the file is not written again")
	}
}

// TestHeadersQueries asks for every height, inside and outside.
func TestHeadersQueries(t *testing.T) {
	chain := regtestChain(t, 20)
	const first = 5
	h, err := NewBitcoinHeaders(BitcoinRegtest, first, chain[first:])
	if err != nil {
		t.Fatal(err)
	}
	for height := range uint32(23) {
		inside := height >= first && height <= 20
		header, ok := h.At(height)
		hash, known := h.Hash(height)
		if ok != inside || known != inside {
			t.Fatalf("block %d: %v, %v, want %v", height, ok, known, inside)
		}
		if !inside {
			if h.Depth(height) != 0 || h.WorkFrom(height).Sign() != 0 {
				t.Errorf("block %d: depth %d, work %d", height, h.Depth(height), h.WorkFrom(height))
			}
			if height < first {
				if at, ok := h.Find(chain[height].Hash()); ok {
					t.Errorf("block %d is found at %d", height, at)
				}
			}
			continue
		}
		if header != chain[height] || hash != chain[height].Hash() {
			t.Errorf("block %d is another", height)
		}
		if at, ok := h.Find(hash); !ok || at != height {
			t.Errorf("block %d is found at %d, %v", height, at, ok)
		}
		if want := int(20 - height + 1); h.Depth(height) != want || h.WorkFrom(height).Cmp(big.NewInt(2*int64(want))) != 0 {
			t.Errorf("block %d: depth %d, work %d, want %d", height, h.Depth(height), h.WorkFrom(height), want)
		}
	}
}

// TestConnected ties headers to what is known, or not.
func TestConnected(t *testing.T) {
	p := tinyNet(false, false)
	chain := steady(t, p, 60)
	p.known = append(p.known, bitcoinCheckpoint{20, chain[20].Hash()}, bitcoinCheckpoint{40, chain[40].Hash()})
	for _, tt := range []struct {
		from, to int
		ok       bool
		how      string
	}{
		{0, 60, true, "contains the known block 40"},
		{24, 60, true, "contains the known block 40"},
		{40, 41, true, "contains the known block 40"},
		{41, 60, false, "begins at block 41, after the known block 40, and so shows nothing of the difficulty there; it should begin at block 36"},
		{42, 60, false, "begins at block 42, after the known block 40, and so shows nothing of the difficulty there; it should begin at block 36"},
		{0, 40, false, "ends at block 39, before the known block 40"},
		{12, 30, false, "ends at block 29, before the known block 40"},
	} {
		h, err := newBitcoinHeaders(p, uint32(tt.from), chain[tt.from:tt.to])
		if err != nil {
			t.Fatal(err)
		}
		if how, ok := h.Connected(); ok != tt.ok || how != tt.how {
			t.Errorf("%d to %d: connected %v, %s", tt.from, tt.to, ok, how)
		}
	}
	// Another chain from just after the known block is good in itself.
	other := []BitcoinHeader{after(&chain[39], chain[40].seconds()+1, chain[40].Bits())}
	other[0] = after(&other[0], chain[41].seconds(), chain[41].Bits())
	h, err := newBitcoinHeaders(p, 41, other)
	if err != nil {
		t.Fatal(err)
	}
	if how, ok := h.Connected(); ok {
		t.Errorf("a branch is connected: %s", how)
	}
}

// TestEasyBranch: who begins just after the newest known block could give the
// first header the easiest bits, and have a branch of no cost. On genesis that
// is the difficulty there is.
func TestEasyBranch(t *testing.T) {
	p := tinyNet(false, false)
	chain := steady(t, p, 40)
	known := after(&chain[28], chain[29].seconds(), fraction(chain[28].Bits(), 64))
	branch := func(on *BitcoinHeader) []BitcoinHeader {
		headers := []BitcoinHeader{*on}
		for range 6 {
			last := &headers[len(headers)-1]
			headers = append(headers, after(last, last.seconds()+600, p.easiest))
		}
		return headers
	}
	easy, genesis := branch(&known), branch(&chain[0])
	h, err := newBitcoinHeaders(p, 1, genesis[1:])
	if err != nil {
		t.Fatal(err)
	}
	if how, ok := h.Connected(); !ok || how != "follows the genesis block" {
		t.Errorf("on genesis: connected %v: %s", ok, how)
	}
	p.known = append(p.known, bitcoinCheckpoint{29, known.Hash()})
	if h, err = newBitcoinHeaders(p, 30, easy[1:]); err != nil {
		t.Fatal(err)
	}
	if how, ok := h.Connected(); ok {
		t.Errorf("a branch with work %d on a block of %d is connected: %s", h.WorkFrom(30), known.Work(), how)
	}
	if _, ok, _ := h.TrustedDeep(bitcoinRoute(p.name), 30, easy[1].Hash(), 6); ok {
		t.Error("a block of it is trusted")
	}
	if _, err = newBitcoinHeaders(p, 29, easy); !errors.Is(err, ErrBitcoinBits) {
		t.Errorf("with the known block: %v", err)
	}
}

// resum makes the checksum right again.
func resum(b []byte) []byte {
	sum := sha256.Sum256(b[:len(b)-sha256.Size])
	return append(slices.Clone(b[:len(b)-sha256.Size]), sum[:]...)
}

func TestHeadersFileRefusals(t *testing.T) {
	chain := regtestChain(t, 4)
	good, err := WriteBitcoinHeaders(BitcoinRegtest, 0, chain)
	if err != nil {
		t.Fatal(err)
	}
	const name, first, count, body = 16, 24, 28, 32
	change := func(f func(b []byte) []byte) []byte { return resum(f(slices.Clone(good))) }
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrBitcoinHeaders},
		{"magic", change(func(b []byte) []byte { b[13]++; return b }), ErrBitcoinHeaders},
		{"magic alone", good[:name], ErrBitcoinHeaders},
		{"checksum", append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^1), ErrBitcoinHeaders},
		{"damaged", func() []byte { b := slices.Clone(good); b[100] ^= 1; return b }(), ErrBitcoinHeaders},
		{"name beyond the end", change(func(b []byte) []byte { b[name] = 255; return b[:200] }), ErrBitcoinHeaders},
		{"name of 255 bytes", resum(slices.Concat(good[:name], []byte{255}, make([]byte, 400))), ErrBitcoinHeaders},
		{"unknown network", change(func(b []byte) []byte { b[name+1] = 'R'; return b }), ErrBitcoinNetwork},
		{"another network", change(func(b []byte) []byte { return bytes.Replace(b, []byte("\x07regtest"), []byte("\x07mainnet"), 1) }), ErrBitcoinCheckpoint},
		{"one header less", change(func(b []byte) []byte { return slices.Delete(b, body, body+80) }), ErrBitcoinHeaders},
		{"a byte less", change(func(b []byte) []byte { return slices.Delete(b, body, body+1) }), ErrBitcoinHeaders},
		{"a byte more", change(func(b []byte) []byte { return slices.Insert(b, body, 0) }), ErrBitcoinHeaders},
		{"no headers", change(func(b []byte) []byte {
			b[count+3] = 0
			return slices.Delete(b, body, body+5*80)
		}), ErrBitcoinHeaders},
		{"huge count", change(func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[count:], math.MaxUint32)
			return b
		}), ErrBitcoinHeaders},
		{"beyond the last height", change(func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[first:], math.MaxUint32-3)
			return b
		}), ErrBitcoinHeaders},
		{"other order", change(func(b []byte) []byte {
			copy(b[body+80:], chain[2][:])
			copy(b[body+160:], chain[1][:])
			return b
		}), ErrBitcoinLink},
		{"genesis block at another height", change(func(b []byte) []byte { b[first+3] = 1; return b }), nil},
		{"as it was", change(func(b []byte) []byte { return b }), nil},
	} {
		h, err := ParseBitcoinHeaders(tt.b)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if (h == nil) != (err != nil) {
			t.Errorf("%s: headers %v beside %v", tt.name, h != nil, err)
		}
	}
	if _, err := WriteBitcoinHeaders(BitcoinRegtest, 0, nil); !errors.Is(err, ErrBitcoinHeaders) {
		t.Errorf("%v for no headers", err)
	}
	if _, err := WriteBitcoinHeaders(BitcoinMainnet, 0, chain); !errors.Is(err, ErrBitcoinCheckpoint) {
		t.Errorf("%v for another network's headers", err)
	}
	if _, err := NewBitcoinHeaders(BitcoinRegtest, 0, make([]BitcoinHeader, maxBitcoinHeaders+1)); !errors.Is(err, ErrBitcoinHeaders) {
		t.Errorf("%v for too many headers", err)
	}
}

func FuzzParseBitcoinHeaders(f *testing.F) {
	chain := regtestChain(f, 12)
	b, err := WriteBitcoinHeaders(BitcoinRegtest, 0, chain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-sha256.Size])
	f.Add(b[:32])
	f.Fuzz(func(t *testing.T, body []byte) {
		b := resum(append(slices.Clone(body), make([]byte, sha256.Size)...))
		h, err := ParseBitcoinHeaders(b)
		if err != nil {
			if !isNamed(err) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if !bytes.Equal(h.File(), b) {
			t.Error("accepted bytes are not written again")
		}
		if how, _ := h.Connected(); how == "" || h.Depth(h.First()) != h.Len() || h.WorkFrom(h.First()).Sign() <= 0 {
			t.Errorf("%q, %d of %d", how, h.Depth(h.First()), h.Len())
		}
	})
}

// isNamed says whether an error is one of those that callers can tell apart.
func isNamed(err error) bool {
	return slices.ContainsFunc([]error{
		ErrBitcoinFormat, ErrBitcoinNetwork, ErrBitcoinTx, ErrBitcoin64, ErrBitcoinRoot, ErrBitcoinChange,
		ErrBitcoinBranch, ErrBitcoinWork, ErrBitcoinLink, ErrBitcoinBits, ErrBitcoinTime, ErrBitcoinCheckpoint,
		ErrBitcoinHeaders, ErrOTS, ErrOTSFormat, ErrOTSBlock,
	}, func(name error) bool { return errors.Is(err, name) })
}

// BenchmarkParseBitcoinHeaders reads two years of headers.
func BenchmarkParseBitcoinHeaders(b *testing.B) {
	file, err := WriteBitcoinHeaders(BitcoinRegtest, 0, regtestChain(b, 104_999))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := ParseBitcoinHeaders(file); err != nil {
			b.Fatal(err)
		}
	}
}
