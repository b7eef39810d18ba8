// Package proof holds what is checked long after and by strangers: the proof
// file, the receipts of chains, and the verdict over both. It reads bytes and
// hashes them; it has no clock, no network and no store.
//
// # The file
//
// A proof file is written in version 1, and read in versions 0 and 1:
//
//	version 1: "cairn/proof/1" 0a ‖ length of the body (4, big-endian) ‖ DEFLATE(body) ‖
//	           first 16 bytes of the SHA-256 of all before them
//	version 0: "cairn/proof/0" 0a ‖ body ‖ SHA-256 of all before it (32)
//
// The checksum is no protection: it tells a damaged file from a false one. How
// the body is packed (RFC 1951) is free; but it has just the length stated, at
// most 64 times that of what it is packed in, and nothing follows the last
// block. The body is one array in deterministic CBOR (RFC 8949 section 4.2.1),
// without tags, maps, floats and simple values but null. There is one body to
// what a file says: a reader refuses one that it would not write again byte for
// byte. A hash is bytes (32), a salt bytes (16), a path one byte string of up to
// 63 hashes. A position counts from 0 in another list of the file. Version 1:
//
//	body      = [ledger, [* reading], [* summary], [* batch], [* head], [* receipt],
//	             [* statement], [* range], [* extension], [* vouch]]
//	ledger    = [log public key bytes (32), nonce bytes (32)]
//	reading   = [summary position, sequence uint, width uint, [+ field], hidden path, run path]
//	field     = [index uint, item bytes, salt]
//	summary   = [batch position, tag bytes (12), item bytes, salt, path, rest (shown or null)]
//	batch     = [header bytes, slots shown, statements (shown or null), [+ [head position, path]]]
//	shown     = [item bytes, salt]
//	head      = [size uint, root hash, key id bytes (4), signature bytes (64), [* cosignature]]
//	cosignature = [name text, key id bytes (4), time uint, signature bytes (64)]
//	receipt   = [route text, head position, kind text, data bytes]
//	statement = [batch position, index uint, item bytes, salt, path]
//	range     = [[+ summary position], from uint, to uint, first uint, left path, [* numbered]]
//	numbered  = [sequence uint, width uint, [* field], hidden path]
//	extension = [old head position, new head position, path]
//	vouch     = [receipt position, kind text, data bytes]
//
// Fields ascend by index, the heads of a batch by position; a batch shows a
// statement once, a range a summary once, and of two heads there is one
// extension. Item 0 of a reading is empty in the file: it is made of the others,
// so whoever shows field 0 shows them all. The hidden path of a reading is what
// [Cover] gives: the roots of the largest subtrees of the record tree without a
// shown leaf, left to right. A numbered reading without a field has width 0, and
// the record root is its hidden path. A width is a power of two, 8 to 64.
//
// A head is the C2SP signed note, taken apart, of the checkpoint
//
//	"cairn/<ledger id>" 0a ‖ size in decimal 0a ‖ root in base64 0a
//
// with the log's signature, and after it up to 64 cosignatures of witnesses, each
// of another key: C2SP cosignature/v1 by Ed25519 (type 04), their time in Unix
// seconds from 1 to 2^63−1, their names of at most 256 bytes. In the note each is a line "— name
// base64(key id ‖ time (8, big-endian) ‖ signature)", of the log's without time.
//
// A range is of the times from, to in Unix milliseconds, without to; left are the
// roots of the largest complete subtrees over the readings before first, the
// largest first, as many as first has bits set. An extension is the consistency
// proof of RFC 9162 section 2.1.4 that the log of the old head is the beginning
// of that of the new, which is longer. A vouch is what someone says to make a
// receipt's block trusted: the kind "sync-committee" is reserved for Ethereum's
// light clients. No kind is checked, and the verdict says so.
//
// Every summary, batch and head is used by another part, and a batch shows its
// statements only for a statement. So no byte of a file is without a check, but
// for the signatures of witnesses that the policy does not name, and vouches; the
// verdict shows the former, and the latters' SHA-256. A file has a reading, a
// range or a receipt. One with neither reading, range nor statement is an update:
// its heads, extensions and receipts complete the proofs of others. It has no
// level.
//
// A file has at most 256 MiB, packed and unpacked; of each list at most
// 1,048,576 elements, and as many heads of all batches and summaries of all
// ranges, but readings of a range without limit. A part has at most 2 MiB, so a
// range without its readings, and one of those 64 KiB. A file's receipts are
// about at most 65,536 blocks, and the messages of its timestamps have at most
// 1 GiB in all.
//
// Version 0 has at most 64 MiB, at least one reading, and these:
//
//	body      = [ledger, [+ reading], [+ summary], [+ batch], [+ head], [* receipt], [* statement]]
//	reading   = [summary position, sequence uint, width uint, record root hash,
//	             [+ field], hidden path, run path]
//	summary   = [batch position, tag bytes (12), item bytes, salt, path]
//	head      = [signed note bytes]
//
// with the others as above; every head is one of a batch's, and its note has one
// signature.
//
// Items, entries and leaves are those of the packages reading and ledger, the
// hashes of trees and the signed note those of package merkle.
//
// # The steps of a verification
//
// [Verify] takes them in this order, and the first that is false ends it: then
// there is no level, whatever held before.
//
//	 1  file        The form above. ([Decode] has the checksum.)
//	 2  ledger      id = SHA256("cairn/ledger/1" ‖ log key ‖ nonce). With a policy:
//	                id and log key are the policy's.
//	 3  checkpoint  Each head is a checkpoint with origin "cairn/<id>" and one
//	                signature, by the log key or one that took over from it. No two
//	                have one size and two roots, or one root and two sizes. Each
//	                log-key statement is signed by both keys; together they lead
//	                from the log key on without a fork or a way back, by ascending
//	                number. A cosignature by a key that the policy names is right.
//	 4  log         Each batch header is this ledger's; its window reaches out of
//	                no quarter hour of Unix time; no other has its index;
//	                LeafHash(header) stands at the header's own index in the tree of
//	                each head it names. Of each extension the old head's log is
//	                shorter, and the beginning of the new one's.
//	 5  header      The slots item, and statements if shown, are what the header
//	                hides: SHA256(SHA256(item) ‖ salt). By index, the statements'
//	                trees do not shrink, and of one size have one root.
//	 6  batch       Each summary is of its header's window; the leaf of its entry,
//	                tag ‖ ff×8 ‖ SHA256(SHA256(summary) ‖ salt), stands at its own
//	                slot in the perfect tree of 1<<depth leaves with the header's
//	                batch root, depth from the slots item. A slot has one tag and a
//	                tag one slot; by index, the runs of a slot, first to next, do not
//	                overlap nor go back, and none follows a summary that is closed.
//	                A rest that is shown is the one that the summary hides.
//	 7  record      No slot has a sequence twice. Each shown item parses, in its
//	                place; sequence is the reading's, received lies in the window
//	                [from, to). From items and salts to entries and leaves, with the
//	                hidden path to the record root. With field 0: items 1…N are all
//	                shown, make a valid reading, and the tree has the width of N+1
//	                items.
//	 8  run         first ≤ sequence < next; the leaf of the reading entry, tag ‖
//	                sequence ‖ record root, stands at sequence − first in the tree of
//	                next − first leaves with the summary's run root. The tag is the
//	                summary's.
//	 9  stream      Of each range: its summaries are of one slot, by ascending index
//	                and window, and no run but the last is closed. First is 0, or
//	                the first summary's next. The readings have the numbers First to
//	                the last summary's next − 1, in order and without a hole; their
//	                fields are held as in step 7, and name one device. Left and the
//	                leaves of the reading entries give at the next of every summary
//	                its stream root, and over the numbers of its run its run root.
//	                Received, if shown, does not go back, and lies in the window of
//	                the summary whose run has the reading, or between two of them.
//	                A rest that is shown says no other stamps, counters and values
//	                than the readings of its run. No number is in two ranges, nor
//	                shown alone as well.
//	10  statements  Each stands at its index in the tree that a batch's statements
//	                item names, and is the same wherever else that index is shown.
//	                Number 0 and no other is a genesis, and has this log key and
//	                nonce; a slot has one binding and one place at most, and the
//	                binding names the device that the shown readings of that
//	                stream name. No head is signed by a
//	                key that had gone, by a statement which a batch in its log
//	                shows, or had not come, as a batch at or after its end shows.
//	11  receipt     Each is of its head's root and, if it names one, of this ledger;
//	                its route is its chain's, and its proofs hold (below).
//	12  block       Who that the verifier trusts says that the receipt's block is
//	                final. A receipt of no place of the policy's counts for nothing,
//	                and nobody is asked. Statements that name other places are
//	                followed (below).
//	13  anchor      Levels and bounds.
//	14  complete    Of each range, what it says to be complete (below). What is
//	                missing there is a finding: the level stays, and the file is
//	                refused.
//
// # Completeness
//
// A range says that of a stream all readings are here which were received in
// [From, To). It is complete if step 14 finds nothing:
//
//	from      With First above 0 the first summary's window ends at From or
//	          before it.
//	until     The last summary's window ends at To or after it, or the stream
//	          ended with it. Else what follows is the tail: it is not known yet.
//	windows   Between the windows of two summaries that are listed one after the
//	          other lie as many of the genesis's windows as their batches' indices
//	          say. A window of theirs that is longer than one is declared as a
//	          whole. Of those in between no more are missing than there are whole
//	          ones in declared time, less one for each quarter hour, as those that
//	          a gateway missed share a batch; over 32 days, less none.
//	counters  Where origins are shown, each counter is one above the last one. If
//	          it is more in one restart (upper 24 of 48 bits), the rest of the
//	          summary whose run has the later reading says that so many were lost,
//	          in all of the run, or that it is not known; otherwise a reboot
//	          statement names stream, number and both restarts, or that rest says
//	          that it is not known.
//	clock     Readings whose clock had stepped lie within a quarter hour of a clock
//	          statement, or those that follow one another have one stamp: a step
//	          back of two seconds or less is not stated, and the clock stands still
//	          until it has passed.
//
// Time is declared by gap statements, by clock statements if the clock went
// forward, each up to the time of the statement itself, and by a rest that is
// shown, for its own window.
//
// What this proves: the ledger had numbered these readings and no others by the
// time when each part was fixed, which is when the batch of the part's summary
// was anchored. As a stream's numbers have no holes, and its root at each listed
// number follows from the readings themselves, none can be left out, added,
// changed or moved, whoever makes the file; nor later, by who has the log's key,
// in a way that the anchor bears out. An empty range proves that nothing was
// numbered.
//
// What it does not: that the gateway numbered all that it received; that it
// received all that a device sent, but for the counters, which only tell of
// frames between two that came; that a gap was as it is declared, or that it was
// declared at once; that the stream is the device's only one. Of two ranges of
// one device the binding statements say when it was bound, and of nothing in
// between. What came by another way, after it was measured, is a stream of its
// own, a late one, which its bind statement tells by its kind, late, and the device
// number that it has in common with the binding which held then: no more of them are
// known than are shown, as of the newest head.
//
// # Installations
//
// A place, calibrate or attach statement tells of the device of a stream, from the
// first batch that shows it on, by index. Of a reading shown alone those are told
// which its own batch or an earlier one shows: a note of its window may be younger
// than it. A range tells those of its last summary's batch or an earlier one, and of
// each that the first reading may not have had, by which reading it was recorded. A
// reading of a range is of its summary's batch if it is of that run, else of one after
// the batch of the summary before it.
//
// A file that is given beside the proof is the one that an attach statement has as
// its digest, or a calibrate statement as its certificate, if that is its SHA-256. One
// that no statement shown names refuses the file: the level stays.
//
// # Levels
//
// A reading is logged if all holds; pending if also a receipt counts for one of
// its batch's heads; anchored if also that receipt's block is trusted; late
// instead if the policy sets a longest delay and the time that the block states
// is later than the window's end by more. So it goes for each of the policy's
// routes, where the best receipt decides, of the best the earliest. A group that
// asks for k of its members has the level of the k-th best of them, and the
// reading that of the quorum; by "quorum none" no reading is more than logged.
// Without a policy any receipt is enough. A statement has the level of a reading
// in the batch that shows it. The least reading or statement decides for the
// file. A binding names the readings of its stream from the batch that shows it
// on, by index.
//
// What anchors or cosigns a head counts also for the heads whose logs extensions
// show to be its beginning, over any number of steps. If the policy asks that
// witnesses cosign, and those that did cosign a batch's heads are too few, the
// batch is no more than logged; a policy that is open lets it pass, and the
// verdict says that it did. Cosignatures of others count for nothing.
//
// A Bitcoin block is as final as a header that the receipt shows to follow it,
// with the depth that the policy's route asks for counted from the block; a
// hash that is given by hand is final as it is, and its height is then the
// receipt's word. A receipt's own headers are reported and vouch for nothing.
// What a calendar promises leaves a reading pending at most; a timestamp with
// neither a Bitcoin block nor a promise leaves it logged.
//
// Not after: the latest time that the block may be of, for a quorum of several
// the last of these. A Bitcoin block may be of two hours before or after the
// time that it states ([BitcoinTimeSlack]), an Ethereum block is of its time. Not
// before: the earliest time that the newest block may be of which the header
// names as seen when the window opened; the batch was closed after it, which
// says nothing about when a reading was made. It is confirmed only if that
// block, too, is trusted, on Bitcoin as deep as the policy's routes there ask
// for, and has that time, and one that is goes before all that are not. A block
// that is newer than the anchor's own, or not below it on the same chain, is
// passed over. One seen on the route "ots" is of the Bitcoin network of the
// policy's calendars; if it names none of the file's, or else of mainnet.
//
// The clock: a window that ended after the latest time of the block that anchors
// it shows the gateway's clock to run ahead of that chain by the difference, one
// that opened before the earliest time of the block that its header names shows
// it to run behind; at least, and as far as the blocks state their times truly.
//
// # Succession
//
// A policy holds on when the ledger goes to another sender, script or log key,
// for those who show the statement of it. A log key takes over by a log-key
// statement (step 3 and 9); the ledger's id and origin stay those of the first.
// A place that a route or route-bitcoin statement names counts from when the
// policy's quorum is reached, late or not, for the batch that shows the
// statement, by places that count already; and so on until no more is added,
// with 64 places at most. It becomes another place of one route, the last of the
// policy's on that chain, so that it never stands for two members of a group. It
// is not followed to a chain that the policy has no route on, nor to a contract
// with a code that neither a route of that chain nor [RegistryCode] has. A
// route-ots statement adds nothing, as all calendars are one place.
//
// What a verdict does not cover it lists itself, in words: among it that a
// contract has another code than [RegistryCode], even if the policy names it;
// and, for a reading of chosen fields, that its record tree may hold more. The
// tree commits neither its width nor how many of its leaves are items, but for
// item 0: without that a leaf beyond N passes for an item.
//
// # Ethereum receipts
//
// Kind "ethereum/1". The data is the CBOR of [EthereumReceipt.MarshalBinary].
// [VerifyEthereum] checks
//
//	block hash  = keccak256(header RLP)
//	account     : state root (field 3 of the header) → keccak256(contract)
//	              → [nonce, balance, storage root, code hash]
//	storage     : storage root → keccak256(keccak256(sender ‖ ledger)) → root
//	log         : receipts root (field 5) → RLP(transaction index) → status 1, and
//	              a log of the contract with topics keccak256("Anchored(address,
//	              bytes32,bytes32)"), sender, ledger, and the root as data
//
// where each arrow is a Merkle Patricia proof whose nodes are all used, in
// order, none but the first shorter than 32 bytes. Number and time are fields 8 and 11. Fields are read by their place,
// so that headers of later forks, which add some at the end, can be read.
//
// # Bitcoin receipts
//
// Kind "bitcoin/1", route "bitcoin:<network>". The data is the CBOR of
// [BitcoinReceipt.MarshalBinary], the array
//
//	["cairn/bitcoin/1", network text, height uint, transaction bstr, index uint,
//	 branch bstr, header bstr80, following bstr]
//
// with the transaction in the form without witness, the branch one hash of 32
// bytes after the other from the leaf up, and the following headers one of 80
// after the other. Networks are mainnet, testnet4, signet and regtest.
// [VerifyBitcoin] checks
//
//	transaction : not 64 bytes long; one output alone is an OP_RETURN, and that
//	              is 6a 20 ‖ root; output 0, the change, is another
//	branch      : SHA256(SHA256(transaction)) → by pairs SHA256(SHA256(left ‖
//	              right)) → the header's merkle root, at index
//	headers     : each has the work of its bits, within the network's limit, and
//	              follows the one before it by the network's rules
//
// The place is network and the script of output 0. A height is claimed; the
// trusted headers say which block has it. Hashes stand in the order in which
// they are hashed, and are shown reversed.
//
// # OpenTimestamps receipts
//
// Kind "ots/1", route "ots". The data is the CBOR of [OTSReceipt.MarshalBinary],
// the array
//
//	["cairn/ots/1", network text, timestamp bstr, [* [height uint, header bstr80, following bstr]]]
//
// with the timestamp a node of an OpenTimestamps proof for the root, and blocks
// by ascending height. [VerifyOTS] checks each of its Bitcoin attestations: that
// the path leads to 32 bytes, and if the block is there that these are its
// merkle root, and its headers as above. Without the block, that of the same
// height in a headers file must have that merkle root. The place is the network.
//
// # Policy
//
// UTF-8 text of characters that can be seen; blank lines and lines that begin
// with # do not count; words are parted by spaces and tabs. Version 3 has the
// first line "cairn-policy 3", then
//
//	ledger <id, 64 hexadecimal digits> <verifier key of the log>
//	route <name> ethereum chain=<id> contract=0x<20 bytes> code=0x<32 bytes> sender=0x<20 bytes>
//	route <name> bitcoin network=<network> script=<22 to 34 bytes> [depth=<blocks>]
//	route <name> ots [network=<network>] [depth=<blocks>]
//	witness <name> <verifier key of the witness>
//	group <name> all|any|<k> <member>…
//	quorum <name>|none
//	cosigned <name> [open]
//	late <duration>
//
// with ledger and quorum once, cosigned and late at most once, late from 1s on,
// up to 64 routes, 64 witnesses and 64 groups. Bytes are in hexadecimal. A verifier key is that of a C2SP signed
// note, named "cairn/<id>", and the first of the log's keys; code is the
// keccak256 of the contract's runtime code; depth counts the block itself, 6 if
// it is not said; the calendars' network is mainnet if it is not said. A name is
// 1 to 64 letters, digits and -_.: and not none. A member names a route, witness
// or group that stands above; the members of a group are routes and groups of
// routes, or witnesses and groups of witnesses. The quorum names one of the
// former, cosigned one of the latter. A name stands for one thing, and is a member
// of one group at most; a place has one name, and so has a key. The quorum may be
// left out where there is one route and no group of routes: then it is that.
//
// A witness's verifier key is that of a C2SP signed note for cosignature/v1 by
// Ed25519 (type 04), with the name that it signs with, which need not be the
// policy's for it. Where cosigned is not met a batch is no more than logged, or
// with the word open as it is without.
//
// A Bitcoin anchor can be written as an OpenTimestamps proof of the same network
// too, so that a group of both asks for no more than either. The verdict says so
// where two routes rest on one block.
//
// Version 2 has the first line "cairn-policy 2", and no lines witness and
// cosigned. Version 1 has the first line "cairn-policy 1", the lines ledger and late, and
// routes of the form
//
//	route ethereum chain=<id> contract=0x<20 bytes> code=0x<32 bytes> sender=0x<20 bytes>
//
// of which any one is enough.
//
// # Headers files
//
// Whoever gives one says that these blocks are final. Of several who are trusted
// one is enough. Ethereum's is text in the same manner. The first line is
// "cairn-headers 1", each other
//
//	ethereum <chain id> 0x<header RLP>
//
// Bitcoin's is binary, with big-endian integers:
//
//	"cairn/headers/1" 0a ‖ length of the network's name (1) ‖ name ‖
//	height of the first header (4) ‖ count (4) ‖ count × header (80) ‖
//	SHA-256 of all before it (32)
//
// Its headers are checked against the network's rules as [ParseBitcoinHeaders]
// does, and vouch for a block only if they hold the newest block that this
// program knows ([BitcoinHeaders.Connected]) and as many stand upon it as the
// policy's depth asks for. Their work keeps others from making such on
// mainnet alone; on signet the signatures in blocks are not checked.
//
// # Evidence of fraud
//
// A file of evidence holds two things that the holder of the log's key signed and
// of which at most one is true, and no more than that needs: no reading, no anchor's
// receipt, no neighbour. Version 1 is
//
//	"cairn/fraud/1" 0a ‖ length of the body (4, big-endian) ‖ DEFLATE(body) ‖
//	first 16 bytes of the SHA-256 of all before it
//
// with a body as in a proof file of version 1, of at most 1 MiB as the file is
// too: how it is packed is free, the body has one form.
//
//	body      = [ledger, kind text, [* handover], side, side, prefix (or null)]
//	ledger    = [log public key bytes (32), nonce bytes (32)]
//	handover  = bytes, a log-key statement
//	side      = [head, batch, summary, statement, node (each or null), handover (or empty)]
//	            or, where something is taken, [null, null, null, null, null, bytes taken]
//	head      = [size uint, root hash, key id bytes (4), signature bytes (64)]
//	batch     = [header bytes, path, slots, statements (each shown or null)]
//	summary   = [tag bytes (12), item bytes, salt, path]
//	statement = [index uint, item bytes, salt, path]
//	node      = [level uint, index uint, hash, path]
//	taken     = [tag bytes (12), sequence uint, record root hash, index uint, path,
//	            intake head bytes, signature bytes (64)], encoded as the body is
//	prefix    = [root hash, path]
//
// It is evidence ([VerifyFraud]) if
//
//	key       the handovers, up to 256, lead by both their signatures from the log
//	          key to each key that signed here, and none is of another key
//	head      is signed by one of these keys: the checkpoint of that size and root
//	          with origin "cairn/<id>", and no signature but the log's
//	batch     is in the log of its side's head at its index, and shows slots and
//	          statements as its header hides them: steps 4 and 5
//	summary   is at its slot in its side's batch: step 6
//	statement is at its index in the tree that its side's batch names: step 10
//	node      is a complete subtree, the leaves from index·2^level on, 2^level of
//	          them: by its path, as the leaf at index of a tree whose leaves are
//	          the nodes of that level
//	taken     is by its path at index in the tree of a group commit (the entry is tag ‖
//	          sequence ‖ record root), whose head one of these keys signed, of this
//	          ledger, over its bytes
//	prefix    is what the second side's tree was at the size of the first's: by its
//	          path, RFC 9162 section 2.1.4, from that root to the second side's
//
// and the sides exclude one another in the way of the kind. Each has these parts
// beside its head, and no others:
//
//	two-roots                –                   one size, two roots
//	two-sizes                –                   one root, two sizes
//	not-extended             prefix              the first size is the smaller; the prefix is not the first root
//	two-parts                node                of the heads' logs: one level and index, two hashes
//	two-headers              batch               one index, two headers
//	runs-contradict          summary             one slot, the first index the lower; the second run begins before
//	                                             the first ends, or is not empty though the first closed the stream
//	stream-not-extended      summary, prefix     one slot; of the streams: the prefix is not the first's root
//	two-tags                 summary             one slot, two tags
//	two-readings             summary, node       one slot; the first node a leaf of its run, the second a leaf of its
//	                                             stream, of one number, with two hashes
//	two-statements           statement           one index, two items
//	statements-not-extended  statements, prefix  of the trees of statements: the prefix is not the first's root
//	statements-shrunk        statements          the first index is the lower, and its tree the greater
//	two-handovers            handover, no head   one old key, two new ones
//	receipt-not-in-run       taken, no head;     one tag; the node is a leaf of the second's run, of the number that was
//	                         summary, node       taken, with another hash
//	receipt-not-in-stream    taken, no head;     one tag; the node is a leaf of the second's stream, of the number that
//	                         summary, node       was taken, with another hash
//	receipt-after-end        taken, no head;     one tag; the second's stream is closed, and has no such number
//	                         summary
//
// where a summary stands for batch, slots and summary, statements for batch and
// statements, and a statement for all three. What is taken is the first side's, what
// follows it the second's. Two signed handovers are enough
// without a head: a key is given away once.
//
// Nobody without one of the log's keys can make such a file, since paths give
// what they lead to no choice. It says nothing of who held the key, why, or which
// of the two is true. [Compare] finds contradictions in several files; what
// it needs between two heads, a prefix, it takes from extensions and from the
// paths of batches, and says where these do not suffice.
//
// # Upgrades
//
// [Upgrade] completes a proof from other files of its ledger: it adds receipts
// and cosignatures of heads that the proof has, of heads that extend these, and
// of heads that have the proof's batches; for what a head lacks on a route the
// smallest head that has it, with the extension or path there, and the log-key
// statements that its signature needs. Calendars' receipts of one root become
// one. [CompleteCalendars] adds what calendars answer, up to 64 questions and
// four promises in a row, and keeps the promises: an answer is only their word.
// Nothing is dropped, and the level never falls.
//
// # Exports
//
// One thing that a verified file shows can be written in the formats of others:
// a field, a statement, a batch header. Each step from there to a chain is
// SHA-256 of the message with something before and after it:
//
//	digest   SHA-256 of what is shown: an item's bytes
//	leaf     00 ‖ · ‖ salt
//	tree     · ‖ right sibling or left sibling ‖ ·, after 01: record, statements, run,
//	         stream, batch, log
//	entry    00 ‖ tag ‖ sequence ‖ ·, of a record root
//	summary  the item's bytes around the run or stream root; · ‖ salt; 00 ‖ tag ‖ ff×8 ‖ ·
//	header   00 and the header's bytes around the batch root, or around its hidden
//	         statements item, that is the item's bytes around the root and · ‖ salt
//	Bitcoin  the transaction's bytes around the log's root, twice; · ‖ sibling or
//	         sibling ‖ ·, twice, for each of the block's levels
//
// Of a batch header itself what is shown is 00 ‖ header: no path leads on from the
// hash of the header alone. Of a reading in a range, the path is that of the
// earliest of the range's summaries that leads to an anchor. A head that a batch
// does not name is reached through the file's extensions, whose hashes make the
// path under the newer head out of that under the older.
//
// [ExportOTS], an OpenTimestamps file (.ots, above): the bytes that are shown
// were there when a Bitcoin block was made. It has every Bitcoin block and every
// promise of the file's receipts, on one network, which the format does not
// name; of very many, those of the smallest heads. ([Counting] leaves those
// receipts that count for a policy.) A left sibling takes two operations, a right one three, the rest of the
// path fifteen, the transaction four and each level of its block three. Readers
// follow 255: so 56 levels of trees fit below the fullest block, and 48 below a
// calendar's path of 46 operations. What does not fit is refused. Lost are the
// log's signature and the ledger's identity, whose reading it is and what it
// means, every word on lateness, other chains' anchors, and with them the quorum
// of a policy. The ends of a path tell the tag, the number, and the item of the
// summary, as the file did.
//
// [ExportChainpoint], a Chainpoint v4 proof in JSON: the same by one Bitcoin
// receipt. Chainpoint has no Keccak-256, so no anchor in Ethereum.
//
// [ExportTlogProof], a C2SP tlog-proof, and [ExportCheckpoint], the C2SP
// tlog-checkpoint in it: a batch header is in the log at its index, under a head
// that the log and, if there are cosignatures, witnesses signed. What is shown is
// the header. Lost is what the batch holds, and every anchor.
//
// [ExportCOSE], a COSE receipt of inclusion (RFC 9942): the same, signed by the
// log's key anew, as only who has it can. Lost are the cosignatures too, and the
// checkpoint itself.
//
// What others have stamped is checked by [VerifyForeign].
package proof
