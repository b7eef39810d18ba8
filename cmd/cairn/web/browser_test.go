package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"cairn/anchor/proof"
)

// put writes a file of a test.
func put(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSameAnswer holds the page's answers against the verifier's, in a page that was opened from disk and whose
// network is cut off.
func TestSameAnswer(t *testing.T) {
	b := open(t, fileURL(t))
	b.offline()
	b.do(chromedp.EmulateViewport(1280, 900))
	b.picture("desktop-start")
	good := read(t, kept+"v0.proof")
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	block := proof.VerifyBytes(good, proof.Options{}).Anchors[0].Hash
	for _, c := range []struct {
		name, proof, policy string
		headers             []string
		blocks, require     string
	}{
		{name: "verified", proof: kept + "v0.proof", policy: kept + "v0.policy", headers: []string{kept + "v0.headers"}},
		{name: "nobody's", proof: kept + "v0.proof", headers: []string{kept + "v0.headers"}},
		{name: "pending", proof: kept + "v0.proof", policy: kept + "v0.policy"},
		{name: "flipped", proof: put(t, "flipped.proof", flipped), policy: kept + "v0.policy", headers: []string{kept + "v0.headers"}},
		{name: "block", proof: kept + "v0.proof", policy: kept + "v0.policy", blocks: block},
		{name: "level", proof: kept + "v0.proof", policy: kept + "v0.policy", require: "pending"},
		{name: "another's", proof: kept + "v0.proof", policy: kept + "chains.policy", headers: []string{kept + "v0.headers"}},
		{name: "chains", proof: kept + "chains.proof", policy: kept + "chains.policy", headers: []string{kept + "chains.headers", kept + "chains.bitcoin-headers"}},
		{name: "one chain", proof: kept + "chains.proof", policy: kept + "chains.policy", headers: []string{kept + "chains.headers"}},
		{name: "cosigned", proof: kept + "file1.cosigned.proof", policy: kept + "file1.policy", headers: []string{kept + "file1.headers", kept + "file1.bitcoin-headers"}},
		{name: "extended", proof: kept + "file1.extended.proof", policy: kept + "file1.policy", headers: []string{kept + "file1.headers", kept + "file1.bitcoin-headers"}},
		{name: "no proof", proof: put(t, "letter.txt", []byte("Dear judge,\n"))},
		{name: "empty", proof: put(t, "empty.proof", nil)},
	} {
		b.again()
		if c.blocks != "" {
			b.do(chromedp.SetValue(chromedp.CSS("#blocks"), c.blocks))
		}
		if c.require != "" {
			b.do(chromedp.SetValue(chromedp.CSS("#require"), c.require))
		}
		files := map[string][]string{"proof": {c.proof}, "headers": c.headers}
		if c.policy != "" {
			files["policy"] = []string{c.policy}
		}
		b.choose(files)
		o := options(t, c.policy, c.headers...)
		if c.blocks != "" {
			o.Trust = proof.Pinned{[32]byte(unhex(t, c.blocks))}
		}
		if c.require != "" {
			o.Require = proof.LevelPending
		}
		b.agrees(proof.VerifyBytes(read(t, c.proof), o))
		if b.Failed() {
			t.Fatalf("%s: the page and the verifier differ", c.name)
		}
		t.Logf("%s: %s after %s ms", c.name, b.of("outcome"), b.text(`document.body.dataset.verdict`))
		b.picture("desktop-" + strings.ReplaceAll(strings.ReplaceAll(c.name, " ", "-"), "'", ""))
	}
	b.alone(fileURL(t))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(strings.TrimPrefix(s, "0x"), "%x", &b); err != nil || len(b) != 32 {
		t.Fatalf("%s is no hash: %v", s, err)
	}
	return b
}

// TestBadQuestion: what the command refuses to be asked, the page refuses as well, and checks nothing.
func TestBadQuestion(t *testing.T) {
	b := open(t, fileURL(t))
	for want, files := range map[string]map[string][]string{
		"unknown word":           {"policy": {put(t, "strange.policy", append(read(t, kept+"v0.policy"), "nonsense x\n"...))}},
		"malformed policy":       {"policy": {put(t, "a.policy", []byte("hello"))}},
		"malformed headers file": {"headers": {kept + "v0.policy"}},
	} {
		b.again()
		files["proof"] = []string{kept + "v0.proof"}
		b.choose(files)
		b.answered()
		if got := b.of("outcome") + ": " + b.of("headline"); !strings.HasPrefix(got, "COULD NOT CHECK: ") || !strings.Contains(got, want) {
			t.Errorf("the answer is %q, want that it could not be checked: %s", got, want)
		}
	}
	b.again()
	b.do(chromedp.SetValue(chromedp.CSS("#blocks"), "0x12"))
	b.choose(map[string][]string{"proof": {kept + "v0.proof"}})
	b.answered()
	if got := b.of("headline"); !strings.Contains(got, "not 32 bytes") {
		t.Errorf("a short hash: %q", got)
	}
	b.alone(fileURL(t))
}

// TestServed drops three files at once on the page as the gateway serves it. Whatever the page does after it has come,
// the gateway does not hear of it.
func TestServed(t *testing.T) {
	url, asked := served(t)
	b := open(t, url)
	b.offline()
	b.drop(kept+"v0.headers", kept+"v0.proof", kept+"v0.policy")
	b.agrees(proof.VerifyBytes(read(t, kept+"v0.proof"), options(t, kept+"v0.policy", kept+"v0.headers")))
	if name := b.text(`document.getElementById("policy").files[0].name`); name != "v0.policy" {
		t.Errorf("the policy is %s", name)
	}
	// Its origin is none there, and its forms go nowhere: it works all the same.
	b.do(chromedp.Evaluate[chromedp.Void](`delete document.body.dataset.outcome`), chromedp.Click(chromedp.CSS("#check")))
	b.answered()
	for label, want := range map[string]string{"Copy JSON": "Copied.", "Save JSON": "Saved as v0.proof.verdict.json."} {
		b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("#verdict button")].find(e => e.textContent === ` + strconv.Quote(label) + `).click()`))
		b.poll(`document.querySelector("#verdict [role=status]").textContent === ` + strconv.Quote(want))
	}
	b.drop(kept+"v0.proof", kept+"chains.proof")
	b.answered()
	if got := b.of("headline"); !strings.Contains(got, "one proof file, please") {
		t.Errorf("two proofs at once: %q", got)
	}
	if got := asked(); !slices.Equal(got, []string{"/verify"}) {
		t.Errorf("the gateway was asked for %q", got)
	}
	b.alone(url)
}

// drop drops files on the middle of the page, as a mouse does.
func (b *tab) drop(paths ...string) {
	b.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0); delete document.body.dataset.outcome`))
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: absolute(b, paths), DragOperationsMask: 1}
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, typ := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
			if _, err := cdp.Call(ctx, t, input.DispatchDragEvent, input.DispatchDragEventParams{Type: typ, X: 300, Y: 300, Data: data}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestLocked tries to get something out of the page in every way that a script has, were there one in it.
func TestLocked(t *testing.T) {
	var heard atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	defer other.Close()
	url, _ := served(t)
	for _, from := range []string{fileURL(t), url} {
		b := open(t, from)
		tried, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`(async () => {
			const to = `+strconv.Quote(other.URL)+`, out = [];
			const attempt = async (name, act) => { try { await act(); out.push(name + " went") } catch { out.push(name + " did not") } };
			const loaded = (name, key) => attempt(name, () => new Promise((yes, no) => {
				const e = document.createElement(name);
				e.onload = yes; e.onerror = no; e[key] = to + "/" + name; e.rel = "stylesheet";
				document.body.append(e); setTimeout(no, 500);
			}));
			await attempt("fetch", () => fetch(to));
			await attempt("request", () => new Promise((yes, no) => { const x = new XMLHttpRequest(); x.onload = yes; x.onerror = no; x.open("GET", to); x.send(); }));
			await attempt("socket", () => new Promise((yes, no) => { const s = new WebSocket(to.replace("http", "ws")); s.onopen = yes; s.onerror = no; }));
			await attempt("events", () => new Promise((yes, no) => { const s = new EventSource(to); s.onopen = yes; s.onerror = no; }));
			await attempt("beacon", () => { if (!navigator.sendBeacon(to, "x")) throw 0; });
			await attempt("worker", () => new Promise((yes, no) => { const w = new Worker(to + "/w.js"); w.onerror = no; setTimeout(no, 500); }));
			await attempt("markup", () => { document.createElement("div").innerHTML = "<b>x</b>"; });
			await attempt("eval", () => eval("1"));
			await attempt("inline", () => { const s = document.createElement("script"); s.textContent = "document.body.dataset.inline = 1"; document.body.append(s); if (!document.body.dataset.inline) throw 0; });
			for (const [name, key] of [["img", "src"], ["script", "src"], ["iframe", "src"], ["link", "href"], ["audio", "src"], ["object", "data"], ["embed", "src"]]) await loaded(name, key);
			const f = document.createElement("form"); f.action = to + "/form"; f.method = "post"; document.body.append(f); f.submit();
			await new Promise(r => setTimeout(r, 300));
			return out;
		})()`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range tried {
			// A beacon says yes and sends nothing; an embed that is refused tells its page that it loaded.
			if strings.HasSuffix(what, " went") && what != "beacon went" && what != "iframe went" && what != "embed went" && what != "object went" {
				t.Errorf("%s: %s", from, what)
			}
		}
		if len(tried) != 16 {
			t.Errorf("%d ways were tried, want 16: %q", len(tried), tried)
		}
	}
	if n := heard.Load(); n != 0 {
		t.Errorf("%d requests left the page", n)
	}
}

// TestKeyboard goes through the page without a mouse: choose a file, check, read, cancel.
func TestKeyboard(t *testing.T) {
	b := open(t, fileURL(t))
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, page.Enable, page.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true})
		return err
	}))
	const active = `document.activeElement.id || document.activeElement.className || document.activeElement.tagName`
	order := func(n int) (names []string) {
		for range n {
			b.press(kb.Tab)
			names = append(names, b.text(active))
			if !b.is(`(() => { const e = document.activeElement; const s = getComputedStyle(e.closest(".drop") || e); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 })()`) {
				t.Errorf("%s has the focus, and does not show it", names[len(names)-1])
			}
		}
		return names
	}
	if got, want := order(7), []string{"skip", "proof", "policy", "headers", "blocks", "require", "reset"}; !slices.Equal(got, want) {
		t.Fatalf("the focus goes over %q, want %q", got, want)
	}
	b.do(chromedp.Focus(chromedp.CSS(".skip")))
	order(1)
	b.pick(kept + "v0.proof")
	b.answered()
	if got := b.of("outcome"); got != "REFUSED" {
		t.Fatalf("without anything to trust: %s", got)
	}
	order(1)
	b.pick(kept + "v0.policy")
	if got, want := order(2), []string{"small", "headers"}; !slices.Equal(got, want) {
		t.Fatalf("the focus goes over %q, want %q", got, want)
	}
	b.pick(kept + "v0.headers")
	b.answered()
	if got, want := order(4), []string{"small", "blocks", "require", "check"}; !slices.Equal(got, want) {
		t.Fatalf("the focus goes over %q, want %q", got, want)
	}
	b.press(kb.Enter)
	b.poll(`document.activeElement.id === "verdict"`)
	b.agrees(proof.VerifyBytes(read(t, kept+"v0.proof"), options(t, kept+"v0.policy", kept+"v0.headers")))
	b.poll(`document.getElementById("say").textContent.startsWith("VERIFIED. anchored: 4 readings")`)
	if got := order(1); got[0] == "BODY" {
		t.Error("the answer has nothing to go to by keyboard")
	}
	b.named()
	b.alone(fileURL(t))
}

