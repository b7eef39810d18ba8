package message

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cairn/ingest/reading"
)

// Limits on a logger's file.
const (
	MaxTable = 64 << 20 // bytes
	MaxLine  = 4096     // bytes of one line
	maxTried = 200      // lines before that of the columns' names
)

// Table says how to read what a data logger exports: a file of lines with columns, of
// which one line names the columns. What stands before it is passed over.
type Table struct {
	// Delimiter is between columns; 0: whichever of ; , and tab the line of names has
	// most of.
	Delimiter rune
	// Time names the columns that make up the time, which are joined with a blank.
	Time []string
	// Layout is how times are written: YYYY or YY, MM, DD, hh, mm, ss and AM stand for
	// parts, of which a leading zero may be missing. "": RFC 3339, or a form that can be
	// read in one way alone, such as 2026-05-01 09:30 or 01.05.2026 09:30:00.
	Layout string
	// Zone is that of times which name none; nil: such times are refused.
	Zone *time.Location
	// Device names the column that says which device a line is of; "": there is none.
	Device string
	Fields []TableField
	Comma  bool // numbers have a decimal comma
}

// TableField makes a measurement of a column.
type TableField struct {
	Column string
	Name   string // of the measurement
	Unit   string // SenML's (RFC 8428 section 12.1) where it has one
}

// TableRow is one line: what a logger noted at one time.
type TableRow struct {
	Line         int    // from 1
	Text         []byte // the line as it is, without its end; a part of the file
	Device       string // as the file says; "" where it has no column for it
	Measured     int64  // Unix ms
	Measurements []reading.Measurement
}

// TableRead is what was read of a file.
type TableRead struct {
	Columns []string
	Rows    []TableRow
	Empty   int // lines without any value
	Texts   int // values that are no numbers, and are taken as text
	Text    int // line of the first of them
}

// ErrColumns tells that no line names the columns that are asked for.
var ErrColumns = errors.New("no line names these columns")

