package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"time"
)

// stay leaves the gateway and its console open until somebody interrupts it. The nodes
// go on sending, and the freezer stays warm.
func (d *demo) stay(ctx context.Context) error {
	d.head("The console stays open: KEEP=1")
	password := rand.Text()
	if _, err := d.cairn(ctx, password+"\n", "user", "add", "demo", "--role", "admin", "--password-stdin"); err != nil {
		return err
	}
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	d.say("open      http://%s/console/", s.HTTP)
	d.say("user      demo")
	d.say("password  %s", password)
	d.say("a freezer is warm: acknowledge it; open a reading, download its proof,")
	d.say("and check it at http://%s/verify, with the policy of this ledger:", s.HTTP)
	d.say("%s", d.policy)
	d.say("Ctrl-C ends it, and leaves nothing behind")
	if err := d.radioOn(ctx); ctx.Err() == nil {
		return err
	}
	<-d.gone // with ctx it was told to leave
	d.gateway = nil
	fmt.Fprintln(d.out, "\nthe gateway has left")
	return nil
}

// radioOn sends what the nodes say, once a second, until ctx ends or the gateway does.
func (d *demo) radioOn(ctx context.Context) error {
	conn, err := net.Dial("udp", d.radio)
	if err != nil {
		return fmt.Errorf("reach the gateway: %w", err)
	}
	defer conn.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		for _, name := range d.order {
			wire, err := d.sensors[name].Next(d.sensors[name].body(rounds - 1))
			if err == nil && name != "stranger" {
				err = air{conn}.send(wire)
			}
			if err != nil && !strings.Contains(err.Error(), "refused") {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-d.gone:
			d.gone <- err
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the gateway died: %v\n%s", err, d.logs.String())
		case <-tick.C:
		}
	}
}
