// Package store keeps one ledger on disk: it numbers readings, grows their
// trees, signs what it took, closes windows into batches, and gives back what a
// proof needs. It is the only package that knows Pebble.
//
// # One committer
//
// A single goroutine owns everything that is numbered: streams, windows, the
// log, the statements. It takes what waits in the intake queue as one group
// commit, decides duplicates and replays by the counters it owns, stamps and
// numbers, hashes and seals on all cores, signs one intake head, and hands one
// Pebble batch to the writer, which syncs it and only then answers. A second
// group is prepared while the first one is being synced; nothing is
// acknowledged before its own sync returned.
//
// A failed sync leaves Pebble's state unknown, so the store stops: it answers
// ErrDead from then on and the process is expected to start again, which
// recovers what was acknowledged. From that moment nothing is written or
// removed any more, whatever Pebble may still be about. A disk that is about to
// fill is noticed before that: below Options.MinFree readings are refused with
// ErrDiskFull while windows go on closing.
//
// # Keys
//
// Every key begins with the ledger's 32-byte id and one byte of kind; numbers
// are big-endian. Every value begins with a format byte: 1, or 2 where it says more
// than it used to, so that a program which does not know of that refuses: S once
// the log key was changed, s from scheme 1 on (3: of a late stream), c with any number of classes, g and
// H of objects. Values marked sealed are AES-256-GCM under the keyring's local key,
// bound to their key.
//
//	S                           ledger state: open window, sizes, last stamp          sealed
//	s slot(8)                   stream: device, compartments, rules, tree frontiers, counters sealed
//	d number(4)                 device: binding, last counter, last frame's digest     sealed
//	I n(8)                      the n-th start's incarnation (16)
//	c number(8)                 commit record: signed intake head, record roots, sealed columns
//	k number(8)                 intake head and signature of a commit whose hour is sealed
//	g hour(4) first batch(8) compartment(4) part(4)   segment: SHA-256 of its object, sealed columns
//	i slot(8) first seq(8)      where a sealed run of readings lies: hour, first batch, part, count
//	H first batch(8)            a sealed quarter hour: hour, last batch, the batch that lists it, nonce, pad
//	h batch(8)                  batch header, as hashed
//	w batch(8)                  window: from, to, commits, start, gap, and what its header hides
//	n slot(8) batch(8)          non-empty run: count, stream root, summary's leaf; until it is sealed
//	r slot(8) first batch(8)    the sealed runs of one quarter hour: counts
//	N slot(8) batch(8) level(1) index(8)   run tree nodes, level 6 and up
//	t slot(8) level(1) index(8)            stream tree nodes, level 5 and up (scheme 0: 6)
//	B batch(8)                  the batch tree's nodes at level min(4, depth)
//	l level(1) index(8)         log nodes
//	y number(8)                 statement, see statementRow                             sealed
//	Y level(1) index(8)         statement tree nodes
//	K n(8)                      log key n+2: its statement, first batch, first commit         sealed
//	p                           newest signed checkpoint
//	x hour(4) first batch(8) envelope(4) part(4)   hidden part of an envelope whose data was shredded   sealed
//	X hour(4) first batch(8) envelope(4) part(4)   record roots and summaries of a shredded envelope    sealed
//	z                           a shredding that is not through                              sealed
//	D                           the newest drop: up to when, which mirrors hold it                   sealed
//	j len(1) route key          a route's journal: its anchors, and what its chain keeps
//
// # Compartments
//
// A stream has an envelope and one data compartment or more, fixed at its binding:
// Rule says which measurements go where. Scheme 1, which all new streams have,
// salts items 0 and 6 and the decoys under a key joined of the site's and all of
// the stream's (share.Joint), and seals kept frames under it, so that shredding any
// one of them leaves nothing to test guesses against; a summary's rest names no
// values and opens with the envelope. Streams of scheme 0 stay as they were bound.
//
// # Late streams
//
// What a device measured may come by another way, afterwards: a logger's file. It is
// numbered in a late stream of the binding that held when it was measured, beside the
// stream that the device sends to, with compartments and a bind statement of its own;
// a binding has one open late stream at most, also when it has ended. Its readings are
// stamped, sealed and granted by the time at which they were received, as all are: were
// the hour that of measuring, one who may read some hours could not make the summary of
// a window again, which has late readings of many.
//
// # Objects
//
// What leaves the site of a sealed quarter hour are objects: of every open stream
// and each of its compartments one at least, also where nothing came, one of the
// site if there is evidence, and the group's own. The site keeps each one's hash,
// which a later header lists, and its sealed content; SealedObject makes padding,
// hidden hashes and random bytes again and holds the result against the hash.
// OpenEnvelopePart and OpenDataPart read what an audience opened.
//
// # Log keys
//
// The ledger begins with one log key, which its id is made of, and may go to
// another by a statement that both sign. A checkpoint of s batches is signed by
// the newest key that header s-1 shows a statement of, so each size has one key,
// and an earlier head signed again comes out as it was. An intake head is signed
// by the key recorded last before its commit; the row K says which commit that is,
// as no hash does. The keyring keeps them all.
//
// # Crashes
//
// Each group commit and each window's close is one Pebble batch, so a crash
// leaves either all of it or none. The frontiers of the trees are written now
// and then (at a quarter hour's end, and every 200,000 readings); a start reads
// them and appends the record roots of the commits that came after. Sealing a
// quarter hour writes its segments first and then, in one batch, their index,
// the hour's row, the rows r and the deletion of its commits and rows n: a crash
// before that leaves segments that nothing points to, and the next start writes
// them again under other random bytes, as the nonce is drawn for each sealing. A new stream's keys are in the keyring before its rows are
// here; after a crash in between nobody uses them. So it is with another log key:
// the commit of its statement is the switch, and a key that never came to be named
// goes with the next change.
//
// # Shredding
//
// Shred forgets the keys of whole sealed quarter hours of a stream's compartments.
// With any of them the stream's joint key goes, and so do the salts of items 0 and
// 6 and of decoys and the payloads that show a frame again: nobody can test a guess
// against what stays. What everything above is made of is kept first, in rows x
// (the hashes that an envelope's object hides) and X (record roots, summaries, the
// newest counter), so that what is left is shown and proven as before. A row g
// keeps the hash that a header lists, and loses its content.
//
// Rows under the local key hold digests of frames and whatever else was never
// meant for others, and old tables may hold old versions of them. So the keyring
// gets another local key, and all of them are written under it.
//
// The row z is written with the statement. A start that finds it goes on: with the
// keyring's change where the keys are still there, with the rows where there are two
// local keys, and with deleting and compacting in any case. A crash before the
// statement leaves rows x and X that say nothing new. A keyring of after it does not
// open data of before it, nor the other way round: back up both anew.
//
// # Dropping
//
// Drop deletes what a shredding of all streams would, and keeps the keys: mirrors
// hold the objects. What is kept for all above is the same, rows X, so a reading
// that is gone still takes 32 bytes and its share of the trees. The row D is written
// with the statement, and says when the contents are deleted: a start that finds it
// without that goes on. Readers of a snapshot from before it read on.
//
// An orderly Close leaves everything in tables, whose checksums tell a damaged
// byte. After a kill the newest commits lie in the write-ahead log alone, and
// there damage near its end looks like a write that was cut off: the log is read
// up to it. Only who knows a later head (a route, the holder of a checkpoint)
// can tell.
package store
