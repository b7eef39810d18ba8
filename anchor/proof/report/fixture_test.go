package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

var pagesDir = flag.String("pages", "", "also write the pages that the tests make to this folder, to look at them")

const start = int64(1_790_812_800_000) // 1 October 2026, 00:00 UTC

const minute = int64(60_000)

// month is a file of a fridge that sends every minute, with what a verdict says
// about it. The verdict is made by hand: what it takes to reach one is not this
// package's business.
type month struct {
	f proof.File
	v proof.Verdict
}

func hashOf(words ...any) merkle.Hash { return sha256.Sum256(fmt.Append(nil, words...)) }

func stamp(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func newMonth() *month {
	m := new(month)
	m.f = proof.File{Version: 1, Ledger: proof.Ledger{Key: hashOf("key"), Nonce: hashOf("nonce")}}
	id := hashOf("id")
	m.f.Heads = []proof.Head{{Note: fmt.Appendf(nil, "cairn/%v\n43200\n%s\n\n— x y\n", id, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")}}
	bound := &proof.Bound{
		Time: stamp(start + 31*1440*minute), Route: "bitcoin:mainnet", Block: 918_204, Hash: strings.Repeat("0", 19) + hashOf("block").String()[19:], Slack: "2h0m0s", Confirmed: true,
	}
	m.v = proof.Verdict{
		Outcome: proof.Verified, Level: proof.LevelAnchored, Required: proof.LevelAnchored, Ledger: id.String(),
		Key: "cairn/" + id.String() + "+8abab258+AR5fe0gr2kw9uMzEXCpfcHvzt4mrSXj7yBuhbs4IDIWc", Identity: true,
		NotAfter: bound, Checks: checksUpTo(14), NotChecked: []string{
			"times inside the readings: received is the gateway's clock, measured the device's",
			"readings dropped before they were numbered: nobody can see those",
		},
		Anchors: []proof.AnchorVerdict{{
			Route: "bitcoin:mainnet", Name: "btc", Block: 918_204, Hash: bound.Hash, Time: stamp(start + 31*1440*minute - 2*60*minute),
			Earliest: stamp(start + 31*1440*minute - 4*60*minute), Latest: bound.Time, Size: 43_200, Root: hashOf("root").String(), InPolicy: true, Trusted: true,
			How: "it is in the headers file, 40 deep", Network: "mainnet", TxID: hashOf("tx").String(), Script: "0014" + strings.Repeat("07", 20), Merkle: hashOf("merkle").String(), Depth: 7, Work: "12345678901234567890",
		}},
		Routes: []proof.RouteVerdict{{Name: "btc", Chain: "bitcoin:mainnet", Level: proof.LevelAnchored}, {Name: "eth", Chain: "ethereum:1", Level: proof.LevelNone, Code: proof.CodeNoReceipt}},
		Quorum: "btc",
		Witnesses: []proof.WitnessVerdict{
			{Name: "council", Key: "witness.example+0a0b0c0d+BAAA", Size: 43_200, Time: stamp(start + 31*1440*minute), Known: true},
			{Name: "someone", Key: "someone.example+0a0b0c0e", Size: 43_200, Time: stamp(start + 31*1440*minute), Signature: "AAAA"},
		},
		Statements: []proof.StatementVerdict{{Level: proof.LevelAnchored, Index: 1, Kind: "bind", At: stamp(start - 1440*minute), Body: `device="00000000000000a1" name="walk-in fridge" slot=2`}},
	}
	return m
}

func checksUpTo(n int) (all []proof.Check) {
	for i, s := range stepWords[:n] {
		all = append(all, proof.Check{Step: i + 1, Name: s.name, OK: true, Detail: "what was found in step " + s.name})
	}
	return all
}

// fridge is what the device measures at a time: near 4 degrees, with a door left
// open on the 12th.
func fridge(ms int64) (temperature, humidity int64) {
	t := float64(ms-start) / float64(minute)
	v := 4.1 + 0.9*math.Sin(t/47) + 0.35*math.Sin(t/3.1) + 0.4*math.Sin(t/1440*2*math.Pi)
	if day := t / 1440; day > 11.3 && day < 11.42 {
		v += 7.5 * math.Sin((day-11.3)/0.12*math.Pi)
	}
	return int64(v * 16), 60 + int64(10*math.Sin(t/600))
}

// claim adds a range of readings, one each minute but in the gaps given, which
// are declared.
func (m *month) claim(slot uint64, name string, from, to int64, gaps ...proof.GapVerdict) *proof.RangeVerdict {
	v := proof.RangeVerdict{
		Stream: slot, Device: "00000000000000a1", BoundAs: name, From: stamp(from), To: stamp(to), FromWindow: stamp(from), KnownUntil: stamp(to),
		Complete: true, NumberedBy: proof.ByGatewayAndDevice, DeviceCounters: "shown, and without a break but where a gap is told of",
		Gaps: gaps, Findings: []string{}, LateStreams: "none shown; as known at checkpoint 43200",
	}
	r := proof.Range{From: from, To: to}
	seq := uint64(0)
	for t := from; t < to; t += minute {
		if !slices.ContainsFunc(gaps, func(g proof.GapVerdict) bool { return t >= millis(g.From) && t < millis(g.To) }) {
			r.Readings = append(r.Readings, minuteReading(seq, slot, t+4_000))
			seq++
		}
		if end := t + minute; end%(1440*minute) == 0 || end >= to {
			at := len(m.f.Summaries)
			sum := ledger.Summary{Slot: slot, From: t, To: end, First: seq - 1, Next: seq, Run: hashOf("run", at), Stream: hashOf("stream", at), Hidden: hashOf("rest")}
			header := ledger.Header{Ledger: hashOf("id"), Index: uint64((t - start) / minute), From: t, To: end, Root: hashOf("batch", at)}
			m.f.Batches = append(m.f.Batches, proof.Batch{Header: header.Append(nil)})
			m.f.Summaries = append(m.f.Summaries, proof.Summary{Batch: at, Tag: [12]byte{byte(slot)}, Item: sum.Append(nil)})
			r.Summaries = append(r.Summaries, at)
			bound := *m.v.NotAfter
			bound.Time = stamp(end + 150*minute)
			v.Parts = append(v.Parts, proof.PartVerdict{Next: seq, Batch: header.Index, WindowTo: stamp(end), NotAfter: &bound, Delay: "2h30m0s", Level: proof.LevelAnchored})
		}
	}
	v.Next, v.Readings = seq, seq
	m.f.Ranges, m.v.Ranges = append(m.f.Ranges, r), append(m.v.Ranges, v)
	return &m.v.Ranges[len(m.v.Ranges)-1]
}

// minuteReading is one reading of which the time of arrival and the values are shown.
func minuteReading(seq, slot uint64, received int64) proof.Numbered {
	temperature, humidity := fridge(received)
	r := reading.Reading{
		Device: "00000000000000a1", Received: received, Clock: reading.Synced, Sequence: seq,
		Origin: reading.Origin{Transport: reading.TransportUDP, Verdict: reading.Authenticated, Counter: seq, HasCounter: true},
		Measurements: []reading.Measurement{
			{Name: "temperature", Unit: "Cel", Value: reading.Decimal(temperature*625, -4)},
			{Name: "humidity", Unit: "%RH", Value: reading.Int(humidity)},
		},
	}
	return shownOf(&r, 3, 7, 8)
}

// shownOf is a reading with some of its fields shown.
func shownOf(r *reading.Reading, shown ...int) proof.Numbered {
	n := proof.Numbered{Seq: r.Sequence, Width: reading.Width(r.Items())}
	leaves := make([]merkle.Hash, n.Width)
	for i := 1; i < r.Items(); i++ {
		var salt [16]byte
		binary.BigEndian.PutUint64(salt[:], r.Sequence<<8|uint64(i))
		item := reading.AppendItem(nil, r, i)
		entry := reading.HiddenEntry(item, salt)
		leaves[i] = merkle.LeafHash(entry[:])
		if slices.Contains(shown, i) {
			n.Fields = append(n.Fields, proof.Field{Index: i, Item: item, Salt: salt})
		}
	}
	n.Hidden = proof.Cover(leaves, shown)
	return n
}

// gapAt is a gap of some minutes from a time on.
func gapAt(kind string, at int64, minutes int64, count uint64, declared bool) proof.GapVerdict {
	after := uint64((at - start) / minute)
	g := proof.GapVerdict{Kind: kind, From: stamp(at), To: stamp(at + minutes*minute), Count: count, AfterSequence: &after, Declared: declared}
	if declared {
		g.By, g.Reason = "statement 12", "power cut"
	}
	return g
}

// sample is a page that the tests look at.
type sample struct {
	name string
	f    *proof.File
	v    *proof.Verdict
	o    Options

	answer string // stands on it, and on paper
	within string // of a list of what else must stand on it, by |
	not    string // of what must not
}

func options(name string, file []byte, limits ...string) (o Options) {
	o.File = Input{What: "proof file", Name: name, Digest: sha256.Sum256(file), Size: int64(len(file))}
	o.Given = []Input{{What: "policy", Name: "canteen.policy", Digest: sha256.Sum256([]byte("p")), Size: 634}, {What: "block hash", Name: "0x" + strings.Repeat("ab", 32), Size: -1}}
	o.Verifier = "cairn-verify v1.0.0, built with go1.26"
	o.Made = time.UnixMilli(start + 40*1440*minute).UTC()
	for _, text := range limits {
		l, err := ParseLimit(text)
		if err != nil {
			panic(err)
		}
		o.Limits = append(o.Limits, l)
	}
	return o
}

func samples(t testing.TB) []sample {
	t.Helper()
	all := []sample{golden(t, "chains", nil), golden(t, "v0", nil), refused(t), unread(t), below(t)}

	cosigned := golden(t, "file1.cosigned", nil)
	cosigned.within += "|the policy names it, and its signature holds"
	update := golden(t, "file1.update", nil)
	update.answer, update.within = "This file is an update", "COULD NOT CHECK|update-shows-no-reading|Anchor 2:|The file shows none."
	all = append(all, cosigned, update)

	m := newMonth()
	m.claim(2, "walk-in fridge", start, start+31*1440*minute,
		gapAt(proof.GapDown, start+8*1440*minute+300*minute, 190, 190, true), gapAt(proof.GapLost, start+16*1440*minute+700*minute, 7, 7, true), gapAt(proof.GapLost, start+17*1440*minute, 1, 1, true))
	all = append(all, sample{
		name: "month", f: &m.f, v: &m.v, o: options("month.proof", []byte("month"), "temperature=2..8", "pressure=..3"),
		answer: "existed no later than 1 November 2026, 00:00:00 UTC; and no reading is missing that was received from 1 October 2026, 00:00:00 UTC up to 1 November 2026, 00:00:00 UTC, as numbered by the gateway, and by the device, whose key the gateway holds.",
		within: "44,442 values|gap 1.1</text>|(3 h 10 min)|No measurement of this name is shown: nothing was compared.|excursion|columns, so that no extreme is lost|31 October 2026|someone.example",
		not:    "NOT DECLARED|NOT COMPLETE",
	})

	b := newMonth()
	b.claim(2, "walk-in fridge", start, start+2*1440*minute)
	b.claim(5, "bar fridge", start+3*1440*minute, start+4*1440*minute+15*minute, gapAt(proof.GapLost, start+3*1440*minute+100*minute, 60, 60, true))
	note := "certificate SHA-256 " + hashOf("paper").String()
	b.v.Ranges[0].Placed = &proof.PlacedVerdict{Place: "canteen kitchen", Thing: "walk-in fridge", Notes: []string{
		"calibrated by Eich AG at 2026-04-30T00:00:00.000Z, add -0.25 to temperature, " + note, "photo IMG_2041.jpg, SHA-256 " + hashOf("photo").String() + ", recorded by reading 1440 at the latest",
	}, More: 3}
	b.v.Ranges[1].Placed = &proof.PlacedVerdict{Place: "bar"}
	all = append(all, placed(t), sample{
		name: "bindings", f: &b.f, v: &b.v, o: options("bindings.proof", []byte("bindings"), "temperature=..5.2"),
		answer: "no reading is missing in any of the 2 ranges that it claims",
		within: "bound as “bar fridge”|no range speaks from 3 October 2026, 00:00:00 UTC to 4 October 2026|not claimed|>canteen kitchen</span>|>bar</span>|" + note + "|recorded by reading 1440|… and 3 notes more",
	})

	u := newMonth()
	r := u.claim(2, "walk-in fridge", start, start+600*minute, gapAt(proof.GapLost, start+200*minute, 40, 40, false), gapAt(proof.GapReboot, start+400*minute, 0, 0, true))
	r.Complete, r.NumberedBy = false, proof.ByGateway
	r.Findings = []string{"after number 200 the device counted 40 frames that are not here, and nothing declares them"}
	u.v.Outcome, u.v.Code, u.v.Reason = proof.Refused, proof.CodeCounters, r.Findings[0]
	u.v.Checks[13].OK, u.v.Checks[13].Detail = false, r.Findings[0]
	all = append(all, sample{
		name: "finding", f: &u.f, v: &u.v, o: options("finding.proof", []byte("finding")),
		answer: "This file does not hold what it claims",
		within: "REFUSED|Finding:|NOT DECLARED|NOT COMPLETE as claimed|counters-not-declared|It is not proven as was asked",
	})
	return append(all, hostile())
}

// placed has readings that stand alone, at places, and files beside it of which one is
// named by nothing.
func placed(t testing.TB) sample {
	s := golden(t, "v0", nil)
	at := &proof.PlacedVerdict{Place: "canteen kitchen", Thing: "walk-in fridge"}
	later := &proof.PlacedVerdict{Place: at.Place, Thing: at.Thing, Notes: []string{"photo wall.jpg, SHA-256 " + hashOf("photo").String()}}
	s.v.Readings = slices.Clone(s.v.Readings)
	s.v.Readings[0].Placed, s.v.Readings[1].Placed = at, later
	s.v.Attached = []proof.AttachedVerdict{
		{File: "DSC_0042.jpg", SHA256: hashOf("photo").String(), Names: []proof.NamedFile{{
			Level: proof.LevelAnchored, Statement: 7, At: stamp(start), What: "photo wall.jpg", Stream: s.v.Readings[1].Stream, Place: at.Place, Thing: at.Thing, Readings: 2, KnownFor: 1,
		}}},
		{File: "other.jpg", SHA256: hashOf("other").String(), Names: []proof.NamedFile{}},
	}
	s.v.Outcome, s.v.Code, s.v.Reason = proof.Refused, proof.CodeNotNamed, "no statement of the proof names the file other.jpg"
	s.o.Held = []Input{{What: "attachment", Name: "other.jpg", Digest: hashOf("other"), Size: 51}}
	s.name, s.answer, s.not = "placed", "What was given with this file is not what it names: no statement shown names the SHA-256 of 1 of the 2 files that were given.", "VERIFIED:"
	s.within = "REFUSED|attachment-not-named|canteen kitchen, walk-in fridge: statement 7|known to be recorded by the time of 1 of 2 readings|no statement of the proof names it.|photo wall.jpg, SHA-256|The file does not show where it was.|attachment other.jpg, 51 bytes"
	return s
}

func golden(t testing.TB, stem string, change func([]byte)) sample {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + stem + ".proof")
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(b)
	}
	beside, _, _ := strings.Cut(stem, ".")
	beside = "../testdata/" + beside
	text, err := os.ReadFile(beside + ".policy")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proof.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	var trust proof.AnyTrust
	for _, name := range []string{".headers", ".bitcoin-headers"} {
		if b, err := os.ReadFile(beside + name); err == nil {
			h, err := proof.ParseTrust(b)
			if err != nil {
				t.Fatal(err)
			}
			trust = append(trust, h)
		}
	}
	f, _ := proof.Decode(b)
	v := proof.VerifyBytes(b, proof.Options{Policy: p, Trust: trust})
	o := options(stem+".proof", b, "T=4.063..4.064")
	o.Policy = p
	return sample{
		name: stem, f: f, v: &v, o: o, answer: "existed no later than 9 October 2025", within: "VERIFIED|What was NOT checked|" + v.Ledger[:8],
		not: "REFUSED",
	}
}

func refused(t testing.TB) sample {
	s := golden(t, "v0", func(b []byte) {
		b[2000] ^= 1
		sum := sha256.Sum256(b[:len(b)-sha256.Size])
		copy(b[len(b)-sha256.Size:], sum[:])
	})
	s.name, s.answer, s.not = "refused", "This file proves nothing", "Table of readings|<svg viewBox|0x1b[31m|fridge|4.0625"
	s.within = "REFUSED|not reached|" + string(s.v.Code) + "|no part of what it says may be relied on"
	return s
}

func unread(t testing.TB) sample {
	v := proof.VerifyBytes([]byte("<html>"), proof.Options{})
	return sample{
		name: "unread", v: &v, o: options("not a proof.html", []byte("<html>")), answer: "There is no answer",
		within: "COULD NOT CHECK|not-a-proof", not: "Table of readings|VERIFIED:",
	}
}

func below(t testing.TB) sample {
	s := golden(t, "v0", nil)
	v := proof.Verify(s.f, proof.Options{})
	s.name, s.v, s.o.Policy, s.o.Given = "below", &v, nil, nil
	s.answer, s.not = "This file does not prove what was asked", "VERIFIED:"
	s.within = "REFUSED|Whose ledger this is was not checked|It is not proven as was asked|block-not-trusted"
	return s
}

// evil is text that must do nothing but stand there.
const evil = "</title><script>document.title='taken'</script>\"'><img src=x onerror=alert(1)> \u202e\u0000\x1b[31m\u2066 \xff e\u0301\u0301\u0301\u0301 \u05d0\u05d1\u05d2 % %s &lt;"

// hostile has such a text wherever a file or a name can bring one.
func hostile() sample {
	m := newMonth()
	m.claim(2, evil, start, start+90*minute, gapAt(proof.GapLost, start+30*minute, 10, 10, true))
	v := &m.v
	v.Ranges[0].Device, v.Ranges[0].DeviceCounters, v.Ranges[0].LateStreams = evil, evil, strings.Repeat(evil, 40)
	v.Ranges[0].Findings = []string{evil}
	v.Ranges[0].Gaps[0].Reason, v.Ranges[0].Gaps[0].By, v.Ranges[0].Gaps[0].Kind = evil, evil, evil
	v.Ranges[0].Parts[0].Delay = evil
	v.Outcome, v.Reason, v.Code, v.Next, v.CheapWork, v.Quorum = proof.Refused, evil, proof.Code(evil), evil, evil, evil
	v.Anchors[0] = proof.AnchorVerdict{
		Route: evil, Name: evil, Hash: evil, Time: evil, Earliest: evil, Latest: "x", Root: evil, How: evil, Trusted: true, InPolicy: true, Contract: evil, Code: evil, Sender: evil,
		Network: evil, TxID: evil, Spends: evil, Script: evil, Merkle: evil, Depth: 1, Work: evil, Pending: []string{evil},
	}
	v.Routes = []proof.RouteVerdict{{Name: evil, Chain: evil, Code: proof.Code(evil)}}
	v.Witnesses = []proof.WitnessVerdict{{Name: evil, Key: evil, Time: evil}}
	v.Vouches = []proof.VouchVerdict{{Kind: evil, SHA256: evil}}
	v.Succession = []proof.SuccessionVerdict{{What: evil, Why: evil}}
	v.Clock = []proof.ClockVerdict{{Route: evil, Ahead: evil, Behind: evil}}
	v.Statements = []proof.StatementVerdict{{Kind: evil, At: evil, Body: evil}}
	v.NotBefore = &proof.Bound{Time: evil, Route: evil, Hash: evil, Slack: evil}
	v.NotChecked, v.Checks[3].Detail = append(v.NotChecked, evil), evil
	v.Ledger, v.Key = evil, evil
	r := reading.Reading{Device: "00000000000000a1", Received: start + 91*minute, Clock: reading.Synced, Origin: reading.Origin{Transport: reading.TransportUDP, Verdict: reading.Opaque}, Measurements: []reading.Measurement{
		{Name: "</text><script>", Unit: "<b>&\"'", Value: reading.Int(3)}, {Name: "note", Value: reading.Text("</td>\u202e<script>alert(1)</script>")},
	}}
	n := shownOf(&r, 3, 7, 8)
	m.f.Readings = []proof.Reading{{Seq: 1, Width: n.Width, Fields: n.Fields}}
	v.Readings = []proof.ReadingVerdict{{Stream: 7, Sequence: 1, Device: evil, BoundAs: evil, From: stamp(start + 91*minute), To: stamp(start + 92*minute)}}
	o := options(evil, []byte(evil), "</text><script>=4..5")
	o.Verifier, o.Limits[0].Name = evil, "</text><script>"
	o.Given = []Input{{What: evil, Name: evil}, {What: evil, Name: evil, Size: -1}}
	placed := proof.PlacedVerdict{Place: evil, Thing: evil, Notes: []string{evil}, More: 1}
	v.Readings[0].Placed, v.Ranges[0].Placed = &placed, &placed
	v.Attached = []proof.AttachedVerdict{{File: evil, SHA256: evil, Names: []proof.NamedFile{{At: evil, What: evil, BoundAs: evil, Place: evil, Thing: evil}}}, {File: evil}}
	return sample{
		name: "hostile", f: &m.f, v: v, o: o, answer: "This file does not hold what it claims",
		within: "⟨U+202E⟩|⟨U+0000⟩|⟨U+001B⟩|⟨byte FF⟩|⟨U+0301⟩|more bytes)|&lt;/text&gt;&lt;script&gt;",
		not:    "<script|<img|\u202e|\x1b|\u2066|\x00",
	}
}

// render writes a sample's page.
func (s *sample) render(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, s.f, s.v, s.o); err != nil {
		t.Fatal(err)
	}
	if *pagesDir != "" {
		if err := os.WriteFile(filepath.Join(*pagesDir, s.name+".html"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
