package ingest

import (
	"net/netip"
	"sync"
	"time"
)

// bucket is a token bucket; its zero value is full.
type bucket struct {
	used float64   // tokens missing
	last time.Time // when used was right
}

// take takes one token if there is one. rate is tokens per second.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	if since := now.Sub(b.last).Seconds(); since > 0 {
		b.used = max(0, b.used-since*rate)
		b.last = now
	}
	if b.used+1 > burst {
		return false
	}
	b.used++
	return true
}

// sourceLimiter gives each source address a bucket, and remembers the
// addresses that were heard last. One that was pushed out starts full again:
// whoever can forge addresses is bounded by the queue and the judges alone.
type sourceLimiter struct {
	rate, burst float64
	size        int

	mu    sync.Mutex
	place map[netip.Addr]int32
	nodes []limiterNode // a ring of the known addresses, newest at head; under mu
	head  int32
}

type limiterNode struct {
	addr       netip.Addr
	bucket     bucket
	prev, next int32
}

// newSourceLimiter remembers up to size addresses. With rate 0 it returns nil,
// which allows everything.
func newSourceLimiter(rate, burst float64, size int) *sourceLimiter {
	if rate <= 0 {
		return nil
	}
	return &sourceLimiter{rate: rate, burst: max(burst, 1), size: max(size, 1), place: make(map[netip.Addr]int32)}
}

// allow takes one token of addr's bucket. IPv6 hosts choose among 2^64
// addresses of their network, so those share a bucket.
func (l *sourceLimiter) allow(addr netip.Addr, now time.Time) bool {
	if l == nil {
		return true
	}
	addr = network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	n, known := l.place[addr]
	if !known {
		n = l.admit(addr)
	}
	l.front(n)
	return l.nodes[n].bucket.take(now, l.rate, l.burst)
}

// network is an address, or the first one of an IPv6 address's /64.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	return addr
}

// admit finds a node for a new address: a fresh one, or the one that was used
// least recently.
func (l *sourceLimiter) admit(addr netip.Addr) int32 {
	n := int32(len(l.nodes))
	if len(l.nodes) < l.size {
		l.nodes = append(l.nodes, limiterNode{prev: n, next: n})
		if n > 0 {
			l.link(n)
		}
	} else {
		n = l.nodes[l.head].prev
		delete(l.place, l.nodes[n].addr)
		l.nodes[n].bucket = bucket{}
	}
	l.nodes[n].addr = addr
	l.place[addr] = n
	return n
}

// front makes n the head of the ring.
func (l *sourceLimiter) front(n int32) {
	if n == l.head {
		return
	}
	p, x := l.nodes[n].prev, l.nodes[n].next
	l.nodes[p].next, l.nodes[x].prev = x, p
	l.link(n)
	l.head = n
}

// link puts n before the head.
func (l *sourceLimiter) link(n int32) {
	next, prev := l.head, l.nodes[l.head].prev
	l.nodes[n].next, l.nodes[n].prev = next, prev
	l.nodes[prev].next, l.nodes[next].prev = n, n
}
