package main

import (
	"strings"
	"testing"
)

const sample = `goos: linux
pkg: cairn/merkle
BenchmarkTrees/raw-2       	      10	 100 ns/op	       200.0 ns/leaf
BenchmarkTrees/raw-2       	      10	 100 ns/op	       220.0 ns/leaf
BenchmarkTrees/raw-2       	      10	 100 ns/op	       900.0 ns/leaf
BenchmarkTrees/cairn-2     	      10	 100 ns/op	       242.0 ns/leaf
BenchmarkTrees/compact-2   	      10	 100 ns/op	       200.0 ns/leaf
BenchmarkSpineIntake 	       1	5e+09 ns/op	         0.310 hash-share	         0.250 pebble-ratio	    123456 readings/s
BenchmarkSpineVerify-2 	       9	 150000 ns/op	     100 B/op	       3 allocs/op
BenchmarkSpineUDP-2 	       1	 1 ns/op	 2.000 drops	 40000 sent/s
PASS
ok  	cairn/merkle	1.0s
`

func TestTable(t *testing.T) {
	r, err := parse(strings.NewReader(sample))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	var out strings.Builder
	missed := printTable(&out, r)
	if missed != 2 {
		t.Errorf("got %d missed targets, want 2", missed)
	}
	rows := map[string]string{}
	for line := range strings.Lines(out.String()) {
		name, rest, _ := strings.Cut(line, "  ")
		if rows[name] != "" {
			t.Errorf("row %q is there twice", name)
		}
		rows[name] = strings.Join(strings.Fields(rest), " ")
	}
	for name, want := range map[string]string{
		"trees: cairn / raw SHA-256":   "1.1 <= 1.3 met",
		"trees: cairn / compact.Range": "1.21 < 1 MISSED",
		"trees: cairn / tlog":          "- < 1 not measured",
		"trees: cairn":                 "242 ns/leaf",
		"intake":                       "123456 readings/s >= 100000 readings/s met",
		"intake / Pebble alone":        "0.25 >= 0.2 met",
		"intake: share of hashing":     "0.31",
		"UDP: dropped":                 "2 frames <= 0 frames MISSED",
		"verify":                       "150 µs < 200 µs met",
		"start":                        "- < 2 s not measured",
	} {
		if rows[name] != want {
			t.Errorf("%s: got %q, want %q", name, rows[name], want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"", "PASS\n", "BenchmarkX-2 1 x ns/op\n"} {
		if r, err := parse(strings.NewReader(bad)); err == nil {
			t.Errorf("got %v from %q, want an error", r, bad)
		}
	}
}

func TestMedian(t *testing.T) {
	m := metric{"X", "ns/op"}
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got, ok := (results{m: tt.values}).median(m); !ok || got != tt.want {
			t.Errorf("median of %v: got %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestNamesLoseTheirProcessorCount(t *testing.T) {
	for in, want := range map[string]string{"Trees/raw-2": "Trees/raw", "Trees/raw": "Trees/raw", "A-b": "A-b", "A-b-16": "A-b"} {
		if got := withoutProcessors(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
