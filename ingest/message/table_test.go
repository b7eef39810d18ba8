package message

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cairn/ingest/reading"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// rowsText writes rows one a line.
func rowsText(r TableRead) string {
	var b strings.Builder
	for _, x := range r.Rows {
		fmt.Fprintf(&b, "%d %s %s", x.Line, x.Device, time.UnixMilli(x.Measured).UTC().Format("2006-01-02T15:04:05.000"))
		for _, m := range x.Measurements {
			fmt.Fprintf(&b, " %s=%s%s", m.Name, m.Value, m.Unit)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The files were written for this test, as loggers of several makers write theirs.
func TestTable(t *testing.T) {
	cet := zone(t, "Europe/Zurich")
	temp := []TableField{{"Temperature(°C)", "T", "Cel"}}
	for _, c := range []struct {
		name, file, want string
		table            Table
		empty, texts     int
	}{
		{
			name: "preamble, two columns of time, semicolons and decimal commas",
			file: "\ufeffSerial;EL-1234\r\nModel;X\r\n\r\nNr;Date;Time;Temperature(°C);Humidity(%rh)\r\n1;01.05.2026;09:30:00;4,25;51,0\r\n2;01.05.2026;09:35:00;-0,5;\r\n",
			table: Table{Time: []string{"Date", "Time"}, Zone: cet, Comma: true,
				Fields: []TableField{{"Temperature(°C)", "T", "Cel"}, {"Humidity(%rh)", "H", "%RH"}}},
			want: "5  2026-05-01T07:30:00.000 T=4.25Cel H=51%RH\n6  2026-05-01T07:35:00.000 T=-0.5Cel\n",
		},
		{
			name:  "ISO 8859-1, American times, a device in each line, no value, and a word",
			file:  "Logger,When,Temperature(\xb0C)\nA7,5/1/26 1:05:09 PM,4.0\nA8,5/1/26 1:06:09 PM,--\nA7,12/31/26 12:00:00 AM,LO\n",
			table: Table{Time: []string{"When"}, Layout: "MM/DD/YY hh:mm:ss AM", Zone: time.UTC, Device: "Logger", Fields: temp},
			want:  "2 A7 2026-05-01T13:05:09.000 T=4Cel\n4 A7 2026-12-31T00:00:00.000 T=LOCel\n",
			empty: 1, texts: 1,
		},
		{
			name:  "times with a zone, tabs, quotes",
			file:  "\"time\"\tT\n\"2026-05-01T09:30:00+02:00\"\t\"4.125\"\n2026-05-01 09:31:00Z\t.5\n",
			table: Table{Time: []string{"time"}, Fields: []TableField{{"T", "T", "Cel"}}},
			want:  "2  2026-05-01T07:30:00.000 T=4.125Cel\n3  2026-05-01T09:31:00.000 T=0.5Cel\n",
		},
		{
			name:  "the hour that a clock shows twice",
			file:  "time,T\n2026-10-25 01:45,1\n2026-10-25 02:15,2\n2026-10-25 02:45,3\n2026-10-25 02:15,4\n2026-10-25 02:45,5\n2026-10-25 03:15,6\n",
			table: Table{Time: []string{"time"}, Zone: cet, Fields: []TableField{{"T", "T", "Cel"}}},
			want: "2  2026-10-24T23:45:00.000 T=1Cel\n3  2026-10-25T00:15:00.000 T=2Cel\n4  2026-10-25T00:45:00.000 T=3Cel\n" +
				"5  2026-10-25T01:15:00.000 T=4Cel\n6  2026-10-25T01:45:00.000 T=5Cel\n7  2026-10-25T02:15:00.000 T=6Cel\n",
		},
	} {
		got, err := c.table.Read([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s := rowsText(got); s != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, s, c.want)
		}
		if got.Empty != c.empty || got.Texts != c.texts {
			t.Errorf("%s: %d lines without a value and %d texts, want %d and %d", c.name, got.Empty, got.Texts, c.empty, c.texts)
		}
		for _, x := range got.Rows { // a row is its line, to the byte
			line := bytes.Split([]byte(strings.TrimPrefix(c.file, "\ufeff")), []byte("\n"))[x.Line-1]
			if want := bytes.TrimSuffix(line, []byte("\r")); !bytes.Equal(x.Text, want) {
				t.Errorf("%s: line %d is %q, want %q", c.name, x.Line, x.Text, want)
			}
		}
	}
}

func TestTableRefused(t *testing.T) {
	fields := []TableField{{"T", "T", "Cel"}}
	cet := zone(t, "Europe/Zurich")
	for _, c := range []struct {
		file, says string
		table      Table
		want       error
	}{
		{"time,T\n2026-05-01 09:30,1\n", "names no zone", Table{Time: []string{"time"}, Fields: fields}, ErrFormat},
		{"time,T\n05/01/2026 09:30,1\n", "one way alone", Table{Time: []string{"time"}, Zone: cet, Fields: fields}, ErrFormat},
		{"time,T\n2026-03-29 02:30,1\n", "never showed", Table{Time: []string{"time"}, Zone: cet, Fields: fields}, ErrFormat},
		{"time,T\n1999-05-01 09:30,1\n", "century", Table{Time: []string{"time"}, Zone: cet, Fields: fields}, ErrFormat},
		{"time,T\n2026-05-01 09:30,1\n2026-05-01 09:31," + strings.Repeat("x", 70) + "\n", "line 3: column \"T\"", Table{Time: []string{"time"}, Zone: cet, Fields: fields}, ErrFormat},
		{"time,T,T\n2026-05-01 09:30,1,2\n", "two columns are called", Table{Time: []string{"time"}, Zone: cet, Fields: fields}, ErrFormat},
		{"when,T\n2026-05-01 09:30,1\n", "time, T", Table{Time: []string{"time"}, Zone: cet, Fields: fields}, ErrColumns},
		{"time,T,who\n2026-05-01 09:30,1,\n", "names no device", Table{Time: []string{"time"}, Zone: cet, Fields: fields, Device: "who"}, ErrFormat},
		{"time,T\n2026-05-01 09:30,1\n", "not written as", Table{Time: []string{"time"}, Layout: "MM/DD/YYYY hh:mm", Zone: cet, Fields: fields}, ErrFormat},
		{"\xff\xfet\x00", "UTF-16", Table{Time: []string{"time"}, Fields: fields}, ErrFormat},
		{"a\x00b", "no text", Table{Time: []string{"time"}, Fields: fields}, ErrFormat},
		{"time,T\n" + strings.Repeat("x", MaxLine+1), "line 2", Table{Time: []string{"time"}, Fields: fields}, ErrLimit},
	} {
		got, err := c.table.Read([]byte(c.file))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q: got %v, want %v with %q", c.file, err, c.want, c.says)
		}
		_ = got
	}
	for _, bad := range []Table{{Fields: fields}, {Time: []string{"time"}}, {Time: []string{"time"}, Fields: fields, Layout: "hh:mm"}} {
		if _, err := bad.Read(nil); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestGuess(t *testing.T) {
	file := "Serial;EL-1234\nInterval;5\n\nNr;Date;Temperature\n1;01.05.2026;4,25\n"
	if got := strings.Join(Guess([]byte(file)), "|"); got != "Nr|Date|Temperature" {
		t.Errorf("got %q", got)
	}
	if got := Guess([]byte("Dear judge,\nthe fridge was cold.\n")); got != nil {
		t.Errorf("a letter has the columns %q", got)
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("time;who;T\n2026-10-25 02:15;a;1,5\n"), true)
	f.Add([]byte("x\ntime,who,T\n\"2026-05-01T09:30:00Z\",b,LO\n"), false)
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, file []byte, comma bool) {
		table := Table{Time: []string{"time"}, Zone: berlin, Device: "who", Comma: comma, Fields: []TableField{{"T", "T", "Cel"}}}
		Guess(file)
		got, err := table.Read(file)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrColumns) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		for _, x := range got.Rows {
			r := reading.Reading{
				Device: "0000000000000000", Clock: reading.Synced, Measured: x.Measured, HasMeasured: true,
				Origin:       reading.Origin{Transport: reading.TransportCSV, Verdict: reading.Vouched},
				Measurements: x.Measurements,
			}
			if err := r.Validate(); err != nil || len(x.Measurements) == 0 || x.Device == "" {
				t.Fatalf("%+v: %v", x, err)
			}
			if !bytes.Contains(file, x.Text) {
				t.Fatalf("line %d is none of the file", x.Line)
			}
		}
	})
}
