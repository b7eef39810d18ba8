package ledger

import (
	"slices"
	"strings"
	"time"
)

// Limits of the statements about sharing.
const (
	MaxCompartment = 64  // bytes of a compartment's name
	MaxPurpose     = 256 // bytes of a grant's purpose
	MaxRecipients  = 32  // of a grant
	MaxCID         = 128 // bytes of a content identifier
)

// CompartmentSite is the compartment whose keys leave the site by no grant.
const CompartmentSite = "site"

// hourMillis is the length of an hour, a quarter hour.
const hourMillis = 15 * 60 * 1000

// Kinds of holders.
const (
	HolderEscrow   = "escrow"   // keeps shares of escrowed keys
	HolderMirror   = "mirror"   // keeps a copy of what is sealed
	HolderBackup   = "backup"   // keeps backups of the site's folder
	HolderAudience = "audience" // was granted keys
)

var (
	formParty        = form{"a text of 1 to 64 bytes without control characters", texted(ValidParty)}
	formParties      = form{"an array of such names, each once", each(0, MaxElements, ValidParty)}
	formPurpose      = form{"a text of at most 256 bytes", texted(func(s string) bool { return len(s) <= MaxPurpose })}
	formRecipient    = form{"a recipient in printable ASCII", texted(validRecipient)}
	formRecipients   = form{"an array of 1 to 32 recipients, each once", each(1, MaxRecipients, validRecipient)}
	formCompartments = form{"an array of compartments, each once", each(1, MaxElements, ValidCompartment)}
	formHour         = form{"the border of a quarter hour", func(v any) bool {
		n, ok := v.(int64)
		return ok && n >= 0 && n%hourMillis == 0
	}}
	formTrue   = form{"true", func(v any) bool { return v == any(true) }}
	formBytes  = form{"1 to 4096 bytes", func(v any) bool { b, ok := v.([]byte); return ok && len(b) > 0 }}
	formMonth  = form{"a year and month such as 2026-07", texted(validMonth)}
	formCID    = form{"a content identifier", texted(validCID)}
	formHolder = form{"escrow, mirror, backup or audience", texted(func(s string) bool {
		return s == HolderEscrow || s == HolderMirror || s == HolderBackup || s == HolderAudience
	})}
)

// each allows an array of so many texts, no two the same.
func each(least, most int, allowed func(string) bool) func(any) bool {
	return func(v any) bool {
		all, ok := v.([]any)
		seen := make(map[string]bool, len(all))
		for i := range all {
			s, is := all[i].(string)
			if !is || !allowed(s) || seen[s] {
				return false
			}
			seen[s] = true
		}
		return ok && len(all) >= least && len(all) <= most
	}
}

