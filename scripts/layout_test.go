package scripts

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "cairn"

// anything stands for every package of this module.
const anything = "*"

// layout is the table of rooms: each package, and what of this module its code may import. A package that is
// not here has no place. Tests may import more; see checkTestImports.
var layout = map[string][]string{
	"merkle":        nil,
	"merkle/cbor":   nil,
	"merkle/ledger": {"merkle", "merkle/cbor"},

	"ingest/frame":   nil,
	"ingest/reading": {"merkle", "merkle/cbor"},
	"ingest/message": {"ingest/frame", "ingest/reading"},
	"ingest":         {"ingest/frame", "ingest/reading", "ingest/message", "merkle/ledger"},
	"ingest/alert":   {"ingest/reading"},
	"ingest/mqtt":    {"ingest", "ingest/frame", "ingest/message", "ingest/reading"},

	"store":        {"merkle", "merkle/cbor", "merkle/ledger", "ingest/frame", "ingest/reading", "store/share"},
	"store/share":  nil,
	"store/ipfs":   nil,
	"store/mirror": {"store", "store/share", "store/ipfs", "merkle", "merkle/ledger", "ingest/reading", "anchor/proof"},

	"anchor":          {"merkle"},
	"anchor/ask":      nil,
	"anchor/conform":  {"anchor"},
	"anchor/ethereum": {"anchor", "anchor/proof", "contracts"},
	"anchor/bitcoin":  {"anchor", "anchor/proof", "contracts"},
	"anchor/ots":      {"anchor", "anchor/proof", "contracts"},
	"anchor/proof":    {"merkle", "merkle/cbor", "merkle/ledger", "ingest/reading"},
	"anchor/witness":  {"merkle"},

	"anchor/proof/report": {"anchor/proof", "merkle", "merkle/ledger", "ingest/reading"},

	"contracts": nil,

	"cmd/cairn":        {anything},
	"cmd/cairn/web":    {anything},
	"cmd/cairn-verify": {"anchor/ask", "anchor/proof", "anchor/proof/report", "ingest/frame", "ingest/message", "ingest/reading"},
	"cmd/cairn-demo":   {anything},

	"scripts":                 nil,
	"scripts/anvil":           {"scripts/tool"},
	"scripts/benchtable":      nil,
	"scripts/btcd":            {"scripts/tool"},
	"scripts/calendar":        {"scripts/btcd", "anchor/proof"},
	"scripts/chromium":        {"scripts/tool"},
	"scripts/mosquitto":       {"scripts/tool"},
	"scripts/contractgen":     nil,
	"scripts/debian":          {"scripts/tool"},
	"scripts/ipfs":            {"scripts/tool"},
	"scripts/node":            nil,
	"scripts/package":         nil,
	"scripts/page":            nil,
	"scripts/spine":           nil,
	"scripts/tool":            nil,
	"scripts/tools/tdwitness": nil, // a module of its own
	"scripts/witness":         {"scripts/tool"},
}

// topLevel is every folder that the module's root may hold, with the two that builds and demos write; those that
// begin with a dot are not looked at.
var topLevel = []string{"cmd", "anchor", "contracts", "merkle", "ingest", "store", "scripts", "bin", "demo-data"}

// heavy is a dependency and the only rooms whose code may import it. A room with /... takes in those below it.
type heavy struct {
	prefix string
	except []string // exact packages under the prefix that the rule leaves alone
	rooms  []string
}

var heavies = []heavy{
	{prefix: "github.com/cockroachdb/pebble", rooms: []string{"store"}},
	{prefix: "github.com/spf13/viper", rooms: []string{"cmd/..."}},
	{prefix: "github.com/spf13/cobra", rooms: []string{"cmd/..."}},
	{
		// Everything of go-ethereum that could bring in a client, an account or the EVM.
		prefix: "github.com/ethereum/go-ethereum",
		except: ethereumBytes,
		rooms:  []string{"anchor/ethereum", "contracts", "cmd/cairn-demo", "scripts/contractgen"},
	},
	{
		// Its formats and tries are for those who build or check receipts.
		prefix: "github.com/ethereum/go-ethereum",
		rooms:  []string{"anchor/ethereum", "anchor/proof", "contracts", "cmd/...", "scripts/..."},
	},
	{prefix: "github.com/btcsuite/btcd", rooms: []string{"anchor/bitcoin", "scripts/btcd", "scripts/calendar"}},
	{prefix: "github.com/cloudflare/circl", rooms: []string{"store/share"}},
	{prefix: "github.com/ipfs", rooms: []string{"store/ipfs"}},
	{prefix: "github.com/eclipse", rooms: []string{"ingest/mqtt"}},
	{prefix: "github.com/wneessen/go-mail", rooms: []string{"ingest/alert"}},
	{prefix: "github.com/coreos/go-systemd", rooms: []string{"cmd/cairn"}},
	{prefix: "github.com/chromedp", rooms: []string{"scripts/chromium"}},
	// Those whose formats are written here are for tests alone: what we write must not come from them.
	{prefix: "filippo.io/torchwood"},
	{prefix: "github.com/transparency-dev", rooms: []string{"scripts/tools/tdwitness"}},
	{prefix: "github.com/veraison/go-cose"},
}

