//go:build !js

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	at := filepath.Join(t.TempDir(), "report.html")
	args := []string{"--policy", kept + "v0.policy", "--headers", kept + "v0.headers", "--report", at, "--limit", "T=4.063..", kept + "v0.proof"}
	code, out, errs := invoke(args...)
	if code != 0 || errs != "" || !strings.HasPrefix(out, "VERIFIED anchored") {
		t.Fatalf("%d %q %s", code, errs, out)
	}
	page, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(at); err != nil || info.Mode().Perm()&^0o022 != 0o644&^0o022 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	file, _ := os.ReadFile(kept + "v0.proof")
	digest := sha256.Sum256(file)
	for _, want := range []string{"VERIFIED", fmt.Sprintf("%x", digest[:4]), "v0.policy", "v0.headers", "4.063", "What was NOT checked"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the report lacks %q", want)
		}
	}

	// It is not written over, and nothing is checked then.
	if code, out, errs = invoke(args...); code != 2 || out != "" || !strings.Contains(errs, "is there already") {
		t.Errorf("again: %d %q %q", code, out, errs)
	}
	if again, _ := os.ReadFile(at); !bytes.Equal(again, page) {
		t.Error("the report was changed")
	}
}

// TestReportStatus has the report leave answer and status as they are, but for
// one that cannot be written.
func TestReportStatus(t *testing.T) {
	file, _ := os.ReadFile(kept + "v0.proof")
	file[2000] ^= 1
	damaged := write(t, file)
	cases := []struct {
		name, file string
		code       int
		word       string
	}{
		{"refused", damaged, 1, "REFUSED"},
		{"below", kept + "v0.proof", 1, "REFUSED"},
		{"no proof", kept + "v0.policy", 2, "COULD NOT CHECK"},
	}
	for _, c := range cases {
		at := filepath.Join(t.TempDir(), "report.html")
		_, plain, _ := invoke("--json", c.file)
		code, out, errs := invoke("--json", "--report", at, c.file)
		page, err := os.ReadFile(at)
		if code != c.code || out != plain || errs != "" || err != nil || !bytes.Contains(page, []byte(c.word)) {
			t.Errorf("%s: %d %q %v", c.name, code, errs, err)
		}
		if !json.Valid([]byte(out)) {
			t.Errorf("%s: no JSON", c.name)
		}
	}
	if code, out, errs := invoke("--report", filepath.Join(t.TempDir(), "no", "folder.html"), kept+"v0.proof"); code != 2 || !strings.HasPrefix(out, "REFUSED") || !strings.Contains(errs, "write the report") {
		t.Errorf("no folder: %d %q %q", code, out, errs)
	}
}

func TestReportFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--limit", "T=1..2", "f"}, "--limit is drawn into a --report"},
		{[]string{"--report", "r", "--limit", "T", "f"}, "name=least..greatest"},
		{[]string{"--report", "r", "--limit", "T=5..2", "f"}, "ends before it begins"},
		{[]string{"--report", "r", "--report", "s", "f"}, "given twice"},
		{[]string{"--report", "", "f"}, "without a value"},
	} {
		if code, out, errs := invoke(c.args...); code != 2 || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%q: %d %q %q", c.args, code, out, errs)
		}
	}
}

// TestReportNode names a node that was asked, and not its address, which may
// hold a key.
func TestReportNode(t *testing.T) {
	server := httptest.NewServer(node{})
	defer server.Close()
	at := filepath.Join(t.TempDir(), "report.html")
	invoke("--rpc", server.URL+"/v3/secret-key", "--report", at, kept+"v0.proof")
	page, err := os.ReadFile(at)
	if err != nil || bytes.Contains(page, []byte("secret-key")) || !bytes.Contains(page, []byte(strings.TrimPrefix(server.URL, "http://"))) {
		t.Errorf("the key or no host stands in the report: %v", err)
	}
}

func TestSchema(t *testing.T) {
	code, out, _ := invoke("--schema")
	if code != 0 || !strings.Contains(out, "urn:cairn:verdict:1") || !json.Valid([]byte(out)) {
		t.Errorf("%d %.80s", code, out)
	}
}