// ValidParty reports whether s can name an audience or a holder: 1 to 64 bytes
// of UTF-8 without control characters.
func ValidParty(s string) bool {
	return s != "" && len(s) <= MaxName && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// ValidCompartment reports whether s can name a compartment: 1 to 64 characters
// of printable ASCII without spaces.
func ValidCompartment(s string) bool { return len(s) <= MaxCompartment && validWordless(s) }

func validCID(s string) bool { return len(s) <= MaxCID && validWordless(s) }

func validWordless(s string) bool { return s != "" && printable(s) && !strings.Contains(s, " ") }

func validRecipient(s string) bool { return s != "" && len(s) <= MaxText && printable(s) }

func validMonth(s string) bool {
	_, err := time.Parse("2006-01", s)
	return err == nil && len(s) == len("2006-01")
}

// Grant says that an audience is given the keys of some compartments, for the
// hours of a span of time and no others.
type Grant struct {
	Number       uint64 // of its statement, by which it goes; not in the statement
	At           int64  // when it was made, Unix milliseconds: GrantFrom sets it to the statement's time
	Audience     string // ValidParty
	Purpose      string // at most MaxPurpose bytes
	Recipients   []string
	Compartments []string // names, not CompartmentSite
	From         int64    // Unix milliseconds
	Until        *int64   // keys of later hours are not given; nil: open-ended
	Access       *int64   // when what is sealed is served to them no longer; nil: open-ended
	Token        [32]byte // SHA-256 of the access token
	Mirror       bool     // they keep a copy for others

	Ended   *GrantEnd // by which it ended, if it did; Grants sets it
	Renewed int       // how often it was renewed; Grants counts
}

// Statement returns the statement by which g begins, made at this time.
func (g Grant) Statement(at int64) Statement {
	body := map[string]any{
		"audience": g.Audience, "purpose": g.Purpose, "recipients": texts(g.Recipients),
		"compartments": texts(g.Compartments), "from": g.From, "token": g.Token[:],
	}
	setOpen(body, "until", g.Until)
	setOpen(body, "access", g.Access)
	if g.Mirror {
		body["mirror"] = true
	}
	return Statement{KindGrant, at, body}
}

// GrantFrom returns what a grant statement says. Its number is for the caller
// to set.
func GrantFrom(s Statement) (g Grant, err error) {
	body, err := s.as(KindGrant)
	if err != nil {
		return Grant{}, err
	}
	g = Grant{At: s.At, Audience: body["audience"].(string), Purpose: body["purpose"].(string), From: body["from"].(int64),
		Until: openAt(body, "until"), Access: openAt(body, "access"), Mirror: body["mirror"] == any(true)}
	g.Recipients, _ = s.Texts("recipients")
	g.Compartments, _ = s.Texts("compartments")
	copy(g.Token[:], body["token"].([]byte))
	return g, nil
}

// Opens reports whether g names the compartment.
func (g Grant) Opens(compartment string) bool { return slices.Contains(g.Compartments, compartment) }

// Serves reports whether, at a time, what is sealed is still handed to g's
// audience.
func (g Grant) Serves(at int64) bool { return g.Access == nil || at < *g.Access }

// InForce reports whether, at a time, keys of the hour then running are given to
// g's audience.
func (g Grant) InForce(at int64) bool {
	return at >= g.From && (g.Until == nil || at < *g.Until) && g.Serves(at)
}

// GrantEnd says that no keys of hours from Until on are given by a grant.
type GrantEnd struct {
	Grant  uint64 // its number
	At     int64  // GrantEndFrom sets it to the statement's time
	Until  int64  // Unix milliseconds
	Access *int64 // as that of Grant; nil leaves what was said before
	Reason string // at most MaxReason bytes
}

// Statement returns the statement of e, made at this time.
func (e GrantEnd) Statement(at int64) Statement {
	body := map[string]any{"grant": int64(e.Grant), "until": e.Until, "reason": e.Reason}
	setOpen(body, "access", e.Access)
	return Statement{KindGrantEnd, at, body}
}

// GrantEndFrom returns what a grant-end statement says.
func GrantEndFrom(s Statement) (GrantEnd, error) {
	body, err := s.as(KindGrantEnd)
	if err != nil {
		return GrantEnd{}, err
	}
	return GrantEnd{Grant: uint64(body["grant"].(int64)), At: s.At, Until: body["until"].(int64),
		Access: openAt(body, "access"), Reason: body["reason"].(string)}, nil
}

// GrantRenew says until when a grant goes on that has not ended.
type GrantRenew struct {
	Grant      uint64   // its number
	Until      *int64   // as those of Grant, in place of what was said before
	Access     *int64   //
	Recipients []string // nil leaves those of before
}

// Statement returns the statement of r, made at this time.
func (r GrantRenew) Statement(at int64) Statement {
	body := map[string]any{"grant": int64(r.Grant)}
	setOpen(body, "until", r.Until)
	setOpen(body, "access", r.Access)
	if r.Recipients != nil {
		body["recipients"] = texts(r.Recipients)
	}
	return Statement{KindGrantRenew, at, body}
}

// GrantRenewFrom returns what a grant-renew statement says.
func GrantRenewFrom(s Statement) (GrantRenew, error) {
	body, err := s.as(KindGrantRenew)
	if err != nil {
		return GrantRenew{}, err
	}
	r := GrantRenew{Grant: uint64(body["grant"].(int64)), Until: openAt(body, "until"), Access: openAt(body, "access")}
	if body["recipients"] != nil {
		r.Recipients, _ = s.Texts("recipients")
	}
	return r, nil
}

func setOpen(body map[string]any, key string, at *int64) {
	if at != nil {
		body[key] = *at
	}
}

func openAt(body map[string]any, key string) *int64 {
	at, has := body[key].(int64)
	if !has {
		return nil
	}
	return &at
}

func texts(all []string) []any {
	v := make([]any, len(all))
	for i := range all {
		v[i] = all[i]
	}
	return v
}

func wholeGrant(body map[string]any) string {
	from := body["from"].(int64)
	for _, key := range []string{"until", "access"} {
		if at, has := body[key].(int64); has && at <= from {
			return "whose " + key + " is not after its from"
		}
	}
	if slices.Contains(body["compartments"].([]any), any(CompartmentSite)) {
		return "of the site's own keys"
	}
	return ""
}
