// Asking for proofs, and waiting until they have come as far as they can.

import { post, refresh } from "./api.js";
import { h, section, field } from "./dom.js";

const AGAIN = 2000;
const STATES = {
  open: "Its window is not closed yet: the file is made as soon as it is.", logged: "In the log. No anchor covers all of it yet.", pending: "Its anchor is in a block that is not final yet.", final: "Anchored in a final block.",
};

// asker gives what asks for a proof and shows how it does, and the place where it is shown. Of several that are asked for
// the last one counts.
function asker() {
  const status = h("div", { role: "status", "aria-live": "polite" });
  let asked = 0;
  const show = job => status.replaceChildren(
    h("p", { class: `note ${job.state === "final" ? "good" : "doubt"}` }, STATES[job.state], job.state === "logged" && !job.waits && " No route to a chain is configured.", job.waits && job.state !== "open" && " A proof that is taken now says so; this page goes on looking."),
    h("p", { class: "soft small" }, job.what),
    job.ready && h("p", { class: "actions" },
      h("a", { class: "button", id: "download", href: `/api/v1/proofs/${job.id}/file`, download: job.name }, `Download ${job.name}`),
      h("span", { class: "soft small" }, `${job.bytes.toLocaleString()} bytes. Check it with `, h("a", { href: "/verify", target: "_blank", rel: "noopener" }, "the verifier"), " or ", h("code", {}, "cairn-verify"), ".")));
  const ask = async (request, button) => {
    const mine = ++asked;
    button.disabled = true;
    status.replaceChildren(h("p", { class: "soft" }, "Making the proof …"));
    try {
      let job = await post("/proofs", request());
      button.disabled = false;
      for (;;) {
        if (mine !== asked || !status.isConnected) return;
        show(job);
        if (!job.waits) return;
        await new Promise(done => setTimeout(done, AGAIN));
        job = await refresh(`/proofs/${job.id}`);
      }
    } catch (e) {
      status.replaceChildren(h("p", { class: "note bad" }, e.message));
      button.disabled = false;
    }
  };
  return [status, ask];
}

// proofOfReading is the section of a reading's page.
export function proofOfReading(ctx, ledger, name, r) {
  const audience = ctx.me.role === "audience";
  const fields = r.fields.filter(f => f.name && !f.gone && !(audience && f.name === "device"));
  const boxes = fields.map(f => [f.name, h("input", { type: "checkbox", checked: true, name: "field", value: f.name })]);
  const [status, ask] = asker();
  const button = h("button", { type: "submit" }, "Make a proof");
  const request = () => {
    const chosen = boxes.filter(([, b]) => b.checked).map(([n]) => n);
    if (!chosen.length) throw new Error("Choose one field at least.");
    return { ledger, readings: [name], ...(chosen.length < boxes.length && { fields: chosen }) };
  };
  return section("Proof", h("div", { class: "card" },
    h("p", {}, "One file that proves this reading to anyone, offline and years later, without this gateway."),
    audience && h("p", { class: "soft small" }, "It shows what is open to you, but for the device: with that go statements that name its place."),
    h("form", { onsubmit: e => { e.preventDefault(); ask(request, button); } },
      h("details", {}, h("summary", {}, "Choose what it shows"), h("fieldset", {}, h("legend", { class: "unseen" }, "Fields to show"), h("div", { class: "actions" }, boxes.map(([n, b]) => h("label", { class: "check" }, b, n))))),
      h("p", { class: "actions" }, button)),
    status));
}

// local is a time as a control for times has it.
export const local = at => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

// proofOfTime is the section of a stream's page: all that a device sent in some time.
export function proofOfTime(d) {
  const [status, ask] = asker();
  const button = h("button", { type: "submit", class: "quiet" }, "Make a proof");
  const complete = h("input", { type: "checkbox", checked: true });
  const now = new Date();
  const form = h("form", { class: "line", onsubmit: e => {
    e.preventDefault();
    const f = form.elements;
    ask(() => ({ ledger: d.ledger, device: String(d.number), from: new Date(f.from.value).getTime(), to: new Date(f.to.value).getTime(), complete: complete.checked }), button);
  } },
  field("From", { name: "from", type: "datetime-local", required: true, value: local(new Date(now - 86_400_000)) }),
  field("To", { name: "to", type: "datetime-local", required: true, value: local(now) }),
  h("label", { class: "check" }, complete, "and that nothing was left out"), button);
  return section("Proof of a time", h("div", { class: "card" },
    h("p", {}, "One file that proves all readings of this device in that time, through all its streams."), form, status));
}

// proofOfAlert is a button on an alert: all that the ledger says of it.
export function proofOfAlert(a) {
  const [status, ask] = asker();
  const button = h("button", { type: "button", class: "quiet small", onclick: () => ask(() => ({ ledger: a.ledger, alerts: [a.number] }), button) }, "Make a proof of it");
  return [h("p", {}, button), status];
}
