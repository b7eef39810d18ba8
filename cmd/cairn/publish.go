package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/ipfs"
	"cairn/store/mirror"
	"cairn/store/share"
)

const (
	// ipfsJournal keeps what is published: a row for each folder, by the first batch
	// in 16 hex digits, the newest head, and from where on retention goes on.
	ipfsJournal = "ipfs"
	rowHead     = "head"
	rowThin     = "thin"

	publishPoll = 2 * time.Second // between looks for what is new
	// A node that failed is asked again after a time that doubles between these two.
	minPublishPause = 2 * time.Second
	maxPublishPause = 5 * time.Minute
	// headEvery is the shortest time between two heads.
	headEvery = 10 * time.Second
	// lengthsOf is over how many folders the longest files are looked for, a week:
	// a folder's are as long as those, so that they do not show what a day brought.
	lengthsOf = 7 * 96
	// publishedRed is how long publishing may fail before health turns red.
	publishedRed = time.Hour
)

// IPFSConfig is where sealed quarter hours are published.
type IPFSConfig struct {
	API     string        // URL of a node's RPC; "": nowhere
	Keep    time.Duration // how long the node keeps the objects; 0: for ever
	Timeout time.Duration // of one request
}

// States of a folder.
const (
	ipfsAdding    = "adding"    // the node is being given it
	ipfsAdded     = "added"     // the node holds it, the ledger does not say so yet
	ipfsPublished = "published" // the ledger says so
	ipfsThinned   = "thinned"   // the node keeps it without the objects
)

// publishedRow is one folder in the journal.
type publishedRow struct {
	From     uint64         `json:"from"`
	Next     uint64         `json:"next"`
	Hour     share.Hour     `json:"hour"`
	Group    bool           `json:"group"` // it has objects
	State    string         `json:"state"`
	CID      string         `json:"cid"`
	Tried    []string       `json:"tried,omitempty"` // other folders of these batches, which the node may hold
	Bytes    uint64         `json:"bytes"`           // of all its blocks
	Need     mirror.Lengths `json:"need"`            // of its files by themselves
	At       int64          `json:"at"`              // Unix milliseconds
	Said     uint64         `json:"said,omitempty"`  // statements before the one that names it
	Anchored uint64         `json:"anchored,omitempty"`
}

func rowKey(from uint64) string { return fmt.Sprintf("%016x", from) }

// publisher publishes a ledger's sealed groups, oldest first, each once.
type publisher struct {
	l       *openLedger
	node    *ipfs.Node
	cfg     IPFSConfig
	journal *store.Journal
	now     func() time.Time

	// Owned by the goroutine that publishes.
	last  *publishedRow // the newest that is published
	head  *publishedRow
	pause time.Duration

	mu     sync.Mutex // covers what follows
	status ipfsStatus
	bad    error     // why the last step failed
	since  time.Time // of the first failure in a row
}

// makePublisher makes the ledger's publisher and reads its journal. It asks nobody.
func (l *openLedger) makePublisher() error {
	if l.g.cfg.IPFS.API == "" || l.cfg.Unlisted {
		return nil
	}
	node, err := ipfs.NewNode(ipfs.NodeConfig{URL: l.g.cfg.IPFS.API, Timeout: l.g.cfg.IPFS.Timeout})
	if err != nil {
		return fmt.Errorf("ipfs.api: %w", err)
	}
	l.published = &publisher{l: l, node: node, cfg: l.g.cfg.IPFS, journal: l.store.Journal(ipfsJournal), now: time.Now}
	if err := l.published.load(); err != nil {
		return fmt.Errorf("what is published: %w", err)
	}
	return nil
}

// load reads what the journal says.
func (p *publisher) load() error {
	err := eachPublished(p.journal, func(r publishedRow) error {
		p.last = &r
		p.count(&r)
		return nil
	})
	if err != nil {
		return err
	}
	p.head, err = readRow(p.journal, rowHead)
	p.tell()
	return err
}

// count adds a folder to what the status says.
func (p *publisher) count(r *publishedRow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.State == ipfsPublished || r.State == ipfsThinned {
		p.status.Folders++
		p.status.Batches = r.Next
	}
}

// eachPublished reads the journal's folders, oldest first.
func eachPublished(j *store.Journal, fn func(publishedRow) error) error {
	return j.All(func(key string, value []byte) error {
		if key == rowHead || key == rowThin {
			return nil
		}
		var r publishedRow
		if err := json.Unmarshal(value, &r); err != nil || rowKey(r.From) != key {
			return fmt.Errorf("%w: journal row %.40q", store.ErrDamaged, key)
		}
		return fn(r)
	})
}

