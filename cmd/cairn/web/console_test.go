package web

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"cairn/scripts/chromium"
)

// consoleTab opens the console in a browser and logs in.
func consoleTab(t *testing.T, c *console, user string) *tab {
	t.Helper()
	ctx := chromium.Browser(t)
	b := &tab{t, ctx, chromium.Watch(t, ctx)}
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(c.URL+"/"))
	b.poll(`document.body.dataset.ready === "login"`)
	if user != "" {
		b.enter(user)
	}
	return b
}

// enter logs in, by keyboard.
func (b *tab) enter(user string) {
	b.Helper()
	b.do(chromedp.SetValue(chromedp.CSS("#name"), user), chromedp.SetValue(chromedp.CSS("#password"), testPassword), chromedp.Focus(chromedp.CSS("#password")))
	b.press(kb.Enter)
	b.poll(`document.body.dataset.ready !== "login"`)
}

// visit goes to a page of the console, as a link does.
func (b *tab) visit(path string) {
	b.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`{
		delete document.body.dataset.ready;
		const a = document.createElement("a"); a.href = "/console/` + path + `"; document.body.append(a); a.click(); a.remove();
	}`))
	b.poll(`"ready" in document.body.dataset`)
	b.poll(`document.querySelector("[aria-busy]") === null`)
}

// consolePages are all of them.
var consolePages = map[string]string{
	"overview": "", "devices": "devices", "stream": "stream/site/0", "reading": "reading/site/0/1422", "batches": "batches", "batch": "batch/site/131079",
	"anchors": "anchors", "sharing": "sharing", "alerts": "alerts", "settings": "settings",
}

// healthy fails if the page is not as all of the console's are to be.
func (b *tab) healthy(what string, width string) {
	b.Helper()
	b.named()
	if got := b.text(`String(document.documentElement.scrollWidth > innerWidth ? document.documentElement.scrollWidth : innerWidth)`); got != width {
		b.Errorf("%s: the page is %s wide on a screen of %s: %s", what, got, width, b.text(`[...document.querySelectorAll("body *")].filter(e =>
			e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")).slice(0, 5).map(e => e.outerHTML.slice(0, 200)).join("\n")`))
	}
	if n := b.text(`String(document.querySelectorAll("h1").length)`); n != "1" {
		b.Errorf("%s: %s headings of the first rank", what, n)
	}
}

// noFaults fails if anything went wrong in the page, or anybody else was asked for something.
func (b *tab) noFaults(c *console, but ...string) {
	b.Helper()
	home, err := url.Parse(c.URL)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range b.seen.Requests() {
		if u, err := url.Parse(r); err != nil || u.Host != home.Host {
			b.Errorf("%s was asked for", r)
		}
	}
	for _, f := range b.seen.Faults() {
		if !slices.ContainsFunc(but, func(s string) bool { return strings.Contains(f, s) }) {
			b.Errorf("fault in the page: %s", f)
		}
	}
}

