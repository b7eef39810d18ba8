package frame

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func integer(name string, v int64) Stat {
	key, unit, _ := strings.Cut(name, "|")
	return Stat{Key: key, Unit: unit, Int: v, IsInt: true}
}

func TestParseStats(t *testing.T) {
	for _, tt := range []struct {
		text string // without the final '}'
		want []Stat
	}{
		{`{`, nil},
		{`{"b":1`, []Stat{integer("b", 1)}},
		{`{"T|C16":-9,"H|%":0`, []Stat{integer("T|C16", -9), integer("H|%", 0)}},
		{`{"@":"0a45","+":2,"vac|h":9,"T|C16":201,"L":0`, []Stat{
			{Key: "@", Text: "0a45"}, integer("+", 2), integer("vac|h", 9), integer("T|C16", 201), integer("L", 0)}},
		{`{"a":""`, []Stat{{Key: "a"}}},
		{`{"a":"{},:| '"`, []Stat{{Key: "a", Text: "{},:| '"}}},
		{`{"a|b|c":1`, []Stat{{Key: "a", Unit: "b|c", Int: 1, IsInt: true}}},
		{`{"B|cV":1,"B|mV":2`, []Stat{integer("B|cV", 1), integer("B|mV", 2)}},
		{`{"a":9223372036854775807,"b":-9223372036854775808`,
			[]Stat{integer("a", 1<<63-1), integer("b", -1<<63)}},
	} {
		for _, closed := range []bool{false, true} {
			text := tt.text
			if closed {
				text += "}"
			}
			got, err := ParseStats([]byte(text), closed)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseStats(%s): got %+v, %v want %+v", text, got, err, tt.want)
			}
			if back := string(AppendStats([]byte("x"), got, closed)); back != "x"+text {
				t.Errorf("AppendStats: got %s want %s", back, text)
			}
		}
	}
}

func TestParseStatsRefuses(t *testing.T) {
	var many strings.Builder
	for i := range MaxMembers + 1 {
		fmt.Fprintf(&many, `,"%c":1`, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh"[i])
	}
	for _, tt := range []struct {
		text string
		want error
	}{
		{``, ErrStats}, {`}`, ErrStats}, {`x}`, ErrStats}, {`[]}`, ErrStats}, {`"a":1}`, ErrStats},
		{`{`, ErrStats}, {`{"a":1`, ErrStats}, // not closed
		{`{}}`, ErrStats}, {`{,}`, ErrStats}, {`{"a":1,}`, ErrStats}, {`{,"a":1}`, ErrStats},
		{`{"a":1,,"b":1}`, ErrStats}, {`{"a":1"b":1}`, ErrStats}, {`{"a":1}}`, ErrStats},
		{`{"a"}`, ErrStats}, {`{"a":}`, ErrStats}, {`{a:1}`, ErrStats}, {`{1:1}`, ErrStats}, {`{"a:1}`, ErrStats},
		{`{"a":"b}`, ErrStats}, {`{"a":b}`, ErrStats}, {`{"a""b"}`, ErrStats},
		{`{ "a":1}`, ErrStats}, {`{"a" :1}`, ErrStats}, {`{"a": 1}`, ErrStats}, {`{"a":1 }`, ErrStats}, {` {"a":1}`, ErrStats}, {`{"a":1} `, ErrStats},
		{`{"":1}`, ErrStats}, {`{"|":1}`, ErrStats}, {`{"a|":1}`, ErrStats}, {`{"|a":1}`, ErrStats},
		{`{"a":01}`, ErrStats}, {`{"a":00}`, ErrStats}, {`{"a":-0}`, ErrStats}, {`{"a":-01}`, ErrStats},
		{`{"a":+1}`, ErrStats}, {`{"a":-}`, ErrStats}, {`{"a":--1}`, ErrStats}, {`{"a":1-}`, ErrStats},
		{`{"a":1.5}`, ErrStats}, {`{"a":1e3}`, ErrStats}, {`{"a":0x1}`, ErrStats}, {`{"a":1_0}`, ErrStats},
		{`{"a":true}`, ErrStats}, {`{"a":null}`, ErrStats}, {`{"a":{}}`, ErrStats}, {`{"a":[]}`, ErrStats},
		{`{"a":"\""}`, ErrStats}, {`{"a\u0041":1}`, ErrStats}, {`{"a":"\\"}`, ErrStats},
		{"{\"a\":\"\t\"}", ErrStats}, {"{\"a\":\"\x7f\"}", ErrStats}, {"{\"a\":\"é\"}", ErrStats}, {"{\"a\":1}\n", ErrStats}, {"{\"\x00\":1}", ErrStats},
		{`{"a":9223372036854775808}`, ErrStatsRange}, {`{"a":-9223372036854775809}`, ErrStatsRange},
		{`{"a":99999999999999999999999999}`, ErrStatsRange},
		{`{"a":1,"a":1}`, ErrStatsDuplicate}, {`{"T|C":1,"L":2,"T|C":"x"}`, ErrStatsDuplicate},
		{`{` + many.String()[1:] + `}`, ErrStatsLimit},
		{`{"a":"` + strings.Repeat("x", 255) + `"}`, ErrStatsLimit},
	} {
		got, err := ParseStats([]byte(tt.text), true)
		if !errors.Is(err, tt.want) || !errors.Is(err, ErrStats) || got != nil {
			t.Errorf("ParseStats(%q): got %+v, %v want %v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{`{}`, `{"a":1}`, `{"a":1,`, ``} {
		if got, err := ParseStats([]byte(text), false); !errors.Is(err, ErrStats) {
			t.Errorf("ParseStats(%s), open: got %+v, %v want ErrStats", text, got, err)
		}
	}
	exact := strings.Replace(many.String(), `,"A":1,`, `{`, 1) + "}"
	if got, err := ParseStats([]byte(exact), true); err != nil || len(got) != MaxMembers {
		t.Errorf("%d members: got %d, %v", MaxMembers, len(got), err)
	}
}
