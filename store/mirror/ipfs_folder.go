package mirror

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/ipfs"
	"cairn/store/share"
)

// A ledger on IPFS is a chain of folders, one for each sealed group, and a head that is replaced now and then and has
// the live group. Each is a directory of these files:
//
//	about        what it is; lines of text, see below
//	headers      the log's entries from…next−1 as an entry bundle of tlog-tiles, not compressed
//	checkpoint   a signed head of next batches
//	update       the newest anchors that are not beyond it, a proof file; if there are any
//	group        the group object ‖ filler
//	sealed       the group's other objects, in the order in which the group object lists them ‖ filler
//	statements   in a head: the leaf hashes of all statements before the group's, for those whose keys open none of the
//	             groups that have them; random (32) ‖ sealed under the key of the index, purpose "ipfs-statements", to
//	             SHA-256 of about: count (8) ‖ count × 32 ‖ zeros up to a power of two
//
// about is
//
//	cairn/ipfs/1
//	ledger HEX                      the ledger's id
//	log FROM NEXT                   the entries in headers
//	group HOUR sealed|live INDEX    if there are the files group and sealed: of the batches FROM…NEXT−1
//	previous FROM NEXT CID          the folder of the batches before FROM, unless FROM is 0
//
// each line ending with a newline, numbers in decimal. INDEX is hexadecimal:
//
//	random (32) ‖ sealed under the hour's key of the compartment ledger, purpose "ipfs-index", to SHA-256 of the lines
//	before the group's: SHA-256 of the group object (32) ‖ its length (4)
//
// Who has no key sees which quarter hours and batches a folder is of, which the public log tells too. Neither how many
// objects there are nor how large one is can be seen: all lie end to end in one file, whose length is a power of two.
// Filler is the key stream of AES-256 in counter mode, under a key that is derived from that of the compartment ledger
// for one file of one group: who has it knows the lengths anyway. An object that the publisher could not make, because
// it was shredded before, is filler too.
type Folder struct {
	Ledger     merkle.Hash
	From, Next uint64
	Headers    func(index uint64) ([]byte, error) // the log's entries
	Checkpoint []byte
	Update     []byte // nil: none
	Previous   *FolderLink

	Group *FolderGroup // nil: of batches that no group object is to be had of
}

// FolderLink is where the folder of earlier batches is.
type FolderLink struct {
	From, Next uint64
	CID        ipfs.CID
}

// FolderGroup is what a folder has of its group.
type FolderGroup struct {
	Ref     store.GroupRef
	Key     share.HourKey // of the compartment ledger
	Objects []store.ObjectRef
	// Get makes an object again, that of the ledger for a nil ref. store.ErrShredded: it is left out.
	Get func(ref *store.ObjectRef) ([]byte, error)
	// Leaves are those of the statements before the group's; nil: they are not told.
	Leaves []merkle.Hash
	// Least are the lengths that the two files have at least, so that what they hold does not show in how they change.
	Least Lengths
}

// Lengths are those of the files with filler.
type Lengths struct{ Group, Sealed int64 }

const (
	minGroup  = 32 << 10
	minSealed = 64 << 10
	minLeaves = 64 << 10
)

// Files of a folder on IPFS.
const (
	ipfsAbout      = "about"
	ipfsHeaders    = "headers"
	ipfsCheckpoint = "checkpoint"
	ipfsUpdate     = "update"
	ipfsGroup      = "group"
	ipfsStatements = "statements"
	// SealedFile is the one that retention lets go.
	SealedFile = "sealed"
)

const (
	ipfsType        = "cairn/ipfs/1"
	purposeIndex    = "ipfs-index"
	purposeLeaves   = "ipfs-statements"
	ipfsIndexSize   = 32 + 32 + 4 + share.Overhead
	maxAbout        = 4096
	maxFolderHeader = 4096 // entries of one folder
)

// MaxFolder is how many batches a folder may have.
const MaxFolder = maxFolderHeader

// Lengths are those that the folder's two files need by themselves.
func (g *FolderGroup) Lengths() Lengths {
	total := int64(0)
	for _, o := range g.Objects {
		total += o.Size
	}
	return Lengths{powerOfTwo(g.Ref.Size, minGroup), powerOfTwo(total, minSealed)}
}

// powerOfTwo is the least one that is not below n and least.
func powerOfTwo(n, least int64) int64 {
	if n <= least {
		return least
	}
	return 1 << bits.Len64(uint64(n-1))
}

