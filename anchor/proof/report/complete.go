package report

// completeness tells what is known to be missing, or not.
func (r *report) completeness() {
	r.part("Completeness", "")
	r.put("<p>The file does not claim to be complete. Its readings were chosen by whoever made it; what lies between them is not told.</p>\n")
}

// gapsOf returns the gaps of a series' source, ascending.
func (r *report) gapsOf(*series) []gap { return nil }

func (r *report) witnesses() {}
