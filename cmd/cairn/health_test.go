package main

import (
	"slices"
	"testing"

	"cairn/ingest"
)

// A hub that was unplugged is a reason to be red until it is back.
func TestDownSources(t *testing.T) {
	var d downSources
	steps := []struct {
		kind   ingest.EventKind
		source string
		want   []string
	}{
		{ingest.EventUp, "udp", nil},
		{ingest.EventReplay, "udp", nil},
		{ingest.EventDown, "udp", []string{"source udp is down, and tried again: why"}},
		{ingest.EventDown, "lines0", []string{"source lines0 is down, and tried again: why", "source udp is down, and tried again: why"}},
		{ingest.EventUp, "udp", []string{"source lines0 is down, and tried again: why"}},
		{ingest.EventUp, "lines0", nil},
	}
	for i, step := range steps {
		d.note(ingest.Event{Kind: step.kind, Source: step.source, Detail: "why"})
		if got := d.list(); !slices.Equal(got, step.want) {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}
