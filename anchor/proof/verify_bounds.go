package proof

import (
	"cmp"
	"slices"
	"time"

	"cairn/merkle/ledger"
)

// maxSeenAsked bounds how many blocks that headers only name are asked about:
// each may cost a question over the network.
const maxSeenAsked = 16

type seenBlock struct {
	route  string
	height uint64
	hash   [32]byte
}

// seenBlocks remembers the answers about blocks that headers name: the time of
// those that are trusted.
type seenBlocks map[seenBlock]*int64

// notAfter returns the bound of a trusted block: the latest that it may be of.
func (c *checker) notAfter(b *anchorBlock) *Bound {
	return &Bound{
		Time: timeText(b.latest()), Route: b.route, Block: b.height,
		Hash: blockHash(b.route, b.hash), Slack: slackText(b.slack), Confirmed: true, ms: b.latest(),
	}
}

func slackText(ms int64) string {
	if ms == 0 {
		return ""
	}
	return duration(ms).String()
}

// seenChain returns the chain whose block a header names as seen on a route.
// What calendars see is a block of their Bitcoin network: that of the policy's
// or the file's own calendars, else mainnet.
func (c *checker) seenChain(route string) string {
	if route != ledger.RouteNameOTS {
		return route
	}
	if c.o.Policy != nil {
		for _, r := range c.o.Policy.Routes {
			if at, ok := r.Place.(OTSRoute); ok {
				return bitcoinRoute(at.Network)
			}
		}
	}
	for i := range c.receipts {
		if at, ok := c.receipts[i].place.(OTSRoute); ok {
			return bitcoinRoute(at.Network)
		}
	}
	return bitcoinRoute(BitcoinMainnet)
}

// notBefore returns the bound that a batch's header gives by naming a block: of
// several the latest, one that is confirmed before all others. It is confirmed
// if that block is trusted with this time. A block that is not before the
// anchor's own bounds nothing: the chain was rewritten in between, or the
// ledger made the block up.
func (c *checker) notBefore(batch int, best *anchorBlock) (b *Bound) {
	for _, s := range c.batches[batch].header.Seen {
		s.Route = c.seenChain(s.Route)
		earliest := s.Time - slackOf(s.Route)
		if best != nil && best.known && (earliest > best.latest() || s.Route == best.route && s.Height >= best.height) {
			continue
		}
		t := c.seenTime(seenBlock{s.Route, s.Height, s.Hash})
		confirmed := t != nil && *t == s.Time
		if b == nil || confirmed && !b.Confirmed || confirmed == b.Confirmed && earliest > b.ms {
			b = &Bound{
				Time: timeText(earliest), Route: s.Route, Block: s.Height, Hash: blockHash(s.Route, s.Hash),
				Slack: slackText(slackOf(s.Route)), Confirmed: confirmed, ms: earliest,
			}
		}
	}
	return b
}

// seenTime returns the time of a block if it is trusted and its time known.
func (c *checker) seenTime(b seenBlock) *int64 {
	if t, ok := c.seen[b]; ok {
		return t
	}
	timer, ok := c.o.Trust.(BlockTimer)
	if !ok || !isBitcoin(b.route) && !isEthereum(b.route) || len(c.seen) == maxSeenAsked {
		return nil
	}
	if c.seen == nil {
		c.seen = make(seenBlocks)
	}
	c.seen[b] = nil
	if _, ok, err := trusted(c.o.Trust, b.route, b.height, b.hash, c.seenDepth(b.route)); ok && err == nil {
		if t, ok := timer.BlockTime(b.route, b.hash); ok {
			c.seen[b] = &t
		}
	}
	return c.seen[b]
}

// seenDepth returns how deep a block of a Bitcoin network must be that a header
// names: as deep as the policy's anchors there, where it has any.
func (c *checker) seenDepth(route string) (depth uint64) {
	if p := c.o.Policy; p != nil {
		for _, r := range p.Routes {
			switch at := r.Place.(type) {
			case BitcoinRoute:
				if bitcoinRoute(at.Network) == route {
					depth = max(depth, depthOf(at.Depth))
				}
			case OTSRoute:
				if bitcoinRoute(at.Network) == route {
					depth = max(depth, depthOf(at.Depth))
				}
			}
		}
	}
	return depthOf(depth)
}

// bounds sets the file's bounds from those of the batches that it shows
// readings of: the widest.
func (c *checker) bounds(shown []*batchAnchor) {
	if len(shown) == 0 {
		return
	}
	first, last := shown[0].notBefore, shown[0].notAfter
	for _, r := range shown {
		if first != nil && (r.notBefore == nil || r.notBefore.ms < first.ms) {
			first = r.notBefore
		}
		if last != nil && (r.notAfter == nil || r.notAfter.ms > last.ms) {
			last = r.notAfter
		}
	}
	c.v.NotBefore, c.v.NotAfter = first, last
}

// clock is how wrong the gateway's clock was, at least, by the times of one
// chain's blocks. Milliseconds, of all windows the most.
type clock struct {
	ahead, behind int64
	claimed       bool // behind rests on a block that only the ledger names
}

// readClock compares a window with the blocks that it must lie after and
// before: it opened when the block that its header names was there already, and
// had ended before it was anchored.
func (c *checker) readClock(batch int, routes []standing) {
	h := &c.batches[batch].header
	for i := range routes {
		if b := routes[i].block; routes[i].level >= LevelLate && h.To > b.latest() {
			at := c.clockOf(b.route)
			at.ahead = max(at.ahead, h.To-b.latest())
		}
	}
	for _, s := range h.Seen {
		s.Route = c.seenChain(s.Route)
		behind := s.Time - slackOf(s.Route) - h.From
		if behind <= 0 || !isBitcoin(s.Route) && !isEthereum(s.Route) {
			continue
		}
		t := c.seenTime(seenBlock{s.Route, s.Height, s.Hash})
		claimed := t == nil || *t != s.Time
		at := c.clockOf(s.Route)
		switch {
		case at.behind == 0 || at.claimed && !claimed:
			at.behind, at.claimed = behind, claimed
		case at.claimed == claimed:
			at.behind = max(at.behind, behind)
		}
	}
}

func (c *checker) clockOf(route string) *clock {
	if c.clocks == nil {
		c.clocks = make(map[string]*clock)
	}
	if c.clocks[route] == nil {
		c.clocks[route] = new(clock)
	}
	return c.clocks[route]
}

// maxClocks bounds how many chains' clocks are told of.
const maxClocks = 16

// clockVerdicts tells of each chain whose blocks contradict the gateway's
// clock.
func (c *checker) clockVerdicts() {
	for route, at := range c.clocks {
		v := ClockVerdict{Route: route, Confirmed: !at.claimed}
		if at.ahead > 0 {
			v.Ahead = duration(at.ahead).String()
		}
		if at.behind > 0 {
			v.Behind = duration(at.behind).String()
		}
		c.v.Clock = append(c.v.Clock, v)
	}
	slices.SortFunc(c.v.Clock, func(a, b ClockVerdict) int { return cmp.Compare(a.Route, b.Route) })
	c.v.Clock = c.v.Clock[:min(len(c.v.Clock), maxClocks)]
}

// duration returns ms as a Duration, at most some hundred years.
func duration(ms int64) time.Duration {
	const most = 1 << 43
	return time.Duration(min(max(ms, -most), most)) * time.Millisecond
}
