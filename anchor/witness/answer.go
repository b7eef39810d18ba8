package witness

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// maxAnswer is the longest answer that is read. A line by ML-DSA-44, which a
	// witness may add, has 3.3 kB.
	maxAnswer = 32 << 10
	// maxLines is how many cosignatures an answer may hold.
	maxLines = 64
	// sizeType is the media type of the size in a conflict.
	sizeType = "text/x.tlog.size"
)

// parseCosignatures finds the key's cosignature on text in the body of a 200.
// Lines by other keys are passed over.
func parseCosignatures(body []byte, k Key, text string) (Cosignature, error) {
	// SPEC: The response body MUST be a sequence of one or more note signature
	// lines, each starting with the — character (U+2014) and ending with a newline
	// character (U+000A).
	if len(body) > maxAnswer || !bytes.HasSuffix(body, []byte("\n")) {
		return Cosignature{}, fmt.Errorf("%w: no lines, or over %d bytes", ErrAnswer, maxAnswer)
	}
	lines := bytes.SplitAfter(body, []byte("\n"))
	lines = lines[:len(lines)-1] // what follows the last newline
	if len(lines) > maxLines {
		return Cosignature{}, fmt.Errorf("%w: %d lines, at most %d", ErrAnswer, len(lines), maxLines)
	}
	var found *Cosignature
	for _, line := range lines {
		name, raw, err := parseSigLine(line)
		if err != nil {
			return Cosignature{}, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		// SPEC: The client MUST ignore any cosignatures from unknown keys.
		if name != k.name || beUint32(raw) != k.KeyHash() || found != nil {
			continue
		}
		c, err := ParseCosignature(line)
		if err == nil {
			err = k.Check(c, text)
		}
		if err != nil {
			return Cosignature{}, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		found = &c
	}
	if found == nil {
		return Cosignature{}, fmt.Errorf("%w: no cosignature by the key %s: is the configured key the witness's?", ErrAnswer, k)
	}
	return *found, nil
}

func beUint32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// errNoSize is a conflict that names no size. An earlier version of the
// specification had it for another root of the very size that was cosigned.
var errNoSize = fmt.Errorf("%w: a conflict without a size", ErrAnswer)

// parseConflict reads the size in the body of a 409.
func parseConflict(contentType string, body []byte) (uint64, error) {
	// SPEC: The response body MUST consist of the tree size of the latest cosigned
	// checkpoint in decimal, followed by a newline (U+000A). The response MUST have a
	// Content-Type of text/x.tlog.size.
	if media, _, _ := strings.Cut(contentType, ";"); strings.TrimSpace(media) != sizeType {
		return 0, fmt.Errorf("%w: its type is %.60q, not %s", errNoSize, contentType, sizeType)
	}
	digits, ok := strings.CutSuffix(string(body), "\n")
	size, err := parseSize(digits)
	if !ok || err != nil {
		return 0, fmt.Errorf("%w: a conflict with %.40q, want a size and a newline", ErrAnswer, body)
	}
	return size, nil
}

// harmless is what a server said, cut to what can be shown to anybody.
func harmless(body []byte) string {
	keep := func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" -.,;:#/()", r):
			return r
		}
		return -1
	}
	if len(body) > 1024 {
		body = body[:1024]
	}
	said := strings.TrimSpace(strings.Map(keep, string(body)))
	return said[:min(len(said), 160)]
}
