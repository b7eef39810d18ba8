package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
	"cairn/scripts/tool"
)

// tenCommands is the section of the front page about a fridge from nothing.
func tenCommands(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## A fridge in ten commands\n")
	section, _, ok := strings.Cut(section, "\n## ")
	if !ok {
		t.Fatal("the page has no such section")
	}
	return section
}

var (
	readmeCommand = regexp.MustCompile(`(?m)^\$ ((?:.*\\\n)*.*)$`)
	readmeYAML    = regexp.MustCompile("(?s)```yaml\n(senders:.*?\n)(alerts:.*?\n)```")
)

// TestTenCommands types the front page's ten commands. What it changes: the window, the port, where the calendars and
// Bitcoin are, the password from a file, the editor, and what make built is built here.
func TestTenCommands(t *testing.T) {
	section := tenCommands(t)
	var commands []string
	for _, m := range readmeCommand.FindAllStringSubmatch(section, -1) {
		commands = append(commands, m[1])
	}
	config := readmeYAML.FindStringSubmatch(section)
	if len(commands) != 10 || commands[0] != "make build" || config == nil {
		t.Fatalf("got %d commands, %q, want ten, make build first, and lines of a configuration", len(commands), commands)
	}
	node := btcd.Start(t)
	bitcoin := &bitcoinStage{node: node, calendar: calendar.Start(t, node)}
	node.Mine(110)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), "127.0.0.1:"+strconv.Itoa(port)
	s := &consoleStory{T: t, dir: filepath.Join(dir, "site"), url: "http://" + address}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+string(filepath.Separator), "cairn/cmd/cairn", "cairn/cmd/cairn-verify")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{"password": consolePassword + "\n", "btc.pass": node.Password + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// typed is the next command, with some of its words changed.
	typed := func(changes ...string) *exec.Cmd {
		line := commands[1]
		commands = append(commands[:1], commands[2:]...)
		for i := 0; i < len(changes); i += 2 {
			if !strings.Contains(line, changes[i]) {
				t.Fatalf("no %q in %q", changes[i], line)
			}
			line = strings.Replace(line, changes[i], changes[i+1], 1)
		}
		c := exec.Command("bash", "-c", line)
		c.Dir = dir
		c.Env = append(os.Environ(), "CAIRN_HTTP_LISTEN="+address, "CAIRN_UDP_LISTEN=127.0.0.1:0")
		return c
	}
	run := func(changes ...string) string {
		t.Helper()
		c := typed(changes...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.Args, err, out)
		}
		return string(out)
	}

	run("--anchor ots", "--anchor ots --window 1s")
	run()
	run("nano", "test -w")
	text, err := os.ReadFile(filepath.Join(s.dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(text), "    calendars:\n")
	after, rest, ok2 := strings.Cut(after, "    need: 2\n")
	if !ok || !ok2 || strings.Count(after, "- https://") != 3 {
		t.Fatalf("the configuration has other calendars: %s", after)
	}
	s.write(configFile, strings.NewReplacer("senders: []\n", config[1], "alerts: []\n", config[2]).Replace(
		before+"    calendars: ["+bitcoin.calendar.URL+"]\n    network: regtest\n    every: 2s\n    jitter: 0s\n    poll: 300ms\n"+rest))
	run()
	run("--role admin", "--role admin --password-file password")
	service := typed("run &", "run", "bin/cairn", "cd "+dir+" && exec env CAIRN_HTTP_LISTEN="+address+" CAIRN_UDP_LISTEN=127.0.0.1:0 bin/cairn")
	gateway, err := tool.Start("bash", service.Args[1:], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		gateway.Interrupt()
		<-gateway.Done
		if t.Failed() {
			t.Log(gateway.Output())
		}
	})
	s.answers(gateway.Done)
	run("http://127.0.0.1:9980", s.url)

	s.browse()
	s.login("ana")
	s.wait(`document.querySelector(".place.alarm .value")?.textContent.startsWith("9.5 °C")`)
	s.wait(`document.querySelector(".needs li.alarm")?.textContent.includes("kitchen, fridge: too warm: T 9.5")`)
	bitcoin.start(&stage{t: t})
	s.click(".needs li.alarm a")
	s.click(".scroll tbody a")
	s.wait(`document.querySelector("h1")?.textContent === "Reading 0/0"`)
	s.click("main form button")
	s.wait(`document.querySelector(".note.good")?.textContent.includes("Anchored in a final block")`)
	path := s.download()
	bitcoin.halt()
	node.Mine(6)

	run("--network mainnet", "--network regtest", "http://127.0.0.1:8332", node.URL,
		"--rpc-cookie-file ~/.bitcoin/.cookie", "--rpc-user "+node.User+" --rpc-password-file btc.pass")
	verdict := run("cairn-0-0.proof", path)
	for _, want := range []string{"VERIFIED anchored", `bound as "fridge"`, "9.5 Cel", "kitchen, walk-in fridge"} {
		if !strings.Contains(verdict, want) {
			t.Errorf("the verdict does not say %q: %s", want, verdict)
		}
	}
}
