package bitcoin

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

const (
	saveEvery = time.Minute
	// maxRewinds bounds how often one look follows a chain that moves meanwhile.
	maxRewinds = 8
	// maxTipAge is where Bitcoin Core, too, begins to think that it has blocks to
	// fetch (DEFAULT_MAX_TIP_AGE).
	maxTipAge = 24 * time.Hour
	// longScan is a number of blocks after which a scan's end is kept at once.
	longScan = 100
)

// scanner keeps a book at the node's tip. It is for one goroutine at a time.
type scanner struct {
	node     *Node
	birthday uint32
	maturity uint16
	keep     Book // may be nil
	// stale is the age of the newest block from which on the node is taken to be
	// catching up: what it shows then is the past. 0: any age will do.
	stale time.Duration
	b     *book
	// unsure is set while the book comes from Book and its coins have not been
	// compared with the node's.
	unsure  bool
	dirty   bool
	savedAt time.Time
	saveErr error
}

func newScanner(node *Node, script []byte, birthday uint32, first outpoint, keep Book) *scanner {
	s := &scanner{node: node, birthday: birthday, maturity: node.params.CoinbaseMaturity, keep: keep, stale: maxTipAge}
	if node.network == proof.BitcoinRegtest {
		s.stale = 0
	}
	if keep != nil {
		if data, err := keep.Load(); err != nil {
			s.saveErr = err
		} else if b, err := parseBook(data, node.network, script, birthday, first); err == nil {
			s.b, s.unsure = b, true
			return s
		}
	}
	s.b = newBook(script, first)
	return s
}

// reset forgets everything: the next follow begins at the birthday.
func (s *scanner) reset() {
	s.b, s.unsure, s.dirty = newBook(s.b.script, s.b.first), false, true
}

// follow brings the book to the node's tip. A long way is gone in several
// calls: when three quarters of the time until ctx ends are over it stops
// with ErrAgain, and says how far it came.
func (s *scanner) follow(ctx context.Context) error {
	stop := time.Now().Add(time.Hour)
	if end, ok := ctx.Deadline(); ok {
		stop = time.Now().Add(time.Until(end) * 3 / 4)
	}
	for range maxRewinds {
		height, hash, err := s.node.Tip(ctx)
		if err != nil {
			return err
		}
		from := s.b.height
		done, err := s.advance(ctx, height, hash, stop)
		s.save(done && s.b.height > from+longScan)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if at := time.Unix(int64(s.b.tip().Time), 0); s.stale > 0 && time.Since(at) > s.stale {
			return fmt.Errorf("%w: the node's newest block is of %s: it has others to fetch", anchor.ErrAgain, at.UTC().Format(time.RFC3339))
		}
		return s.audit(ctx)
	}
	return fmt.Errorf("%w: the chain moves too quickly to be followed", anchor.ErrAgain)
}

// advance goes back to the newest block that the node still has, and on to
// height. It is false, without an error, if the chain moved meanwhile.
func (s *scanner) advance(ctx context.Context, height uint32, hash [32]byte, stop time.Time) (bool, error) {
	if len(s.b.blocks) == 0 {
		if err := s.begin(ctx, height); err != nil {
			return false, err
		}
	}
	if ok, err := s.rewind(ctx, height); err != nil || !ok {
		return false, err
	}
	for s.b.height < height {
		if time.Now().After(stop) {
			return false, fmt.Errorf("%w: looking for outputs of the key, at block %d of %d", anchor.ErrAgain, s.b.height, height)
		}
		next, err := s.node.HeaderHash(ctx, s.b.height+1)
		if err != nil {
			return false, err
		}
		block, err := s.node.Block(ctx, next)
		if err != nil {
			return false, err
		}
		if block.Header.PrevBlock != s.b.tip().Hash {
			return false, nil
		}
		s.b.apply(block)
		s.dirty = true
		s.save(false)
	}
	return s.b.tip().Hash == hash, nil
}

// begin starts at the block before the birthday.
func (s *scanner) begin(ctx context.Context, height uint32) error {
	base := max(s.birthday, 1) - 1
	if base > height {
		return fmt.Errorf("%w: the node has %d blocks, but the key's birthday is block %d", anchor.ErrAgain, height, s.birthday)
	}
	hash, err := s.node.HeaderHash(ctx, base)
	if err != nil {
		return err
	}
	h, err := s.node.Header(ctx, hash)
	if err != nil {
		return err
	}
	s.b.begin(base, hash, uint32(h.Time()/1000))
	s.dirty = true
	return nil
}

// rewind undoes the blocks that the node does not have. If they are too many
// it forgets everything and is false; but not because the node is so far behind.
func (s *scanner) rewind(ctx context.Context, height uint32) (bool, error) {
	if oldest := s.b.height - uint32(len(s.b.blocks)-1); height < oldest {
		return false, fmt.Errorf("%w: the node has %d blocks, but it had %d before", anchor.ErrAgain, height, s.b.height)
	}
	for {
		if s.b.height <= height {
			hash, err := s.node.HeaderHash(ctx, s.b.height)
			if err != nil {
				return false, err
			}
			if hash == s.b.tip().Hash {
				return true, nil
			}
		}
		if !s.b.undo() {
			s.reset()
			return false, nil
		}
		s.dirty = true
	}
}

// audit compares the coins of a book that was kept with the node's, once. If
// one is not there though the node's newest block is still the book's, the book
// is wrong, whatever made it so.
func (s *scanner) audit(ctx context.Context) error {
	if !s.unsure {
		return nil
	}
	for _, c := range s.b.funds(s.maturity) {
		ok, err := s.holds(ctx, c)
		if err != nil {
			return err
		}
		if !ok {
			_, hash, err := s.node.Tip(ctx)
			if err != nil {
				return err
			}
			if hash != s.b.tip().Hash {
				return fmt.Errorf("%w: the chain moved while the kept outputs were compared", anchor.ErrAgain)
			}
			s.reset()
			return fmt.Errorf("%w: the kept outputs are not the chain's: looking for them anew", anchor.ErrAgain)
		}
	}
	s.unsure = false
	return nil
}

// holds asks the node whether a coin is unspent in its chain.
func (s *scanner) holds(ctx context.Context, c coin) (bool, error) {
	out, err := s.node.unspent(ctx, c.Out, false)
	if err != nil {
		return false, err
	}
	return out != nil && out.value == c.Value && bytes.Equal(out.script, s.b.script), nil
}

// save keeps the book if something is new: at once if force says so, else at
// most once in saveEvery. An old one does no harm: follow goes on from it.
func (s *scanner) save(force bool) {
	if s.keep == nil || !s.dirty || len(s.b.blocks) == 0 || !force && time.Since(s.savedAt) < saveEvery {
		return
	}
	data, err := s.b.encode(s.node.network, s.birthday)
	if err == nil {
		err = s.keep.Save(data)
	}
	s.savedAt, s.saveErr = time.Now(), err
	if err == nil {
		s.dirty = false
	}
}
