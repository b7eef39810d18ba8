// Package ots anchors through OpenTimestamps calendars: servers that take
// digests from anyone, commit many of them in one Bitcoin transaction, and tell
// the path from each to the block. It needs no wallet and costs nothing.
//
// # Stamping
//
// Each calendar is sent a digest of its own, SHA256(root ‖ nonce) with 16 random
// bytes, so that none sees the root and no two see the same. It answers with the
// start of a path and a promise: a URI to ask for the rest. A stamp needs the
// answers of Config.Need calendars. It is kept in the attempt as a detached
// .ots file for the root:
//
//	root ─┬─ append nonce 1 ─ sha256 ─ … ─ promise of calendar 1
//	      └─ append nonce 2 ─ sha256 ─ … ─ promise of calendar 2
//
// A stamp that is lost before it is in the journal has no effect, and a second
// one of the same root does no harm: nothing is paid, and nothing is ordered.
//
// # Upgrading
//
// Find asks the calendars for what they promised, each promise no more often
// than every Config.Pause. Answers that lead to a Bitcoin block are kept in the
// Book. Only promises of the calendars in Config are followed: an answer cannot
// send this gateway elsewhere. Public pools hand digests on to calendars, which
// belong into Config.Also then.
//
// # What is believed
//
// With Config.Headers, an attestation counts if its path ends in the merkle root
// of the header at its height: the calendars are trusted with nothing, and one
// attestation is enough. The block is final under Depth−1 others, rule "depth 6".
//
// Without it, blocks are the calendars' word. An anchor is called final once
// Need of them have given a path to a block, rule "calendars 2 of 3", with the
// height that they name and no hash or time. What the calendars gave is in the
// receipt, and whoever has Bitcoin's headers can check it.
//
// Calendars keep no ledger's head: they order nothing, and do not tell a gateway
// that it was rolled back.
//
// # Answers
//
// An answer is at most 10,000 bytes with nothing left over, begins at the digest
// that was asked about, holds at most 32 attestations, and uses no hash of
// 160 bits on the way to them. What a server says beside that is shown in
// letters, digits and a few signs, 160 at most. Redirections are not followed.
package ots
