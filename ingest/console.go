package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cairn/ingest/frame"
)

const (
	// consoleWake is how long a node that does not prompt is left alone: it prompts
	// every two seconds while its command line is awake.
	consoleWake  = 3 * time.Second
	consoleTries = 6 // of one command
)

// Console is the command line of a node, on its own serial line. As the firmware
// has it (OTRadioLink, OTV0P2BASE_CLI; the sketches' pollCLI):
//
//   - It sleeps until a CR or LF arrives. Awake it prints CR LF '>' once in its
//     cycle of two seconds, and takes what comes before the cycle ends, up to a CR or an
//     LF: not both, for the second would wake it again.
//   - It echoes what it takes, then answers in lines ended by CR LF.
//   - "I" is answered as [frame.ParseIDLine] reads it.
//   - "K B" and sixteen bytes in upper-case hex set the node's key: "B set", or "!B"
//     if it did not stay, or "Invalid, ignored.".
//
// The echo shows the key to whoever listens there. It also tells whether the key
// arrived: a node takes a key that came wrong, too. No error and nothing else that a
// Console gives away holds what came from the line but the ID.
type Console struct {
	out     io.Writer // nil: nothing is written
	close   func() error
	blocks  chan block
	over    chan struct{}
	wake    *time.Ticker
	rest    []byte // received, not looked at
	part    []byte // of the line that has not ended
	text    []byte // of the last one that has
	asked   bool   // the prompt in part was told
	err     error  // nothing more comes
	bytes   int    // received
	prompts int
}

// OpenConsole opens a node's serial line.
func OpenConsole(path string) (*Console, error) {
	port, err := openSerial(path, DefaultBaud)
	if err != nil {
		return nil, fmt.Errorf("open serial device %s: %w", path, err)
	}
	return newConsole(port, port, port.Close), nil
}

func newConsole(in io.Reader, out io.Writer, close func() error) *Console {
	c := &Console{out: out, close: close, blocks: make(chan block), over: make(chan struct{}), wake: time.NewTicker(consoleWake)}
	go readBlocks(in, c.blocks, c.over)
	return c
}

// Close closes the line. The node's command line falls asleep by itself.
func (c *Console) Close() error {
	c.wake.Stop()
	close(c.over)
	clear(c.part[:cap(c.part)]) // an echo may have held a key
	clear(c.text[:cap(c.text)])
	return c.close()
}

// ReadID returns the ID that the node says twice in a row.
func (c *Console) ReadID(ctx context.Context) (frame.ID, error) {
	var id frame.ID
	said := false
	if err := c.write([]byte{'\n'}); err != nil {
		return id, err
	}
	err := c.ask(ctx, []byte("I"), func(line []byte) bool {
		got, err := frame.ParseIDLine(string(line))
		if err != nil {
			return false
		}
		again := said && got == id
		id, said = got, true
		return again
	})
	if errors.Is(err, errNoAnswer) {
		err = errors.New("it prompts, and does not tell it twice alike")
	}
	if err != nil {
		return frame.ID{}, fmt.Errorf("ask the node for its ID: %w", err)
	}
	return id, nil
}

// SetKey gives the node a key. With an error the node may have the key, or another
// that it understood instead.
func (c *Console) SetKey(ctx context.Context, key frame.Key) error {
	command := fmt.Appendf(nil, "K B % X", [16]byte(key))
	defer clear(command)
	arrived := false
	why := "its firmware may have no such command"
	err := c.ask(ctx, command, func(line []byte) bool {
		echo, isEcho := bytes.CutPrefix(line, []byte{'>'})
		switch answer := string(line); {
		case isEcho:
			arrived = bytes.Equal(echo, command)
		case answer == "B set" && arrived:
			return true
		case answer == "B set":
			why = "what it echoes is not what it was sent: look at the cable"
		case answer == "!B":
			why = "the key does not stay: its memory may be worn out"
		case strings.HasPrefix(answer, "Invalid"):
			why = "it calls the command invalid"
		}
		return false
	})
	if errors.Is(err, errNoAnswer) {
		err = errors.New(why)
	}
	if err != nil {
		return fmt.Errorf("set the node's key by \"K B\": %w", err)
	}
	return nil
}

