// Package frame reads and writes what OpenTRV nodes and hubs send: secureable
// frames (radio, UDP) and the hub's text lines (serial). It is pure: no clock,
// no files, no keys at rest, no replay state. What a frame is worth is decided
// by its caller.
//
// # The small frame
//
// Everything is big-endian. A frame is fl+1 bytes, at most 64:
//
//	off      len  field
//	0        1    fl: length without this byte = 3 + il + bl + tl, 4..63
//	1        1    type: bits 0-6 type (not 00, not 7f), bit 7 secure
//	2        1    bits 7-4 sequence number, bits 3-0 il
//	3        il   leading bytes of the node's 8-byte ID, il <= 8
//	3+il     1    bl
//	4+il     bl   body
//	4+il+bl  tl   trailer; its last byte is never 00 or ff
//
// A relay strips fl before it sends a frame as a UDP datagram; [ParseDatagram]
// restores it, because it is authenticated with the rest of the header.
//
// The trailer of an insecure frame is one byte: CRC-7 (polynomial 0x37, initial
// value 0x7f, not reflected) over all bytes before it, with 0 sent as 0x80.
//
// The trailer of a secure frame is 23 bytes:
//
//	0   3   restart counter        } the 48-bit message counter,
//	3   3   message counter        } see [Counter]
//	6   16  AES-128-GCM tag
//	22  1   0x80, the name of this scheme
//
// The nonce is the first 6 bytes of the ID (those of the node's full ID where
// the wire has fewer) and the 6 bytes of the counter. The additional data is
// the header, from fl to bl. The sequence number repeats the counter's low 4
// bits. The body is absent, or one block of 32 bytes:
//
//	0   n   plaintext, n <= 31
//	n   …   zeros
//	31  1   31 - n
//
// [Opener.Open] refuses every block that is not exactly this. An empty
// plaintext is sent as no body at all; a block that holds none is read but not
// written.
//
// # The basic frame's plaintext
//
// Type 'O' carries valve, flags and, optionally, stats:
//
//	0   1   bits 0-6 valve 0..100 % or 7f for none, bit 7 call for heat
//	1   1   bit 7 fault, 6 low battery, 5 tamper, 4 stats present,
//	        3-2 occupancy, 1 frost risk, 0 reserved
//	2   …   '{' and the members of a flat JSON object, without the final '}';
//	        another leading byte means a format unknown here
//
// The sources are the OpenTRV secure basic frame specification V0.1-201601 and
// the DeviceJSON notes of the OpenTRV standards, with the reference firmware
// deciding where the two differ: the CRC starts from 7f, and the ID enters the
// nonce as it is.
package frame
