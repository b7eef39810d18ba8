package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cairn/scripts/chromium"
)

// chartLibrary brings uPlot into dist, as make build does.
var chartLibrary = sync.OnceValue(func() error {
	cmd := exec.Command("scripts/page/chart.sh")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("chart.sh: %w\n%s", err, out)
	}
	if _, err := dist.Open("dist/uplot.js"); err != nil {
		return errors.New("what draws charts is there only now, and this test was built without it: run it again, or make build first")
	}
	return nil
})

// chartPage has one chart and the console's colours.
const chartPage = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>chart</title><link rel="stylesheet" href="/uplot.css"><link rel="stylesheet" href="/chart.css"><link rel="stylesheet" href="/page.css">
<main><h1>Freezer</h1><div id="chart"></div></main><script type="module" src="/page.js"></script></html>`

const chartColours = `:root { color-scheme: light dark; --card: #fff; --ink: #1c2126; --soft: #56606a; --line: #d5d8db; --accent: #2b5d8a; --on-accent: #fff; --good: #17693a; --bad: #a31621; }
@media (prefers-color-scheme: dark) { :root { --card: #1e2327; --ink: #e9ecee; --soft: #a7b0b8; --line: #3a4249; --accent: #8fc0ec; --on-accent: #10202e; --good: #7fd6a0; --bad: #ff9aa0; } }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--card); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }`

const chartScript = `import { mountChart } from "/chart.js";
const day = 86400e3, to = Date.UTC(2026, 10, 1), from = to - 365 * day;
window.chart = await mountChart(document.getElementById("chart"), { stream: 7, field: "T", title: "Freezer, T", from, to,
	limits: { low: -25, high: -15 }, marks: [{ at: to - 90 * day, kind: "alert" }, { at: to - 200 * day, kind: "anchor" }, { at: to - 60 * day, kind: "batch" }] });
document.body.dataset.ready = "yes";`

// chartYear answers as the gateway does, of a year of a reading a minute with a week in which nothing came and one that
// was shredded.
func chartYear(t testing.TB) http.HandlerFunc {
	const minute, day = int64(60e3), int64(86400e3)
	end := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	type point struct {
		From int64   `json:"from"`
		N    int64   `json:"n"`
		Min  float64 `json:"min"`
		Mean float64 `json:"mean"`
		Max  float64 `json:"max"`
	}
	type span struct {
		From int64  `json:"from"`
		To   int64  `json:"to"`
		Why  string `json:"why,omitempty"`
	}
	return func(w http.ResponseWriter, r *http.Request) {
		number := func(name string) int64 {
			n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return n
		}
		from, to, points := number("from"), number("to"), number("points")
		width := max((to-from+points-1)/points, minute)
		a := map[string]any{"field": "T", "unit": "Cel", "width": width}
		var all []point
		gaps, gone := []span{}, []span{}
		for _, s := range []span{{end - 150*day, end - 143*day, ""}, {end - 300*day, end - 293*day, "shredded"}} {
			if s.From < to && s.To > from {
				if s.Why == "" {
					gaps = append(gaps, s)
				} else {
					gone = append(gone, s)
				}
			}
		}
		for at := from; at < to && at < end; at += width {
			out := false
			for _, s := range append(gaps, gone...) {
				out = out || at >= s.From && at < s.To
			}
			if !out && at >= end-365*day {
				v := -18 + 3*math.Sin(float64(at)/float64(20*day)) + math.Sin(float64(at)/float64(day/4))
				all = append(all, point{at, max(width/minute, 1), v - 1, v, v + 1.5})
			}
		}
		if all == nil {
			all = []point{}
		}
		a["points"], a["gaps"], a["gone"] = all, gaps, gone
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(a); err != nil {
			t.Error(err)
		}
	}
}

// serveFile serves a file of the bundle, whatever the path before it.
func serveFile(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = consolePath + path.Base(r.URL.Path)
	(&Server{pages: readPages()}).servePage(w, r)
}

// TestChart draws a year, zooms and moves by keyboard, takes in a new value, and says the same in words, in a page
// whose policy allows no inline style or script.
func TestChart(t *testing.T) {
	if err := chartLibrary(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	file := func(kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
			_, _ = w.Write([]byte(text))
		}
	}
	mux.HandleFunc("GET /{$}", file("text/html; charset=utf-8", chartPage))
	mux.HandleFunc("GET /page.css", file("text/css", chartColours))
	mux.HandleFunc("GET /page.js", file("text/javascript", chartScript))
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, name := range []string{"chart.js", "chart.css", "uplot.js", "uplot.css"} {
		mux.HandleFunc("GET /"+name, serveFile)
	}
	mux.HandleFunc("GET /api/v1/streams/7/history", chartYear(t))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)

	ctx := chromium.Browser(t)
	b := &tab{t, ctx, chromium.Watch(t, ctx)}
	b.do(chromedp.EmulateViewport(1100, 800), chromedp.Navigate(srv.URL+"/"))
	b.poll(`document.body.dataset.ready === "yes"`)
	t.Logf("a year of %s points is drawn after %s ms", b.text(`String(chart.answer.points.length)`), b.text(`document.getElementById("chart").dataset.ms`))
	summary := func() string { return b.text(`document.querySelector(".chart-summary").textContent`) }
	for _, want := range []string{"Freezer, T: least -", "1 gap", "shredded from", "1 alert", "readings"} {
		if !strings.Contains(summary(), want) {
			t.Errorf("the summary is %q, want it to say %q", summary(), want)
		}
	}
	if b.is(`document.querySelectorAll(".chart-spans button[aria-pressed=true]").length > 1`) {
		t.Error("more than one span is pressed")
	}
	// Where there is a gap no line goes across.
	if !b.is(`chart.columns()[3].filter(v => v === null).length === 2`) {
		t.Errorf("the columns have %s gaps, want 2, one of them shredded", b.text(`String(chart.columns()[3].filter(v => v === null).length)`))
	}
	drawn := `(() => { const c = document.querySelector("#chart canvas"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n > d.length / 4 / 50; })()`
	if !b.is(drawn) {
		t.Error("nothing is drawn")
	}
	b.picture("chart-year")

	// By keyboard: nearer, to the left, and back to where it began.
	width := func() string { return b.text(`String(Math.round((chart.to - chart.from) / 86400e3))`) }
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".chart-plot").focus()`))
	press := func(key, until string) {
		t.Helper()
		b.press(key)
		b.poll(until)
	}
	press("+", `Math.round((chart.to - chart.from) / 86400e3) < 200 && !document.getElementById("chart").hasAttribute("aria-busy")`)
	if w := width(); w != "183" && w != "182" {
		t.Errorf("after + it shows %s days, want half of 365", w)
	}
	was := b.text(`String(chart.from)`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".chart-plot").dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft", bubbles: true, cancelable: true}))`))
	b.poll(`chart.from < ` + was + ` && !document.getElementById("chart").hasAttribute("aria-busy")`)
	press("-", `Math.round((chart.to - chart.from) / 86400e3) > 300 && !document.getElementById("chart").hasAttribute("aria-busy")`)
	b.picture("chart-moved")
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".chart-plot").dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true, cancelable: true}))`))
	b.poll(`chart.to === Date.UTC(2026, 10, 1) && !document.getElementById("chart").hasAttribute("aria-busy")`)

	// What comes now is drawn; what is of another time is not.
	n := b.text(`String(chart.answer.points.reduce((s, p) => s + p.n, 0))`)
	b.do(chromedp.Evaluate[chromedp.Void](`chart.push({at: chart.to + 1000, value: 30}); chart.push({at: chart.to - 1000 * 86400e3, value: 99}); chart.push({at: chart.to, value: "hot"})`))
	if !b.is(`chart.answer.points.reduce((s, p) => s + p.n, 0) === ` + n + ` + 1`) {
		t.Error("what came now is not among the points, or more is")
	}
	if !strings.Contains(summary(), "greatest 30") {
		t.Errorf("the summary is %q, want it to say greatest 30", summary())
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".chart-rows").open = true`))
	b.poll(`document.querySelectorAll(".chart-rows tbody tr").length > 10`)
	if b.is(`document.querySelectorAll(".chart-rows tbody tr").length > 61`) {
		t.Error("the table has more rows than anybody reads")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".chart-rows").open = false`))
	b.dark()
	b.do(chromedp.Evaluate[chromedp.Void](`chart.show(Date.UTC(2026, 5, 1), Date.UTC(2026, 6, 1))`))
	b.poll(`chart.from === Date.UTC(2026, 5, 1)`)
	b.picture("chart-dark")
	b.do(chromedp.EmulateViewport(360, 740))
	b.poll(`document.querySelector("#chart canvas").getBoundingClientRect().width <= 360`)
	if b.is(`document.documentElement.scrollWidth > 360`) {
		t.Error("on a phone the page is wider than the screen")
	}
	b.picture("chart-phone")
	if faults := b.seen.Faults(); len(faults) > 0 {
		t.Errorf("faults in the page:\n%s", strings.Join(faults, "\n"))
	}
}

// TestChartMissing: nothing is served but what a chart needs.
func TestChartMissing(t *testing.T) {
	for name, want := range map[string]int{"/x/chart.js": http.StatusOK, "/chart.css": http.StatusOK, "/uplot.map": http.StatusNotFound, "/page.go": http.StatusNotFound} {
		w := httptest.NewRecorder()
		serveFile(w, httptest.NewRequest(http.MethodGet, name, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", name, w.Code, want)
		}
	}
}
