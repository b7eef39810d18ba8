package report

import (
	"encoding/json"
	"sync"

	"cairn/anchor/proof"
)

// reasons explains each reason code that stands on the page.
func (r *report) reasons() {
	var codes []proof.Code
	seen := make(map[proof.Code]bool)
	add := func(c proof.Code) {
		if c != "" && !seen[c] {
			seen[c] = true
			codes = append(codes, c)
		}
	}
	add(r.v.Code)
	if r.c != nil {
		for _, route := range r.v.Routes {
			add(route.Code)
		}
	}
	r.part("Reason codes", "")
	if len(codes) == 0 {
		r.put("<p>There are none: nothing keeps the answer from being a better one.</p>\n")
		return
	}
	r.put("<p>Their names never change, so that programs and people can look them up.</p>\n" + `<table class="facts"><tbody>` + "\n")
	for _, c := range codes {
		r.put(`<tr><th scope="row"><code>%</code></th><td>%</td></tr>`+"\n", string(c), meaning(c))
	}
	r.put("</tbody></table>\n")
}

// meanings is what the verdict's schema says of each code: it stands there alone.
var meanings = sync.OnceValue(func() map[proof.Code]string {
	var schema struct {
		Defs struct {
			Code struct {
				OneOf []struct {
					Const       proof.Code `json:"const"`
					Description string     `json:"description"`
				} `json:"oneOf"`
			} `json:"code"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(proof.Schema(), &schema); err != nil {
		panic("report: the verdict's schema: " + err.Error()) // a test reads it
	}
	all := make(map[proof.Code]string)
	for _, c := range schema.Defs.Code.OneOf {
		all[c.Const] = c.Description
	}
	return all
})

// meaning says in a sentence what a code stands for.
func meaning(c proof.Code) string { return meanings()[c] }
