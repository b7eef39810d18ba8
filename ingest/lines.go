package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"cairn/ingest/reading"
)

const (
	// DefaultBaud is the speed of a hub's serial link; it is always 8N1.
	DefaultBaud = 4800

	// maxLineBytes is kept of a line; what is longer is malformed anyway.
	maxLineBytes = 256
	answerPause  = time.Second
	reopenFirst  = time.Second
	reopenMax    = 30 * time.Second
)

// LinesConfig is a line source's.
type LinesConfig struct {
	Name string // default "lines"
	// Path is a serial device, a regular file or a named pipe, or "-" for Stdin.
	Path  string
	Stdin io.Reader // for "-"
	Baud  int       // of a serial device; default 4800
	// Hub is the number of the text device to which the hub's own status ('=')
	// belongs; 0 leaves those lines aside.
	Hub uint32
	// Answer makes the source answer the hub's prompt on a serial device, so
	// that its command line goes back to sleep.
	Answer bool
}

// Lines reads a hub's text lines. A serial device that goes away is opened
// again when it comes back; a named pipe is read for ever, whoever writes to it;
// standard input and files are read to their end, once. A file
// that is read again by a later run gives its text lines as new readings, since
// they carry no counter; its raw frames are known as duplicates or replays.
//
// While the committer is behind, Lines does not read on: a file waits, a serial
// device loses what its driver cannot hold.
type Lines struct {
	cfg LinesConfig
}

// NewLines returns a line source. Nothing is opened before it runs.
func NewLines(cfg LinesConfig) (*Lines, error) {
	if cfg.Path == "" {
		return nil, errors.New("line source without a path")
	}
	if cfg.Path == "-" && cfg.Stdin == nil {
		return nil, errors.New("line source of standard input without a reader")
	}
	if cfg.Name == "" {
		cfg.Name = "lines"
	}
	if cfg.Baud <= 0 {
		cfg.Baud = DefaultBaud
	}
	return &Lines{cfg: cfg}, nil
}

// Name returns the source's name.
func (l *Lines) Name() string { return l.cfg.Name }

// Run reads until ctx ends or the input does. A path that cannot be opened at
// first is an error.
func (l *Lines) Run(ctx context.Context, sink Sink) error {
	if l.cfg.Path == "-" {
		return l.read(ctx, l.cfg.Stdin, nil, sink)
	}
	info, err := os.Stat(l.cfg.Path)
	if err != nil {
		return fmt.Errorf("open line source: %w", err)
	}
	if info.Mode()&os.ModeCharDevice != 0 {
		return l.serial(ctx, sink)
	}
	f, err := openFile(l.cfg.Path, info)
	if err != nil {
		return fmt.Errorf("open line source: %w", err)
	}
	defer f.Close()
	return l.read(ctx, f, nil, sink)
}

// serial reads a device, and waits for it when it is gone.
func (l *Lines) serial(ctx context.Context, sink Sink) error {
	port, err := openSerial(l.cfg.Path, l.cfg.Baud)
	if err != nil {
		return fmt.Errorf("open serial device %s: %w", l.cfg.Path, err)
	}
	wait := reopenFirst
	for {
		if port != nil {
			err = l.read(ctx, port, port, sink)
			port.Close()
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = io.EOF
			}
			sink.Tell(EventDown, err.Error())
			wait = reopenFirst
		}
		pause(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
		wait = min(2*wait, reopenMax)
		if port, err = openSerial(l.cfg.Path, l.cfg.Baud); err != nil {
			port = nil
			continue
		}
		sink.Tell(EventUp, "")
	}
}

// read reads lines from in until it or ctx ends. Prompts are answered on out,
// if it is not nil.
//
// A read may block for good: a terminal as standard input cannot be woken. So
// it happens on a goroutine that touches nothing else; closing in ends it, and
// one that cannot be closed ends with the process or at its next byte.
func (l *Lines) read(ctx context.Context, in io.Reader, out io.Writer, sink Sink) error {
	blocks := make(chan block)
	over := make(chan struct{})
	defer close(over)
	go readBlocks(in, blocks, over)

	s := splitter{ctx: ctx, lines: l, sink: sink, out: out}
	for {
		select {
		case <-ctx.Done():
			if c, ok := in.(io.Closer); ok {
				c.Close()
			}
			return nil
		case b := <-blocks:
			if err := s.block(b.data); err != nil {
				return nil // ctx ended while the queue was full
			}
			if b.err == io.EOF {
				return stopped(ctx, s.end())
			}
			if b.err != nil {
				return stopped(ctx, fmt.Errorf("read lines: %w", b.err))
			}
		}
	}
}

// stopped returns err unless ctx has ended: what happens then is part of it.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// block is the outcome of one read.
type block struct {
	data []byte
	err  error
}

// readBlocks sends what it reads. The receiver is done with one block before it
// asks for the next, so two buffers suffice.
func readBlocks(in io.Reader, blocks chan<- block, over <-chan struct{}) {
	var buffers [2][4096]byte
	for i := 0; ; i ^= 1 {
		n, err := in.Read(buffers[i][:])
		if n == 0 && err == nil {
			err = io.ErrNoProgress // only a serial device with a timeout does that
		}
		select {
		case blocks <- block{buffers[i][:n], err}:
		case <-over:
			return
		}
		if err != nil {
			return
		}
	}
}

// splitter cuts bytes into lines. A line that is too long is cut to
// maxLineBytes, which is malformed, and the rest of it is skipped.
type splitter struct {
	ctx   context.Context // of one call of read
	lines *Lines
	sink  Sink
	out   io.Writer

	part     []byte
	answered time.Time
}

func (s *splitter) block(b []byte) error {
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		s.part = append(s.part, line[:min(len(line), maxLineBytes-len(s.part))]...)
		b = rest
		if ended {
			if err := s.end(); err != nil {
				return err
			}
		}
	}
	s.answer()
	return nil
}

// end hands on the line that has ended.
func (s *splitter) end() error {
	line := bytes.TrimSuffix(s.part, []byte{'\r'})
	s.part = s.part[:0]
	if len(line) == 0 {
		return nil
	}
	return s.sink.Put(s.ctx, Packet{
		Form: FormLine, Data: line, Transport: reading.TransportLine, Hub: s.lines.cfg.Hub,
	})
}

// answer answers a prompt: a '>' on a line that has not ended, for the hub
// waits behind it. It echoes the answer, so ">E" is no prompt; and it is not
// answered more than once a second, should something else send these.
func (s *splitter) answer() {
	if s.out == nil || !s.lines.cfg.Answer || !bytes.Equal(bytes.TrimSpace(s.part), []byte{'>'}) {
		return
	}
	if now := time.Now(); now.Sub(s.answered) >= answerPause {
		s.answered = now
		// If it cannot be written the hub's command line times out by itself,
		// and a device that is gone is noticed by reading.
		_, _ = s.out.Write([]byte("E\n"))
	}
}
