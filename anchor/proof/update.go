package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// isUpdate reports whether a file shows no reading of its own: it has heads,
// receipts and extensions that complete the proofs of others.
func (c *checker) isUpdate() bool {
	return len(c.f.Readings)+len(c.f.Ranges)+len(c.f.Statements) == 0
}

// update says what an update is. It has no level: that is one of readings.
func (c *checker) update() {
	c.v.Code = CodeUpdate
	c.v.Reason = "the file is an update: it shows no reading, and only completes proofs that have some"
	c.v.Next = "join it to the proof that it was made for: cairn-verify upgrade"
}

// VouchVerdict is what someone says about the block of a receipt. This program
// checks none.
type VouchVerdict struct {
	Receipt int    `json:"receipt"` // position in the file
	Kind    string `json:"kind"`
	Known   bool   `json:"known"` // the kind has a meaning that a later program may check
	SHA256  string `json:"sha256"`
	Size    int    `json:"size"` // bytes
}

// vouches tells what the file holds of that kind.
func (c *checker) vouches() {
	for _, v := range c.f.Vouches {
		sum := sha256.Sum256(v.Data)
		c.v.Vouches = append(c.v.Vouches, VouchVerdict{
			Receipt: v.Receipt, Kind: v.Kind, Known: v.Kind == VouchSyncCommittee, SHA256: hex.EncodeToString(sum[:]), Size: len(v.Data),
		})
	}
}

// vouchesNotChecked lists them in words, each kind once.
func (c *checker) vouchesNotChecked(add func(string)) {
	told := make(map[string]bool)
	for _, v := range c.v.Vouches {
		if told[v.Kind] || len(told) == maxHows {
			continue
		}
		told[v.Kind] = true
		words := fmt.Sprintf("what %.40q says about the block of receipt %d: this program does not know that kind", v.Kind, v.Receipt)
		if v.Known {
			words = fmt.Sprintf("the signatures of a sync committee for the block of receipt %d: this program does not check those", v.Receipt)
		}
		add(words)
	}
}

// updateNotChecked lists what is not known of an update.
func (c *checker) updateNotChecked(add func(string)) {
	add("readings: it shows none. Which proofs it completes, and what they prove with it, is only known once it is joined to them")
	c.vouchesNotChecked(add)
	c.chainsNotChecked(add)
	add(c.secondHistory())
	if !c.oneHistory() {
		add("that the file's heads extend one another")
	}
}
