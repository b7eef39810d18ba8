package frame

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseLine(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Line // Text is filled in
	}{
		// JSON of nodes, secure and not.
		{`{}`, Line{Seq: -1}},
		{`{"@":"8CD3878ACDCE86BB","+":8,"T|C16":299}`,
			Line{ID: "8cd3878acdce86bb", Seq: 8, Stats: []Stat{integer("T|C16", 299)}}},
		{`{"@":"0d49","+":7,"v|%":0,"tT|C":7,"vC|%":862}`,
			Line{ID: "0d49", Seq: 7, Stats: []Stat{integer("v|%", 0), integer("tT|C", 7), integer("vC|%", 862)}}},
		{`{"@":"b39a","B|mV":3230,"T|C16":420}`,
			Line{ID: "b39a", Seq: -1, Stats: []Stat{integer("B|mV", 3230), integer("T|C16", 420)}}},
		{`{"@":"D49","+":0}`, Line{ID: "0d49"}},
		{`{"L":1,"@":"","x":"y"}`, Line{Seq: -1, Stats: []Stat{integer("L", 1), {Key: "x", Text: "y"}}}},

		// Binary stats.
		{`@D49;T19C7;L62;O1;P`, Line{ID: "0d49", Seq: -1,
			Stats: []Stat{integer("T|C16", 311), integer("L", 62), integer("O", 1), integer("P", 1)}}},
		{`@819C;T16CA;P;L242;O1`, Line{ID: "819c", Seq: -1,
			Stats: []Stat{integer("T|C16", 266), integer("P", 1), integer("L", 242), integer("O", 1)}}},
		{`@2D1A;T-1CF`, Line{ID: "2d1a", Seq: -1, Stats: []Stat{integer("T|C16", -1)}}},
		{`@2D1A;T-20C0`, Line{ID: "2d1a", Seq: -1, Stats: []Stat{integer("T|C16", -320)}}},
		{`@2D1A;T19C;Xyz;H50`, Line{ID: "2d1a", Seq: -1, Stats: []Stat{integer("T|C", 19)}}},
		{`@F`, Line{ID: "0f", Seq: -1}},

		// Status of the hub.
		{`=F0%@18C;T16 36 W255 0 F255 0;S5 5 17`, Line{Seq: -1,
			Stats: []Stat{integer("v|%", 0), integer("T|C", 18), integer("tT|C", 5)}}},
		{`=F0%@18CE;{"@":"","H|%":50,"L":0,"occ|%":0}`, Line{Seq: -1,
			Stats: []Stat{integer("v|%", 0), integer("T|C16", 302), integer("H|%", 50), integer("L", 0), integer("occ|%", 0)}}},
		{`=F`, Line{Seq: -1}},
		{`=W100%`, Line{Seq: -1, Stats: []Stat{integer("v|%", 100)}}},
		{`=B@-3C8`, Line{Seq: -1, Stats: []Stat{integer("T|C16", -40)}}},
		{`=F@23CA;T1 8 W255 0 F255 0 W255 0 F255 0;S 6 18 e;C5`, Line{Seq: -1, Stats: []Stat{integer("T|C16", 378)}}},
		{`=F0%@22C0;IF0AB;T14 55 W255 0 F255 0 W255 0 F255 0;S7 7 16 e;C10`, Line{ID: "f0ab", Seq: -1,
			Stats: []Stat{integer("v|%", 0), integer("T|C16", 352), integer("tT|C", 7)}}},
		{`=W20%@18C;T2 33 W10 0 F12 0;S5 5 17 wfo;HC255 255;M30;X0;`, Line{Seq: -1,
			Stats: []Stat{integer("v|%", 20), integer("T|C", 18), integer("tT|C", 5)}}},
		{`=F;IF0AB;{"@":"f0ab","+":3,"x":";{"}`, Line{ID: "f0ab", Seq: 3, Stats: []Stat{{Key: "x", Text: ";{"}}}},
		{`=F;S-5;S100 1;Sx;Ixyz;I`, Line{Seq: -1}},

		// Frames as they came.
		{`|5 a {  81FD`, Line{Seq: -1, Frame: []byte{0x61, 0x7b, 0x20, 0x81, 0xfd}}},
		{`|5  a {  81FD`, Line{Seq: -1, Frame: []byte{0x61, 0x7b, 0x20, 0x81, 0xfd}}},
		{`|6 00010A0F101F`, Line{Seq: -1, Frame: []byte{0, 1, 0x0a, 0x0f, 0x10, 0x1f}}},
		{`|1   `, Line{Seq: -1, Frame: []byte{' '}}},

		// Words.
		{`>`, Line{Seq: -1}},
		{`>E`, Line{Seq: -1}},
		{`!RXerr F2`, Line{Seq: -1}},
		{`!RX key`, Line{Seq: -1}},
		{`?RX auth 8C D3`, Line{ID: "8cd3", Seq: -1}},
		{`?RX auth 8C D3 5`, Line{ID: "8cd305", Seq: -1}},
		{`?RX auth`, Line{Seq: -1}},
		{`?RX auth 8C D3x`, Line{Seq: -1}},
		{`?RX auth 1 2 3 4 5 6 7 8 9`, Line{Seq: -1}},
		{`?DHT fault`, Line{Seq: -1}},
		{`+CC1 a`, Line{Seq: -1}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			tt.want.Kind, tt.want.Text = LineKind(tt.line[0]), tt.line
			for _, end := range []string{"", "\r"} {
				got, err := ParseLine(tt.line + end)
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %+v, %v want %+v", got, err, tt.want)
				}
			}
		})
	}
}

