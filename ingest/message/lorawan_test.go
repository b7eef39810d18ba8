package message

import (
	"errors"
	"strings"
	"testing"
)

// The bodies were written for this test after the documentation of both servers.
const (
	chirpStackUp = `{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2026-01-23T10:25:12.1+00:00",
 "deviceInfo":{"tenantName":"t","deviceName":"fridge","devEui":"0101010101010101","tags":{"k":"v"}},"devAddr":"00189440","adr":true,"dr":1,
 "fCnt":4,"fPort":1,"confirmed":false,"data":"AQL/","object":{"temperature":-4.125,"door":{"open":true},"list":[1]},"rxInfo":[{"rssi":-108,"snr":-9.8},{"gatewayId":"02","rssi":-48,"snr":9.25}]}`
	thingsStackUp = `{"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"00BCB929"},
 "correlation_ids":["as:up:01"],"received_at":"2026-01-23T10:25:12Z",
 "uplink_message":{"session_key_id":"AXA50aHUGUucuzZQsRQRoA==","f_port":1,"frm_payload":"AQL/","decoded_payload":{"temperature":0,"humidity":41.5},"rx_metadata":[{"location":{}},{"rssi":-35}]}}`
)

func TestLoRaWAN(t *testing.T) {
	m, err := ChirpStack([]byte(chirpStackUp))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lines([]Message{m}), "0101010101010101 temperature=-4.125 door.open=true fcnt=4count rssi=-48dBm snr=9.25dB left 1\n"; got != want {
		t.Errorf("ChirpStack: got %q, want %q", got, want)
	}
	if string(m.Payload) != "\x01\x02\xff" || m.ID != "3ac7e3c4-4401-4b8d-9386-a5c902f9202d" {
		t.Errorf("ChirpStack: %+v", m)
	}
	m, err = ThingsStack([]byte(thingsStackUp))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lines([]Message{m}), "0004a30b001c0530 temperature=0 humidity=41.5 fcnt=0count rssi=-35dBm snr=0dB\n"; got != want {
		t.Errorf("The Things Stack: got %q, want %q", got, want)
	}
	if string(m.Payload) != "\x01\x02\xff" || m.ID != "AXA50aHUGUucuzZQsRQRoA==/0" {
		t.Errorf("The Things Stack: %+v", m)
	}
}

// TestLink: what the network tells of the link wrongly, or not at all, or under a name
// that the codec has, leaves the reading as it is.
func TestLink(t *testing.T) {
	for rx, want := range map[string]string{
		`[{"rssi":-48}]`: "temperature=1 fcnt=4count rssi=-48dBm snr=0dB",
		`[{"rssi":-1.2e2,"snr":1},{"rssi":-99.5}]`: "temperature=1 fcnt=4count rssi=-99.5dBm snr=0dB",
		`[{"snr":7}]`:       "temperature=1 fcnt=4count",
		`[{"rssi":0}]`:      "temperature=1 fcnt=4count",
		`[]`:                "temperature=1 fcnt=4count",
		`null`:              "temperature=1 fcnt=4count",
		`{"rssi":-48}`:      "temperature=1 fcnt=4count",
		`[{"rssi":"loud"}]`: "temperature=1 fcnt=4count",
		`[{"rssi":-1e399}]`: "temperature=1 fcnt=4count snr=0dB",
	} {
		m, err := ChirpStack([]byte(`{"deviceInfo":{"devEui":"0101010101010101"},"fCnt":4,"object":{"temperature":1},"rxInfo":` + rx + `}`))
		if got := lines([]Message{m}); err != nil || got != "0101010101010101 "+want+"\n" {
			t.Errorf("%s: got %q, %v, want %q", rx, got, err, want)
		}
	}
	m, err := ChirpStack([]byte(`{"deviceInfo":{"devEui":"0101010101010101"},"object":{"rssi":"fine"},"rxInfo":[{"rssi":-48}]}`))
	if got, want := lines([]Message{m}), "0101010101010101 rssi=fine fcnt=0count snr=0dB left 1\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestLoRaWANRefused(t *testing.T) {
	for _, c := range []struct {
		read       func([]byte) (Message, error)
		body, says string
	}{
		{ChirpStack, `[]`, ""},
		{ChirpStack, `{"deviceInfo":{"devEui":"01"}}`, "deviceInfo.devEui"},
		{ChirpStack, strings.Replace(chirpStackUp, "AQL/", "AQL", 1), "data: not base64"},
		{ChirpStack, strings.Replace(chirpStackUp, `"fCnt":4`, `"fCnt":-4`, 1), "fCnt"},
		{ChirpStack, strings.Replace(chirpStackUp, `{"temperature"`, `[{"temperature"`, 1), ""},
		{ThingsStack, `{"end_device_ids":{"dev_eui":"0004A30B001C0530"},"join_accept":{}}`, "uplink_message"},
		{ThingsStack, strings.Replace(thingsStackUp, "0004A30B001C0530", "x", 1), "end_device_ids.dev_eui"},
	} {
		if _, err := c.read([]byte(c.body)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: got %v, want %v with %q", c.body, err, ErrFormat, c.says)
		}
	}
	if _, err := ChirpStack(make([]byte, MaxBody+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("too long: got %v, want %v", err, ErrLimit)
	}
}

func FuzzLoRaWAN(f *testing.F) {
	f.Add([]byte(chirpStackUp))
	f.Add([]byte(thingsStackUp))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, read := range []func([]byte) (Message, error){ChirpStack, ThingsStack} {
			m, err := read(body)
			if err == nil {
				checkAll(t, []Message{m})
			} else if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) {
				t.Fatalf("an error of no kind: %v", err)
			}
		}
	})
}
