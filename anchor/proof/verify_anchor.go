package proof

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Limits of a verdict. An attestation in an OpenTimestamps proof costs a few
// bytes of the file, and here some hundred.
const (
	maxHows    = 8       // ways of trust that are told of
	maxBlocks  = 1 << 16 // of all receipts
	maxPending = 16      // calendars of a receipt that are named

	// An operation in an OpenTimestamps proof costs a byte, and makes a message of
	// up to 4096. This is of all receipts' messages; an honest one has some 10,000
	// bytes of them.
	maxMessages = 1 << 30
)

// receiptState is a receipt whose own proofs hold.
type receiptState struct {
	head    int
	place   Place
	route   int // of the policy, whose place it is, or 0 without a policy; -1: none
	blocks  []anchorBlock
	pending []string // calendars that promise more
	asked   bool     // its blocks were

	ethereum *ethereumAnchor
	bitcoin  *BitcoinFacts
}

type ethereumAnchor struct {
	data  EthereumReceipt
	facts EthereumFacts
}

// anchorBlock is a block in which a receipt says that its head's root stands.
type anchorBlock struct {
	route  string // "ethereum:1", "bitcoin:mainnet"
	height uint64
	known  bool // its header is at hand; if not, hash and time are zero
	hash   [32]byte
	time   int64 // Unix milliseconds
	slack  int64 // milliseconds by which that may be wrong, both ways

	// Of Bitcoin's: the root of its transactions, and what the receipt itself
	// shows to stand upon it.
	merkle    [32]byte
	following []BitcoinHeader
	work      *big.Int // of the block and those that follow

	trusted bool // it is final, says somebody trusted
	how     string
	err     error // that could not be asked
}

// latest returns the latest time that the block may be of.
func (b *anchorBlock) latest() int64 { return b.time + b.slack }

// Step 11: each receipt is of its head's root and this ledger, and its proofs
// lead from there to the header that it holds.
func (c *checker) receiptProofs() (string, *fault) {
	blocks := 0
	for i := range c.f.Receipts {
		r := &c.f.Receipts[i]
		s, bad := c.receipt(r)
		if blocks += len(s.blocks); bad == nil && blocks > maxBlocks {
			bad = faultf(CodeReceipt, "the file's receipts are about more than %d blocks", maxBlocks)
		}
		if bad != nil {
			return "", &fault{bad.code, fmt.Errorf("receipt %d: %w", i, bad.err)}
		}
		s.head = r.Head
		c.receipts = append(c.receipts, s)
	}
	c.vouches()
	if len(c.receipts) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s with proofs from the head's root up to a block, or to a calendar's promise of one", count(len(c.receipts), "receipt")), nil
}

func (c *checker) receipt(r *Receipt) (receiptState, *fault) {
	root := c.heads[r.Head].Root
	switch r.Kind {
	case KindEthereum:
		return c.readEthereum(r, root)
	case KindBitcoin:
		return readBitcoin(r, root)
	case KindOTS:
		return c.readOTS(r, root)
	}
	return receiptState{}, faultf(CodeReceiptKind, "kind %.40q is not known; a newer program may know it", r.Kind)
}

