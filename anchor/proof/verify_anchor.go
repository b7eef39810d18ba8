package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxSeenAsked bounds how many blocks that headers only name are asked about:
// each may cost a question over the network.
const maxSeenAsked = 16

// maxHows bounds how many ways of trust are told of.
const maxHows = 8

// receiptState is a receipt whose own proofs hold.
type receiptState struct {
	head    int
	data    EthereumReceipt
	facts   EthereumFacts
	counts  bool // its place is one of the policy's, or there is no policy
	trusted bool // its block is final, says somebody trusted
	how     string
	err     error // that could not be asked
}

type seenBlock struct {
	route  string
	height uint64
	hash   [32]byte
}

// seenBlocks remembers the answers about blocks that headers name: the time of
// those that are trusted.
type seenBlocks map[seenBlock]*int64

// Step 10: each receipt is of its head's root and this ledger, and its proofs
// lead from there to the header that it holds.
func (c *checker) receiptProofs() (string, *fault) {
	for i := range c.f.Receipts {
		r := &c.f.Receipts[i]
		s, bad := c.receipt(r)
		if bad != nil {
			return "", &fault{bad.code, fmt.Errorf("receipt %d: %w", i, bad.err)}
		}
		c.receipts = append(c.receipts, s)
	}
	if len(c.receipts) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s with account, storage or log proof up to a block header", count(len(c.receipts), "receipt")), nil
}

func (c *checker) receipt(r *Receipt) (s receiptState, _ *fault) {
	if r.Kind != KindEthereum {
		return s, faultf(CodeReceiptKind, "kind %.40q is not known; a newer program may know it", r.Kind)
	}
	e, err := ParseEthereumReceipt(r.Data)
	if err != nil {
		return s, &fault{CodeReceipt, err}
	}
	head := &c.heads[r.Head]
	switch {
	case r.Route != ethereumRoute(e.ChainID):
		return s, faultf(CodeReceiptRoute, "route %.80q, its chain id is %d", r.Route, e.ChainID)
	case e.Root != head.Root:
		return s, faultf(CodeReceiptRoot, "root %x, the head's is %v", e.Root, head.Root)
	case e.Ledger != c.id:
		return s, faultf(CodeReceiptLog, "ledger %x, this one is %v", e.Ledger, c.id)
	}
	facts, err := VerifyEthereum(e)
	if err != nil {
		return s, &fault{ethereumCode(err), err}
	}
	p := c.o.Policy
	return receiptState{head: r.Head, data: e, facts: facts, counts: p == nil || p.counts(&e, facts.CodeHash)}, nil
}

// counts reports whether an anchor at this place is the ledger's own.
func (p *Policy) counts(r *EthereumReceipt, code [32]byte) bool {
	at := EthereumRoute{ChainID: r.ChainID, Contract: r.Contract, Code: code, Sender: r.Sender}
	for _, have := range p.Routes {
		if have.Place.same(at) {
			return true
		}
	}
	return false
}

func ethereumCode(err error) Code {
	switch {
	case errors.Is(err, ErrEthereumAccount):
		return CodeAccount
	case errors.Is(err, ErrEthereumStorage), errors.Is(err, ErrEthereumHead):
		return CodeStorage
	case errors.Is(err, ErrEthereumReceipt), errors.Is(err, ErrEthereumReverted), errors.Is(err, ErrEthereumLog):
		return CodeEvent
	}
	return CodeReceipt
}