// pick chooses a file in the dialog that a key opens.
func (b *tab) pick(path string) {
	b.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`delete document.body.dataset.outcome`))
	opened, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.FileChooserOpened, nil, chromedp.KeyEvent(" ")))
	if err != nil {
		b.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: absolute(b, []string{path}), BackendNodeID: opened.BackendNodeID})
		return err
	}))
}

// named fails if a control has no name for who cannot see it, or headings leave out a rank.
func (b *tab) named() {
	b.Helper()
	nameless := b.text(`[...document.querySelectorAll("input, select, textarea, button, summary")].filter(e =>
		!e.textContent.trim() && !e.getAttribute("aria-label") && !(e.labels && e.labels.length)).map(e => e.outerHTML).join("\n")`)
	if nameless != "" {
		b.Errorf("controls without a name: %s", nameless)
	}
	rank := 0
	for _, h := range b.list("h1, h2, h3, h4, h5") {
		n, _ := strconv.Atoi(b.text(`(() => [...document.querySelectorAll("h1, h2, h3, h4, h5")].find(e => e.textContent === ` + strconv.Quote(h) + `).tagName.slice(1))()`))
		if n > rank+1 {
			b.Errorf("heading %q of rank %d follows one of rank %d", h, n, rank)
		}
		rank = n
	}
	if lang := b.text(`document.documentElement.lang`); lang != "en" {
		b.Errorf("the page's language is %q", lang)
	}
}

