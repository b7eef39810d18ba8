package proof

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// maxLogKeys bounds how often a log's key may have changed: each head is tried
// with all.
const maxLogKeys = 256

// logKey is a key that the log's heads may be signed with.
type logKey struct {
	key       [32]byte
	statement uint64 // number of the log-key statement that names it; 0 for the first
	id        [4]byte
}

// logKeys finds the log's keys: the first, which the ledger's id is made of,
// and those that it was handed over to by statements that the file shows, each
// signed by the key before and the key after. That these statements are in the
// ledger is checked with the others.
func (c *checker) logKeys() *fault {
	type handover struct {
		to        [32]byte
		statement uint64
	}
	next := make(map[[32]byte]handover)
	for i := range c.f.Statements {
		s := &c.f.Statements[i]
		st, err := ledger.ParseStatement(s.Item)
		if err != nil || st.Kind != ledger.KindLogKey {
			continue // step 10 says what is wrong
		}
		k, err := ledger.LogKeyFrom(st)
		if err != nil {
			return &fault{CodeLogKey, fmt.Errorf("statement %d: %w", i, err)}
		}
		h := handover{k.New, s.Index}
		if other, ok := next[k.Old]; ok && other != h {
			return faultf(CodeFork, "statement %d: the log's key was handed over by number %d too", i, other.statement)
		} else if ok {
			continue // step 10 holds that one number is one statement
		}
		if err := k.Verify(c.id, st.At); err != nil {
			return &fault{CodeLogKey, fmt.Errorf("statement %d: %w", i, err)}
		}
		if next[k.Old] = h; len(next) > maxLogKeys {
			return faultf(CodeLogKey, "over %d log keys", maxLogKeys)
		}
	}
	c.keys = []logKey{{key: c.f.Ledger.Key}}
	seen := map[[32]byte]bool{c.f.Ledger.Key: true}
	for {
		last := c.keys[len(c.keys)-1]
		h, ok := next[last.key]
		switch {
		case !ok && len(next) != len(c.keys)-1:
			return faultf(CodeLogKey, "a log-key statement hands over a key that was not this log's, as far as the file shows")
		case !ok:
			return nil
		case seen[h.to]:
			return faultf(CodeLogKey, "statement number %d hands the log back to a key that it had before", h.statement)
		case h.statement <= last.statement:
			return faultf(CodeLogKey, "statement number %d hands over a key that number %d only brings", h.statement, last.statement)
		}
		seen[h.to] = true
		c.keys = append(c.keys, logKey{h.to, h.statement, keyID(ledger.Origin(c.id), h.to)})
	}
}

// openHead opens a head by whichever of the log's keys signed it, and returns
// that key's position.
func (c *checker) openHead(note []byte, origin string) (merkle.Checkpoint, int, error) {
	var first error
	ids := noteKeyIDs(note)
	for i := range c.keys {
		if i > 0 && !ids[c.keys[i].id] {
			continue // a file may have many heads and many keys
		}
		cp, err := merkle.OpenCheckpoint(note, origin, ed25519.PublicKey(c.keys[i].key[:]))
		if err == nil {
			return cp, i, nil
		}
		// Of several errors the one that is not about the key tells most.
		if code := checkpointCode(err); first == nil || code != CodeUnsigned && checkpointCode(first) == CodeUnsigned {
			first = err
		}
	}
	return merkle.Checkpoint{}, 0, first
}

// keyID returns the first four bytes of SHA256(name ‖ 0A ‖ 01 ‖ key), which a
// signature line of the signed note format begins with.
func keyID(name string, key [32]byte) [4]byte {
	h := sha256.Sum256(append([]byte(name+"\n\x01"), key[:]...))
	return [4]byte(h[:])
}

// noteKeyIDs returns the keys that a note's signature lines name.
func noteKeyIDs(note []byte) map[[4]byte]bool {
	ids := make(map[[4]byte]bool)
	lines := note[bytes.LastIndex(note, []byte("\n\n"))+1:]
	for line := range bytes.Lines(lines) {
		sig := bytes.TrimSuffix(line[bytes.LastIndexByte(line, ' ')+1:], []byte("\n"))
		if b, err := base64.StdEncoding.DecodeString(string(sig)); err == nil && len(b) > 4 {
			ids[[4]byte(b)] = true
		}
	}
	return ids
}

// keyOrder holds that each head is signed by the key that the log had then: a
// key signs no head whose log holds a batch that holds the statement by which
// the key went, and none before the one by which it came.
func (c *checker) keyOrder() *fault {
	if len(c.keys) == 1 {
		return nil
	}
	var batches []int // that show their statements, in the log's order
	for _, i := range c.inLogOrder() {
		if c.f.Batches[i].Statements != nil {
			batches = append(batches, i)
		}
	}
	for i := range c.heads {
		size := c.heads[i].Size
		// The first batch that is not in the head's log, of those that are shown.
		at, _ := slices.BinarySearchFunc(batches, size, func(b int, size uint64) int {
			return cmp.Compare(c.batches[b].header.Index, size)
		})
		if at > 0 {
			b := &c.batches[batches[at-1]]
			if least := c.keyAt(b.statements.Size); c.headKey[i] < least {
				return faultf(CodeOldKey, "head %d: its log of %d holds batch %d, by which another key had taken over", i, size, b.header.Index)
			}
			if b.header.Index+1 == size {
				at--
			}
		}
		if at < len(batches) {
			b := &c.batches[batches[at]]
			if most := c.keyAt(b.statements.Size); c.headKey[i] > most {
				return faultf(CodeEarlyKey, "head %d: its log of %d ends before batch %d, by which its key had not taken over", i, size, b.header.Index)
			}
		}
	}
	return nil
}

// keyAt returns the position of the key that the log had with so many
// statements.
func (c *checker) keyAt(statements uint64) int {
	n := 0
	for n+1 < len(c.keys) && c.keys[n+1].statement < statements {
		n++
	}
	return n
}
