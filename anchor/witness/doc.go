// Package witness asks witnesses for cosignatures, and is one: the C2SP
// protocols tlog-witness, tlog-cosignature and signed-note.
//
// A witness remembers the newest head of each log that it knows, and cosigns a
// newer one only if a consistency proof shows that it extends that head. So two
// readers who both want a witness's cosignature are shown one history, and a log
// that was put back from an old copy is noticed. It sees sizes and roots, and
// nothing of what the log holds.
//
// # Cosignature
//
// A line of a signed note, by a key of type 04 (Ed25519, timestamped):
//
//	line    = "— " name " " base64(key id (4) ‖ time (8, big-endian) ‖ signature (64)) 0a
//	key id  = the first 4 bytes of SHA256(name ‖ 0a ‖ 04 ‖ public key)
//	signed  = "cosignature/v1" 0a "time " time 0a text
//
// text is all of the checkpoint before its empty line; time is in seconds since
// 1970, decimal, without leading zeros, from 1 to 2^63-1. The key is written as
//
//	name+hex(key id)+base64(04 ‖ public key)
//
// # Request
//
//	POST <prefix>/add-checkpoint
//
//	old <size>
//	<base64 of a hash>          at most 63, the consistency proof from that size
//
//	<checkpoint>                a signed note
//
// The witness answers 200 with cosignature lines; 400 for a request that is not
// of this form or whose old size is beyond the checkpoint's; 403 without a
// signature by a trusted key; 404 for an origin it does not know; 409 with the
// size that it cosigned last, if that is not the old size; 422 if the proof does
// not show that the checkpoint extends what it cosigned. A GET of
// <prefix>/<hex of SHA256(origin)>/checkpoint answers with what it cosigned last.
//
// # The folder of a witness
//
//	witness.key     its private key, mode 0600, one line:
//	                PRIVATE+KEY+name+hex(key id)+base64(04 ‖ seed (32))
//	logs            the verifier keys of the logs that it knows, one a line; several
//	                may have one name, since a log can change its key and keep its
//	                origin; # begins a comment
//	heads/HASH      the newest head that it cosigned: a signed note with the log's
//	                signatures and its own; HASH is the hex of SHA256(origin)
//	heads/HASH.fork a second head of the same size and another root, and the first:
//	                two signed notes that no honest log signs
//
// A head is replaced by writing HASH.new, syncing it, renaming it and syncing the
// folder; only then is the cosignature handed out. A crash before the rename
// leaves the old head and a file that the next write replaces; one after it leaves
// the old head or the new one, whose cosignature nobody has. Either way no head
// was handed out that the folder does not hold. A folder put back from an old copy
// is a witness that forgot: it must not be done.
package witness
