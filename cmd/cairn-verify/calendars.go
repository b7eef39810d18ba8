//go:build !js

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"cairn/anchor/proof"
)

const (
	calendarTimeout = 10 * time.Second // for one answer
	calendarsTime   = 2 * time.Minute  // for all
	maxCalendarSays = 160              // bytes of a server's words that are shown
)

// calendars asks OpenTimestamps calendars what they promised. The file names
// them, so none is asked but over https or on this machine, none may send the
// question on, and one that has failed is left alone.
type calendars struct {
	http  *http.Client
	until time.Time
	down  map[string]error // by host
	hosts []string         // asked
}

func newCalendars() *calendars {
	return &calendars{
		until: time.Now().Add(calendarsTime), down: make(map[string]error),
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: calendarTimeout}).DialContext,
				TLSHandshakeTimeout: calendarTimeout, ForceAttemptHTTP2: true,
				DisableCompression:     true, // an answer is as long as it looks
				MaxResponseHeaderBytes: 16 << 10,
			},
		},
	}
}

// ask is a proof.CalendarAsk.
func (c *calendars) ask(uri string, message []byte) ([]byte, error) {
	u, err := calendarURL(uri)
	if err != nil {
		return nil, err
	}
	if err := c.down[u.Host]; err != nil {
		return nil, fmt.Errorf("not asked again: %w", err)
	}
	ctx, cancel := context.WithDeadline(context.Background(), c.until)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, calendarTimeout)
	defer cancel()
	c.hosts = append(c.hosts, u.Host)
	answer, err := c.get(ctx, fmt.Sprintf("%s/timestamp/%x", u, message))
	if err != nil && !errors.Is(err, proof.ErrNotYet) {
		c.down[u.Host] = err
	}
	return answer, err
}

// calendarURL reads a promise's URI. It has no other characters than those of
// proof.PendingAttestation.
func calendarURL(uri string) (*url.URL, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, errors.New("not asked: it is no URL")
	}
	u.Host, u.Path = strings.ToLower(u.Host), strings.TrimRight(u.Path, "/")
	if strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/.") {
		return nil, errors.New("not asked: its path is not clean")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && here) {
		return nil, errors.New("not asked: only https is, and http on this machine")
	}
	return u, nil
}

func (c *calendars) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("no request can be made of its URL")
	}
	req.Header.Set("Accept", "application/vnd.opentimestamps.v1")
	req.Header.Set("User-Agent", "cairn-verify")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, errors.New(harmless(cause(ctx, err)))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, proof.MaxCalendarAnswer+1))
	if err != nil {
		return nil, errors.New(harmless(cause(ctx, err)))
	}
	said := ""
	if resp.StatusCode != http.StatusOK {
		if said = harmless(string(body)); said != "" {
			said = ": " + said
		}
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w%s", proof.ErrNotYet, said)
	}
	return nil, fmt.Errorf("it answers with HTTP status %d%s", resp.StatusCode, said)
}

// cause is what an error of the network is, without the URL.
func cause(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "it did not answer in time"
	}
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	return err.Error()
}

// harmless makes what a server says fit to be shown.
func harmless(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("#-.,:; ", r):
			return r
		case r == '\n' || r == '\t':
			return ' '
		}
		return -1
	}, s[:min(len(s), maxCalendarSays)])
	return strings.TrimSpace(s)
}
