package web

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestSessions(t *testing.T) {
	cheap(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a := testAccounts(t, clock)
	for _, name := range []string{"ana", "bob"} {
		if _, err := a.AddUser(User{Name: name, Role: Operator}, hashOf(t, "password of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	s := &sessions{accounts: a, now: clock}
	begin := func(name string) string {
		t.Helper()
		_, stamp, _ := a.stamp(name)
		secret := s.begin(name, stamp)
		if len(secret) != 43 {
			t.Fatalf("%s: %q", name, secret)
		}
		return secret
	}
	is := func(secret, want string) {
		t.Helper()
		if who, ok := s.who(secret, false); ok != (want != "") || who.Name != want {
			t.Errorf("got %+v, %v; want %q", who, ok, want)
		}
	}
	if _, ok := s.who(begin("nobody"), true); ok {
		t.Error("one who is no user has a session")
	}
	ana, bob := begin("ana"), begin("bob")
	is(ana, "ana")
	is(ana+"x", "")
	is("", "")
	now = now.Add(sessionIdle - time.Second)
	if _, ok := s.who(ana, true); !ok {
		t.Error("over before its time")
	}
	now = now.Add(time.Second)
	is(ana, "ana")
	is(bob, "") // idle
	for range 20 {
		now = now.Add(sessionIdle / 2)
		s.who(ana, true)
	}
	is(ana, "ana")
	now = now.Add(sessionIdle)
	is(ana, "")

	ana = begin("ana")
	if err := a.SetPassword("ana", hashOf(t, "another one of ana")); err != nil {
		t.Fatal(err)
	}
	is(ana, "")
	ana = begin("ana")
	s.end(ana)
	is(ana, "")
	ana = begin("ana")
	bob = begin("bob")
	for range maxPerUser {
		now = now.Add(time.Second)
		begin("ana")
	}
	is(ana, "")
	is(bob, "bob")
	if err := a.RemoveUser("bob"); err != nil {
		t.Fatal(err)
	}
	is(bob, "")
}

// TestSessionsAreBounded: one more ends the quietest.
func TestSessionsAreBounded(t *testing.T) {
	cheap(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a := testAccounts(t, clock)
	s := &sessions{accounts: a, now: clock}
	hash := hashOf(t, "four words make one")
	var first string
	for i := range maxSessions/maxPerUser + 1 {
		name := fmt.Sprint("user", i)
		if _, err := a.AddUser(User{Name: name, Role: Viewer}, hash); err != nil {
			t.Fatal(err)
		}
		for range maxPerUser {
			now = now.Add(time.Second)
			_, stamp, _ := a.stamp(name)
			secret := s.begin(name, stamp)
			if first == "" {
				first = secret
			}
		}
	}
	if _, ok := s.who(first, false); ok || len(s.all) != maxSessions {
		t.Errorf("%d sessions, the first is there: %v", len(s.all), ok)
	}
}

// TestGate: no more than so many at once, and of one who asks.
func TestGate(t *testing.T) {
	g := gate{most: maxAtOnce, mostOfOne: maxAtOnceOfOne}
	for range maxAtOnceOfOne {
		if !g.enter(Who{Name: "vera"}) {
			t.Fatal("not let in")
		}
	}
	if g.enter(Who{Name: "vera"}) {
		t.Error("one more of one user")
	}
	n := maxAtOnceOfOne
	for i := 0; g.enter(Who{Name: fmt.Sprint(i)}); i++ {
		n++
	}
	if n != maxAtOnce {
		t.Errorf("%d are let in", n)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if g.wait(over, Who{Name: "ada"}) {
		t.Error("let in after there was no more time")
	}
	in := make(chan bool)
	go func() { in <- g.wait(t.Context(), Who{Name: "ada"}) }()
	g.leave(Who{Name: "vera"})
	if !<-in {
		t.Error("no room after one left")
	}
	for i := range maxAtOnce - maxAtOnceOfOne {
		g.leave(Who{Name: fmt.Sprint(i)})
	}
	if len(g.of) != 2 || g.all != maxAtOnceOfOne {
		t.Errorf("left are %v", g.of)
	}
}

func TestLimiter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := &limiter{burst: 3, every: time.Minute, most: 4}
	try := func(key string, want bool) {
		t.Helper()
		if wait, ok := l.take(key, now); ok != want || ok != (wait == 0) {
			t.Errorf("%s: %v, %v", key, wait, ok)
		}
	}
	for range 3 {
		try("a", true)
	}
	try("a", false)
	try("b", true)
	now = now.Add(time.Minute)
	try("a", true)
	try("a", false)
	l.give("a")
	try("a", true)
	for i := range 100 { // many others do not make it forget whom it holds back, unless there are too many of those too
		now = now.Add(time.Millisecond)
		l.take(fmt.Sprint(i), now)
		l.take("a", now)
	}
	try("a", false)
	for i := range 100 { // nor do they while it is quiet
		now = now.Add(time.Millisecond)
		l.take(fmt.Sprint("b", i), now)
	}
	try("a", false)
	if len(l.keys) > 4 {
		t.Errorf("%d keys are remembered", len(l.keys))
	}
}