func TestParseLineRefuses(t *testing.T) {
	for _, tt := range []struct {
		line string
		want error
	}{
		{"", ErrLineEmpty}, {"\r", ErrLineEmpty},
		{"+" + strings.Repeat("x", 255), ErrLineLong},
		{"+\r\r", ErrLineCharacter}, {"+\n", ErrLineCharacter}, {"+\t", ErrLineCharacter},
		{"+\x7f", ErrLineCharacter}, {"+\x80", ErrLineCharacter}, {"+é", ErrLineCharacter}, {"\x00", ErrLineCharacter},
		{"Boiler on, s left: 106", ErrLineKind}, {" {}", ErrLineKind}, {"0", ErrLineKind},

		{`{`, ErrStats}, {`{"@":"8081"`, ErrStats}, {`{"a":1} `, ErrStats}, {`{"L":1,"L":2}`, ErrStatsDuplicate},
		{`{"@":8081}`, ErrLineID}, {`{"@":"xy"}`, ErrLineID}, {`{"@":"80 81"}`, ErrLineID}, {`{"@":"00112233445566778"}`, ErrLineID},
		{`{"+":"1"}`, ErrLineSeq}, {`{"+":-1}`, ErrLineSeq}, {`{"+":256}`, ErrLineSeq},

		{`@`, ErrLineID}, {`@;T19C7`, ErrLineID}, {`@XY;T19C7`, ErrLineID}, {`@00112233445566778`, ErrLineID},
		{`@D49;`, ErrLineSection}, {`@D49;;L1`, ErrLineSection},
		{`@D49;T`, ErrLineSection}, {`@D49;T19`, ErrLineSection}, {`@D49;TC7`, ErrLineSection}, {`@D49;T19C7 `, ErrLineSection},
		{`@D49;T19Ca`, ErrLineSection}, {`@D49;T19CG`, ErrLineSection}, {`@D49;T19C77`, ErrLineSection},
		{`@D49;T019C7`, ErrLineSection}, {`@D49;T-0C7`, ErrLineSection}, {`@D49;T+1C7`, ErrLineSection}, {`@D49;T99999C7`, ErrLineSection},
		{`@D49;L`, ErrLineSection}, {`@D49;L256`, ErrLineSection}, {`@D49;L-1`, ErrLineSection}, {`@D49;L01`, ErrLineSection}, {`@D49;L1x`, ErrLineSection},
		{`@D49;O4`, ErrLineSection}, {`@D49;P1`, ErrLineSection}, {`@D49;L1;L1`, ErrLineSection}, {`@D49;P;P`, ErrStatsDuplicate},

		{`=`, ErrLineSection}, {`=;S5`, ErrLineSection}, {`=X0%`, ErrLineSection}, {`=F0`, ErrLineSection}, {`=F%`, ErrLineSection},
		{`=F101%`, ErrLineSection}, {`=F-1%`, ErrLineSection}, {`=F00%`, ErrLineSection}, {`=F0%@`, ErrLineSection}, {`=F0%@18`, ErrLineSection},
		{`=F0%18C`, ErrLineSection}, {`=F;S5;S6`, ErrLineSection},
		{`=F;{`, ErrStats}, {`=F;{"a":1};C5`, ErrStats}, {`=F0%;{"v|%":1}`, ErrStatsDuplicate}, {`=F;IF0AB;{"@":"f0ac"}`, ErrLineID},

		{`|`, ErrLineDump}, {`|1`, ErrLineDump}, {`|0 `, ErrLineDump}, {`| 00`, ErrLineDump}, {`|x 00`, ErrLineDump}, {`|-1 00`, ErrLineDump},
		{`|01 00`, ErrLineDump}, {`|+1 00`, ErrLineDump}, {`|2 00`, ErrLineDump}, {`|1 0000`, ErrLineDump}, {`|3 0000`, ErrLineDump},
		{`|1 0a`, ErrLineDump}, {`|1 0G`, ErrLineDump}, {`|1 +1`, ErrLineDump}, {`|1 0 `, ErrLineDump}, {`|1 a `, ErrLineDump},
		{`|99999999999999999999 00`, ErrLineDump},
	} {
		got, err := ParseLine(tt.line)
		if !errors.Is(err, tt.want) || !errors.Is(err, ErrLine) || !reflect.DeepEqual(got, Line{}) {
			t.Errorf("ParseLine(%q): got %+v, %v want %v", tt.line, got, err, tt.want)
		}
	}
	if l, err := ParseLine("+" + strings.Repeat("x", 254) + "\r"); err != nil || len(l.Text) != 255 {
		t.Errorf("255 characters: got %d, %v", len(l.Text), err)
	}
}

