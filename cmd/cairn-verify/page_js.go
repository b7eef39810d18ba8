//go:build js && wasm

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"syscall/js"
	"time"

	"cairn/anchor/proof"
	"cairn/anchor/proof/report"
)

// forPage gives the page in the folder page what it calls:
//
//	cairnAbout() → JSON: {"go", "formats", "maxFile", "maxHeaders"}
//	cairnCheck(file: Uint8Array, options) → {kind, json, text, sha256} or {error}
//	cairnReport(file: Uint8Array, options, names) → {html} or {error}
//
// options is an object {policy: Uint8Array, headers: [Uint8Array…], blocks: [string…], require: string} and, for
// an OpenTimestamps file, {network: string, depth: string, data: {name: string, read(from, n) → Uint8Array}}, each
// of them optional. kind says what the file is: "proof", "stamp" (of OpenTimestamps) or "fraud" (evidence of it). json is
// the verdict as the command prints it with --json, text as without, sha256 the file's in hexadecimal. names is an object {verifier, file, policy: string, headers, limits: [string…]}: what the report
// calls things, and limits to draw into it.
func forPage(global js.Value) {
	set := func(name string, f func(args []js.Value) (map[string]any, error)) {
		global.Set(name, js.FuncOf(func(_ js.Value, args []js.Value) any {
			answer, err := f(args)
			if err != nil {
				return map[string]any{"error": err.Error()}
			}
			return answer
		}))
	}
	global.Set("cairnAbout", js.FuncOf(func(js.Value, []js.Value) any { return about() }))
	set("cairnCheck", check)
	set("cairnReport", reportOf)
}

// formats is what the page reads.
const formats = "proof files of versions 0 and 1, OpenTimestamps files, evidence of fraud"

func about() string {
	b, err := json.Marshal(map[string]any{
		"go": runtime.Version(), "formats": formats, "maxFile": proof.MaxFile, "maxHeaders": proof.MaxHeaders,
	})
	if err != nil {
		return "{}"
	}
	return string(b)
}

// question is a file and what it is to be checked against.
type question struct {
	file    []byte
	request request
	headers [][]byte
	options proof.Options
}

func check(args []js.Value) (map[string]any, error) {
	q, err := asked(args)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(q.file)
	var kind string
	var v interface {
		JSON() []byte
		Text() string
	}
	switch {
	case proof.IsFraud(q.file):
		if len(q.headers)+len(q.request.Blocks) != 0 {
			return nil, errors.New("evidence of fraud rests on signatures alone: give no more than a policy, for whose ledger it is")
		}
		f := proof.VerifyFraud(q.file, q.options)
		kind, v = "fraud", &f
	case proof.IsOTS(q.file):
		o, err := q.foreign(args[1])
		if err != nil {
			return nil, err
		}
		f := proof.VerifyForeign(q.file, o)
		kind, v = "stamp", &f
	default:
		p := proof.VerifyBytes(q.file, q.options)
		kind, v = "proof", &p
	}
	return map[string]any{"kind": kind, "json": string(v.JSON()), "text": v.Text(), "sha256": hex.EncodeToString(sum[:])}, nil
}

// asked reads the arguments.
func asked(args []js.Value) (q question, err error) {
	if len(args) < 2 || args[1].Type() != js.TypeObject {
		return q, errors.New("a file and options are wanted")
	}
	if q.file, err = bytesOf(args[0], proof.MaxFile); err != nil {
		return q, err
	}
	given := args[1]
	if p := given.Get("policy"); !p.IsUndefined() {
		b, err := bytesOf(p, proof.MaxFile)
		if err != nil {
			return q, err
		}
		text := string(b)
		q.request.Policy = &text
	}
	q.request.Require = textOf(given.Get("require"))
	q.request.Blocks = textsOf(given.Get("blocks"))
	for _, array := range elements(given.Get("headers")) {
		b, err := bytesOf(array, proof.MaxHeaders)
		if err != nil {
			return q, err
		}
		q.headers = append(q.headers, b)
	}
	q.options, err = q.request.options(q.headers)
	return q, err
}

