package ledger

import (
	"fmt"
	"math"

	"cairn/merkle"
)

// Kinds of statements whose bodies this package knows.
const (
	KindGenesis      = "genesis"       // the ledger's first: see Genesis
	KindRoute        = "route"         // an Ethereum route: see Route
	KindRouteBitcoin = "route-bitcoin" // see RouteBitcoin
	KindRouteOTS     = "route-ots"     // see RouteOTS
	KindLogKey       = "log-key"       // another log key: see LogKey
	KindBind         = "bind"          // a stream begins: see Binding
	KindRotate       = "rotate"        // its device's key changes
	KindUnbind       = "unbind"        // it ends
	KindPlace        = "place"         // where its device is: see Placed
	KindCalibrate    = "calibrate"     // see Calibration
	KindAttach       = "attach"        // see Attachment
	KindReplace      = "replace"       // see Replacement
	KindRetire       = "retire"        // see Retirement
	KindGap          = "gap"           // see Outage
	KindClock        = "clock"         // see ClockStep
	KindReboot       = "reboot"        // see Reboot
	KindGrant        = "grant"         // an audience may see something: see Grant
	KindGrantEnd     = "grant-end"     // see GrantEnd
	KindGrantRenew   = "grant-renew"   // see GrantRenew
	KindGrantKey     = "grant-key"     // an audience's signature counts: see Holder
	KindGrantKeyEnd  = "grant-key-end" // see HolderEnd
	KindGrantConfirm = "grant-confirm" // a shred-confirm by an audience: see ShredConfirm
	KindShred        = "shred"         // keys are destroyed: see Shred
	KindShredConfirm = "shred-confirm" // by one who held copies: see ShredConfirm
	KindHolder       = "holder"        // see Holder
	KindHolderEnd    = "holder-end"    // see HolderEnd
	KindEscrow       = "escrow"        // see Escrow
	KindPublished    = "published"     // see Published
	KindDropped      = "dropped"       // see Dropped
	KindAlert        = "alert"         // a rule was broken: see Alert
	KindAlertSent    = "alert-sent"    // see AlertSent
	KindAlertAck     = "alert-ack"     // see AlertAck
	KindAlertClear   = "alert-clear"   // see AlertClear
	KindAlertMute    = "alert-mute"    // see AlertMute
	KindAlertMuteEnd = "alert-mute-end"
)

// Public reports whether statements of a kind are shown to whoever may read the
// ledger at all. The others name devices, places and audiences.
func Public(kind string) bool {
	switch kind {
	case KindGenesis, KindRoute, KindRouteBitcoin, KindRouteOTS, KindLogKey, KindGap, KindClock, KindShred,
		KindShredConfirm, KindHolder, KindHolderEnd, KindEscrow, KindPublished, KindDropped:
		return true
	}
	return false
}

// form is what a known body holds under one key.
type form struct {
	what string
	ok   func(v any) bool
}

var (
	formUint    = form{"an unsigned integer", below(math.MaxInt64)}
	formUint32  = form{"an unsigned integer of 32 bits", below(math.MaxUint32)}
	formCounter = form{"an unsigned integer of 48 bits", below(1<<48 - 1)}
	formBytes20 = form{"20 bytes", sized(20)}
	formBytes32 = form{"32 bytes", sized(32)}
	formDevice  = form{"16 lower case hexadecimal digits", func(v any) bool { _, ok := parseDevice(v); return ok }}
	formName    = form{"a text of at most 64 bytes", texted(func(s string) bool { return len(s) <= MaxName })}
	formReason  = form{"a text of at most 128 bytes", texted(func(s string) bool { return len(s) <= MaxReason })}
	formRoute   = form{"a route's name", texted(validRoute)}
	formRoutes  = form{"an array of at most 16 routes' names", routes}
	formBinding = form{"secure, opaque, text, vouched or late", texted(func(s string) bool {
		return s == BindSecure || s == BindOpaque || s == BindText || s == BindVouched || s == BindLate
	})}
	formBytes64 = form{"64 bytes", sized(64)}
	formNetwork = form{"a network's name", texted(validWord)}
	formScript  = form{"22 to 34 bytes", func(v any) bool {
		b, ok := v.([]byte)
		return ok && len(b) >= MinScript && len(b) <= MaxScript
	}}
	formNews      = form{"raised, acknowledged or cleared", texted(func(s string) bool { return s == NewsRaised || s == NewsAcknowledged || s == NewsCleared })}
	formOTS       = form{"ots", texted(func(s string) bool { return s == RouteNameOTS })}
	formCalendars = form{"an array of 1 to 16 URLs of at most 200 bytes, each once", calendars}
	formNeed      = form{"an integer from 1 to 16", func(v any) bool {
		n, ok := v.(int64)
		return ok && n >= 1 && n <= MaxCalendars
	}}
)

