// Package reading defines what a gateway commits to when it takes one message
// of one device: the bytes of each item of a reading, the entries and leaves
// they become, and the root of the record tree over them. It is pure.
//
// # Encoding
//
// An item is an array in CBOR, core deterministic encoding (RFC 8949 section
// 4.2.1): every head the shortest, all lengths definite, no floats. Its first
// element is a text with its type and version. Items are kept and shown as they
// are, and hashed as they are. Readers accept just the bytes that this package
// writes: an item which is read and written again is the same.
//
// A time (ms) is an unsigned integer of at most 63 bits, Unix milliseconds.
//
// # Items
//
// A reading with M measurements, 0 to 57, has items 0 to N = 6 + M:
//
//	index  item                                                                        class
//	0      ["cairn/reading/1", bytes item 1, bytes item 2, … bytes item N]             site
//	1      ["cairn/field/1", "device", text]                                           envelope
//	2      ["cairn/field/1", "measured", ms or null]                                   envelope
//	3      ["cairn/field/1", "received", ms, "synced" or "unsynced" or "stepped"]      envelope
//	4      ["cairn/field/1", "sequence", uint]                                         envelope
//	5      ["cairn/field/1", "origin", text transport, text verdict, uint or null]     envelope
//	6      ["cairn/field/1", "frame", bytes (32) or null]                              site
//	7…N    ["cairn/field/1", text name, text unit, value]                              data
//
// device: the device's ID, 16 lower case hexadecimal digits. measured: the
// device's own time, if it said one. received: the gateway's stamp, and the
// state its clock was in. sequence: the reading's place in its stream, from 0,
// below 2^63-1. origin: the transport is udp, line, mqtt, http, coap, lorawan
// or csv; the verdict is authenticated, duplicate, replay, counter-conflict,
// bad-tag, unknown-node, malformed, insecure, opaque or vouched (a sender whom
// the gateway authenticated says that the device said so); then the node's own
// message counter where the frame carries one. frame: SHA-256 of the frame as
// it was received with its length byte, of the text line, or of the message.
//
// A measurement's name is 1 to 32, its unit 0 to 16 characters of printable
// ASCII (20 to 7e). The names device, measured, received, sequence, origin and
// frame are not allowed, and no two measurements have the same.
//
// The class says which compartment keeps the item and which key salts its
// leaf. Item 0 is never stored: it is made of the others. Who shows it shows
// them all.
//
// # Values
//
//	integer   major type 0 or 1, from -2^63 to 2^63-1
//	decimal   tag 4, [exponent, mantissa]: exponent -128…-1, mantissa such an
//	          integer and no multiple of ten; a whole number is an integer
//	text      major type 3, UTF-8 of at most 64 bytes
//	truth     false or true (f4, f5)
//	bytes     major type 2, at most 64 bytes
//
// So each number has one encoding: 18.6875 is c4 82 23 1a 0002d9fb.
//
// # Sizes
//
// Items 1 to N have 19 to 132 bytes: in item 0 the head of one is one byte
// (40 + length) below 24 and two (58, length) from there. Item 0 is shorter than
// 8192 bytes; its own head is one byte up to N = 22 and two from there.
//
// # Entries, leaves, root
//
// The entry of item i is SHA256(item) ‖ salt (16): 48 bytes. The record tree
// has a leaf for each item, 0 to N, and then a decoy for each further place up
// to the next power of two, at least 8. The entry of a decoy is
// SHA256("cairn/decoy/1") ‖ salt, where the string is hashed bare. A leaf is
// SHA256(00 ‖ entry), a node SHA256(01 ‖ left ‖ right) (RFC 6962 section 2.1),
// and the tree's root is the record root.
//
// The salt of leaf i of the reading with sequence s is the AES-256 encryption
// of the single block s (8) ‖ i (8), both big-endian, under the salt key of the
// leaf's class; decoys have the class site. Each class has its own key in each
// hour and stream; how it is derived is the business of the key tree, and so is
// whether a stream's measurements have one key or several (Salts.Split).
//
// The reading's entry in the stream's tree and in the run's is
//
//	tag (12) ‖ sequence (8) ‖ record root (32)
//
// and with the byte 00 before it fills one block of SHA-256. Entries carry no
// type: 48 bytes are a hidden item, 52 a reading, and their place tells which.
//
// # OpenTRV stats
//
// FromStat brings a stat "key|unit" to a measurement, exactly: C16 is Cel and a
// sixteenth of it, C is Cel, cV and mV are V and a hundredth or thousandth,
// H|% is %RH; other units stay, and so does the unit of a text. A key that is
// the name of an item above, or of one of the values in a frame's body (the
// Name constants), gets an underscore before it, and one more if it has some
// already.
package reading
