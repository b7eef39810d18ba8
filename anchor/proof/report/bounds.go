package report

import (
	"cairn/anchor/proof"
)

// Longest lists of anchors.
const (
	maxPlaces  = 8
	maxAnchors = 400
)

// time tells the bounds on time, and what they mean.
func (r *report) time() {
	r.part("The bounds in time", "")
	v := r.v
	r.put(`<table class="facts"><tbody>` + "\n")
	r.bound("Existed not after", v.NotAfter, "Everything shown here was in the ledger when this block was made, and could not be changed unseen since.")
	r.bound("Closed not before", v.NotBefore, "The batches shown here were closed after this block was known. It says nothing about when a reading was made.")
	r.put("</tbody></table>\n")
	r.put("<p>The bounds are of all that is shown together: the latest and the earliest. ")
	r.put("Times inside the readings (received, measured) come from the clocks of the gateway and the device, and have no other witness.</p>\n")
	for i := range v.Clock {
		c := &v.Clock[i]
		r.put(`<p class="warn"><b>The gateway’s clock was wrong</b> by what blocks of % say: `, c.Route)
		if c.Ahead != "" {
			r.put("at least % ahead", c.Ahead)
		}
		if c.Ahead != "" && c.Behind != "" {
			r.put(", and elsewhere ")
		}
		if c.Behind != "" {
			r.put("at least % behind", c.Behind)
		}
		if c.Behind != "" && !c.Confirmed {
			r.put(", by a block that the ledger alone names")
		}
		r.put(".</p>\n")
	}
}

func (r *report) bound(name markup, b *proof.Bound, means markup) {
	if b == nil {
		r.put(`<tr><th scope="row">%</th><td>Not known.</td></tr>`+"\n", name)
		return
	}
	r.put(`<tr><th scope="row">%</th><td><b>%</b><br>Block % of %, <span class="hash">%</span><br>`, name, told(b.Time), b.Block, b.Route, inGroups(b.Hash))
	if b.Slack != "" {
		r.put(`The time that a block of this chain states may be % off; that is allowed for in the time above.<br>`, b.Slack)
	}
	if b.Confirmed {
		r.put(`Somebody whom the verifier trusts vouches for this block.<br>`)
	} else {
		r.put(`<b>Only the ledger itself names this block.</b><br>`)
	}
	r.put(`<span class="small">%</span></td></tr>`+"\n", means)
}

// anchors tells where the ledger's state was made public, and by which of these
// places the policy counts.
func (r *report) anchors() {
	r.part("Anchors, routes and the quorum", "")
	v := r.v
	if len(v.Anchors) == 0 {
		r.put("<p>The file holds no receipt of an anchor.</p>\n")
	}
	r.places()
	if len(v.Routes) > 0 {
		quorum := v.Quorum
		if quorum == "" {
			quorum = "any one of them"
		}
		r.put("<h3>The policy’s routes</h3>\n<p>The policy asks for: <b>%</b>.</p>\n", foreign(quorum))
		r.put(`<table><thead><tr><th>Route</th><th>Chain</th><th>Proven</th><th>Why not more</th></tr></thead><tbody>` + "\n")
		for _, route := range v.Routes {
			r.put(`<tr><td>%</td><td>%</td><td>%</td><td><code>%</code></td></tr>`+"\n", foreign(route.Name), foreign(route.Chain), route.Level, string(route.Code))
		}
		r.put("</tbody></table>\n")
	}
	for _, s := range v.Succession {
		followed := "It is followed."
		if !s.Followed {
			followed = "It is NOT followed: " + s.Why + "."
		}
		r.put("<p>Statement % of the ledger names %. %</p>\n", s.Statement, s.What, followed)
	}
}

// places tells of one anchor of each place in full, of one that is trusted where
// there is one, and lists the others.
func (r *report) places() {
	type place struct{ route, contract, sender, script string }
	of := func(a *proof.AnchorVerdict) place { return place{a.Route, a.Contract, a.Sender, a.Script} }
	shown := make(map[place]int)
	var order []place
	for i := range r.v.Anchors {
		a := &r.v.Anchors[i]
		at, ok := shown[of(a)]
		if !ok {
			order = append(order, of(a))
		}
		if !ok || !r.v.Anchors[at].Trusted && a.Trusted {
			shown[of(a)] = i
		}
	}
	for n, p := range order {
		if n == maxPlaces {
			break
		}
		r.anchor(shown[p]+1, &r.v.Anchors[shown[p]])
	}
	if len(r.v.Anchors) > min(len(order), maxPlaces) {
		r.otherAnchors()
	}
}

