//go:build !js

package main

import (
	"strings"
	"testing"
)

func TestFrameLines(t *testing.T) {
	got, err := parseFrameLines([]byte("# of the fridge\n\n0/17 0aff\r\n00/018 01\n"))
	if err != nil || len(got) != 2 || string(got["0/17"]) != "\x0a\xff" || string(got["0/18"]) != "\x01" {
		t.Errorf("got %x, %v", got, err)
	}
	for text, want := range map[string]string{
		"0/17":                                "line 1",
		"0/17 ":                               "line 1",
		"\n0/17 0":                            "line 2",
		"17 00":                               "line 1",
		"-1/2 00":                             "line 1",
		"0/17 " + strings.Repeat("00", 65):    "line 1",
		"0/17 00\n0/017 01":                   "line 2: a second frame of reading 0/17",
		"0/18446744073709551615 00":           "line 1",
		"0/17 00 00":                          "line 1",
		"0/1 00\n" + strings.Repeat("x", 1e5): "too long",
	} {
		if got, err := parseFrameLines([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %x, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzFrameLines(f *testing.F) {
	f.Add([]byte("0/17 0aff\n1/0 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFrameLines(b)
		if err != nil && got != nil {
			t.Error("frames beside an error")
		}
	})
}
