package web

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"cairn/anchor/proof"
	"cairn/scripts/chromium"
)

var pictures = flag.String("pictures", "", "write pictures of the page into this folder")

const (
	root = "../../.."
	kept = root + "/anchor/proof/testdata/"
)

// evil is a name that a page must show and never obey.
const evil = `<img src=x onerror=document.body.dataset.broken=1>`

// built makes the page once for all tests, as make build does.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "cairn-web-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "run", "./scripts/page", "-o", filepath.Join(dir, "verify.html"), "-gzip", filepath.Join(dir, "verify.html.gz"))
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("make the page: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if dir, err := built(); err == nil && madePage {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

var madePage bool

func pageFile(t testing.TB, name string) string {
	t.Helper()
	madePage = true
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// tab is one browser tab with the page in it.
type tab struct {
	testing.TB
	ctx  context.Context
	seen *chromium.Seen
}

// do fails the test if an action fails.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// open starts a browser without a network, opens the page, and waits until its program is there.
func open(t testing.TB, url string) *tab {
	t.Helper()
	ctx := chromium.Browser(t)
	b := &tab{t, ctx, chromium.Watch(t, ctx)}
	began := time.Now()
	b.do(chromedp.Navigate(url))
	b.poll(`document.body.dataset.ready === "yes"`)
	t.Logf("the page is ready after %v, its program after %s ms", time.Since(began).Round(time.Millisecond), b.text(`document.body.dataset.start`))
	return b
}

func fileURL(t testing.TB) string { return "file://" + pageFile(t, "verify.html") }

// offline cuts the tab's network off, from here on.
func (b *tab) offline() {
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}},
		})
		return err
	}))
}

func (b *tab) poll(expression string) {
	b.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(time.Minute))); err != nil {
		all, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.Fatalf("%s: %v\n%s\n%s", expression, err, strings.Join(b.seen.Faults(), "\n"), all)
	}
}

// text evaluates an expression that is a text.
func (b *tab) text(expression string) string {
	b.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return s
}

func (b *tab) of(id string) string {
	b.Helper()
	return b.text(`document.getElementById("` + id + `").textContent`)
}

// choose gives the file inputs these files; the check that follows replaces the answer that was there.
func (b *tab) choose(files map[string][]string) {
	b.Helper()
	for _, id := range []string{"policy", "headers", "data", "proof"} {
		if paths := files[id]; len(paths) > 0 {
			b.do(chromedp.SetUploadFiles(chromedp.CSS("#"+id), absolute(b, paths)))
		}
	}
}

func absolute(t testing.TB, paths []string) []string {
	t.Helper()
	var all []string
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, abs)
	}
	return all
}

// answered waits for an answer.
func (b *tab) answered() {
	b.Helper()
	b.poll(`"outcome" in document.body.dataset && !document.getElementById("verdict").hasAttribute("aria-busy")`)
}

// picture writes what the tab shows, if pictures are wanted.
func (b *tab) picture(name string) {
	b.Helper()
	if *pictures == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(*pictures, name+".png"), png, 0o644)
	}
	if err != nil {
		b.Error(err)
	}
}

// alone fails the test if anything but these was asked for, or anything went wrong in the page.
func (b *tab) alone(wanted ...string) {
	b.Helper()
	if got := b.seen.Requests(); !slices.Equal(got, wanted) {
		b.Errorf("asked for %q, want %q and nothing else", got, wanted)
	}
	if faults := b.seen.Faults(); len(faults) > 0 {
		b.Errorf("faults in the page:\n%s", strings.Join(faults, "\n"))
	}
}

func options(t testing.TB, policy string, headers ...string) proof.Options {
	t.Helper()
	var o proof.Options
	if policy != "" {
		p, err := proof.ParsePolicy(read(t, policy))
		if err != nil {
			t.Fatal(err)
		}
		o.Policy = p
	}
	var trust proof.AnyTrust
	for _, h := range headers {
		one, err := proof.ParseTrust(read(t, h))
		if err != nil {
			t.Fatal(err)
		}
		trust = append(trust, one)
	}
	if trust != nil {
		o.Trust = trust
	}
	return o
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// agrees waits for an answer, and fails unless the page says what the verifier says here.
func (b *tab) agrees(want proof.Verdict) {
	b.Helper()
	b.answered()
	for id, s := range map[string]string{
		"text": want.Text(), "level": want.Level.String(),
		"outcome": map[proof.Outcome]string{proof.Verified: "VERIFIED", proof.Refused: "REFUSED", proof.Unchecked: "COULD NOT CHECK"}[want.Outcome],
	} {
		if got := b.of(id); got != s {
			b.Errorf("%s is %q, want %q", id, got, s)
		}
	}
	if want.Code != "" && b.of("code") != string(want.Code) {
		b.Errorf("code %q, want %q", b.of("code"), want.Code)
	}
	if got := b.list("#not-checked li"); !slices.Equal(got, want.NotChecked) {
		b.Errorf("told as not checked: %q, want %q", got, want.NotChecked)
	}
	if got := len(b.list("#checks li")); got != len(want.Checks) {
		b.Errorf("%d steps are told, want %d", got, len(want.Checks))
	}
	if warned := b.is(`document.getElementById("identity") !== null`); warned == want.Identity {
		b.Errorf("identity checked: %v, and warned of: %v", want.Identity, warned)
	}
}

// list returns the texts of all elements that a selector finds.
func (b *tab) list(selector string) []string {
	b.Helper()
	all, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string]("[...document.querySelectorAll("+strconv.Quote(selector)+")].map(e => e.textContent)"))
	if err != nil {
		b.Fatalf("%s: %v", selector, err)
	}
	return all
}

func (b *tab) is(expression string) bool {
	b.Helper()
	yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return yes
}

// again takes all files away.
func (b *tab) again() {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS("#reset")))
	b.poll(`!("outcome" in document.body.dataset) && document.getElementById("proof").files.length === 0`)
}

// press presses keys, as a person does.
func (b *tab) press(keys ...string) {
	b.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// served serves the page as the gateway does, and counts who asks for what.
func served(t testing.TB) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	page := handler(fstest.MapFS{file: {Data: read(t, pageFile(t, "verify.html.gz"))}})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/verify", func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(paths) }
}
