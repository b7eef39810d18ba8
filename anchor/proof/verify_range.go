package proof

// Step 9: the readings of each range fill their stream.
func (c *checker) ranges() (string, *fault) {
	if len(c.f.Ranges) != 0 {
		return "", faultf(CodeMalformed, "this program does not check ranges of readings")
	}
	return "", nil
}
