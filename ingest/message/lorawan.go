package message

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"cairn/ingest/reading"
)

// chirpStack is what is read of an uplink event of ChirpStack 4 (its
// integration.UplinkEvent in protobuf's JSON).
type chirpStack struct {
	DeduplicationID string `json:"deduplicationId"`
	DeviceInfo      struct {
		DevEUI string `json:"devEui"`
	} `json:"deviceInfo"`
	FCnt   uint32          `json:"fCnt"`
	Data   string          `json:"data"`
	Object json.RawMessage `json:"object"`
	RxInfo json.RawMessage `json:"rxInfo"`
}

// ChirpStack reads the uplink event that ChirpStack 4 posts to an HTTP integration.
// The address is the DevEUI, the measurements are the members of the object that the
// device profile's codec made, if it has one, and what the network tells of the link:
// fcnt, the frame counter, and rssi (dBm) and snr (dB) of the gateway that heard it
// loudest. The counter is a measurement and not the origin's: there each hole counts as
// a lost frame, and a LoRaWAN device counts frames too that carry nothing for us. What
// the codec calls so takes the name. The network server's time is not taken: it is not
// the device's own.
func ChirpStack(body []byte) (Message, error) {
	var up chirpStack
	if err := envelope(body, &up); err != nil {
		return Message{}, err
	}
	m := Message{ID: up.DeduplicationID}
	if err := m.uplink(up.DeviceInfo.DevEUI, "deviceInfo.devEui", up.Data, "data", up.Object, "object"); err != nil {
		return m, err
	}
	m.link(up.FCnt, up.RxInfo)
	return m, nil
}

// thingsStack is what is read of an uplink message of The Things Stack 3, which
// leaves out members that are zero, empty or false.
type thingsStack struct {
	EndDevice struct {
		DevEUI string `json:"dev_eui"`
	} `json:"end_device_ids"`
	Uplink *struct {
		SessionKeyID string          `json:"session_key_id"`
		FCnt         uint32          `json:"f_cnt"`
		Payload      string          `json:"frm_payload"`
		Decoded      json.RawMessage `json:"decoded_payload"`
		RxMetadata   json.RawMessage `json:"rx_metadata"`
	} `json:"uplink_message"`
}

// ThingsStack reads the uplink message that a webhook of The Things Stack 3 posts, as
// [ChirpStack] does. What is left out is 0. The message is named by
// its session and counter.
func ThingsStack(body []byte) (Message, error) {
	var up thingsStack
	if err := envelope(body, &up); err != nil {
		return Message{}, err
	}
	if up.Uplink == nil {
		return Message{}, fmt.Errorf("%w: no uplink_message: only uplink messages are readings", ErrFormat)
	}
	var m Message
	if up.Uplink.SessionKeyID != "" {
		m.ID = fmt.Sprintf("%s/%d", up.Uplink.SessionKeyID, up.Uplink.FCnt)
	}
	if err := m.uplink(up.EndDevice.DevEUI, "end_device_ids.dev_eui", up.Uplink.Payload, "uplink_message.frm_payload",
		up.Uplink.Decoded, "uplink_message.decoded_payload"); err != nil {
		return m, err
	}
	m.link(up.Uplink.FCnt, up.Uplink.RxMetadata)
	return m, nil
}

// reception is what one gateway tells of a frame. Both servers may leave out what is 0.
type reception struct {
	RSSI number
	SNR  number
}

func (r *reception) UnmarshalJSON(b []byte) (err error) {
	var told struct {
		RSSI json.Number `json:"rssi"`
		SNR  json.Number `json:"snr"`
	}
	told.RSSI, told.SNR = "0", "0"
	if err = json.Unmarshal(b, &told); err != nil {
		return err
	}
	if r.RSSI, err = parseNumber(told.RSSI.String()); err == nil {
		r.SNR, err = parseNumber(told.SNR.String())
	}
	return err
}

// link adds what the network tells of the link. What it tells wrongly costs nobody the
// reading.
func (m *Message) link(counter uint32, receptions json.RawMessage) {
	m.add("fcnt", "count", reading.Int(int64(counter)))
	var all []reception
	if len(receptions) == 0 || json.Unmarshal(receptions, &all) != nil {
		return
	}
	var best *reception
	for i := range all {
		// Who tells no strength has not heard it: 0 dBm is a transmitter at the antenna.
		if r := &all[i]; r.RSSI.m != 0 && (best == nil || best.RSSI.less(r.RSSI)) {
			best = r
		}
	}
	if best == nil {
		return
	}
	for _, x := range []struct {
		name, unit string
		n          number
	}{{"rssi", "dBm", best.RSSI}, {"snr", "dB", best.SNR}} {
		if v, err := x.n.value(); err == nil {
			m.add(x.name, x.unit, v)
		}
	}
}

// envelope reads a webhook's body.
func envelope(body []byte, to any) error {
	if len(body) > MaxBody {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(body), MaxBody)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// uplink fills in what both network servers tell; the names are those of members, for
// errors.
func (m *Message) uplink(eui, euiName, payload, payloadName string, object json.RawMessage, objectName string) error {
	m.Address = strings.ToLower(eui)
	if b, err := hex.DecodeString(m.Address); err != nil || len(b) != 8 {
		return fmt.Errorf("%w: %s: %.40q is no DevEUI of 16 hex digits", ErrFormat, euiName, eui)
	}
	if len(m.ID) > MaxAddress {
		return fmt.Errorf("%w: the message's ID has %d bytes", ErrFormat, len(m.ID))
	}
	var err error
	if m.Payload, err = base64.StdEncoding.DecodeString(payload); err != nil {
		return fmt.Errorf("%w: %s: not base64", ErrFormat, payloadName)
	}
	if len(object) == 0 || string(object) == "null" {
		return nil
	}
	all, err := flatten(object)
	if err != nil {
		return fmt.Errorf("%s: %w", objectName, err)
	}
	for i := range all {
		m.add(safeName(all[i].path), "", all[i].value)
	}
	return nil
}
