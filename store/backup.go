package store

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// CopyTo writes all that is durable into a folder that must not exist, as one state of
// one moment, while readings go on being taken. Then, with no shredding possible in
// between, it calls with, for what must not be older than the data: the keyring.
func (s *Store) CopyTo(ctx context.Context, dir string, with func() error) error {
	s.shredding.Lock() // a keyring of after it does not open data of before
	defer s.shredding.Unlock()
	if z, err := s.pendingShred(); err != nil || z != nil {
		if err == nil {
			err = fmt.Errorf("a shredding is not through")
		}
		return fmt.Errorf("copy the data: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.Dead(); err != nil {
		return err
	}
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy the data: %w", err)
	}
	return with()
}