// bodies holds for each known kind the keys that its body has, all of them and
// no others but those of opens.
var bodies = map[string]map[string]form{
	KindGenesis: {"log-key": formBytes32, "nonce": formBytes32, "window": formUint, "routes": formRoutes},
	KindRoute: {"route": formRoute, "chain-id": formUint, "contract": formBytes20, "code-hash": formBytes32,
		"sender": formBytes20},
	KindRouteBitcoin: {"route": formRoute, "network": formNetwork, "script": formScript, "outpoint-tx": formBytes32,
		"outpoint-index": formUint32},
	KindRouteOTS: {"route": formOTS, "calendars": formCalendars, "need": formNeed},
	KindLogKey: {"old": formBytes32, "new": formBytes32, "old-signature": formBytes64,
		"new-signature": formBytes64},
	KindBind: {"device-number": formUint32, "device": formDevice, "name": formName, "slot": formUint,
		"epoch": formUint32, "kind": formBinding, "counter-floor": formCounter},
	KindRotate: {"device-number": formUint32, "device": formDevice, "epoch": formUint32, "slot": formUint,
		"counter-floor": formCounter},
	KindUnbind:    {"device-number": formUint32, "device": formDevice, "slot": formUint},
	KindPlace:     {"device-number": formUint32, "slot": formUint, "place": formPlace, "thing": formPlace},
	KindCalibrate: {"device-number": formUint32, "slot": formUint, "by": formParty, "calibrated": formUint},
	KindAttach:    {"device-number": formUint32, "slot": formUint, "what": formAttach, "name": formPlace, "digest": formBytes32},
	KindReplace:   {"device-number": formUint32, "slot": formUint, "old-number": formUint32, "old-slot": formUint},
	KindRetire:    {"device-number": formUint32, "slot": formUint, "reason": formReason},
	KindGap:       {"from": formUint, "to": formUint, "reason": formReason, "missed": formUint},
	KindClock:     {"was": formUint, "now": formUint, "reason": formReason},
	KindReboot: {"device-number": formUint32, "slot": formUint, "sequence": formUint, "restart-old": formUint,
		"restart-new": formUint},
	KindGrant: {"audience": formParty, "purpose": formPurpose, "recipients": formRecipients,
		"compartments": formCompartments, "from": formUint, "token": formBytes32},
	KindGrantEnd:     {"grant": formUint, "until": formUint, "reason": formReason},
	KindGrantRenew:   {"grant": formUint},
	KindGrantKey:     {"name": formParty, "key": formBytes32},
	KindGrantKeyEnd:  {"name": formParty},
	KindGrantConfirm: {"shred": formUint, "holder": formParty, "text": formBytes, "signature": formBytes64},
	KindShred:        {"compartments": formCompartments, "before": formHour, "holders": formParties, "reason": formReason},
	KindShredConfirm: {"shred": formUint, "holder": formParty, "text": formBytes, "signature": formBytes64},
	KindHolder:       {"name": formParty, "kind": formHolder, "key": formBytes32},
	KindHolderEnd:    {"name": formParty},
	KindEscrow: {"month": formMonth, "part": formUint32, "need": formUint32, "holders": formParties,
		"commitments": formBytes, "digest": formBytes32},
	KindPublished:    {"first": formUint, "next": formUint, "cid": formCID},
	KindDropped:      {"before": formHour, "compartments": formCompartments, "mirrors": formParties},
	KindAlert:        {"rule": formParty, "about": formReason, "what": formPurpose, "receivers": formParties},
	KindAlertSent:    {"alert": formUint, "receiver": formParty, "news": formNews},
	KindAlertAck:     {"alert": formUint, "name": formParty, "note": formPurpose},
	KindAlertClear:   {"alert": formUint, "what": formPurpose},
	KindAlertMute:    {"rules": formParties, "devices": formParties, "from": formUint, "until": formUint, "name": formParty, "reason": formPurpose},
	KindAlertMuteEnd: {"mute": formUint},
}