// Read reads a whole file, or none of it: an error names the line. ErrColumns: see
// [Table.Guess]. The rows' texts and the file share memory.
func (t *Table) Read(file []byte) (TableRead, error) {
	var out TableRead
	if err := checkTable(file); err != nil {
		return out, err
	}
	layouts, err := t.layouts()
	if err != nil {
		return out, err
	}
	r := tableReader{Table: t, latin: !utf8.Valid(file), layouts: layouts}
	rest := bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	for number := 1; len(rest) > 0; number++ {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if r.columns == nil {
			if number > maxTried {
				break
			}
			if err := r.names(line); err != nil {
				return out, fmt.Errorf("line %d: %w", number, err)
			}
			continue
		}
		if err := r.row(&out, number, line); err != nil {
			return out, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if r.columns == nil {
		return out, fmt.Errorf("%w: %s", ErrColumns, strings.Join(t.wanted(), ", "))
	}
	out.Columns = r.columns
	return out, nil
}

// checkTable refuses what is no table of text.
func checkTable(file []byte) error {
	switch {
	case len(file) > MaxTable:
		return fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(file), MaxTable)
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")):
		return fmt.Errorf("%w: the text is UTF-16: have the logger's program export UTF-8", ErrFormat)
	case bytes.IndexByte(file, 0) >= 0:
		return fmt.Errorf("%w: it is no text, but has bytes of zero: have the logger's program export CSV", ErrFormat)
	}
	return nil
}

// Guess gives the columns that a file seems to have: those of the first line that has
// most of them and of which the next one has as many. nil: none does.
func Guess(file []byte) (columns []string) {
	if checkTable(file) != nil {
		return nil
	}
	r := tableReader{Table: new(Table), latin: !utf8.Valid(file)}
	var last []string
	rest := bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	for range maxTried {
		var line []byte
		if line, rest, _ = bytes.Cut(rest, []byte("\n")); len(line) > MaxLine {
			break
		}
		cells, err := r.split(bytes.TrimSuffix(line, []byte("\r")), delimiterOf(line))
		if err == nil && len(cells) > max(1, len(columns)) && len(cells) == len(last) {
			columns = last
		}
		last = cells
	}
	return columns
}

// wanted are the columns that must be there.
func (t *Table) wanted() []string {
	all := slices.Clone(t.Time)
	if t.Device != "" {
		all = append(all, t.Device)
	}
	for _, f := range t.Fields {
		all = append(all, f.Column)
	}
	return all
}

type tableReader struct {
	*Table
	latin   bool // the file is no UTF-8, and so taken for ISO 8859-1
	layouts []string
	columns []string
	at      struct {
		time, fields []int
		device       int
		comma        rune
	}
	last int64 // of the row before, for times that a clock shows twice
}

// delimiterOf is the likeliest one of a line.
func delimiterOf(line []byte) rune {
	best, most := ',', 0
	for _, d := range ";,\t" {
		if n := bytes.Count(line, []byte(string(d))); n > most {
			best, most = d, n
		}
	}
	return best
}

// split takes a line apart.
func (r *tableReader) split(line []byte, delimiter rune) ([]string, error) {
	text := string(line)
	if r.latin {
		var b strings.Builder
		for _, c := range line {
			b.WriteRune(rune(c))
		}
		text = b.String()
	}
	c := csv.NewReader(strings.NewReader(text))
	c.Comma, c.LazyQuotes = delimiter, true
	cells, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells, nil
}

// names takes a line for that of the columns' names, if it has those that are wanted.
func (r *tableReader) names(line []byte) error {
	if len(line) > MaxLine {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(line), MaxLine)
	}
	comma := r.Delimiter
	if comma == 0 {
		comma = delimiterOf(line)
	}
	cells, err := r.split(line, comma)
	if err != nil {
		return nil // it is none, as nothing is read of it
	}
	for _, w := range r.wanted() {
		if !slices.Contains(cells, w) {
			return nil
		}
	}
	for _, w := range r.wanted() {
		if i := slices.Index(cells, w); slices.Contains(cells[i+1:], w) {
			return fmt.Errorf("%w: two columns are called %.80q", ErrFormat, w)
		}
	}
	r.columns, r.at.comma = cells, comma
	for _, c := range r.Time {
		r.at.time = append(r.at.time, slices.Index(cells, c))
	}
	for _, f := range r.Fields {
		r.at.fields = append(r.at.fields, slices.Index(cells, f.Column))
	}
	r.at.device = slices.Index(cells, r.Device)
	return nil
}

// row reads a line behind the names.
func (r *tableReader) row(out *TableRead, number int, line []byte) error {
	if len(line) > MaxLine {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(line), MaxLine)
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	cells, err := r.split(line, r.at.comma)
	if err != nil {
		return err
	}
	cell := func(i int) string {
		if i < 0 || i >= len(cells) {
			return ""
		}
		return cells[i]
	}
	row := TableRow{Line: number, Text: line, Device: cell(r.at.device)}
	for i, f := range r.Fields {
		v, text, ok := r.value(cell(r.at.fields[i]))
		if !ok {
			continue
		}
		if err := checkMeasurement(row.Measurements, f.Name, f.Unit, v); err != nil {
			return fmt.Errorf("column %.80q: %w", f.Column, err)
		}
		if text {
			if out.Texts++; out.Texts == 1 {
				out.Text = number
			}
		}
		row.Measurements = append(row.Measurements, reading.Measurement{Name: f.Name, Unit: f.Unit, Value: v})
	}
	if len(row.Measurements) == 0 {
		out.Empty++
		return nil
	}
	if r.Device != "" && row.Device == "" {
		return fmt.Errorf("%w: column %.80q names no device", ErrFormat, r.Device)
	}
	var when []string
	for _, i := range r.at.time {
		when = append(when, cell(i))
	}
	if row.Measured, err = r.time(strings.Join(when, " ")); err != nil {
		return err
	}
	r.last = row.Measured
	out.Rows = append(out.Rows, row)
	return nil
}

// blanks are what loggers write where they have no value.
var blanks = []string{"", "-", "--", "---", "----", "n/a", "na", "nan", "null"}

