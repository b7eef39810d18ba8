package web

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/anchor/proof"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// longProof makes a proof that n readings are all of a stream, one every five seconds, in a ledger of its own.
func longProof(t testing.TB, n int) []byte {
	t.Helper()
	ctx := context.Background()
	begin := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC).UnixMilli()
	var now atomic.Int64
	now.Store(begin)
	keys := share.Memory()
	s, err := store.Open(store.Options{
		Dir: "db", FS: vfs.NewMem(), Keyring: keys, Now: func() time.Time { return time.UnixMilli(now.Load()) },
		Clock: func() reading.Clock { return reading.Synced },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	device, err := s.AddDevice(ctx, store.NewDevice{ID: frame.ID{0x80, 1}, Name: evil, Kind: ledger.BindText})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		now.Add(5000)
		done := make(chan error, 1)
		err := s.Submit(ctx, []store.Arrival{{
			Device: device.Number, Epoch: 1, Verdict: reading.Insecure, Transport: "line", Wire: fmt.Appendf(nil, `{"@":"80","T|C16":%d}`, i),
			Measurements: []reading.Measurement{{Name: "T", Unit: "Cel", Value: reading.Decimal(int64(i%400), -2)}},
			Done:         func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { done <- err },
		}})
		if err == nil {
			err = <-done
		}
		if err != nil {
			t.Fatalf("reading %d: %v", i, err)
		}
	}
	now.Add(2 * time.Minute.Milliseconds())
	if err := s.AllowSigning(ctx); err != nil { // waits for the committer, which looks at the clock
		t.Fatal(err)
	}
	return proveAll(t, s, keys, device.Number, begin, n)
}