// Step 11: which of the receipts' blocks are final, by the word of whoever the
// verifier trusts. Receipts that do not count are not worth a question.
func (c *checker) blocks() (string, *fault) {
	trusted, asked := 0, make(map[seenBlock]*receiptState)
	var hows []string
	for i := range c.receipts {
		s := &c.receipts[i]
		if s.counts && c.o.Trust != nil {
			at := seenBlock{ethereumRoute(s.data.ChainID), s.facts.Number, s.facts.BlockHash}
			if before := asked[at]; before != nil {
				s.how, s.trusted, s.err = before.how, before.trusted, before.err
			} else {
				s.how, s.trusted, s.err = c.o.Trust.Trusted(ethereumRoute(s.data.ChainID), s.facts.Number, s.facts.BlockHash)
				s.trusted = s.trusted && s.err == nil
				asked[at] = s
				if s.trusted {
					trusted++
				}
			}
		}
		c.v.Anchors = append(c.v.Anchors, c.describeAnchor(s))
		if s.trusted && !slices.Contains(hows, s.how) && len(hows) < maxHows {
			hows = append(hows, s.how)
		}
	}
	if trusted == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s trusted: %s", count(trusted, "block"), strings.Join(hows, "; ")), nil
}

func (c *checker) describeAnchor(s *receiptState) AnchorVerdict {
	head := &c.heads[s.head]
	v := AnchorVerdict{
		Route: ethereumRoute(s.data.ChainID), Block: s.facts.Number, Hash: hex0x(s.facts.BlockHash[:]), Time: timeText(s.facts.Time),
		Contract: hex0x(s.data.Contract[:]), Code: hex0x(s.facts.CodeHash[:]), Sender: hex0x(s.data.Sender[:]),
		Size: head.Size, Root: head.Root.String(), InPolicy: c.o.Policy != nil && s.counts, Trusted: s.trusted,
		Registry: s.facts.CodeHash == RegistryCode,
		Stored:   s.facts.Stored, Logged: s.facts.Logged, Index: s.facts.LogIndex, TxIndex: s.data.TxIndex,
	}
	if s.trusted {
		v.How = s.how
	}
	return v
}

func hex0x(b []byte) string { return fmt.Sprintf("0x%x", b) }

// Step 12: each reading's level is the best that one of its batch's heads has,
// each statement's that of the batch which shows it; the file's is the least.
func (c *checker) levels() (string, *fault) {
	heads := c.byHead()
	anchors := make([]*batchAnchor, len(c.f.Batches))
	c.v.Level = LevelAnchored
	for i := range c.v.Readings {
		a := c.anchorOf(anchors, heads, c.f.Summaries[c.f.Readings[i].Summary].Batch)
		v := &c.v.Readings[i]
		v.Level, v.NotBefore, v.NotAfter = a.level, a.notBefore, a.notAfter
	}
	for i := range c.v.Statements {
		c.v.Statements[i].Level = c.anchorOf(anchors, heads, c.f.Statements[i].Batch).level
	}
	c.bounds()
	if c.v.Level < LevelLate || c.v.NotAfter == nil {
		return "", nil
	}
	return "not later than " + c.v.NotAfter.Time + c.lateness(), nil
}

// batchAnchor is what a batch's anchors give to all that it shows.
type batchAnchor struct {
	level               Level
	notBefore, notAfter *Bound
}

// anchorOf returns a batch's, found once, and lowers the file's level to it.
func (c *checker) anchorOf(known []*batchAnchor, heads []headReceipts, batch int) *batchAnchor {
	if known[batch] != nil {
		return known[batch]
	}
	level, code, best := c.levelOf(batch, heads)
	a := &batchAnchor{level: level, notBefore: c.notBefore(batch, best)}
	if level >= LevelLate {
		a.notAfter = &Bound{
			Time: timeText(best.facts.Time), Route: ethereumRoute(best.data.ChainID), Block: best.facts.Number,
			Hash: hex0x(best.facts.BlockHash[:]), Confirmed: true, ms: best.facts.Time,
		}
		after := best.facts.Time - c.batches[batch].header.To
		c.ahead, c.delay = max(c.ahead, -after), max(c.delay, after)
	}
	if level < c.v.Level {
		c.v.Level = level
		c.explain(code, batch, best)
	}
	known[batch] = a
	return a
}

// headReceipts are the receipts of one head that can decide: the earliest that
// is trusted, the one to tell of if none is, and whether one does not count.
type headReceipts struct {
	trusted, pending *receiptState
	elsewhere        bool
}