// ethereumBytes is the part of go-ethereum that only knows bytes: what the offline verifier may link.
var ethereumBytes = []string{
	"github.com/ethereum/go-ethereum/trie",
	"github.com/ethereum/go-ethereum/core/types",
	"github.com/ethereum/go-ethereum/rlp",
	"github.com/ethereum/go-ethereum/common",
	"github.com/ethereum/go-ethereum/crypto",
	"github.com/ethereum/go-ethereum/crypto/keccak",
}

// pure rooms touch no file, no network and no clock.
var pure = []string{"merkle", "merkle/ledger", "ingest/frame", "ingest/reading", "ingest/message"}

// ambient is what only cmd may use: flags, the environment and the process-wide logger are passed down.
// An empty list of names means the whole package.
var ambient = map[string][]string{
	"flag": nil,
	"os":   {"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
	"log":  nil,
	"log/slog": {"Default", "SetDefault", "Debug", "DebugContext", "Info", "InfoContext", "Warn", "WarnContext",
		"Error", "ErrorContext", "Log", "LogAttrs", "With"},
}

// impure is what the pure rooms may not use, in the same form.
var impure = map[string][]string{
	"os":        nil,
	"os/exec":   nil,
	"io/ioutil": nil,
	"syscall":   nil,
	"net":       nil,
	"net/http":  nil,
	"time":      {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
}

// source is one parsed Go file of the module.
type source struct {
	dir  string // slash-separated, relative to the root; "." for the root
	name string
	test bool
	ast  *ast.File
}

func TestLayout(t *testing.T) {
	files := parseTree(t)
	dirs := map[string]bool{}
	for _, f := range files {
		for _, problem := range check(f) {
			t.Errorf("%s/%s: %s", f.dir, f.name, problem)
		}
		dirs[f.dir] = true
	}
	if !dirs["scripts"] {
		t.Error("the walk did not even find this test")
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatalf("read root: %v", err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("folder %s at the top level: its place is inside one of %v", e.Name(), topLevel)
		}
	}
}

// The table itself must not contradict what it says about itself.
func TestTableIsSound(t *testing.T) {
	for room, imports := range layout {
		for _, i := range imports {
			if _, ok := layout[i]; i != anything && !ok {
				t.Errorf("room %s may import %s, which has no place", room, i)
			}
		}
		if cycle := findCycle(room, nil); cycle != nil {
			t.Errorf("rooms import each other in a circle: %v", cycle)
		}
	}
}

func findCycle(room string, seen []string) []string {
	if slices.Contains(seen, room) {
		return append(seen, room)
	}
	for _, next := range layout[room] {
		if next == anything {
			continue
		}
		if cycle := findCycle(next, append(slices.Clone(seen), room)); cycle != nil {
			return cycle
		}
	}
	return nil
}

// The checks are only worth something if they fail when they should.
func TestChecksCatch(t *testing.T) {
	tests := []struct {
		dir, file, src, want string
	}{
		{"helpers", "a.go", `package a`, "has no place"},
		{"merkle", "a.go", `package a; import _ "cairn/store"`, "may not import cairn/store"},
		{"merkle", "a.go", `package a; import "time"; var x = time.Now`, "time.Now"},
		{"merkle", "a.go", `package a; import _ "os"`, "imports os"},
		{"merkle", "a.go", `package a; import . "time"`, "dot import"},
		{"merkle", "a.go", `package a; import clock "time"; var x = clock.Now()`, "time.Now"},
		{"store", "a.go", `package a; import _ "cairn/ingest"`, "may not import cairn/ingest"},
		{"ingest", "a.go", `package a; import _ "github.com/cockroachdb/pebble/v2"`, "belongs in [store]"},
		{"store", "a.go", `package a; import _ "github.com/spf13/viper"`, "belongs in [cmd/...]"},
		{"anchor/proof", "a.go", `package a; import _ "github.com/ethereum/go-ethereum/ethclient"`, "belongs in"},
		{"anchor", "a.go", `package a; import _ "github.com/ethereum/go-ethereum/common"`, "belongs in"},
		{"anchor/proof", "a.go", `package a; import _ "github.com/btcsuite/btcd/wire/v2"`, "belongs in [anchor/bitcoin"},
		{"cmd/cairn-verify", "a.go", `package a; import _ "cairn/store"`, "may not import cairn/store"},
		{"store", "a.go", `package a; import "log/slog"; var x = slog.Default()`, "slog.Default"},
		{"store", "a.go", `package a; import "os"; var x = os.Getenv("X")`, "os.Getenv"},
		{"store", "a.go", `package a; import _ "flag"`, "imports flag"},
		{"store", "a_test.go", `package a; import _ "cairn/cmd/cairn/web"`, "cairn/cmd/cairn/web"},
		// and what must pass
		{"store", "a_test.go", `package a; import _ "cairn/anchor/proof"`, ""},
		{"store", "a.go", `package a; import ("os"; "log/slog"); var x, y = os.Open, slog.New`, ""},
		{"anchor/proof", "a.go", `package a; import _ "github.com/ethereum/go-ethereum/trie"`, ""},
		{"cmd/cairn", "a.go", `package a; import ("os"; _ "cairn/store"); var x = os.Getenv("X")`, ""},
		{"merkle", "a.go", `package a; import "time"; var x time.Duration`, ""},
	}
	for _, tt := range tests {
		parsed, err := parser.ParseFile(token.NewFileSet(), tt.file, tt.src, 0)
		if err != nil {
			t.Fatalf("%s: %v", tt.src, err)
		}
		got := check(source{tt.dir, tt.file, strings.HasSuffix(tt.file, "_test.go"), parsed})
		if tt.want == "" && len(got) > 0 {
			t.Errorf("%s in %s: got %v, want no problem", tt.src, tt.dir, got)
		}
		if tt.want != "" && !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, tt.want) }) {
			t.Errorf("%s in %s: got %v, want a problem with %q", tt.src, tt.dir, got, tt.want)
		}
	}
}

