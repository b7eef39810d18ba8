package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A service manager that started this process and wants to know (sd_notify(3)) is told
// when the service runs, how it does and when it leaves. If it has a watchdog it is
// told so for as long as the stores answer: one that hangs takes nothing any more, and
// only a new start gets it out of that.

// statusEvery is how often it is told how the service does, at least.
const statusEvery = 30 * time.Second

// tellManager tells lines of state to the service manager, if there is one.
func (s *service) tellManager(state ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
		s.log.Warn("tell the service manager", "state", state, "error", err)
	}
}

// followState says that the service runs, and then how it does until ctx ends.
func (s *service) followState(ctx context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the service manager's watchdog is not known, and not fed", "error", err)
	}
	s.tellManager(daemon.SdNotifyReady, s.statusLine())
	h := heartbeat{every: statusEvery, late: statusEvery, pulse: s.pulse}
	h.beat = func() { s.tellManager(s.statusLine()) }
	if limit > 0 {
		h.every, h.late = min(limit/4, statusEvery), limit/2
		h.beat = func() { s.tellManager(daemon.SdNotifyWatchdog, s.statusLine()) }
	}
	h.missed = func(ledger string) {
		s.log.Error("the store does not answer: the service manager is told nothing until it does", "ledger", ledger, "waited", h.late.String(), "watchdog", limit.String())
	}
	h.run(ctx)
	s.tellManager(daemon.SdNotifyStopping, "STATUS=leaving")
}

// pulse returns when every ledger's store has answered; waits is told for which it
// waits.
func (s *service) pulse(ctx context.Context, waits func(ledger string)) error {
	for _, l := range s.ledgers {
		waits(l.cfg.Name)
		if err := l.store.Pulse(ctx); err != nil {
			return err
		}
	}
	return nil
}

// statusLine is what anybody on this machine may read: counts and a colour.
func (s *service) statusLine() string {
	h, batches, signed := s.health(s.ledgers), uint64(0), uint64(0)
	for _, l := range s.ledgers {
		st := l.store.Status()
		batches, signed = batches+st.Batches, signed+st.Signed
	}
	line := fmt.Sprintf("STATUS=%s: %d batches, %d of them signed", h.Status, batches, signed)
	if n := len(h.Reasons); n > 0 {
		line += fmt.Sprintf("; %d %s for `cairn status` to show", n, plural(n, "reason"))
	}
	return line
}

// heartbeat beats each time that the pulse was felt.
type heartbeat struct {
	every, late time.Duration
	pulse       func(ctx context.Context, waits func(ledger string)) error
	beat        func()
	missed      func(ledger string) // a pulse is late: told once of each
}

// run beats until ctx ends or there is no pulse any more.
func (h *heartbeat) run(ctx context.Context) {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for h.felt(ctx) == nil {
		h.beat()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	<-ctx.Done()
}

// felt waits for one pulse.
func (h *heartbeat) felt(ctx context.Context) error {
	waits, result := make(chan string), make(chan error, 1)
	go func() { result <- h.pulse(ctx, func(ledger string) { waits <- ledger }) }()
	late, ledger := time.NewTimer(h.late), ""
	defer late.Stop()
	for {
		select {
		case ledger = <-waits:
		case <-late.C:
			h.missed(ledger)
		case err := <-result:
			return err
		}
	}
}
