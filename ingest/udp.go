package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

const (
	// DefaultUDPAddr is the port of OpenTRV servers, on this machine alone.
	DefaultUDPAddr = "127.0.0.1:9999"
	// DefaultReceiveBuffer is the size of the socket's buffer in bytes, as
	// asked for. The kernel may give less; see [UDP.Buffer].
	DefaultReceiveBuffer = 4 << 20
	// DefaultSourceRate and DefaultSourceBurst are datagrams of one address: a
	// relay forwards a building.
	DefaultSourceRate  = 200
	DefaultSourceBurst = 400
	// DefaultSourceTable is how many addresses are remembered.
	DefaultSourceTable = 4096

	dropInterval = 5 * time.Second
	errorPause   = 100 * time.Millisecond
	lastReads    = 50 * time.Millisecond
)

// UDPConfig is a UDP source's. Zero is the default.
type UDPConfig struct {
	Name          string // default "udp"
	Addr          string // default DefaultUDPAddr
	ReceiveBuffer int    // bytes
	// SourceRate is in datagrams a second of one sender's address (IPv6: of its
	// /64). Negative: no limit. SourceBurst defaults to twice SourceRate.
	SourceRate  float64
	SourceBurst float64
	SourceTable int
	Now         func() time.Time
}

func (c *UDPConfig) setDefaults() {
	if c.Name == "" {
		c.Name = "udp"
	}
	if c.Addr == "" {
		c.Addr = DefaultUDPAddr
	}
	if c.ReceiveBuffer <= 0 {
		c.ReceiveBuffer = DefaultReceiveBuffer
	}
	if c.SourceRate == 0 {
		c.SourceRate = DefaultSourceRate
	}
	if c.SourceBurst <= 0 {
		c.SourceBurst = 2 * c.SourceRate
	}
	if c.SourceTable <= 0 {
		c.SourceTable = DefaultSourceTable
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// UDP receives frames as relays forward them: one in each datagram, without its
// length byte. It never answers, whatever it is sent.
type UDP struct {
	cfg    UDPConfig
	conn   *net.UDPConn
	buffer int
	limit  *sourceLimiter
	drops  uint64 // of the kernel, as last read; by watch alone
}

// ListenUDP opens the socket. [UDP.Run] closes it.
func ListenUDP(cfg UDPConfig) (*UDP, error) {
	cfg.setDefaults()
	addr, err := net.ResolveUDPAddr("udp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for frames: %w", err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for frames: %w", err)
	}
	buffer, err := setReceiveBuffer(conn, cfg.ReceiveBuffer)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen for frames on %s: receive buffer: %w", conn.LocalAddr(), err)
	}
	return &UDP{
		cfg: cfg, conn: conn, buffer: buffer,
		limit: newSourceLimiter(cfg.SourceRate, cfg.SourceBurst, cfg.SourceTable),
	}, nil
}

// Name returns the source's name.
func (u *UDP) Name() string { return u.cfg.Name }

// Addr returns the address that it listens on.
func (u *UDP) Addr() netip.AddrPort { return u.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Buffer returns the size of the socket's buffer in bytes, as the kernel gave
// it; 0 if it does not say. Where it is smaller than asked for, raise
// net.core.rmem_max.
func (u *UDP) Buffer() int { return u.buffer }

// Close closes the socket of a source that is not run.
func (u *UDP) Close() error { return u.conn.Close() }

// Run receives until ctx ends, and closes the socket.
func (u *UDP) Run(ctx context.Context, sink Sink) error {
	watched := make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer close(watched)
		u.watch(watching, sink)
	}()
	// A deadline ends the read, once what had arrived is read; the socket stays
	// open until the last count of drops was read from it.
	wake := context.AfterFunc(ctx, func() { _ = u.conn.SetReadDeadline(time.Now().Add(lastReads)) })
	defer func() {
		wake()
		stop()
		<-watched
		u.conn.Close()
	}()
	return u.receive(ctx, sink)
}

func (u *UDP) receive(ctx context.Context, sink Sink) error {
	// One byte more than any frame, so that a longer datagram is seen to be one.
	var buf [frame.MaxWire]byte
	down := false
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf[:])
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("receive frames: %w", err)
		case err != nil:
			// Of the network, not of this socket: it passes.
			if !down {
				sink.Tell(EventDown, err.Error())
				down = true
			}
			pause(ctx, errorPause)
			continue
		}
		if down {
			sink.Tell(EventUp, "")
			down = false
		}
		if !u.limit.allow(from.Addr(), u.cfg.Now()) {
			sink.Drop(SourceLimit, 1)
			continue
		}
		sink.Offer(Packet{Form: FormDatagram, Data: buf[:n], Transport: reading.TransportUDP, From: from})
	}
}

// watch counts what the kernel dropped because the buffer was full.
func (u *UDP) watch(ctx context.Context, sink Sink) {
	inode, ok := socketInode(u.conn)
	if !ok {
		return
	}
	ticker := time.NewTicker(dropInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			u.countDrops(inode, sink)
		case <-ctx.Done():
			u.countDrops(inode, sink)
			return
		}
	}
}

func (u *UDP) countDrops(inode uint64, sink Sink) {
	drops, ok := kernelDrops(inode)
	if ok && drops > u.drops {
		sink.Drop(KernelDrop, drops-u.drops)
		u.drops = drops
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
