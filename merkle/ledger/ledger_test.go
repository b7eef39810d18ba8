package ledger

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"cairn/merkle"
)

func TestNames(t *testing.T) {
	pub := make(ed25519.PublicKey, 32)
	pub[0] = 1
	nonce := [32]byte{2}
	id := ID(pub, nonce)
	want := sha256.Sum256([]byte("cairn/ledger/1" + string(pub) + string(nonce[:])))
	if id != merkle.Hash(want) {
		t.Errorf("ID: got %v, want %x", id, want)
	}
	if got, want := Origin(id), "cairn/"+hex.EncodeToString(want[:]); got != want {
		t.Errorf("Origin: got %q, want %q", got, want)
	}
	key := [32]byte{3}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("cairn/tag/1" + string(id[:]) + "\x00\x00\x00\x00\x00\x00\x01\x02"))
	tag := Tag(key, id, 0x0102)
	if got, want := string(tag[:]), string(mac.Sum(nil)[:12]); got != want {
		t.Errorf("Tag: got %x, want %x", got, want)
	}
	if (Genesis{LogKey: [32]byte(pub), Nonce: nonce}).ID() != id {
		t.Error("a genesis names another ledger")
	}
}

func TestEntries(t *testing.T) {
	salt := [16]byte{9}
	item := []byte("item")
	sum := sha256.Sum256(item)
	entry := string(sum[:]) + string(salt[:])
	if e := HiddenEntry(item, salt); string(e[:]) != entry {
		t.Errorf("HiddenEntry: got %x, want %x", e, entry)
	}
	hidden := sha256.Sum256([]byte(entry))
	if h := Hide(item, salt); h != merkle.Hash(hidden) {
		t.Errorf("Hide: got %v, want %x", h, hidden)
	}
	want := "tag-tag-tag-" + strings.Repeat("\xff", 8) + string(hidden[:])
	if e := SummaryEntry([12]byte([]byte("tag-tag-tag-")), item, salt); string(e[:]) != want {
		t.Errorf("SummaryEntry: got %x, want %x", e, want)
	}
	sum = sha256.Sum256([]byte("cairn/decoy/1"))
	if e := DecoyEntry(salt); string(e[:]) != string(sum[:])+string(salt[:]) {
		t.Errorf("DecoyEntry: got %x", e)
	}
}

