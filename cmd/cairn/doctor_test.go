//go:build unix

package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A service that hangs is said to, in time; one that was never started is not broken.
func TestDoctorEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	out := &bytes.Buffer{}
	if code := Run(t.Context(), []string{"init", dir}, Streams{In: strings.NewReader(""), Out: out, Err: out}); code != exitDone {
		t.Fatal(out)
	}
	examine := func() *doctor {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		d := &doctor{c: &command{dir: dir, Streams: Streams{In: strings.NewReader(""), Out: out, Err: out}}}
		d.examine(ctx)
		return d
	}
	said := func(d *doctor, what, state, detail string) {
		t.Helper()
		for _, f := range d.all {
			if f.What == what && f.State == state && strings.Contains(f.Detail, detail) {
				return
			}
		}
		t.Errorf("no %s that is %s, %q: %+v", what, state, detail, d.all)
	}
	said(examine(), "store", wellWarn, "nothing was taken yet")

	on, err := listenControl(filepath.Join(dir, socketFile)) // nobody takes what comes there
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	said(examine(), "service", wellBad, "does not answer within")
}