func (h *headReceipts) add(s *receiptState) {
	switch {
	case s == nil:
	case !s.counts:
		h.elsewhere = true
	case s.trusted:
		if h.trusted == nil || s.facts.Time < h.trusted.facts.Time {
			h.trusted = s
		}
	// What could not be asked might have been trusted: that is told first.
	case h.pending == nil, s.err != nil && h.pending.err == nil,
		(s.err != nil) == (h.pending.err != nil) && s.facts.Time < h.pending.facts.Time:
		h.pending = s
	}
}

func (c *checker) byHead() []headReceipts {
	heads := make([]headReceipts, len(c.f.Heads))
	for i := range c.receipts {
		heads[c.receipts[i].head].add(&c.receipts[i])
	}
	return heads
}

func (c *checker) lateness() string {
	if p := c.o.Policy; p != nil && p.Late != 0 {
		if c.v.Level == LevelLate {
			return fmt.Sprintf(", over %v after the window's end", p.Late)
		}
		return fmt.Sprintf(", at most %v after the window's end", p.Late)
	}
	return ""
}

// levelOf returns a batch's level, why it is not higher, and the receipt that
// it rests on: of the best the earliest.
func (c *checker) levelOf(batch int, heads []headReceipts) (Level, Code, *receiptState) {
	var all headReceipts
	for _, p := range c.f.Batches[batch].Heads {
		h := &heads[p.Head]
		all.add(h.trusted)
		all.add(h.pending)
		all.elsewhere = all.elsewhere || h.elsewhere
	}
	p := c.o.Policy
	switch {
	case all.trusted != nil && p != nil && p.Late != 0 && all.trusted.facts.Time-c.batches[batch].header.To > p.Late.Milliseconds():
		return LevelLate, CodeLate, all.trusted
	case all.trusted != nil:
		return LevelAnchored, "", all.trusted
	case all.pending != nil && all.pending.err != nil:
		return LevelPending, CodeTrustFailed, all.pending
	case all.pending != nil:
		return LevelPending, CodeNotTrusted, all.pending
	case all.elsewhere:
		return LevelLogged, CodeNoRoute, nil
	}
	return LevelLogged, CodeNoReceipt, nil
}

// explain says why the level is not higher, and what to do.
func (c *checker) explain(code Code, batch int, s *receiptState) {
	v := &c.v
	v.Code = code
	switch code {
	case CodeNoReceipt:
		v.Reason = "the file holds no receipt that this batch was anchored"
		v.Next = "ask for the proof again once the anchor is final"
	case CodeNoRoute:
		v.Reason = "it is anchored, but not where the policy says: another chain, contract, code or sender"
		v.Next = "ask the ledger's owner for its newest policy"
	case CodeNotTrusted:
		v.Reason = fmt.Sprintf("nobody trusted says that block %d of %s with hash 0x%x is final", s.facts.Number, ethereumRoute(s.data.ChainID), s.facts.BlockHash)
		if s.how != "" {
			v.Reason += ": " + s.how
		}
		v.Next = "look that block up and give its hash by --block, or a headers file by --headers, or nodes to ask by --rpc"
	case CodeTrustFailed:
		v.Reason = fmt.Sprintf("block %d of %s could not be checked: %s", s.facts.Number, ethereumRoute(s.data.ChainID), strings.ReplaceAll(s.err.Error(), "\n", "; "))
		v.Next = "try again later or with other nodes, or give the block's hash by --block"
	case CodeLate:
		late := duration(s.facts.Time - c.batches[batch].header.To)
		v.Reason = fmt.Sprintf("it was anchored %v after its window's end, the policy allows %v", late, c.o.Policy.Late)
		v.Next = "ask the ledger's owner what delayed the anchor"
	}
}