// TestConsolePictures looks at every page in every state, on a desk and on a phone, light and dark: nothing reaches out
// at the side, every control has a name. With -pictures it leaves pictures to look at.
func TestConsolePictures(t *testing.T) {
	for name, made := range map[string]func() *fake{"empty": empty, "normal": normal, "alarmed": alarmed, "broken": broken} {
		t.Run(name, func(t *testing.T) {
			c := newConsole(t, made())
			b := consoleTab(t, c, "")
			b.picture("console-" + name + "-login")
			b.enter("ada")
			for page, path := range consolePages {
				if name == "empty" && (page == "stream" || page == "reading" || page == "batch") {
					continue
				}
				b.visit(path)
				b.healthy(name+" "+page, "1280")
				b.picture("console-" + name + "-" + page)
			}
			b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
			for page, path := range consolePages {
				if name == "empty" && (page == "stream" || page == "reading" || page == "batch") {
					continue
				}
				b.visit(path)
				b.do(chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
				b.healthy(name+" "+page+" on a phone", "360")
				b.picture("console-" + name + "-phone-" + page)
			}
			b.dark()
			b.visit("")
			b.picture("console-" + name + "-phone-dark")
			b.do(chromedp.EmulateViewport(1280, 900))
			b.visit("")
			b.picture("console-" + name + "-dark")
			b.visit("reading/site/0/1422")
			b.picture("console-" + name + "-dark-reading")
			b.noFaults(c, "status of 401", "status of 500", "status of 404")
		})
	}
}

// TestConsoleAlarm: somebody sees the alarm, acknowledges it by keyboard, and a viewer may not.
func TestConsoleAlarm(t *testing.T) {
	c := newConsole(t, alarmed())
	b := consoleTab(t, c, "otto")
	if got := b.text(`document.querySelector(".needs li.alarm").innerText`); !strings.Contains(got, "fridge at canteen kitchen: warm") {
		t.Errorf("what needs a person: %q", got)
	}
	if got := b.text(`document.querySelector("#menu a[href$=alerts] .count").textContent`); got != "1" {
		t.Errorf("the menu counts %s", got)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`delete document.body.dataset.ready`), chromedp.Click(chromedp.CSS(".needs a.button")))
	b.poll(`"ready" in document.body.dataset`)
	if got := b.text(`document.activeElement.id`); got != "alert-site-97" {
		t.Errorf("the focus is on %q", got)
	}
	b.press(kb.Tab, kb.Tab)
	b.press(strings.Split("door shut", "")...)
	b.press(kb.Enter)
	b.poll(`document.querySelector("#alert-site-97.acknowledged") !== null`)
	if got := b.text(`document.getElementById("alert-site-97").innerText`); !strings.Contains(got, "otto acknowledged it: door shut") {
		t.Errorf("the alert says %q", got)
	}
	c.mu.Lock()
	did := slices.Clone(c.did)
	c.mu.Unlock()
	if want := []string{"ack 97 otto door shut"}; !slices.Equal(did, want) {
		t.Errorf("did %q, want %q", did, want)
	}
	// What others do is seen without asking.
	c.fake.alerts.Alerts[0].State = "cleared"
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	b.poll(`document.body.dataset.heard === "yes"`)
	c.api.Tell(Event{Type: "alert", Alert: &ChangedAlert{Ledger: "site", Number: 97, Rule: "warm", News: "cleared"}})
	b.poll(`document.querySelector("#alert-site-97.acknowledged") === null`)
	b.noFaults(c, "status of 401")

	v := consoleTab(t, newConsole(t, alarmed()), "vera")
	v.visit("alerts")
	if v.is(`document.querySelector("main form") !== null`) {
		t.Error("a viewer is offered to acknowledge")
	}
}