func TestBlocks(t *testing.T) {
	for _, c := range []struct {
		name string
		got  [16]byte
		want string
	}{
		{"pair", PairBlock(1, 2), "00000000000000010000000000000002"},
		{"field", FieldBlock(258, 7), "00000000000001020000000000000007"},
		{"summary", SummaryBlock(41), "ffffffffffffffff0000000000000029"},
		{"segment", SegmentBlock(1<<32, 2, 3), "00000001000000000000000200000003"},
	} {
		if got := hex.EncodeToString(c.got[:]); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDepth(t *testing.T) {
	for slots, want := range map[uint64]int{0: 3, 1: 3, 8: 3, 9: 4, 16: 4, 17: 5, 1 << 20: 20, 1<<20 + 1: 21} {
		if got := Depth(slots); got != want {
			t.Errorf("Depth(%d): got %d, want %d", slots, got, want)
		}
	}
}

func TestCloseAllocatesNothing(t *testing.T) {
	s := Summary{Slot: 1 << 40, From: 1 << 41, To: 1 << 42, First: 1 << 50, Next: 1 << 51}
	dst := make([]byte, 0, MaxSummary)
	var leaf merkle.Hash
	allocs := testing.AllocsPerRun(100, func() {
		item := s.Append(dst)
		e := SummaryEntry([12]byte{}, item, [16]byte{})
		leaf = merkle.LeafHash(e[:])
	})
	if allocs != 0 {
		t.Errorf("a summary, its entry and leaf %v: got %v allocations, want 0", leaf, allocs)
	}
}

func TestLimitsFit(t *testing.T) {
	const most = merkle.MaxSize
	s := Summary{Slot: most, From: most, To: most, First: most, Next: most, Run: empty}
	if _, err := ParseSummary(s.Append(nil)); err != nil {
		t.Errorf("greatest summary: %v", err)
	}
	h := Header{Index: most - 1, From: most, To: most}
	for i := range MaxRoutes {
		h.Seen = append(h.Seen, Seen{strings.Repeat(string(rune('a'+i)), MaxRoute), ^uint64(0), fill(1), most})
	}
	if _, err := ParseHeader(h.Append(nil)); err != nil {
		t.Errorf("greatest header: %v", err)
	}
	r := Rest{From: most, To: most, HasReceived: true, Seen: ^uint64(0), Lost: ^uint64(0), LostKnown: true}
	least := unhex("c482387f3b7ffffffffffffffe") // exponent -128, mantissa -2^63+1
	for i := range MaxRanges {
		name := strings.Repeat("n", 30) + string(rune('0'+i/64)) + string(rune('0'+i%64))
		r.Ranges = append(r.Ranges, Range{name, strings.Repeat("u", 16), least, least})
	}
	for range MaxGaps {
		r.Gaps = append(r.Gaps, Gap{most, most, strings.Repeat("x", MaxReason)})
	}
	if _, err := ParseRest(r.Append(nil)); err != nil {
		t.Errorf("greatest rest: %v", err)
	}
}

func TestIntakeSignature(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub := key.Public().(ed25519.PublicKey)
	head := IntakeHead{Ledger: fill(1), Incarnation: [16]byte{1}, Number: 5, Previous: fill(2), Count: 1, Root: fill(3)}
	item, sig := SignIntake(key, head)
	if got, err := VerifyIntake(pub, item, sig); err != nil || got != head {
		t.Errorf("got %+v, %v, want %+v", got, err, head)
	}
	for i := range sig {
		sig[i] ^= 1
		if _, err := VerifyIntake(pub, item, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("byte %d of the signature changed: got %v, want %v", i, err, ErrSignature)
		}
		sig[i] ^= 1
	}
	item[len(item)-1] ^= 1
	if _, err := VerifyIntake(pub, item, sig); !errors.Is(err, ErrSignature) {
		t.Errorf("item changed: got %v, want %v", err, ErrSignature)
	}
	for _, bad := range []ed25519.PublicKey{nil, pub[:31]} {
		if _, err := VerifyIntake(bad, head.Append(nil), sig); !errors.Is(err, ErrSignature) {
			t.Errorf("key of %d bytes: got %v, want %v", len(bad), err, ErrSignature)
		}
	}
	if _, err := VerifyIntake(pub, nil, sig); !errors.Is(err, ErrEncoding) {
		t.Errorf("no item: got %v, want %v", err, ErrEncoding)
	}
}

// FuzzVerifyIntake holds that nothing verifies but what was signed.
func FuzzVerifyIntake(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	head := IntakeHead{Count: 1}
	item, sig := SignIntake(key, head)
	f.Add(item, sig)
	f.Fuzz(func(t *testing.T, b, s []byte) {
		got, err := VerifyIntake(key.Public().(ed25519.PublicKey), b, s)
		if (err == nil) != (string(b) == string(item) && string(s) == string(sig)) {
			t.Errorf("item %x, signature %x: got %v", b, s, err)
		}
		if err != nil && !reflect.DeepEqual(got, IntakeHead{}) {
			t.Errorf("got %+v beside an error", got)
		}
	})
}

func BenchmarkSummary(b *testing.B) {
	s := Summary{Slot: 3, From: 1_767_225_600_000, To: 1_767_225_660_000, First: 700, Next: 701}
	dst := make([]byte, 0, MaxSummary)
	b.ReportAllocs()
	for b.Loop() {
		e := SummaryEntry([12]byte{}, s.Append(dst), [16]byte{})
		merkle.LeafHash(e[:])
	}
}
