// Package anchor places the newest head of a ledger on a public chain, by the
// clock, and never loses or doubles one on the way. It knows no chain: each
// has a package of its own behind Chain, and all share the one machine here.
// Package conform is the suite that each of them stands.
//
// # States
//
//	queued     wanted; not signed, not in the journal
//	signed     a transaction is signed and in the journal; the chain may not have it
//	broadcast  a node took it
//	included   it stands in a block, and the receipt is being taken or is taken
//	final      that block is final by the chain's own rule, which FinalRule names
//	orphaned   the block went out of the chain again
//
// Only final may be called anchored. One anchor is on its way at a time, and
// heads that come later do not queue up: the next anchor takes the newest one,
// and so does each further attempt of this one. Each attempt keeps the head that
// it carries; the anchor's is that of the attempt that was mined, under whose
// size its record is filed. If that is an older attempt, the newer head goes into
// the next anchor. A head that was passed over like this is covered by the
// final that comes after it.
//
// # Rules
//
// Write before send: a transaction is signed, put into the journal with fsync,
// sent, and marked as sent, in this order. Every attempt is kept and looked for
// by its id, as any of them may be the one that is mined. An error of a node
// ("already known", "nonce too low", a time-out) is a question, answered by
// looking for all attempts, and, if none is there, by the chain's own head. A
// block is kept as height and hash and looked at again until it is final; if
// it went away, the same transaction is sent again. Another is signed only to
// take the place of one that stays unmined, at a higher fee, or when a foreign
// transaction took that place; or, on a chain that costs nothing and may take
// hours, once in the cadence for the newest head. The receipt is taken at inclusion, so that no
// node can have forgotten it, and completed when its block is final.
//
// # Money
//
// An attempt is replaced only when a block came without it, that is, for its
// fee and for nothing else. With a budget the offer rises in a line from the
// first attempt's fee, when that was signed, to the budget at the deadline,
// and a replacement is made when the line is an eighth above what is offered.
// If it cannot be made, or is refused, the newest attempt that a node took is
// sent again. Attempts of one place exclude one another, so a place may come
// to the largest of their fees, and the places together to the sum of that.
// Whatever is mined, this stays within the budget of the anchor and what is
// left of the month's. If it leaves too little for another attempt, and it is
// final that none which is out can be mined, the anchor is given up for
// another with a budget of its own. A month is one of the calendar in UTC; an
// anchor is charged to that in which it was begun, or to a later one in which
// it was replaced if that has more left. What is at a bound is held: the
// status is red and says ErrFees or ErrBudget, newer heads are merged by the
// next attempt, and it goes on when fees fall or the month turns. What was
// paid for nothing, by a transaction that failed in its block or by two that
// were mined, counts as well. Spending is known from the journal alone; if
// that is lost the month begins anew.
//
// # After final
//
// The newest four finals are looked at again now and then, and whenever the
// chain's head is older than the newest of them. One that stands in another block
// gets the receipt of that one, once it is final. One that is gone is no longer
// called final; if none after it is, it is taken up again with all its attempts,
// and its own transaction is sent before another is signed. Either way Status
// names the batches whose proofs rested on it, and is red until a later final
// covers them.
//
// # Journal
//
//	"current"          the anchor on its way, or the last one that got home, and what those before it cost
//	"anchor/%016x"     one final anchor by its size (lower hex, 16 digits)
//
// so that the first final anchor of a size of at least n is one seek. A value is the
// deterministic CBOR of a map with small integer keys; key 0 is the version, 2.
// Records of version 1 are read: there all attempts carry the anchor's head.
// "current" is written at every step, "anchor/…" when the anchor is final, and
// "current" after that. A crash between the two leaves "current" behind: the
// next start sees the same transaction final again and writes that record again.
package anchor
