package report

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"cairn/scripts/chromium"
)

// TestBrowser opens the pages in Chromium and prints them: nothing is asked of
// anyone, nothing is complained about, no script runs, and the answer stands on
// the screen and on the paper.
func TestBrowser(t *testing.T) {
	browser := chromium.Browser(t)
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), s.name+".html")
			if err := os.WriteFile(at, s.render(t), 0o600); err != nil {
				t.Fatal(err)
			}
			tab, done := chromedp.NewContext(browser)
			defer done()
			seen := chromium.Watch(t, tab)
			if err := chromedp.Do(tab, chromedp.Navigate("file://"+at)); err != nil {
				t.Fatal(err)
			}
			look(t, tab, &s)
			file, err := chromedp.Run(tab, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFPreferCSSPageSize()))
			if err != nil {
				t.Fatal(err)
			}
			paper := readPDF(t, file)
			t.Logf("%d pages", paper.pages)
			if paper.pages < 2 || paper.pages > 40 {
				t.Errorf("%d pages", paper.pages)
			}
			for _, want := range []string{s.answer, "What was NOT checked", "1 of"} {
				if !strings.Contains(paper.text, letters(want)) {
					t.Errorf("the paper lacks %q", want)
				}
			}
			if asked := seen.Requests(); len(asked) != 1 || asked[0] != "file://"+at {
				t.Errorf("asked for: %q", asked)
			}
			if faults := seen.Faults(); len(faults) != 0 {
				t.Errorf("complaints: %q", faults)
			}
		})
	}
}

// look holds what must be so on the screen, at the width of a desk and of a phone.
func look(t *testing.T, tab context.Context, s *sample) {
	t.Helper()
	for _, width := range []int64{1200, 360} {
		if err := chromedp.Do(tab, chromedp.EmulateViewport(width, 900)); err != nil {
			t.Fatal(err)
		}
		wide, err := chromedp.Run(tab, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
		if err != nil || wide > width {
			t.Errorf("at %d pixels the page is %d wide, %v", width, wide, err)
		}
	}
	text, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.getElementById("answer").innerText`))
	if err != nil || !strings.Contains(letters(text), letters(s.answer)) {
		t.Errorf("the answer reads %q, %v", text, err)
	}
	title, err := chromedp.Run(tab, chromedp.Evaluate[string]("document.title"))
	if err != nil || title != string(words[s.v.Outcome])+" – Cairn verification report" {
		t.Errorf("the title is %q, %v", title, err)
	}
	// Plots stay in their frame.
	out, err := chromedp.Run(tab, chromedp.Evaluate[int64](`[...document.querySelectorAll("figure svg")].filter(svg => {
		const box = svg.getBBox(), view = svg.viewBox.baseVal
		return box.x < -1 || box.y < -1 || box.x + box.width > view.width + 1 || box.y + box.height > view.height + 1
	}).length`))
	if err != nil || out != 0 {
		t.Errorf("%d drawings reach out of their frame, %v", out, err)
	}
}
