package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cairn/anchor/witness"
	"cairn/merkle"
	"cairn/store"
	"cairn/store/mirror"
)

// A mirror serves /healthz; the copy below /ledger/ID/, as package mirror has it,
// and there holds, a signed note of what it holds; and below /witness/ it is a C2SP
// tlog-witness of that log.

// witnessPatience is how long a gateway that asks for a cosignature waits for the
// mirror to have checked its batches.
const witnessPatience = 8 * time.Second

// mirrorAccess says who may have what of a copy.
type mirrorAccess struct {
	*mirror.Copy
	s      *mirrorService
	token  [sha256.Size]byte
	locked bool // a token is needed for everything
	local  bool // only this machine reaches the mirror
}

// Full implements mirror.Access.
func (a *mirrorAccess) Full(r *http.Request) bool {
	if !a.locked {
		return a.local && !askedByName(r)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// Listing implements mirror.Access.
func (a *mirrorAccess) Listing(_ context.Context, first uint64) (store.GroupRef, []store.ObjectRef, error) {
	return a.Copy.Listing(a.s.keys, first)
}

// handler makes what the mirror serves.
func (s *mirrorService) handler() (*counted, error) {
	access := &mirrorAccess{Copy: s.copy, s: s, local: isLoopback(s.listen) && !s.tls.proxy}
	if s.serve != "" {
		token, err := readToken(s.serve)
		if err != nil {
			return nil, errors.New(strings.Replace(err.Error(), "http.token_file", "--serve-token-file", 1))
		}
		access.token, access.locked = sha256.Sum256([]byte(token)), true
	}
	at := "/ledger/" + s.copy.Identity().Ledger.String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.serveHealth(access))
	mux.Handle("GET "+at+"/held", http.StripPrefix(at, mirror.HeldHandler(s.copy, access, s.own.holds)))
	mux.Handle("GET "+at+"/", http.StripPrefix(at, mirror.Handler(s.copy, access)))
	mux.HandleFunc("POST /witness/add-checkpoint", s.serveWitness)
	mux.Handle("GET /witness/", http.StripPrefix("/witness", s.own.server))
	return &counted{handler: mux}, nil
}

// serveHealth says to everybody whether the mirror is well, and why not to those who
// may have everything: alarms name compartments.
func (s *mirrorService) serveHealth(access *mirrorAccess) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		m := s.status.at(time.Now())
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if m.Status != green {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if access.Full(r) {
			_ = json.NewEncoder(w).Encode(m)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"status": m.Status})
	}
}

// serveWitness cosigns what the mirror has checked, batch by batch: a checkpoint
// beyond that makes it look at the source first.
func (s *mirrorService) serveWitness(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, "the request is too long", http.StatusRequestEntityTooLarge)
		return
	}
	if q, err := witness.ParseRequest(body); err == nil {
		if !s.checked(r.Context(), q.Checkpoint) {
			w.Header().Set("Retry-After", "10")
			http.Error(w, "the mirror has not checked this checkpoint", http.StatusServiceUnavailable)
			return
		}
	}
	s.askWitness(w, body)
}

func (s *mirrorService) askWitness(w http.ResponseWriter, body []byte) {
	r, err := http.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		http.Error(w, "the witness cannot work at this moment", http.StatusInternalServerError)
		return
	}
	s.own.server.ServeHTTP(w, r)
}

// checked reports whether the mirror has followed the log to a checkpoint, and
// found nothing wrong, making a pass for it if it has not and the log's key signed
// it: anybody may ask here, and a key that is not known yet the next pass learns.
func (s *mirrorService) checked(ctx context.Context, note []byte) bool {
	cp, err := merkle.ParseCheckpoint(witness.NoteText(note))
	if err != nil {
		return true // the witness says what is wrong with it
	}
	if s.covers(cp) {
		return true
	}
	if !s.copy.Signed(note) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, witnessPatience)
	defer cancel()
	done := make(chan struct{})
	select {
	case s.kick <- done:
	case <-ctx.Done():
		return false
	}
	select {
	case <-done:
	case <-ctx.Done():
		return false
	}
	return s.covers(cp)
}

func (s *mirrorService) covers(cp merkle.Checkpoint) bool {
	head, _, ok := s.copy.Head()
	if !ok || cp.Size > head.Size || s.accuses() {
		return false
	}
	root, err := s.copy.RootAt(cp.Size)
	return err == nil && root == cp.Root
}

// accuses reports whether there is an alarm with which the mirror cosigns nothing.
func (s *mirrorService) accuses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.Pass == "" || accusing(s.status.Alarms)
}

// accusing reports whether an alarm says that the log is false. One that is late,
// or cannot be reached, is not.
func accusing(alarms []*mirror.Alarm) bool {
	for _, a := range alarms {
		switch a.Kind {
		case mirror.LateCheckpoint, mirror.LateAnchor, mirror.Unreachable, mirror.UncheckedAnchors, mirror.NoKeys, mirror.NoMore:
		default:
			return true
		}
	}
	return false
}

// cosign has the mirror's witness cosign the newest checkpoint, if nothing is wrong.
func (s *mirrorService) cosign(ctx context.Context, alarms []*mirror.Alarm) error {
	head, note, ok := s.copy.Head()
	if !ok || accusing(alarms) || ctx.Err() != nil {
		return nil
	}
	if err := s.own.knows(s.dir, s.copy); err != nil {
		return fmt.Errorf("cosign: %w", err)
	}
	old := uint64(0)
	for range 3 {
		proof, err := merkle.ProveConsistency(s.copy.Nodes(), old, head.Size)
		if err != nil {
			return fmt.Errorf("cosign: %w", err)
		}
		answer := &taken{code: http.StatusOK, header: http.Header{}}
		s.askWitness(answer, (&witness.Request{Old: old, Proof: proof, Checkpoint: note}).Append(nil))
		switch answer.code {
		case http.StatusOK:
			s.mu.Lock()
			s.status.Signed = head.Size
			s.mu.Unlock()
			return nil
		case http.StatusConflict:
			if old, err = strconv.ParseUint(strings.TrimSpace(answer.body.String()), 10, 63); err != nil {
				return fmt.Errorf("cosign: %w", err)
			}
			if old > head.Size {
				return fmt.Errorf("cosign: the mirror cosigned %d batches already, and the copy has %d", old, head.Size)
			}
		default:
			return fmt.Errorf("cosign: %.200s", strings.TrimSpace(answer.body.String()))
		}
	}
	return nil
}

// taken is an answer that is not sent anywhere.
type taken struct {
	code   int
	header http.Header
	body   bytes.Buffer
}

func (t *taken) Header() http.Header         { return t.header }
func (t *taken) WriteHeader(code int)        { t.code = code }
func (t *taken) Write(b []byte) (int, error) { return t.body.Write(b) }