// TestPhone looks at the page on a phone, 360 points wide, light and dark: nothing reaches out at the side.
func TestPhone(t *testing.T) {
	b := open(t, fileURL(t))
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	fits := func(what string) {
		t.Helper()
		if got := b.text(`String(document.documentElement.scrollWidth)`); got != "360" {
			t.Errorf("%s: the page is %s wide on a screen of 360: %s", what, got, b.text(`[...document.querySelectorAll("body *")].filter(e =>
				e.getBoundingClientRect().right > 361 && !e.closest(".scroll")).slice(0, 5).map(e => e.outerHTML.slice(0, 200)).join("\n")`))
		}
	}
	fits("start")
	b.picture("phone-start")
	for _, c := range []struct {
		name  string
		files map[string][]string
	}{
		{"verified", map[string][]string{"policy": {kept + "file1.policy"}, "headers": {kept + "file1.headers", kept + "file1.bitcoin-headers"}, "proof": {kept + "file1.cosigned.proof"}}},
		{"refused", map[string][]string{"proof": {kept + "v0.proof"}}},
		{"long name", map[string][]string{"proof": {put(t, strings.Repeat("w", 120)+".proof", read(t, kept+"v0.proof"))}}},
	} {
		b.again()
		b.choose(c.files)
		b.answered()
		b.do(chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
		fits(c.name)
		b.picture("phone-" + strings.ReplaceAll(c.name, " ", "-"))
	}
	b.dark()
	b.picture("phone-dark")
	b.do(chromedp.EmulateViewport(1280, 900))
	b.picture("desktop-dark")
	b.alone(fileURL(t))
}

func (b *tab) dark() {
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
		})
		return err
	}))
}

