//go:build linux || darwin || freebsd || openbsd || windows

package ingest

import (
	"io"

	"go.bug.st/serial"
)

// openSerial opens a device with 8 data bits, no parity, one stop bit and no
// flow control. Closing it ends a read.
func openSerial(path string, baud int) (io.ReadWriteCloser, error) {
	return serial.Open(path, &serial.Mode{
		BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit,
	})
}