// opens holds for some of them the keys that may be left out.
var opens = map[string]map[string]form{
	KindCalibrate:  {"field": formPlace, "offset": formOffset, "certificate": formBytes32},
	KindGrant:      {"until": formUint, "access": formUint, "mirror": formTrue},
	KindGrantEnd:   {"access": formUint},
	KindGrantRenew: {"until": formUint, "access": formUint, "recipients": formRecipients},
	KindGrantKey:   {"recipient": formRecipient},
	KindHolder:     {"recipient": formRecipient},
	KindAlert:      {"device-number": formUint32, "slot": formUint},
}

// wholes holds for some of them a check of the body as a whole, which says what
// is wrong with it, or nothing.
var wholes = map[string]func(body map[string]any) string{
	KindRouteBitcoin: wholeRouteBitcoin,
	KindRouteOTS:     wholeRouteOTS,
	KindLogKey:       wholeLogKey,
	KindPlace:        wholePlace,
	KindCalibrate:    wholeCalibrate,
	KindGrant:        wholeGrant,
	KindEscrow:       wholeEscrow,
	KindPublished:    wholePublished,
	KindAlert:        wholeAlert,
	KindAlertMute:    wholeMute,
}

// checkBody checks a body of normal values against its kind. A kind that is
// not known may have any.
func checkBody(kind string, body map[string]any) error {
	forms, known := bodies[kind]
	if !known {
		return nil
	}
	for key, f := range forms {
		v, has := body[key]
		if !has {
			return invalid(fmt.Sprintf("a %s without %s", kind, key))
		}
		if !f.ok(v) {
			return invalid(fmt.Sprintf("a %s whose %s is not %s", kind, key, f.what))
		}
	}
	has := len(forms)
	for key, f := range opens[kind] {
		v, is := body[key]
		if is && !f.ok(v) {
			return invalid(fmt.Sprintf("a %s whose %s is not %s", kind, key, f.what))
		}
		if is {
			has++
		}
	}
	if len(body) != has {
		return invalid(fmt.Sprintf("a %s with keys that it does not have", kind))
	}
	if whole := wholes[kind]; whole != nil {
		if bad := whole(body); bad != "" {
			return invalid(fmt.Sprintf("a %s %s", kind, bad))
		}
	}
	return nil
}

func below(limit int64) func(any) bool {
	return func(v any) bool {
		n, ok := v.(int64)
		return ok && n >= 0 && n <= limit
	}
}

func sized(n int) func(any) bool {
	return func(v any) bool {
		b, ok := v.([]byte)
		return ok && len(b) == n
	}
}

func texted(allowed func(string) bool) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && allowed(s)
	}
}

func routes(v any) bool {
	all, ok := v.([]any)
	for i := range all {
		if s, is := all[i].(string); !is || !validRoute(s) {
			return false
		}
	}
	return ok && len(all) <= MaxRoutes
}

