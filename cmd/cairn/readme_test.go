package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var (
	readmeLine = regexp.MustCompile(`(?m)^\$ (?:bin/)?cairn (.*)$`)
	readmeCode = regexp.MustCompile("`(?:cairn )([a-z][^`]*)`")
	readmeMake = regexp.MustCompile("(?:^\\$ |`)make ([a-z]+)")
	readmeLink = regexp.MustCompile(`\]\(([^)#][^)]*)\)`)
)

// Whatever a page tells people to type exists: commands, flags, targets, files.
func TestREADME(t *testing.T) {
	for _, page := range []string{"README.md", "store/share/README.md"} {
		t.Run(page, func(t *testing.T) { checkPage(t, filepath.Join("../..", page)) })
	}
}

// The commands of the page about sharing are those of its story, so they have run.
func TestSharingPage(t *testing.T) {
	page, err := os.ReadFile("../../store/share/README.md")
	if err != nil {
		t.Fatal(err)
	}
	story, err := os.ReadFile("testdata/sharing.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) < 30 {
		t.Errorf("got %d commands, want at least 30", len(lines))
	}
	for _, m := range lines {
		run, _, _ := strings.Cut(m[1], " > ")
		run = strings.ReplaceAll(run, "https://gateway:9980", "http://127.0.0.1:$HTTP")
		run = regexp.MustCompile(`20(\d\d)-(\d\d)-(\d\d)`).ReplaceAllString(run, "$$D$1$2$3")
		if !regexp.MustCompile(`(?m)^(?:exec|await '[^']*') ` + regexp.QuoteMeta(run) + `( &\w+&)?$`).Match(story) {
			t.Errorf("the story does not run: %s", run)
		}
	}
}

var readmePost = regexp.MustCompile(`(?m)^\$ curl (.*) -H 'Content-Type: (\S+)' \\\n    -d '(.*)' (https?)://[^/]*/ingest/(\w+)$`)

// What the page posts with curl, the stories post: by HTTP posted, by HTTPS certified.
func TestPostedExamples(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	page = bytes.Replace(page, []byte(tenCommands(t)), nil, 1) // have a story of their own
	posts := readmePost.FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "\n$ curl "); n < 2 || len(posts) != n {
		t.Errorf("got %d posts of %d lines with curl, want all, and at least 2", len(posts), n)
	}
	for _, m := range posts {
		name := map[string]string{"http": "posted", "https": "certified"}[m[4]]
		story, err := txtar.ParseFile("testdata/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		who, file := "$TOKEN", ""
		if _, key, ok := strings.Cut(m[1], "--key "); ok {
			key, _, _ = strings.Cut(key, ".key")
			who = "cert:" + key
		}
		for _, f := range story.Files {
			if string(f.Data) == m[3]+"\n" {
				file = f.Name
			}
		}
		want := fmt.Sprintf("post 200 $HUB/%s %s %s %s\n", m[5], who, file, m[2])
		if !strings.Contains(string(story.Comment), want) {
			t.Errorf("the story %s does not run: %s", name, want)
		}
	}
}

func checkPage(t *testing.T, page string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range readmeLine.FindAllSubmatch(text, -1) {
		lines = append(lines, string(m[1]))
	}
	if len(lines) < 5 {
		t.Errorf("got %d command lines, want at least 5", len(lines))
	}
	for _, m := range readmeCode.FindAllSubmatch(text, -1) {
		first, _, _ := strings.Cut(string(m[1]), "`")
		lines = append(lines, first)
	}
	for _, line := range lines {
		checkCommandLine(t, line)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range readmeMake.FindAllSubmatch(text, -1) {
		if !regexp.MustCompile(`(?m)^` + string(m[1]) + `:`).Match(makefile) {
			t.Errorf("make has no target %s", m[1])
		}
	}
	for _, m := range readmeLink.FindAllSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(page), string(m[1]))); err != nil {
			t.Errorf("link: %v", err)
		}
	}
}

// checkCommandLine finds the command and each of its flags.
func checkCommandLine(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line))
	c := &command{}
	cmd, _, err := c.root().Find(words)
	if err != nil || cmd == cmd.Root() {
		t.Errorf("cairn %s: got command %v, %v", line, cmd.Name(), err)
		return
	}
	for _, w := range words {
		name, is := strings.CutPrefix(w, "--")
		if name, _, _ = strings.Cut(name, "="); is && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			t.Errorf("cairn %s: no flag %s", line, w)
		}
	}
}

// Each file of the program stands in the package's map, once: under its name, its first word, or its last.
func TestMap(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]int{}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(.+?)  +\S`).FindAllSubmatch(text, -1) {
		for _, name := range strings.Fields(string(m[1])) {
			names = append(names, name)
			used[name] = 0
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f = strings.TrimSuffix(f, ".go")
		word, _, _ := strings.Cut(f, "_")
		if f == "doc" || strings.HasSuffix(f, "_test") {
			continue
		}
		var fits []string
		for _, name := range names {
			if ok, _ := filepath.Match(name, f); ok || name == word {
				fits = append(fits, name)
			}
		}
		if len(fits) > 1 { // a last word goes before a first one
			fits = slices.DeleteFunc(fits, func(n string) bool {
				return strings.HasSuffix(n, "*") && slices.ContainsFunc(fits, func(o string) bool { return o != n && strings.HasPrefix(o, "*") })
			})
		}
		if len(fits) != 1 {
			t.Errorf("%s.go is in the map by %q, want it once", f, fits)
			continue
		}
		used[fits[0]]++
	}
	for name, n := range used {
		if n == 0 {
			t.Errorf("the map has %s, of which there is no file", name)
		}
	}
}
