package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// sources is the folder of the page's own sources.
const sources = "cmd/cairn-verify/page"

// build makes the page from the module in root.
func build(root, version string) ([]byte, error) {
	program, err := compile(root)
	if err != nil {
		return nil, err
	}
	packed, err := compress(program)
	if err != nil {
		return nil, err
	}
	goroot, err := goEnv("GOROOT")
	if err != nil {
		return nil, err
	}
	goVersion, err := goEnv("GOVERSION")
	if err != nil {
		return nil, err
	}
	p := parts{version: version, goVersion: goVersion, program: program, packed: packed}
	for _, from := range []struct {
		to   *string
		path string
	}{
		{&p.html, filepath.Join(root, sources, "index.html")},
		{&p.css, filepath.Join(root, sources, "page.css")},
		{&p.show, filepath.Join(root, sources, "show.js")},
		{&p.page, filepath.Join(root, sources, "page.js")},
		{&p.worker, filepath.Join(root, sources, "worker.js")},
		{&p.runtime, filepath.Join(goroot, "lib", "wasm", "wasm_exec.js")},
	} {
		b, err := os.ReadFile(from.path)
		if err != nil {
			return nil, fmt.Errorf("read the page's sources: %w", err)
		}
		*from.to = string(b)
	}
	return p.assemble()
}

// compile builds cairn-verify for browsers. What could make the same sources give other bytes is left out: paths, the
// state of the repository, the caller's settings.
func compile(root string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "cairn-page-")
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "cairn-verify.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./cmd/cairn-verify")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=", "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile cairn-verify for browsers: %w\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return b, nil
}

func goEnv(name string) (string, error) {
	b, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its %s: %w", name, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// parts is what the page is assembled from.
type parts struct {
	html, css, show, page, worker string
	runtime                       string // Go's, for WebAssembly
	version, goVersion            string
	program, packed               []byte // the program, and the same compressed
}

var marker = regexp.MustCompile(`\{\{[a-z]+\}\}`)

// assemble puts the parts into the places that the HTML marks. What fills a place is not looked at for others.
func (p *parts) assemble() ([]byte, error) {
	style := p.css
	script := wrapped(p.show) + wrapped(p.page)
	worker := wrapped(p.runtime) + wrapped(p.worker)
	for name, text := range map[string]string{"style": style, "script": script, "worker": worker} {
		if err := plain(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	digest := sha256.Sum256(p.program)
	fill := map[string]string{
		"policy": policy(script, style), "style": style, "script": script, "worker": worker,
		"wasm": base64.StdEncoding.EncodeToString(p.packed), "program": hex.EncodeToString(digest[:]),
		"version": html.EscapeString(p.version), "go": html.EscapeString(p.goVersion),
	}
	var problem error
	used := map[string]bool{}
	page := marker.ReplaceAllStringFunc(p.html, func(m string) string {
		name := strings.Trim(m, "{}")
		text, ok := fill[name]
		if !ok {
			problem = errors.Join(problem, fmt.Errorf("index.html wants %s, which there is not", m))
		}
		used[name] = true
		return text
	})
	for name := range fill {
		if !used[name] {
			problem = errors.Join(problem, fmt.Errorf("index.html has no place for {{%s}}", name))
		}
	}
	return []byte(page), problem
}

// wrapped begins and ends a script with a new line, so that nothing joins.
func wrapped(text string) string { return "\n" + strings.TrimSpace(text) + "\n" }

// plain refuses what a browser would not take as it stands between two tags.
func plain(text string) error {
	lower := strings.ToLower(text)
	for _, bad := range []string{"</script", "</style", "<!--", "<script", "\r"} {
		if strings.Contains(lower, bad) {
			return fmt.Errorf("it has %q, which ends or changes what stands in a page", bad)
		}
	}
	return nil
}

// policy is the page's Content-Security-Policy. Its own script and style are allowed by their hash, the worker as a
// blob, WebAssembly by name, its icon as data; nothing else is, and no request of any kind. The last two say that no
// text ever becomes markup or code, except that the page makes the address of its worker.
func policy(script, style string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src " + hash(script) + " 'wasm-unsafe-eval'", "style-src " + hash(style),
		"worker-src blob:", "img-src data:", "connect-src 'none'", "frame-src 'none'", "object-src 'none'",
		"form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'", "trusted-types cairn-worker",
	}, "; ")
}
