package web

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"cairn/anchor/proof"
)

// TestPlaces: the page says where a device was, and what was recorded of it there, of readings shown one by one and of
// ranges, as the report does.
func TestPlaces(t *testing.T) {
	b := open(t, fileURL(t))
	v := proof.VerifyBytes(read(t, kept+"v0.proof"), options(t, kept+"v0.policy", kept+"v0.headers"))
	b.do(chromedp.Evaluate[chromedp.Void](`
		const verdict = ` + string(v.JSON()) + `;
		const placed = { place: "canteen kitchen", thing: "walk-in fridge", notes: ["photo door.jpg", "calibrated by Eich AG"], more: 3 };
		verdict.readings = [{ ...verdict.readings[0], placed, late: true }];
		verdict.ranges = [{ stream: 4, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", first: 0, next: 1, readings: 1, numberedBy: "gateway", deviceCounters: "", lateStreams: "none shown", parts: [], gaps: [], findings: [], placed: { thing: "freezer" } }];
		show({ kind: "proof", verdict, total: 1, text: "", sha256: "00", json: new Blob([]), milliseconds: { check: 1 } },
			{ proof: new File(["x"], "a.proof"), headers: [], blocks: [], require: "late", ots: {} });
	`))
	got := b.list(`#verdict dt, #verdict dd`)
	for _, want := range []string{"canteen kitchen, walk-in fridge", "photo door.jpg", "calibrated by Eich AG", "… and 3 more", "freezer"} {
		i := slices.Index(got, want)
		if i < 1 || got[i-1] != "Installed" {
			t.Errorf("the page does not say %q as installed: %q", want, got)
		}
	}
	if !b.is(`[...document.querySelectorAll("#verdict h4")].some(e => e.textContent.includes("came late"))`) {
		t.Error("the page does not say that a reading came late")
	}
	b.picture("places")
}
