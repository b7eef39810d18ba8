package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHowFar(t *testing.T) {
	for want, at := range map[string][2]uint64{
		"[........................] 0 of 48 files": {0, 48}, "[############............] 24 of 48 files": {24, 48},
		"[#######################.] 47 of 48 files": {47, 48}, "[########################] 48 of 48 files": {48, 48},
		"[########################] 0 of 0 files": {0, 0},
	} {
		if got := howFar(at[0], at[1], "files"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A log gets a line a minute, with a rate, and programs that ask for JSON nothing.
func TestProgress(t *testing.T) {
	for _, x := range []struct {
		json bool
		want string
	}{
		{false, "[########................] 61 of 180 MB, 1.0/s\n[################........] 121 of 180 MB, 1.0/s\n"},
		{true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			c := &command{Streams: Streams{Err: &out}, json: x.json}
			g := newGauge(c.progress, "MB", 1e6)
			for n := range uint64(180) {
				time.Sleep(time.Second)
				g.at((n+1)*1e6, 180e6)
			}
			c.progress("")
			if out.String() != x.want {
				t.Errorf("json %t: got %q, want %q", x.json, out.String(), x.want)
			}
		})
	}
}
