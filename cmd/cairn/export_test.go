package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/veraison/go-cose"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/share"
)

// exportLedger is a ledger with this many batches, and one cosigned head.
func exportLedger(t *testing.T, batches, cosigned uint64) (*openLedger, *torchwood.CosignatureVerifier) {
	t.Helper()
	var now atomic.Int64
	now.Store(time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC).UnixMilli())
	keyring := share.Memory()
	s, err := store.Open(store.Options{
		Dir: t.TempDir(), Keyring: keyring, Window: time.Second, Now: func() time.Time { return time.UnixMilli(now.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, size, _ := s.Checkpoint(); size < batches; _, size, _ = s.Checkpoint() {
		now.Add(1000)
		if err := s.AllowSigning(context.Background()); err != nil { // waits for the committer, which looks at the clock
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	g := &gateway{cfg: &Config{Ledgers: []LedgerConfig{{Name: siteLedger}}}, log: log}
	l := &openLedger{g: g, cfg: &g.cfg.Ledgers[0], log: log, store: s, keyring: keyring}
	seed := sha256.Sum256([]byte("witness"))
	w, err := torchwood.NewCosignatureSigner("w.example/1", ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := s.CheckpointAt(cosigned)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(plain, note.VerifierList(logVerifier(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	both, err := note.Sign(n, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Journal(witnessJournal).Put(witnessKey(cosigned), bytes.TrimPrefix(both, plain)); err != nil {
		t.Fatal(err)
	}
	return l, w.Verifier()
}

func logVerifier(t *testing.T, s *store.Store) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(merkle.VerifierKey(s.Origin(), s.LogKey()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestExportHead: other programs' packages accept the head, a batch's place
// under it, and the witness that signed it.
func TestExportHead(t *testing.T) {
	l, w := exportLedger(t, 12, 8)
	key := merkle.VerifierKey(l.store.Origin(), l.store.LogKey())
	policy := func(quorum string) torchwood.Policy {
		p, err := torchwood.ParsePolicy([]byte("log " + key + "\nwitness w " + w.String() + "\nquorum " + quorum + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	index := func(i uint64) *uint64 { return &i }
	newest := l.store.LogSize()
	for _, c := range []struct {
		name   string
		q      exportRequest
		size   uint64
		batch  uint64
		signed int
	}{
		{"cosigned head", exportRequest{}, 8, 7, 1},
		{"a batch under it", exportRequest{Batch: index(3)}, 8, 3, 1},
		{"a batch that it does not hold", exportRequest{Batch: index(9)}, newest, 9, 0},
		{"head of a size", exportRequest{Batches: 5}, 5, 4, 0},
		{"both", exportRequest{Batches: 5, Batch: index(0)}, 5, 0, 0},
	} {
		for _, format := range []string{formatCheckpoint, formatTlogProof, formatCOSE} {
			q := c.q
			if q.Format = format; format == formatCheckpoint && q.Batch != nil {
				continue
			}
			a, err := l.export(t.Context(), q)
			if err != nil {
				t.Fatalf("%s: %s: %v", c.name, format, err)
			}
			root, err := l.store.RootAt(c.size)
			if err != nil {
				t.Fatal(err)
			}
			if a.Batches != c.size || a.Root != root.String() || a.Signed != c.signed || a.Key != key {
				t.Errorf("%s: %s: %+v, want a head of %d", c.name, format, a, c.size)
			}
			if format == formatCheckpoint {
				for quorum, ok := range map[string]bool{"none": true, "w": c.signed == 1} {
					if cp, _, err := torchwood.VerifyCheckpoint(a.File, policy(quorum)); (err == nil) != ok || ok && cp.N != int64(c.size) {
						t.Errorf("%s: quorum %s: %+v, %v", c.name, quorum, cp, err)
					}
				}
				continue
			}
			if a.Batch == nil || *a.Batch != c.batch {
				t.Fatalf("%s: %s: %+v, want batch %d", c.name, format, a, c.batch)
			}
			if format == formatTlogProof {
				if err := torchwood.VerifyProof(policy("none"), tlog.RecordHash(a.Shown), a.File); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			var m cose.Sign1Message
			if err := m.UnmarshalCBOR(a.File); err != nil {
				t.Fatal(err)
			}
			v, err := cose.NewVerifier(cose.AlgorithmEdDSA, l.store.LogKey())
			if err != nil {
				t.Fatal(err)
			}
			m.Payload = root[:]
			if err := m.Verify(nil, v); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	for _, c := range []struct {
		q    exportRequest
		want string
	}{
		{exportRequest{Format: "pdf"}, "is none of ots"},
		{exportRequest{Batch: index(3)}, "of the whole ledger's root"},
		{exportRequest{Format: formatCheckpoint, Batch: index(3)}, "--batches says of how many"},
		{exportRequest{Format: formatCOSE, Route: "ots"}, "--route is of ots alone"},
		{exportRequest{Format: formatCOSE, Batches: 3, Batch: index(3)}, "does not hold batch 3"},
		{exportRequest{Format: formatCOSE, Batches: 1}, "no empty path"},
		{exportRequest{Format: formatTlogProof, Batch: index(99)}, "the newest signed head is of"},
		{exportRequest{Format: formatTlogProof, Batch: index(^uint64(0))}, "the newest signed head is of"},
		{exportRequest{}, "no route whose anchors"},
	} {
		if _, err := l.export(t.Context(), c.q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.q, err, c.want)
		}
	}
}
