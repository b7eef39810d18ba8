package proof

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestGolden freezes version 0: these files were written once, and whatever
// changes later must write the same bytes and still find them anchored.
func TestGolden(t *testing.T) {
	s := newSite("golden").build(5)
	files := map[string][]byte{
		"v0.proof":   mustEncode(t, s.file(t, 5, thePicks()...)),
		"v0.policy":  s.policy().Append(nil),
		"v0.headers": AppendHeader(nil, 1, s.receipt(t, 5).Header),
	}
	kept := map[string][]byte{}
	for name, b := range files {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if kept[name], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept[name], b) {
			t.Errorf("%s is not what is written now", path)
		}
	}
	policy, err := ParsePolicy(kept["v0.policy"])
	if err != nil {
		t.Fatal(err)
	}
	headers, err := ParseHeaders(kept["v0.headers"])
	if err != nil {
		t.Fatal(err)
	}
	if v := VerifyBytes(kept["v0.proof"], Options{Policy: policy, Trust: headers}); v.Level != LevelAnchored {
		t.Error(v.Text())
	}
}

func ExampleVerifyBytes() {
	file, _ := os.ReadFile("testdata/v0.proof")
	text, _ := os.ReadFile("testdata/v0.policy")
	headers, _ := os.ReadFile("testdata/v0.headers")

	policy, err := ParsePolicy(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	final, err := ParseHeaders(headers)
	if err != nil {
		fmt.Println(err)
		return
	}
	v := VerifyBytes(file, Options{Policy: policy, Trust: final})
	fmt.Println(v.Outcome, v.Level, v.NotAfter.Time)

	file[2000] ^= 1
	v = VerifyBytes(file, Options{Policy: policy, Trust: final})
	fmt.Println(v.Outcome, v.Level, v.Code)
	// Output:
	// verified anchored 2025-10-09T10:00:00.000Z
	// refused none file-damaged
}
