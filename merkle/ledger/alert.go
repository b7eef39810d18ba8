package ledger

import (
	"fmt"
	"slices"
)

// Alert says that a rule of the gateway was broken.
type Alert struct {
	Rule      string   // its name
	Device    uint32   // number; 0: it is about no device
	Slot      uint64   // of the device's stream; counts only with Device
	About     string   // what an event is about; of at most MaxReason bytes
	What      string   // in words, at most MaxPurpose bytes
	Receivers []string // who is to be told
}

// Statement returns the statement of a, made at this time.
func (a Alert) Statement(at int64) Statement {
	body := map[string]any{"rule": a.Rule, "about": a.About, "what": a.What, "receivers": texts(a.Receivers)}
	if a.Device != 0 {
		body["device-number"], body["slot"] = int64(a.Device), int64(a.Slot)
	}
	return Statement{KindAlert, at, body}
}

// AlertFrom returns what an alert statement says.
func AlertFrom(s Statement) (a Alert, err error) {
	body, err := s.as(KindAlert)
	if err != nil {
		return Alert{}, err
	}
	a = Alert{Rule: body["rule"].(string), About: body["about"].(string), What: body["what"].(string)}
	a.Receivers, _ = s.Texts("receivers")
	if n, is := body["device-number"]; is {
		a.Device, a.Slot = uint32(n.(int64)), uint64(body["slot"].(int64))
	}
	return a, nil
}

func wholeAlert(body map[string]any) string {
	n, device := body["device-number"]
	if _, slot := body["slot"]; device != slot || device && n.(int64) == 0 {
		return "with a device and no stream, or the other way round"
	}
	return ""
}

// What a notice of an alert tells.
const (
	NewsRaised       = "raised"
	NewsAcknowledged = "acknowledged"
	NewsCleared      = "cleared"
)

// AlertSent says that a receiver took a notice.
type AlertSent struct {
	Alert    uint64 // number of its statement
	Receiver string
	News     string // one of NewsRaised, NewsAcknowledged, NewsCleared
}

// Statement returns the statement of x, made at this time: when it was taken.
func (x AlertSent) Statement(at int64) Statement {
	return Statement{KindAlertSent, at, map[string]any{"alert": int64(x.Alert), "receiver": x.Receiver, "news": x.News}}
}

// AlertSentFrom returns what an alert-sent statement says.
func AlertSentFrom(s Statement) (AlertSent, error) {
	body, err := s.as(KindAlertSent)
	if err != nil {
		return AlertSent{}, err
	}
	return AlertSent{uint64(body["alert"].(int64)), body["receiver"].(string), body["news"].(string)}, nil
}

// AlertAck says that somebody knows of an alert.
type AlertAck struct {
	Alert uint64
	Name  string // who
	Note  string // at most MaxPurpose bytes
}

// Statement returns the statement of x, made at this time.
func (x AlertAck) Statement(at int64) Statement {
	return Statement{KindAlertAck, at, map[string]any{"alert": int64(x.Alert), "name": x.Name, "note": x.Note}}
}

// AlertAckFrom returns what an alert-ack statement says.
func AlertAckFrom(s Statement) (AlertAck, error) {
	body, err := s.as(KindAlertAck)
	if err != nil {
		return AlertAck{}, err
	}
	return AlertAck{uint64(body["alert"].(int64)), body["name"].(string), body["note"].(string)}, nil
}

// AlertClear says that an alert is over.
type AlertClear struct {
	Alert uint64
	What  string // in words, at most MaxPurpose bytes
}

// Statement returns the statement of x, made at this time.
func (x AlertClear) Statement(at int64) Statement {
	return Statement{KindAlertClear, at, map[string]any{"alert": int64(x.Alert), "what": x.What}}
}

// AlertClearFrom returns what an alert-clear statement says.
func AlertClearFrom(s Statement) (AlertClear, error) {
	body, err := s.as(KindAlertClear)
	if err != nil {
		return AlertClear{}, err
	}
	return AlertClear{uint64(body["alert"].(int64)), body["what"].(string)}, nil
}

// AlertMute announces maintenance: no alert of what it covers is raised meanwhile.
type AlertMute struct {
	Rules, Devices []string // globs of names; none: all
	From, Until    int64    // Unix milliseconds
	Name           string   // who says so
	Reason         string   // at most MaxPurpose bytes
}

// Statement returns the statement of x, made at this time.
func (x AlertMute) Statement(at int64) Statement {
	return Statement{KindAlertMute, at, map[string]any{
		"rules": texts(x.Rules), "devices": texts(x.Devices), "from": x.From, "until": x.Until, "name": x.Name, "reason": x.Reason,
	}}
}

// AlertMuteFrom returns what an alert-mute statement says.
func AlertMuteFrom(s Statement) (x AlertMute, err error) {
	body, err := s.as(KindAlertMute)
	if err != nil {
		return AlertMute{}, err
	}
	x = AlertMute{From: body["from"].(int64), Until: body["until"].(int64), Name: body["name"].(string), Reason: body["reason"].(string)}
	x.Rules, _ = s.Texts("rules")
	x.Devices, _ = s.Texts("devices")
	return x, nil
}

