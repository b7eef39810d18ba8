package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenOutput: a file has its name once it is whole, and no part of one stays.
func TestOpenOutput(t *testing.T) {
	broken := errors.New("the line broke")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSignal)
	for _, x := range []struct {
		name   string
		follow bool
		err    error
		kept   bool
		text   string
	}{
		{"whole", false, nil, true, ""},
		{"in part", false, broken, false, "the line broke; FILE was not written"},
		{"all that there is", false, fmt.Errorf("%w: of stream 3", errNotAll), true, "not all of it could be opened: of stream 3"},
		{"told to leave", false, interrupted(ctx, broken), false, "told to leave; FILE was not written"},
		{"growing", true, broken, true, "the line broke"},
	} {
		path := filepath.Join(t.TempDir(), "a.csv")
		o := &grantOpener{f: &openFlags{out: path, follow: x.follow}}
		w, done, err := o.output()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.output(); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: written twice at once: %v", x.name, err)
		}
		if _, err := w.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		err = done(x.err)
		if got := strings.ReplaceAll(fmt.Sprint(err), path, "FILE"); (err != nil || x.text != "") && got != x.text {
			t.Errorf("%s: got %q, want %q", x.name, got, x.text)
		}
		b, err := os.ReadFile(path)
		if kept := string(b) == "text" && err == nil; kept != x.kept {
			t.Errorf("%s: kept %t, want %t", x.name, kept, x.kept)
		}
		if _, err := os.Stat(path + partEnd); err == nil {
			t.Errorf("%s: a part stays", x.name)
		}
	}
}