// A frame that a hub dumps undecoded opens like one from the radio.
func TestDumpedFrame(t *testing.T) {
	wire := unhex(t, v3)
	for _, b := range [][]byte{wire, wire[1:]} {
		l, err := ParseLine(string(appendDump(nil, b)))
		if err != nil {
			t.Fatal(err)
		}
		var buf [MaxWire]byte
		f, err := ParseDump(l.Frame, &buf)
		if err != nil {
			t.Fatal(err)
		}
		pt, err := mustOpener(t, Key{}).Open(nil, f, v3ID)
		if err != nil || hex.EncodeToString(pt) != v3Plaintext {
			t.Errorf("got %x, %v want %s", pt, err, v3Plaintext)
		}
	}
}

// appendDump writes a '|' line as hubs do.
func appendDump(dst, frame []byte) []byte {
	dst = append(dst, "|"...)
	if len(frame) >= 100 {
		dst = append(dst, '0'+byte(len(frame)/100))
	}
	if len(frame) >= 10 {
		dst = append(dst, '0'+byte(len(frame)/10%10))
	}
	dst = append(dst, '0'+byte(len(frame)%10), ' ')
	for _, b := range frame {
		if b >= 32 && b < 126 {
			dst = append(dst, ' ', b)
			continue
		}
		const digits = "0123456789ABCDEF"
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

func TestParseRadioJSON(t *testing.T) {
	const long = `7b2240223a2263646662222c22547c433136223a3239392c22487c25223a38332c224c223a3235352c22427c6356223a323536fd77`
	l, err := ParseRadioJSON(unhex(t, "7bfd38"))
	if want := (Line{Kind: LineJSON, Text: "{}", Seq: -1}); err != nil || !reflect.DeepEqual(l, want) {
		t.Errorf("got %+v, %v want %+v", l, err, want)
	}
	l, err = ParseRadioJSON(unhex(t, long))
	want := Line{Kind: LineJSON, Text: `{"@":"cdfb","T|C16":299,"H|%":83,"L":255,"B|cV":256}`, ID: "cdfb", Seq: -1,
		Stats: []Stat{integer("T|C16", 299), integer("H|%", 83), integer("L", 255), integer("B|cV", 256)}}
	if err != nil || !reflect.DeepEqual(l, want) {
		t.Errorf("got %+v, %v want %+v", l, err, want)
	}
	// One message whose CRC is 0 goes with either form of it.
	zero := radioZeroCRC(t)
	for _, crc := range []byte{0x00, 0x80} {
		if _, err := ParseRadioJSON(append(zero, crc)); err != nil {
			t.Errorf("CRC %#x for 0: %v", crc, err)
		}
	}
	b := unhex(t, long)
	for i := range 8 * len(b) {
		b[i/8] ^= 0x80 >> (i % 8)
		if l, err := ParseRadioJSON(b); !errors.Is(err, ErrLine) {
			t.Errorf("bit %d: got %+v, %v want ErrLine", i, l, err)
		}
		b[i/8] ^= 0x80 >> (i % 8)
	}
	tooLong := append([]byte(`{"a":"`+strings.Repeat("x", 48)+`"`), 0xfd)
	for _, tt := range []struct {
		b    []byte
		want error
	}{
		{nil, ErrLine}, {[]byte{0x7b, 0xfd}, ErrLine}, {[]byte{0x7b, 0x7d, 0x38}, ErrLine},
		{unhex(t, "7bfd39"), ErrLineCRC}, {unhex(t, "7bfd3800"), ErrLine}, {unhex(t, "7bfd80"), ErrLineCRC},
		{append(tooLong, CRC7('{', tooLong[1:])), ErrLineLong},
	} {
		if l, err := ParseRadioJSON(tt.b); !errors.Is(err, tt.want) {
			t.Errorf("ParseRadioJSON(%x): got %+v, %v want %v", tt.b, l, err, tt.want)
		}
	}
}

func radioZeroCRC(t *testing.T) []byte {
	for i := range int64(1000) {
		b := AppendStats(nil, []Stat{integer("L", i)}, false)
		b = append(b, 0xfd)
		if CRC7('{', b[1:]) == 0 {
			return b
		}
	}
	t.Fatal("no message has CRC 0")
	return nil
}