func proveAll(t testing.TB, s *store.Store, keys *share.Keyring, device uint32, begin int64, n int) []byte {
	t.Helper()
	note, size, ok := s.Checkpoint()
	if !ok {
		t.Fatal("no checkpoint is signed")
	}
	slot, last := s.Streams(device)[0].Slot, size-1
	batch, err := s.Batch(last)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := s.SummaryAt(slot, last)
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.LogPath(last, size)
	if err != nil {
		t.Fatal(err)
	}
	_, to, err := s.Span(last)
	if err != nil {
		t.Fatal(err)
	}
	b := proof.NewBuilder([32]byte(s.FirstLogKey()), keys.Nonce())
	hidden := batch.Hidden[ledger.HiddenSlots]
	at := b.Batch(batch.Header, proof.Shown{Item: hidden.Item, Salt: hidden.Salt}, nil)
	b.Cover(at, b.Head(note), path)
	stated := batch.Hidden[ledger.HiddenStatements]
	b.Batch(batch.Header, proof.Shown{Item: hidden.Item, Salt: hidden.Salt}, &proof.Shown{Item: stated.Item, Salt: stated.Salt})
	for i := range s.Statements() {
		item, salt, path, err := s.StatementAt(i, s.Statements())
		if err != nil {
			t.Fatal(err)
		}
		b.Statement(proof.Statement{Batch: at, Index: i, Item: item, Salt: salt, Path: path})
	}
	in := b.Range(proof.Range{From: begin, To: to, Summaries: []int{b.Summary(proof.Summary{
		Batch: at, Tag: summary.Tag, Item: summary.Item, Salt: summary.Salt, Path: summary.Path,
	})}})
	shown := []int{reading.IndexDevice, reading.IndexReceived, reading.IndexData}
	err = s.ShowRange(t.Context(), slot, 0, uint64(n), func(e *store.Shown) error {
		r := proof.Numbered{Seq: e.Reading.Sequence, Width: len(e.Leaves), Hidden: slices.Clone(proof.Cover(e.Leaves, shown))}
		for _, i := range shown {
			r.Fields = append(r.Fields, proof.Field{Index: i, Item: slices.Clone(e.Items[i]), Salt: e.Salts[i]})
		}
		b.Numbered(in, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := b.File().Encode()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestLong checks 10,000 readings: the page answers to its user meanwhile, the answer can be read, and the check can be
// called off.
func TestLong(t *testing.T) {
	const n = 10_000
	long := longProof(t, n)
	path := put(t, evil+"\u202e.proof", long)
	b := open(t, fileURL(t))
	b.offline()
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.SetValue(chromedp.CSS("#require"), "logged"), chromedp.Evaluate[chromedp.Void](`
		window.worst = window.ticks = 0;
		let then = performance.now();
		setInterval(() => {
			const now = performance.now();
			if (document.getElementById("verdict").hasAttribute("aria-busy")) { worst = Math.max(worst, now - then); ticks++ }
			then = now;
		}, 5)`))
	b.choose(map[string][]string{"proof": {path}})
	want := proof.VerifyBytes(long, proof.Options{Require: proof.LevelLogged})
	b.agrees(want)
	ticks, err := strconv.Atoi(b.text(`String(ticks)`))
	t.Logf("%d bytes: answer after %s ms, while the page was there for its user %d times, after %s ms at the longest",
		len(long), b.text(`document.body.dataset.verdict`), ticks, b.text(`worst.toFixed(0)`))
	if err != nil || ticks < 10 {
		t.Errorf("the page was there for its user %d times while it checked", ticks)
	}
	if got := len(b.list(".scroll[aria-label=readings] tbody tr")); got != 100 {
		t.Errorf("%d readings are shown, want the first 100", got)
	}
	if len(want.Ranges) != 1 || !strings.Contains(b.of("details"), "Completeness") {
		t.Errorf("the page does not tell of %d ranges", len(want.Ranges))
	}
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("button")].find(e => e.textContent.startsWith("Show more")).click()`))
	b.poll(`document.querySelectorAll(".scroll[aria-label=readings] tbody tr").length === 200`)
	b.picture("desktop-long")
	if b.is(`document.body.dataset.broken === "1" || document.querySelector("main img") !== null`) {
		t.Error("a name from the file became markup")
	}
	if all := b.text(`document.body.innerText`); strings.ContainsRune(all, 0x202e) || !strings.Contains(all, `\u{202e}`) {
		t.Error("a character that turns the text's order reached the page")
	}

	// An answer that never comes leaves time to call the check off.
	b.do(chromedp.Evaluate[chromedp.Void](`
		const ask = machine.ask;
		machine.ask = message => message.do === "check" ? ask.call(machine, message).then(() => new Promise(() => {})) : ask.call(machine, message)`))
	b.do(chromedp.Focus(chromedp.CSS("#check")))
	b.press(kb.Enter)
	b.poll(`!document.getElementById("cancel").hidden`)
	b.press(kb.Escape)
	b.poll(`document.getElementById("answer").textContent === "Cancelled"`)
	if b.is(`"outcome" in document.body.dataset`) {
		t.Error("a check that was called off has an answer")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`machine.ask = ask`))
	b.again()
	b.choose(map[string][]string{"policy": {kept + "v0.policy"}, "headers": {kept + "v0.headers"}, "proof": {kept + "v0.proof"}})
	b.agrees(proof.VerifyBytes(read(t, kept+"v0.proof"), options(t, kept+"v0.policy", kept+"v0.headers")))
	b.alone(fileURL(t))
}

// TestMissing leaves one reading out of a range: the page names it.
func TestMissing(t *testing.T) {
	f, err := proof.Decode(longProof(t, 40))
	if err != nil {
		t.Fatal(err)
	}
	r := &f.Ranges[0]
	r.Readings = slices.Delete(r.Readings, 17, 18)
	cut, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, fileURL(t))
	b.do(chromedp.SetValue(chromedp.CSS("#require"), "logged"))
	b.choose(map[string][]string{"proof": {put(t, "cut.proof", cut)}})
	want := proof.VerifyBytes(cut, proof.Options{Require: proof.LevelLogged})
	b.agrees(want)
	if got := b.of("headline"); want.Outcome != proof.Refused || !strings.Contains(got, "17") {
		t.Errorf("%s: %s; want it refused, with the number 17", b.of("outcome"), got)
	}
	b.picture("desktop-missing")
	b.alone(fileURL(t))
}
