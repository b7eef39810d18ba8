// Devices, the readings of a stream, and one reading with its proof.

import { get, refresh, query } from "./api.js";
import { h, section, state, time, agoOf, value, table, row, facts, field, id, whole, hash, nothing, plural, say } from "./dom.js";
import { whyOf } from "./overview.js";
import { proofOfReading, proofOfTime, local } from "./proofs.js";

const LIMIT = 50;

export async function devices(ctx) {
  const all = await get("/devices");
  const audience = ctx.me.role === "audience";
  const several = ctx.me.several;
  const link = d => h("a", { href: `/console/stream/${d.ledger}/${d.stream}` }, d.name || d.id || `stream ${d.stream}`);
  const newest = d => d.received ? [(d.values ?? []).map(v => `${v.name} ${value(v)}`).join(", "), " ", agoOf(d.received)] : "";
  const ledger = several && ["Ledger", d => d.ledger];
  if (audience) {
    const columns = [["Device", link], ledger, ["Stream", d => String(d.stream)], ["Open to you", d => d.opens.map(s => h("div", {}, time(s.from), " to ", time(s.to)))], ["Newest reading", newest, "wide"]].filter(Boolean);
    return {
      title: "Devices", body: [h("div", { class: "title" }, h("h1", {}, "What is open to you")),
        h("p", { class: "soft" }, `You see what the grants to ${ctx.me.audience} open, and nothing else.`),
        all.length ? table(plural(all.length, "stream"), columns, all) : nothing("No grant opens anything to you at this moment.")],
    };
  }
  const used = all.filter(d => !d.until), ended = all.filter(d => d.until);
  const columns = [["Device", link], ["Place", d => d.place], ["Thing", d => d.thing], ["State", d => d.state && state(d.state)], ["Newest reading", newest, "wide"], ledger,
    ["Number", d => String(d.number), "number"], ["ID", d => id(d.id)], ["Kind", d => d.kind], ["Since", d => time(d.from)]].filter(Boolean);
  return {
    title: "Devices", body: [h("div", { class: "title" }, h("h1", {}, "Devices")),
      used.length ? table(plural(used.length, "device") + " in use", columns, used) : nothing("No device is registered yet. On the gateway: cairn device add --name fridge --place kitchen …"),
      ended.length > 0 && h("details", {}, h("summary", {}, `${plural(ended.length, "binding")} that ended`),
        table("Ended bindings; their readings are kept", [...columns.filter(([name]) => name !== "State" && name !== "Newest reading"), ["Until", d => time(d.until)]], ended))],
  };
}