func wholeMute(body map[string]any) string {
	if body["from"].(int64) >= body["until"].(int64) {
		return "that ends before it begins"
	}
	return ""
}

// AlertMuteEndFrom returns the number of the alert-mute statement that an
// alert-mute-end statement ends.
func AlertMuteEndFrom(s Statement) (mute uint64, err error) {
	body, err := s.as(KindAlertMuteEnd)
	if err != nil {
		return 0, err
	}
	return uint64(body["mute"].(int64)), nil
}

// AlertMuteEnd returns the statement, made at this time, that maintenance is over.
func AlertMuteEnd(mute uint64, at int64) Statement {
	return Statement{KindAlertMuteEnd, at, map[string]any{"mute": int64(mute)}}
}

// Raised is an alert with all that the ledger says of it.
type Raised struct {
	Alert
	Number  uint64 // of its statement
	At      int64  // when it was raised, Unix milliseconds
	Sent    []Said[AlertSent]
	Acks    []Said[AlertAck]
	Cleared *Said[AlertClear] // nil: it is open
}

// Said is what a statement says, and when.
type Said[T any] struct {
	Number uint64 // of the statement
	At     int64
	Said   T
}

// Numbers are those of all statements about an alert, its own first.
func (r *Raised) Numbers() []uint64 {
	all := []uint64{r.Number}
	for _, s := range r.Sent {
		all = append(all, s.Number)
	}
	for _, s := range r.Acks {
		all = append(all, s.Number)
	}
	if r.Cleared != nil {
		all = append(all, r.Cleared.Number)
	}
	slices.Sort(all)
	return all
}

// Was reports whether a receiver has taken some news of an alert.
func (r *Raised) Was(receiver, news string) bool {
	return slices.ContainsFunc(r.Sent, func(s Said[AlertSent]) bool { return s.Said.Receiver == receiver && s.Said.News == news })
}

// Muted is maintenance as the ledger has it.
type Muted struct {
	AlertMute
	Number uint64
	Ended  int64 // when its end was recorded; 0: it was not
}

// Alerts is what a ledger's statements say about alerts. The zero value is that of a
// ledger without any. It is not safe for concurrent changes.
type Alerts struct {
	all   []*Raised // by number
	mutes []*Muted
}

// Apply takes the statement of that number in; statements are applied in their order.
// One of another kind changes nothing. An ErrInvalid is returned for one about an alert
// that is not there, or that was cleared twice; it changes nothing.
func (x *Alerts) Apply(number uint64, s Statement) (err error) {
	var about uint64
	switch s.Kind {
	case KindAlert:
		a, err := AlertFrom(s)
		if err == nil {
			x.all = append(x.all, &Raised{Alert: a, Number: number, At: s.At})
		}
		return err
	case KindAlertMute:
		m, err := AlertMuteFrom(s)
		if err == nil {
			x.mutes = append(x.mutes, &Muted{AlertMute: m, Number: number})
		}
		return err
	case KindAlertMuteEnd:
		about, err = AlertMuteEndFrom(s)
		i := slices.IndexFunc(x.mutes, func(m *Muted) bool { return m.Number == about && m.Ended == 0 })
		if err == nil && i < 0 {
			err = fmt.Errorf("statement %d: %w: the end of no maintenance", number, ErrInvalid)
		} else if err == nil {
			x.mutes[i].Ended = s.At
		}
		return err
	case KindAlertSent:
		sent, err := AlertSentFrom(s)
		return x.on(number, sent.Alert, err, func(r *Raised) bool {
			r.Sent = append(r.Sent, Said[AlertSent]{number, s.At, sent})
			return true
		})
	case KindAlertAck:
		ack, err := AlertAckFrom(s)
		return x.on(number, ack.Alert, err, func(r *Raised) bool {
			r.Acks = append(r.Acks, Said[AlertAck]{number, s.At, ack})
			return true
		})
	case KindAlertClear:
		over, err := AlertClearFrom(s)
		return x.on(number, over.Alert, err, func(r *Raised) bool {
			if r.Cleared != nil {
				return false
			}
			r.Cleared = &Said[AlertClear]{number, s.At, over}
			return true
		})
	}
	return nil
}

func (x *Alerts) on(number, alert uint64, err error, do func(*Raised) bool) error {
	if err != nil {
		return fmt.Errorf("statement %d: %w", number, err)
	}
	if r := x.Find(alert); r == nil || !do(r) {
		return fmt.Errorf("statement %d: %w: about alert %d, which is not there, or was cleared", number, ErrInvalid, alert)
	}
	return nil
}

// Find returns the alert of that number; nil: there is none.
func (x *Alerts) Find(number uint64) *Raised {
	i, ok := slices.BinarySearchFunc(x.all, number, func(r *Raised, n uint64) int {
		switch {
		case r.Number < n:
			return -1
		case r.Number > n:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return x.all[i]
}

// All returns the alerts by number, and Mutes the maintenance windows.
func (x *Alerts) All() []*Raised  { return x.all }
func (x *Alerts) Mutes() []*Muted { return x.mutes }
