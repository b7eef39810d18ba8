// Shows a verdict. Whatever stands in it may come from a file that somebody made to deceive: it reaches the page as
// text and nothing else, and without characters that cannot be seen.
"use strict";

// plain writes what is no letter, mark, digit, punctuation, symbol or space as its number: the same characters as the
// text of a verdict does. They could turn the order of what follows, or hide.
function plain(text) {
  return String(text).replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, c => `\\u{${c.codePointAt(0).toString(16)}}`);
}

// el makes an element. Children are elements and texts; of attributes, class and what HTML calls them.
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== "")
    .map(c => c instanceof Node ? c : plain(c)));
  return e;
}

const value = text => el("span", { class: "value" }, text);
const digest = text => el("code", { class: "digest" }, text);
const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

// when writes a time for people; the JSON has it as it is.
const when = time => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(time)
  ? time.replace("T", " ").replace(/(\.000)?Z$/, " UTC") : time;

const facts = rows => el("dl", { class: "facts" },
  rows.filter(row => row && row[1] !== undefined && row[1] !== "" && row[1] !== null)
    .map(([name, ...what]) => el("div", {}, el("dt", {}, name), el("dd", {}, ...what.flat()))));

// The answers that a text begins with, as they are shown.
const answers = {
  "VERIFIED": { sign: "✓", look: "verified" },
  "REFUSED": { sign: "✕", look: "refused" },
  "COULD NOT CHECK": { sign: "?", look: "unchecked" },
  "FRAUD PROVEN": { sign: "!", look: "refused" },
  "NOT PROVEN": { sign: "✕", look: "unchecked" },
};

const levels = {
  none: "nothing holds",
  logged: "under a head that the ledger’s key signed",
  pending: "that head is in a block that nobody vouched for, or promised one",
  late: "the block is trusted, but later than the policy allows",
  anchored: "the block is trusted, and in time if the policy sets one",
};

// clear takes an answer away.
function clear(title, hint) {
  $("verdict").className = "";
  $("answer").className = "waiting";
  $("answer").textContent = title || "No answer yet";
  $("waiting").textContent = hint ?? "Choose a proof file. Its answer appears here: VERIFIED, REFUSED or COULD NOT CHECK.";
  $("waiting").hidden = hint === "";
  $("details").replaceChildren();
  delete document.body.dataset.outcome;
}

// show shows an answer of the worker about a request.
function show(answer, request) {
  const v = answer.verdict;
  const outcome = v ? v.outcome : "unchecked";
  const first = v ? answer.text.split("\n", 1)[0] : `COULD NOT CHECK: ${answer.refused}`;
  const big = Object.keys(answers).find(word => first.startsWith(word)) || "COULD NOT CHECK";
  const rest = first.startsWith(big) ? first.slice(big.length).replace(/^:? /, "") : first;

  clear();
  $("waiting").hidden = true;
  $("verdict").className = answers[big].look;
  $("answer").className = "";
  $("answer").replaceChildren(el("span", { class: "sign", "aria-hidden": "true" }, answers[big].sign), el("span", { id: "outcome" }, big));
  const parts = [el("p", { id: "headline" }, rest)];
  if (v) parts.push(...(shown[answer.kind] || verdictParts)(v, answer, request));
  else if (request) parts.push(el("p", { class: "hint" }, "The question could not be read as it was asked, so nothing was checked."));
  if (request) parts.push(second(request, answer));
  $("details").replaceChildren(...parts.filter(Boolean));
  document.body.dataset.outcome = outcome;
  say(`${big}. ${plain(rest)}${v && v.identityChecked === false ? " Identity was not checked." : ""}`);
}

function verdictParts(v, answer, request) {
  return [
    next(v), identity(v, request), cheap(v),
    summary(v, answer, request),
    completeness(v),
    readingsPart(v, answer),
    el("div", { class: "pair" }, notChecked(v), checked(v)),
    anchors(v), routes(v), witnesses(v), vouches(v), ledgerSays(v),
    machineForms(v, answer, request),
  ];
}

