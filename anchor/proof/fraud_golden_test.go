package proof

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

// kept compares what is written now with a file that was written once, and
// returns that.
func keptFile(t testing.TB, name string, b []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// TestFraudGolden freezes version 1 of evidence: what was written once proves
// the same for ever. Beside it stand the proofs that it came of, and those for
// trying an upgrade out.
func TestFraudGolden(t *testing.T) {
	s, forked := twoHistories(3, 8)
	p := pick{window: 3, slot: 5}
	a, b := newer(s.file(t, 5, p)), newer(forked.file(t, 7, p))
	all, err := FindFraud(a, b)
	if err != nil || len(all) == 0 || all[0].Kind != FraudTwoHeaders {
		t.Fatalf("%v, %v", all, err)
	}
	body, err := marshal(fraudWire{Ledger: all[0].Ledger, Kind: all[0].Kind, First: all[0].Sides[0], Second: all[0].Sides[1]})
	if err != nil {
		t.Fatal(err)
	}
	kept := keptFile(t, "v1.fraud", mustFraud(t, all[0]))
	if f, err := DecodeFraud(kept); err != nil || !bytes.Equal(unwrapFraud(t, kept), body) {
		t.Errorf("its body is not what is written now: %+v, %v", f, err)
	}
	if v := VerifyFraud(kept, Options{Policy: s.policy()}); v.Outcome != Verified || v.Fraud != FraudTwoHeaders {
		t.Error(v.Text())
	}
	broken := brokenReceipts(t)[0]
	taken := broken.receipt.Evidence(broken.file)
	if body, err = taken.body(); err != nil {
		t.Fatal(err)
	}
	kept = keptFile(t, "v1-receipt.fraud", mustFraud(t, taken))
	if v := VerifyFraud(kept, Options{Policy: s.policy()}); v.Outcome != Verified || v.Fraud != FraudReceiptRun || !bytes.Equal(unwrapFraud(t, kept), body) {
		t.Error(v.Text())
	}
	for name, f := range map[string]*File{"fraud-a.proof": a, "fraud-b.proof": b, "pending.proof": s.logged(t, 5, p), "update.proof": s.update(t, 8, 5)} {
		g, err := Decode(keptFile(t, name, mustEncode(t, f)))
		if err != nil {
			t.Fatal(err)
		}
		if v := Verify(g, s.options(t, 8)); v.Level == LevelNone && v.Code != CodeUpdate {
			t.Errorf("%s: %s", name, v.Text())
		}
	}
	keptFile(t, "fraud.policy", s.policy().Append(nil))
	keptFile(t, "fraud.headers", AppendHeader(nil, 1, s.receipt(t, 8).Header))
	keptFile(t, "fraud.checkpoint", forked.head(t, 5))
}

// unwrapFraud returns the body of evidence.
func unwrapFraud(t testing.TB, b []byte) []byte {
	t.Helper()
	begin, end := len(FraudMagic)+lengthSize, len(b)-sumSize
	body, err := inflate(b[begin:end], int(b[begin-1])|int(b[begin-2])<<8|int(b[begin-3])<<16)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// resumFraud puts the right checksum after altered bytes.
func resumFraud(b []byte) []byte {
	b = bytes.Clone(b[:len(b)-sumSize])
	sum := sha256.Sum256(b)
	return append(b, sum[:sumSize]...)
}