// parseTree parses every Go file of the module, whatever its build constraints: a file for another system
// has the same place. Only at the root are files left out that no ordinary build takes.
func parseTree(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatalf("find root: %v", err)
	}
	var files []source
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // a build or a test next door may just have removed it
			return nil
		case err != nil:
			return err
		case d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go"):
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		if match, err := build.Default.MatchFile(filepath.Dir(p), d.Name()); dir == "." && (err != nil || !match) {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		files = append(files, source{dir, d.Name(), strings.HasSuffix(p, "_test.go"), parsed})
		return nil
	})
	if err != nil {
		t.Fatalf("walk the module: %v", err)
	}
	return files
}

// check returns what is wrong with one file.
func check(f source) []string {
	allowed, placed := layout[f.dir]
	if !placed {
		return []string{fmt.Sprintf("package %s has no place in the layout", f.dir)}
	}
	imports, problems := importsOf(f.ast)
	if f.test {
		return append(problems, checkTestImports(f.dir, imports)...)
	}
	for _, imported := range imports {
		problems = append(problems, checkImport(f.dir, allowed, imported)...)
	}
	if !inRoom(f.dir, "cmd/...") && !inRoom(f.dir, "scripts/...") {
		problems = append(problems, checkUse(f.ast, imports, ambient, "only cmd knows it")...)
	}
	if slices.Contains(pure, f.dir) {
		problems = append(problems, checkUse(f.ast, imports, impure, "this package is pure")...)
	}
	return problems
}

// importsOf maps the local name of each import to its path; unnamed ones are known by their path's last
// element, which holds for every package that checkUse asks about.
func importsOf(f *ast.File) (imports map[string]string, problems []string) {
	imports = map[string]string{}
	for i, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			problems = append(problems, fmt.Sprintf("import %s cannot be read", spec.Path.Value))
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		switch {
		case name == ".":
			problems = append(problems, fmt.Sprintf("dot import of %s hides what is used", p))
			name = strconv.Itoa(i)
		case name == "_" || imports[name] != "":
			name = strconv.Itoa(i)
		}
		imports[name] = p
	}
	return imports, problems
}

func checkImport(dir string, allowed []string, imported string) (problems []string) {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		if !slices.Contains(allowed, own) && !slices.Contains(allowed, anything) {
			problems = append(problems, fmt.Sprintf("%s may not import %s, only %v", dir, imported, allowed))
		}
	}
	for _, h := range heavies {
		if imported != h.prefix && !strings.HasPrefix(imported, h.prefix+"/") || slices.Contains(h.except, imported) {
			continue
		}
		if !slices.ContainsFunc(h.rooms, func(room string) bool { return inRoom(dir, room) }) {
			problems = append(problems, fmt.Sprintf("import of %s belongs in %v", imported, h.rooms))
		}
	}
	return problems
}

// checkTestImports lets tests import any room but the commands, which only their own tests may.
func checkTestImports(dir string, imports map[string]string) (problems []string) {
	for _, imported := range imports {
		if strings.HasPrefix(imported, module+"/cmd/") && !inRoom(dir, "cmd/...") {
			problems = append(problems, fmt.Sprintf("a test of %s may not import %s", dir, imported))
		}
	}
	return problems
}

// checkUse finds imports of whole packages and mentions of single names that are forbidden.
func checkUse(f *ast.File, imports map[string]string, forbidden map[string][]string, why string) (problems []string) {
	for _, imported := range imports {
		if names, ok := forbidden[imported]; ok && names == nil {
			problems = append(problems, fmt.Sprintf("imports %s: %s", imported, why))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && slices.Contains(forbidden[imports[x.Name]], selector.Sel.Name) {
			problems = append(problems, fmt.Sprintf("uses %s.%s: %s", imports[x.Name], selector.Sel.Name, why))
		}
		return true
	})
	return problems
}

func inRoom(dir, room string) bool {
	if above, ok := strings.CutSuffix(room, "/..."); ok {
		return dir == above || strings.HasPrefix(dir, above+"/")
	}
	return dir == room
}