// fraudParts is for evidence that the log's key signed what excludes one another.
function fraudParts(v, answer, request) {
  return [
    next(v), identity(v, request),
    facts([
      ["Fraud", v.fraud ? el("code", {}, v.fraud) : undefined],
      ["Code", v.code ? el("code", { id: "code" }, v.code) : undefined],
      ["Ledger", v.ledger ? digest(v.ledger) : undefined],
      ["Log key", v.key ? digest(v.key) : undefined],
      fileRow(answer, request),
    ]),
    v.signed && v.signed.length ? section("Signed, and in contradiction", el("ul", {}, v.signed.map(s => el("li", {}, s.what, ", by ", digest(s.key))))) : null,
    v.means ? section("What it means", el("ul", {}, v.means.map(m => el("li", {}, m)))) : null,
    v.doesNotMean ? section("IT DOES NOT SAY", el("ul", {}, v.doesNotMean.map(m => el("li", {}, m)))) : null,
    machineForms(v, answer, request),
  ];
}

// stampParts is for an OpenTimestamps file, whose verdict is another.
function stampParts(v, answer, request) {
  return [
    next(v), cheap(v), v.data ? null : el("p", { class: "warning" }, el("strong", {}, "The stamped file was not given. "),
      "This answer is about a digest, and does not say of which file."),
    facts([
      level(v), reason(v),
      ["Not after", bound(v.notAfter)],
      ["Stamped", v.digest ? [`${v.hash} `, digest(v.digest)] : undefined],
      ["Its file", v.data ? [value(v.data.name || ""), `, ${v.data.size.toLocaleString("en")} bytes: `,
        v.data.matches ? "this is what was stamped" : el("strong", {}, "THIS IS NOT WHAT WAS STAMPED")] : undefined],
      fileRow(answer, request),
    ]),
    el("div", { class: "pair" }, notChecked(v), checked(v)),
    v.attestations && v.attestations.length ? folded(`Attestations (${v.attestations.length})`, v.attestations.map(attestation), more(v, "attestations")) : null,
    machineForms(v, answer, request),
  ];
}

function attestation(a) {
  return el("div", { class: "part" }, el("h4", {}, a.kind), facts([
    ["Says", a.says],
    ["Trusted", a.trusted ? `yes: ${a.how || ""}` : el("strong", {}, a.false ? "NO: it is false" : "NO")],
    ["Why not", a.trusted ? undefined : a.how],
    ["Block’s time", a.time ? when(a.time) : undefined],
    ["Block hash", a.blockHash ? digest(a.blockHash) : undefined],
    ["Merkle root", a.merkleRoot ? digest(a.merkleRoot) : undefined],
  ]));
}

// next is what to do. It speaks of the command's flags, which here are fields.
function next(v) {
  if (!v.next || v.level === "anchored") return null;
  const fields = [["--policy", "policy", "Policy file"], ["--headers", "headers", "Headers files"], ["--block", "blocks", "Block hashes"], ["--file", "data", "The stamped file"]]
    .filter(([flag]) => v.next.includes(flag))
    .map(([, id, name]) => { const b = button(name, () => $(id).focus()); b.classList.add("link"); return b; });
  return el("p", { class: "next" }, el("strong", {}, "Next: "), v.next,
    fields.length ? el("span", { class: "hint" }, " On this page: ", fields.flatMap((f, i) => i ? [", ", f] : [f])) : null);
}

const cheap = v => v.cheapWork ? el("p", { class: "warning" }, el("strong", {}, "For trials only. "),
  `This level rests on ${v.cheapWork}, whose blocks cost nothing to make.`) : null;

function identity(v, request) {
  if (v.identityChecked) return null;
  return el("p", { class: "warning", id: "identity" }, el("strong", {}, "Identity was not checked. "), request.policy
    ? "The check ended before it came to that."
    : "Anybody can keep a ledger. Without a policy that you got from its owner, this answer does not say whose readings these are.");
}

