package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cairn/store/mirror"
	"cairn/store/share"
)

// followLive writes what comes, each reading once, until it is told to leave. As
// hours begin, it asks for a newer bundle. A source that does not answer is asked
// again; one that shows something false, or nothing more, ends it.
func (o *grantOpener) followLive(ctx context.Context, w readingWriter) error {
	tick := time.NewTicker(o.f.every)
	defer tick.Stop()
	said := map[string]bool{}
	complain := func(text string) {
		if !said[text] {
			fmt.Fprintln(o.Err, text)
			said[text] = true
		}
	}
	var seen mirror.Seen
	for round := 0; ; round++ {
		o.renew(ctx, complain)
		report, err := o.view.Readings(ctx, o.query(&seen), w.write)
		if ferr := w.flush(); ferr != nil {
			return ferr
		}
		var lie *mirror.Lie
		switch {
		case ctx.Err() != nil:
			return w.close()
		case errors.As(err, &lie) || errors.Is(err, mirror.ErrGone) || errors.Is(err, errWrite):
			return errors.Join(err, w.close())
		case err != nil:
			complain("not read, and tried again: " + err.Error())
		case round == 0:
			o.say(report, "opened and verified")
		}
		for i := range report.Missing {
			if m := &report.Missing[i]; round > 0 && m.Why != mirror.NotGranted {
				complain("not opened: " + m.String())
			}
		}
		if o.f.untilMS != nil && time.Now().UnixMilli() > *o.f.untilMS && report.Until >= *o.f.untilMS {
			return w.close()
		}
		select {
		case <-ctx.Done():
			return w.close()
		case <-tick.C:
		}
	}
}

// renew takes a newer bundle of the grant once an hour has begun that this one does
// not open.
func (o *grantOpener) renew(ctx context.Context, complain func(string)) {
	now, err := share.HourOf(time.Now().UnixMilli())
	if err != nil || now < o.bundle.Through || o.bundle.Grant == share.Recovered {
		return
	}
	if u := o.bundle.Until; u != nil && o.bundle.Through.Start() >= *u/(15*60*1000)*(15*60*1000) {
		return // it opens all that it ever will
	}
	b, err := o.fetchBundle(ctx, o.bundle.Grant)
	if err == nil && b.Through > o.bundle.Through {
		if err = o.view.Use(b); err == nil {
			o.bundle = b
		}
	}
	if err != nil && ctx.Err() == nil {
		complain("no newer bundle: " + err.Error())
	}
}