// TestConsoleLive: a reading that comes is in the list of its stream, without asking.
func TestConsoleLive(t *testing.T) {
	c := newConsole(t, normal())
	b := consoleTab(t, c, "vera")
	b.visit("stream/site/0")
	if n := len(b.list(".scroll tbody tr")); n != 50 {
		t.Errorf("%d readings", n)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("button")].find(e => e.textContent === "Older readings").click()`))
	b.poll(`document.querySelectorAll(".scroll tbody tr").length === 100`)
	b.poll(`document.body.dataset.heard === "yes"`)
	more := c.fake.readings[0]
	more.Sequence, more.Values = 1423, []Value{{"T", "Cel", "8.75"}, {"H", "%RH", "60"}}
	c.fake.readings = append([]ReadingRow{more}, c.fake.readings...)
	c.api.Tell(Event{Type: "reading", Reading: &NewReading{Ledger: "site", Stream: 0, Received: more.Received, Values: more.Values}})
	b.poll(`document.querySelector(".scroll tbody tr.fresh") !== null`)
	if got := b.text(`document.querySelector(".scroll tbody tr").innerText`); !strings.Contains(got, "8.75 °C") || !strings.Contains(got, "1423") {
		t.Errorf("the newest is %q", got)
	}
	b.noFaults(c, "status of 401")
}

// TestConsoleProofOfTime: a proof of a day is asked for with its times, and the name of its file is fit for one.
func TestConsoleProofOfTime(t *testing.T) {
	c := newConsole(t, normal())
	c.fake.proof.State, c.fake.proof.Waits = AnchorPending, true
	b := consoleTab(t, c, "vera")
	b.visit("stream/site/0?until=2026-01-01T00:00:00Z")
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("main form")].find(f => f.elements.from).requestSubmit()`))
	b.poll(`document.getElementById("download") !== null`)
	if got := b.text(`document.getElementById("download").textContent`); got != "Download cairn-1.proof" {
		t.Errorf("offered: %s", got)
	}
	// It goes on looking until the anchor is final.
	c.mu.Lock()
	c.fake.proof.State, c.fake.proof.Waits = AnchorFinal, false
	c.mu.Unlock()
	b.poll(`document.querySelector("[role=status] .note.good")?.textContent.startsWith("Anchored")`)
	b.healthy("a proof of a time", "1280")
	b.noFaults(c, "status of 401")
}