// notBefore returns the bound that a batch's header gives by naming a block: of
// several the latest, one that is confirmed before all others. It is confirmed
// if that block is trusted with this time. A block that is not before the
// anchor's own bounds nothing: the chain was rewritten in between, or the
// ledger made the block up.
func (c *checker) notBefore(batch int, best *receiptState) (b *Bound) {
	for _, s := range c.batches[batch].header.Seen {
		if best != nil && (s.Time > best.facts.Time || s.Route == ethereumRoute(best.data.ChainID) && s.Height >= best.facts.Number) {
			continue
		}
		t := c.seenTime(seenBlock{s.Route, s.Height, s.Hash})
		confirmed := t != nil && *t == s.Time
		if b == nil || confirmed && !b.Confirmed || confirmed == b.Confirmed && s.Time > b.ms {
			b = &Bound{Time: timeText(s.Time), Route: s.Route, Block: s.Height, Hash: hex0x(s.Hash[:]), Confirmed: confirmed, ms: s.Time}
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
	if !ok || len(c.seen) == maxSeenAsked {
		return nil
	}
	if c.seen == nil {
		c.seen = make(seenBlocks)
	}
	c.seen[b] = nil
	if _, ok, err := c.o.Trust.Trusted(b.route, b.height, b.hash); ok && err == nil {
		if t, ok := timer.BlockTime(b.route, b.hash); ok {
			c.seen[b] = &t
		}
	}
	return c.seen[b]
}

// bounds sets the file's bounds from its readings': the widest.
func (c *checker) bounds() {
	first, last := c.v.Readings[0].NotBefore, c.v.Readings[0].NotAfter
	for i := range c.v.Readings {
		r := &c.v.Readings[i]
		if first != nil && (r.NotBefore == nil || r.NotBefore.ms < first.ms) {
			first = r.NotBefore
		}
		if last != nil && (r.NotAfter == nil || r.NotAfter.ms > last.ms) {
			last = r.NotAfter
		}
	}
	c.v.NotBefore, c.v.NotAfter = first, last
}

const notIdentity = "IDENTITY: whose ledger this is, and whether it is anchored where its owner says. No policy was given, and anyone can make a ledger, a contract and an anchor of their own"

// notChecked lists in plain words what the verdict says nothing about.
func (c *checker) notChecked() {
	add := func(words string) { c.v.NotChecked = append(c.v.NotChecked, words) }
	p := c.o.Policy
	if p == nil {
		add(notIdentity)
	}
	if c.ahead > 0 {
		add(fmt.Sprintf("the gateway's clock: it ran at least %v ahead of the chain's", duration(c.ahead)))
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
	add("completeness: that the stream has no other readings than those shown here")
	for i := range c.v.Readings {
		if c.v.Readings[i].BoundAs != "" {
			add("whether a binding still held: what the ledger stated later is only known where it is shown")
			break
		}
	}
	for i := range c.receipts {
		if s := &c.receipts[i]; s.trusted {
			add(fmt.Sprintf("that block %d of %s is on that chain and final: it is trusted because %s", s.facts.Number, ethereumRoute(s.data.ChainID), s.how))
			break
		}
	}
	for i := range c.receipts {
		if s := &c.receipts[i]; s.counts && s.facts.CodeHash != RegistryCode {
			add("what the contract does: an anchor's is not the registry that this program knows, so a head may have changed without a log")
			break
		}
	}
	if len(c.receipts) != 0 {
		add("that what was anchored extends those that were anchored before it: the chain orders roots, and compares none")
	}
	add("a second history by the same key: no witness or mirror speaks in this file")
	if len(c.heads) > 1 {
		add("that the file's heads extend one another")
	}
	add("who made a frame: a key that a building's devices share authenticates it, and cannot prove it to others (no non-repudiation)")
	for i := range c.receipts {
		if s := &c.receipts[i]; !s.facts.Stored || !s.facts.Logged {
			add("one half of a receipt: it shows the contract's storage or the transaction's log, not both")
			break
		}
	}
}

// duration returns ms as a Duration, at most some hundred years.
func duration(ms int64) time.Duration {
	const most = 1 << 43
	return time.Duration(min(max(ms, -most), most)) * time.Millisecond
}
