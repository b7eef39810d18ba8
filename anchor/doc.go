// Package anchor places the newest head of a ledger on a public chain, by the
// clock, and never loses or doubles one on the way. It knows no chain: each
// has a package of its own behind Chain, and all share the one machine here.
//
// # States
//
//	queued     wanted; not signed, not in the journal
//	signed     a transaction is signed and in the journal; the chain may not have it
//	broadcast  a node took it
//	included   it stands in a block, and the receipt is being taken or is taken
//	final      that block is final by the chain's own rule, which FinalRule names
//	orphaned   the block went out of the chain again before it was final
//
// Only final may be called anchored. A head that is signed for stays the head
// of that anchor through all its attempts; heads that come later do not queue
// up, the next anchor takes the newest one. One anchor is on its way at a time.
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
// transaction took that place.
//
// # Journal
//
//	"current"          the anchor on its way, or the last one that got home
//	"anchor/%016x"     one final anchor by its size (lower hex, 16 digits)
//
// so that the first final anchor of a size of at least n is one seek. A value is the
// deterministic CBOR of a map with small integer keys; key 0 is the version, 1.
// "current" is written at every step, "anchor/…" when the anchor is final, and
// "current" after that. A crash between the two leaves "current" behind: the
// next start sees the same transaction final again and writes that record again.
package anchor
