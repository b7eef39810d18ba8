//go:build manual

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"
)

// With the build tag manual, which links what writes them, the command writes its
// manual pages into a folder:
//
//	go run -tags manual ./cmd/cairn DIR
//
// SOURCE_DATE_EPOCH dates them.
func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags manual ./cmd/cairn DIR")
		os.Exit(exitError)
	}
	root := (&command{}).root()
	root.DisableAutoGenTag = true
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "cairn", Manual: "Cairn"}, os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "manual: %v\n", err)
		os.Exit(exitError)
	}
}
