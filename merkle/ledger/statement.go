package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

const statementType = "cairn/statement/1"

// Limits of a statement.
const (
	MaxStatement = 65536 // bytes of a statement
	MaxKeys      = 64    // in a body
	MaxElements  = 1024  // of an array in a body
	MaxText      = 4096  // bytes of a text or byte string in a body
	maxWord      = 32    // bytes of a kind or key
)

// Statement is one entry of the ledger's tree of statements.
//
// A Body maps keys to values of these types: int64, string, []byte, bool, and
// []any of them. ParseStatement gives no others. Append also takes int,
// uint32, uint64 up to 2^63-1 (all written as integers), merkle.Hash (a byte
// string) and []string (an array).
type Statement struct {
	Kind string // 1…32 lower case letters, digits and hyphens
	At   int64  // Unix milliseconds
	Body map[string]any
}

// Validate returns an ErrInvalid if no reader would accept the statement: for
// a type or a length that the format does not have, or if its kind is one of
// the Kind constants and its body not as the package doc says.
func (s Statement) Validate() error {
	if err := s.valid(); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	return nil
}

func (s Statement) valid() error {
	switch {
	case !validWord(s.Kind):
		return invalid("the kind is not 1 to 32 lower case letters, digits and hyphens")
	case s.At < 0:
		return invalid("a time before 1970")
	case len(s.Body) > MaxKeys:
		return invalid("over 64 keys")
	}
	plain := make(map[string]any, len(s.Body))
	for key, v := range s.Body {
		v, ok := normal(v)
		if !ok || !validWord(key) || !within(v) {
			return invalid(fmt.Sprintf("key %q or its value is outside the limits", key))
		}
		plain[key] = v
	}
	if len(s.Append(nil)) > MaxStatement {
		return invalid("over 65536 bytes")
	}
	return checkBody(s.Kind, plain)
}

func invalid(what string) error { return fmt.Errorf("%w: %s", ErrInvalid, what) }

func validWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxWord
}

// normal returns v as ParseStatement would give it.
func normal(v any) (any, bool) {
	switch v := v.(type) {
	case int64, string, []byte, bool:
		return v, true
	case int:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case merkle.Hash:
		return v[:], true
	case []string:
		all := make([]any, len(v))
		for i := range v {
			all[i] = v[i]
		}
		return all, true
	case []any:
		all := make([]any, len(v))
		for i := range v {
			e, ok := normal(v[i])
			if _, nested := e.([]any); nested || !ok {
				return nil, false
			}
			all[i] = e
		}
		return all, true
	}
	return nil, false
}

// within reports whether a normal value keeps the limits.
func within(v any) bool {
	switch v := v.(type) {
	case string:
		return len(v) <= MaxText && utf8.ValidString(v)
	case []byte:
		return len(v) <= MaxText
	case []any:
		return len(v) <= MaxElements && !slices.ContainsFunc(v, func(e any) bool { return !within(e) })
	}
	return true
}

// Append appends the item. It panics on a body with other types than
// Statement names; Validate tells beforehand.
func (s Statement) Append(dst []byte) []byte {
	dst = appendTime(cbor.AppendText(appendOpen(dst, 4, statementType), s.Kind), s.At)
	dst = cbor.AppendHead(dst, cbor.Map, uint64(len(s.Body)))
	for _, key := range slices.SortedFunc(maps.Keys(s.Body), compareKeys) {
		v, ok := normal(s.Body[key])
		if !ok {
			panic(fmt.Sprintf("ledger: statement %s: no encoding for %s, a %T", s.Kind, key, s.Body[key]))
		}
		dst = appendAny(cbor.AppendText(dst, key), v)
	}
	return dst
}

// compareKeys orders keys by their encodings, bytewise (RFC 8949 section
// 4.2.1): the head comes first, so the shorter key does.
func compareKeys(a, b string) int {
	return bytes.Compare(cbor.AppendText(nil, a), cbor.AppendText(nil, b))
}