// foreign is the question about an OpenTimestamps file.
func (q *question) foreign(given js.Value) (o proof.ForeignOptions, err error) {
	if q.request.Policy != nil {
		return o, errors.New("a policy is of a ledger, and an OpenTimestamps file has none: give headers alone")
	}
	o = proof.ForeignOptions{Network: textOf(given.Get("network")), Trust: q.options.Trust, Require: q.options.Require}
	if o.Network != "" {
		if err := proof.CheckNetwork(o.Network); err != nil {
			return o, err
		}
	}
	if depth := textOf(given.Get("depth")); depth != "" {
		if o.Depth, err = strconv.ParseUint(depth, 10, 16); err != nil || o.Depth == 0 {
			return o, fmt.Errorf("depth %.20q is no number of blocks from 1 to 65535", depth)
		}
	}
	if data := given.Get("data"); data.Type() == js.TypeObject {
		o.Data, o.Name = &blob{data: data}, textOf(data.Get("name"))
	}
	return o, nil
}

// blob reads a file of the page piece by piece, however long it is.
type blob struct {
	data js.Value
	at   float64 // bytes read
}

func (b *blob) Read(p []byte) (int, error) {
	const piece = 1 << 20
	array := b.data.Call("read", b.at, min(len(p), piece))
	n := js.CopyBytesToGo(p, array)
	if n == 0 {
		return 0, io.EOF
	}
	b.at += float64(n)
	return n, nil
}

func reportOf(args []js.Value) (map[string]any, error) {
	if len(args) < 3 || args[2].Type() != js.TypeObject {
		return nil, errors.New("a file, options and names are wanted")
	}
	q, err := asked(args)
	if err != nil {
		return nil, err
	}
	if proof.IsOTS(q.file) || proof.IsFraud(q.file) {
		return nil, errors.New("a report is of a proof file")
	}
	names := args[2]
	o := report.Options{
		File: input("proof file", textOf(names.Get("file")), q.file), Policy: q.options.Policy,
		Verifier: textOf(names.Get("verifier")), Made: time.Now(),
	}
	if q.request.Policy != nil {
		o.Given = append(o.Given, input("policy", textOf(names.Get("policy")), []byte(*q.request.Policy)))
	}
	called := textsOf(names.Get("headers"))
	for i, b := range q.headers {
		name := ""
		if i < len(called) {
			name = called[i]
		}
		o.Given = append(o.Given, input("headers file", name, b))
	}
	for _, hash := range q.request.Blocks {
		o.Given = append(o.Given, report.Input{What: "block hash", Name: hash, Size: -1})
	}
	for _, text := range textsOf(names.Get("limits")) {
		l, err := report.ParseLimit(text)
		if err != nil {
			return nil, err
		}
		o.Limits = append(o.Limits, l)
	}
	var v proof.Verdict
	f, err := proof.Decode(q.file)
	if err != nil {
		f, v = nil, proof.VerifyBytes(q.file, q.options) // which says what is wrong with it
	} else {
		v = proof.Verify(f, q.options)
	}
	var html strings.Builder
	if err := report.HTML(&html, f, &v, o); err != nil {
		return nil, err
	}
	return map[string]any{"html": html.String()}, nil
}

// input names a file that a verdict rests on.
func input(what, name string, b []byte) report.Input {
	return report.Input{What: what, Name: name, Digest: sha256.Sum256(b), Size: int64(len(b))}
}

// elements returns those of an array; undefined has none.
func elements(array js.Value) []js.Value {
	if array.Type() != js.TypeObject {
		return nil
	}
	all := make([]js.Value, array.Length())
	for i := range all {
		all[i] = array.Index(i)
	}
	return all
}

// textOf returns a string; what is none is empty.
func textOf(v js.Value) string {
	if v.Type() != js.TypeString {
		return ""
	}
	return v.String()
}

func textsOf(array js.Value) (all []string) {
	for _, v := range elements(array) {
		all = append(all, textOf(v))
	}
	return all
}
