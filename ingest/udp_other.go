//go:build !linux

package ingest

import "net"

// setReceiveBuffer asks for a buffer of size bytes. What was given is not known.
func setReceiveBuffer(conn *net.UDPConn, size int) (int, error) {
	return 0, conn.SetReadBuffer(size)
}

// Only Linux tells what it dropped.
func socketInode(*net.UDPConn) (uint64, bool) { return 0, false }

func kernelDrops(uint64) (uint64, bool) { return 0, false }
