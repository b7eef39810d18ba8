package main

import (
	"bufio"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/mirror"
)

// errWrite says that what was opened could not be written.
var errWrite = errors.New("write what was opened")

// readingWriter writes readings in one of the formats. close ends what was
// written; after flush all is with the reader.
type readingWriter interface {
	write(*mirror.Opened) error
	flush() error
	close() error
}

func newReadingWriter(format string, w io.Writer, id merkle.Hash) readingWriter {
	buf := bufio.NewWriterSize(w, 64<<10)
	switch format {
	case formatJSON:
		e := json.NewEncoder(buf)
		e.SetEscapeHTML(false)
		return jsonLines{e, buf}
	case formatSenML:
		return &senmlWriter{w: buf, id: id}
	}
	return &csvWriter{w: csv.NewWriter(buf), buf: buf}
}

func wrote(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	return nil
}

func millisText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// openedRow is one reading as JSON shows it.
type openedRow struct {
	ID       string     `json:"id"` // stream/number
	Batch    uint64     `json:"batch"`
	Device   string     `json:"device"`
	Name     string     `json:"name,omitempty"`
	Place    string     `json:"place,omitempty"`
	Thing    string     `json:"thing,omitempty"`
	Received string     `json:"received"`
	Measured string     `json:"measured,omitempty"`
	Clock    string     `json:"clock"`
	Origin   string     `json:"transport"`
	Verdict  string     `json:"verdict"`
	Counter  *uint64    `json:"counter,omitempty"`
	Values   []valueRow `json:"values"`
	Hidden   int        `json:"hidden,omitempty"` // measurements that are not granted, or were not opened
}

type jsonLines struct {
	*json.Encoder
	buf *bufio.Writer
}

func (j jsonLines) write(o *mirror.Opened) error {
	row := openedRow{
		ID: o.ID(), Batch: o.Batch, Device: o.Device, Name: o.Name, Place: o.Place, Thing: o.Thing, Received: millisText(o.Received), Clock: o.Clock.String(),
		Origin: o.Origin.Transport, Verdict: o.Origin.Verdict.String(), Values: []valueRow{}, Hidden: o.Hidden,
	}
	if o.HasMeasured {
		row.Measured = millisText(o.Measured)
	}
	if o.Origin.HasCounter {
		row.Counter = &o.Origin.Counter
	}
	for _, m := range o.Measurements {
		row.Values = append(row.Values, valueRow{m.Name, m.Unit, m.Value.String()})
	}
	return wrote(j.Encode(&row))
}

func (j jsonLines) flush() error { return wrote(j.buf.Flush()) }
func (j jsonLines) close() error { return j.flush() }

// csvWriter writes a line for each measurement (RFC 4180), and one without a
// measurement for a reading of which none was opened.
type csvWriter struct {
	w     *csv.Writer
	buf   *bufio.Writer
	begun bool
}

var csvHead = []string{"reading", "device", "name", "place", "thing", "received", "measured", "clock", "transport", "verdict", "counter", "measurement", "value", "unit"}

func (c *csvWriter) write(o *mirror.Opened) error {
	if err := c.begin(); err != nil {
		return err
	}
	row := []string{o.ID(), o.Device, cell(o.Name), cell(o.Place), cell(o.Thing), millisText(o.Received), "", o.Clock.String(), o.Origin.Transport, o.Origin.Verdict.String(), "", "", "", ""}
	if o.HasMeasured {
		row[6] = millisText(o.Measured)
	}
	if o.Origin.HasCounter {
		row[10] = strconv.FormatUint(o.Origin.Counter, 10)
	}
	if len(o.Measurements) == 0 {
		return wrote(c.w.Write(row))
	}
	for _, m := range o.Measurements {
		row[11], row[12], row[13] = cell(m.Name), m.Value.String(), cell(m.Unit)
		if !m.Value.IsNumber() {
			row[12] = cell(row[12])
		}
		if err := c.w.Write(row); err != nil {
			return wrote(err)
		}
	}
	return nil
}

func (c *csvWriter) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return wrote(c.w.Write(csvHead))
}

func (c *csvWriter) flush() error {
	c.w.Flush()
	if err := c.w.Error(); err != nil {
		return wrote(err)
	}
	return wrote(c.buf.Flush())
}

func (c *csvWriter) close() error {
	if err := c.begin(); err != nil {
		return err
	}
	return c.flush()
}

// cell makes a text harmless in a spreadsheet, which would take one that begins
// with these for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(s[0])) && s != "%RH" && s != "%" {
		return "'" + s
	}
	return s
}

// senmlWriter writes one SenML pack (RFC 8428), record by record, so that it can
// also be read as it grows (section 4.8, SensML). A reading's first record has the
// base name, which names ledger and device, and the base time.
type senmlWriter struct {
	w     *bufio.Writer
	id    merkle.Hash
	begun bool
	name  string
}

// senmlRecord has the fields in the order in which RFC 8428 lists them.
type senmlRecord struct {
	BaseName string          `json:"bn,omitempty"`
	BaseTime json.RawMessage `json:"bt,omitempty"`
	Name     string          `json:"n,omitempty"`
	Unit     string          `json:"u,omitempty"`
	Value    json.RawMessage `json:"v,omitempty"`
	Text     *string         `json:"vs,omitempty"`
	Bool     *bool           `json:"vb,omitempty"`
	Data     *string         `json:"vd,omitempty"`
}

func (s *senmlWriter) write(o *mirror.Opened) error {
	for i, m := range o.Measurements {
		r := senmlRecord{Name: senmlName(m.Name), Unit: m.Unit}
		if name := fmt.Sprintf("cairn:%x:%s:", s.id[:8], o.Device); i == 0 && name != s.name {
			r.BaseName, s.name = name, name
		}
		if i == 0 { // seconds
			r.BaseTime = json.RawMessage(reading.Decimal(o.Received, -3).String())
		}
		text := m.Value.Text
		switch m.Value.Kind {
		case reading.KindText:
			r.Text = &text
		case reading.KindBool:
			yes := m.Value.Mantissa != 0
			r.Bool = &yes
		case reading.KindBytes: // base64url without padding, section 5.1
			data := base64.RawURLEncoding.EncodeToString([]byte(text))
			r.Data = &data
		default:
			r.Value = json.RawMessage(m.Value.String())
		}
		if err := s.record(&r); err != nil {
			return err
		}
	}
	return nil
}

func (s *senmlWriter) record(r *senmlRecord) error {
	before := ",\n"
	if !s.begun {
		before, s.begun = "[\n", true
	}
	var b strings.Builder
	b.WriteString(before)
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return wrote(err)
	}
	_, err := io.WriteString(s.w, strings.TrimSuffix(b.String(), "\n"))
	return wrote(err)
}

func (s *senmlWriter) flush() error { return wrote(s.w.Flush()) }

func (s *senmlWriter) close() error {
	end := "\n]\n"
	if !s.begun {
		end = "[]\n"
	}
	if _, err := s.w.WriteString(end); err != nil {
		return wrote(err)
	}
	return s.flush()
}

// senmlName is a measurement's name in the characters that SenML allows (section
// 4.5.1): letters, digits and - : . / _, the first one a letter or digit. The base
// name before it begins with a letter. Another character is written as ":" and two
// hexadecimal digits, and so is a ":".
func senmlName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '/', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, ":%02x", c)
		}
	}
	return b.String()
}
