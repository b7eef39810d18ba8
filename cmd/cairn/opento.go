package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"cairn/store/mirror"
)

// errNotAll says that what was opened holds and that there is more, which was not.
var errNotAll = errors.New("not all of it could be opened")

// partEnd is of a file that is being written: what has the name that was asked for
// is whole.
const partEnd = ".part"

// output begins what open writes: standard output, or a file. done ends it, and
// says what became of it: of a file that is not whole nothing stays, unless it grows
// with --follow.
func (o *grantOpener) output() (w io.Writer, done func(error) error, err error) {
	name := o.f.out
	if name == "" {
		return o.Out, func(err error) error { return err }, nil
	}
	part := name + partEnd
	if o.f.follow {
		part = name
	}
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, fmt.Errorf("--out: %s is there already: another cairn open writes it, or was killed: remove it, or give another name", part)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--out: %w", err)
	}
	return file, func(err error) error {
		whole := err == nil || errors.Is(err, errNotAll)
		if whole || o.f.follow {
			if serr := file.Sync(); whole && serr != nil {
				err, whole = wrote(serr), false
			}
		}
		if cerr := file.Close(); whole && cerr != nil {
			err, whole = wrote(cerr), false
		}
		switch {
		case o.f.follow:
		case !whole:
			_ = os.Remove(part)
			err = fmt.Errorf("%w; %s was not written", err, name)
		default:
			if rerr := os.Rename(part, name); rerr != nil {
				return wrote(rerr)
			}
		}
		return err
	}, nil
}

// interrupted says why, in place of an error, where the process was told to leave.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// viewProgress tells where a long opening is.
func (c *command) viewProgress(v mirror.ViewProgress) {
	if v.All > 0 {
		c.progress(fmt.Sprintf("at %s, batch %d of %d: %d %s so far", mirror.HourText(v.Hour), v.Batches, v.All, v.Readings, plural(v.Readings, "reading")))
	}
}
