package store

import "context"

// Pulse returns when the committer and the writer behind it have ended what they were
// given before. On a store that hangs it returns when ctx ends; one that is dead
// gives why.
func (s *Store) Pulse(ctx context.Context) error {
	through := make(chan struct{})
	select {
	case s.ctl <- func() { s.wr.ch <- write{then: func(error) { close(through) }} }:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrClosed
	}
	select {
	case <-through:
		return s.Dead()
	case <-ctx.Done():
		return ctx.Err()
	}
}
