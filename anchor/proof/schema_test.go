package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaNode is what these tests read of a schema.
type schemaNode struct {
	Ref        string                 `json:"$ref"`
	Type       string                 `json:"type"`
	Const      string                 `json:"const"`
	Words      string                 `json:"description"`
	Enum       []string               `json:"enum"`
	OneOf      []schemaNode           `json:"oneOf"`
	Properties map[string]*schemaNode `json:"properties"`
	Required   []string               `json:"required"`
	Closed     *bool                  `json:"additionalProperties"`
	Items      *schemaNode            `json:"items"`
	Defs       map[string]*schemaNode `json:"$defs"`
	ID         string                 `json:"$id"`
}

func readSchema(t *testing.T) *schemaNode {
	t.Helper()
	var s schemaNode
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func (s *schemaNode) consts(t *testing.T) (words []string) {
	t.Helper()
	for _, one := range s.OneOf {
		if one.Words == "" {
			t.Errorf("%q says nothing", one.Const)
		}
		words = append(words, one.Const)
	}
	return words
}

// codeConstants returns the values of all constants of type Code.
func codeConstants(t *testing.T) (codes []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "level.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Code" {
			return true
		}
		for _, value := range v.Values {
			code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return true
	})
	return codes
}

// TestSchemaWords holds the schema's words to those of this package.
func TestSchemaWords(t *testing.T) {
	s := readSchema(t)
	compare := func(what string, got, want []string) {
		t.Helper()
		for _, word := range want {
			if !slices.Contains(got, word) {
				t.Errorf("%s: verdict.schema.json lacks %q", what, word)
			}
		}
		for _, word := range got {
			if !slices.Contains(want, word) {
				t.Errorf("%s: verdict.schema.json has %q, which there is not", what, word)
			}
		}
	}
	codes := codeConstants(t)
	if len(codes) < 50 {
		t.Errorf("only %d codes were found in level.go", len(codes))
	}
	compare("codes", s.Defs["code"].consts(t), codes)
	compare("levels", s.Defs["level"].consts(t), levelWords[:])
	compare("outcomes", s.Properties["outcome"].consts(t), []string{string(Verified), string(Refused), string(Unchecked)})
	compare("steps", s.Defs["check"].Properties["name"].Enum, stepNames[1:])
	if !strings.HasPrefix(s.ID, "urn:") {
		t.Errorf("$id %q", s.ID)
	}
}

// TestSchemaFields holds the schema's objects to the types that are written as
// JSON: the same names, required just where they are always written, no others.
func TestSchemaFields(t *testing.T) {
	root := readSchema(t)
	done := make(map[reflect.Type]bool)
	var walk func(path string, s *schemaNode, typ reflect.Type)
	walk = func(path string, s *schemaNode, typ reflect.Type) {
		if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
			if s = root.Defs[name]; s == nil {
				t.Errorf("%s: no $defs/%s", path, name)
				return
			}
		}
		switch typ.Kind() {
		case reflect.Pointer:
			walk(path, s, typ.Elem())
			return
		case reflect.Slice:
			if s.Items == nil {
				t.Errorf("%s is an array", path)
				return
			}
			walk(path+"[]", s.Items, typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if s.Closed == nil || *s.Closed {
			t.Errorf("%s lets in unknown fields", path)
		}
		if done[typ] {
			return
		}
		done[typ] = true
		var names, required []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			tag := f.Tag.Get("json")
			name, options, _ := strings.Cut(tag, ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			names = append(names, name)
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
			if p := s.Properties[name]; p != nil {
				walk(path+"."+name, p, f.Type)
			}
		}
		slices.Sort(names)
		slices.Sort(required)
		if got := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(got, names) {
			t.Errorf("%s: verdict.schema.json has\n%q, %v\n%q", path, got, typ, names)
		}
		if got := slices.Sorted(slices.Values(s.Required)); !slices.Equal(got, required) {
			t.Errorf("%s: verdict.schema.json requires\n%q, %v always has\n%q", path, got, typ, required)
		}
	}
	walk("verdict", root, reflect.TypeFor[Verdict]())
}

func compileSchema(t *testing.T) func(document []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:cairn:verdict:1", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:cairn:verdict:1")
	if err != nil {
		t.Fatal(err)
	}
	return func(document []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// TestSchema holds verdicts of all kinds against the schema.
func TestSchema(t *testing.T) {
	validate := compileSchema(t)
	seen := make(map[Code]int)
	check := func(name string, b []byte, o Options) {
		t.Helper()
		v := VerifyBytes(b, o)
		seen[v.Code]++
		if err := validate(v.JSON()); err != nil {
			t.Errorf("%s: %v\n%s", name, err, v.JSON())
		}
	}
	goldens, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range goldens {
		b, err := os.ReadFile("testdata/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		check(e.Name(), b, Options{})
		stem, proof := strings.CutSuffix(e.Name(), ".proof")
		if !proof {
			continue
		}
		o := goldenOptions(t, stem)
		check(e.Name(), b, o)
		o.Require = LevelLogged
		o.Trust = nil
		check(e.Name(), b, o)
		check(e.Name()+" cut", b[:len(b)-1], o)
		for i := 0; i < len(b)-sha256.Size; i += 61 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << (i % 8)
			if !bytes.HasPrefix(b, []byte(Magic)) { // version 1 checks another sum, and packs what it has
				sum := sha256.Sum256(bad[:len(bad)-sha256.Size])
				copy(bad[len(bad)-sha256.Size:], sum[:])
			}
			check(e.Name()+" flipped", bad, goldenOptions(t, stem))
		}
	}
	t.Logf("codes %v", seen)

	s := newSite("schema").build(5)
	v := VerifyBytes(mustEncode(t, s.file(t, 5, thePicks()...)), s.options(t, 5))
	good := v.JSON()
	if err := validate(good); err != nil {
		t.Errorf("a good verdict: %v", err)
	}
	for _, change := range []struct{ old, new string }{
		{`"outcome": "verified"`, `"outcome": "true"`},
		{`"outcome": "verified"`, `"outcome": "verified", "Outcome": "refused"`},
		{`"level": "anchored"`, `"level": "certain"`},
		{`"step": 1,`, `"step": 0,`},
		{`"step": 1,`, ``},
		{`"whole": true,`, `"whole": true, "more": 1,`},
		{`"ledger": "`, `"ledger": "0x`},
		{`"stream": 2,`, `"stream": -2,`},
		{`"identityChecked": true,`, `"identityChecked": true, "code": "because",`},
	} {
		bad := bytes.Replace(good, []byte(change.old), []byte(change.new), 1)
		if bytes.Equal(bad, good) || validate(bad) == nil {
			t.Errorf("%s in place of %s passes", change.new, change.old)
		}
	}
}

// goldenOptions returns what stands beside a golden file, if anything does.
func goldenOptions(t *testing.T, stem string) (o Options) {
	t.Helper()
	stem, _, _ = strings.Cut(stem, ".")
	if b, err := os.ReadFile("testdata/" + stem + ".policy"); err == nil {
		if o.Policy, err = ParsePolicy(b); err != nil {
			t.Fatal(err)
		}
	}
	var trust AnyTrust
	for _, name := range []string{".headers", ".bitcoin-headers"} {
		if b, err := os.ReadFile("testdata/" + stem + name); err == nil {
			h, err := ParseTrust(b)
			if err != nil {
				t.Fatal(err)
			}
			trust = append(trust, h)
		}
	}
	if len(trust) != 0 {
		o.Trust = trust
	}
	return o
}
