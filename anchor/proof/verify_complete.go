package proof

// Step 14: what a range claims to be complete is accounted for. There is none
// that gets here: step 9 refuses it.
func (c *checker) complete() (string, *fault) { return "", nil }
