package proof

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
