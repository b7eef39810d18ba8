package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cairn/merkle"
)

const (
	// MaxProof is how many lines a consistency proof may have.
	//
	// SPEC: The client MUST NOT send more than 63 consistency proof lines.
	MaxProof = 63

	hashLine = 45 // base64 of 32 bytes, and a newline
	// maxRequest is the longest request: the old size, the proof, a checkpoint.
	maxRequest = len("old \n") + 20 + MaxProof*hashLine + 1 + merkle.MaxCheckpoint
)

// ErrRequest says that bytes are no request.
var ErrRequest = errors.New("malformed request")

// Request is the body of an add-checkpoint request.
type Request struct {
	Old        uint64        // what the witness cosigned last, as the asker thinks
	Proof      []merkle.Hash // from there to the checkpoint
	Checkpoint []byte        // a signed note
}

// Append appends the body.
func (r *Request) Append(b []byte) []byte {
	b = append(b, "old "+strconv.FormatUint(r.Old, 10)+"\n"...)
	for _, h := range r.Proof {
		b = append(b, h.Base64()+"\n"...)
	}
	b = append(b, '\n')
	return append(b, r.Checkpoint...)
}

// ParseRequest reads what Append writes: any other bytes are an ErrRequest. Of the
// checkpoint it sees no more than that there is one.
func ParseRequest(body []byte) (*Request, error) {
	if len(body) > maxRequest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRequest, len(body), maxRequest)
	}
	// SPEC: The request body MUST be a sequence of an old size line, zero or more
	// consistency proof lines, and an empty line, followed by a checkpoint. Each
	// line MUST terminate in a newline character (U+000A).
	head, checkpoint, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok || len(checkpoint) == 0 || len(checkpoint) > merkle.MaxCheckpoint {
		return nil, fmt.Errorf("%w: no checkpoint after an empty line, or one over %d bytes", ErrRequest, merkle.MaxCheckpoint)
	}
	lines := strings.Split(string(head), "\n")
	if len(lines)-1 > MaxProof {
		return nil, fmt.Errorf("%w: %d lines of proof, at most %d", ErrRequest, len(lines)-1, MaxProof)
	}
	// SPEC: The old size line MUST consist of the string old, a single space (0x20),
	// and the tree size of the previous checkpoint encoded as an ASCII decimal with no
	// leading zeroes (unless the size is zero, in which case the encoding MUST be 0).
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, err := parseSize(digits)
	if !ok || err != nil {
		return nil, fmt.Errorf("%w: %.40q is no line such as \"old 17\"", ErrRequest, lines[0])
	}
	r := &Request{Old: old, Checkpoint: checkpoint}
	for _, line := range lines[1:] {
		// SPEC: Each consistency proof line MUST encode a single hash in base64.
		h, err := parseHash(line)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		r.Proof = append(r.Proof, h)
	}
	return r, nil
}

// parseSize reads a decimal number of leaves without sign or leading zeros.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > merkle.MaxSize || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.24q is no size of a log", s)
	}
	return n, nil
}

func parseHash(s string) (h merkle.Hash, err error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != merkle.HashSize {
		return h, fmt.Errorf("%.50q is not the base64 of %d bytes", s, merkle.HashSize)
	}
	copy(h[:], b)
	if h.Base64() != s {
		return h, fmt.Errorf("%.50q is not plain base64", s)
	}
	return h, nil
}
