package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// groups writes bytes as hexadecimal digits in groups.
func groups(b []byte) string { return inGroups(hex.EncodeToString(b)) }

func lines(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// statements lists those that the file shows.
func (r *report) statements() {
	r.part("Statements of the ledger", "")
	if len(r.v.Statements) == 0 {
		r.put("<p>The file shows none: not even which device the ledger says it bound where.</p>\n")
		return
	}
	r.put("<p>What the ledger stated about itself. It proves that the ledger said so then, not that it was so.</p>\n")
	r.put(`<div class="scroll"><table><thead><tr><th class="n">No.</th><th>Kind</th><th>Dated (UTC)</th><th>Says</th><th>Proven</th></tr></thead><tbody>` + "\n")
	for i := range r.v.Statements {
		s := &r.v.Statements[i]
		at := s.At
		if ms := millis(at); ms >= 0 {
			at = brief(ms)
		}
		r.put(`<tr><td class="n">%</td><td>%</td><td class="k">%</td><td class="small">%</td><td class="k">%</td></tr>`+"\n", s.Index, foreign(s.Kind), at, s.Body, s.Level)
	}
	r.put("</tbody></table></div>\n")
}

// identities tells whose the keys are, as far as that is known, in a form that
// can be compared by eye with what a key's owner has published.
func (r *report) identities() {
	r.part("Keys and identities", "")
	r.put(`<table class="facts"><tbody>` + "\n")
	switch {
	case r.v.Identity:
		r.fact("Checked against", "the policy that was given: the ledger and its key are those which it names", "")
	default:
		r.fact("Checked against", "NOTHING: no policy was given, or the check ended before it. Compare what follows with what the ledger’s owner has published", "")
	}
	if r.c != nil {
		r.fact("Ledger’s id", inGroups(r.v.Ledger), "hash")
		r.fact("Log’s key", r.v.Key, "hash")
		key := r.f.Ledger.Key
		r.fact("… as bytes", "Ed25519 "+groups(key[:]), "hash")
		print := sha256.Sum256(key[:])
		r.fact("… its fingerprint", "SHA-256 "+groups(print[:]), "hash")
	}
	r.put("</tbody></table>\n")
	if r.c != nil {
		r.put("<p>Contracts, senders and scripts stand with their anchors, and again in the annex.</p>\n")
	}
}

// annex lists every digest that the verdict rests on.
func (r *report) annex() {
	r.part("Annex: every digest", "page")
	r.put(`<table class="facts"><tbody>` + "\n")
	r.fact("The file", fmt.Sprintf("%d bytes, SHA-256 %s", r.o.File.Size, groups(r.o.File.Digest[:])), "hash")
	for _, in := range slices.Concat(r.o.Given, r.o.Held) {
		if in.Size >= 0 {
			r.fact("Given", fmt.Sprintf("%s %s, %d bytes, SHA-256 %s", in.What, in.Name, in.Size, groups(in.Digest[:])), "hash")
		}
	}
	if r.c == nil {
		r.put("</tbody></table>\n<p>Of a file that did not pass no more is listed.</p>\n")
		return
	}
	r.fact("Ledger’s id", inGroups(r.v.Ledger), "hash")
	nonce := r.f.Ledger.Nonce
	r.fact("Ledger’s nonce", groups(nonce[:]), "hash")
	r.put("</tbody></table>\n")
	r.heads()
	r.batches()
	r.summaries()
	r.statementHashes()
	r.receipts()
	r.records()
	r.put("<p>Hashes of trees are those of RFC 9162 (SHA-256). How each is made stands, byte by byte, in the documentation of the proof file’s format, with which anyone can write another verifier.</p>\n")
}

// list begins a list of digests. Long ones stay folded, and off the paper.
func (r *report) list(title markup, n int) {
	const most = 150
	if n > most {
		r.put(`<h3>%: %</h3><details><summary>Show all (to print them, open this first)</summary>`+"\n", title, n)
	} else {
		r.put(`<h3>%: %</h3><details open><summary>Listed here</summary>`+"\n", title, n)
	}
}

func (r *report) heads() {
	r.list("Signed states of the log (checkpoints)", len(r.f.Heads))
	r.put(`<div class="scroll"><table><thead><tr><th class="n">Batches</th><th>Root</th></tr></thead><tbody>` + "\n")
	for i := range r.f.Heads {
		size, root, ok := readCheckpoint(r.f.Heads[i].Note)
		if !ok {
			continue
		}
		r.put(`<tr><td class="n">%</td><td class="hash">%</td></tr>`+"\n", foreign(size), groups(root))
	}
	r.put("</tbody></table></div></details>\n")
}

// readCheckpoint returns what the second and third line of a checkpoint say;
// the verdict found the whole to be one.
func readCheckpoint(note []byte) (size string, root []byte, ok bool) {
	parts := bytes.SplitN(note, []byte("\n"), 4)
	if len(parts) != 4 {
		return "", nil, false
	}
	root, err := base64.StdEncoding.DecodeString(string(parts[2]))
	return string(parts[1]), root, err == nil
}

func (r *report) batches() {
	r.list("Batches", len(r.f.Batches))
	r.put(`<div class="scroll"><table><thead><tr><th class="n">No. in the log</th><th>Window (UTC)</th><th>Leaf hash of its header, and root of the batch</th></tr></thead><tbody>` + "\n")
	for i := range r.f.Batches {
		h, err := ledger.ParseHeader(r.f.Batches[i].Header)
		if err != nil {
			continue
		}
		r.put(`<tr><td class="n">%</td><td><span class="k">% –</span> <span class="k">%</span></td><td class="hash">header %<br>root %</td></tr>`+"\n",
			h.Index, brief(h.From), brief(h.To), inGroups(merkle.LeafHash(r.f.Batches[i].Header).String()), inGroups(h.Root.String()))
	}
	r.put("</tbody></table></div></details>\n")
}

func (r *report) summaries() {
	r.list("Summaries of streams", len(r.f.Summaries))
	r.put(`<div class="scroll"><table><thead><tr><th class="n">Stream</th><th class="n">Numbers</th><th>Its tag, the root of this window’s readings (run), and of all up to here (stream)</th></tr></thead><tbody>` + "\n")
	for i := range r.f.Summaries {
		s, err := ledger.ParseSummary(r.f.Summaries[i].Item)
		if err != nil {
			continue
		}
		numbers := "none"
		if s.Next > s.First {
			numbers = fmt.Sprintf("%d to %d", s.First, s.Next-1)
		}
		r.put(`<tr><td class="n">%</td><td class="n">%</td><td class="hash">tag %<br>run %<br>stream %</td></tr>`+"\n",
			s.Slot, numbers, groups(r.f.Summaries[i].Tag[:]), inGroups(s.Run.String()), inGroups(s.Stream.String()))
	}
	r.put("</tbody></table></div></details>\n")
}

func (r *report) statementHashes() {
	if len(r.f.Statements) == 0 {
		return
	}
	r.list("Statements", len(r.f.Statements))
	r.put(`<div class="scroll"><table><thead><tr><th class="n">No.</th><th>SHA-256 of the statement, and hash of its leaf</th></tr></thead><tbody>` + "\n")
	for i := range r.f.Statements {
		s := &r.f.Statements[i]
		h, entry := sha256.Sum256(s.Item), ledger.HiddenEntry(s.Item, s.Salt)
		r.put(`<tr><td class="n">%</td><td class="hash">item %<br>leaf %</td></tr>`+"\n", s.Index, groups(h[:]), inGroups(merkle.LeafHash(entry[:]).String()))
	}
	r.put("</tbody></table></div></details>\n")
}

func (r *report) receipts() {
	if len(r.f.Receipts) == 0 {
		return
	}
	r.list("Receipts", len(r.f.Receipts))
	r.put(`<div class="scroll"><table><thead><tr><th>Route</th><th>Digests</th></tr></thead><tbody>` + "\n")
	for i := range r.f.Receipts {
		h := sha256.Sum256(r.f.Receipts[i].Data)
		r.put(`<tr><td>%</td><td class="hash">% bytes, SHA-256 %</td></tr>`+"\n", foreign(r.f.Receipts[i].Route), len(r.f.Receipts[i].Data), groups(h[:]))
	}
	for i := range r.v.Anchors {
		r.anchorDigests(&r.v.Anchors[i])
	}
	r.put("</tbody></table></div></details>\n")
}

func (r *report) anchorDigests(a *proof.AnchorVerdict) {
	r.put(`<tr><td>% block %</td><td class="hash">`, foreign(a.Route), a.Block)
	for _, x := range []struct {
		name  markup
		value string
	}{
		{"block", a.Hash}, {"merkle root", a.Merkle}, {"transaction", a.TxID}, {"contract", a.Contract},
		{"code", a.Code}, {"sender", a.Sender}, {"script", a.Script}, {"root", a.Root},
	} {
		if x.value != "" {
			r.put(`% %<br>`, x.name, inGroups(x.value))
		}
	}
	r.put("</td></tr>\n")
}

// records lists the record root of every reading.
func (r *report) records() {
	r.list("Record roots, by stream and number", len(r.c.rows))
	r.put(`<ol class="roots">` + "\n")
	next := 0
	for i := range r.v.Readings {
		if v := &r.v.Readings[i]; v.Range == nil && next < len(r.f.Readings) {
			r.put("<li>%/% %</li>\n", v.Stream, v.Sequence, r.f.Readings[next].Root)
			next++
		}
	}
	for i := range min(len(r.f.Ranges), len(r.v.Ranges)) {
		for k := range r.f.Ranges[i].Readings {
			n := &r.f.Ranges[i].Readings[k]
			if root, ok := n.RecordRoot(); ok {
				r.put("<li>%/% %</li>\n", r.v.Ranges[i].Stream, n.Seq, root)
			}
		}
	}
	r.put("</ol></details>\n")
}
