//go:build !unix

package ingest

import "os"

func openFile(path string, _ os.FileInfo) (*os.File, error) { return os.Open(path) }
