//go:build !js

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"cairn/anchor/proof"
	"cairn/anchor/proof/report"
	"cairn/ingest/frame"
	"cairn/ingest/message"
	"cairn/ingest/reading"
)

const framesUsage = `usage: cairn-verify frames --key-file KEY FRAMES PROOF

Checks a proof, and then the frames themselves that its readings were made of, for
who holds the device's key: that each is the one that the ledger has numbered and
anchored, that it authenticates under the key, and that it says what the proof says.
Neither the gateway nor anyone else has to have had the key.

FRAMES has a line for each reading, as cairn prove --frames writes it: STREAM/NUMBER
and the frame in hexadecimal. The proof must show each reading's device and frame.

  --key-file KEY   the device's key, 32 hexadecimal digits; nobody else may read it
  --policy FILE    whose ledger it must be; with --headers, --block, --rpc, --agree
                   and --require as without frames
  --json           print the answer as JSON

exit status: 0 all frames are what is proven, 1 one of them is not, or the proof was
refused, 2 could not be checked
`

// maxFrames is the size of a file of frames that is read, in bytes: 10,000 of them.
const maxFrames = 2 << 20

// framesCommand is the proof's check, and what is asked of its frames.
type framesCommand struct {
	command
	key  once
	list string
}

// framesAnswer is the answer; JSON has these names.
type framesAnswer struct {
	Authentic bool           `json:"authentic"` // every frame is what is proven
	Frames    []frameAnswer  `json:"frames"`
	NoFrame   []string       `json:"withoutFrame"` // readings of the proof
	Proof     *proof.Verdict `json:"proof"`
}

// frameAnswer is what is known of one frame.
type frameAnswer struct {
	Reading string       `json:"reading"` // STREAM/NUMBER
	Device  string       `json:"device,omitempty"`
	Counter *uint64      `json:"counter,omitempty"`
	Says    []frameField `json:"says,omitempty"` // if it authenticates
	Partly  bool         `json:"partlyRead,omitempty"`
	Repeats string       `json:"repeats,omitempty"` // a reading given before it, whose counter is not below
	Wrong   string       `json:"wrong,omitempty"`   // why it is not what is proven
}

type frameField struct {
	Name  string `json:"name"`
	Unit  string `json:"unit,omitempty"`
	Value string `json:"value"`
}

// frames is the command: it returns the exit status.
func frames(args []string, stdout, stderr io.Writer) int {
	c, err := parseFrames(args)
	if err != nil {
		return misused("cairn-verify frames", framesUsage, err, stdout, stderr)
	}
	a, err := c.run()
	if err != nil {
		return couldNot(err, stderr)
	}
	text := []byte(a.text())
	if c.json {
		if text, err = json.MarshalIndent(a, "", "  "); err != nil {
			return couldNot(err, stderr)
		}
		text = append(text, '\n')
	}
	if _, err := stdout.Write(text); err != nil {
		return couldNot(fmt.Errorf("the answer could not be written: %w", err), stderr)
	}
	if exit := a.Proof.Outcome.Exit(); exit != 0 {
		return exit
	}
	if !a.Authentic {
		return 1
	}
	return 0
}

