package web

import (
	"errors"
	"math"
	"net/http"
)

var (
	ofLedger = param{"ledger", "string", "name of the ledger; none: the default one, or all where all can be listed", false}
	aFrom    = param{"from", "time", "received at or after: RFC 3339 or Unix ms", false}
	aTo      = param{"to", "time", "received before: RFC 3339 or Unix ms", false}
	aBefore  = param{"before", "integer", "the next of the page before", false}
	aLimit   = param{"limit", "integer", "rows, at most 500; default 100", false}
)

// table is every question of the API.
func (s *Server) table() []Route {
	get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
	return []Route{
		takes(Route{Method: post, Path: "/login", Anyone: true, Summary: "Log in; the answer sets the session's cookie"}, serveLogin),
		gives(Route{Method: post, Path: "/logout", Least: Viewer, Audience: true, Summary: "End this session"}, serveLogout),
		gives(Route{Method: get, Path: "/me", Least: Viewer, Audience: true, Summary: "Who asks"}, serveMe),
		gives(Route{Method: get, Path: "/openapi.json", Least: Viewer, Audience: true, Summary: "This document"}, func(c *call) (Document, error) { return c.s.document, nil }),

		gives(Route{Method: get, Path: "/overview", Least: Viewer, Summary: "Places by state, and what needs a person now"},
			func(c *call) (Overview, error) { return c.s.cfg.Places.Overview(c.ctx()) }),
		gives(Route{Method: get, Path: "/devices", Least: Viewer, Audience: true, Summary: "Devices at their places; for an audience those whose hours it may open"}.with(ofLedger),
			func(c *call) ([]Device, error) { return c.s.cfg.Places.Devices(c.ctx(), c.who, c.ledger()) }),
		gives(Route{Method: get, Path: "/streams/{stream}/readings", Least: Viewer, Audience: true, Summary: "Readings of a stream, the newest first"}.with(ofLedger, aFrom, aTo, aBefore, aLimit), serveReadings),
		gives(Route{Method: get, Path: "/streams/{stream}/history", Least: Viewer, Audience: true, Summary: "How one measurement of a stream went, in as many points as can be drawn"}.with(ofLedger, aFrom, aTo,
			param{"field", "string", "name of the measurement", true}, param{"points", "integer", "at the most, up to 10000; default 500", false}), serveHistory),
		gives(Route{Method: get, Path: "/streams/{stream}/readings/{sequence}", Least: Viewer, Audience: true, Summary: "One reading with its fields, its frame and its path to the log"}.with(ofLedger), serveReading),

		gives(Route{Method: get, Path: "/batches", Least: Viewer, Audience: true, Summary: "A ledger's batches, the newest first"}.with(ofLedger, aBefore, aLimit), serveBatches),
		gives(Route{Method: get, Path: "/batches/{index}", Least: Viewer, Audience: true, Summary: "One batch and its anchors"}.with(ofLedger), serveBatch),
		gives(Route{Method: get, Path: "/anchors", Least: Viewer, Summary: "Each route: its anchors, fees, state, and for how long its money lasts"}.with(ofLedger),
			func(c *call) ([]LedgerAnchors, error) { return c.s.cfg.Log.Anchors(c.ctx(), c.ledger()) }),
		gives(Route{Method: get, Path: "/grants", Least: Viewer, Audience: true, Summary: "Who may read what; for an audience its own grants"}.with(ofLedger),
			func(c *call) ([]Grant, error) { return c.s.cfg.Sharing.Grants(c.ctx(), c.who, c.ledger()) }),
		gives(Route{Method: get, Path: "/mirrors", Least: Viewer, Summary: "Mirrors and witnesses"}.with(ofLedger),
			func(c *call) ([]LedgerCopies, error) { return c.s.cfg.Sharing.Copies(c.ctx(), c.ledger()) }),

		gives(Route{Method: get, Path: "/alerts", Least: Viewer, Summary: "What is wrong, maintenance, and how the receivers do"}.with(ofLedger, param{"all", "boolean", "those too that were cleared", false}), serveAlerts),
		takes(Route{Method: post, Path: "/alerts/{number}/ack", Least: Operator, Summary: "Acknowledge an alert, in the name of this login; it stands in the ledger"}.with(ofLedger), serveAck),
		takes(Route{Method: post, Path: "/maintenance", Least: Operator, Summary: "Announce maintenance, in which no alert is raised; it stands in the ledger"}.with(ofLedger),
			func(c *call, q MuteRequest) (Mute, error) {
				return c.s.cfg.Alerts.Mute(c.ctx(), c.ledger(), c.who.Name, q)
			}),
		gives(Route{Method: del, Path: "/maintenance/{number}", Least: Operator, Summary: "End maintenance early"}.with(ofLedger), serveUnmute),

		takes(Route{Method: post, Path: "/proofs", Least: Viewer, Audience: true, Summary: "Ask for a proof file"}, serveAskProof),
		gives(Route{Method: get, Path: "/proofs/{id}", Least: Viewer, Audience: true, Summary: "How a proof does: whether there is a file, and how far it is anchored"}, serveProof),
		writes(Route{Method: get, Path: "/proofs/{id}/file", Least: Viewer, Audience: true, Summary: "The proof file"}, proofType, serveProofFile),

		gives(Route{Method: get, Path: "/check", Least: Operator, Summary: "Check the configuration as it is in the folder now"},
			func(c *call) (Check, error) { return c.s.cfg.Settings.Check(c.ctx()) }),
		writes(Route{Method: get, Path: "/events", Least: Viewer, Audience: true, Summary: "New readings and alerts as they come, as server-sent events"}, eventsType, serveEvents),

		gives(Route{Method: get, Path: "/users", Least: Admin, Summary: "Who may log in"}, func(c *call) ([]User, error) { return c.s.cfg.Accounts.Users(), nil }),
		gives(Route{Method: del, Path: "/users/{name}", Least: Admin, Summary: "End a login and its sessions"}, serveRemoveUser),
		gives(Route{Method: get, Path: "/tokens", Least: Admin, Summary: "API tokens, without what they are known by"}, func(c *call) ([]Token, error) { return c.s.cfg.Accounts.Tokens(), nil }),
		gives(Route{Method: del, Path: "/tokens/{name}", Least: Admin, Summary: "End an API token"}, serveRevokeToken),
	}
}