func appendAny(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return cbor.AppendInt(dst, v)
	case string:
		return cbor.AppendText(dst, v)
	case []byte:
		return cbor.AppendBytes(dst, v)
	case bool:
		return appendBool(dst, v)
	case []any:
		dst = cbor.AppendHead(dst, cbor.Array, uint64(len(v)))
		for _, e := range v {
			dst = appendAny(dst, e)
		}
		return dst
	}
	panic(fmt.Sprintf("ledger: no encoding for a %T", v))
}

// ParseStatement parses a statement item, of a known kind or not. It accepts
// just what Append writes of a statement that is valid.
func ParseStatement(item []byte) (Statement, error) {
	d := decode("statement", item, MaxStatement, 4, statementType)
	s := Statement{Kind: d.Text(maxWord, "the kind"), At: d.time("the time")}
	d.require(validWord(s.Kind), "the kind is not 1 to 32 lower case letters, digits and hyphens")
	s.Body = d.body()
	if d.Err == nil {
		if err := checkBody(s.Kind, s.Body); err != nil {
			d.Err = err
		}
	}
	return finish(d, s)
}

func (d *decoder) body() map[string]any {
	n := d.Expect(cbor.Map, "the body")
	d.require(n <= MaxKeys, "over 64 keys")
	if d.Err != nil {
		return nil
	}
	body := make(map[string]any, n)
	last := ""
	for i := range n {
		key := d.Text(maxWord, "a key")
		d.require(validWord(key), "a key is not 1 to 32 lower case letters, digits and hyphens")
		if d.Err == nil && i > 0 && compareKeys(last, key) >= 0 {
			d.Fail(ErrEncoding, "keys are out of order")
		}
		last = key
		body[key] = d.any(true)
	}
	return body
}

// any reads a value of a body: a scalar, or where arrays are allowed an array
// of them.
func (d *decoder) any(arrays bool) any {
	major, n := d.Head()
	switch {
	case d.Err != nil:
	case major == cbor.Uint || major == cbor.Negative:
		return d.IntOf(major, n)
	case major == cbor.Text:
		return d.TextOf(n, MaxText, "a text")
	case major == cbor.Bytes:
		return bytes.Clone(d.BytesOf(n, MaxText, "a byte string"))
	case major == cbor.Simple && (n == cbor.False&0x1f || n == cbor.True&0x1f):
		return n == cbor.True&0x1f
	case major == cbor.Array && arrays:
		if n > MaxElements {
			d.Fail(ErrInvalid, "an array of over 1024 elements")
			return nil
		}
		all := make([]any, 0, n)
		for range n {
			all = append(all, d.any(false))
		}
		return all
	default:
		d.Fail(ErrItem, "a value has major type %d, argument %d", major>>5, n)
	}
	return nil
}

// Uint returns the unsigned integer under a key of the body, and whether there
// is one.
func (s Statement) Uint(key string) (uint64, bool) {
	v, _ := normal(s.Body[key])
	n, ok := v.(int64)
	return uint64(n), ok && n >= 0
}

// Text returns the text under a key of the body, and whether there is one.
func (s Statement) Text(key string) (string, bool) {
	t, ok := s.Body[key].(string)
	return t, ok
}

// Bytes returns the byte string under a key of the body, and whether there is
// one.
func (s Statement) Bytes(key string) ([]byte, bool) {
	v, _ := normal(s.Body[key])
	b, ok := v.([]byte)
	return b, ok
}

// Texts returns the array of texts under a key of the body, and whether there
// is one.
func (s Statement) Texts(key string) ([]string, bool) {
	v, _ := normal(s.Body[key])
	all, ok := v.([]any)
	texts := make([]string, len(all))
	for i := range all {
		var is bool
		if texts[i], is = all[i].(string); !is {
			return nil, false
		}
	}
	return texts, ok
}
