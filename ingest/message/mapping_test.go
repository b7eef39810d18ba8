package message

import (
	"errors"
	"strings"
	"testing"
)

// preset reads a message as the mappings of a preset do, one after the other.
func preset(name, topic, payload string) (Message, bool, error) {
	for _, m := range Preset(name) {
		if msg, ok, err := m.Read(topic, []byte(payload)); ok {
			return msg, true, err
		}
	}
	return Message{}, false, nil
}

// The payloads were written for this test after the vendors' documentation.
func TestPresets(t *testing.T) {
	for _, c := range []struct{ preset, topic, payload, want string }{
		{"opentrv", "OpenTRV/Local/80C1A29384B5D6E7", `{"ts":"2026-01-23T10:25:12Z","body":{"T|C":21.75,"H|%":87,"B|cV":254,"O":1,"b":"x"}}`,
			"80C1A29384B5D6E7 @1769163912000 T=21.75Cel H=87%RH B=2.54V O=1 b=x\n"},
		{"zigbee2mqtt", "zigbee2mqtt/Kühlraum 1", `{"temperature":-4.34,"humidity":44.72,"battery":97,"voltage":3015,"linkquality":112,"contact":false,"last_seen":"2026-01-23T10:25:12.796Z","update":{"state":"idle"}}`,
			"Kühlraum 1 temperature=-4.34Cel humidity=44.72%RH battery=97%EL voltage=3015 linkquality=112 contact=false\n"},
		{"zigbee2mqtt", "zigbee2mqtt/0x00158d0003030af1", `{"action":null,"color":{"x":0.1},"list":[1,{"a":2}],"occupancy":true}`, "0x00158d0003030af1 occupancy=true left 2\n"},
		{"tasmota", "tele/cold_room/SENSOR", `{"Time":"2026-01-23T11:25:12","DS18B20":{"Id":"01131ECF6AA1","Temperature":-4.1},"TempUnit":"C"}`,
			"cold_room DS18B20.Temperature=-4.1Cel\n"},
		{"tasmota", "tele/lab/SENSOR", `{"Time":"2026-01-23T11:25:12+01:00","SI7021":{"Temperature":70.2,"Humidity":41.3,"DewPoint":46.0},"BME280":{"Pressure":1013.2},"PressureUnit":"hPa","TempUnit":"F","Switch1":"ON"}`,
			"lab @1769163912000 SI7021.Temperature=70.2degF SI7021.Humidity=41.3%RH SI7021.DewPoint=46degF BME280.Pressure=1013.2hPa Switch1=ON\n"},
		{"shelly", "shellyplusht-b8d6/events/rpc", `{"src":"shellyplusht-b8d6","dst":"shellyplusht-b8d6/events","method":"NotifyFullStatus","params":{"ts":1769163912.62,"ble":{},"devicepower:0":{"id":0,"battery":{"V":5.43,"percent":86}},"humidity:0":{"id":0,"rh":42.2},"temperature:0":{"id":0,"tC":19.8,"tF":67.6}}}`,
			"shellyplusht-b8d6 @1769163912620 battery:0.V=5.43V battery:0=86%EL humidity:0=42.2%RH temperature:0=19.8Cel\n"},
		{"shelly", "plug/events/rpc", `{"src":"shellyplus1pm-a1","method":"NotifyStatus","params":{"ts":1769163912,"switch:0":{"id":0,"output":true,"apower":0,"aenergy":{"total":12.5,"by_minute":[0,0]},"temperature":{"tC":41.2}}}}`,
			"shellyplus1pm-a1 @1769163912000 switch:0=true power:0=0W energy:0=12.5Wh switch:0.temperature=41.2Cel\n"},
		{"shelly", "shellies/shellyht-1/sensor/temperature", `21.50`, "shellyht-1 temperature=21.5Cel\n"},
		{"shelly", "shellies/shellydw-1/sensor/state", `open`, "shellydw-1 state=open\n"},
	} {
		m, ok, err := preset(c.preset, c.topic, c.payload)
		if err != nil || !ok {
			t.Errorf("%s %s: %v, %v", c.preset, c.topic, ok, err)
			continue
		}
		if got := lines([]Message{m}); got != c.want {
			t.Errorf("%s:\n got %s want %s", c.preset, got, c.want)
		}
		checkAll(t, []Message{m})
	}
}

