package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// On a terminal it is one line, written again and taken back. Short work shows nothing.
func TestProgressOnTerminal(t *testing.T) {
	person, program := openTerminal(t)
	synctest.Test(t, func(t *testing.T) {
		c := &command{Streams: Streams{Err: program}}
		work := func(d time.Duration) {
			g := newGauge(c.progress, "files", 1)
			for n := range uint64(20) {
				time.Sleep(d)
				g.at(n+1, 20)
			}
			c.progress("")
		}
		work(time.Millisecond)
		work(125 * time.Millisecond)
	})
	if _, err := program.WriteString("end"); err != nil {
		t.Fatal(err)
	}
	const line = "\r\x1b[K"
	want := line + "[##############..........] 12 of 20 files, 8.0/s" + line + "[###################.....] 16 of 20 files, 8.0/s" +
		line + "[########################] 20 of 20 files, 8.0/s" + line + "end"
	var got []byte
	for b := make([]byte, 1024); len(got) < len(want); {
		n, err := person.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