// as returns the body of s if it is a valid statement of the kind.
func (s Statement) as(kind string) (map[string]any, error) {
	if s.Kind != kind {
		return nil, fmt.Errorf("statement: %w: a %q, not a %s", ErrItem, s.Kind, kind)
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	plain := make(map[string]any, len(s.Body))
	for key, v := range s.Body {
		plain[key], _ = normal(v)
	}
	return plain, nil
}

// Genesis is the first statement of a ledger.
type Genesis struct {
	LogKey [32]byte // Ed25519 public key
	Nonce  [32]byte
	Window int64 // milliseconds
	Routes []string
}

// ID returns the id of the ledger that begins with g.
func (g Genesis) ID() merkle.Hash { return ID(g.LogKey[:], g.Nonce) }

// Statement returns the statement of g, made at this time.
func (g Genesis) Statement(at int64) Statement {
	all := make([]any, len(g.Routes))
	for i := range all {
		all[i] = g.Routes[i]
	}
	return Statement{KindGenesis, at, map[string]any{
		"log-key": g.LogKey[:], "nonce": g.Nonce[:], "window": g.Window, "routes": all,
	}}
}

// GenesisFrom returns what a genesis statement says.
func GenesisFrom(s Statement) (g Genesis, err error) {
	body, err := s.as(KindGenesis)
	if err != nil {
		return Genesis{}, err
	}
	copy(g.LogKey[:], body["log-key"].([]byte))
	copy(g.Nonce[:], body["nonce"].([]byte))
	g.Window = body["window"].(int64)
	g.Routes, _ = s.Texts("routes")
	return g, nil
}

// Route names what an Ethereum route anchors with.
type Route struct {
	Name     string // "ethereum:" and the chain id
	ChainID  uint64
	Contract [20]byte
	CodeHash [32]byte // Keccak-256 of the contract's code
	Sender   [20]byte
}

// Statement returns the statement of r, made at this time.
func (r Route) Statement(at int64) Statement {
	return Statement{KindRoute, at, map[string]any{
		"route": r.Name, "chain-id": int64(r.ChainID), "contract": r.Contract[:], "code-hash": r.CodeHash[:],
		"sender": r.Sender[:],
	}}
}

// RouteFrom returns what a route statement says.
func RouteFrom(s Statement) (r Route, err error) {
	body, err := s.as(KindRoute)
	if err != nil {
		return Route{}, err
	}
	r.Name, r.ChainID = body["route"].(string), uint64(body["chain-id"].(int64))
	copy(r.Contract[:], body["contract"].([]byte))
	copy(r.CodeHash[:], body["code-hash"].([]byte))
	copy(r.Sender[:], body["sender"].([]byte))
	return r, nil
}

// Outage is a span of time in which the gateway took no readings.
type Outage struct {
	Gap
	Missed uint64 // windows
}

// Statement returns the gap statement of o, made at this time.
func (o Outage) Statement(at int64) Statement {
	return Statement{KindGap, at, map[string]any{
		"from": o.From, "to": o.To, "reason": o.Reason, "missed": int64(o.Missed),
	}}
}

// OutageFrom returns what a gap statement says.
func OutageFrom(s Statement) (Outage, error) {
	body, err := s.as(KindGap)
	if err != nil {
		return Outage{}, err
	}
	return Outage{
		Gap:    Gap{From: body["from"].(int64), To: body["to"].(int64), Reason: body["reason"].(string)},
		Missed: uint64(body["missed"].(int64)),
	}, nil
}

// ClockStep is a jump of the gateway's clock.
type ClockStep struct {
	Was, Now int64 // Unix milliseconds
	Reason   string
}

// Statement returns the statement of c, made at this time.
func (c ClockStep) Statement(at int64) Statement {
	return Statement{KindClock, at, map[string]any{"was": c.Was, "now": c.Now, "reason": c.Reason}}
}

// ClockStepFrom returns what a clock statement says.
func ClockStepFrom(s Statement) (ClockStep, error) {
	body, err := s.as(KindClock)
	if err != nil {
		return ClockStep{}, err
	}
	return ClockStep{body["was"].(int64), body["now"].(int64), body["reason"].(string)}, nil
}

// Reboot is a restart of a device, which its counters show.
type Reboot struct {
	Number   uint32 // of the device
	Slot     uint64
	Sequence uint64 // of the first reading after it
	Old, New uint64 // the restart counter before and after
}

// Statement returns the statement of r, made at this time.
func (r Reboot) Statement(at int64) Statement {
	return Statement{KindReboot, at, map[string]any{
		"device-number": int64(r.Number), "slot": int64(r.Slot), "sequence": int64(r.Sequence),
		"restart-old": int64(r.Old), "restart-new": int64(r.New),
	}}
}

// RebootFrom returns what a reboot statement says.
func RebootFrom(s Statement) (Reboot, error) {
	body, err := s.as(KindReboot)
	if err != nil {
		return Reboot{}, err
	}
	n := func(key string) uint64 { return uint64(body[key].(int64)) }
	return Reboot{uint32(n("device-number")), n("slot"), n("sequence"), n("restart-old"), n("restart-new")}, nil
}
