//go:build !js

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"cairn/anchor/proof"
	"cairn/anchor/proof/report"
)

// reportFlags are what was asked for of the report.
type reportFlags struct {
	path   once
	limits list

	parsed []report.Limit
}

// check reads the limits, and refuses a report that could not be written before
// anything is checked.
func (r *reportFlags) check() error {
	if r.path.s == "" && len(r.limits) != 0 {
		return errors.New("--limit is drawn into a --report, and none is asked for")
	}
	for _, text := range r.limits {
		l, err := report.ParseLimit(text)
		if err != nil {
			return fmt.Errorf("--limit: %w", err)
		}
		r.parsed = append(r.parsed, l)
	}
	if r.path.s == "" {
		return nil
	}
	if _, err := os.Lstat(r.path.s); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return fmt.Errorf("--report: %w", err)
		}
		return fmt.Errorf("--report: %s is there already, and is not written over; give another name", r.path.s)
	}
	return nil
}

// input names a file that a verdict rests on.
func input(what, path string, b []byte) report.Input {
	return report.Input{What: what, Name: path, Digest: sha256.Sum256(b), Size: int64(len(b))}
}

// named names what a verdict rests on and is no file.
func named(what string, all []string) (list []report.Input) {
	for _, word := range all {
		list = append(list, report.Input{What: what, Name: word, Size: -1})
	}
	return list
}

// write writes the report. What is left of one that could not be written whole
// is removed.
func (r *reportFlags) write(f *proof.File, v *proof.Verdict, o report.Options) (err error) {
	o.Limits, o.Verifier, o.Made = r.parsed, version(), time.Now()
	out, err := os.OpenFile(r.path.s, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	err = report.HTML(out, f, v, o)
	if end := out.Close(); err == nil {
		err = end
	}
	if err != nil {
		os.Remove(r.path.s)
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// version names this program as it was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "cairn-verify of unknown version"
	}
	s := "cairn-verify " + info.Main.Version
	if info.Main.Version == "" || info.Main.Version == "(devel)" {
		s = "cairn-verify without a version"
	}
	for _, set := range info.Settings {
		switch {
		case set.Key == "vcs.revision":
			s += ", revision " + set.Value
		case set.Key == "vcs.modified" && set.Value == "true":
			s += " with changes"
		}
	}
	return s + ", built with " + info.GoVersion
}
