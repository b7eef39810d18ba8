package report

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"cairn/anchor/proof"
)

// Options are what a report tells beside the file and its verdict.
type Options struct {
	File   Input         // the proof file itself
	Given  []Input       // what the verifier was given beside it: policy, headers files, block hashes, nodes
	Held   []Input       // photos and papers that were held against it, which nothing rests on
	Policy *proof.Policy // that the file was checked against; nil: none

	Verifier string    // program and version
	Made     time.Time // by the verifier's own clock; zero: not told

	Limits []Limit // that the readings are held against
}

// Input is something that a verdict rests on.
type Input struct {
	What   string // "policy", "headers file"
	Name   string // as it was given
	Digest [32]byte
	Size   int64 // bytes; -1: it is no file, and Digest says nothing
}

// HTML writes the report of a verdict v over a file, as one page. f is the file
// as it was decoded, or nil if it could not be. The same arguments give the same
// bytes. An error is the writer's.
func HTML(w io.Writer, f *proof.File, v *proof.Verdict, o Options) error {
	r := &report{page: newPage(w), f: f, v: v, o: o}
	// Of a file that is false, or that could not be read, nothing is shown. An
	// update has no level either, but is not false.
	if f != nil && (v.Level > proof.LevelNone || v.Code == proof.CodeUpdate) {
		r.c = gather(f, v)
		r.hold()
	}
	r.head()
	r.answer()
	r.claim()
	r.checked()
	r.notChecked()
	if r.c != nil {
		r.readings()
		r.installations()
		r.time()
		r.completeness()
		r.anchors()
		r.witnesses()
		r.statements()
	}
	r.identities()
	r.reasons()
	r.annex()
	r.put("</main>\n</body>\n</html>\n")
	return r.w.Flush()
}

// report is one page in the making.
type report struct {
	*page
	f *proof.File
	v *proof.Verdict
	o Options
	c *content // nil: nothing of it may be shown

	out      map[*series][]excursion
	compared map[int]bool // limits that some series has
	section  int
}

// hold compares all values to the limits.
func (r *report) hold() {
	r.out, r.compared = make(map[*series][]excursion), make(map[int]bool)
	for _, s := range r.c.series {
		s.cut(r.gapsOf(s))
		for i := range r.o.Limits {
			l := &r.o.Limits[i]
			if !l.of(s.name, s.unit) {
				continue
			}
			r.compared[i] = true
			r.out[s] = append(r.out[s], s.excursions(l)...)
			for _, p := range s.points {
				if l.side(p.value) != 0 {
					r.c.rows[p.row].out = true
				}
			}
		}
	}
}

func (r *report) head() {
	digest := fmt.Sprintf("%x", r.o.File.Digest)
	sheet := paper(words[r.v.Outcome], digest)
	r.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '%' '%'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>% – Cairn verification report</title>
<style>%</style>
<style>%</style>
</head>
<body>
<header>
<h1>Cairn verification report</h1>
`, sum(style), sum(sheet), words[r.v.Outcome], style, sheet)
	r.put(`<p>Proof file <b>%</b>, % bytes<br>SHA-256 <span class="hash">%</span></p>`+"\n",
		foreign(r.o.File.Name), int(r.o.File.Size), inGroups(digest))
	r.put(`<p>Checked with %`, r.o.Verifier)
	if !r.o.Made.IsZero() {
		r.put(` on %, by the clock of the computer that did it`, when(r.o.Made.UnixMilli()))
	}
	r.put(".</p>\n</header>\n<main>\n")
	r.patterns()
}

// sum is how a content security policy names a style sheet.
func sum(sheet markup) string {
	h := sha256.Sum256([]byte(sheet))
	return "sha256-" + base64.StdEncoding.EncodeToString(h[:])
}

var words = map[proof.Outcome]markup{
	proof.Verified: "VERIFIED", proof.Refused: "REFUSED", proof.Unchecked: "COULD NOT CHECK",
}

// part begins a numbered section.
func (r *report) part(title markup, class markup) {
	if r.section > 0 {
		r.put("</section>\n")
	}
	r.section++
	r.put(`<section class="%"><h2>%. %</h2>`+"\n", class, r.section, title)
}
