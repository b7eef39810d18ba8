package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// decodeRequest is `cairn frame decode`.
type decodeRequest struct {
	keyHex, keyFile, id string
	datagram            bool
}

// decoded is what a frame says. Fields of the body are there only if it was
// opened.
type decoded struct {
	Verdict string      `json:"verdict"`
	Reason  string      `json:"reason,omitempty"`
	ID      string      `json:"id,omitempty"`
	Secure  *bool       `json:"secure,omitempty"`
	Type    string      `json:"type,omitempty"`
	Seq     *int        `json:"seq,omitempty"`
	Counter *counter    `json:"counter,omitempty"`
	Body    *body       `json:"body,omitempty"`
	Stats   []decodedKV `json:"stats,omitempty"`
	Plain   string      `json:"plain,omitempty"` // hexadecimal
}

type counter struct {
	Value   string `json:"value"` // 12 hex digits
	Restart uint32 `json:"restart"`
	Message uint32 `json:"message"`
}

type body struct {
	Valve       *int `json:"valve,omitempty"` // percent; absent: no valve
	CallForHeat bool `json:"callForHeat"`
	Fault       bool `json:"fault"`
	LowBattery  bool `json:"lowBattery"`
	Tamper      bool `json:"tamper"`
	FrostRisk   bool `json:"frostRisk"`
	Occupancy   int  `json:"occupancy"` // 0 not reported, 1 none, 2 possible, 3 likely
}

type decodedKV struct {
	Key   string `json:"key"`
	Unit  string `json:"unit,omitempty"`
	Value any    `json:"value"`
}

func (c *command) frameCommand() *cobra.Command {
	parent := &cobra.Command{Use: "frame", Short: "Look into single radio frames"}
	var q decodeRequest
	cmd := &cobra.Command{
		Use:   "decode [--key-file F | --key HEX] --id HEX FRAMEHEX",
		Short: "Open one OpenTRV frame and print what it says as JSON",
		Long: "Opens one OpenTRV frame, given in hexadecimal with its length byte (or without it, as\n" +
			"relays send it over UDP, with --datagram), and prints what it says as JSON. Exit code 1\n" +
			"and a reason mean that it is no frame, or that key and id do not open it.\n\n" +
			"A key on the command line can be read by every user of this machine: prefer --key-file.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.decode(q, args[0]) },
	}
	cmd.Flags().StringVar(&q.keyHex, "key", "", "the node's key, 32 hex digits (others can read it from the process list)")
	cmd.Flags().StringVar(&q.keyFile, "key-file", "", "file with the key, 32 hex digits")
	cmd.Flags().StringVar(&q.id, "id", "", "the node's full ID, 16 hex digits")
	cmd.Flags().BoolVar(&q.datagram, "datagram", false, "the frame has no length byte")
	cmd.Flags().Bool("json", true, "always so; here for uniformity")
	cmd.MarkFlagsMutuallyExclusive("key", "key-file")
	parent.AddCommand(cmd)
	return parent
}

func (c *command) decode(q decodeRequest, text string) error {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("the frame is not hexadecimal: %w", err)
	}
	key, err := q.key()
	if err != nil {
		return err
	}
	answer, err := decodeFrame(q, raw, key)
	if err != nil {
		return err
	}
	if err := c.printJSON(answer); err != nil {
		return err
	}
	if answer.Reason != "" {
		return falseError{fmt.Errorf("%s: %s", answer.Verdict, answer.Reason)}
	}
	return nil
}

// key reads the key from where it was given; nil if nowhere.
func (q decodeRequest) key() (*frame.Key, error) {
	text := q.keyHex
	if q.keyFile != "" {
		b, err := readSecretFile(q.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
		text = strings.TrimSpace(string(b))
	}
	if text == "" {
		return nil, nil
	}
	k, err := frame.ParseKey(text)
	if err != nil {
		return nil, err
	}
	return &k, nil
}

func decodeFrame(q decodeRequest, raw []byte, key *frame.Key) (*decoded, error) {
	var buf [frame.MaxWire]byte
	parse := frame.Parse
	if q.datagram {
		parse = func(b []byte) (frame.Frame, error) { return frame.ParseDatagram(b, &buf) }
	}
	f, err := parse(raw)
	if err != nil {
		return &decoded{Verdict: reading.Malformed.String(), Reason: err.Error()}, nil
	}
	seq, secure := int(f.Seq), f.Secure()
	d := &decoded{ID: hex.EncodeToString(f.ID), Secure: &secure, Seq: &seq, Type: typeText(f.Type &^ frame.SecureBit)}
	if !secure {
		d.Verdict = reading.Insecure.String()
		d.plain(f, f.Body)
		return d, nil
	}
	n := f.Counter()
	d.Counter = &counter{n.String(), n.Restart(), n.Message()}
	return d, d.open(f, q.id, key)
}

// open opens a secure frame. An error means that the question was wrong.
func (d *decoded) open(f frame.Frame, idText string, key *frame.Key) error {
	if key == nil {
		return errors.New("the frame is secure: give its node's key with --key-file and its ID with --id")
	}
	id, err := frame.ParseID(idText)
	if err != nil {
		return fmt.Errorf("--id: %w", err)
	}
	opener, err := frame.NewOpener(*key)
	if err != nil {
		return err
	}
	plain, err := opener.Open(nil, f, id)
	switch {
	case errors.Is(err, frame.ErrNodeID):
		d.Verdict, d.Reason = reading.UnknownNode.String(), err.Error()
	case errors.Is(err, frame.ErrTag):
		d.Verdict, d.Reason = reading.BadTag.String(), err.Error()
	case err != nil:
		d.Verdict, d.Reason = reading.Malformed.String(), err.Error()
	default:
		d.Verdict, d.ID = reading.Authenticated.String(), id.String()
		d.plain(f, plain)
	}
	return nil
}

// plain reads the plaintext as far as its format is known.
func (d *decoded) plain(f frame.Frame, plain []byte) {
	d.Plain = hex.EncodeToString(plain)
	if f.Type&^frame.SecureBit != frame.TypeBasic {
		return
	}
	b, err := frame.ParseBody(plain)
	if err != nil {
		return
	}
	d.Body = &body{
		CallForHeat: b.CallForHeat, Fault: b.Fault, LowBattery: b.LowBattery, Tamper: b.Tamper,
		FrostRisk: b.FrostRisk, Occupancy: b.Occupancy,
	}
	if b.Valve >= 0 {
		d.Body.Valve = &b.Valve
	}
	if b.Stats == nil {
		return
	}
	stats, err := frame.ParseStats(b.Stats, false)
	if err != nil {
		return
	}
	for _, s := range stats {
		kv := decodedKV{Key: s.Key, Unit: s.Unit, Value: s.Text}
		if s.IsInt {
			kv.Value = s.Int
		}
		d.Stats = append(d.Stats, kv)
	}
}

func typeText(t byte) string {
	if t > ' ' && t < 0x7f {
		return string(rune(t))
	}
	return fmt.Sprintf("%#02x", t)
}