export async function stream(ctx) {
  const [ledger, number] = ctx.args;
  const until = ctx.query.get("until"); // an earlier time to look at
  const at = `/streams/${encodeURIComponent(number)}/readings`;
  const [all, first] = await Promise.all([get("/devices" + query({ ledger })), get(at + query({ ledger, limit: LIMIT, to: until }))]);
  const d = all.find(d => d.streams.includes(Number(number))) ?? { ledger, stream: Number(number), streams: [Number(number)], id: "", values: [] };
  const name = d.name || d.id || `Stream ${number}`;
  const others = d.streams.filter(n => n !== Number(number));
  const names = [...new Set(first.readings.flatMap(r => r.values.map(v => v.name)))];
  const beyond = v => (d.thresholds ?? []).some(t => t.field === v.name && (t.above && Number(v.value) > Number(t.above) || t.below && Number(v.value) < Number(t.below)));
  const columns = [
    ["Received", r => h("a", { href: `/console/reading/${ledger}/${r.stream}/${r.sequence}` }, time(r.received, false, true))],
    ...names.map(n => [n, r => {
      const v = r.values.find(v => v.name === n);
      return v && (beyond(v) ? h("strong", { class: "state alarm", title: "beyond a rule's threshold" }, value(v)) : value(v));
    }, "number"]),
    ["Origin", r => `${r.transport}, ${r.verdict}${r.clock === "synced" ? "" : ", clock " + r.clock}`],
    ["Number", r => String(r.sequence), "number"],
    first.readings.some(r => r.shredded?.length) && ["Shredded", r => (r.shredded ?? []).join(", ")],
  ].filter(Boolean);
  const list = table("Newest first", columns, first.readings);
  const rows = list.querySelector("tbody");
  const older = h("button", { type: "button", class: "quiet", hidden: first.next === undefined, onclick: async () => {
    older.disabled = true;
    try {
      const page = await get(at + query({ ledger, limit: LIMIT, before: older.dataset.next }));
      rows.append(...page.readings.map(r => row(columns, r)));
      older.hidden = page.next === undefined;
      older.dataset.next = page.next ?? "";
      say(`${page.readings.length} more readings`);
    } catch (e) {
      older.after(h("p", { class: "note bad", role: "alert" }, e.message));
    }
    older.disabled = false;
  } }, "Older readings");
  older.dataset.next = first.next ?? "";
  const newest = until ? d.received : first.readings[0]?.received;
  const jump = h("form", { class: "line", onsubmit: e => {
    e.preventDefault();
    const time = jump.elements.until.value;
    ctx.go(`stream/${ledger}/${number}` + query({ until: time && new Date(time).toISOString() }));
  } }, field("Readings until", { name: "until", type: "datetime-local", value: until ? local(new Date(until)) : "" }, "empty: now"), h("button", { type: "submit", class: "quiet" }, "Show"));
  const update = async () => {
    const page = await refresh(at + query({ ledger, limit: 20 }));
    const known = new Set([...rows.querySelectorAll("a")].slice(0, 40).map(a => a.pathname));
    for (const r of page.readings.reverse()) {
      const e = row(columns, r);
      if (known.has(e.querySelector("a").pathname)) continue;
      e.classList.add("fresh");
      rows.prepend(e);
    }
  };
  const charts = chartsOf(ctx, d, ledger, Number(number), names, first.readings);
  let timer;
  return {
    title: name,
    body: [
      h("div", { class: "title" }, h("h1", {}, name), d.state && state(d.state), h("span", { class: "soft" }, [d.place, d.thing].filter(Boolean).join(" · "))),
      d.why && h("p", { class: `note ${d.state === "alarm" ? "bad" : "doubt"}` }, whyOf(d)),
      charts.sections,
      section("Readings", first.readings.length ? [list, h("p", {}, older)] : nothing(until ? "No reading had come by then." : "No reading is here yet."), jump,
        (first.notThere ?? []).length > 0 && h("details", { open: true }, h("summary", {}, "What is not there"), h("ul", {}, first.notThere.map(t => h("li", {}, t))))),
      d.number !== undefined && proofOfTime(d),
      section("About this stream", h("div", { class: "card" }, facts([
        ["Device", d.id && whole(d.id)], ["Number", d.number && String(d.number)], ["Kind", d.kind], ["Stream", `${number} of the ledger ${ledger}`], ["Other streams", others.length > 0 && others.map(n => [h("a", { href: `/console/stream/${ledger}/${n}` }, String(n)), " "])], ["Bound since", d.from && time(d.from)], ["Until", d.until && time(d.until)],
        ["Newest reading", newest && time(newest, true)],
        ["Thresholds", (d.thresholds ?? []).map(t => h("div", {}, `${t.rule}: ${t.field} ${[t.above && "above " + t.above, t.below && "below " + t.below].filter(Boolean).join(" or ")}`))],
        ["Open to you", (d.opens ?? []).map(s => h("div", {}, time(s.from), " to ", time(s.to)))],
      ].filter(([, v]) => !Array.isArray(v) || v.length)))),
    ],
    live: event => {
      if (event.reading?.ledger !== ledger || event.reading.stream !== Number(number)) return;
      charts.push(event.reading);
      if (until) return;
      timer ??= setTimeout(() => { timer = undefined; if (rows.isConnected) update().catch(() => {}); }, 700);
    },
  };
}

// chartsOf makes a section for the chart of each measurement, if this build of the console has what draws them.
function chartsOf(ctx, d, ledger, number, names, readings) {
  const module = document.body.dataset.chart, drawn = [];
  if (!module || !readings.length) return { sections: null, push() {} };
  const numbers = names.filter(n => readings.some(r => r.values.some(v => v.name === n && v.value !== "" && !isNaN(v.value))));
  const to = Date.now();
  let before = Promise.resolve(); // one chart is drawn after the other
  const happened = ctx.me.role === "audience" ? Promise.resolve([]) : marksOf(ledger, number).catch(() => []);
  const sections = numbers.map(field => {
    const e = h("div", { class: "chart card" });
    const limits = {};
    for (const t of (d.thresholds ?? []).filter(t => t.field === field)) {
      if (t.above) limits.high = Number(t.above);
      if (t.below) limits.low = Number(t.below);
    }
    const mount = async () => {
      const [m, marks] = await Promise.all([import("./" + module), happened]);
      let chart;
      const options = { ledger, stream: number, field, title: `${d.name || d.id}, ${field}`, from: to - DAY, to, limits, marks, onshow: async (from, to) => {
        if (!chart) return;
        options.marks = chart.o.marks = to - from > BATCHES ? marks : [...marks, ...await batchesOf(ledger, from, to).catch(() => [])];
        chart.draw();
      } };
      chart = await m.mountChart(e, options);
      drawn.push([field, chart]);
    };
    before = before.then(mount).catch(error => e.append(h("p", { class: "nothing" }, `The chart cannot be drawn: ${error.message}`)));
    return h("section", { "aria-label": `Chart of ${field}` }, h("h2", {}, field), e);
  });
  return {
    sections,
    push: r => {
      for (const [field, chart] of drawn) {
        const v = r.values.find(v => v.name === field);
        if (v && !isNaN(v.value)) chart.push?.({ at: new Date(r.received).getTime(), value: Number(v.value) });
      }
    },
  };
}

const DAY = 86_400e3, BATCHES = 3 * 3600e3; // in a longer time batches would stand too close to be seen