// TestEvilVerdict shows a verdict in which every text is made to deceive.
func TestEvilVerdict(t *testing.T) {
	b := open(t, fileURL(t))
	v := proof.VerifyBytes(read(t, kept+"file1.extended.proof"), options(t, kept+"file1.policy", kept+"file1.headers"))
	b.do(chromedp.Evaluate[chromedp.Void](`
		const evil = ` + strconv.Quote(evil+"\u202e\u200b") + `;
		const spoil = x => typeof x === "string" ? evil : Array.isArray(x) ? x.map(spoil) :
			x && typeof x === "object" ? Object.fromEntries(Object.entries(x).map(([k, y]) => [k, k === "outcome" ? y : spoil(y)])) : x;
		const verdict = spoil(` + string(v.JSON()) + `);
		const file = new File(["x"], evil);
		show({ kind: "proof", verdict, total: verdict.readings.length, text: "VERIFIED " + evil, sha256: evil, json: new Blob([]), milliseconds: { check: 1 } },
			{ proof: file, policy: file, headers: [file], blocks: [evil], require: "late", ots: { data: file, network: evil, depth: evil } });
		for (const d of document.querySelectorAll("details")) d.open = true;
	`))
	if b.is(`document.body.dataset.broken === "1" || document.querySelector("main img, main script") !== null`) {
		t.Error("a text became markup")
	}
	if all := b.text(`document.querySelector("main").innerText.replace(document.getElementById("text").innerText, "")`); strings.ContainsAny(all, "\u202e\u200b") || !strings.Contains(all, evil) {
		t.Errorf("what cannot be seen reached the page, or what can did not:\n%s", all)
	}
	b.alone(fileURL(t))
}

// TestStamp checks a file of OpenTimestamps, and what it stamps.
func TestStamp(t *testing.T) {
	b := open(t, fileURL(t))
	b.offline()
	ots := read(t, kept+"v1.bitcoin.ots")
	for _, network := range []string{"", "regtest"} {
		b.again()
		b.choose(map[string][]string{"proof": {kept + "v1.bitcoin.ots"}, "headers": {kept + "v1.bitcoin-headers"}})
		b.poll(`!document.getElementById("network").closest(".ots").hidden`)
		b.answered()
		b.do(chromedp.Evaluate[chromedp.Void](`delete document.body.dataset.outcome;
			document.getElementById("network").value = ` + strconv.Quote(network) + `;
			document.getElementById("network").dispatchEvent(new Event("change"))`))
		b.answered()
		want := proof.VerifyForeign(ots, proof.ForeignOptions{Network: network, Trust: options(t, "", kept+"v1.bitcoin-headers").Trust})
		if got := b.of("text"); got != want.Text() {
			t.Errorf("network %q: the page says\n%swant\n%s", network, got, want.Text())
		}
	}
	b.picture("desktop-stamp")
	b.again()
	b.drop(kept+"v1.bitcoin.ots", put(t, "data", []byte("something else")))
	b.answered()
	want := proof.VerifyForeign(ots, proof.ForeignOptions{Data: strings.NewReader("something else"), Name: "data"})
	if got := b.of("text"); got != want.Text() || want.Code == "" {
		t.Errorf("the page says\n%swant\n%s", got, want.Text())
	}
	b.alone(fileURL(t))
}

