package frame

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
)

func addFrames(f *testing.F, from int) {
	for _, s := range []string{v1, v2, v3, v6a, v6b, v7[0], v7[1], v7[2], v7[4]} {
		f.Add(unhex(f, s)[from:])
	}
	f.Add([]byte{})
}

// checkFrame checks what holds for every accepted frame.
func checkFrame(t *testing.T, f Frame, wire []byte) {
	t.Helper()
	parts := slices.Concat(wire[:3], f.ID, []byte{byte(len(f.Body))}, f.Body, f.Trailer)
	if !bytes.Equal(parts, wire) || !bytes.Equal(f.Wire, wire) {
		t.Fatalf("parts %x of %x", parts, wire)
	}
	if !f.Secure() {
		again, err := AppendInsecure(nil, f.Type, f.Seq, f.ID, f.Body)
		if err != nil || !bytes.Equal(again, wire) {
			t.Fatalf("appended again: got %x, %v want %x", again, err, wire)
		}
		return
	}
	if byte(f.Counter()&15) != f.Seq || f.Counter() > MaxCounter {
		t.Fatalf("counter %v, sequence number %d", f.Counter(), f.Seq)
	}
	var id ID
	copy(id[:], f.ID)
	o := mustOpener(t, Key{})
	body, err := o.Open(nil, f, id)
	if err != nil {
		if !errors.Is(err, ErrTag) && !errors.Is(err, ErrPadding) {
			t.Fatalf("Open: %v", err)
		}
		return
	}
	if len(body) == 0 && len(f.Body) > 0 {
		return // read, not written
	}
	again, err := o.Seal(nil, f.Type, id, len(f.ID), f.Counter(), body)
	if err != nil || !bytes.Equal(again, wire) {
		t.Fatalf("sealed again: got %x, %v want %x", again, err, wire)
	}
}

func FuzzParse(f *testing.F) {
	addFrames(f, 0)
	f.Fuzz(func(t *testing.T, wire []byte) {
		fr, err := Parse(wire)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		checkFrame(t, fr, wire)
	})
}

func FuzzParseDatagram(f *testing.F) {
	addFrames(f, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		var buf, dump [MaxWire]byte
		fr, err := ParseDatagram(b, &buf)
		wire := append([]byte{byte(len(b))}, b...)
		direct, directErr := Parse(wire)
		if len(b) <= maxLength && (err == nil) != (directErr == nil) {
			t.Fatalf("got %v, with its length byte %v", err, directErr)
		}
		if err == nil {
			if !reflect.DeepEqual(fr, direct) {
				t.Fatalf("got %+v want %+v", fr, direct)
			}
			checkFrame(t, fr, wire)
		} else if !errors.Is(err, ErrMalformed) {
			t.Fatalf("unnamed error %v", err)
		}
		if fr, err := ParseDump(b, &dump); err == nil && !bytes.HasSuffix(fr.Wire, b) {
			t.Fatalf("dump: got %x of %x", fr.Wire, b)
		}
	})
}

func FuzzParseBody(f *testing.F) {
	f.Add([]byte("\x7f\x11{\"b\":1"))
	f.Add([]byte("\x00\x01"))
	f.Add([]byte("\xe4\xff?"))
	f.Fuzz(func(t *testing.T, pt []byte) {
		b, err := ParseBody(pt)
		if err != nil {
			if !errors.Is(err, ErrBody) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, err := AppendBody(nil, b)
		if err != nil || !bytes.Equal(again, pt) {
			t.Fatalf("got %x, %v want %x", again, err, pt)
		}
	})
}

func FuzzParseStats(f *testing.F) {
	f.Add([]byte(`{"@":"0a45","+":2,"vac|h":9,"T|C16":-201,"L":0}`), true)
	f.Add([]byte(`{"b":1`), false)
	f.Add([]byte(`{`), false)
	f.Add([]byte(`{}`), true)
	f.Add([]byte(`{"a":9223372036854775808}`), true)
	f.Fuzz(func(t *testing.T, b []byte, closed bool) {
		stats, err := ParseStats(b, closed)
		if err != nil {
			if !errors.Is(err, ErrStats) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if again := AppendStats(nil, stats, closed); !bytes.Equal(again, b) {
			t.Fatalf("got %s want %s", again, b)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		`{"@":"8CD3878ACDCE86BB","+":8,"T|C16":299}`, `@D49;T19C7;L62;O1;P`, `=F0%@18C;T16 36 W255 0 F255 0;S5 5 17`,
		`=F0%@18CE;IF0AB;{"@":"","H|%":50,"L":0,"occ|%":0}`, `=F`, `|5 a {  81FD`, `|6 00010A0F101F`, `?RX auth 8C D3`, `>E`, `+CC1`, "!RXerr F2\r",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, err := ParseLine(line)
		if err != nil {
			if !errors.Is(err, ErrLine) || !reflect.DeepEqual(l, Line{}) {
				t.Fatalf("unnamed error %v, %+v", err, l)
			}
			return
		}
		if l.Text != line && l.Text+"\r" != line || l.Kind != LineKind(line[0]) || l.Seq < -1 || l.Seq > maxSeq {
			t.Fatalf("got %+v", l)
		}
		if l.ID != "" {
			if id, err := normalID(l.ID); err != nil || id != l.ID {
				t.Fatalf("ID %q: %v", l.ID, err)
			}
		}
		if l.Kind == LineRaw {
			again, err := ParseLine(string(appendDump(nil, l.Frame)))
			if err != nil || !bytes.Equal(again.Frame, l.Frame) {
				t.Fatalf("dumped again: got %x, %v want %x", again.Frame, err, l.Frame)
			}
		}
		if len(l.Stats) > 0 {
			text := AppendStats(nil, l.Stats, true)
			stats, err := parseStats(string(text), true)
			if err != nil || !reflect.DeepEqual(stats, l.Stats) {
				t.Fatalf("stats again: got %+v, %v want %+v", stats, err, l.Stats)
			}
		}
	})
}

func FuzzParseRadioJSON(f *testing.F) {
	f.Add(unhex(f, "7bfd38"))
	f.Add(unhex(f, "7b2240223a2263646662222c22547c433136223a3239392c22487c25223a38332c224c223a3235352c22427c6356223a323536fd77"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseRadioJSON(b)
		if err != nil {
			if !errors.Is(err, ErrLine) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		text := append([]byte(l.Text), b[len(b)-1])
		text[len(text)-2] |= 0x80
		if !bytes.Equal(text, b) {
			t.Fatalf("got %x want %x", text, b)
		}
	})
}
