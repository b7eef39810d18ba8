package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"strings"
	"testing"
)

// wellFormed holds that every element is closed where it must be.
func wellFormed(t *testing.T, page []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("at byte %d </%s> closes %v", d.InputOffset(), e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) != 0 {
		t.Errorf("not closed: %v", open)
	}
}

// TestOneWay reads this package's source: text becomes markup nowhere but in
// digits, which lets hexadecimal digits alone through, and nothing is written
// past put.
func TestOneWay(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	conversions := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			f, _ := declaration.(*ast.FuncDecl)
			ast.Inspect(declaration, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				at := files.Position(call.Pos())
				switch fun := call.Fun.(type) {
				case *ast.Ident:
					if fun.Name != "markup" {
						break
					}
					if _, constant := call.Args[0].(*ast.BasicLit); !constant {
						if conversions++; f == nil || f.Name.Name != "digits" {
							t.Errorf("%v: text is made markup", at)
						}
					}
				case *ast.SelectorExpr:
					if strings.HasPrefix(fun.Sel.Name, "Write") && e.Name() != "page.go" {
						t.Errorf("%v: written past put", at)
					}
				}
				return true
			})
		}
	}
	if conversions != 1 {
		t.Errorf("%d conversions to markup were found, there is one", conversions)
	}
	if got := digits(`ab"}`); got != "" {
		t.Errorf("digits lets %q through", got)
	}
}

func TestVisible(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"fridge 4 °C", "fridge 4 °C"},
		{"a\nb\tc", "a⟨U+000A⟩b⟨U+0009⟩c"},
		{"\u202egp.exe", "⟨U+202E⟩gp.exe"},
		{"a\u200bb\u00adc\u00a0d\u3164", "a⟨U+200B⟩b⟨U+00AD⟩c⟨U+00A0⟩d⟨U+3164⟩"},
		{"\xff\ufffd", "⟨byte FF⟩\ufffd"},
		{"e\u0301\u0301\u0301", "e\u0301\u0301⟨U+0301⟩"},
		{"0123456789", "01234567… (2 more bytes)"},
		{"שלום", "שלום"},
		{"", ""},
	} {
		most := 40
		if strings.HasPrefix(c.in, "0123") {
			most = 8
		}
		if got := visible(c.in, most); got != c.want {
			t.Errorf("visible(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestPut(t *testing.T) {
	var b bytes.Buffer
	p := newPage(&b)
	p.put(`<i x="%">%|%|%|%|%</i>`, `"><b>`, foreign("<&"), 12_345, uint64(12_345), coordinate(1.25), markup("<u>%</u>"))
	p.w.Flush()
	want := `<i x="&#34;&gt;&lt;b&gt;"><bdi>&lt;&amp;</bdi>|12,345|12345|1.2|<u>%</u></i>`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
	for _, args := range [][]any{{1, 2}, {1, 2, 3, 4}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d arguments for three places", len(args))
				}
			}()
			p.put("% % %", args...)
		}()
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[string]string{"0": "0", "999": "999", "1000": "1,000", "-1234567": "-1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%s) = %s, want %s", n, got, want)
		}
	}
	if got, want := inGroups("0x0123456789abcdef01"), "0x 01234567 89abcdef 01"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