// TestFraud checks evidence that a ledger's key signed what excludes one another.
func TestFraud(t *testing.T) {
	b := open(t, fileURL(t))
	good := read(t, kept+"v1.fraud")
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, file := range map[string][]byte{"proven": good, "flipped": flipped} {
		b.again()
		b.choose(map[string][]string{"proof": {put(t, name+".fraud", file)}, "policy": {kept + "fraud.policy"}})
		b.answered()
		want := proof.VerifyFraud(file, options(t, kept+"fraud.policy"))
		if got := b.of("text"); got != want.Text() || !strings.HasPrefix(got, b.of("outcome")) {
			t.Errorf("%s: the page says %s and\n%swant\n%s", name, b.of("outcome"), got, want.Text())
		}
		b.picture("desktop-fraud-" + name)
	}
	b.alone(fileURL(t))
}

// TestToKeep: what can be copied and saved is what the command prints.
func TestToKeep(t *testing.T) {
	b := open(t, fileURL(t))
	b.do(chromedp.Evaluate[chromedp.Void](`
		window.kept = {};
		save = (blob, name) => blob.text().then(text => { kept[name] = text });
		copy = text => { kept.copied = text }`))
	b.choose(map[string][]string{"policy": {kept + "v0.policy"}, "headers": {kept + "v0.headers"}, "proof": {kept + "v0.proof"}})
	want := proof.VerifyBytes(read(t, kept+"v0.proof"), options(t, kept+"v0.policy", kept+"v0.headers"))
	b.agrees(want)
	click := func(label string) {
		b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("#verdict button")].find(e => e.textContent === ` + strconv.Quote(label) + `).click()`))
	}
	click("Save JSON")
	b.poll(`"v0.proof.verdict.json" in kept`)
	if got := b.text(`kept["v0.proof.verdict.json"]`); got != string(want.JSON()) || !json.Valid([]byte(got)) {
		t.Errorf("the JSON differs from the command's:\n%s", got)
	}
	click("Copy text")
	if got := b.text(`kept.copied`); got != want.Text() {
		t.Errorf("the text differs from the command's:\n%s", got)
	}
	click("Copy the command")
	if got, line := b.text(`kept.copied`), "cairn-verify --policy v0.policy --headers v0.headers v0.proof"; got != line {
		t.Errorf("the command is %q, want %q", got, line)
	}
	click("Save the report")
	b.poll(`"v0.proof.report.html" in kept`)
	report := b.text(`kept["v0.proof.report.html"]`)
	for _, what := range []string{"VERIFIED", "as a web page", "v0.policy", "v0.headers"} {
		if !strings.Contains(report, what) {
			t.Errorf("the report lacks %q", what)
		}
	}
	b.alone(fileURL(t))
}

// TestOldBrowser: where the page cannot work it says so, and what else there is.
func TestOldBrowser(t *testing.T) {
	ctx := open(t, fileURL(t)).ctx
	b := &tab{TB: t, ctx: ctx}
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, page.Enable, page.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `delete globalThis.DecompressionStream`})
		return err
	}), chromedp.Navigate(fileURL(t)))
	b.poll(`!document.getElementById("trouble").hidden`)
	if got := b.of("trouble"); !strings.Contains(got, "DecompressionStream") || !strings.Contains(got, "cairn-verify") {
		t.Errorf("it says %q", got)
	}
}

// TestSpeed logs how long a normal file takes once the page is there.
func TestSpeed(t *testing.T) {
	b := open(t, fileURL(t))
	var all []int
	for range 5 {
		b.again()
		b.choose(map[string][]string{"policy": {kept + "v0.policy"}, "headers": {kept + "v0.headers"}, "proof": {kept + "v0.proof"}})
		b.answered()
		ms, err := strconv.Atoi(b.text(`document.body.dataset.verdict`))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ms)
	}
	slices.Sort(all)
	t.Logf("verdicts after %v ms", all)
	if all[len(all)/2] > int(time.Second.Milliseconds()) {
		t.Errorf("a verdict takes %d ms, want less than a second", all[len(all)/2])
	}
}
