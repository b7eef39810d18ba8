package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"cairn/anchor/proof"
	"cairn/scripts/chromium"
)

// consoleStory is a gateway that runs as its commands make it, and a browser.
type consoleStory struct {
	*testing.T
	dir, url  string
	ctx       context.Context
	downloads string
}

// cairn runs a command to its end.
func (s *consoleStory) cairn(args ...string) string {
	s.Helper()
	var out, errs bytes.Buffer
	if code := Run(s.Context(), append([]string{"--dir", s.dir}, args...), Streams{In: strings.NewReader(""), Out: &out, Err: &errs}); code != exitDone {
		s.Fatalf("cairn %s: code %d\n%s%s", strings.Join(args, " "), code, out.String(), errs.String())
	}
	return out.String()
}

func (s *consoleStory) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// run runs the service until the test ends, and waits until it answers.
func (s *consoleStory) run() {
	s.Helper()
	port, err := freePort()
	if err != nil {
		s.Fatal(err)
	}
	s.url = "http://127.0.0.1:" + strconv.Itoa(port)
	ctx, stop := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	var log bytes.Buffer
	go func() {
		defer close(ended)
		Run(ctx, []string{"--dir", s.dir, "run", "--udp-listen", "", "--http-listen", strings.TrimPrefix(s.url, "http://")}, Streams{In: strings.NewReader(""), Out: &log, Err: &log})
	}()
	s.Cleanup(func() {
		stop(errSignal)
		<-ended
		if s.Failed() {
			s.Log(log.String())
		}
	})
	s.answers(ended)
}

// answers waits until the service does.
func (s *consoleStory) answers(ended <-chan struct{}) {
	s.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if r, err := http.Get(s.url + "/healthz"); err == nil {
			r.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			s.Fatal("the service ended")
		}
	}
	s.Fatal("the service does not answer")
}

// browse opens a browser, which keeps what it downloads.
func (s *consoleStory) browse() {
	s.Helper()
	s.ctx, s.downloads = chromium.Browser(s), s.TempDir()
	events := true
	s.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: s.downloads, EventsEnabled: &events,
		})
		return err
	}))
	s.do(chromedp.EmulateViewport(1100, 900))
}

// login opens the console.
func (s *consoleStory) login(name string) {
	s.Helper()
	s.do(chromedp.Navigate(s.url + "/"))
	s.wait(`document.body.dataset.ready === "login"`)
	s.do(chromedp.SetValue(chromedp.CSS("#name"), name), chromedp.SetValue(chromedp.CSS("#password"), consolePassword), chromedp.Focus(chromedp.CSS("#password")), chromedp.KeyEvent(kb.Enter))
}

// download takes the proof that the page offers, and gives its path.
func (s *consoleStory) download() string {
	s.Helper()
	s.wait(`document.getElementById("download") !== null`)
	name, err := chromedp.Run(s.ctx, chromedp.Evaluate[string](`document.getElementById("download").download`))
	if err != nil {
		s.Fatal(err)
	}
	done, err := chromedp.Run(s.ctx, chromedp.WaitEvent(browser.DownloadProgress, func(e browser.EventDownloadProgress) bool { return e.State != browser.DownloadProgressStateInProgress }, chromedp.Click(chromedp.CSS("#download"))))
	if err != nil || done.State != browser.DownloadProgressStateCompleted {
		s.Fatalf("download: %v, %v", done.State, err)
	}
	return filepath.Join(s.downloads, name)
}

// post sends a temperature as the sender of the configuration does.
func (s *consoleStory) post(celsius string) {
	s.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+"/ingest/senml", strings.NewReader(`[{"bn":"freezer-2/","n":"T","u":"Cel","v":`+celsius+`}]`))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/senml+json")
	r.Header.Set("Authorization", "Bearer the-kitchen-has-a-token")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.Fatalf("posted: %s", resp.Status)
	}
}

func (s *consoleStory) do(steps ...chromedp.Action[chromedp.Void]) {
	s.Helper()
	if err := chromedp.Do(s.ctx, steps...); err != nil {
		s.Fatal(err)
	}
}

func (s *consoleStory) wait(expression string) {
	s.Helper()
	if _, err := chromedp.Run(s.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(time.Minute))); err != nil {
		text, _ := chromedp.Run(s.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		s.Fatalf("%s: %v\n%s", expression, err, text)
	}
}

