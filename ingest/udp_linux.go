package ingest

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// setReceiveBuffer asks for a buffer of size bytes and returns what the kernel
// gave. It doubles the size for its own bookkeeping, and says the doubled one.
func setReceiveBuffer(conn *net.UDPConn, size int) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var given int
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		// Without CAP_NET_ADMIN the first is refused, and the second is cut to
		// net.core.rmem_max.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
			if sockErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size); sockErr != nil {
				return
			}
		}
		given, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	if err != nil {
		return 0, err
	}
	return given, sockErr
}

// socketInode returns the number under which /proc/net/udp lists the socket.
func socketInode(conn *net.UDPConn) (uint64, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var stat unix.Stat_t
	var statErr error
	if err := raw.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &stat) }); err != nil || statErr != nil {
		return 0, false
	}
	return stat.Ino, true
}

// kernelDrops returns how many datagrams the kernel dropped at a socket.
func kernelDrops(inode uint64) (uint64, bool) {
	for _, path := range [...]string{"/proc/net/udp", "/proc/net/udp6"} {
		if n, ok := dropsIn(path, inode); ok {
			return n, true
		}
	}
	return 0, false
}

// dropsIn reads a table of the kernel, proc_net_udp(5): the tenth column is the
// inode, the last one the drops.
func dropsIn(path string, inode uint64) (uint64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	want := strconv.AppendUint(nil, inode, 10)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		columns := bytes.Fields(lines.Bytes())
		if len(columns) >= 13 && bytes.Equal(columns[9], want) {
			n, err := strconv.ParseUint(string(columns[len(columns)-1]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
