package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// News of an alert.
const (
	Raised       = "raised"
	Acknowledged = "acknowledged"
	Cleared      = "cleared"
)

// Notice is what a receiver is told. Its JSON is what webhooks and MQTT topics get, and
// commands on their standard input.
type Notice struct {
	ID       string `json:"id"`   // of the notice; one that comes twice has it twice
	News     string `json:"news"` // raised, acknowledged or cleared
	Site     string `json:"site"` // the ledger's id, and its name behind a blank
	Alert    uint64 `json:"alert"`
	Rule     string `json:"rule"`
	Device   string `json:"device,omitempty"` // its name, else its ID
	DeviceID string `json:"deviceId,omitempty"`
	Place    string `json:"place,omitempty"` // where the device is
	Thing    string `json:"thing,omitempty"` // what it is about
	About    string `json:"about,omitempty"` // what an event is about
	What     string `json:"what"`
	At       string `json:"at"`           // RFC 3339, of the news
	By       string `json:"by,omitempty"` // who acknowledged
}

// Subject is a line that says it all.
func (n *Notice) Subject() string {
	about := n.Device
	if about == "" {
		about = n.About
	}
	text := fmt.Sprintf("%s: %s", n.News, n.Rule)
	if about != "" {
		text += " (" + about + ")"
	}
	return text
}

// Text is the notice in some lines.
func (n *Notice) Text() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	line("alert", fmt.Sprintf("%d, %s", n.Alert, n.News))
	line("rule", n.Rule)
	line("device", n.Device)
	line("place", n.Place)
	line("thing", n.Thing)
	line("what", n.What)
	line("at", n.At)
	line("by", n.By)
	line("site", n.Site)
	return b.String()
}

// Notifier tells one receiver. Its errors name no secret. One that wraps ErrRefused will
// come again for the same notice.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}

// ErrRefused is in errors of receivers that do not want a notice.
var ErrRefused = errors.New("the receiver refuses it")

// maxAnswer is how much of an answer is read.
const maxAnswer = 4 << 10

// client follows no redirect: what is signed or secret goes where it was configured to.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
		ForceAttemptHTTP2: true,
	},
}

// do asks, and takes any answer of 2xx. A URL's path and query may be secret, so errors
// have its host alone.
func do(r *http.Request) error {
	answer, err := client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("%s: %w", r.URL.Host, err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	switch s := answer.StatusCode; {
	case s/100 == 2:
		return nil
	case s/100 == 4 && s != http.StatusRequestTimeout && s != http.StatusTooEarly && s != http.StatusTooManyRequests:
		return fmt.Errorf("%s: %w: %s", r.URL.Host, ErrRefused, answer.Status)
	}
	return fmt.Errorf("%s: %s", r.URL.Host, answer.Status)
}
