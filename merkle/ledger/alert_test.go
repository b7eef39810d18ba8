package ledger

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// TestAlerts folds an alert's way, and refuses what contradicts it.
func TestAlerts(t *testing.T) {
	warm := Alert{"warm", 2, 3, "", "T 9 Cel, above 8", []string{"chef", "phone"}}
	var x Alerts
	for n, s := range []Statement{
		3: warm.Statement(10),
		4: AlertSent{3, "chef", NewsRaised}.Statement(11),
		5: AlertMute{nil, []string{"a"}, 1, 2, "Ana", ""}.Statement(12),
		6: AlertAck{3, "Ana", "door shut"}.Statement(13),
		7: AlertClear{3, "T 5 Cel"}.Statement(14),
		8: AlertMuteEnd(5, 15),
		9: Outage{Gap: Gap{1, 2, "power"}}.Statement(16),
	} {
		if s.Kind == "" {
			continue
		}
		if err := x.Apply(uint64(n), again(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	want := &Raised{
		Alert: warm, Number: 3, At: 10, Sent: []Said[AlertSent]{{4, 11, AlertSent{3, "chef", NewsRaised}}},
		Acks: []Said[AlertAck]{{6, 13, AlertAck{3, "Ana", "door shut"}}}, Cleared: &Said[AlertClear]{7, 14, AlertClear{3, "T 5 Cel"}},
	}
	if got := x.Find(3); !reflect.DeepEqual(got, want) || len(x.All()) != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := want.Numbers(); !reflect.DeepEqual(got, []uint64{3, 4, 6, 7}) {
		t.Errorf("numbers %v", got)
	}
	if !want.Was("chef", NewsRaised) || want.Was("chef", NewsCleared) || want.Was("phone", NewsRaised) {
		t.Error("who was told what is wrong")
	}
	if m := x.Mutes(); len(m) != 1 || m[0].Number != 5 || m[0].Ended != 15 || m[0].Name != "Ana" {
		t.Errorf("maintenance %+v", m)
	}
	for name, s := range map[string]Statement{
		"cleared twice":     AlertClear{3, ""}.Statement(1),
		"ack of none":       AlertAck{4, "a", ""}.Statement(1),
		"sent of none":      AlertSent{2, "a", NewsRaised}.Statement(1),
		"no news":           AlertSent{3, "a", "x"}.Statement(1),
		"nobody knows":      AlertAck{3, "", ""}.Statement(1),
		"ended twice":       AlertMuteEnd(5, 1),
		"end of an alert":   AlertMuteEnd(3, 1),
		"backwards":         AlertMute{nil, nil, 2, 2, "a", ""}.Statement(1),
		"device, no stream": {KindAlert, 1, map[string]any{"rule": "a", "about": "", "what": "", "receivers": []any{}, "device-number": 1}},
		"device 0":          {KindAlert, 1, map[string]any{"rule": "a", "about": "", "what": "", "receivers": []any{}, "device-number": 0, "slot": 0}},
		"long":              Alert{Rule: "a", What: strings.Repeat("x", MaxPurpose+1)}.Statement(1),
	} {
		if err := x.Apply(20, s); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrItem) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(x.All()) != 1 || len(x.Find(3).Acks) != 1 {
		t.Error("what was refused changed something")
	}
	for _, kind := range []string{KindAlert, KindAlertSent, KindAlertAck, KindAlertClear, KindAlertMute, KindAlertMuteEnd} {
		if Public(kind) {
			t.Errorf("%s is public", kind)
		}
	}
}
