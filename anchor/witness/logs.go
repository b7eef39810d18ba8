package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
)

const (
	logsFile = "logs"
	// maxLogs bounds the keys of the logs that a witness knows.
	maxLogs     = 100_000
	maxLogsFile = maxLogs * 200
)

// keyring is the keys of the known logs, by origin.
type keyring map[string][]note.Verifier

// add takes in a log's verifier key, whose name is the log's origin. It reports
// whether it was new.
func (k keyring) add(vkey string) (bool, error) {
	origin, _, err := merkle.ParseVerifierKey(vkey)
	if err != nil {
		return false, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return false, fmt.Errorf("%w: %w", merkle.ErrVerifierKey, err)
	}
	if slices.ContainsFunc(k[origin], func(o note.Verifier) bool { return o.KeyHash() == v.KeyHash() }) {
		return false, nil
	}
	k[origin] = append(k[origin], v)
	return true, nil
}

// read takes in the lines of a logs file.
func (k keyring) read(text string) error {
	if len(text) > maxLogsFile {
		return fmt.Errorf("%s has %d bytes, at most %d", logsFile, len(text), maxLogsFile)
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := k.add(line); err != nil {
			return fmt.Errorf("%s, line %d: %w", logsFile, i+1, err)
		}
	}
	return nil
}

// AddLog adds a log's verifier key to those that the witness in dir knows, for
// good. A running one knows it with its next request. It reports whether the key
// was new. Two must not be added at the same time.
func AddLog(dir, vkey string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, logsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("add a log: %w", err)
	}
	k := keyring{}
	if err := k.read(string(text)); err != nil {
		return false, fmt.Errorf("add a log: %w", err)
	}
	added, err := k.add(vkey)
	if err != nil || !added {
		return false, err
	}
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	return true, replace(disk{}, dir, logsFile, append(text, vkey+"\n"...))
}

// stamp is by what a change of the logs file is noticed: every change renames a
// new file there.
type stamp struct {
	size     int64
	modified time.Time
	file     os.FileInfo
}

func (s stamp) same(o stamp) bool {
	return s.size == o.size && s.modified.Equal(o.modified) && (s.file == nil) == (o.file == nil) && (s.file == nil || os.SameFile(s.file, o.file))
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime(), info}, nil
}

// verifiers returns the keys of a log, none if it is unknown. A logs file that
// cannot be read leaves the keys as they were.
func (w *Witness) verifiers(origin string) []note.Verifier {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refresh()
	return w.known[origin]
}

// refresh takes in a changed logs file, if it can. w.mu is held.
func (w *Witness) refresh() {
	if err := w.reload(); err != nil {
		w.log.Error("the known logs stay as they were", "error", err)
	}
}

// reload reads the logs file if it changed. w.mu is held.
func (w *Witness) reload() error {
	path := filepath.Join(w.dir, logsFile)
	now, err := stampOf(path)
	if err != nil || w.known != nil && now.same(w.stamp) {
		return err
	}
	if w.known != nil {
		w.stamp = now // one that cannot be read is told of once
	}
	k := keyring{}
	for _, vkey := range w.given {
		if _, err := k.add(vkey); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := k.read(string(text)); err != nil {
		return err
	}
	w.known, w.stamp, w.origins = k, now, make(map[string]string, len(k))
	for origin := range k {
		w.origins[originHash(origin)] = origin
	}
	return nil
}
