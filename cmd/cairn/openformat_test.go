package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/mirror"
)

// openedForTest are readings with every kind of value, and texts that a
// spreadsheet would calculate.
func openedForTest() []*mirror.Opened {
	one := &mirror.Opened{Slot: 3, Batch: 7, Name: `=HYPERLINK("http://192.0.2.1")`, Place: "canteen kitchen", Thing: "@fridge", Hidden: 1, Reading: reading.Reading{
		Device: "80c1a29384b5d6e7", Received: 1_773_480_667_089, Clock: reading.Synced, Sequence: 17,
		Origin: reading.Origin{Transport: "udp", Verdict: reading.Authenticated, Counter: 5, HasCounter: true},
		Measurements: []reading.Measurement{
			{Name: "temperature", Unit: "Cel", Value: reading.Decimal(-125, -2)}, {Name: "door open", Value: reading.Bool(true)},
			{Name: "note", Value: reading.Text("+1,\"x\"\nÜ")}, {Name: "raw", Value: reading.Bytes([]byte{0xff, 0})},
			{Name: "humidity", Unit: "%RH", Value: reading.Int(60)},
		},
	}}
	two := *one
	two.Sequence, two.Received, two.Measurements = 18, 1_773_480_668_000, nil
	three := two
	three.Sequence, three.Measurements = 19, one.Measurements[:1]
	return []*mirror.Opened{one, &two, &three}
}

func writeAll(t *testing.T, format string) string {
	t.Helper()
	var b bytes.Buffer
	w := newReadingWriter(format, &b, merkle.Hash{0xab, 1})
	for _, o := range openedForTest() {
		if err := w.write(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOpenCSV(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(writeAll(t, formatCSV))).ReadAll()
	if err != nil || len(rows) != 1+5+1+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got, want := strings.Join(rows[1], "|"), `3/17|80c1a29384b5d6e7|'=HYPERLINK("http://192.0.2.1")|canteen kitchen|'@fridge|2026-03-14T09:31:07.089Z||synced|udp|authenticated|5|temperature|-1.25|Cel`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, row := range rows[1:] {
		for j, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) && j != 12 {
				t.Errorf("row %d: a spreadsheet takes %q for a formula", i, cell)
			}
		}
	}
	if rows[3][12] != "'+1,\"x\"\nÜ" || rows[5][13] != "%RH" {
		t.Errorf("got %q, %q", rows[3][12], rows[5][13])
	}
}

// TestOpenSenML resolves the records as RFC 8428 section 4.6 says.
func TestOpenSenML(t *testing.T) {
	var pack []map[string]any
	text := writeAll(t, formatSenML)
	if err := json.Unmarshal([]byte(text), &pack); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if len(pack) != 6 {
		t.Fatalf("%d records in %s", len(pack), text)
	}
	base, names := "", map[string]bool{}
	for i, r := range pack {
		if bn, ok := r["bn"].(string); ok {
			base = bn
		}
		names[base+r["n"].(string)] = true
		values := 0
		for _, key := range []string{"v", "vs", "vb", "vd"} {
			if _, ok := r[key]; ok {
				values++
			}
		}
		if values != 1 {
			t.Errorf("record %d has %d values", i, values)
		}
	}
	for name := range names {
		for _, c := range name {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:./_", c) {
				t.Errorf("%q is no name of SenML", name)
			}
		}
	}
	if !names["cairn:ab01000000000000:80c1a29384b5d6e7:door:20open"] || len(names) != 5 {
		t.Errorf("got the names %v", names)
	}
	if pack[0]["bt"] != 1773480667.089 || pack[0]["v"] != -1.25 || pack[0]["u"] != "Cel" || pack[1]["vb"] != true || pack[3]["vd"] != "_wA" {
		t.Errorf("got %s", text)
	}
	var b bytes.Buffer
	if err := newReadingWriter(formatSenML, &b, merkle.Hash{}).close(); err != nil || b.String() != "[]\n" {
		t.Errorf("nothing is %q, %v", b.String(), err)
	}
}

func TestOpenJSON(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(writeAll(t, formatJSON)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	var row openedRow
	if err := json.Unmarshal([]byte(lines[0]), &row); err != nil {
		t.Fatal(err)
	}
	if row.ID != "3/17" || row.Hidden != 1 || len(row.Values) != 5 || row.Place != "canteen kitchen" || row.Thing != "@fridge" || row.Values[0].Value != "-1.25" || *row.Counter != 5 {
		t.Errorf("got %s", lines[0])
	}
}
