package ingest

import (
	"crypto/sha256"
	"strings"

	"cairn/ingest/frame"
	"cairn/ingest/message"
)

// MaxAddress is the longest address, in bytes.
const MaxAddress = message.MaxAddress

// AddressID is the ID under which a device is registered that senders call by an
// address: the address itself if it is 16 hexadecimal digits, with "0x" or not, as
// DevEUIs and the addresses of Zigbee are, else the first 8 bytes of
// SHA-256("cairn/address/1" ‖ address).
func AddressID(address string) frame.ID {
	if id, err := frame.ParseID(strings.TrimPrefix(strings.ToLower(address), "0x")); err == nil {
		return id
	}
	sum := sha256.Sum256([]byte("cairn/address/1" + address))
	return frame.ID(sum[:8])
}