func TestNoReading(t *testing.T) {
	for _, c := range []struct{ preset, topic, payload string }{
		{"zigbee2mqtt", "zigbee2mqtt/bridge/state", `{"state":"online"}`},
		{"tasmota", "tele/lab/STATE", `{}`},
		{"shelly", "plug/events/rpc", `{"src":"x","method":"NotifyEvent","params":{}}`},
		{"opentrv", "OpenTRV/Local", `{}`},
	} {
		if m, ok, err := preset(c.preset, c.topic, c.payload); ok || err != nil {
			t.Errorf("%s: got %v, %v, %v; it is no reading", c.topic, m, ok, err)
		}
	}
}

func TestPayloadRefused(t *testing.T) {
	for _, c := range []struct {
		preset, topic, payload, says string
		kind                         error
	}{
		{"zigbee2mqtt", "zigbee2mqtt/x", `online`, "object", ErrFormat},
		{"zigbee2mqtt", "zigbee2mqtt/x", `{"a":1`, "end", ErrFormat},
		{"zigbee2mqtt", "zigbee2mqtt/x", `{"a":1}{}`, "follows", ErrFormat},
		{"zigbee2mqtt", "zigbee2mqtt/", `{"a":1}`, "which device", ErrFormat},
		{"zigbee2mqtt", "zigbee2mqtt/x", strings.Repeat(`{"a":`, 20), "within", ErrLimit},
		{"zigbee2mqtt", "zigbee2mqtt/x", `{"a":` + strings.Repeat("[", 20), "within", ErrLimit},
		{"shelly", "a/events/rpc", `{"method":"NotifyStatus","params":{}}`, "which device", ErrFormat},
		{"shelly", "shellies/a/sensor/temperature", strings.Repeat("x", 100), "value", ErrFormat},
	} {
		if _, ok, err := preset(c.preset, c.topic, c.payload); !ok || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %.30s: got %v, %v; want %v with %q", c.topic, c.payload, ok, err, c.kind, c.says)
		}
	}
}

func TestMappingCheck(t *testing.T) {
	for name, all := range presets {
		for _, m := range all {
			if err := m.Check(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, c := range []struct {
		m    Mapping
		says string
	}{
		{Mapping{}, "topic"},
		{Mapping{Topic: "a/b"}, "device"},
		{Mapping{Topic: "a/+/{device}"}, "level"},
		{Mapping{Topic: "{device}", Plain: true}, "{name}"},
		{Mapping{Topic: "{device}/{name}", Plain: true, Time: "t"}, "no members"},
		{Mapping{Topic: "{device}", Fields: []Field{{Path: "["}}}, "pattern"},
		{Mapping{Topic: "{device}", Fields: []Field{{Path: "*/*", Name: "a*"}}}, "one *"},
	} {
		if err := c.m.Check(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: got %v, want an error with %q", c.m, err, c.says)
		}
	}
	if m := (Mapping{Topic: "shellies/{device}/sensor/{name}"}); m.Filter() != "shellies/+/sensor/+" {
		t.Errorf("filter %q", m.Filter())
	}
	if got := strings.Join(Presets(), " "); got != "opentrv shelly tasmota zigbee2mqtt" {
		t.Errorf("presets %q", got)
	}
}

func FuzzMapping(f *testing.F) {
	f.Add("zigbee2mqtt/x", []byte(`{"temperature":-4.34,"a":{"b":[1,{"c":2}]}}`))
	f.Add("shellies/x/sensor/temperature", []byte("21.5"))
	f.Add("x/events/rpc", []byte(`{"src":"x","method":"NotifyStatus","params":{"ts":1,"temperature:0":{"tC":1}}}`))
	f.Add("OpenTRV/Local/x", []byte(`{"ts":"2026-01-23T10:25:12Z","body":{"T|C":21.75,"B|mV":1.5}}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		for _, name := range Presets() {
			m, ok, err := preset(name, topic, string(payload))
			if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) {
				t.Fatalf("an error of no kind: %v", err)
			}
			if ok && err == nil {
				checkAll(t, []Message{m})
			}
		}
	})
}
