package report

import (
	"bytes"
	"compress/zlib"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
)

// pdf is what these tests need to know of a PDF that Chromium made.
type pdf struct {
	pages int
	text  string // all letters and digits, in the order of the file
}

var (
	pdfObject  = regexp.MustCompile(`(?s)(\d+) 0 obj\s*(.*?)\s*endobj`)
	pdfPage    = regexp.MustCompile(`/Type\s*/Page\b`)
	pdfUnicode = regexp.MustCompile(`/ToUnicode (\d+) 0 R`)
	pdfFont    = regexp.MustCompile(`/(F\d+) (\d+) 0 R`)
	pdfChars   = regexp.MustCompile(`<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>`)
	pdfRange   = regexp.MustCompile(`<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>`)
	pdfShown   = regexp.MustCompile(`/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>`)
)

// readPDF finds the pages, and by the fonts' own tables the letters that stand
// on them.
func readPDF(t *testing.T, file []byte) (p pdf) {
	t.Helper()
	objects, streams := make(map[string][]byte), make(map[string][]byte)
	var order []string
	for _, m := range pdfObject.FindAllSubmatch(file, -1) {
		id := string(m[1])
		head, body, ok := bytes.Cut(m[2], []byte("stream\n"))
		objects[id], order = head, append(order, id)
		if pdfPage.Match(head) {
			p.pages++
		}
		if ok && bytes.Contains(head, []byte("/FlateDecode")) {
			if z, err := zlib.NewReader(bytes.NewReader(body)); err == nil {
				streams[id], _ = io.ReadAll(z)
			}
		}
	}
	fonts := make(map[string]map[uint64]string)
	for _, m := range pdfFont.FindAllSubmatch(file, -1) {
		if u := pdfUnicode.FindSubmatch(objects[string(m[2])]); u != nil {
			fonts[string(m[1])] = glyphs(streams[string(u[1])])
		}
	}
	var text strings.Builder
	for _, id := range order {
		if !bytes.Contains(streams[id], []byte(" Tf")) {
			continue
		}
		var font map[uint64]string
		for _, m := range pdfShown.FindAllSubmatch(streams[id], -1) {
			if len(m[1]) != 0 {
				font = fonts[string(m[1])]
			}
			for hex := string(m[2]); len(hex) >= 4; hex = hex[4:] {
				glyph, _ := strconv.ParseUint(hex[:4], 16, 16)
				text.WriteString(font[glyph])
			}
		}
	}
	p.text = letters(text.String())
	return p
}

// glyphs reads a font's table from glyphs to text.
func glyphs(table []byte) map[uint64]string {
	all := make(map[uint64]string)
	number := func(b []byte) uint64 {
		n, _ := strconv.ParseUint(string(b), 16, 64)
		return n
	}
	for _, part := range bytes.Split(table, []byte("begin")) {
		switch {
		case bytes.HasPrefix(part, []byte("bfchar")):
			for _, m := range pdfChars.FindAllSubmatch(part, -1) {
				var units []uint16
				for hex := m[2]; len(hex) >= 4; hex = hex[4:] {
					units = append(units, uint16(number(hex[:4])))
				}
				all[number(m[1])] = string(utf16.Decode(units))
			}
		case bytes.HasPrefix(part, []byte("bfrange")):
			for _, m := range pdfRange.FindAllSubmatch(part, -1) {
				for g, first := number(m[1]), number(m[1]); g <= number(m[2]); g++ {
					all[g] = string(rune(number(m[3]) + g - first))
				}
			}
		}
	}
	return all
}

var ligatures = strings.NewReplacer("ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl")

// letters leaves of a text its letters and digits: how a page parts and joins
// them is the browser's business.
func letters(s string) string {
	s = ligatures.Replace(s)
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}
