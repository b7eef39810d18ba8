//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A service that hangs is said to, in time; one that was never started is not broken.
func TestDoctorEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	out := &bytes.Buffer{}
	if code := Run(t.Context(), []string{"init", dir}, Streams{In: strings.NewReader(""), Out: out, Err: out}); code != exitDone {
		t.Fatal(out)
	}
	examine := func() *doctor {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		d := &doctor{c: &command{dir: dir, Streams: Streams{In: strings.NewReader(""), Out: out, Err: out}}}
		d.examine(ctx)
		return d
	}
	said := func(d *doctor, what, state, detail string) {
		t.Helper()
		for _, f := range d.all {
			if f.What == what && f.State == state && strings.Contains(f.Detail, detail) {
				return
			}
		}
		t.Errorf("no %s that is %s, %q: %+v", what, state, detail, d.all)
	}
	said(examine(), "store", wellWarn, "nothing was taken yet")

	release, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	said(examine(), "store", wellBad, "another cairn uses this folder")
	release()

	// Nodes, calendars and a broker that take a connection and say nothing are given up on too.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	config := filepath.Join(dir, configFile)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	at := silent.Addr().String()
	text := strings.NewReplacer("\nanchors: []\n", fmt.Sprintf(`
anchors:
  - {type: ots, calendars: ["http://%[1]s", "http://%[1]s/again"], need: 2, network: regtest, rpc: "http://%[1]s"}
  - {type: ethereum, rpc: ["http://%[1]s", "http://%[1]s/again"], chain_id: 1, contract: "0x00000000000000000000000000000000000000aa", signer_url: "http://%[1]s", account: "0x00000000000000000000000000000000000000bb"}
`, at), "\nmqtt: []\n", fmt.Sprintf("\nmqtt: [{name: house, broker: \"mqtt://%s\", presets: [tasmota]}]\n", at)).Replace(string(b))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := examine()
	said(d, "route", wellBad, "ots: ")
	said(d, "route", wellBad, "ethereum:1: ")
	said(d, "broker", wellBad, "mqtt://"+at)
	if err := os.WriteFile(config, b, 0o600); err != nil {
		t.Fatal(err)
	}

	on, err := listenControl(filepath.Join(dir, socketFile)) // nobody takes what comes there
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	said(examine(), "service", wellBad, "does not answer within")
}

// However long the status takes, and whatever the network keeps to itself, it ends within 20 seconds; and nobody
// is said not to answer who was not given the time to.
func TestDoctorWaits(t *testing.T) {
	const promised, local = 20 * time.Second, 3 * time.Second // in which it reads keys and files
	for _, c := range []struct {
		name  string
		after time.Duration
		err   error
		asked bool
	}{
		{"stopped", 0, nil, true},
		{"in use", lockPatience, errInUse, true},
		{"a large store", doctorTime - 1, nil, true},
		{"hangs", doctorTime + 1, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), false
				d := &doctor{cfg: &Config{}}
				d.wait(t.Context(), func(ctx context.Context) (statusAnswer, error) {
					select {
					case <-time.After(c.after):
						return statusAnswer{}, c.err
					case <-ctx.Done():
						return statusAnswer{}, fmt.Errorf("ask: %w", ctx.Err())
					}
				}, []question{func(ctx context.Context) finding {
					at := time.Now()
					<-ctx.Done()
					if asked = true; time.Since(at) < doctorDial {
						t.Errorf("it was given %v", time.Since(at))
					}
					return finding{}
				}})
				if took := time.Since(began); took > promised-local || asked != c.asked {
					t.Errorf("it waits for %v, and asks the network: %v", took, asked)
				}
			})
		})
	}
}

// A calendar that is silent is no more than a warning where the others are enough.
func TestDoctorCalendars(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for need, want := range map[int]string{1: wellWarn, 2: wellBad} {
		a := &AnchorConfig{Type: typeOTS}
		a.OTS.Calendars, a.OTS.Need = []string{"http://" + l.Addr().String(), "http://" + gone.Addr().String()}, need
		if f := askRoute(t.Context(), a); f.State != want || !strings.Contains(f.Detail, gone.Addr().String()+" does not answer") {
			t.Errorf("one of two, %d wanted: %+v, want %s", need, f, want)
		}
	}
}
