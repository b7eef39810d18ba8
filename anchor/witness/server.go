package witness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
)

const (
	headsDir = "heads"
	forkEnd  = ".fork"
	// maxAtOnce is how many requests are worked on at the same time. What comes
	// beyond is asked to come later.
	maxAtOnce = 64
)

// Why a request gets no cosignature, beside a *conflictError and an ErrRequest.
var (
	errUnknown      = errors.New("this witness does not know the log")
	errUntrusted    = errors.New("no good signature by a key that this witness trusts for the log")
	errInconsistent = errors.New("the checkpoint does not extend what this witness cosigned")
)

// Config makes a Witness.
type Config struct {
	Dir    string   // its folder, which is there; no other process may serve it
	Signer Signer   // its key
	Logs   []string // verifier keys of logs, beside those of the folder's file
	Logger *slog.Logger
}

// Witness answers add-checkpoint requests and shows what it cosigned. It is an
// http.Handler.
type Witness struct {
	dir    string
	signer Signer
	given  []string // Config.Logs
	log    *slog.Logger
	files  files
	mux    *http.ServeMux
	slots  chan struct{} // one for each request under work

	mu      sync.Mutex // covers what follows
	known   keyring
	origins map[string]string // of the known logs, by their hash
	stamp   stamp
	heads   map[string]*head // by origin, of known logs
}

// head is the newest cosigned head of one log. Its lock is held from the check of
// a request to the end of the write: there is one decision at a time.
//
// SPEC: Note that checking the old size against the latest checkpoint and
// persisting the new checkpoint must be performed atomically.
type head struct {
	mu     sync.Mutex // covers what follows
	loaded bool       // false: at the start, and after a write that failed
	size   uint64     // 0: none was cosigned, or one of an empty log
	root   merkle.Hash
	time   uint64 // of the cosignature
	note   []byte // with the log's signatures and ours; nil: none
}

// Open opens a witness's folder.
func Open(c Config) (*Witness, error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &Witness{
		dir: c.Dir, signer: c.Signer, given: slices.Clone(c.Logs), log: log, files: disk{},
		mux: http.NewServeMux(), slots: make(chan struct{}, maxAtOnce), heads: map[string]*head{},
	}
	w.mux.HandleFunc("POST /add-checkpoint", w.serveAddCheckpoint)
	w.mux.HandleFunc("GET /{log}/checkpoint", w.serveCheckpoint)
	if err := os.MkdirAll(filepath.Join(c.Dir, headsDir), 0o700); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	if err := w.files.syncDir(c.Dir); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.reload(); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	return w, nil
}

// ServeHTTP implements http.Handler, below the submission and the monitoring
// prefix, which are one.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, "too many requests at once", http.StatusServiceUnavailable)
		return
	}
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	w.mux.ServeHTTP(rw, r)
}

func (w *Witness) serveAddCheckpoint(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, int64(maxRequest)))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		http.Error(rw, fmt.Sprintf("a request has at most %d bytes", maxRequest), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		return // nobody is there to answer
	}
	lines, err := w.processAddCheckpoint(body)
	var conflict *conflictError
	status := http.StatusInternalServerError
	switch {
	case err == nil:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = rw.Write(lines)
		return
	case errors.As(err, &conflict):
		// SPEC: The response body MUST consist of the tree size of the latest cosigned
		// checkpoint in decimal, followed by a newline (U+000A). The response MUST have a
		// Content-Type of text/x.tlog.size.
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(rw, strconv.FormatUint(conflict.size, 10)+"\n")
		return
	case errors.Is(err, ErrRequest):
		status = http.StatusBadRequest
	case errors.Is(err, errUntrusted):
		status = http.StatusForbidden
	case errors.Is(err, errUnknown):
		status = http.StatusNotFound
	case errors.Is(err, errInconsistent):
		status = http.StatusUnprocessableEntity
	}
	if status == http.StatusInternalServerError {
		w.log.Error("a request failed", "error", err)
		err = errors.New("the witness cannot work at this moment")
	}
	http.Error(rw, err.Error(), status)
}

// submission is a request whose checkpoint a known log signed.
type submission struct {
	*Request
	merkle.Checkpoint
	note *note.Note // the checkpoint, with the signatures that were verified
}

