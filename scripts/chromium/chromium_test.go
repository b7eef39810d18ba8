package chromium

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestWatch has a page do what must not be missed: ask others, and fail.
func TestWatch(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><title>t</title><p id="p"></p>
			<img src="https://elsewhere.example/pixel"><script>
			console.warn("look", 1)
			setTimeout(() => { throw new Error("thrown") })
			fetch("https://elsewhere.example/asked").catch(() => document.getElementById("p").textContent = "alone")
			</script>`))
	}))
	defer server.Close()
	ctx := Browser(t)
	seen := Watch(t, ctx)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/")); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Poll[string](`document.getElementById("p").textContent`))
	if err != nil || text != "alone" {
		t.Fatalf("the page said %q, %v; want it alone", text, err)
	}
	for _, want := range []string{server.URL + "/", "https://elsewhere.example/pixel", "https://elsewhere.example/asked"} {
		if !slices.Contains(seen.Requests(), want) {
			t.Errorf("requests %q lack %s", seen.Requests(), want)
		}
	}
	faults := strings.Join(seen.Faults(), "\n")
	for _, want := range []string{`"look" 1`, "thrown", "ERR_NAME_NOT_RESOLVED"} {
		if !strings.Contains(faults, want) {
			t.Errorf("faults lack %q:\n%s", want, faults)
		}
	}
}
