package report

import (
	"cairn/anchor/proof"
)

// stepWords say what each step of a verification is, in its order.
var stepWords = []struct {
	name string
	asks markup
	how  markup
}{
	{"file", "Is the file whole, and is every byte of it covered by a check?",
		"Its checksum and its form; no part may be without use."},
	{"ledger", "Is it the ledger that it says it is?",
		"The ledger’s name is computed again from its key. With a policy, both must be those that the policy names."},
	{"checkpoint", "Did the ledger’s own key sign the states that are shown?",
		"Ed25519 signatures over the size and root of the ledger’s log. No two states may exclude one another."},
	{"log", "Do the batches shown stand in the signed log, each at its own place?",
		"Merkle paths by RFC 9162, SHA-256, from each batch’s header to the signed root."},
	{"header", "Are the values shown of each batch those that it committed to?",
		"Salted SHA-256 of each value, compared with the batch’s header."},
	{"batch", "Does each stream’s summary of the time stand at the stream’s own place in the batch?",
		"Merkle paths to the batch’s root. A place has one stream for ever, so no batch can hold two versions."},
	{"record", "Are the values shown those that were recorded?",
		"Each value is hashed with its salt, up to the root of its reading; fields that are not shown are covered by their hashes."},
	{"run", "Does each reading stand at the place of its number?",
		"A Merkle path from the reading to the root of what its stream received in that time."},
	{"stream", "Are the readings of a range all that there are in it?",
		"They are hashed again, without a hole in their numbers, to the root of the whole stream at both ends of the range."},
	{"statements", "Do the ledger’s statements shown stand in the ledger?",
		"Merkle paths in the ledger’s tree of statements: which device is bound where, changes of keys, declared gaps."},
	{"receipt", "Do the receipts lead from the ledger’s root into a block of a public chain?",
		"Ethereum: Merkle Patricia proofs to the block’s header. Bitcoin: a Merkle branch, and the work of the headers. OpenTimestamps: the path of operations."},
	{"block", "Does somebody whom the verifier trusts say that this block is final?",
		"Hashes, headers files or nodes that were given to the verifier."},
	{"anchor", "How far, and since when, is each reading proven?",
		"From the blocks’ times and the policy: which places of anchors count, how many, and how soon."},
	{"complete", "Is every gap in the ranges declared?",
		"Windows without a batch, the devices’ own counters and restarts, and the gateway’s clock, against what the ledger declared."},
}

// checked tells each step of the verification.
func (r *report) checked() {
	r.part("What was checked, and how", "")
	r.put("<p>Each step rests on those before it. The first that is false ends the check, and nothing counts then; but the last step says only whether anything is missing, and takes nothing from what is shown.</p>\n")
	r.put(`<table class="steps"><thead><tr><th>Step</th><th>Question, and how it was answered</th><th>Answer</th></tr></thead><tbody>` + "\n")
	done := make(map[string]*proof.Check)
	end := false
	for i := range r.v.Checks {
		done[r.v.Checks[i].Name] = &r.v.Checks[i]
		end = end || !r.v.Checks[i].OK
	}
	for i, s := range stepWords {
		r.put(`<tr><td class="k">% <code>%</code></td><td><b>%</b><br><span class="small">%</span>`, i+1, s.name, s.asks, s.how)
		c := done[s.name]
		if c != nil {
			r.put(`<br><span class="small">Found: %</span>`, c.Detail)
		}
		answer := markup("– nothing of the kind")
		switch {
		case c != nil && c.OK:
			answer = "✓ yes"
		case c != nil:
			answer = "✗ FALSE"
		case end && !r.later(i):
			answer = "… not reached"
		case s.name == "block":
			answer = "– by nobody"
		case s.name == "anchor":
			answer = "– no time proven"
		}
		r.put(`</td><td><span class="mark">%</span></td></tr>`+"\n", answer)
	}
	r.put("</tbody></table>\n")
	r.inputs()
}

// later reports whether a step after this one was taken.
func (r *report) later(i int) bool {
	for _, s := range stepWords[i+1:] {
		for _, c := range r.v.Checks {
			if c.Name == s.name {
				return true
			}
		}
	}
	return false
}

// inputs tells what the verifier was given to trust.
func (r *report) inputs() {
	if len(r.o.Given) == 0 {
		r.put("<p>The verifier was given nothing but the file: no policy, no block, no headers and no node to ask.</p>\n")
		return
	}
	r.put("<p>The verifier was given, beside the file, and trusts for what they are:</p>\n<ul>\n")
	for _, in := range r.o.Given {
		if in.Size >= 0 {
			r.put(`<li>% <b>%</b>, % bytes, SHA-256 <span class="hash">%</span>`, in.What, foreign(in.Name), int(in.Size), groups(in.Digest[:]))
		} else {
			r.put(`<li>% <span class="hash">%</span>`, in.What, foreign(inGroups(in.Name)))
		}
		r.put("</li>\n")
	}
	r.put("</ul>\n")
	if r.o.Policy != nil {
		r.put(`<p class="keep">The policy reads:</p><pre>`)
		for _, line := range lines(r.o.Policy.Append(nil)) {
			r.put("%\n", line)
		}
		r.put("</pre>\n")
	}
}

// notChecked lists what the verdict says nothing about.
func (r *report) notChecked() {
	r.part("What was NOT checked", "")
	r.put(`<p>None of this follows from the answer above. Whoever relies on one of these points needs other evidence for it.</p>` +
		"\n" + `<div class="boxed"><ul class="not">` + "\n")
	for _, n := range r.v.NotChecked {
		r.put("<li>%</li>\n", n)
	}
	r.put("</ul></div>\n")
}