// TestConsoleYear: a stream's charts show a year when asked to, and take in what comes.
func TestConsoleYear(t *testing.T) {
	if err := chartLibrary(); err != nil {
		t.Fatal(err)
	}
	c := newConsole(t, alarmed())
	if !strings.Contains(string(c.api.pages[shell].body), "data-chart") {
		t.Skip("this test was built before the library was there: run it again")
	}
	b := consoleTab(t, c, "vera")
	b.visit("stream/site/0")
	b.poll(`document.querySelectorAll(".chart canvas").length === 2`)
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll(".chart button")].find(e => e.textContent === "Year").click()`))
	b.poll(`document.querySelector(".chart button:nth-of-type(5)").getAttribute("aria-pressed") === "true"`)
	t.Logf("a year is drawn after %s ms", b.text(`document.querySelector(".chart").dataset.ms`))
	if got := b.text(`document.querySelector(".chart-summary").textContent`); !strings.Contains(got, "fridge, T: least") || !strings.Contains(got, "1 alert") {
		t.Errorf("the chart says %q", got)
	}
	b.healthy("a year", "1280")
	b.noFaults(c, "status of 401")
}

// TestConsoleAudience: an audience finds its streams and its grants, and no door to anything else.
func TestConsoleAudience(t *testing.T) {
	c := newConsole(t, normal())
	b := consoleTab(t, c, "food")
	b.poll(`document.body.dataset.ready === "/console/devices"`)
	if got := b.list("#menu a"); !slices.Equal(got, []string{"Devices", "Batches", "Sharing", "Verify"}) {
		t.Errorf("the menu has %q", got)
	}
	b.picture("console-audience")
	for _, path := range []string{"stream/site/0", "reading/site/0/1422", "batches", "sharing"} {
		b.visit(path)
		if b.is(`document.querySelector(".note.bad") !== null`) {
			t.Errorf("%s: %s", path, b.text(`document.querySelector("main").innerText`))
		}
	}
	b.noFaults(c, "status of 401")
}

// TestConsoleOver: a session that ends leads to the login, and from there back.
func TestConsoleOver(t *testing.T) {
	c := newConsole(t, normal())
	b := consoleTab(t, c, "")
	b.do(chromedp.SetValue(chromedp.CSS("#name"), "vera"), chromedp.SetValue(chromedp.CSS("#password"), "not the password"), chromedp.Click(chromedp.CSS("button")))
	b.poll(`!document.querySelector("[role=alert]").hidden`)
	if got := b.text(`document.activeElement.id + document.activeElement.value`); got != "password" {
		t.Errorf("the focus is on %q", got)
	}
	b.picture("console-refused")
	b.enter("vera")
	if err := c.api.cfg.Accounts.SetPassword("vera", hashOf(t, testPassword)); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#menu a[href$=batches]").click()`))
	b.poll(`document.body.dataset.ready === "login"`)
	if got := b.text(`document.querySelector("[role=alert]").textContent`); !strings.Contains(got, "session is over") {
		t.Errorf("the page says %q", got)
	}
	b.enter("vera")
	b.poll(`document.body.dataset.ready === "/console/batches"`)
	b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("button")].find(e => e.textContent === "Log out").click()`))
	b.poll(`document.body.dataset.ready === "login"`)
	b.noFaults(c, "status of 401")
}

// TestConsoleEvil shows a site in which every text is made to deceive.
func TestConsoleEvil(t *testing.T) {
	f := alarmed()
	name := evil + "\u202e\u200b"
	for i := range f.devices {
		d := &f.devices[i]
		d.Name, d.Thing, d.Why = name, name, name
	}
	for i := range f.overview.Places {
		f.overview.Places[i].Name = name
	}
	f.overview.Needs[0].What = name
	for i := range f.alerts.Alerts {
		a := &f.alerts.Alerts[i]
		a.Device, a.What, a.Rule = name, name, name
		a.Acks = append(a.Acks, Ack{name, name, a.Raised})
	}
	f.reading.Name, f.reading.Place, f.reading.Frame.Kind = name, name, name
	f.reading.Values[0].Name = name
	f.grants[0].Audience, f.grants[0].Purpose = name, name
	c := newConsole(t, f)
	b := consoleTab(t, c, "ada")
	for page, path := range consolePages {
		b.visit(path)
		if b.is(`document.body.dataset.broken === "1" || document.querySelector("main img, main script") !== null`) {
			t.Errorf("%s: a text became markup", page)
		}
		if b.is(`/[\u202e\u200b]/.test(document.body.innerText + document.title)`) {
			t.Errorf("%s: what cannot be seen reached the page", page)
		}
	}
	b.noFaults(c, "status of 401")
}

// TestConsoleKeyboard: all that can be clicked on the overview can be reached by keyboard, and shows the focus.
func TestConsoleKeyboard(t *testing.T) {
	c := newConsole(t, alarmed())
	b := consoleTab(t, c, "otto")
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".skip").focus()`))
	want, _ := strconv.Atoi(b.text(`String([...document.querySelectorAll("a, button")].filter(e => e.checkVisibility()).length)`))
	seen := map[string]bool{b.text(`String([...document.querySelectorAll("*")].indexOf(document.activeElement))`): true}
	for range want + 5 {
		b.press(kb.Tab)
		if b.is(`document.activeElement === document.body`) {
			break
		}
		if !b.is(`(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 })()`) {
			t.Errorf("%s has the focus, and does not show it", b.text(`document.activeElement.outerHTML.slice(0, 100)`))
		}
		seen[b.text(`String([...document.querySelectorAll("*")].indexOf(document.activeElement))`)] = true
	}
	if len(seen) != want {
		t.Errorf("%d of %d are reached", len(seen), want)
	}
}

// TestBundle: nothing in the pages is fetched from elsewhere, made of text, or inline.
func TestBundle(t *testing.T) {
	files, err := filepath.Glob("*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(slices.Clone(files), "console.html", "console.css", "icon.svg") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), `xmlns="http://www.w3.org/2000/svg"`, "")
		for _, not := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "http://", "https://", " style=", " onclick="} {
			if strings.Contains(text, not) {
				t.Errorf("%s has %s", name, not)
			}
		}
		for _, m := range regexp.MustCompile(`from "\./([^"]+)"`).FindAllStringSubmatch(text, -1) {
			if m[1] != "uplot.js" && !slices.Contains(files, m[1]) {
				t.Errorf("%s imports %s, which is not there", name, m[1])
			}
		}
	}
}