function summary(v, answer, request) {
  return facts([
    level(v), reason(v),
    ["Not before", bound(v.notBefore)],
    ["Not after", bound(v.notAfter)],
    ["Identity", v.identityChecked ? "log key and ledger are the policy’s" : el("strong", {}, "NOT CHECKED")],
    ["Complete", completeWord(v)],
    ["Ledger", v.ledger ? digest(v.ledger) : undefined],
    fileRow(answer, request),
  ]);
}

const level = v => ["Level", el("strong", { id: "level" }, v.level), `: ${levels[v.level] || ""}`,
  v.level === v.required ? "" : el("span", { class: "hint" }, ` (required: ${v.required})`)];

const reason = v => ["Code", v.code ? el("code", { id: "code" }, v.code) : undefined];

const fileRow = (answer, request) => ["Proof file", value(request.proof.name),
  `, ${request.proof.size.toLocaleString("en")} bytes, SHA-256 `, digest(answer.sha256)];

function bound(b) {
  if (!b) return "unknown";
  return [el("strong", {}, when(b.time)), ` by ${b.route} block ${b.block}`, b.slack ? `, whose time may be ${b.slack} off (it is in)` : "",
    b.confirmed ? "" : el("em", {}, ", claimed by the ledger")];
}

function completeWord(v) {
  const ranges = v.ranges || [];
  if (!ranges.length) return v.readings.length ? "not claimed: this file shows single readings" : undefined;
  const whole = ranges.filter(r => r.complete).length;
  const by = [...new Set(ranges.filter(r => r.complete).map(r => r.numberedBy || "gateway"))];
  if (whole === ranges.length) return `yes, as numbered by the ${by.join(" or ")}`;
  return `${whole} of ${count(ranges.length, "range")}`;
}

function completeness(v) {
  const ranges = v.ranges || [];
  if (!ranges.length) return null;
  return section("Completeness", ranges.map(rangePart), more(v, "ranges"));
}

function rangePart(r) {
  const name = r.boundAs ? `“${r.boundAs}”` : r.device ? `device ${r.device}` : `stream ${r.stream}`;
  const state = r.complete ? "complete" : "NOT SHOWN TO BE COMPLETE";
  const numbers = r.first === r.next ? "no reading in this time" : `numbers ${r.first} to ${r.next - 1}`;
  return el("div", { class: "part" },
    el("h4", {}, `${name}${r.late ? ", came late" : ""}: ${state}`),
    facts([
      ["Asked for", `${when(r.from)} to ${when(r.to)}`],
      ["Covered", `${count(r.readings, "reading")}, ${numbers}${r.closed ? ", until the stream was closed" : ""}`],
      ["Known", r.fromWindow ? `from ${when(r.fromWindow)} to ${r.knownUntil ? when(r.knownUntil) : "its end"}` : undefined],
      ["Numbered by", r.numberedBy],
      ["Its counters", r.deviceCounters],
      ["Late readings", r.lateStreams],
      ...installed(r.placed),
    ]),
    r.findings && r.findings.length ? [el("h5", {}, "Findings"), el("ul", { class: "findings" }, r.findings.map(f => el("li", {}, f))), more(r, "findings")] : null,
    r.gaps && r.gaps.length ? [el("h5", {}, "Gaps"), el("ul", {}, r.gaps.map(gap)), more(r, "gaps")] : null,
    r.parts && r.parts.length ? el("details", {}, el("summary", {}, `When each part was fixed (${count(r.parts.length, "part")})`),
      table("parts", ["up to number", "window’s end", "fixed by", "that is later by", "level"],
        r.parts.map(p => [p.next, when(p.windowTo || ""), when(bare(p.notAfter)), p.delay || "", p.level || ""])), more(r, "parts")) : null);
}

// installed is where a device was, and what was recorded of it there.
function installed(p) {
  if (!p) return [];
  const where = [p.place, p.thing].filter(Boolean).join(", ");
  return [...(where ? [where] : []), ...(p.notes || []), ...(p.more ? [`… and ${p.more} more`] : [])].map(text => ["Installed", text]);
}

const bare = b => b && typeof b === "object" ? b.time : b || "unknown";

