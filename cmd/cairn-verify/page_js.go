//go:build js && wasm

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime"
	"syscall/js"

	"cairn/anchor/proof"
)

// forPage gives the page in the folder page what it calls:
//
//	cairnAbout() → JSON: {"go", "formats", "maxFile", "maxHeaders"}
//	cairnCheck(file: Uint8Array, options) → {json, text, sha256} or {error}
//
// options is an object {policy: Uint8Array, headers: [Uint8Array…],
// blocks: [string…], require: string}, each of them optional. json is the
// verdict as the command prints it with --json, text as without, sha256 the
// file's in hexadecimal.
func forPage(global js.Value) {
	global.Set("cairnAbout", js.FuncOf(func(js.Value, []js.Value) any { return about() }))
	global.Set("cairnCheck", js.FuncOf(func(_ js.Value, args []js.Value) any {
		answer, err := check(args)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		return answer
	}))
}

func about() string {
	b, err := json.Marshal(map[string]any{
		"go": runtime.Version(), "formats": formats, "maxFile": proof.MaxFile, "maxHeaders": proof.MaxHeaders,
	})
	if err != nil {
		return "{}"
	}
	return string(b)
}

const formats = "proof files of versions 0 and 1"

func check(args []js.Value) (map[string]any, error) {
	file, o, err := asked(args)
	if err != nil {
		return nil, err
	}
	v := proof.VerifyBytes(file, o)
	sum := sha256.Sum256(file)
	return map[string]any{"json": string(v.JSON()), "text": v.Text(), "sha256": hex.EncodeToString(sum[:])}, nil
}

// asked reads the file and what it is to be checked against.
func asked(args []js.Value) (file []byte, o proof.Options, err error) {
	if len(args) < 2 || args[1].Type() != js.TypeObject {
		return nil, o, errors.New("a file and options are wanted")
	}
	if file, err = bytesOf(args[0], proof.MaxFile); err != nil {
		return nil, o, err
	}
	var r request
	given := args[1]
	if p := given.Get("policy"); !p.IsUndefined() {
		text, err := bytesOf(p, proof.MaxFile)
		if err != nil {
			return nil, o, err
		}
		s := string(text)
		r.Policy = &s
	}
	if level := given.Get("require"); level.Type() == js.TypeString {
		r.Require = level.String()
	}
	for _, hash := range elements(given.Get("blocks")) {
		r.Blocks = append(r.Blocks, hash.String())
	}
	var headers [][]byte
	for _, array := range elements(given.Get("headers")) {
		b, err := bytesOf(array, proof.MaxHeaders)
		if err != nil {
			return nil, o, err
		}
		headers = append(headers, b)
	}
	o, err = r.options(headers)
	return file, o, err
}

// elements returns those of an array; undefined has none.
func elements(array js.Value) []js.Value {
	if array.IsUndefined() {
		return nil
	}
	all := make([]js.Value, array.Length())
	for i := range all {
		all[i] = array.Index(i)
	}
	return all
}
