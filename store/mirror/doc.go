// Package mirror keeps an independent copy of a ledger: it follows a gateway or
// another mirror, holds everything against what the ledger's key signed, keeps it in
// a folder of plain files, and serves it on.
//
// # The folder of a copy
//
//	ledger.json                  whose log it is: id, first log key, nonce
//	checkpoint                   the newest signed head, a C2SP tlog-checkpoint
//	tile/…                       the log up to it, as C2SP tlog-tiles
//	sealed/<first %012d>/group   group object of the batches from first on
//	sealed/<first %012d>/<hex>   another object of the group, by its SHA-256
//	sealed/index                 records of the sealed groups, 64 bytes each, in order
//	sealed/live                  the groups that are not sealed yet, JSON
//	statements                   leaf hashes of the ledger's statements, 32 bytes each
//	update                       the newest heads and receipts, a proof file without readings
//	anchors/<route>/<size %012d> the anchor of the head of so many batches by a route, likewise; in the
//	                             route's name "_" stands for ":"
//	grants/<n>.age               the bundle of grant n
//	evidence/…                   signed things that exclude one another, never replaced
//	state.json                   up to where the above counts
//
// A record of the index is
//
//	first batch (8) ‖ next batch (8) ‖ hour (4) ‖ 0 (4) ‖ size (8) ‖ SHA-256 of the group object (32)
//
// in big-endian. Nothing in the folder opens anything: the keys stay outside.
//
// # Order of writes
//
// Tiles are made in a folder beside, moved, and count once the checkpoint is
// replaced. A group's files are written first, then the leaves of its statements,
// then its record, and it counts once the state is replaced. So a copy that was
// killed at any point is the one before or the one after, and goes on from there.
//
// # Paths
//
// Handler serves, below the address of a ledger, by GET:
//
//	checkpoint                      the signed note; 404 before the first
//	tile/…                          C2SP tlog-tiles
//	sealed/groups?from=N            JSON array of at most 1,000 references to the groups that end beyond
//	                                batch N: {"first", "next", "hour", "live", "object", "size"}
//	sealed/<first>/group            the group object
//	sealed/<first>/<hex>            another object of the group
//	sealed/pack?groups=A,…&of=C,…   many objects at once, see MaxPack
//	sealed/statements?from=A&to=B   leaf hashes, 32 bytes each, at most 65,536
//	sealed/update                   404 if nothing is anchored
//	sealed/update?of=A,B,…          of at most 512 batches, what the anchors are that held each first
//	sealed/grants                   JSON array of the grants whose bundles there are
//	sealed/grants/<n>               a bundle
//
// A mirror has HeldHandler beside it, which shows that it holds the objects of some
// groups by the answer to a question that nobody could foresee (see Held).
//
// Below grant/<n>/ Handler serves the same for the audience of grant n: its own bundle, the
// groups of its hours, and of their objects those of its compartments. There its
// bearer token is always needed: 401 without one, 403 with another or for what is
// not the grant's, 410 once its access has ended. The other paths are for whoever
// Access lets have everything, and for mirrors by the token of their grant. 410 is
// also what was there and is not any more.
package mirror
