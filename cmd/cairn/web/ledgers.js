// Batches, anchors, and who else may read: what belongs to a ledger.

import { get, query } from "./api.js";
import { h, section, state, time, agoOf, table, row, facts, hash, whole, nothing, plural, say } from "./dom.js";
import { anchorTable } from "./readings.js";

const LIMIT = 50;

// chooser lets a reader of a gateway with several ledgers choose one.
function chooser(ledgers, page, chosen) {
  if (ledgers.length < 2) return null;
  return h("nav", { "aria-label": "Ledgers", class: "actions" }, ledgers.map(l => h("a", { href: `/console/${page}/${l}`, "aria-current": l === chosen && "page", class: `button small ${l === chosen ? "" : "quiet"}` }, l)));
}

// ledgersOf are those that a reader may look at: of an audience those of its streams.
async function ledgersOf(ctx) {
  if (!ctx.me.several) return ["site"];
  const all = await get(ctx.me.role === "audience" ? "/devices" : "/anchors");
  return [...new Set(all.map(l => l.ledger))];
}

export async function batches(ctx) {
  const ledgers = await ledgersOf(ctx);
  const ledger = ctx.args[0] || ledgers[0];
  if (!ledger) return { title: "Batches", body: [h("h1", {}, "Batches"), nothing("No grant opens any ledger to you at this moment.")] };
  const first = await get("/batches" + query({ ledger, limit: LIMIT }));
  const counted = first.batches.some(b => b.readings !== undefined);
  const columns = [
    ["Batch", b => h("a", { href: `/console/batch/${ledger}/${b.index}` }, String(b.index))], ["Window from", b => time(b.from)], ["to", b => time(b.to)],
    counted && ["Readings", b => b.readings?.toLocaleString(), "number"], counted && ["Streams", b => b.streams?.toLocaleString(), "number"], ["State", b => state(b.state)],
    ["Root", b => hash(b.root)], counted && first.batches.some(b => b.missed) && ["Missed windows", b => b.missed ? String(b.missed) : "", "number"],
  ].filter(Boolean);
  const list = table("Newest first", columns, first.batches);
  const older = h("button", { type: "button", class: "quiet", hidden: first.next === undefined, onclick: async () => {
    older.disabled = true;
    try {
      const page = await get("/batches" + query({ ledger, limit: LIMIT, before: older.dataset.next }));
      list.querySelector("tbody").append(...page.batches.map(b => row(columns, b)));
      older.hidden = page.next === undefined;
      older.dataset.next = page.next ?? "";
      say(`${page.batches.length} more batches`);
    } catch (e) {
      older.after(h("p", { class: "note bad", role: "alert" }, e.message));
    }
    older.disabled = false;
  } }, "Older batches");
  older.dataset.next = first.next ?? "";
  return {
    title: "Batches", body: [h("div", { class: "title" }, h("h1", {}, "Batches"), ctx.me.several && h("span", { class: "soft" }, `of the ledger ${ledger}`)), chooser(ledgers, "batches", ledger),
      h("p", { class: "soft" }, "Each window gives one batch, also when nothing came. A batch is one entry of the ledger's log."),
      first.batches.length ? [list, h("p", {}, older)] : nothing("No window is closed yet.")],
  };
}

export async function batch(ctx) {
  const [ledger, index] = ctx.args;
  const b = await get(`/batches/${encodeURIComponent(index)}` + query({ ledger }));
  return {
    title: `Batch ${index}`,
    body: [
      h("div", { class: "title" }, h("h1", {}, `Batch ${index}`), state(b.state), h("span", { class: "soft" }, h("a", { href: `/console/batches/${ledger}` }, `of the ledger ${ledger}`))),
      h("div", { class: "card" }, facts([
        ["Window", [time(b.from), " to ", time(b.to)]], ["Readings", b.readings?.toLocaleString()], ["Active streams", b.streams?.toLocaleString()], ["Missed windows", b.missed ? String(b.missed) : ""],
        ["Statements by then", b.statements?.toLocaleString()], ["Root", whole(b.root)],
      ])),
      section("Anchors", b.anchors?.length ? anchorTable(b.anchors) : nothing("No block of a public chain holds a head that covers it.")),
      section("Not closed before", b.seen?.length ? table("Newest blocks when the window opened", [["Route", s => s.route], ["Block", s => String(s.height), "number"], ["Its time", s => time(s.time)], ["Hash", s => whole(s.hash), "wide"]], b.seen)
        : nothing("No route's block was known when its window opened.")),
      b.header && section("Log entry", h("details", {}, h("summary", {}, plural(b.header.length / 2, "byte")), whole(b.header))),
    ],
  };
}

