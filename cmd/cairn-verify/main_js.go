//go:build js && wasm

// Command cairn-verify as WebAssembly gives a page the function
//
//	cairnVerify(bytes: Uint8Array, options: string) → string
//
// options is JSON: {"policy": text, "headers": [file…], "blocks": [hash…],
// "require": level}, each of them optional, and no others. A headers file is
// its text, or its base64 if it is one of Bitcoin's. The answer is JSON:
// {"verdict": …, "text": …} as the command prints them with and without --json,
// or {"error": …} if the options cannot be read. It uses no network.
//
// The page in the folder page uses functions that copy less; see page_js.go.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall/js"

	"cairn/anchor/proof"
)

func main() {
	js.Global().Set("cairnVerify", js.FuncOf(func(_ js.Value, args []js.Value) any { return verify(args) }))
	forPage(js.Global())
	select {}
}

func verify(args []js.Value) string {
	v, err := verdict(args)
	answer := map[string]any{"verdict": v}
	if err != nil {
		answer = map[string]any{"error": err.Error()}
	} else {
		answer["text"] = v.Text()
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return `{"error":"the verdict could not be written"}`
	}
	return string(b)
}

func verdict(args []js.Value) (*proof.Verdict, error) {
	array := js.Global().Get("Uint8Array")
	if len(args) == 0 || len(args) > 2 || !args[0].InstanceOf(array) {
		return nil, errors.New("cairnVerify wants a Uint8Array and, if any, options as JSON")
	}
	var r request
	if len(args) == 2 && args[1].Type() != js.TypeString {
		return nil, errors.New("options are JSON in a string")
	}
	if len(args) == 2 {
		var err error
		if r, err = parseRequest(args[1].String()); err != nil {
			return nil, err
		}
	}
	o, err := r.options(nil)
	if err != nil {
		return nil, err
	}
	file, err := bytesOf(args[0], proof.MaxFile)
	if err != nil {
		return nil, err
	}
	v := proof.VerifyBytes(file, o)
	return &v, nil
}

// bytesOf copies a Uint8Array.
func bytesOf(array js.Value, limit int) ([]byte, error) {
	if !array.InstanceOf(js.Global().Get("Uint8Array")) {
		return nil, errors.New("a file is a Uint8Array")
	}
	n := array.Get("length").Int()
	if n > limit {
		return nil, fmt.Errorf("the file has %d bytes, at most %d are read", n, limit)
	}
	b := make([]byte, n)
	js.CopyBytesToGo(b, array)
	return b, nil
}
