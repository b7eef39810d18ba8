package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxJobs         = 64
	maxJobsOfOne    = 8
	maxJobBytes     = 64 << 20  // of all files that are kept
	jobLife         = time.Hour // since it was asked for
	jobAgain        = time.Second
	maxProving      = 2 // at one time
	maxProvingOfOne = 1 // of one who asks
	proveWait       = 20 * time.Second
	provePatience   = 2 * time.Minute
	maxAsked        = 1000     // readings
	slowLine        = 16 << 10 // bytes a second, that a file is given time for
)

// proofs are those that were asked for. Each is its asker's alone, and kept for a
// while: once there is a final one it stays as it is, before it is made anew when
// it is asked for.
type proofs struct {
	now     func() time.Time
	running gate // those that are being made

	mu      sync.Mutex // covers what follows
	all     []*proofJob
	forgets uint64 // how often all were let go
}

type proofJob struct {
	id    string
	who   Who
	q     ProofRequest
	began time.Time

	mu    sync.Mutex // covers what follows, held while it is made
	made  Proof
	ready bool
	at    time.Time // of the last try
}

func serveAskProof(c *call, q ProofRequest) (ProofJob, error) {
	if err := q.check(c.who); err != nil {
		return ProofJob{}, err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	j := &proofJob{id: hex.EncodeToString(id), who: c.who, q: q, began: c.s.cfg.Now()}
	asOf := c.s.proofs.asOf()
	// What cannot be proven is said at once, and nothing of it is kept.
	if err := c.s.makeProof(c.ctx(), j); err != nil {
		return ProofJob{}, err
	}
	if !c.s.proofs.keep(j, asOf) {
		return ProofJob{}, ErrBusy
	}
	return j.row(), nil
}

var aReading = regexp.MustCompile(`^[0-9]{1,19}/[0-9]{1,19}$`)

func (q *ProofRequest) check(who Who) error {
	switch {
	case len(q.Readings) == 0 && q.Device == "" && len(q.Alerts) == 0:
		return bad("name readings, a device, or alerts")
	case len(q.Readings) > 0 && q.Device != "":
		return bad("name readings or a device, not both")
	case len(q.Readings) > maxAsked || len(q.Fields) > maxAsked || len(q.Alerts) > maxAsked:
		return bad("more than %d at once: `cairn prove` makes larger files", maxAsked)
	case slices.ContainsFunc(q.Readings, func(r string) bool { return !aReading.MatchString(r) }):
		return bad("a reading is named STREAM/SEQUENCE, such as 0/17")
	case q.From < 0 || q.To < 0:
		return bad("a time before 1970")
	case who.Role == Audience && (len(q.Readings) == 0 || len(q.Alerts) > 0 || q.Complete):
		return bad("an audience names readings, and nothing else")
	}
	return nil
}

// makeProof makes the proof, or notes that it has to wait. An audience is not left one
// that was made before, when its grants may have opened more.
func (s *Server) makeProof(ctx context.Context, j *proofJob) error {
	turn, over := context.WithTimeout(ctx, proveWait)
	defer over()
	if !s.proofs.running.wait(turn, j.who) {
		return ErrBusy
	}
	defer s.proofs.running.leave(j.who)
	ctx, cancel := context.WithTimeout(ctx, provePatience)
	defer cancel()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at = s.cfg.Now()
	made, err := s.cfg.Prover.Prove(ctx, j.who, j.q)
	if errors.Is(err, ErrLater) {
		if !j.ready || j.who.Role == Audience {
			j.made, j.ready = Proof{State: AnchorOpen, Waits: true}, false
		}
		return nil
	}
	if err == nil && len(made.File) > maxJobBytes/2 {
		err = bad("the file has %d MiB, too many for this: `cairn prove` writes it", len(made.File)>>20)
	}
	if err != nil {
		return err
	}
	j.made, j.ready = made, true
	return nil
}

// asOf is what keep is told of a job that is begun now.
func (p *proofs) asOf() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgets
}

// keep takes in a job, and lets go of what is old or too much; false: all were let go
// since the job was begun, and so is it.
func (p *proofs) keep(j *proofJob, asOf uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.forgets != asOf {
		return false
	}
	p.expire()
	own := 0
	for _, o := range p.all {
		if o.who == j.who {
			own++
		}
	}
	if own >= maxJobsOfOne {
		i := slices.IndexFunc(p.all, func(o *proofJob) bool { return o.who == j.who })
		p.all = slices.Delete(p.all, i, i+1)
	}
	p.all = append(p.all, j)
	p.trim(j)
	return true
}

