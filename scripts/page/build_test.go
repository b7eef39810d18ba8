package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// TestSameBytes makes the page twice: the bytes are the same, nothing in them is of this machine, and it is within its
// budget.
func TestSameBytes(t *testing.T) {
	one, err := build(root, "v1")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-tags=other")
	t.Setenv("GOARCH", "arm64")
	two, err := build(root, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("the same sources gave two pages")
	}
	packed, err := compress(one)
	if err != nil || len(packed) > budget {
		t.Errorf("%d bytes compressed, %v, want at most %d", len(packed), err, budget)
	}
	t.Logf("%d bytes, %d compressed", len(one), len(packed))
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"page": one, "program": program(t, one)} {
		for _, place := range []string{abs, os.TempDir() + "/cairn"} {
			if bytes.Contains(b, []byte(place)) {
				t.Errorf("the %s names %s, a folder of this machine", name, place)
			}
		}
	}
}

// program takes the program out of the page again.
func program(t *testing.T, page []byte) []byte {
	t.Helper()
	found := regexp.MustCompile(`id="program">([A-Za-z0-9+/=]+)</script>`).FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no program")
	}
	packed, err := base64.StdEncoding.DecodeString(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil || !bytes.HasPrefix(b, []byte("\x00asm")) {
		t.Fatalf("the program begins with %q, %v", b[:min(4, len(b))], err)
	}
	return b
}

// TestStandsAlone reads the page as a browser does: its policy allows the script and the style that it has, by their
// hashes, and it names nothing that would have to be fetched.
func TestStandsAlone(t *testing.T) {
	built, err := build(root, `v1"><script>`)
	if err != nil {
		t.Fatal(err)
	}
	page := string(built)
	for tag, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		inside := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		if len(inside) != 1 {
			t.Fatalf("%d elements %s, want one", len(inside), tag)
		}
		sum := sha256.Sum256([]byte(inside[0][1]))
		if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(page, want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	for _, bad := range []string{"unsafe-inline", "'unsafe-eval'", "http:", "https:", "{{"} {
		if i := strings.Index(without(page), bad); i >= 0 {
			t.Errorf("the page has %q: …%s…", bad, without(page)[max(0, i-40):i+40])
		}
	}
	if strings.Index(page, "Content-Security-Policy") > strings.Index(page, "<style>") {
		t.Error("the policy comes after what it is about")
	}
}

// without leaves out what only looks like an address: the name of SVG's namespace, and Go's runtime and program.
func without(page string) string {
	page = strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "")
	begin, end := strings.Index(page, `id="worker">`), strings.LastIndex(page, "<script>")
	return page[:begin] + page[end:]
}

func TestAssemble(t *testing.T) {
	whole := parts{
		html: "{{policy}} {{style}} {{script}} {{worker}} {{wasm}} {{program}} {{version}} {{go}} {{version}}",
		css:  "a{}", show: "1;", page: "2;", worker: "4;", runtime: "3;", version: "<v>", goVersion: "go1", program: []byte("p"), packed: []byte("z"),
	}
	got, err := whole.assemble()
	if err != nil {
		t.Fatal(err)
	}
	if want := " a{} \n1;\n\n2;\n \n3;\n\n4;\n eg== 148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 &lt;v&gt; go1 &lt;v&gt;"; !strings.HasSuffix(string(got), want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
	for name, change := range map[string]func(*parts){
		"a script that ends itself":       func(p *parts) { p.show = "'</SCRIPT>'" },
		"a style that ends itself":        func(p *parts) { p.css = "</style>" },
		"a comment of HTML":               func(p *parts) { p.worker = "x <!-- y" },
		"a line end that browsers change": func(p *parts) { p.page = "1;\r\n2;" },
		"an unknown place":                func(p *parts) { p.html += "{{else}}" },
		"no place for the script":         func(p *parts) { p.html = strings.Replace(p.html, "{{script}}", "", 1) },
	} {
		p := whole
		change(&p)
		if _, err := p.assemble(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "page.html")
	for _, text := range []string{"one", "two"} {
		if err := write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("got %q, %v, want %q", b, err, text)
		}
	}
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(all) != 1 {
		t.Errorf("%d files are left, %v", len(all), err)
	}
}
