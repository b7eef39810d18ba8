package proof

// Counting verifies a file as Verify does, and returns with the verdict a copy
// that has those receipts alone which count for the policy: of its places, and
// of those that followed them by statements. What was exported from all of them
// might rest on the anchor of anyone. Without a policy all count; of a file that
// is false nothing is returned.
func Counting(f *File, o Options) (*File, Verdict) {
	v := Verify(f, o)
	if v.Level == LevelNone {
		return nil, v
	}
	if o.Policy == nil {
		return f, v
	}
	c := checker{f: f, o: o}
	for _, step := range []func() (string, *fault){
		c.file, c.ledger, c.checkpoints, c.headers, c.hidden, c.summaryEntries, c.records, c.runs, c.ranges, c.statements, c.receiptProofs, c.blocks,
	} {
		if _, bad := step(); bad != nil {
			return nil, c.refuse(bad)
		}
	}
	counted := *f
	counted.Receipts = nil
	for i := range c.receipts {
		if c.receipts[i].route >= 0 {
			counted.Receipts = append(counted.Receipts, f.Receipts[i])
		}
	}
	return &counted, v
}
