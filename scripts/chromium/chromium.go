// Package chromium runs Debian's Chromium, without a window, for the length of a test. It comes from
// scripts/tools.sh, which is run if it is not there yet. The browser has a profile of its own, speaks to nobody of
// its own accord, and finds no name but localhost: what a page asks of others fails, and Watch has seen it.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"cairn/scripts/tool"
)

const path = "/usr/bin/chromium"

// timeout is how long a test has with its browser. Starting one takes seconds on a small machine.
const timeout = 3 * time.Minute

// Browser starts a browser with one empty tab, and returns the context by which chromedp drives it. Another tab is a
// chromedp.NewContext of it. When the test ends so does the browser: this one, by its process id.
func Browser(t testing.TB) context.Context {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if _, err := tool.Dir(); err != nil {
			t.Fatalf("chromium: %v", err)
		}
	}
	limited, stop := context.WithTimeout(context.Background(), timeout)
	t.Cleanup(stop)
	// What chromedp gives by itself already keeps Chromium from the network, and, run by root, from a sandbox that
	// it cannot have then.
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
	)
	allocator, end := chromedp.NewExecAllocator(limited, options...)
	t.Cleanup(end)
	ctx, closeBrowser := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium: start: %v", err)
	}
	return ctx
}

// Seen is what a tab did that a page which stands alone does not.
type Seen struct {
	mu       sync.Mutex // covers what follows
	requests []string
	faults   []string
}

// Watch listens to a tab from here on: call it before the page is loaded.
func Watch(t testing.TB, ctx context.Context) *Seen {
	t.Helper()
	s := new(Seen)
	err := chromedp.Listen(ctx, s.take)
	if err == nil {
		err = chromedp.Do(ctx, chromedp.Func(enable))
	}
	if err != nil {
		t.Fatalf("chromium: watch: %v", err)
	}
	return s
}

func enable(ctx context.Context, tab *chromedp.Target) error {
	_, requests := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
	_, console := cdp.Call(ctx, tab, runtime.Enable, cdp.Empty{})
	_, entries := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
	return errors.Join(requests, console, entries)
}

// Requests returns the addresses that were asked for, those of the pages themselves among them, in order. What
// stands in the address itself (data:, blob:, about:) asks nobody and is left out.
func (s *Seen) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Faults returns what the console was told as a warning or an error, by scripts or by the browser itself, and
// what a script threw.
func (s *Seen) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.faults...)
}

func (s *Seen) take(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		s.request(e.Request.URL)
	case *network.EventWebSocketCreated:
		s.request(e.URL)
	case *network.EventWebTransportCreated:
		s.request(e.URL)
	case *runtime.EventExceptionThrown:
		s.faults = append(s.faults, thrown(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			s.faults = append(s.faults, fmt.Sprintf("console %s: %s", e.Type, arguments(e.Args)))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			s.faults = append(s.faults, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	}
}

func (s *Seen) request(url string) {
	for _, scheme := range []string{"data:", "blob:", "about:"} {
		if strings.HasPrefix(url, scheme) {
			return
		}
	}
	s.requests = append(s.requests, url)
}

func thrown(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}

func arguments(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		word := string(a.Value)
		if word == "" {
			word = a.Description
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
