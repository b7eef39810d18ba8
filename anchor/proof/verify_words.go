package proof

import (
	"fmt"
	"slices"
	"strings"

	"cairn/merkle/ledger"
)

const notIdentity = "IDENTITY: whose ledger this is, and whether it is anchored where its owner says. No policy was given, and anyone can make a ledger, a contract and an anchor of their own"

// notChecked lists in plain words what the verdict says nothing about.
func (c *checker) notChecked() {
	add := func(words string) { c.v.NotChecked = append(c.v.NotChecked, words) }
	p := c.o.Policy
	if p == nil {
		add(notIdentity)
	}
	if c.isUpdate() {
		c.updateNotChecked(add)
		return
	}
	for _, at := range c.v.Clock {
		add("the gateway's clock: it ran " + at.text())
	}
	if len(c.receipts) != 0 && (p == nil || p.Late == 0) {
		words := "lateness: no policy sets how long after a window's end its anchor may come"
		if c.delay > 0 {
			words += fmt.Sprintf("; it came up to %v after", duration(c.delay))
		}
		add(words)
	}
	for i := range c.v.Readings {
		if b := c.v.Readings[i].NotBefore; b != nil && !b.Confirmed {
			add(fmt.Sprintf("the block seen when the window opened (%s block %d): it is named by the ledger, not confirmed", b.Route, b.Block))
			break
		}
	}
	if c.v.NotBefore != nil {
		add("when a reading was made: \"not before\" says that its batch was closed after that block, no more")
	}
	add("times inside the readings: received is the gateway's clock, measured the device's")
	add("readings dropped before they were numbered: nobody can see those")
	for i := range c.v.Readings {
		if !c.v.Readings[i].Whole {
			add("fields that are not shown: one of the same name may say otherwise. A ledger can hide such in a record tree; only a reading shown with all its fields tells which are its own")
			break
		}
	}
	c.othersNotChecked(add)
	for i := range c.v.Readings {
		if c.v.Readings[i].BoundAs != "" {
			add("whether a binding still held: what the ledger stated later is only known where it is shown")
			break
		}
	}
	if len(c.installed) != 0 {
		add("where a device was, and what was recorded of its installation: that is the ledger's word, and what it stated later is only known where it is shown")
	}
	if slices.ContainsFunc(c.v.Attached, func(a AttachedVerdict) bool { return len(a.Names) != 0 }) {
		add("what an attached file shows, and who made it: the ledger names its SHA-256, and no more")
	}
	if len(c.v.Alerts) != 0 {
		add("what else the ledger says of an alert, and of others: only statements that are shown are known, at the times of the gateway's clock. That a receiver took a notice is the gateway's word")
	}
	c.vouchesNotChecked(add)
	c.chainsNotChecked(add)
	if c.shared != "" {
		add(c.shared)
	}
	if len(c.receipts) != 0 {
		add("that what was anchored extends those that were anchored before it: the chain orders roots, and compares none")
	}
	add(c.secondHistory())
	if words := c.cosignedNotChecked(); words != "" {
		add(words)
	}
	add("whether the ledger's log key or places of anchors were replaced: that is only known where its statement is shown")
	if !c.oneHistory() {
		add("that the file's heads extend one another")
	}
	if slices.ContainsFunc(c.v.Readings, func(r ReadingVerdict) bool { return r.vouched }) {
		add("what a device said whose readings are vouched: a sender that the gateway knew told it, and nothing of the device's own shows it")
	}
	if slices.ContainsFunc(c.v.Readings, func(r ReadingVerdict) bool { return r.Late }) {
		add("what came late: that it was like that when it came is all that is proven. When it was measured, and that nobody changed it before, is the word of a file, such as a logger's")
	}
	add("who made a frame: a key that a building's devices share authenticates it, and cannot prove it to others (no non-repudiation)")
	for i := range c.v.Anchors {
		if a := &c.v.Anchors[i]; a.Contract != "" && (!a.Stored || !a.Logged) {
			add("one half of a receipt: it shows the contract's storage or the transaction's log, not both")
			break
		}
	}
}

// othersNotChecked says of what else there may be what is not known.
func (c *checker) othersNotChecked(add func(string)) {
	if len(c.f.Readings) != 0 {
		add("completeness: that a stream has no other readings than those shown here one by one")
	}
	if len(c.f.Ranges) == 0 {
		return
	}
	add("other streams: whether a device has one that is not shown here, in this ledger or another, only its owner knows")
	for i := range c.v.Ranges {
		if c.v.Ranges[i].NumberedBy == ByGateway {
			add("what a device sent and the gateway did not receive: only the device's own counters, unbroken in every reading, would tell")
			break
		}
	}
	for i := range c.v.Ranges {
		if slices.ContainsFunc(c.v.Ranges[i].Gaps, func(g GapVerdict) bool { return g.Declared }) {
			add("whether a declared gap was as it says, and was declared when it was: that is the ledger's word, as old as the batch that shows it")
			break
		}
	}
}

// chainsNotChecked lists what is not known of the chains, each thing once.
func (c *checker) chainsNotChecked(add func(string)) {
	told := make(map[string]bool)
	once := func(key, words string) {
		if !told[key] {
			told[key] = true
			add(words)
		}
	}
	for i := range c.v.Anchors {
		a := &c.v.Anchors[i]
		counts := a.InPolicy || !c.v.Identity
		if a.Trusted {
			route := a.Route
			if a.Network != "" {
				route = bitcoinRoute(a.Network)
			}
			once("final", fmt.Sprintf("that block %d of %s is on that chain and final: it is trusted because %s", a.Block, route, a.How))
		}
		if a.Contract != "" && counts && !a.Registry {
			once("code", "what the contract does: an anchor's is not the registry that this program knows, so a head may have changed without a log")
		}
		if a.Trusted && a.Network != "" {
			once("time", "that Bitcoin's miners set their clocks: by the rules a block's time is two hours ahead at most, but that it is no more behind is just what most of them do")
		}
		if a.TxID != "" && counts {
			once("payer", "who made a Bitcoin anchor: anyone can pay to a script, so it proves a time and no sender; that there is no second line of anchors, only the transactions before it would show")
		}
		if a.Route == ledger.RouteNameOTS && counts {
			once("stamp", "who had a root stamped: calendars take any from anyone, so it proves a time, and nothing of a second history")
		}
		if a.Network != "" && a.Network != BitcoinMainnet {
			once("work "+a.Network, fmt.Sprintf("work: that of %s's blocks is worth nothing, on mainnet alone it keeps others from making such", bitcoinRoute(a.Network)))
		}
		if a.Network == BitcoinSignet {
			once("signet", "the signatures in bitcoin:signet's blocks, which are what makes them its own")
		}
		if len(a.Pending) != 0 {
			once("promise", "what a calendar promises ("+strings.Join(a.Pending, ", ")+"): its word proves nothing")
		}
	}
}