function gap(g) {
  const span = g.from || g.to ? ` ${when(g.from || "?")} to ${when(g.to || "?")}` : "";
  const declared = g.declared ? `declared${g.by ? ` by ${g.by}` : ""}` : "NOT DECLARED";
  return el("li", {}, el("strong", {}, g.kind), span, g.count ? `, ${g.count}` : "", g.afterSequence !== undefined ? `, after number ${g.afterSequence}` : "",
    `: ${declared}`, g.reason ? `, ${g.reason}` : "");
}

// Fields 1 to 6 are the same of every reading; what follows is measured.
const firstMeasured = 7;
const cards = 3;

function readingsPart(v, answer) {
  const n = answer.total;
  if (!n) return null;
  if (n <= cards) return section(n === 1 ? "The reading" : "The readings", v.readings.map(card));
  const columns = [];
  const seen = new Set();
  for (const r of v.readings) {
    for (const f of r.fields) {
      const name = f.unit ? `${f.name} (${f.unit})` : f.name;
      if (f.index >= firstMeasured && !seen.has(name) && columns.length < 6) { seen.add(name); columns.push({ index: f.index, name }); }
    }
  }
  const nameOf = r => r.boundAs || ((v.ranges || [])[r.range] || {}).boundAs;
  const row = r => [`${r.sequence}`, nameOf(r) ? `“${nameOf(r)}”` : `stream ${r.stream}`,
    (when((field(r, 3) || "").split(",")[0]) || `${when(r.windowFrom)} …`).replace(" UTC", ""),
    ...columns.map(c => field(r, c.index) ?? ""), r.level];
  const body = table("readings", ["number", "of", "received (UTC)", ...columns.map(c => c.name), "level"], v.readings.map(row));
  return section(`The readings (${n.toLocaleString("en")})`, body, moreReadings(body, row, v.readings.length, n));
}

const field = (r, index) => (r.fields.find(f => f.index === index) || {}).value;

// moreReadings gives a button that fetches further rows from the worker.
function moreReadings(body, row, from, total) {
  if (from >= total) return null;
  const button = el("button", { type: "button", class: "small" });
  const label = () => { button.textContent = `Show more (${(total - from).toLocaleString("en")} left)`; };
  label();
  button.addEventListener("click", async () => {
    const found = await machine.ask({ do: "more", from }).catch(() => []);
    from = found.length ? from + found.length : total;
    body.querySelector("tbody").append(...found.map(r => tableRow(row(r))));
    label();
    button.hidden = from >= total;
  });
  return el("p", {}, button, el("span", { class: "hint" }, " All of them are in the JSON."));
}

function card(r) {
  return el("div", { class: "part" },
    el("h4", {}, `Reading ${r.sequence} of stream ${r.stream}${r.boundAs ? `, bound as “${r.boundAs}”` : ""}${r.late ? ", came late" : ""}`,
      el("span", { class: "hint" }, ` (${r.whole ? "all" : "chosen"} fields), ${r.level}`)),
    facts([
      ...installed(r.placed),
      ...r.fields.map(f => [f.name, value(f.value + (f.unit ? ` ${f.unit}` : ""))]),
      ["window", `${when(r.windowFrom)} to ${when(r.windowTo)}, batch ${r.batch}`],
      ["not before", bound(r.notBefore)],
      ["not after", bound(r.notAfter)],
    ]));
}

function notChecked(v) {
  return section("NOT CHECKED", el("ul", { id: "not-checked" }, v.notChecked.map(n => el("li", {}, n))), more(v, "notChecked"));
}

function checked(v) {
  return section("Checked", el("ol", { id: "checks" }, v.checks.map(c => el("li", { value: c.step, class: c.ok ? "" : "false" },
    el("span", { class: "mark" }, c.ok ? "ok" : "FALSE"), el("strong", {}, c.name), " ", el("span", {}, c.detail)))));
}