// processAddCheckpoint decides on a request and returns the lines of the answer.
func (w *Witness) processAddCheckpoint(body []byte) ([]byte, error) {
	s, err := w.open(body)
	if err != nil {
		return nil, err
	}
	h := w.head(s.Origin)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := w.load(h, s.Origin); err != nil {
		return nil, err
	}
	if err := h.check(s); err != nil {
		w.tell(h, s, err)
		return nil, err
	}
	// SPEC (tlog-cosignature): as of the specified time, the consistent tree head with
	// the largest size the cosigner has observed. A clock that was put back must not
	// say so of a time at which there was a larger one.
	c := w.signer.Cosign(s.note.Text, max(uint64(max(time.Now().Unix(), 1)), h.time))
	next := head{loaded: true, size: s.Size, root: s.Root, time: c.Time, note: noteOf(s.note, c)}
	// SPEC: The witness MUST persist the new checkpoint before responding.
	if err := replace(w.files, filepath.Join(w.dir, headsDir), originHash(s.Origin), next.note); err != nil {
		h.loaded = false // the folder holds the old head or the new one: look
		return nil, err
	}
	h.size, h.root, h.time, h.note = next.size, next.root, next.time, next.note
	w.log.Debug("cosigned", "origin", s.Origin, "size", s.Size, "root", s.Root.String(), "time", c.Time)
	return c.Line(), nil
}

