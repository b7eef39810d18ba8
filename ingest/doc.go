// Package ingest takes in what sensors and hubs send: it judges every frame and
// every text line, and hands what becomes a reading to a [Committer].
//
//	source ─▶ queue ─▶ judges ─▶ in order of arrival ─▶ Committer.Submit
//	  UDP       │        │
//	  lines     │        └─ rejected: counted, sampled under a cap
//	            └─ full: UDP drops and counts, lines wait
//
// # Verdicts
//
// Every frame gets one verdict. Those marked * come from the committer, which
// alone knows the counters; the others are given here.
//
//	authenticated      the tag fits a registered node's key         a reading
//	duplicate        * same counter, same bytes, seen before
//	replay           * counter not above the last one (counter 0 never is)
//	counter-conflict * same counter, other bytes: a nonce was used twice
//	bad-tag            the ID is known, no tag fits
//	unknown-node       nobody is registered under this ID
//	malformed          no frame; or authentic, and wrongly padded inside
//	insecure           a frame with a CRC alone: never a reading
//	opaque             a node registered without a key              a reading
//
// A hub's text line about a device registered as "text" becomes a reading with
// the verdict insecure. It is the word of the hub, or of whoever writes to that
// cable or file: no counter, no tag, and the same line again is another
// reading. Neither an insecure frame nor a text line is accepted for a device
// that has a key.
//
// Frames go to the committer in the order in which they arrived, whatever
// number of goroutines judge them: counters must rise, so a frame that overtakes
// another would turn the other into a replay.
//
// # What a stranger can do
//
// Whoever reaches the socket can send anything. What it costs is bounded: each
// source address has a budget, the queue has a length, at most
// [Config.Candidates] keys are tried on a frame, frames for nodes without a key,
// which anyone could invent, have a budget per node, rejected bytes are kept
// only in a ring of fixed size, nodes that nobody is registered for in a table of
// fixed size ([Intake.Strangers]), where one that invents IDs pushes out its own.
// Nothing is ever answered.
//
// Nothing here touches the disk, and nothing here acknowledges.
package ingest