export async function anchors() {
  const all = await get("/anchors");
  return {
    title: "Anchors",
    body: [h("div", { class: "title" }, h("h1", {}, "Anchors")), all.map(l => section(all.length > 1 ? `Ledger ${l.ledger}` : "Ledger",
      h("div", { class: "card" }, facts([["Batches", l.batches.toLocaleString()], ["Under the newest signed head", l.signed.toLocaleString()], ["Not signed because", l.held], ["Rollback", l.rollback === "guarded" ? "guarded" : l.rollback === "held" ? "held: nothing is signed" : "unguarded: no route or witness keeps the head"],
        ["Routes that must hold a batch", l.quorum], ["Ledger's ID", whole(l.id)]])),
      l.routes.length ? l.routes.map(route) : h("p", { class: "note doubt" }, "No route is configured: nothing is anchored. The comments in cairn.yaml say how; calendars cost nothing.")))],
  };
}

function route(r) {
  const m = r.money;
  const low = m?.runwayDays !== undefined && m.runwayDays < 14;
  return h("article", { class: "card" },
    h("h3", { class: "actions" }, r.route, state(r.healthy ? "ok" : "alarm", r.healthy ? "Healthy" : "Needs somebody")),
    r.reason && h("p", { class: `note ${r.healthy ? "" : "bad"}` }, r.reason),
    r.undone?.length > 0 && h("div", { class: "note bad" }, h("strong", {}, "Undone by the chain"), h("ul", {}, r.undone.map(u => h("li", {}, u)))),
    facts([
      ["State", r.state], ["Not anchored since", r.oldestUnanchored ? time(r.oldestUnanchored, true) : "all is anchored"], ["Next anchor", r.next && time(r.next, true)], ["Final by", r.finalRule],
      ["Spent this month", m && m.spentThisMonth + (m.monthlyBudget ? ` of ${m.monthlyBudget}` : "")], ["One anchor costs", m?.perAnchor && `${m.perAnchor} at present`], ["Balance", m?.balance],
      ["Good for", m?.runwayDays !== undefined && h("span", { class: low ? "state alarm" : "" }, plural(Math.floor(m.runwayDays), "day"))], ["To send", m?.topUp && [m.topUp, " to ", whole(m.address)]],
      ["Notes", r.notes?.length ? h("ul", {}, r.notes.map(n => h("li", {}, n))) : ""],
    ]),
    r.anchors.length > 0 && table("Newest anchors", [["Batches", a => a.batches.toLocaleString(), "number"], ["State", a => state(a.state === "final" ? "final" : "pending", a.state)], ["Block", a => a.block && String(a.block), "number"],
      ["Block's time", a => time(a.time)], ["Fee", a => a.fee, "number"], ["Transaction", a => hash(a.transaction)], ["Root", a => hash(a.root)]], r.anchors));
}

export async function sharing(ctx) {
  const audience = ctx.me.role === "audience";
  const [grants, copies] = await Promise.all([get("/grants"), audience ? [] : get("/mirrors")]);
  const several = ctx.me.several;
  const columns = [["Grant", g => String(g.number), "number"], several && ["Ledger", g => g.ledger], !audience && ["Audience", g => [g.audience, g.mirror && h("span", { class: "soft" }, " (mirror)")]],
    ["State", g => state(g.inForce ? "ok" : "silent", g.state)], ["Purpose", g => g.purpose], ["Opens", g => g.opensFrom ? [time(g.opensFrom), " to ", time(g.opensUntil)] : "nothing"], ["Until", g => g.until ? time(g.until) : "open-ended"],
    ["Compartments", g => h("details", {}, h("summary", {}, plural(g.compartments.length, "compartment")), h("ul", {}, g.compartments.map(c => h("li", {}, h("code", {}, c))))), "wide"]].filter(Boolean);
  const mirrors = copies.flatMap(l => l.mirrors.map(m => ({ ...m, ledger: l.ledger })));
  const witnesses = copies.flatMap(l => l.witnesses.map(w => ({ ...w, ledger: l.ledger })));
  return {
    title: "Sharing",
    body: [
      h("div", { class: "title" }, h("h1", {}, audience ? "Your grants" : "Sharing")),
      section("Grants", grants.length ? table("Those in force first", columns, grants) : nothing(audience ? "There is none." : "Nobody but the site has any key. On the gateway: cairn grant add …"),
        h("p", { class: "soft small" }, "What was handed out cannot be taken back: whoever opened an hour keeps it, and an end only withholds what comes after.")),
      !audience && section("Mirrors", mirrors.length ? table("Who keeps a copy", [["Mirror", m => m.audience], several && ["Ledger", m => m.ledger], ["Grant", m => String(m.grant), "number"], ["State", m => state(m.quiet ? "silent" : "ok", m.quiet ? "Not seen for a day" : "Seen")], ["Asked last", m => m.seen ? [time(m.seen), " ", agoOf(m.seen)] : "not since the start"]].filter(Boolean), mirrors)
        : nothing("Nobody else keeps a copy.")),
      !audience && section("Witnesses", witnesses.length ? table("Who cosigns heads", [["Witness", w => w.name], several && ["Ledger", w => w.ledger], ["State", w => state(w.healthy ? "ok" : "alarm", w.healthy ? "Healthy" : "Needs somebody")], ["Cosigned", w => plural(w.batches, "batch", "batches"), "number"], ["Reason", w => w.reason, "wide"]].filter(Boolean), witnesses)
        : nothing("Nobody cosigns.")),
    ],
  };
}