// trim lets go of the oldest where there are too many, or their files too large, but
// not of the one that was just made. p.mu is held.
func (p *proofs) trim(made *proofJob) {
	for len(p.all) > maxJobs || p.bytes() > maxJobBytes {
		i := slices.IndexFunc(p.all, func(o *proofJob) bool { return o != made && (len(p.all) > maxJobs || o.bytes() > 0) })
		if i < 0 {
			return
		}
		p.all = slices.Delete(p.all, i, i+1)
	}
}

// ForgetProofs lets go of all proofs that were made.
func (s *Server) ForgetProofs() {
	s.proofs.mu.Lock()
	defer s.proofs.mu.Unlock()
	s.proofs.all = nil
	s.proofs.forgets++
}

func (p *proofs) expire() {
	now := p.now()
	p.all = slices.DeleteFunc(p.all, func(j *proofJob) bool { return now.Sub(j.began) >= jobLife })
}

func (p *proofs) bytes() (n int) {
	for _, j := range p.all {
		n += j.bytes()
	}
	return n
}

// bytes of the file; of one that is being made they count when it is.
func (j *proofJob) bytes() int {
	if !j.mu.TryLock() {
		return 0
	}
	defer j.mu.Unlock()
	return len(j.made.File)
}

// find returns somebody's own job.
func (p *proofs) find(id string, who Who) (*proofJob, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	for _, j := range p.all {
		if j.id == id && j.who == who {
			return j, nil
		}
	}
	return nil, fmt.Errorf("%w: such a proof was not asked for by you, or is no longer kept", ErrNotFound)
}

func (j *proofJob) row() ProofJob {
	j.mu.Lock()
	defer j.mu.Unlock()
	return ProofJob{
		ID: j.id, Ready: j.ready, State: j.made.State, Waits: j.made.Waits, Bytes: len(j.made.File), Name: j.name(), What: j.made.What,
		Until: j.began.Add(jobLife).UTC().Format(time.RFC3339),
	}
}

// notInNames are characters that have no place in a file's name.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// name is what the file is called.
func (j *proofJob) name() string {
	switch {
	case len(j.q.Readings) == 1:
		return "cairn-" + strings.ReplaceAll(j.q.Readings[0], "/", "-") + ".proof"
	case len(j.q.Readings) > 0:
		return fmt.Sprintf("cairn-%d-readings.proof", len(j.q.Readings))
	case j.q.Device != "":
		return "cairn-" + notInNames.ReplaceAllString(j.q.Device, "-") + ".proof"
	case len(j.q.Alerts) == 1:
		return fmt.Sprintf("cairn-alert-%d.proof", j.q.Alerts[0])
	}
	return "cairn-alerts.proof"
}

// newest makes a job's proof anew if it may have come further. For an audience it is
// made anew each time, since its grants may have ended.
func (c *call) newest(j *proofJob, always bool) error {
	j.mu.Lock()
	again := j.made.Waits && c.s.cfg.Now().Sub(j.at) >= jobAgain || always && c.who.Role == Audience
	j.mu.Unlock()
	if !again {
		return nil
	}
	if err := c.s.makeProof(c.ctx(), j); err != nil {
		return err
	}
	p := &c.s.proofs
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trim(j)
	return nil
}

func serveProof(c *call) (ProofJob, error) {
	j, err := c.s.proofs.find(c.r.PathValue("id"), c.who)
	if err != nil {
		return ProofJob{}, err
	}
	if err := c.newest(j, false); err != nil {
		return ProofJob{}, err
	}
	return j.row(), nil
}

func serveProofFile(c *call) error {
	j, err := c.s.proofs.find(c.r.PathValue("id"), c.who)
	if err != nil {
		return err
	}
	if err := c.newest(j, true); err != nil {
		return err
	}
	j.mu.Lock()
	file, ready, name := j.made.File, j.ready, j.name()
	j.mu.Unlock()
	if !ready {
		return fmt.Errorf("%w: its window is not closed", ErrLater)
	}
	h := c.w.Header()
	h.Set("Content-Type", proofType)
	h.Set("Content-Length", strconv.Itoa(len(file)))
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(time.Minute + time.Duration(len(file)/slowLine)*time.Second))
	_, _ = c.w.Write(file)
	return nil
}