// otherAnchors lists all, with what differs from one to the next. The annex has
// their digests.
func (r *report) otherAnchors() {
	r.put("<h3>All anchors</h3>\n")
	r.put(`<div class="scroll"><table><thead><tr><th class="n">No.</th><th>Route</th><th class="n">Block</th><th>States the time (UTC)</th><th class="n">Ledger’s batches</th><th>Counts</th></tr></thead><tbody>` + "\n")
	for i := range r.v.Anchors {
		if i == maxAnchors {
			r.put(`<tr><td colspan="6">… % more …</td></tr>`+"\n", len(r.v.Anchors)-i)
			break
		}
		a := &r.v.Anchors[i]
		at, counts := "not known", markup("NO: not trusted")
		if ms := millis(a.Time); ms >= 0 {
			at = brief(ms)
		}
		switch {
		case r.v.Identity && !a.InPolicy:
			counts = "NO: not in the policy"
		case a.Trusted:
			counts = "yes"
		}
		r.put(`<tr><td class="n">%</td><td>%</td><td class="n">%</td><td class="k">%</td><td class="n">%</td><td>%</td></tr>`+"\n", i+1, foreign(a.Route), a.Block, at, a.Size, counts)
	}
	r.put("</tbody></table></div>\n")
}

func (r *report) anchor(n int, a *proof.AnchorVerdict) {
	r.put(`<div class="keep"><h3>Anchor %: %</h3><table class="facts"><tbody>`+"\n", n, foreign(a.Route))
	trust := "Nobody whom the verifier trusts vouches for it."
	switch {
	case r.v.Identity && !a.InPolicy:
		trust = "It is of no place that the policy names, so it does not count."
	case a.Trusted:
		trust = "Trusted: " + a.How + "."
	}
	r.fact("Counts", trust, "")
	if a.Name != "" {
		r.fact("Policy’s route", a.Name, "")
	}
	switch {
	case a.Hash != "":
		r.put(`<tr><th scope="row">Block</th><td>% of <span class="hash">%</span>`, a.Block, inGroups(a.Hash))
		r.put(`<br>states the time %`, told(a.Time))
		if a.Earliest != a.Latest {
			r.put(`; may be of % to %`, told(a.Earliest), told(a.Latest))
		}
		r.put("</td></tr>\n")
	case a.Merkle != "":
		r.put(`<tr><th scope="row">Block</th><td>%, of which the header is not at hand</td></tr>`+"\n", a.Block)
	case len(a.Pending) == 0:
		r.fact("Block", "none, and no promise of one", "")
	default:
		r.fact("Block", "none yet", "")
	}
	r.put(`<tr><th scope="row">Ledger’s state</th><td>% batches, root <span class="hash">%</span></td></tr>`+"\n", int(a.Size), inGroups(a.Root))
	for _, x := range []struct {
		name  markup
		value string
	}{
		{"Contract", inGroups(a.Contract)}, {"Its code", inGroups(a.Code)}, {"Sender", inGroups(a.Sender)},
		{"Transaction", inGroups(a.TxID)}, {"Paid to script", inGroups(a.Script)}, {"Spends", a.Spends}, {"Merkle root", inGroups(a.Merkle)},
	} {
		if x.value != "" {
			r.fact(x.name, x.value, "hash")
		}
	}
	if a.Contract != "" {
		r.fact("Shown of it", ethereumHalves(a), "")
	}
	if a.Depth > 0 {
		r.fact("In the receipt", count(a.Depth, "block")+" in a row, which took some "+a.Work+" hashes of work", "")
	}
	for _, c := range a.Pending {
		r.fact("Promised by", c+" (its word proves nothing)", "")
	}
	r.put("</tbody></table></div>\n")
}

func ethereumHalves(a *proof.AnchorVerdict) string {
	var s string
	switch {
	case a.Stored && a.Logged:
		s = "the contract’s storage, and a transaction’s log"
	case a.Stored:
		s = "the contract’s storage alone"
	default:
		s = "a transaction’s log alone"
	}
	if a.Logged {
		s += ", transaction " + decimal(a.TxIndex) + " of the block"
	}
	if a.Registry {
		return s + "; the contract’s code is the one that this program knows"
	}
	return s + "; the contract’s code is NOT the one that this program knows"
}