func readRow(j *store.Journal, key string) (*publishedRow, error) {
	b, err := j.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var r publishedRow
	if err == nil {
		if err = json.Unmarshal(b, &r); err != nil {
			err = fmt.Errorf("%w: journal row %q", store.ErrDamaged, key)
		}
	}
	return &r, err
}

func (p *publisher) put(key string, r *publishedRow) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return p.journal.Put(key, b)
}

// run publishes until ctx ends. Nothing waits for it.
func (p *publisher) run(ctx context.Context) {
	if p == nil {
		return
	}
	defer p.node.Close()
	for {
		did, err := p.step(ctx)
		if ctx.Err() != nil {
			return
		}
		p.note(err)
		wait := publishPoll
		switch {
		case err != nil:
			p.pause = min(max(2*p.pause, minPublishPause), maxPublishPause)
			wait = p.pause/2 + rand.N(p.pause)
		case did:
			wait, p.pause = 0, 0
		default:
			p.pause = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// note keeps what came of a step.
func (p *publisher) note(err error) {
	p.mu.Lock()
	before := p.bad
	p.bad = err
	if err != nil && before == nil {
		p.since = p.now()
	}
	p.mu.Unlock()
	switch {
	case err == nil && before != nil:
		p.l.log.Info("publishing goes on", "api", p.node.URL())
	case err != nil && (before == nil || before.Error() != err.Error()):
		p.l.log.Warn("publishing on IPFS failed, and is tried again", "api", p.node.URL(), "error", err)
	}
	p.tell()
}

// step does the next thing that is to be done, and reports whether there was one.
func (p *publisher) step(ctx context.Context) (bool, error) {
	for _, f := range []func(context.Context) (bool, error){p.finish, p.next, p.newHead, p.thin} {
		if did, err := f(ctx); did || err != nil {
			return did, err
		}
	}
	return false, nil
}

// from is the first batch that is in no folder.
func (p *publisher) from() uint64 {
	if p.last == nil {
		return 0
	}
	return p.last.Next
}

// finish ends what the newest row says was begun.
func (p *publisher) finish(ctx context.Context) (bool, error) {
	switch {
	case p.last == nil:
	case p.last.State == ipfsAdding:
		return true, p.publish(ctx, p.last.From)
	case p.last.State == ipfsAdded:
		return true, p.say(ctx)
	}
	return false, nil
}

// next publishes the next sealed group, if there is one.
func (p *publisher) next(ctx context.Context) (bool, error) {
	from := p.from()
	if !p.due(from) {
		return false, nil
	}
	refs, err := p.l.store.Groups(ctx, from, 1)
	if err != nil {
		return false, fmt.Errorf("look for sealed groups: %w", err)
	}
	if len(refs) == 0 || refs[0].Live {
		return false, nil
	}
	return true, p.publish(ctx, from)
}

// due reports whether the quarter hour that a batch is of has ended, so that it may
// be sealed.
func (p *publisher) due(batch uint64) bool {
	item, err := p.l.store.Header(batch)
	if err != nil {
		return false
	}
	h, err := ledger.ParseHeader(item)
	if err != nil {
		return false
	}
	hour, err := share.HourOf(h.From)
	return err == nil && p.now().UnixMilli() >= hour.End()
}

// publish publishes the folder that begins with a batch. What a crash leaves after
// each step:
//
//	row "adding"     the folder is made again, and added again; if anchors came
//	                 meanwhile it is another one, and the first is unpinned in the end
//	the node has it  the same
//	row "added"      the statement is made, unless the ledger has it
//	statement        the same
//	row "published"  done
func (p *publisher) publish(ctx context.Context, from uint64) error {
	f, row, err := p.folder(ctx, from)
	if err != nil {
		return err
	}
	dir, err := f.Directory()
	if err != nil {
		return fmt.Errorf("make the folder of batch %d: %w", from, err)
	}
	if err := p.add(ctx, rowKey(from), row, dir); err != nil {
		return err
	}
	row.State, row.Said = ipfsAdded, p.l.store.Statements()
	if err := p.put(rowKey(from), row); err != nil {
		return err
	}
	p.last = row
	p.unpinTried(ctx, row)
	return p.say(ctx)
}

// add gives the node a folder, with a row that says so before it begins.
func (p *publisher) add(ctx context.Context, key string, row *publishedRow, dir *ipfs.Directory) error {
	earlier, err := readRow(p.journal, key)
	if err != nil {
		return err
	}
	row.State, row.CID, row.Bytes, row.At = ipfsAdding, dir.CID.String(), dir.Size, p.now().UnixMilli()
	if earlier != nil {
		row.Tried = earlier.Tried
		if earlier.CID != row.CID {
			row.Tried = append(row.Tried, earlier.CID)
		}
	}
	if err := p.put(key, row); err != nil {
		return err
	}
	if key != rowHead {
		p.last = row
	}
	return p.node.Publish(ctx, dir)
}

// unpinTried lets the node forget folders that were not published in the end. That
// it did is of no consequence beyond its disk.
func (p *publisher) unpinTried(ctx context.Context, row *publishedRow) {
	var left []string
	for _, text := range row.Tried {
		c, err := ipfs.ParseCID(text)
		if err == nil && text != row.CID {
			err = p.node.Unpin(ctx, c)
		}
		if err != nil {
			left = append(left, text)
		}
	}
	row.Tried = left
}

// say has the ledger say where the newest folder is.
func (p *publisher) say(ctx context.Context) error {
	row := *p.last
	want := ledger.Published{First: row.From, Next: row.Next, CID: row.CID}
	said, err := p.said(row.Said, want)
	if err != nil {
		return err
	}
	if !said {
		if _, err := p.l.store.AddStatement(ctx, want.Statement(p.now().UnixMilli())); err != nil {
			return fmt.Errorf("record that batch %d is published: %w", row.From, err)
		}
	}
	row.State = ipfsPublished
	if err := p.put(rowKey(row.From), &row); err != nil {
		return err
	}
	p.last = &row
	p.count(&row)
	p.l.log.Debug("published", "batches", row.Next, "cid", row.CID)
	return nil
}

// said reports whether one of the statements from a number on says so.
func (p *publisher) said(from uint64, want ledger.Published) (bool, error) {
	size := p.l.store.Statements()
	for n := from; n < size; n++ {
		item, _, _, err := p.l.store.StatementAt(n, size)
		if err != nil {
			return false, fmt.Errorf("read statement %d: %w", n, err)
		}
		s, err := ledger.ParseStatement(item)
		if err != nil || s.Kind != ledger.KindPublished {
			continue
		}
		if got, err := ledger.PublishedFrom(s); err == nil && got == want {
			return true, nil
		}
	}
	return false, nil
}

// thin lets the node forget the objects of the oldest folder, once they are older
// than they are to be kept.
func (p *publisher) thin(ctx context.Context) (bool, error) {
	if p.cfg.Keep <= 0 || p.last == nil {
		return false, nil
	}
	var at publishedRow
	if b, err := p.journal.Get(rowThin); err == nil {
		if err := json.Unmarshal(b, &at); err != nil {
			return false, fmt.Errorf("%w: journal row %q", store.ErrDamaged, rowThin)
		}
	} else if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	row, err := readRow(p.journal, rowKey(at.Next))
	if err != nil || row == nil || row.State != ipfsPublished && row.State != ipfsThinned ||
		p.now().Add(-p.cfg.Keep).UnixMilli() < row.Hour.End() {
		return false, err
	}
	if row.Group && row.State == ipfsPublished {
		c, err := ipfs.ParseCID(row.CID)
		if err == nil {
			err = p.node.Thin(ctx, c, mirror.SealedFile)
		}
		if err != nil {
			return false, fmt.Errorf("let objects go that are older than %v: %w", p.cfg.Keep, err)
		}
		row.State = ipfsThinned
		if err := p.put(rowKey(row.From), row); err != nil {
			return false, err
		}
		if p.last.From == row.From {
			p.last = row
		}
	}
	return true, p.put(rowThin, &publishedRow{From: row.From, Next: row.Next})
}

// ipfs reads the section.
func (s *settings) ipfs() IPFSConfig {
	c := IPFSConfig{API: s.text("ipfs.api"), Keep: s.duration("ipfs.keep"), Timeout: s.duration("ipfs.timeout")}
	if c.API != "" {
		var err error
		if c.API, err = ipfs.ParseURL(c.API); err != nil {
			s.fail("ipfs.api", "%v", err)
		}
	}
	if c.Timeout >= 0 && c.Timeout < time.Second {
		s.fail("ipfs.timeout", "%v is no time for a request: at least 1s", c.Timeout)
	}
	return c
}