// Directory computes the folder's CID. The same folder has the same one.
func (f *Folder) Directory() (*ipfs.Directory, error) {
	if f.Next <= f.From || f.Next-f.From > maxFolderHeader {
		return nil, fmt.Errorf("a folder of the batches %d to %d: at most %d", f.From, f.Next, maxFolderHeader)
	}
	var headers []byte
	for at := f.From; at < f.Next; at++ {
		e, err := f.Headers(at)
		if err == nil {
			headers, err = merkle.AppendEntry(headers, e)
		}
		if err != nil {
			return nil, fmt.Errorf("header %d: %w", at, err)
		}
	}
	files := []ipfs.File{
		ipfs.Bytes(ipfsAbout, f.about()), ipfs.Bytes(ipfsHeaders, headers), ipfs.Bytes(ipfsCheckpoint, f.Checkpoint),
	}
	if f.Update != nil {
		files = append(files, ipfs.Bytes(ipfsUpdate, f.Update))
	}
	if g := f.Group; g != nil {
		files = append(files, ipfs.File{Name: ipfsGroup, Write: g.writeGroup}, ipfs.File{Name: SealedFile, Write: g.writeSealed})
		if g.Leaves != nil {
			files = append(files, ipfs.Bytes(ipfsStatements, g.sealLeaves(f.about())))
		}
	}
	return ipfs.NewDirectory(files)
}

func (f *Folder) about() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nledger %v\nlog %d %d\n", ipfsType, f.Ledger, f.From, f.Next)
	if g := f.Group; g != nil {
		kind := "sealed"
		if g.Ref.Live {
			kind = "live"
		}
		fmt.Fprintf(&b, "group %d %s %x\n", g.Ref.Hour, kind, g.index(b.Bytes()))
	}
	if p := f.Previous; p != nil {
		fmt.Fprintf(&b, "previous %d %d %v\n", p.From, p.Next, p.CID)
	}
	return b.Bytes()
}

// index seals which group object it is.
func (g *FolderGroup) index(before []byte) []byte {
	plain := binary.BigEndian.AppendUint32(bytes.Clone(g.Ref.Object[:]), uint32(g.Ref.Size))
	aad := sha256.Sum256(before)
	// A hash of what is sealed stands for random bytes: one key never seals two messages.
	random := [32]byte(g.derive("index", append(aad[:], plain...)))
	return g.Key.SealMessage(random[:], purposeIndex, &random, aad[:], plain)
}

// sealLeaves seals the statements, to all that about says.
func (g *FolderGroup) sealLeaves(about []byte) []byte {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(g.Leaves)*merkle.HashSize), uint64(len(g.Leaves)))
	for i := range g.Leaves {
		plain = append(plain, g.Leaves[i][:]...)
	}
	plain = append(plain, make([]byte, powerOfTwo(int64(len(plain)), minLeaves)-int64(len(plain)))...)
	aad := sha256.Sum256(about)
	random := [32]byte(g.derive("statements", append(aad[:], plain...)))
	return g.Key.SealMessage(random[:], purposeLeaves, &random, aad[:], plain)
}

// openLeaves opens what sealLeaves sealed.
func openLeaves(k share.HourKey, about, b []byte) ([]merkle.Hash, error) {
	if len(b) < 32+8+share.Overhead {
		return nil, errAbout
	}
	aad := sha256.Sum256(about)
	plain, err := k.OpenMessage(nil, purposeLeaves, (*[32]byte)(b[:32]), aad[:], b[32:])
	if err != nil {
		return nil, err
	}
	count := binary.BigEndian.Uint64(plain)
	if plain = plain[8:]; count > uint64(len(plain)/merkle.HashSize) {
		return nil, errAbout
	}
	return splitHashes(plain[:count*merkle.HashSize]), nil
}

func (g *FolderGroup) derive(what string, of []byte) []byte {
	m := hmac.New(sha256.New, g.Key.Seal[:])
	m.Write([]byte("cairn/ipfs-" + what + "/1"))
	m.Write(of)
	return m.Sum(nil)
}

// fill writes filler: for a file of this group, or an object of it.
func (g *FolderGroup) fill(w io.Writer, what string, of merkle.Hash, length int64) error {
	block, err := aes.NewCipher(g.derive("filler", append([]byte(what), of[:]...)))
	if err != nil {
		return err
	}
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	var zeros, part [4096]byte
	for length > 0 {
		n := min(length, int64(len(part)))
		stream.XORKeyStream(part[:n], zeros[:n])
		if _, err := w.Write(part[:n]); err != nil {
			return err
		}
		length -= n
	}
	return nil
}