func (s *consoleStory) click(selector string) {
	s.Helper()
	s.wait(fmt.Sprintf("document.querySelector(%q) !== null", selector))
	// Not where it is on the screen: a chart that comes just then would move it from under the pointer.
	s.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).click()", selector)))
}

// TestConsoleStory: a site from nothing; somebody logs in, sees the alarm as it comes, acknowledges it, opens the reading,
// downloads its proof, and checks it: by the verifier's code, and on the page that checks proofs, without a network. The
// same file with one bit flipped is refused.
func TestConsoleStory(t *testing.T) {
	s := &consoleStory{T: t, dir: filepath.Join(t.TempDir(), "site")}
	if code := Run(t.Context(), []string{"init", "--window", "1s", s.dir}, Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}); code != exitDone {
		t.Fatal("init failed")
	}
	config, err := os.ReadFile(filepath.Join(s.dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	s.write(configFile, strings.NewReplacer(
		"alerts: []", "alerts:\n  - name: warm\n    field: T\n    above: -15\n    to: []",
		"senders: []", "senders:\n  - name: kitchen\n    token_file: kitchen.token",
	).Replace(string(config)))
	s.write("kitchen.token", "the-kitchen-has-a-token\n")
	s.cairn("user", "add", "otto", "--role", "operator", "--password-file", s.write("password", consolePassword+"\n"))
	s.cairn("device", "add", "--kind", "vouched", "--address", "freezer-2", "--name", "freezer", "--place", "canteen kitchen")
	s.run()
	s.post("-18.5")

	s.browse()
	s.login("otto")
	s.wait(`document.querySelector(".place.ok .value")?.textContent.startsWith("-18.5 °C")`)
	s.wait(`document.body.dataset.heard === "yes"`)

	// The alarm comes without asking.
	s.post("-9.25")
	s.wait(`document.querySelector(".needs li.alarm")?.textContent.includes("canteen kitchen, freezer: warm: T -9.25")`)
	s.wait(`document.querySelector(".place.alarm .value").textContent.startsWith("-9.25 °C")`)
	s.click(".needs li.alarm a.button")
	s.wait(`document.activeElement.classList.contains("alert")`)
	s.do(chromedp.SendKeys(chromedp.CSS(".alert.open input"), "door shut"), chromedp.KeyEvent(kb.Enter))
	s.wait(`document.querySelector(".alert.acknowledged")?.textContent.includes("otto acknowledged it: door shut")`)
	if list := s.cairn("alert", "list"); !strings.Contains(list, "door shut") || !strings.Contains(list, "otto") {
		t.Errorf("the ledger says: %s", list)
	}

	// The reading behind it, and its proof.
	s.click(".alert.acknowledged a")
	s.click(".scroll tbody a")
	s.wait(`document.querySelector("h1")?.textContent === "Reading 0/1"`)
	s.click("main form button")
	path := s.download()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	policy := s.cairn("policy")
	parsed, err := proof.ParsePolicy([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	v := proof.VerifyBytes(file, proof.Options{Policy: parsed, Require: proof.LevelLogged})
	if v.Outcome != proof.Verified || !strings.Contains(v.Text(), "-9.25") || !strings.Contains(v.Text(), "freezer") {
		t.Errorf("the verifier says %s", v.Text())
	}

	// The page that checks proofs, from disk.
	page := filepath.Join(t.TempDir(), "verify.html")
	build := exec.Command("go", "run", "./scripts/page", "-o", page)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make the page: %v\n%s", err, out)
	}
	flipped := bytes.Clone(file)
	flipped[len(flipped)/2] ^= 1
	s.do(chromedp.Navigate("file://" + page))
	s.wait(`document.body.dataset.ready === "yes"`)
	s.do(chromedp.Evaluate[chromedp.Void](`{ const e = document.getElementById("require"); e.value = "logged"; e.dispatchEvent(new Event("change")); }`))
	s.do(chromedp.SetUploadFiles(chromedp.CSS("#policy"), []string{s.write("site.policy", policy)}))
	for path, want := range map[string]string{path: "VERIFIED", s.write("flipped.proof", string(flipped)): "REFUSED"} {
		s.do(chromedp.Evaluate[chromedp.Void](`delete document.body.dataset.outcome`), chromedp.SetUploadFiles(chromedp.CSS("#proof"), []string{path}))
		s.wait(`"outcome" in document.body.dataset && !document.getElementById("verdict").hasAttribute("aria-busy")`)
		s.wait(fmt.Sprintf("document.getElementById('outcome').textContent === %q", want))
	}
}