// open reads a request and checks what needs no memory.
func (w *Witness) open(body []byte) (*submission, error) {
	r, err := ParseRequest(body)
	if err != nil {
		return nil, err
	}
	s := &submission{Request: r}
	// SPEC: If the checkpoint origin is unknown, the witness MUST respond with a "404
	// Not Found" HTTP status code.
	origin, _, _ := strings.Cut(string(r.Checkpoint), "\n")
	keys := w.verifiers(origin)
	if len(keys) == 0 {
		return nil, errUnknown
	}
	// SPEC: The witness MUST verify the checkpoint signature against the public key(s)
	// it trusts for the checkpoint origin, and it MUST ignore signatures from unknown
	// keys. The witness MUST respond with a "403 Forbidden" HTTP status code if either
	// no signature from a trusted key for the origin is present, or a signature line's
	// key name and ID match a trusted key but the signature itself fails to verify.
	var unsigned *note.UnverifiedNoteError
	var forged *note.InvalidSignatureError
	s.note, err = note.Open(r.Checkpoint, note.VerifierList(keys...))
	switch {
	case errors.As(err, &unsigned), errors.As(err, &forged):
		return nil, errUntrusted
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if s.Checkpoint, err = merkle.ParseCheckpoint(s.note.Text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	// SPEC: The old size MUST be equal to or lower than the checkpoint size.
	// Otherwise, the witness MUST respond with a "400 Bad Request" HTTP status code.
	if r.Old > s.Size {
		return nil, fmt.Errorf("%w: the old size %d is beyond the checkpoint's, %d", ErrRequest, r.Old, s.Size)
	}
	return s, nil
}

// check checks that a submission extends what was cosigned. h.mu is held.
func (h *head) check(s *submission) error {
	// SPEC: The witness MUST check that the old size matches the size of the latest
	// checkpoint it cosigned for the checkpoint's origin (or zero if it never cosigned
	// a checkpoint for that origin). If it doesn't match, the witness MUST respond with
	// a "409 Conflict" HTTP status code.
	if s.Old != h.size {
		return &conflictError{h.size}
	}
	// SPEC: A checkpoint of size zero MUST have the root hash of the empty tree.
	// Otherwise, the witness MUST respond with a "422 Unprocessable Entity".
	if s.Size == 0 && s.Root != merkle.EmptyRoot() {
		return fmt.Errorf("%w: an empty log has another root", errInconsistent)
	}
	old := h.root
	if h.size == 0 {
		old = merkle.EmptyRoot()
	}
	// SPEC: If the proof is not empty when the old size is zero, or if a Merkle
	// Consistency Proof doesn't verify, the witness MUST respond with a "422
	// Unprocessable Entity". If the old size matches the checkpoint size, the witness
	// MUST check that the root hashes are also identical.
	if err := merkle.VerifyConsistency(h.size, s.Size, old, s.Root, s.Proof); err != nil {
		return fmt.Errorf("%w: %w", errInconsistent, err)
	}
	return nil
}

// tell records a log that shows two histories. A proof that is wrong says nothing
// of the log, since anybody can send one with its checkpoint; two roots of one size
// do, and both notes are kept. h.mu is held.
//
// SPEC: the witness MAY log the request even if the checkpoint fails one of the
// consistency checks above, as it might be proof of log misbehavior.
func (w *Witness) tell(h *head, s *submission, err error) {
	if !errors.Is(err, errInconsistent) || h.note == nil {
		return
	}
	if s.Size != h.size || s.Root == h.root {
		w.log.Debug("not cosigned", "origin", s.Origin, "size", s.Size, "cosigned", h.size, "error", err)
		return
	}
	name, dir := originHash(s.Origin)+forkEnd, filepath.Join(w.dir, headsDir)
	if _, err := w.files.read(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return // the first two are enough, and are told of once
	}
	w.log.Error("a log signed two heads of one size", "origin", s.Origin, "size", s.Size, "kept", name)
	both := slices.Concat(h.note, []byte("\n"), noteOf(s.note))
	if err := replace(w.files, dir, name, both); err != nil {
		w.log.Error("two heads of one size are not kept", "error", err)
	}
}

// noteOf writes a checkpoint with the log's verified signatures and further ones.
func noteOf(n *note.Note, by ...Cosignature) []byte {
	var b strings.Builder
	b.WriteString(n.Text + "\n")
	for _, s := range n.Sigs {
		b.WriteString(sigMark + s.Name + " " + s.Base64 + "\n")
	}
	for _, c := range by {
		b.Write(c.Line())
	}
	return []byte(b.String())
}

func (w *Witness) head(origin string) *head {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.heads[origin]
	if h == nil {
		h = new(head)
		w.heads[origin] = h
	}
	return h
}

// load reads a head from the folder, unless it is known. One that is damaged is an
// error, never no head. h.mu is held.
func (w *Witness) load(h *head, origin string) error {
	if h.loaded {
		return nil
	}
	read, err := readHead(w.files, w.dir, origin, w.signer.Key)
	if err != nil {
		return err
	}
	h.loaded, h.size, h.root, h.time, h.note = true, read.size, read.root, read.time, read.note
	return nil
}

// readHead reads the newest cosigned head of a log; one without a note if there is
// none.
func readHead(f files, dir, origin string, k Key) (*head, error) {
	signed, err := f.read(filepath.Join(dir, headsDir, originHash(origin)))
	if errors.Is(err, fs.ErrNotExist) {
		return &head{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the head of %.100q: %w", origin, err)
	}
	text := NoteText(signed)
	c, err := parseCosignatures(signed[min(len(signed), len(text)+1):], k, text)
	if err != nil {
		return nil, fmt.Errorf("read the head of %.100q: its file is damaged: %w", origin, err)
	}
	head := &head{time: c.Time, note: signed}
	cp, err := merkle.ParseCheckpoint(text)
	if err == nil && cp.Origin != origin {
		err = fmt.Errorf("it is of %.100q", cp.Origin)
	}
	if err != nil {
		return nil, fmt.Errorf("read the head of %.100q: its file is damaged: %w", origin, err)
	}
	head.size, head.root = cp.Size, cp.Root
	return head, nil
}

// serveCheckpoint shows what was cosigned last.
//
// SPEC: The response body MUST be a checkpoint for the log identified by the origin,
// and it MUST include the cosignature(s) from the witness's key(s) that were
// returned from add-checkpoint and the cosignature from the log key(s) that the
// witness verified. If the witness has never cosigned a checkpoint for that log, it
// MUST respond with a "404 Not Found" HTTP status code instead.
func (w *Witness) serveCheckpoint(rw http.ResponseWriter, r *http.Request) {
	signed, err := w.processCheckpoint(r.PathValue("log"))
	switch {
	case err != nil:
		w.log.Error("a request failed", "error", err)
		http.Error(rw, "the witness cannot work at this moment", http.StatusInternalServerError)
	case signed == nil:
		http.Error(rw, "this witness has cosigned no checkpoint of the log", http.StatusNotFound)
	default:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Header().Set("Cache-Control", "no-cache")
		_, _ = rw.Write(signed)
	}
}

// processCheckpoint returns the newest cosigned checkpoint of the log whose origin
// has this hash, nil if there is none.
func (w *Witness) processCheckpoint(hash string) ([]byte, error) {
	origin, ok := w.originOf(hash)
	if !ok {
		return nil, nil
	}
	h := w.head(origin)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := w.load(h, origin); err != nil {
		return nil, err
	}
	return h.note, nil
}

// originOf finds a known log by the hash of its origin.
func (w *Witness) originOf(hash string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refresh()
	origin, ok := w.origins[hash]
	return origin, ok
}
