// Command page makes the page that checks proofs: one HTML file with cairn-verify in it, as a program for browsers,
// that asks nothing of any network.
//
//	go run ./scripts/page -o cairn-verify.html
//	go run ./scripts/page -o bin/cairn-verify.html -gzip cmd/cairn/web/dist/verify.html.gz
//
// The same sources, version and Go give the same bytes, whose SHA-256 it prints. It is run in the module's root.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// budget is what the page may take on its way to a browser, compressed.
const budget = 6 << 20

func main() {
	out := flag.String("o", "", "write the page to this file")
	packed := flag.String("gzip", "", "write it to this file compressed, as the gateway serves it")
	version := flag.String("version", "devel", "what the page says of its version")
	flag.Parse()
	if flag.NArg() != 0 || *out == "" && *packed == "" {
		fmt.Fprintln(os.Stderr, "usage: page [-o FILE] [-gzip FILE] [-version TEXT], at least one of the files")
		os.Exit(2)
	}
	if err := run(*out, *packed, *version); err != nil {
		fmt.Fprintf(os.Stderr, "page: %v\n", err)
		os.Exit(1)
	}
}

func run(out, packed, version string) error {
	page, err := build(".", version)
	if err != nil {
		return err
	}
	small, err := compress(page)
	if err != nil {
		return err
	}
	if len(small) > budget {
		return fmt.Errorf("the page has %d bytes when compressed, over the %d that it may have", len(small), budget)
	}
	for path, b := range map[string][]byte{out: page, packed: small} {
		if path == "" {
			continue
		}
		if err := write(path, b); err != nil {
			return err
		}
	}
	name := out
	if name == "" {
		name = filepath.Base(packed)
	}
	fmt.Printf("%x  %s\n%d bytes, %d compressed\n", sha256.Sum256(page), name, len(page), len(small))
	return nil
}

// compress packs at the best level, with nothing of this machine or moment in the header.
func compress(b []byte) ([]byte, error) {
	var small bytes.Buffer
	z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := z.Write(b); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return small.Bytes(), nil
}

// write replaces a file at once, so that a build beside this one embeds either the old page or the new.
func write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".page-*")
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	defer os.Remove(temporary.Name())
	if _, err = temporary.Write(b); err == nil {
		err = temporary.Chmod(0o644)
	}
	if cerr := temporary.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
