package ingest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// hubOutput is one of every form that hubs print, and some noise. The frames of
// its '|' lines are added by the test.
const hubOutput = "=F0%@18C;T16 36 W255 0 F255 0;S5 5 17\r\n" +
	"=F0%@18CE;{\"@\":\"\",\"H|%\":50,\"L\":0,\"occ|%\":0}\r\n" +
	"=F\r\n" +
	"\r\n" +
	"{\"@\":\"0D49\",\"+\":2,\"L\":130,\"vC|%\":1158,\"T|C16\":255}\r\n" +
	"{\"@\":\"8CD3878ACDCE86BB\",\"+\":8,\"T|C16\":255}\r\n" +
	"@D49;T19C7;L62;O1;P\r\n" +
	">\r\n" +
	">E\r\n" +
	"!RXerr F2\r\n" +
	"!RX key\r\n" +
	"?RX auth 8C D3\r\n" +
	"+CC1 X\r\n" +
	"garb\x80ge\r\n"

func linesOf(t testing.TB, cfg LinesConfig) *Lines {
	t.Helper()
	l, err := NewLines(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func lineDevices(t testing.TB) *Registry {
	return testRegistry(t,
		Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA},
		Device{Number: 2, ID: testID(t, idO), Kind: KindOpaque},
		Device{Number: 3, ID: testID(t, idT), Kind: KindText},
		Device{Number: 4, ID: testID(t, idH), Kind: KindText})
}

func TestLinesOfAllForms(t *testing.T) {
	node := testNode(t, idA, keyA, SimulatorOptions{})
	wire := next(t, node, 40, `{"L":9`)
	text := hubOutput + dumpLine(wire) + "\r\n" + dumpLine(wire[1:]) + "\n" +
		dumpLine(seal(t, keyC, 'O', idO, 4, 9, "\x20\x00")) + "\n" +
		strings.Repeat("x", 100000) + "\n" +
		"{\"@\":\"0D49\",\"L\":1}" // no LF at the end
	path := filepath.Join(t.TempDir(), "hub.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]LinesConfig{
		"file":           {Path: path, Hub: 4},
		"standard input": {Path: "-", Stdin: strings.NewReader(text), Hub: 4},
		"byte by byte":   {Path: "-", Stdin: slow{strings.NewReader(text)}, Hub: 4},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook()
			var events []Event
			in := newIntake(t, Config{Committer: b, Registry: lineDevices(t), Events: func(e Event) { events = append(events, e) }})
			if err := in.Run(t.Context(), linesOf(t, cfg)); err != nil {
				t.Fatal(err)
			}
			s := check(t, in, b)
			want := map[reading.Verdict]uint64{
				reading.Authenticated: 1, reading.Duplicate: 1, reading.Opaque: 1,
				reading.Insecure: 6, reading.UnknownNode: 1, reading.Malformed: 2,
			}
			for _, v := range reading.Verdicts() {
				if s.Verdicts[v] != want[v] {
					t.Errorf("%v: got %d want %d", v, s.Verdicts[v], want[v])
				}
			}
			if s.Aside != 6 || s.Reasons[LineTooLong] != 1 || s.Reasons[LineCharacter] != 1 {
				t.Errorf("aside %d, long %d, character %d; want 6, 1, 1", s.Aside, s.Reasons[LineTooLong], s.Reasons[LineCharacter])
			}
			for kind, n := range map[frame.LineKind]uint64{'=': 3, '{': 3, '@': 1, '|': 3, '>': 2, '!': 2, '?': 1, '+': 1, 'g': 1, 'x': 1} {
				if s.Lines[kind] != n {
					t.Errorf("lines %c: got %d want %d", kind, s.Lines[kind], n)
				}
			}
			kinds := make(map[EventKind]string)
			for _, e := range events {
				kinds[e.Kind] = e.Detail
			}
			if _, ok := kinds[EventHubKey]; !ok || kinds[EventHubAuth] != "node 8cd3" {
				t.Errorf("events: got %+v", events)
			}
		})
	}
}

// slow gives one byte at a time.
type slow struct{ r io.Reader }

func (s slow) Read(p []byte) (int, error) { return s.r.Read(p[:1]) }

// A file waits for the committer: nothing of it is dropped, and it stays in
// order.
func TestLinesWait(t *testing.T) {
	node := testNode(t, idA, keyA, SimulatorOptions{})
	var text strings.Builder
	for range 3000 {
		text.WriteString(dumpLine(next(t, node, 5, "")) + "\n")
	}
	b := newBook()
	b.gate = make(chan struct{})
	in := newIntake(t, Config{Committer: b, Registry: lineDevices(t), Batch: 10, Queue: 50})
	ran := make(chan error)
	go func() {
		ran <- in.Run(t.Context(), linesOf(t, LinesConfig{Path: "-", Stdin: strings.NewReader(text.String())}))
	}()
	until(t, "a full queue", func() bool { return in.Tally().Snapshot().Received >= 10 })
	close(b.gate)
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if s := check(t, in, b); s.Verdicts[reading.Authenticated] != 3000 {
		t.Errorf("authenticated: got %d want 3000", s.Verdicts[reading.Authenticated])
	}
}

