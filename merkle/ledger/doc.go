// Package ledger defines the bytes of what a ledger commits to, from the
// summary of a stream up to the entry of its log: the items, the entries and
// leaves they become, and the salts that hide them. What a reading commits to
// is defined in package reading. This package is pure.
//
// # Encoding
//
// An item is an array in CBOR, core deterministic encoding (RFC 8949 section
// 4.2.1): every head the shortest, all lengths definite, no floats, the keys of
// a map in the bytewise order of their encodings. Its first element is a text
// with its type and version. Items are kept, shown and hashed as they are.
// Readers accept just the bytes that this package writes: an item which is read
// and written again is the same.
//
// Below, bytes32 is a byte string of 32 bytes; ms is an unsigned integer of at
// most 63 bits, Unix milliseconds; numbers in fixed width are big-endian; ‖
// joins bytes; strings that are hashed or signed outside of an item are bare.
// An hour is a quarter hour of Unix time, numbered from 1970.
//
// Trees are those of RFC 6962: a leaf is SHA256(00 ‖ entry), a node
// SHA256(01 ‖ left ‖ right), the root of no leaves SHA256 of nothing. Entries
// carry no type: 48 bytes are a hidden item or a decoy, 52 a reading or a
// summary, and their place tells which. The entry of a hidden item is
//
//	SHA256(item) ‖ salt (16)
//
// and hide(item) is SHA256 of that.
//
// # Names
//
//	ledger id (32) = SHA256("cairn/ledger/1" ‖ log public key (32) ‖ nonce (32))
//	origin         = "cairn/" ‖ ledger id in lower case hexadecimal
//	tag (12)       = HMAC-SHA256(tag key, "cairn/tag/1" ‖ ledger id ‖ slot (8)), its first 12 bytes
//
// The log key is Ed25519. The origin is that of the ledger's checkpoints (C2SP
// tlog-checkpoint) and the name of its key. A stream goes by its slot, an
// integer never given twice. The name of a route is 1 to 64 characters of
// printable ASCII without spaces: "ethereum:" and the chain id in decimal,
// "bitcoin:" and the network, or "ots".
//
// # Summary
//
//	["cairn/summary/1", uint slot, ms from, ms to, uint first, uint next,
//	 bool closed, bytes32 run root, bytes32 stream root, bytes32 hide(rest)]
//
//	["cairn/rest/1", ms first stamp or null, ms last stamp or null,
//	 [[text name, text unit, number least, number greatest] …],
//	 uint counters seen, uint counters lost or null,
//	 [[ms from, ms to, text reason] …]]
//
// from and to are the window, to not before from. first and next are sequence
// numbers of the stream: the window's readings have first to next-1. They are
// equal when none came, and the run root is then that of no leaves. The run
// tree is over the entries of the window's readings, the stream tree over those
// of all readings up to next. Closed says that the stream gets no more.
//
// In the rest the stamps are the received times of the window's first and last
// reading, both null when none came, and then there are no values. The values
// are integers or decimal fractions in the coding of package reading; each pair
// of name (1 to 32 characters of printable ASCII) and unit (0 to 16) comes at
// most once, at most 512 in all, in any order. At most 128 gaps, reasons of at
// most 128 bytes. A summary has at most 256 bytes, a rest 65536.
//
// The summary's entry in the batch tree is
//
//	tag (12) ‖ ff×8 ‖ hide(summary) (32)
//
// # Batch tree
//
// A perfect tree, 1<<depth wide: the next power of two that holds all slots ever
// given, at least 8. The leaf at an active stream's slot is that of its summary;
// every other leaf is that of a decoy, whose entry is
// SHA256("cairn/decoy/1") ‖ salt.
//
// # Batch header
//
//	["cairn/batch/1", bytes32 ledger id, uint index, ms from, ms to,
//	 [[text route, uint height, bytes32 block hash, ms block time] …],
//	 bytes32 batch root,
//	 [hide(counts), hide(intake), hide(slots), hide(segments), hide(statements)]]
//
// It is the entry of the ledger's log as it stands, and index is its place
// there. The blocks are the newest seen when the window opened, at most 16, each
// route once. A header has at most 4096 bytes. What it hides:
//
//	counts      ["cairn/counts/1", uint readings, uint active streams, uint missed windows]
//	intake      the newest intake head when the window closed, or before the first ["cairn/intake/1"]
//	slots       ["cairn/slots/1", uint depth]                      3 to 32
//	segments    ["cairn/segments/1", uint count, bytes32 root]     finished since the header before
//	statements  ["cairn/statements/1", uint size, bytes32 root]    all of the ledger's
//
// # Segment
//
//	["cairn/segment/1", uint compartment, uint hour, uint part,
//	 uint first batch, uint next batch, bytes32 SHA256(sealed bytes)]
//
// Compartment, hour and part have 32 bits. Its entry in the tree of a header's
// segments is that of a hidden item.
//
// # Statement
//
//	["cairn/statement/1", text kind, ms at, {text key: value …}]
//
// A value is an integer of 64 bits with its sign, a text or byte string of at
// most 4096 bytes, false, true, or an array of at most 1024 of these. Kind and
// keys are 1 to 32 lower case letters, digits and hyphens; at most 64 keys and
// 65536 bytes. A statement's entry in the ledger's tree of statements is that of
// a hidden item. Statements of unknown kinds are kept and passed on. These are
// known and have these keys, all of them and no others:
//
//	genesis        log-key bytes32, nonce bytes32, window uint (ms), routes [route names, at most 16]
//	route          route, chain-id uint, contract bytes20, code-hash bytes32, sender bytes20
//	route-bitcoin  route, network text, script bytes (22 to 34), outpoint-tx bytes32, outpoint-index uint32
//	route-ots      route, calendars [texts, 1 to 16 of at most 200 bytes], need uint (1 to the calendars)
//	log-key        old bytes32, new bytes32, old-signature bytes64, new-signature bytes64
//	bind           device-number uint32, device text, name text (64), slot uint, epoch uint32,
//	               kind "secure" or "opaque" or "text" or "vouched" or "late", counter-floor uint48
//	rotate         device-number, device, epoch, slot, counter-floor
//	unbind         device-number, device, slot
//	place          device-number, slot, place text (64), thing text (64)
//	calibrate      device-number, slot, by name, calibrated ms, field text (64), offset text (32), certificate bytes32
//	attach         device-number, slot, what "photo" or "certificate" or "document", name text (64), digest bytes32
//	replace        device-number, slot, old-number uint32, old-slot uint
//	retire         device-number, slot, reason text (128)
//	gap            from ms, to ms, reason text (128), missed uint (windows)
//	clock          was ms, now ms, reason text (128)
//	reboot         device-number, slot, sequence uint, restart-old uint, restart-new uint
//
//	grant          audience name, purpose text (256), recipients [texts, 1 to 32], compartments [compartments, 1 or more],
//	               from ms, until ms, access ms, token bytes32, mirror true
//	grant-end      grant uint, until ms, access ms, reason text (128)
//	grant-renew    grant uint, until ms, access ms, recipients [texts, 1 to 32]
//	grant-key      name, recipient text, key bytes32
//	grant-key-end  name
//	grant-confirm  shred uint, holder name, text bytes (1 to 4096), signature bytes64
//	shred          compartments [1 or more], before ms, holders [names], reason text (128)
//	shred-confirm  shred uint, holder name, text bytes (1 to 4096), signature bytes64
//	holder         name, kind "escrow" or "mirror" or "backup" or "audience", recipient text, key bytes32
//	holder-end     name
//	escrow         month text, part uint32, need uint32, holders [names], commitments bytes (1 to 4096), digest bytes32
//	published      first uint, next uint, cid text (1 to 128)
//	dropped        before ms, compartments [1 or more], mirrors [names]
//	alert          rule name, about text (128), what text (256), receivers [names], device-number, slot
//	alert-sent     alert uint, receiver name, news "raised" or "acknowledged" or "cleared"
//	alert-ack      alert uint, name, note text (256)
//	alert-clear    alert uint, what text (256)
//	alert-mute     rules [names], devices [names], from ms, until ms, name, reason text (256)
//	alert-mute-end mute uint
//
// Of these, field and offset of a calibrate, both, and its certificate, but not
// all three, device-number and slot of an alert, both, until, access and mirror of a grant, access of a grant-end, all but
// grant of a grant-renew and recipient of a holder and of a grant-key may be left
// out.
//
// device is the device's ID in 16 lower case hexadecimal digits. Of those about
// sharing, a name is 1 to 64 bytes of text without control characters; a
// recipient is printable ASCII, a compartment 1 to 64 characters of it without
// spaces, as is a cid; nothing stands twice in an array; before is the border of
// an hour; a month is that of UTC, such as "2026-07".
//
// A stream whose kind is late has readings of the binding whose stream began under the
// same device number before: they came by another way, such as a logger's file, after
// they were measured. Its place is said again.
//
// A place comes with the bind of its slot, which has one at most: the device is
// at that place and about that thing, either of which may be empty, as long as it is
// bound there. An offset is a decimal number, such as "-0.25", to be added to the
// measurement that field names; readings stay as they came. A calibration is of the device:
// where a stream of a device begins, the calibrate with the latest calibrated of each field,
// or of none, is said again with its slot, by and calibrated as they were. certificate and digest
// are SHA-256 of files that the ledger does not have. In a replace, the device of
// old-slot made way for that of slot; in a retire, it is not bound again.
//
// An alert goes by the number of its statement, which alert holds of those about it, and
// so does maintenance, which mute holds. About is what an event is about that no device
// has. A receiver took the notice that alert-sent is about at that statement's time.
//
// A grant goes by the number of its statement. The keys of its compartments are
// given to its audience for hours within from and until, open-ended where until
// is left out, and what is sealed is served to them up to access; token is
// SHA-256 of what they are known by when it is. The compartment site is never
// granted. An end takes the hours from its until on away, and its access, where
// there, stands in place of the grant's; of a grant that has ended nothing more is
// said but another end that takes more away, of its hours or of its access. A renewal's until and access stand in place of the grant's, also
// where they are left out, and its recipients where there.
//
// What is public is read by every audience of the hour, a shred's reason too, so
// that it names no audience: grant-key, grant-key-end and grant-confirm are holder,
// holder-end and shred-confirm of one, and are as hidden as grants. Holders of kind
// "audience" and shreds that name one are of ledgers of before. Which audiences may
// have copies of what a shred destroyed follows from the grants up to it.
//
// A route-bitcoin's network is 1 to 32 lower case letters, digits and hyphens,
// its route "bitcoin:" and the network; outpoint-tx is in the order in which it
// is hashed. The route of a route-ots is "ots"; its calendars are http or https
// URLs in printable ASCII without spaces, none of them twice.
//
// By a log-key the ledger goes from one log key to another, which differs. Each
// of the two signs, by Ed25519,
//
//	"cairn/log-key/1" ‖ ledger id (32) ‖ old (32) ‖ new (32) ‖ at (8)
//
// where at is the statement's. The ledger's id and origin stay those of the
// first key. The old key signs no checkpoint whose log holds a header whose
// statements hold the log-key, and no intake head after the commit that
// recorded it; the new key signs none before.
//
// # Intake head
//
//	["cairn/intake/1", bytes32 ledger id, bytes (16) incarnation, uint number,
//	 bytes32 previous, uint count, bytes32 root]
//
// One for each group commit: count and root are those of the tree over the
// commit's reading entries in their order, previous is SHA256 of the item
// before, zeros for the first. The signature is Ed25519 over the item's bytes,
// by the log key which the statements recorded before this commit name last, or
// else the first.
//
// # Salts
//
// A salt is the AES-256 encryption of one block under a salt key
//
//	HMAC-SHA256(hour's salt key of the compartment,
//	    "cairn/salt/1" ‖ length of label (1) ‖ label ‖ slot (8) ‖ incarnation (16))
//
// where slot is the stream's, or 2^64-1 for what belongs to no stream:
//
//	salt of             compartment        label      slot    block                                 hour of
//	leaf of a reading   (package reading)  field      stream  sequence (8) ‖ index (8)              received
//	summary             stream's envelope  summary    stream  ff×8 ‖ batch (8)                      the window's from
//	rest                stream's data      rest       stream  ff×8 ‖ batch (8)                      the window's from
//	decoy of a slot     site               slot       none    batch (8) ‖ slot (8)                  the window's from
//	counts, intake      site               header     none    batch (8) ‖ 0, 1 (8)                  the window's from
//	slots … statements  ledger             header     none    batch (8) ‖ 2, 3, 4 (8)               the window's from
//	segment             ledger             segment    none    first batch (8) ‖ compartment (4) ‖ part (4) the segment's
//	statement           ledger, statements statement  none    number (8) ‖ 0 (8)                    at
//
// Statements of kinds that Public reports are salted under "ledger", the others
// under "statements", whose keys go to mirrors alone: with those of "ledger" whoever
// knows what a binding or a grant says could test that there is such a one. Ledgers
// that began before "statements" was used so have their earlier ones under "ledger".
package ledger