func serveMe(c *call) (Me, error) {
	return Me{c.who.Name, c.who.Role, c.who.Audience, c.who.Token, c.s.cfg.Several}, nil
}

func serveReadings(c *call) (page ReadingsPage, err error) {
	q := ReadingsQuery{Ledger: c.ledger()}
	var limit uint64
	var errs [5]error
	q.Stream, errs[0] = c.number("stream", 0, math.MaxInt64)
	q.From, errs[1] = c.time("from", 0)
	q.To, errs[2] = c.time("to", math.MaxInt64)
	q.Before, errs[3] = c.optional("before")
	limit, errs[4] = c.number("limit", 100, MaxPage)
	if err := errors.Join(errs[:]...); err != nil {
		return page, err
	}
	if limit == 0 || q.From >= q.To {
		return page, bad("limit is 0, or from is not before to")
	}
	q.Limit = int(limit)
	return c.s.cfg.Readings.Readings(c.ctx(), c.who, q)
}

func serveHistory(c *call) (h History, err error) {
	q := HistoryQuery{Ledger: c.ledger(), Field: c.r.URL.Query().Get("field")}
	now := c.s.cfg.Now().UnixMilli()
	var points uint64
	var errs [4]error
	q.Stream, errs[0] = c.number("stream", 0, math.MaxInt64)
	q.To, errs[1] = c.time("to", now)
	q.From, errs[2] = c.time("from", max(0, q.To-24*60*60*1000))
	points, errs[3] = c.number("points", 500, 10_000)
	if err := errors.Join(errs[:]...); err != nil {
		return h, err
	}
	if points == 0 || q.From >= q.To || q.Field == "" {
		return h, bad("name a field, a from before to, and some points")
	}
	q.Points = int(points)
	return c.s.cfg.Readings.History(c.ctx(), c.who, q)
}

func serveReading(c *call) (r Reading, err error) {
	stream, err := c.number("stream", 0, math.MaxInt64)
	if err != nil {
		return r, err
	}
	sequence, err := c.number("sequence", 0, math.MaxInt64)
	if err != nil {
		return r, err
	}
	return c.s.cfg.Readings.Reading(c.ctx(), c.who, c.ledger(), stream, sequence)
}

func serveBatches(c *call) (page BatchesPage, err error) {
	q := BatchesQuery{Ledger: c.ledger()}
	if q.Before, err = c.optional("before"); err != nil {
		return page, err
	}
	limit, err := c.number("limit", 100, MaxPage)
	if err != nil {
		return page, err
	}
	if limit == 0 {
		return page, bad("limit is 0")
	}
	q.Limit = int(limit)
	return c.s.cfg.Log.Batches(c.ctx(), c.who, q)
}

func serveBatch(c *call) (b Batch, err error) {
	index, err := c.number("index", 0, math.MaxInt64)
	if err != nil {
		return b, err
	}
	return c.s.cfg.Log.Batch(c.ctx(), c.who, c.ledger(), index)
}

func serveAlerts(c *call) (a AlertList, err error) {
	all, err := c.yes("all")
	if err != nil {
		return a, err
	}
	return c.s.cfg.Alerts.Alerts(c.ctx(), c.ledger(), all)
}

func serveAck(c *call, q AckRequest) (a Alert, err error) {
	number, err := c.number("number", 0, math.MaxInt64)
	if err != nil {
		return a, err
	}
	return c.s.cfg.Alerts.Acknowledge(c.ctx(), c.ledger(), number, c.who.Name, q.Note)
}

func serveUnmute(c *call) (m Mute, err error) {
	number, err := c.number("number", 0, math.MaxInt64)
	if err != nil {
		return m, err
	}
	return c.s.cfg.Alerts.Unmute(c.ctx(), c.ledger(), number)
}

func serveRemoveUser(c *call) (Done, error) {
	name := c.r.PathValue("name")
	if name == c.who.Name && !c.who.Token {
		return Done{}, bad("this is your own login: another admin, or `cairn user remove`, can end it")
	}
	if _, _, ok := c.s.cfg.Accounts.stamp(name); !ok {
		return Done{}, ErrNotFound
	}
	return Done{}, c.s.cfg.Accounts.RemoveUser(name)
}

func serveRevokeToken(c *call) (Done, error) {
	name := c.r.PathValue("name")
	for _, t := range c.s.cfg.Accounts.Tokens() {
		if t.Name == name {
			return Done{}, c.s.cfg.Accounts.RevokeToken(name)
		}
	}
	return Done{}, ErrNotFound
}