// value reads a cell; ok is false where it holds none.
func (r *tableReader) value(cell string) (v reading.Value, text, ok bool) {
	if slices.Contains(blanks, strings.ToLower(cell)) {
		return v, false, false
	}
	digits := cell
	if r.Comma {
		digits = strings.Replace(cell, ",", ".", 1)
	}
	if strings.ContainsAny(digits, "0123456789") {
		if n, err := parseNumber(digits); err == nil {
			if v, err := n.value(); err == nil {
				return v, false, true
			}
		}
	}
	return reading.Text(cell), true, true
}

// layouts are those of package time that a time may have.
func (t *Table) layouts() ([]string, error) {
	if len(t.Time) == 0 || len(t.Fields) == 0 {
		return nil, errors.New("a table needs a column with the time, and one with a measurement")
	}
	if t.Layout == "" {
		return []string{
			time.RFC3339, "2006-1-2 15:4:5Z07:00", "2006-1-2T15:4:5", "2006-1-2 15:4:5", "2006-1-2 15:4",
			"2006/1/2 15:4:5", "2006/1/2 15:4", "2.1.2006 15:4:5", "2.1.2006 15:4",
		}, nil
	}
	hour := "15"
	if strings.Contains(t.Layout, "AM") {
		hour = "3"
	}
	layout := strings.NewReplacer("YYYY", "2006", "YY", "06", "MM", "1", "DD", "2", "hh", hour, "mm", "4", "ss", "5", "AM", "PM").Replace(t.Layout)
	for _, part := range []string{"MM", "DD", "hh", "mm"} {
		if !strings.Contains(t.Layout, part) {
			return nil, fmt.Errorf("the layout %.60q of the times has no %s", t.Layout, part)
		}
	}
	if !strings.Contains(t.Layout, "YY") {
		return nil, fmt.Errorf("the layout %.60q of the times has no YYYY", t.Layout)
	}
	return []string{layout}, nil
}

// time reads a time. Where a clock showed it twice, as it was put back in autumn, it is
// the first of the two, unless the row before is later than that.
func (r *tableReader) time(text string) (int64, error) {
	for _, layout := range r.layouts {
		zone := r.Zone
		if zone == nil {
			zone = time.UTC
		}
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if t.Year() < 2000 || t.Year() > 2100 {
			return 0, fmt.Errorf("%w: the time %.40q is not of this century", ErrFormat, text)
		}
		if strings.Contains(layout, "Z07:00") {
			return t.UnixMilli(), nil
		}
		if r.Zone == nil {
			return 0, fmt.Errorf("%w: the time %.40q names no zone, and none is given for all", ErrFormat, text)
		}
		return r.local(t, text)
	}
	if r.Layout == "" {
		return 0, fmt.Errorf("%w: the time %.40q is in no form that can be read in one way alone: give the layout, such as MM/DD/YYYY hh:mm:ss", ErrFormat, text)
	}
	return 0, fmt.Errorf("%w: the time %.40q is not written as %s", ErrFormat, text, r.Layout)
}

// local settles what a clock on the wall showed twice or never.
func (r *tableReader) local(t time.Time, text string) (int64, error) {
	const form = "2006-01-02 15:04:05.000"
	wall := t.Format(form)
	var fits []int64
	for _, shift := range []time.Duration{-time.Hour, -30 * time.Minute, 0, 30 * time.Minute, time.Hour} {
		if o := t.Add(shift); o.Format(form) == wall {
			fits = append(fits, o.UnixMilli())
		}
	}
	// What the clock passed over reads back as another time.
	wanted, err := time.Parse(form, wall)
	if err != nil || len(fits) == 0 {
		return 0, fmt.Errorf("%w: the time %.40q", ErrFormat, text)
	}
	if naive, ok := r.naive(text); ok && !naive.Equal(wanted) {
		return 0, fmt.Errorf("%w: the clocks of %s never showed %.40q", ErrFormat, r.Zone, text)
	}
	for _, ms := range fits {
		if ms >= r.last {
			return ms, nil
		}
	}
	return fits[0], nil
}

// naive reads a time as if no clock was ever put forward or back.
func (r *tableReader) naive(text string) (time.Time, bool) {
	for _, layout := range r.layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Truncate(time.Millisecond), true
		}
	}
	return time.Time{}, false
}
