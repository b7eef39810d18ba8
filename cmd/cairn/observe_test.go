//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const observeDir = "../../scripts/package/observe"

var (
	metricCode = regexp.MustCompile(`metric\("(\w+)", "[^"]*"((?:, "\w+")*)\)`)
	metricName = regexp.MustCompile(`\b(?:cairn|go|process)_\w+`)
	labelTest  = regexp.MustCompile(`(\w+) *(?:=~|!~|!=|=) *"`)
	labelList  = regexp.MustCompile(`(?:by|without) \(([^)]*)\)`)
	labelText  = regexp.MustCompile(`\{\{ *(?:\$labels\.)?(\w+)`)
)

// exported are the names of all metrics that the code makes, with their labels.
func exported(t *testing.T) map[string][]string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range metricCode.FindAllStringSubmatch(string(b), -1) {
			all["cairn_"+m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return strings.ContainsRune(`", `, r) })
		}
	}
	return all
}

// scraped are the names that /metrics of a running gateway has, with their labels.
func scraped(t *testing.T) map[string][]string {
	dir := filepath.Join(t.TempDir(), "site")
	if code := Run(t.Context(), []string{"init", "--anchor", "ots", dir}, Streams{Out: io.Discard, Err: t.Output()}); code != exitDone {
		t.Fatalf("init: code %d", code)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	file := filepath.Join(dir, configFile)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`https://([\w.]+)`).ReplaceAllString(string(b), "http://"+nobody+"/$1") // calendars that nobody runs
	text = strings.Replace(text, "\nreceivers: []", "\nreceivers: [{name: cook, command: [/bin/true]}]", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancelCause(t.Context())
	ended := make(chan int, 1)
	told := managerSocket(t)
	go func() {
		ended <- Run(ctx, []string{"--dir", dir, "run", "--udp-listen", "127.0.0.1:0", "--http-listen", nobody}, Streams{Out: io.Discard, Err: t.Output()})
	}()
	defer func() {
		leave(errSignal)
		go func() { // whatever it still has to say
			for range told {
			}
		}()
		if code := <-ended; code != exitDone {
			t.Errorf("the gateway left with code %d", code)
		}
	}()
	select {
	case <-told:
	case code := <-ended:
		ended <- code
		t.Fatalf("the gateway ended with code %d", code)
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + nobody + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z]\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(string(page), -1) {
		all[m[1]] = nil
		for _, label := range labelTest.FindAllStringSubmatch(m[2], -1) {
			all[m[1]] = append(all[m[1]], label[1])
		}
	}
	return all
}

// TestObserved holds the dashboard and the alert rules against the metrics that there are: no expression names one
// that the gateway does not have, or a label that it does not have there.
func TestObserved(t *testing.T) {
	metrics, running := exported(t), scraped(t)
	for name, labels := range running {
		code, ok := metrics[name]
		if strings.HasPrefix(name, "cairn_") && (!ok || !slices.Equal(slices.Sorted(slices.Values(code)), slices.Sorted(slices.Values(labels)))) {
			t.Errorf("/metrics has %s with the labels %v, which this test reads as %v", name, labels, code)
		}
		metrics[name] = labels
	}
	if len(running) < 60 || running["cairn_route_healthy"] == nil || running["cairn_alert_notices_waiting"] == nil {
		t.Errorf("only %d metrics were scraped: %v", len(running), slices.Sorted(maps.Keys(running)))
	}
	seen := map[string]bool{}
	check := func(where, expr string, texts ...string) {
		allowed := []string{"job", "instance"}
		names := metricName.FindAllString(expr, -1)
		for _, name := range names {
			labels, ok := metrics[name]
			if !ok {
				t.Errorf("%s: the gateway has no metric %s", where, name)
			}
			allowed = append(allowed, labels...)
			seen[name] = true
		}
		if len(names) == 0 && !strings.HasPrefix(expr, "up{") {
			t.Errorf("%s: %q names no metric", where, expr)
		}
		used := labelTest.FindAllStringSubmatch(expr, -1)
		for _, list := range labelList.FindAllStringSubmatch(expr, -1) {
			for _, label := range strings.Split(list[1], ",") {
				used = append(used, []string{"", strings.TrimSpace(label)})
			}
		}
		for _, text := range texts {
			used = append(used, labelText.FindAllStringSubmatch(text, -1)...)
		}
		for _, label := range used {
			if !slices.Contains(allowed, label[1]) {
				t.Errorf("%s: no metric of %q has a label %s", where, expr, label[1])
			}
		}
	}

	var dashboard struct {
		Templating struct{ List []struct{ Definition string } }
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	readObserved(t, "dashboard.json", func(b []byte) error { return json.Unmarshal(b, &dashboard) })
	ids, room := map[int]bool{}, map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q has the ID of another, or shows nothing", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := room[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("panel %q lies on %q, or beyond the edge", p.Title, other)
				}
				room[[2]int{x, y}] = p.Title
			}
		}
		for _, q := range p.Targets {
			check("dashboard, "+p.Title, q.Expr, q.LegendFormat)
		}
	}
	for _, v := range dashboard.Templating.List {
		if name := metricName.FindString(v.Definition); v.Definition != "" && metrics[name] == nil && name != "cairn_healthy" {
			t.Errorf("a variable of the dashboard asks %q", v.Definition)
		}
	}

	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	readObserved(t, "alerts.rules.yaml", func(b []byte) error { return yaml.Unmarshal(b, &rules) })
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			check(r.Alert, r.Expr, slices.Collect(maps.Values(r.Annotations))...)
		}
	}
	if len(seen) < 40 || len(dashboard.Panels) < 20 || len(rules.Groups) == 0 {
		t.Errorf("the files look at %d metrics in %d panels: is this test still reading them?", len(seen), len(dashboard.Panels))
	}
}

func readObserved(t *testing.T, name string, parse func([]byte) error) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(observeDir, name))
	if err == nil {
		err = parse(b)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
}