// marksOf are what happened to a stream, for its charts: alerts, and anchors of its ledger.
async function marksOf(ledger, number) {
  const [{ alerts }, anchors] = await Promise.all([get("/alerts" + query({ ledger, all: true })), get("/anchors" + query({ ledger }))]);
  return [
    ...alerts.filter(a => a.stream === number).map(a => ({ at: Date.parse(a.raised), kind: "alert" })),
    ...anchors.flatMap(l => l.routes).flatMap(r => r.anchors).filter(a => a.time).map(a => ({ at: Date.parse(a.time), kind: "anchor" })),
  ];
}

async function batchesOf(ledger, from, to) {
  const { batches } = await get("/batches" + query({ ledger, limit: 200 }));
  return batches.map(b => ({ at: Date.parse(b.to), kind: "batch" })).filter(m => m.at >= from && m.at <= to);
}

export async function reading(ctx) {
  const [ledger, number, sequence] = ctx.args;
  const r = await get(`/streams/${encodeURIComponent(number)}/readings/${encodeURIComponent(sequence)}` + query({ ledger }));
  const name = `${number}/${sequence}`;
  const measured = r.values.map(v => [v.name, h("strong", {}, value(v))]);
  return {
    title: `Reading ${name}`,
    body: [
      h("div", { class: "title" }, h("h1", {}, `Reading ${name}`), state(r.state), h("span", { class: "soft" }, h("a", { href: `/console/stream/${ledger}/${number}` }, r.name || r.device), r.place && ` · ${r.place}`)),
      h("div", { class: "card" }, facts([...measured, ["Received", time(r.received, true, true)], ["Measured", r.measured ? time(r.measured, false, true) : "the device did not say"], ["Gateway's clock", r.clock], ["Origin", `${r.transport}, ${r.verdict}`],
        ["Node's counter", r.counter !== undefined && String(r.counter)], ["Shredded", (r.shredded ?? []).join(", ")]])),
      proofOfReading(ctx, ledger, name, r),
      section("Fields", h("p", { class: "soft small" }, "Each can be proven by itself, without showing the others."),
        table(plural(r.fields.length, "field"), [["Field", f => f.name || "(shredded)"], ["Value", f => f.gone ? h("em", { class: "soft" }, "shredded") : f.value, "wide"], ["Compartment", f => f.class],
          ["Hashed bytes", f => f.item && h("details", {}, h("summary", {}, plural(f.item.length / 2, "byte")), whole(f.item)), "wide"]], r.fields)),
      r.frame && section("Frame", h("div", { class: "card" }, h("p", {}, `As it came: ${r.frame.kind}.`), r.frame.text ? h("pre", { class: "frame" }, r.frame.text) : whole(r.frame.hex), facts([["SHA-256", whole(r.frame.sha256)]]))),
      pathOf(r, ledger),
    ],
  };
}

function siblings(all) {
  if (!all.length) return h("p", { class: "soft small" }, "Nothing stands beside it there.");
  return h("details", {}, h("summary", {}, `${plural(all.length, "sibling hash", "sibling hashes")} on the way up`), h("ul", {}, all.map(x => h("li", {}, whole(x)))));
}

function pathOf(r, ledger) {
  if (!r.path) return section("The way to the public chains", nothing("Its window is not closed yet: ask again when it is, a minute from now at most by default."));
  const p = r.path;
  const steps = [
    [h("h3", {}, `Run: reading ${r.sequence} of ${p.first} to ${p.next - 1}`), h("p", { class: "soft small" }, "The readings of this stream in the same window."), siblings(p.run)],
    [h("h3", {}, `Batch: the stream's summary at slot ${p.slot}`), h("p", { class: "soft small" }, "One summary of each stream. The tag stands for this one: ", whole(p.tag)), siblings(p.batch)],
    [h("h3", {}, h("a", { href: `/console/batch/${ledger}/${p.index}` }, `Log: batch ${p.index}`)), h("p", { class: "soft small" }, "Window from ", time(p.from), " to ", time(p.to)), p.log && siblings(p.log)],
    [h("h3", {}, p.size ? `Signed head of ${plural(p.size, "batch", "batches")}` : "No signed head yet"), p.size ? h("p", { class: "small" }, "Root ", whole(p.root)) : h("p", { class: "soft small" }, p.unsigned)],
    [h("h3", {}, r.anchors.length ? "Anchors" : "No anchor yet"), r.anchors.length ? anchorTable(r.anchors) : h("p", { class: "soft small" }, "No block of a public chain holds a head that covers it.")],
  ];
  return section("The way to the public chains", h("ol", { class: "steps" }, steps.map(s => h("li", {}, s))));
}

export const anchorTable = all => table(plural(all.length, "route"), [
  ["Route", a => a.route], ["State", a => state(a.state)], ["Block", a => a.block && String(a.block), "number"], ["Block's time", a => time(a.time)], ["Transaction", a => hash(a.transaction)], ["Batches under it", a => a.batches.toLocaleString(), "number"]], all);
