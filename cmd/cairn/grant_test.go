package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// grantLedger opens a ledger with two devices, whose clock counts as right.
func grantLedger(t *testing.T) *openLedger {
	t.Helper()
	cfg := &LedgerConfig{Name: siteLedger, Dir: t.TempDir()}
	g := &gateway{cfg: &Config{Clock: clockTrusted, Ledgers: []LedgerConfig{*cfg}}}
	l := &openLedger{g: g, cfg: cfg, log: slog.New(slog.DiscardHandler), keyring: share.Memory()}
	var err error
	if l.store, err = store.Open(store.Options{Dir: cfg.path(dataDir), Keyring: l.keyring, Clock: g.cfg.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.store.Close(); err != nil {
			t.Error(err)
		}
	})
	rules := []store.Rule{{Class: "occupancy", Fields: []string{"O"}}}
	for i, name := range []string{"fridge", "hall"} {
		if _, err := l.store.AddDevice(t.Context(), store.NewDevice{ID: frame.ID{byte(i)}, Name: name, Kind: "text", Rules: rules}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (q grantRequest) to(id *age.X25519Identity) grantRequest {
	q.To, q.Token = []string{id.Recipient().String()}, hex.EncodeToString(make([]byte, 32))
	return q
}

func openBundle(t *testing.T, file []byte, id age.Identity) *share.Bundle {
	t.Helper()
	b, err := share.OpenBundle(bytes.NewReader(file), id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A bundle opens just the hours and compartments of its grant, as far as they are
// released, and says whose they are.
func TestBundle(t *testing.T) {
	l := grantLedger(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	current := endHour(now)
	from := (current - 100).Start() + 1 // within an hour: the next one is the first
	a, err := l.addGrant(t.Context(), grantRequest{Audience: "south", Devices: []string{"fridge"}, Fields: []string{"O"}, From: from, Secret: "sesame"}.to(id))
	if err != nil {
		t.Fatal(err)
	}
	if b := openBundle(t, a.Bundle, id); b.Token != "sesame" {
		t.Errorf("the first bundle has the token %q", b.Token)
	}
	file, err := l.bundle(t.Context(), a.Number)
	if err != nil {
		t.Fatal(err)
	}
	b := openBundle(t, file, id)
	if b.Token != "" || b.Grant != a.Number || b.Audience != "south" || b.Until != nil || ledger.ID(b.LogKey[:], b.Nonce) != b.Ledger || b.Ledger != l.store.Ledger() {
		t.Errorf("got %+v", b)
	}
	var names []string
	for _, c := range b.Compartments {
		names = append(names, c.Name)
	}
	if want := []string{"ledger", "stream/0/envelope", "stream/0/occupancy"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	first, end := current-99, endHour(time.Now().UnixMilli())+1
	for _, c := range b.Compartments {
		kept, _ := l.keyring.Compartment(c.ID)
		for _, h := range []share.Hour{first - 1, first, current - 1, current, b.Through - 1, b.Through, end + 1} {
			got, err := b.Key(c.ID, h)
			if within := h >= first && h < b.Through; within != (err == nil) {
				t.Errorf("%s, hour %d of %d to %d: got %v", c.Name, h, first, b.Through, err)
			}
			if want, werr := kept.Tree.Hour(h); err == nil && (werr != nil || got != want) {
				t.Errorf("%s, hour %d: another key", c.Name, h)
			}
		}
	}
	if b.Through != end && b.Through+1 != end { // the hour may have changed meanwhile
		t.Errorf("got hours before %d, want before %d: the current one is released", b.Through, end)
	}

	kinds := map[string]int{}
	for _, s := range b.Statements {
		st, err := ledger.ParseStatement(s.Item)
		if err != nil {
			t.Fatal(err)
		}
		kinds[st.Kind]++
		if slot, ok := st.Uint("slot"); ok && slot != 0 {
			t.Errorf("statement %d is about stream %d, which is not granted", s.Number, slot)
		}
	}
	if kinds[ledger.KindGenesis] != 1 || kinds[ledger.KindBind] != 1 || kinds[ledger.KindGrant] != 1 {
		t.Errorf("got statements %v", kinds)
	}

	// The same until something changes; then made anew, and kept.
	if again, err := l.bundle(t.Context(), a.Number); err != nil || !bytes.Equal(again, file) && openBundle(t, again, id).Through == b.Through {
		t.Errorf("made anew without need: %v", err)
	}
	until := (current - 50).Start() + hourMillis/2
	if _, err := l.endGrant(t.Context(), changeRequest{Grant: "south", Until: &openEnd{&until}}); err != nil {
		t.Fatal(err)
	}
	if file, err = l.bundle(t.Context(), a.Number); err != nil {
		t.Fatal(err)
	}
	b = openBundle(t, file, id)
	if _, err := b.Key(3, current-51); b.Through != current-50 || b.Until == nil || *b.Until != until {
		t.Errorf("after the end: hours before %d, want %d, %v", b.Through, current-50, err)
	}
	if _, err := b.Key(b.Compartments[1].ID, current-50); !errors.Is(err, share.ErrNotGranted) {
		t.Errorf("an hour that is over half way: got %v", err)
	}
	if _, err := l.bundle(t.Context(), 0); err == nil {
		t.Error("a bundle of no grant")
	}
}

// A bundle tells of its own streams alone, and of nothing that was said of them once the
// last hour of its grant had ended.
func TestBundleEnds(t *testing.T) {
	l := grantLedger(t)
	ctx := t.Context()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for i, place := range []string{"kitchen", "vault"} {
		if _, err := l.store.AddDevice(ctx, store.NewDevice{ID: frame.ID{9, byte(i)}, Name: place, Kind: "text", Place: place, Thing: "of " + place}); err != nil {
			t.Fatal(err)
		}
	}
	note := func(device, name string) {
		t.Helper()
		if _, err := l.attachToDevice(ctx, noteRequest{Device: device, What: ledger.AttachPhoto, Name: name, Digest: strings.Repeat("ab", 32)}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.calibrateDevice(ctx, noteRequest{Device: device, By: name, Calibrated: 1, Field: "T", Offset: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	note("kitchen", "early")
	note("vault", "of others")
	past := (endHour(time.Now().UnixMilli()) - 100).Start()
	open, err := l.addGrant(ctx, grantRequest{Audience: "north", Compartments: []string{"stream/2/*"}, From: past}.to(id))
	if err != nil {
		t.Fatal(err)
	}
	// Within the hour that the end lies in nothing is granted any more.
	until := time.Now().UnixMilli() + 1
	ended, err := l.addGrant(ctx, grantRequest{Audience: "south", Compartments: []string{"stream/2/*"}, From: past, Until: &until}.to(id))
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := l.store.ReplaceDevice(ctx, 3, store.NewDevice{ID: frame.ID{9, 9}, Kind: "text"})
	if err != nil {
		t.Fatal(err)
	}
	note(strconv.FormatUint(uint64(replaced.Number), 10), "the next one")

	for grant, want := range map[uint64][]string{
		open.Number:  {ledger.KindBind, ledger.KindPlace, ledger.KindAttach, ledger.KindCalibrate, ledger.KindUnbind},
		ended.Number: {ledger.KindBind, ledger.KindPlace},
	} {
		file, err := l.bundle(ctx, grant)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range openBundle(t, file, id).Statements {
			st, err := ledger.ParseStatement(s.Item)
			if err != nil {
				t.Fatal(err)
			}
			slot, ok := st.Uint("slot")
			if ok {
				got = append(got, st.Kind)
			}
			if ok && slot != 2 || bytes.Contains(s.Item, []byte("vault")) || bytes.Contains(s.Item, []byte("next one")) {
				t.Errorf("grant %d: a %s of another stream: %q", grant, st.Kind, s.Item)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("grant %d: %v of its stream, want %v", grant, got, want)
		}
	}
}

// What is shredded is in no bundle any more, though the grant goes on.
func TestBundleAfterShredding(t *testing.T) {
	l := grantLedger(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	current := endHour(time.Now().UnixMilli())
	a, err := l.addGrant(t.Context(), grantRequest{Audience: "south", Compartments: []string{"stream/1/*"}, From: (current - 100).Start()}.to(id))
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.bundle(t.Context(), a.Number)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := l.keyring.CompartmentNamed("stream/1/occupancy")
	if err := l.keyring.Change(func(e *share.Edit) error { e.Puncture(c.ID, current-20); return nil }); err != nil {
		t.Fatal(err)
	}
	file, err := l.bundle(t.Context(), a.Number)
	if err != nil || bytes.Equal(file, before) {
		t.Fatalf("the bundle of before is handed out still, %v", err)
	}
	b := openBundle(t, file, id)
	if _, err := b.Key(c.ID, current-21); !errors.Is(err, share.ErrNotGranted) {
		t.Errorf("a shredded hour: got %v", err)
	}
	if _, err := b.Key(c.ID, current-20); err != nil {
		t.Error(err)
	}
	other, _ := l.keyring.CompartmentNamed("stream/1/data")
	if _, err := b.Key(other.ID, current-21); err != nil {
		t.Error(err)
	}
}

// While the clock is not known to be right, nothing is given before its hour is
// sealed.
func TestNotReleasedBeforeSealed(t *testing.T) {
	l := grantLedger(t)
	l.g.cfg.Clock = clockAuto
	if l.g.cfg.clock().String() == "synced" {
		t.Log("this machine's kernel keeps its clock right")
		return
	}
	if h, err := l.released(time.Now()); h != 0 || err != nil {
		t.Errorf("got hours before %d, %v, want none", h, err)
	}
	l.g.cfg.Clock = clockTrusted
	at := time.Date(2026, 7, 1, 9, 15, 0, 0, time.UTC)
	for _, x := range []struct {
		at   time.Time
		want share.Hour
	}{{at, share.Hour(at.Unix()/900) + 1}, {at.Add(-time.Millisecond), share.Hour(at.Unix() / 900)}} {
		if h, err := l.released(x.at); h != x.want || err != nil {
			t.Errorf("at %v: got hours before %d, %v, want %d", x.at, h, err, x.want)
		}
	}
}

func TestFindGrant(t *testing.T) {
	l := grantLedger(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	until := now - 1
	add := func(audience string, from int64, until *int64) uint64 {
		t.Helper()
		a, err := l.addGrant(t.Context(), grantRequest{Audience: audience, Compartments: []string{"stream/0/data"}, From: from, Until: until}.to(id))
		if err != nil {
			t.Fatal(err)
		}
		return a.Number
	}
	over := add("tenant", now-10*hourMillis, &until)
	if g, err := l.findGrant("tenant", now, false); err != nil || g.Number != over {
		t.Errorf("the only one, which is over: got %d, %v", g.Number, err)
	}
	goes := add("tenant", now, nil)
	if g, err := l.findGrant("tenant", now, false); err != nil || g.Number != goes {
		t.Errorf("the one that goes on: got %d, %v", g.Number, err)
	}
	more := add("tenant", now, nil)
	if _, err := l.findGrant("tenant", now, false); err == nil {
		t.Error("one of two was taken")
	}
	for _, n := range []uint64{goes, more, over} {
		if _, err := l.endGrant(t.Context(), changeRequest{Grant: strconv.FormatUint(n, 10)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.findGrant("tenant", now, false); err == nil {
		t.Error("an ended one was taken")
	}
	if g, err := l.findGrant(strconv.FormatUint(over, 10), now, false); err != nil || g.Number != over {
		t.Errorf("by its number: got %d, %v", g.Number, err)
	}
	rows, err := l.g.listGrantsOf([]*openLedger{l}, grantsRequest{})
	if err != nil || len(rows) != 3 || rows[0].State != grantEnded {
		t.Errorf("got %+v, %v", rows, err)
	}
}

func TestRecipients(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := id.Recipient().String()
	got, err := recipients([]string{key})
	if err != nil || !slices.Equal(got, []string{key}) {
		t.Errorf("got %v, %v", got, err)
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sshKey, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshKey)))
	got, err = recipients([]string{line + " somebody@example"})
	if err != nil || !slices.Equal(got, []string{line}) {
		t.Errorf("got %v, %v: a comment, often a name, would stand in the ledger", got, err)
	}
	if _, err := recipients([]string{t.TempDir() + "/none"}); err == nil {
		t.Error("a file that is not there is taken")
	}
}
