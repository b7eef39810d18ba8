package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"cairn/anchor/proof"
)

// request is what the user gave, still as text. Its JSON form is the second
// argument of the browser's function.
type request struct {
	Policy  *string  `json:"policy"`  // text of a policy file
	Headers texts    `json:"headers"` // headers files: the text of Ethereum's, the base64 of Bitcoin's
	Blocks  []string `json:"blocks"`  // hashes, 32 bytes in hexadecimal, with or without 0x
	Require string   `json:"require"` // level; empty: anchored
}

// texts is one text or an array of them.
type texts []string

// UnmarshalJSON reads either.
func (t *texts) UnmarshalJSON(b []byte) error {
	var one *string
	if err := json.Unmarshal(b, &one); err == nil {
		if *t = nil; one != nil {
			*t = texts{*one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// headersFile returns the bytes of a headers file that is given as a text.
func headersFile(text string) []byte {
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) != 0 {
		return b
	}
	return []byte(text)
}

// parseRequest reads the JSON form. A key that it does not know, such as a
// policy's that is misspelt, or one given twice is an error.
func parseRequest(text string) (r request, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return request{}, fmt.Errorf("options: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return request{}, errors.New("options: more than one value")
	}
	return r, keysOnce(text)
}

// keysOnce refuses a key that an object has twice. The text is well-formed, and
// its one object holds no other.
func keysOnce(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	seen := make(map[string]bool)
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil // null: nothing was given
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("options: %w", err)
		}
		name := strings.ToLower(fmt.Sprint(key))
		if seen[name] {
			return fmt.Errorf("options: %q was given twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("options: %w", err)
		}
	}
	return nil
}

// options reads the request, and headers files beside it. What it cannot read is an error: a policy that
// was given is never left out.
func (r *request) options(headers [][]byte, more ...proof.HeaderTrust) (o proof.Options, err error) {
	o.Require = proof.LevelAnchored
	if r.Require != "" {
		if o.Require, err = proof.ParseLevel(r.Require); err != nil {
			return o, err
		}
		if o.Require == proof.LevelNone {
			return o, errors.New("require logged, pending, late or anchored: nothing has the level none and is verified")
		}
	}
	if r.Policy != nil {
		if o.Policy, err = proof.ParsePolicy([]byte(*r.Policy)); err != nil {
			return o, err
		}
	}
	var trust proof.AnyTrust
	if len(r.Blocks) != 0 {
		pinned := make(proof.Pinned, len(r.Blocks))
		for i, text := range r.Blocks {
			b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
			if err != nil || len(b) != 32 {
				return o, fmt.Errorf("block hash %.80q is not 32 bytes in hexadecimal", text)
			}
			pinned[i] = [32]byte(b)
		}
		trust = append(trust, pinned)
	}
	for _, text := range r.Headers {
		headers = append(headers, headersFile(text))
	}
	for i, file := range headers {
		h, err := proof.ParseTrust(file)
		if err != nil && len(headers) > 1 {
			return o, fmt.Errorf("headers file %d of %d: %w", i+1, len(headers), err)
		} else if err != nil {
			return o, err
		}
		trust = append(trust, h)
	}
	if trust = append(trust, more...); len(trust) != 0 {
		o.Trust = trust
	}
	return o, nil
}