func parseFrames(args []string) (*framesCommand, error) {
	var c framesCommand
	var agree once
	fs := flag.NewFlagSet("cairn-verify frames", flag.ContinueOnError)
	c.trustFlags(fs, &agree)
	fs.Var(&c.key, "key-file", "")
	err := parseFlags(fs, args, func(file string) error {
		switch {
		case c.list == "":
			c.list = file
		case c.file == "":
			c.file = file
		default:
			return errors.New("two files, please: the frames, and the proof")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case c.key.s == "":
		return nil, errors.New("the device's key is needed: --key-file")
	case c.file == "":
		return nil, errors.New("two files are needed: the frames, and the proof")
	}
	return &c, c.agreeOn(&agree)
}

func (c *framesCommand) run() (*framesAnswer, error) {
	opener, err := readKey(c.key.s)
	if err != nil {
		return nil, err
	}
	given, err := readFrames(c.list)
	if err != nil {
		return nil, err
	}
	var told report.Options
	_, v, err := c.verify(&told)
	if err != nil {
		return nil, err
	}
	a := &framesAnswer{Authentic: true, Frames: []frameAnswer{}, NoFrame: []string{}, Proof: v}
	newest := map[string]*frameAnswer{} // with the highest counter, by device
	for i := range v.Readings {
		r := &v.Readings[i]
		id := fmt.Sprintf("%d/%d", r.Stream, r.Sequence)
		wire, ok := given[id]
		if !ok {
			a.NoFrame = append(a.NoFrame, id)
			continue
		}
		delete(given, id)
		x := frameAnswer{Reading: id}
		if err := x.check(r, wire, opener); err != nil {
			x.Wrong, a.Authentic = err.Error(), false
		} else if last := newest[x.Device]; last != nil && *x.Counter <= *last.Counter {
			x.Repeats = last.Reading
		} else {
			newest[x.Device] = &x
		}
		a.Frames = append(a.Frames, x)
	}
	if v.Outcome != proof.Refused && len(given) != 0 {
		for id := range given {
			return nil, fmt.Errorf("%s: the proof shows no reading %s", c.list, id)
		}
	}
	if v.Outcome != proof.Refused && len(a.Frames) == 0 {
		return nil, fmt.Errorf("%s: it has no frame of any reading of the proof", c.list)
	}
	return a, nil
}

// check holds a frame against what is proven of its reading.
func (x *frameAnswer) check(r *proof.ReadingVerdict, wire []byte, opener *frame.Opener) error {
	want, ok := shownField(r, reading.IndexFrame)
	device, okDevice := shownField(r, reading.IndexDevice)
	if !ok || !okDevice {
		return errors.New("the proof does not show its device and frame: prove it with those fields")
	}
	if got := fmt.Sprintf("SHA-256 %x", sha256.Sum256(wire)); got != want {
		return fmt.Errorf("it is not the frame that was recorded: that has %s, this %s", want, got)
	}
	id, err := frame.ParseID(device)
	if err != nil {
		return fmt.Errorf("the reading's device: %w", err)
	}
	f, err := frame.Parse(wire)
	if err != nil {
		return fmt.Errorf("it is no frame: %w", err)
	}
	if !f.Secure() {
		return errors.New("it is not a secure frame: no key authenticates it")
	}
	x.Device = device
	body, err := opener.Open(nil, f, id)
	if err != nil {
		return fmt.Errorf("it does not authenticate under this key: %w", err)
	}
	counter := uint64(f.Counter())
	x.Counter = &counter
	all, left := message.AppendBody(nil, f.Type, body)
	x.Partly = left != message.Left{}
	for i := range all {
		x.Says = append(x.Says, fieldOf(&all[i]))
	}
	return x.agrees(r)
}

func fieldOf(m *reading.Measurement) frameField {
	f := frameField{m.Name, m.Unit, m.Value.String()}
	if m.Value.Kind == reading.KindText {
		f.Value = strconv.Quote(f.Value) // as a verdict has it
	}
	return f
}

// agrees says whether the frame says every measurement that the proof shows.
func (x *frameAnswer) agrees(r *proof.ReadingVerdict) error {
next:
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Index < reading.IndexData {
			continue
		}
		for _, s := range x.Says {
			if s == (frameField{f.Name, f.Unit, f.Value}) {
				continue next
			}
		}
		return fmt.Errorf("the proof shows %s = %s %s, which this frame does not say", f.Name, f.Value, f.Unit)
	}
	return nil
}

func shownField(r *proof.ReadingVerdict, index int) (string, bool) {
	for i := range r.Fields {
		if r.Fields[i].Index == index {
			return r.Fields[i].Value, true
		}
	}
	return "", false
}

func (a *framesAnswer) text() string {
	var b strings.Builder
	b.WriteString(a.Proof.Text())
	b.WriteByte('\n')
	for i := range a.Frames {
		x := &a.Frames[i]
		if x.Wrong != "" {
			fmt.Fprintf(&b, "FRAME %s IS WRONG: %s\n", x.Reading, x.Wrong)
			continue
		}
		fmt.Fprintf(&b, "frame %s of %s authenticates under the key, counter %d:", x.Reading, x.Device, *x.Counter)
		for _, s := range x.Says {
			fmt.Fprintf(&b, " %s = %s%s", s.Name, s.Value, strings.TrimRight(" "+s.Unit, " "))
		}
		if len(x.Says) == 0 {
			b.WriteString(" no measurement")
		}
		if x.Partly {
			b.WriteString(" (and what this program cannot read)")
		}
		if x.Repeats != "" {
			fmt.Fprintf(&b, " (ITS COUNTER IS NOT ABOVE THAT OF %s: it was sent again, or played back)", x.Repeats)
		}
		b.WriteByte('\n')
	}
	if n := len(a.NoFrame); n > 0 {
		fmt.Fprintf(&b, "no frame was given of %d other readings\n", n)
	}
	if a.Authentic {
		b.WriteString("Who has the key can make such frames. That one of them is in the proof says that it was there by then.\n")
	}
	return b.String()
}

// readKey reads a device's key from a file that nobody else may read.
func readKey(path string) (*frame.Opener, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w; check the name", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("--key-file: %s may be read by others than its owner: chmod 600 it", path)
	}
	b, err := read(path, 4096)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	key, err := frame.ParseKey(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	return frame.NewOpener(key)
}

// readFrames reads a file of frames, by reading.
func readFrames(path string) (map[string][]byte, error) {
	b, err := read(path, maxFrames)
	if err != nil {
		return nil, err
	}
	out, err := parseFrameLines(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func parseFrameLines(b []byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		id, digits, _ := strings.Cut(text, " ")
		stream, seq, _ := strings.Cut(id, "/")
		slot, e1 := strconv.ParseUint(stream, 10, 63)
		number, e2 := strconv.ParseUint(seq, 10, 63)
		wire, e3 := hex.DecodeString(digits)
		if e1 != nil || e2 != nil || e3 != nil || len(wire) == 0 || len(wire) > frame.MaxWire {
			return nil, fmt.Errorf("line %d is not a reading such as 0/17 and its frame in hexadecimal", n)
		}
		id = fmt.Sprintf("%d/%d", slot, number)
		if _, twice := out[id]; twice {
			return nil, fmt.Errorf("line %d: a second frame of reading %s", n, id)
		}
		out[id] = wire
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return out, nil
}
