// Command benchtable reads the output of go test -bench and prints the figures that the project promises
// beside their targets:
//
//	benchtable FILE
//
// A figure is the median over all lines with its benchmark's name and unit, or the ratio of two such medians.
// One that the file does not have is said to be not measured. A missed target is said, too, and no failure
// of the command: speed depends on the machine.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: benchtable FILE")
		os.Exit(2)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(2)
	}
	defer f.Close()
	results, err := parse(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(2)
	}
	missed := printTable(os.Stdout, results)
	fmt.Printf("\n%d missed\n", missed)
}

// metric names one figure of a benchmark: its name without the processor count, and the unit.
type metric struct {
	bench, unit string
}

// results holds every value that was measured for a metric.
type results map[metric][]float64

// target is one row of the table.
type target struct {
	name   string
	value  metric
	over   metric  // divide by this one's median, if it is set
	scale  float64 // multiply by this, if it is not 0
	unit   string
	op     op
	want   float64
	ofNote bool // a figure to be stated, without a target
}

type op string

const (
	below   op = "<"
	atMost  op = "<="
	atLeast op = ">="
)

var targets = []target{
	{name: "trees: cairn / raw SHA-256", value: metric{"Trees/cairn", "ns/leaf"}, over: metric{"Trees/raw", "ns/leaf"}, op: atMost, want: 1.3},
	{name: "trees: cairn / compact.Range", value: metric{"Trees/cairn", "ns/leaf"}, over: metric{"Trees/compact", "ns/leaf"}, op: below, want: 1},
	{name: "trees: cairn / tlog", value: metric{"Trees/cairn", "ns/leaf"}, over: metric{"Trees/tlog", "ns/leaf"}, op: below, want: 1},
	{name: "trees: cairn", value: metric{"Trees/cairn", "ns/leaf"}, unit: "ns/leaf", ofNote: true},
	{name: "intake", value: metric{"SpineIntake", "readings/s"}, unit: "readings/s", op: atLeast, want: 100000},
	{name: "intake / Pebble alone", value: metric{"SpineIntake", "pebble-ratio"}, op: atLeast, want: 0.2},
	{name: "intake: share of hashing", value: metric{"SpineIntake", "hash-share"}, ofNote: true},
	{name: "UDP: sent, paced at 40000", value: metric{"SpineUDP", "sent/s"}, unit: "frames/s", op: atLeast, want: 39500},
	{name: "UDP: dropped", value: metric{"SpineUDP", "drops"}, unit: "frames", op: atMost, want: 0},
	{name: "close a window", value: metric{"SpineClose", "ms/close"}, unit: "ms", op: below, want: 5},
	{name: "prove, cold cache", value: metric{"SpineProof", "ms/proof-cold"}, unit: "ms", op: below, want: 5},
	{name: "verify", value: metric{"SpineVerify", "µs/verify"}, unit: "µs", op: below, want: 200},
	{name: "verify", value: metric{"SpineVerify", "ns/op"}, scale: 1e-3, unit: "µs", op: below, want: 200},
	{name: "start", value: metric{"SpineProof", "s/start"}, unit: "s", op: below, want: 2},
	{name: "memory, idle", value: metric{"SpineMemory", "MB-idle"}, unit: "MB", op: below, want: 60},
	{name: "memory, full rate", value: metric{"SpineMemory", "MB-full"}, unit: "MB", op: below, want: 200},
	{name: "disk", value: metric{"SpineDisk", "B/reading"}, unit: "B/reading", op: below, want: 120},
}

// parse reads lines like "BenchmarkSpineClose-2   10   3 ns/op   1.5 ms/close" and leaves out all others.
func parse(r io.Reader) (results, error) {
	got := results{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, ok := strings.CutPrefix(lines.Text(), "Benchmark")
		if !ok {
			continue
		}
		fields := strings.Fields(name)
		if len(fields) < 4 || len(fields)%2 != 0 {
			continue
		}
		bench := withoutProcessors(fields[0])
		for i := 2; i < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("value of %s: %w", fields[i+1], err)
			}
			m := metric{bench, strings.ReplaceAll(fields[i+1], "\u03bc", "\u00b5")} // two letters look like this one
			got[m] = append(got[m], v)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("no benchmark results in the file")
	}
	return got, nil
}

// withoutProcessors cuts the "-2" that go test puts behind a name when it runs on two processors.
func withoutProcessors(name string) string {
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		if _, err := strconv.Atoi(name[i+1:]); err == nil {
			return name[:i]
		}
	}
	return name
}

func (r results) median(m metric) (float64, bool) {
	v := slices.Clone(r[m])
	if len(v) == 0 {
		return 0, false
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2, true
	}
	return v[len(v)/2], true
}

// measure returns the row's figure and whether the results have it.
func (t target) measure(r results) (float64, bool) {
	v, ok := r.median(t.value)
	if !ok {
		return 0, false
	}
	if t.over != (metric{}) {
		base, ok := r.median(t.over)
		if !ok || base == 0 {
			return 0, false
		}
		v /= base
	}
	if t.scale != 0 {
		v *= t.scale
	}
	return v, true
}

func (t target) met(v float64) bool {
	switch t.op {
	case below:
		return v < t.want
	case atMost:
		return v <= t.want
	default:
		return v >= t.want
	}
}

// printTable writes the table and returns the number of targets that were missed.
func printTable(w io.Writer, r results) (missed int) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\tmedian\ttarget\t")
	shown := map[string]bool{}
	for i, t := range targets {
		v, ok := t.measure(r)
		// A row may be given twice, for either unit that its benchmark could use: the first measured one counts.
		again := slices.ContainsFunc(targets[i+1:], func(o target) bool { return o.name == t.name })
		if shown[t.name] || !ok && again {
			continue
		}
		shown[t.name] = true
		want, verdict := strings.TrimSpace(fmt.Sprintf("%s %s %s", t.op, number(t.want), t.unit)), "met"
		switch {
		case !ok:
			verdict = "not measured"
		case t.ofNote:
			verdict = ""
		case !t.met(v):
			verdict = "MISSED"
			missed++
		}
		if t.ofNote {
			want = ""
		}
		figure := "-"
		if ok {
			figure = strings.TrimSpace(number(v) + " " + t.unit)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", t.name, figure, want, verdict)
	}
	tw.Flush()
	return missed
}

// number gives three significant digits, and whole numbers from 100 on.
func number(v float64) string {
	if v >= 100 || v <= -100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