func (c *checker) readEthereum(r *Receipt, root [32]byte) (s receiptState, _ *fault) {
	e, err := ParseEthereumReceipt(r.Data)
	if err != nil {
		return s, &fault{CodeReceipt, err}
	}
	switch {
	case r.Route != ethereumRoute(e.ChainID):
		return s, faultf(CodeReceiptRoute, "route %.80q, its chain id is %d", r.Route, e.ChainID)
	case e.Root != root:
		return s, faultf(CodeReceiptRoot, "root %x, the head's is %x", e.Root, root)
	case e.Ledger != c.id:
		return s, faultf(CodeReceiptLog, "ledger %x, this one is %v", e.Ledger, c.id)
	}
	facts, err := VerifyEthereum(e)
	if err != nil {
		return s, &fault{ethereumCode(err), err}
	}
	return receiptState{
		place:    EthereumRoute{ChainID: e.ChainID, Contract: e.Contract, Code: facts.CodeHash, Sender: e.Sender},
		blocks:   []anchorBlock{{route: r.Route, height: facts.Number, known: true, hash: facts.BlockHash, time: facts.Time}},
		ethereum: &ethereumAnchor{e, facts},
	}, nil
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

func readBitcoin(r *Receipt, root [32]byte) (s receiptState, _ *fault) {
	b, err := ParseBitcoinReceipt(r.Data)
	if err != nil {
		return s, &fault{CodeReceipt, err}
	}
	if r.Route != bitcoinRoute(b.Network) {
		return s, faultf(CodeReceiptRoute, "route %.80q, its network is %q", r.Route, b.Network)
	}
	facts, err := VerifyBitcoin(b, root)
	if err != nil {
		return s, &fault{bitcoinCode(err), err}
	}
	return receiptState{
		place: BitcoinRoute{Network: facts.Network, Script: facts.Script},
		blocks: []anchorBlock{{
			route: r.Route, height: uint64(facts.Height), known: true, hash: facts.Hash,
			time: facts.Time, slack: slackOf(r.Route), merkle: facts.Merkle, following: b.Following, work: facts.Work,
		}},
		bitcoin: &facts,
	}, nil
}

// readOTS has a block for each of a proof's Bitcoin attestations. Whether
// any of them is one of the chain, and not just what somebody wrote into the
// proof, a trusted header must say.
func (c *checker) readOTS(r *Receipt, root [32]byte) (s receiptState, _ *fault) {
	o, err := ParseOTSReceipt(r.Data)
	if err != nil {
		return s, &fault{CodeReceipt, err}
	}
	s.place = OTSRoute{Network: o.Network}
	if r.Route != s.place.Chain() {
		return s, faultf(CodeReceiptRoute, "route %.80q, of its kind is %q", r.Route, s.place.Chain())
	}
	proven, err := o.prove(root)
	if err != nil {
		return s, &fault{bitcoinCode(err), err}
	}
	if c.messages += proven.size; c.messages > maxMessages {
		return s, faultf(CodeReceipt, "the file's timestamps have messages of more than %d bytes", maxMessages)
	}
	route := bitcoinRoute(o.Network)
	for _, f := range proven.facts {
		b := anchorBlock{
			route: route, height: uint64(f.Height), known: f.Shown, hash: f.Hash,
			time: f.Time, slack: slackOf(route), merkle: f.Merkle, work: f.Work,
		}
		if at, ok := o.block(f.Height); ok {
			b.following = o.Blocks[at].Following
		}
		s.blocks = append(s.blocks, b)
	}
	s.pending = proven.pending[:min(len(proven.pending), maxPending)]
	return s, nil
}

func bitcoinCode(err error) Code {
	switch {
	case errors.Is(err, ErrBitcoinRoot):
		return CodeReceiptRoot
	case errors.Is(err, ErrBitcoinTx), errors.Is(err, ErrBitcoin64), errors.Is(err, ErrBitcoinChange):
		return CodeTransaction
	case errors.Is(err, ErrBitcoinBranch), errors.Is(err, ErrOTSBlock):
		return CodeBranch
	case errors.Is(err, ErrBitcoinWork), errors.Is(err, ErrBitcoinLink), errors.Is(err, ErrBitcoinBits),
		errors.Is(err, ErrBitcoinTime), errors.Is(err, ErrBitcoinCheckpoint):
		return CodeBlockHeader
	}
	return CodeReceipt
}

// slackOf returns by how many milliseconds the time of a chain's block may be
// wrong, both ways.
func slackOf(route string) int64 {
	if isBitcoin(route) {
		return BitcoinTimeSlack.Milliseconds()
	}
	return 0
}

// Step 12: which of the receipts' blocks are final, by the word of whoever the
// verifier trusts. Receipts that do not count are not worth a question. Those
// that do may vouch for a statement that names another place, and so on until
// nothing new counts.
func (c *checker) blocks() (string, *fault) {
	c.places = c.policyPlaces()
	for {
		c.assign()
		c.askAll()
		if !c.succeed() {
			break
		}
	}
	c.successions()
	trusted, hows := make(map[askedBlock]bool), []string(nil)
	for i := range c.receipts {
		s := &c.receipts[i]
		c.v.Anchors = append(c.v.Anchors, c.describeAnchors(s)...)
		for k := range s.blocks {
			b := &s.blocks[k]
			if !b.trusted {
				continue
			}
			trusted[askedBlock{b.route, b.height, b.hash, 0}] = true
			if !slices.Contains(hows, b.how) && len(hows) < maxHows {
				hows = append(hows, b.how)
			}
		}
	}
	if len(trusted) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s trusted: %s", count(len(trusted), "block"), strings.Join(hows, "; ")), nil
}

// assign finds out which receipts are of a place that counts.
func (c *checker) assign() {
	for i := range c.receipts {
		s := &c.receipts[i]
		if s.asked {
			continue // it counted before
		}
		s.route = c.routeOf(s.place)
	}
}

// askedBlock is a question about a block.
type askedBlock struct {
	route  string
	height uint64
	hash   [32]byte
	depth  uint64
}

type blockAnswer struct {
	how     string
	trusted bool
	err     error
}

func (c *checker) askAll() {
	for i := range c.receipts {
		s := &c.receipts[i]
		if s.asked || s.route < 0 || c.o.Trust == nil {
			continue
		}
		s.asked = true
		told := make(map[askedBlock]*anchorBlock) // a receipt may have many paths to one block
		for k := range s.blocks {
			b := &s.blocks[k]
			q := askedBlock{b.route, b.height, b.hash, 0}
			if same := told[q]; b.known && same != nil {
				b.how, b.trusted, b.err = same.how, same.trusted, same.err
				continue
			}
			known := b.known
			if c.ask(b, c.depthOf(s)); known {
				told[q] = b
			}
		}
	}
}

// depthOf returns how deep a receipt's block must be: what its route says.
func (c *checker) depthOf(s *receiptState) uint64 {
	place := s.place
	if c.o.Policy != nil {
		place = c.o.Policy.Routes[s.route].Place
	}
	switch p := place.(type) {
	case BitcoinRoute:
		return depthOf(p.Depth)
	case OTSRoute:
		return depthOf(p.Depth)
	}
	return 0
}

// ask finds out whether a block is final.
func (c *checker) ask(b *anchorBlock, depth uint64) {
	if !b.known && !c.find(b, depth) {
		return
	}
	a := c.answer(askedBlock{b.route, b.height, b.hash, depth})
	// A block is as final as one that the receipt shows to follow it.
	for i := 0; !a.trusted && i < len(b.following); i++ {
		n := uint64(i + 1)
		how, ok, err := trusted(c.o.Trust, b.route, b.height+n, b.following[i].Hash(), max(depth, n+1)-n)
		if ok && err == nil {
			a = blockAnswer{fmt.Sprintf("block %d, which follows it: %s", b.height+n, how), true, nil}
		}
	}
	b.how, b.trusted, b.err = a.how, a.trusted, a.err
}

// find looks for the header of a block of which the receipt knows only height
// and root, where the trusted headers are, and tells whether there is one with
// that root. Of several it takes one that is trusted.
func (c *checker) find(b *anchorBlock, depth uint64) bool {
	b.how = noHeader
	for _, h := range blocksAt(c.o.Trust, b.route, b.height) {
		if h.Merkle() != b.merkle {
			b.how = "the block of that height in the headers file has other transactions"
			continue
		}
		b.known, b.hash, b.time = true, h.Hash(), h.Time()
		if c.answer(askedBlock{b.route, b.height, b.hash, depth}).trusted {
			break
		}
	}
	return b.known
}

const noHeader = "the receipt does not hold the block's header, and no headers file does"

// answer asks about a block, once.
func (c *checker) answer(q askedBlock) blockAnswer {
	if a, ok := c.asked[q]; ok {
		return a
	}
	if c.asked == nil {
		c.asked = make(map[askedBlock]blockAnswer)
	}
	var a blockAnswer
	a.how, a.trusted, a.err = trusted(c.o.Trust, q.route, q.height, q.hash, q.depth)
	a.trusted = a.trusted && a.err == nil
	c.asked[q] = a
	return a
}

// describeAnchors returns a receipt's anchors: one for each block that it is
// about, or one without a block if it holds no more than promises.
func (c *checker) describeAnchors(s *receiptState) []AnchorVerdict {
	head := &c.heads[s.head]
	base := AnchorVerdict{
		Route: s.place.Chain(), Size: head.Size, Root: head.Root.String(), Pending: s.pending,
		InPolicy: c.o.Policy != nil && s.route >= 0,
	}
	if base.InPolicy {
		base.Name = c.o.Policy.Routes[s.route].Name
	}
	switch p := s.place.(type) {
	case EthereumRoute:
		e := s.ethereum
		base.Contract, base.Code, base.Sender = hex0x(p.Contract[:]), hex0x(p.Code[:]), hex0x(p.Sender[:])
		base.Registry = p.Code == RegistryCode
		base.Stored, base.Logged, base.Index, base.TxIndex = e.facts.Stored, e.facts.Logged, e.facts.LogIndex, e.data.TxIndex
	case BitcoinRoute:
		base.Network, base.Script = p.Network, fmt.Sprintf("%x", p.Script)
		base.TxID, base.Spends = shownHash(s.bitcoin.TxID), s.bitcoin.Spends.String()
	case OTSRoute:
		base.Network = p.Network
	}
	if len(s.blocks) == 0 {
		return []AnchorVerdict{base}
	}
	all := make([]AnchorVerdict, len(s.blocks))
	for i := range s.blocks {
		all[i] = base
		all[i].describe(&s.blocks[i])
		base.Pending = nil // they are the receipt's: named once
	}
	return all
}

func (v *AnchorVerdict) describe(b *anchorBlock) {
	v.Block, v.Trusted = b.height, b.trusted
	if b.trusted {
		v.How = b.how
	}
	if b.known {
		v.Hash, v.Time = blockHash(b.route, b.hash), timeText(b.time)
		v.Earliest, v.Latest = timeText(b.time-b.slack), timeText(b.latest())
	}
	if isBitcoin(b.route) {
		v.Merkle = shownHash(b.merkle)
		if b.work != nil {
			v.Depth, v.Work = 1+len(b.following), b.work.String()
		}
	}
}

func hex0x(b []byte) string { return fmt.Sprintf("0x%x", b) }

// shownHash writes a Bitcoin hash as Bitcoin's tools do: reversed.
func shownHash(h [32]byte) string { return fmt.Sprintf("%x", reversed(h)) }

// blockHash writes a block's hash as its chain's tools do.
func blockHash(route string, h [32]byte) string {
	if isBitcoin(route) {
		return shownHash(h)
	}
	return hex0x(h[:])
}