// ListenID returns the first ID that a node tells in the lines of in, which somebody
// else has it say.
func ListenID(ctx context.Context, in io.Reader) (frame.ID, error) {
	c := newConsole(in, nil, func() error { return nil })
	defer c.Close()
	for {
		line, _, err := c.next(ctx)
		if err != nil {
			return frame.ID{}, fmt.Errorf("look for a line such as \"ID: 98 A4 F5 99 E3 94 A8 C2\": %w", err)
		}
		if id, err := frame.ParseIDLine(string(line)); err == nil {
			return id, nil
		}
	}
}

// errNoAnswer says that a command was given consoleTries times.
var errNoAnswer = errors.New("no answer")

// ask gives a command at each prompt, until a line that comes after it is the answer.
func (c *Console) ask(ctx context.Context, command []byte, answer func(line []byte) bool) error {
	sent := append(bytes.Clone(command), '\n')
	defer clear(sent)
	for tries := 0; ; {
		line, prompt, err := c.next(ctx)
		switch {
		case err != nil:
			return err
		case prompt && tries == consoleTries:
			return errNoAnswer
		case prompt:
			tries++
			if err := c.write(sent); err != nil {
				return err
			}
		case tries > 0 && answer(line):
			return nil
		}
	}
}

// write writes all of b; a serial line takes a command in a tenth of a second.
func (c *Console) write(b []byte) error {
	if c.out == nil {
		return nil
	}
	if _, err := c.out.Write(b); err != nil {
		return fmt.Errorf("write to the line: %w", err)
	}
	return nil
}

// next returns the next line, which is good until the next call, or says that the
// node waits at its prompt. While it does neither it is woken.
func (c *Console) next(ctx context.Context) (line []byte, prompt bool, err error) {
	for {
		if c.line() {
			return c.text, false, nil
		}
		if !c.asked && bytes.Equal(bytes.TrimSpace(c.part), []byte{'>'}) {
			c.asked = true
			c.prompts++
			c.wake.Reset(consoleWake)
			return nil, true, nil
		}
		if c.err != nil {
			return nil, false, c.err
		}
		select {
		case <-ctx.Done():
			return nil, false, c.silence(ctx)
		case <-c.wake.C:
			if err := c.write([]byte{'\n'}); err != nil {
				return nil, false, err
			}
		case b := <-c.blocks:
			c.rest = b.data
			c.bytes += len(b.data)
			switch {
			case b.err == io.EOF:
				c.rest = append(bytes.Clone(b.data), '\n') // the last line has none
				c.err = fmt.Errorf("the line ended after %d bytes", c.bytes)
			case b.err != nil:
				c.err = fmt.Errorf("read the line: %w", b.err)
			}
		}
	}
}

// line cuts the next line out of what was received. One that is too long is cut
// short, which no answer is.
func (c *Console) line() bool {
	head, rest, ended := bytes.Cut(c.rest, []byte{'\n'})
	c.part = append(c.part, head[:min(len(head), maxLineBytes-len(c.part))]...)
	c.rest = rest
	if ended {
		c.text = append(c.text[:0], bytes.TrimSuffix(c.part, []byte{'\r'})...)
		c.part, c.asked = c.part[:0], false
	}
	return ended
}

// silence says what was heard until ctx ended.
func (c *Console) silence(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case !errors.Is(cause, context.DeadlineExceeded):
		return cause
	case c.bytes == 0:
		return errors.New("nothing is heard: does the node have power, and its TX lead to the cable's RX")
	case c.out != nil && c.prompts == 0:
		return fmt.Errorf("%d bytes are heard and no prompt: is this a node's own line, at %d baud", c.bytes, DefaultBaud)
	}
	return fmt.Errorf("%d bytes are heard, and no answer in time", c.bytes)
}