function anchors(v) {
  const all = v.anchors || [];
  if (!all.length) return null;
  return folded(`Anchors (${all.length})`, all.map(a => el("div", { class: "part" },
    el("h4", {}, `${a.route}${a.name ? ` (${a.name})` : ""}: ${a.hash || a.blockHash || a.merkleRoot ? `block ${a.block}` : "no block yet"}`),
    facts([
      ["Trusted", a.trusted ? `yes: ${a.how || ""}` : el("strong", {}, "NO")],
      ["In the policy", v.identityChecked ? (a.inPolicy ? "yes" : el("strong", {}, "NO")) : undefined],
      ["Block’s time", a.time ? when(a.time) : undefined],
      ["Block hash", a.blockHash ? digest(a.blockHash) : undefined],
      ["Anchored root", digest(a.root), ` of ${count(a.logSize, "batch").replace("batchs", "batches")}`],
      ["Contract", a.contract ? digest(a.contract) : undefined],
      ["Sender", a.sender ? digest(a.sender) : undefined],
      ["Transaction", a.transactionId ? digest(a.transactionId) : undefined],
      ["Script", a.script ? digest(a.script.slice(0, 200)) : undefined],
      ["Promised by", a.pending ? `${a.pending.slice(0, 20).join(", ")}, whose word proves nothing` : undefined],
    ]))), more(v, "anchors"));
}

function routes(v) {
  if (!v.routes || !v.routes.length) return null;
  return folded(`The policy’s routes (${v.routes.length})`,
    table("routes", ["route", "chain", "level", "why not more"], v.routes.map(r => [r.name || "", r.chain, r.level, r.code || ""])),
    v.quorum ? el("p", {}, "Quorum: ", value(v.quorum)) : null, more(v, "routes"));
}

function witnesses(v) {
  if (!v.witnesses || !v.witnesses.length) return null;
  return folded(`Witnesses (${v.witnesses.length})`,
    table("witnesses", ["witness", "saw batches", "at", "in the policy"],
      v.witnesses.map(w => [w.name || "", w.size ?? "", when(w.time || ""), w.known ? "yes" : "no: ignored"])), more(v, "witnesses"));
}

function vouches(v) {
  if (!v.vouches || !v.vouches.length) return null;
  return folded(`What others say of blocks (${v.vouches.length}), NOT CHECKED`,
    table("vouches", ["kind", "of receipt", "bytes", "SHA-256"], v.vouches.map(w => [w.kind, w.receipt, w.size, digest(w.sha256 || "")])), more(v, "vouches"));
}

function ledgerSays(v) {
  const rows = [
    ...(v.statements || []).map(s => [`statement ${s.index}`, s.kind, when(s.at), s.body, s.level]),
    ...(v.succession || []).map(s => [`statement ${s.statement}`, "successor", "", s.what, s.followed ? "followed" : `NOT FOLLOWED: ${s.why || ""}`]),
    ...(v.clock || []).map(c => ["clock", c.route, "", `ahead ${c.ahead || "no"}, behind ${c.behind || "no"}`, c.confirmed ? "confirmed" : "by what the ledger says"]),
  ];
  if (!rows.length) return null;
  return folded(`What the ledger states (${rows.length})`, table("statements", ["number", "kind", "at", "what", "level"], rows),
    more(v, "statements"));
}

// machineForms has the answer as text and as JSON, to keep.
function machineForms(v, answer, request) {
  const stem = request.proof.name.replace(/[^\w.-]+/g, "_").slice(0, 80) || "proof";
  const text = el("pre", { id: "text", tabindex: "0", "aria-label": "the answer as the command prints it" });
  text.textContent = answer.text;
  const told = el("span", { class: "hint", role: "status" });
  const buttons = [
    button("Copy JSON", async () => copy(await answer.json.text(), told)),
    button("Save JSON", () => save(answer.json, `${stem}.verdict.json`, told)),
    button("Copy text", () => copy(answer.text, told)),
  ];
  buttons.push(button("Print", () => print()));
  const report = answer.kind !== "proof" ? null : reportForm(stem, request, told);
  return section("To keep", el("p", { class: "buttons" }, report ? report.save : null, buttons, told), report ? report.limits : null,
    el("details", { id: "as-text" }, el("summary", {}, "The answer as the command prints it"), text));
}

