package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/mirror"
)

// A mirror whose source keeps a pass from ending must not stay green by the one before.
func TestMirrorStalled(t *testing.T) {
	now := time.Now()
	for _, x := range []struct {
		every, ago time.Duration
		want       string
	}{
		{30 * time.Second, 5 * time.Minute, green}, {30 * time.Second, time.Hour, red}, {time.Hour, time.Hour, green},
		{0, 1000 * time.Hour, green}, // of --once: nobody knows when the next one is to be
	} {
		m := mirrorStatus{Status: green, Pass: now.Add(-x.ago).UTC().Format(time.RFC3339), Every: int64(x.every / time.Second)}
		if got := m.at(now); got.Status != x.want || got.Status == red && got.verdict() == nil {
			t.Errorf("every %v, %v after a pass: got %s, %v, want %s", x.every, x.ago, got.Status, got.verdict(), x.want)
		}
	}
}

// What a mirror says of itself to everybody is whether it is well.
func TestMirrorHealthTellsNoNames(t *testing.T) {
	s := &mirrorService{status: mirrorStatus{
		Status: red, Source: "http://192.0.2.7/ledger/site", Alarms: []*mirror.Alarm{{Kind: mirror.MissingObject, Text: "stream/3/occupancy"}},
	}}
	ask := func(a *mirrorAccess, host string) string {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = host
		s.serveHealth(a)(w, r)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d, want %d", w.Code, http.StatusServiceUnavailable)
		}
		return w.Body.String()
	}
	if got := ask(&mirrorAccess{locked: true}, "localhost:1"); strings.TrimSpace(got) != `{"status":"red"}` {
		t.Errorf("got %s for one without a token, want the status alone", got)
	}
	if got := ask(&mirrorAccess{local: true}, "evil.example:1"); strings.TrimSpace(got) != `{"status":"red"}` {
		t.Errorf("got %s for a page whose name was made to point here, want the status alone", got)
	}
	var m mirrorStatus
	if got := ask(&mirrorAccess{local: true}, "localhost:1"); json.Unmarshal([]byte(got), &m) != nil || len(m.Alarms) != 1 {
		t.Errorf("got %s on the machine itself, want all of it", got)
	}
}

// A mirror of a copy's folder sees what is new there.
func TestMirrorOfFolder(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := mirror.Identity{Ledger: ledger.ID(public, [32]byte{}), LogKey: public}
	s := &mirrorService{mirrorFlags: &mirrorFlags{}, dir: t.TempDir(), url: t.TempDir()}
	if _, err := mirror.Open(s.url, mirror.Options{Ledger: id}); err != nil {
		t.Fatal(err)
	}
	if err := s.openSource(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.src.Checkpoint(t.Context()); !errors.Is(err, mirror.ErrNone) {
		t.Fatalf("got %v, want %v", err, mirror.ErrNone)
	}
	entry := []byte("entry")
	bundle, err := merkle.AppendEntry(nil, entry)
	if err != nil {
		t.Fatal(err)
	}
	root := merkle.LeafHash(entry)
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(id.Ledger), Size: 1, Root: root}, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		merkle.TilePath(merkle.EntriesLevel, 0, 1): bundle, merkle.TilePath(0, 0, 1): root[:], "checkpoint": note,
	} {
		path := filepath.Join(s.url, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.src.Checkpoint(t.Context()); err != nil || string(got) != string(note) {
		t.Errorf("got %q, %v, want the newest checkpoint of the folder", got, err)
	}
}

// Whoever has no key of the log cannot make a mirror ask its source.
func TestMirrorKicked(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := mirror.Identity{Ledger: ledger.ID(public, [32]byte{}), LogKey: public}
	s := &mirrorService{kick: make(chan chan struct{})}
	if s.copy, err = mirror.Open(t.TempDir(), mirror.Options{Ledger: id}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []ed25519.PrivateKey{other, key} {
		note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(id.Ledger), Size: 1, Root: merkle.Hash{1}}, by)
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if s.checked(t.Context(), note) {
				t.Error("a checkpoint that the mirror has not seen is checked")
			}
		}()
		kicked := false
		select {
		case done := <-s.kick:
			kicked = true
			close(done)
			<-answered
		case <-answered:
		}
		if kicked != by.Equal(key) {
			t.Errorf("signed by the log's key %v: a pass was made %v", by.Equal(key), kicked)
		}
	}
}
