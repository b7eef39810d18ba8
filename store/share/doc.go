// Package share holds the secrets of a site and everything derived from them:
// the key tree of each compartment, the keys of each hour, the salts, the
// sealing of bytes for storage and sharing, the keyring file, and the bundles by
// which hours are granted.
//
// # Hours
//
// An hour is a quarter hour of Unix time: hour h spans the seconds 900·h to
// 900·(h+1). There are 2^22 hours, from 1970 to the year 2089.
//
// # Key tree
//
// Each compartment has one binary tree of 32-byte nodes (Goldreich, Goldwasser
// and Micali, "How to construct random functions", 1986), 22 levels deep; leaf h
// belongs to hour h. The root is random, all else derived:
//
//	left child  = HMAC-SHA256(key: node, "cairn/left/1")
//	right child = HMAC-SHA256(key: node, "cairn/right/1")
//	seal key    = HMAC-SHA256(key: leaf, "cairn/seal/1")
//	salt key    = HMAC-SHA256(key: leaf, "cairn/salt-key/1")
//
// Who has a node has all hours below it and no other. A grant is the smallest
// set of nodes that spans its hours ([Tree.Cover]). Shredding replaces nodes by
// those children that stay and forgets the rest ([Tree.Puncture]); neither can
// be taken back.
//
// A tree on disk, all integers big-endian:
//
//	"cairn/tree/1" (12) ‖ count (2) ‖ count × ( level (1) ‖ index (4) ‖ node (32) )
//
// Level 0 is the root; the node (level, index) spans the hours
// index·2^(22−level) up to (index+1)·2^(22−level). Nodes are in order of their
// hours and do not overlap.
//
// # Salts
//
// The salt of a committed item is one AES-256 block encryption under
//
//	HMAC-SHA256(key: salt key, "cairn/salt/1" ‖ length of label (1) ‖ label ‖ slot (8) ‖ incarnation (16))
//
// of a block that the label's owner defines (for a field: sequence (8) ‖ index (8)).
// Salts that belong to no stream use the slot [NoStream].
//
// # Joint keys
//
// What tells something of all compartments of a stream at once, such as the hash
// of a whole reading, has a key made of theirs for the hour ([Joint]): of the
// site, the envelope and the data compartments in order of their ids,
//
//	seal key = HMAC-SHA256(key: site's seal key, "cairn/joint-seal/1" ‖ envelope's seal key (32) ‖ data's seal keys (32 each))
//	salt key = HMAC-SHA256(key: site's salt key, "cairn/joint-salt/1" ‖ envelope's salt key (32) ‖ data's salt keys (32 each))
//
// Who lacks any one of them has nothing, so a compartment shredded takes these
// keys along: no guess can be tested against the hashes that stay.
//
// # Sealing
//
//	key    = HKDF-SHA256(secret: seal key, salt: random (32), info: "cairn/seal/1 " ‖ purpose), 32 bytes
//	sealed = AES-256-GCM(key, nonce: 12 zero bytes, plain, additional data)    // ciphertext ‖ tag (16)
//
// The random bytes are kept beside the sealed ones. They are drawn anew for each
// message, so that a key seals one message only; that is what makes the fixed
// nonce safe.
//
// # Object
//
// What leaves the site: what one compartment has of a run of batches of an hour
// ([HourKey.SealObject]).
//
//	random (32)
//	‖ sealed length of content: 4 bytes, big-endian (+ 16)      purpose "object-size"
//	‖ sealed content (+ 16)                                     purpose "segment"
//	‖ sealed rest (+ 16)                                        purpose "object-rest"
//	rest = length of hidden (unsigned LEB128) ‖ hidden ‖ zeros
//
// All three have the same random, which is drawn for this object alone, and the
// same additional data, the object's place in the ledger. The zeros make the whole
// a multiple of a length that the site chooses, so that the size tells little; at
// most 256 MiB. A site keeps the sealed content alone and makes the rest again.
//
// # Bundle
//
// A bundle hands over what a grant gives ([SealBundle], [OpenBundle]): an age file
// (binary) to the audience's recipients, any mix of X25519, ssh-ed25519 and
// ssh-rsa, or post-quantum hybrid ones alone; never a passphrase. Its plaintext is
// deterministic CBOR, at most 64 MiB:
//
//	["cairn/grant/1", ledger id bstr32, log public key bstr32, nonce bstr32, grant number uint,
//	  audience tstr, purpose tstr, from ms uint, until ms uint|null, access ms uint|null,
//	  through uint, issued ms uint,
//	  [[compartment id uint, name tstr, [[level uint, index uint, node bstr32] …]] …],
//	  [[statement number uint, item bstr, salt bstr16] …],
//	  token tstr]
//
// The grant's number is that of its statement, 2^64−1 for keys recovered from
// escrow ([Recovered]). Hours are granted from "from", rounded up to a quarter
// hour, to "until", rounded down; through is the first hour that is not released
// yet. Compartments ascend by id and their names differ; the site is never among
// them but in a recovered bundle. Nodes are in order of their hours, disjoint, and
// give no hour before from or at and after the earlier of until and through; a
// bundle with one that does is neither sealed nor opened. Statements ascend by
// number. The token, "" for none, gets the audience's objects from a gateway or
// mirror.
//
// An age file is not signed: who opens a bundle knows what it holds, not who made
// it, and checks its statements and what it opens against the ledger. The header
// of the file tells which SSH keys it is sealed to, but not which X25519 ones.
//
// What was granted cannot be taken back. The bundles of one grant, made again as
// hours are released, open its released hours together and nothing else; so do
// those of several audiences who pool them.
//
// # Keyring file
//
//	"cairn/keyring/1 " ‖ "passphrase" or "identity" ‖ " " ‖ length of wrapped (decimal) ‖ "\n"
//	wrapped     an age file; its plaintext is an X25519 identity in age's text form ("AGE-SECRET-KEY-1…")
//	body        an age file encrypted to that identity alone
//	checksum    SHA-256 of all before it (32)
//
// The wrapped part is encrypted with a passphrase (scrypt) or to all identities
// of an age identity file; a credential of the service manager is the one or the
// other ([Wrap]). It is made once: a change of the keyring encrypts a new body and
// needs neither the passphrase nor the scrypt work, see [Rewrap] for a new
// passphrase. [Edit.Rewrap] draws the identity between anew and makes the wrapped
// part again, so that who took it from an earlier copy of the file, without the
// passphrase, opens no later body. The checksum tells damage from a wrong
// passphrase before any work is done.
//
// The body is deterministic CBOR (RFC 8949 §4.2.1):
//
//	["cairn/keyring-body/1", log seed bstr32, nonce bstr32, tag key bstr32, local key bstr32,
//	  [[id uint, name tstr, tree bstr] …],     // id = 1, 2, 3 …; 1 is "ledger", 2 is "site"; names unique
//	  [[name tstr, value bstr] …]]             // in order of names, unique
//
// The log seed is the private key seed of RFC 8032. Once another log key was
// drawn ([Edit.AddLogKey]) the body is
//
//	["cairn/keyring-body/2", …the same…, [later log seed bstr32, …]]
//
// with the seeds of the later log keys in the order in which they were drawn, at
// least one and none twice. A body without any is written as above, so a keyring
// whose log key never changed stays as it was; a program that knows the first
// version alone refuses the second. All log keys stay, but for those that signed
// nothing ([Edit.DropLogKey]). Which of them signs is not told here but by the
// ledger's statements.
//
// While an old local key stays beside the new one, from [Edit.NewLocalKey] to
// [Edit.DropOldLocalKey], the body is
//
//	["cairn/keyring-body/3", …the same as in the second, where later log seeds may be none…, old local key bstr32]
//
// with the new local key in the place of the first version's. Afterwards it is of
// the first or second version again.
//
// A change writes PATH.new in the same folder (mode 0600), syncs it, renames it
// over PATH and syncs the folder. A crash before the rename leaves the old
// keyring and perhaps PATH.new, which is never read and goes with the next open;
// a crash after it leaves the new one.
//
// A failure to rename or to sync the folder after which the file may be the new
// one is [ErrBroken]: the keyring is opened again to see which of the two it is.
//
// What the file does not do: shredding and deleting act on the keyring as it is
// now. Copies of the file made earlier, and blocks that the disk has freed but
// not reused, still hold what they held, and open with the passphrase of their
// time.
package share