// reportForm offers the report: a page of its own, to print and to hand on, with a plot of the readings.
function reportForm(stem, request, told) {
  const limits = el("input", { type: "text", id: "limits", autocomplete: "off", spellcheck: "false", "aria-describedby": "limits-hint" });
  const make = async () => {
    told.textContent = "The report is being made…";
    const names = {
      verifier: document.querySelector("meta[name=generator]").content, file: request.proof.name,
      policy: request.policy ? request.policy.name : "", headers: request.headers.map(f => f.name),
      limits: limits.value.split(/[\s,;]+/).filter(Boolean),
    };
    try {
      save(await machine.ask({ do: "report", names }), `${stem}.report.html`, told);
    } catch (err) { told.textContent = `The report could not be made: ${plain(err.message)}`; }
  };
  return {
    save: button("Save the report", make),
    limits: el("details", { class: "bare" }, el("summary", {}, "Limits to draw into the report’s plot"),
      el("p", { class: "field" }, el("label", { for: "limits" }, "Limits"),
        el("span", { class: "hint", id: "limits-hint" }, " where a measurement ought to lie, such as T=2..8"), limits)),
  };
}

// second says how to ask the command the same question.
function second(request, answer) {
  const args = ["cairn-verify"];
  if (request.policy) args.push("--policy", quote(request.policy.name));
  for (const file of request.headers) args.push("--headers", quote(file.name));
  for (const hash of request.blocks) args.push("--block", quote(hash));
  if (request.ots.data) args.push("--file", quote(request.ots.data.name));
  if (request.ots.network) args.push("--network", quote(request.ots.network));
  if (request.ots.depth) args.push("--depth", quote(request.ots.depth));
  if (request.require !== "anchored") args.push("--require", request.require);
  args.push(quote(request.proof.name));
  const line = args.join(" ");
  const told = el("span", { class: "hint", role: "status" });
  return section("A second opinion", el("p", {}, "The command gives the same answer, with the same words:"),
    el("pre", { id: "command", tabindex: "0", "aria-label": "the command" }, line),
    el("p", { class: "buttons" }, button("Copy the command", () => copy(line, told)), told),
    answer.milliseconds ? el("p", { class: "hint" }, `This page needed ${Math.max(1, Math.round(answer.milliseconds.check))} ms.`) : null);
}

function quote(text) {
  text = plain(text);
  if (text.startsWith("-")) text = "./" + text;
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function button(text, act) {
  const b = el("button", { type: "button", class: "small" }, text);
  b.addEventListener("click", act);
  return b;
}

async function copy(text, told) {
  try {
    await navigator.clipboard.writeText(text);
    told.textContent = "Copied.";
  } catch {
    told.textContent = copyByHand(text) ? "Copied." : "This browser does not let the page copy: save it instead.";
  }
}

// copyByHand is for pages that come from no secure place, where there is no clipboard.
function copyByHand(text) {
  const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  const back = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  back?.focus();
  return done;
}

function save(blob, name, told) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  told.textContent = `Saved as ${name}.`;
}

// shown are the parts of an answer about each kind of file.
const shown = { proof: verdictParts, stamp: stampParts, fraud: fraudParts };

const section = (title, ...children) => el("section", { class: ["NOT CHECKED", "IT DOES NOT SAY"].includes(title) ? "unproven" : undefined }, el("h3", {}, title), ...children);
const folded = (title, ...children) => el("details", {}, el("summary", {}, el("h3", {}, title)), ...children);
const more = (of, key) => of.more && of.more[key] ? el("p", { class: "hint" }, `… and ${of.more[key].toLocaleString("en")} more, in the JSON.`) : null;

const tableRow = cells => el("tr", {}, cells.map((c, i) =>
  i === 0 ? el("th", { scope: "row" }, c) : el("td", { class: String(c).length > 32 ? "long" : undefined }, c)));

// table can be scrolled by itself, by keyboard too, where the screen is narrow.
function table(label, head, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", {}, el("thead", {}, el("tr", {}, head.map(h => el("th", { scope: "col" }, h)))), el("tbody", {}, rows.map(tableRow))));
}