// A source that waits for input, or for the queue, ends with its context.
func TestLinesEnd(t *testing.T) {
	t.Run("no input", func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		b := newBook()
		in := newIntake(t, Config{Committer: b, Registry: lineDevices(t)})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- in.Run(ctx, linesOf(t, LinesConfig{Path: "-", Stdin: r})) }()
		if _, err := io.WriteString(w, "{\"@\":\"0D49\",\"L\":1}\n"); err != nil {
			t.Fatal(err)
		}
		until(t, "the line", func() bool { return in.Tally().Snapshot().Received == 1 })
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("got %v", err)
		}
		check(t, in, b)
	})
	t.Run("full queue", func(t *testing.T) {
		b := newBook()
		b.gate = make(chan struct{})
		in := newIntake(t, Config{Committer: b, Registry: lineDevices(t), Batch: 5, Queue: 10, Drain: time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		text := strings.Repeat("{\"@\":\"0D49\",\"L\":1}\n", 100)
		go func() { ran <- in.Run(ctx, linesOf(t, LinesConfig{Path: "-", Stdin: strings.NewReader(text)})) }()
		until(t, "the queue", func() bool { return in.Tally().Snapshot().Received >= 5 })
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("got %v", err)
		}
		check(t, in, b)
	})
}

func TestLinesErrors(t *testing.T) {
	for _, cfg := range []LinesConfig{{}, {Path: "-"}} {
		if _, err := NewLines(cfg); err == nil {
			t.Errorf("%+v: got no error", cfg)
		}
	}
	in := newIntake(t, Config{Committer: newBook(), Registry: NewRegistry()})
	err := in.Run(t.Context(), linesOf(t, LinesConfig{Name: "hub", Path: filepath.Join(t.TempDir(), "absent")}))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "source hub") {
		t.Errorf("no such file: got %v", err)
	}
	broken := errors.New("input/output error")
	in = newIntake(t, Config{Committer: newBook(), Registry: NewRegistry()})
	err = in.Run(t.Context(), linesOf(t, LinesConfig{Path: "-", Stdin: failingReader{broken}}))
	if !errors.Is(err, broken) {
		t.Errorf("reading fails: got %v want %v", err, broken)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// catch collects what a line source puts.
type catch struct{ lines []string }

func (c *catch) Offer(Packet) bool { return false }
func (c *catch) Put(_ context.Context, p Packet) error {
	c.lines = append(c.lines, string(p.Data))
	return nil
}
func (c *catch) Drop(Reason, uint64)    {}
func (c *catch) Unknown(Packet)         {}
func (c *catch) Tell(EventKind, string) {}

// Splitting gives the same lines wherever the reads are cut.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\r\n\r\n>E\n\nlast"), 3)
	f.Add([]byte(strings.Repeat("y", 600)+"\nb\n"), 100)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		step = max(1, step)
		var whole, parts catch
		for _, c := range []struct {
			sink *catch
			step int
		}{{&whole, max(1, len(b))}, {&parts, step}} {
			s := splitter{ctx: t.Context(), lines: &Lines{}, sink: c.sink}
			for block := range slices.Chunk(b, c.step) {
				if err := s.block(block); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.end(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(whole.lines, parts.lines) {
			t.Errorf("got %q want %q", parts.lines, whole.lines)
		}
		for _, l := range whole.lines {
			if len(l) > maxLineBytes || strings.Contains(l, "\n") {
				t.Errorf("line %q", l)
			}
		}
	})
}

// A prompt is answered once, its echo never.
func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		blocks []string
		answer bool
		want   string
	}{
		{"prompt", []string{"=F\r\n>"}, true, "E\n"},
		{"prompt with a space", []string{"> "}, true, "E\n"},
		{"echo follows", []string{">", "E\r\n"}, true, "E\n"},
		{"again at once", []string{">", "E\r\n>", "\n>"}, true, "E\n"},
		{"echo alone", []string{">E\r\n"}, true, ""},
		{"off", []string{">"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			s := splitter{ctx: t.Context(), lines: &Lines{cfg: LinesConfig{Answer: c.answer}}, sink: new(catch), out: &out}
			for _, b := range c.blocks {
				if err := s.block([]byte(b)); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != c.want {
				t.Errorf("got %q want %q", out.String(), c.want)
			}
		})
	}
}