func (g *FolderGroup) writeGroup(w io.Writer) error {
	b, err := g.Get(nil)
	if err != nil {
		return fmt.Errorf("group of batch %d: %w", g.Ref.First, err)
	}
	if int64(len(b)) != g.Ref.Size || hashOf(b) != g.Ref.Object {
		return fmt.Errorf("the group object of batch %d is not the one that was announced", g.Ref.First)
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	return g.fill(w, ipfsGroup, g.Ref.Object, max(g.Lengths().Group, g.Least.Group)-g.Ref.Size)
}

func (g *FolderGroup) writeSealed(w io.Writer) error {
	left := max(g.Lengths().Sealed, g.Least.Sealed)
	for i := range g.Objects {
		o := &g.Objects[i]
		left -= o.Size
		b, err := g.Get(o)
		if errors.Is(err, store.ErrShredded) {
			if err := g.fill(w, "object", o.Hash, o.Size); err != nil {
				return err
			}
			continue
		}
		if err == nil && (int64(len(b)) != o.Size || hashOf(b) != o.Hash) {
			err = errors.New("it is not the one that the group lists")
		}
		if err != nil {
			return fmt.Errorf("object %v of group %d: %w", o.Hash, g.Ref.First, err)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return g.fill(w, SealedFile, g.Ref.Object, left)
}

// about is what a folder says of itself.
type about struct {
	ledger     merkle.Hash
	from, next uint64
	hour       share.Hour
	group      bool
	live       bool
	index      []byte
	indexed    [sha256.Size]byte // what the index is sealed to
	previous   *FolderLink
}

var errAbout = errors.New("it is no folder of a ledger")

// parseAbout reads the file about, in the one form that about writes.
func parseAbout(b []byte) (a about, err error) {
	lines := strings.SplitAfter(string(b), "\n")
	if lines[len(lines)-1] != "" || len(lines) < 4 || lines[0] != ipfsType+"\n" {
		return a, errAbout
	}
	var l string
	if n, err := fmt.Sscanf(lines[1], "ledger %64s\n", &l); n != 1 || err != nil {
		return a, errAbout
	}
	if a.ledger, err = parseHash(l); err != nil {
		return a, errAbout
	}
	words := func(line, first string, n int) []string {
		w := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(w) != n || w[0] != first {
			return nil
		}
		return w[1:]
	}
	w := words(lines[2], "log", 3)
	if w == nil || !span(w, &a.from, &a.next) {
		return a, errAbout
	}
	rest := lines[3 : len(lines)-1]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "group ") {
		w := words(rest[0], "group", 4)
		if w == nil || !a.parseGroup(w) {
			return a, errAbout
		}
		a.indexed = sha256.Sum256([]byte(lines[0] + lines[1] + lines[2]))
		rest = rest[1:]
	}
	if len(rest) > 0 {
		w := words(rest[0], "previous", 4)
		a.previous = &FolderLink{}
		if w == nil || !span(w, &a.previous.From, &a.previous.Next) || a.previous.Next != a.from {
			return a, errAbout
		}
		if a.previous.CID, err = ipfs.ParseCID(w[2]); err != nil {
			return a, errAbout
		}
		rest = rest[1:]
	}
	if len(rest) > 0 || (a.previous == nil) != (a.from == 0) {
		return a, errAbout
	}
	return a, nil
}

// span reads two numbers, the first below the second.
func span(w []string, from, next *uint64) bool {
	for i, to := range []*uint64{from, next} {
		n, err := strconv.ParseUint(w[i], 10, 62)
		if err != nil || strconv.FormatUint(n, 10) != w[i] {
			return false
		}
		*to = n
	}
	return *from < *next && *next-*from <= maxFolderHeader
}

func (a *about) parseGroup(w []string) bool {
	hour, err := strconv.ParseUint(w[0], 10, 32)
	if err != nil || strconv.FormatUint(hour, 10) != w[0] || share.Hour(hour) >= share.Hours {
		return false
	}
	a.group, a.hour, a.live = true, share.Hour(hour), w[1] == "live"
	if !a.live && w[1] != "sealed" || len(w[2]) != 2*ipfsIndexSize || strings.ToLower(w[2]) != w[2] {
		return false
	}
	a.index, err = hex.DecodeString(w[2])
	return err == nil
}

// ref opens the index.
func (a *about) ref(k share.HourKey) (r store.GroupRef, err error) {
	random := (*[32]byte)(a.index[:32])
	plain, err := k.OpenMessage(nil, purposeIndex, random, a.indexed[:], a.index[32:])
	if err != nil {
		return r, err
	}
	if len(plain) != 36 {
		return r, errAbout
	}
	return store.GroupRef{
		First: a.from, Next: a.next, Hour: a.hour, Live: a.live, Object: merkle.Hash(plain[:32]), Size: int64(binary.BigEndian.Uint32(plain[32:])),
	}, nil
}
