// What is wrong, who knows of it, and maintenance.

import { get, post, del, query } from "./api.js";
import { h, section, state, time, agoOf, field, nothing, say } from "./dom.js";

import { proofOfAlert } from "./proofs.js";

let every = false; // those too that were cleared

export async function alerts(ctx) {
  const list = await get("/alerts" + query({ all: every || undefined }));
  const open = list.alerts.filter(a => a.state === "open"), known = list.alerts.filter(a => a.state === "acknowledged"), cleared = list.alerts.filter(a => a.state === "cleared");
  const may = ctx.is("operator");
  const show = all => all.map(a => one(ctx, a, may));
  return {
    title: open.length ? `Alerts (${open.length})` : "Alerts",
    live: event => { if (event.alert && !document.activeElement?.closest("form")) ctx.again(); },
    body: [
      h("div", { class: "title" }, h("h1", {}, "Alerts")),
      section("Nobody has acknowledged", open.length ? show(open) : h("p", { class: "note good" }, "None.")),
      known.length > 0 && section("Acknowledged, and not over", show(known)),
      section("Maintenance", list.maintenance.map(m => mute(ctx, m, may)), !list.maintenance.length && nothing("None is announced."), may && muteForm(ctx)),
      section("Receivers", list.receivers.length ? h("ul", { class: "card" }, list.receivers.map(r => h("li", {}, state(r.failingSince ? "alarm" : "ok", r.failingSince ? "Failing" : "OK"), " ", r.name, r.waiting > 0 && `, ${r.waiting} waiting`, r.failingSince && [", since ", time(r.failingSince), `: ${r.error}`])))
        : nothing("Nobody is told of alerts: name receivers in cairn.yaml.")),
      section("Cleared", h("p", {}, h("button", { type: "button", id: "cleared", class: "quiet small", "aria-pressed": String(every), onclick: () => { every = !every; ctx.again(); } }, every ? "Hide cleared alerts" : "Show cleared alerts")), every && (cleared.length ? show(cleared) : nothing("There is none."))),
    ],
  };
}

function one(ctx, a, may) {
  const title = [a.device || a.about, a.rule].filter(Boolean).join(": ");
  const log = [
    [a.raised, "raised"], ...a.told.map(t => [t.at, `${t.receiver} was told: ${t.news}`]), ...(a.acknowledged ?? []).map(k => [k.at, `${k.name} acknowledged it${k.note ? ": " + k.note : ""}`]),
    a.cleared && [a.cleared, `over: ${a.clearedBecause}`],
  ].filter(Boolean);
  return h("article", { class: `card alert ${a.state}`, id: `alert-${a.ledger}-${a.number}`, tabindex: "-1" },
    h("header", {}, h("h3", {}, title), state(a.state === "open" ? "open-alert" : a.state === "acknowledged" ? "acknowledged" : "ok", a.state === "open" ? "Open" : a.state === "acknowledged" ? "Acknowledged" : "Cleared"), agoOf(a.raised)),
    h("p", {}, a.what),
    h("ul", { class: "log soft" }, log.map(([at, what]) => h("li", {}, time(at), " ", what)), a.untold?.length > 0 && h("li", {}, `not told yet: ${a.untold.join(", ")}`)),
    a.stream !== undefined && h("p", {}, h("a", { href: `/console/stream/${a.ledger}/${a.stream}` }, "Readings of ", a.device)),
    may && a.state !== "cleared" && ackForm(ctx, a),
    proofOfAlert(a));
}

function ackForm(ctx, a) {
  const failed = h("p", { class: "note bad", role: "alert", hidden: true });
  const form = h("form", { class: "line", onsubmit: async e => {
    e.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await post(`/alerts/${a.number}/ack` + query({ ledger: a.ledger }), { note: form.elements.note.value });
      say(`Acknowledged as ${ctx.me.name}`);
      document.activeElement.blur();
      ctx.again();
    } catch (e) {
      failed.textContent = e.message;
      failed.hidden = false;
      button.disabled = false;
    }
  } }, field("Note", { name: "note", type: "text", maxlength: "200", autocomplete: "off" }, `for the ledger, in your name (${ctx.me.name})`), h("button", { type: "submit" }, a.state === "open" ? "Acknowledge" : "Acknowledge again"));
  return [form, failed];
}

const about = m => [m.devices?.length ? m.devices.join(", ") : "all devices", m.rules?.length ? `rules ${m.rules.join(", ")}` : ""].filter(Boolean).join("; ");

function mute(ctx, m, may) {
  const end = h("button", { type: "button", class: "quiet small", onclick: async () => {
    end.disabled = true;
    try {
      await del(`/maintenance/${m.number}` + query({ ledger: m.ledger }));
      say("Maintenance ended");
      ctx.again();
    } catch (e) {
      end.replaceWith(h("span", { class: "note bad", role: "alert" }, e.message));
    }
  } }, "End it now");
  return h("div", { class: "card actions" }, h("span", {}, `${about(m)} until `, time(m.until), `, by ${m.name}${m.reason ? ": " + m.reason : ""}`), may && end);
}

function muteForm(ctx) {
  const failed = h("p", { class: "note bad", role: "alert", hidden: true });
  const words = text => text.split(",").map(w => w.trim()).filter(Boolean);
  const form = h("form", { class: "line", onsubmit: async e => {
    e.preventDefault();
    const f = form.elements;
    try {
      await post("/maintenance", { devices: words(f.devices.value), minutes: Number(f.minutes.value), reason: f.reason.value });
      say("Maintenance announced");
      document.activeElement.blur();
      ctx.again();
    } catch (e) {
      failed.textContent = e.message;
      failed.hidden = false;
    }
  } },
  field("Devices", { name: "devices", type: "text", autocomplete: "off", placeholder: "fridge-1, cellar*" }, "empty: all"),
  field("For", { name: "minutes", options: [["30", "30 minutes"], ["60", "1 hour"], ["120", "2 hours"], ["480", "8 hours"], ["1440", "1 day"]] }),
  field("Reason", { name: "reason", type: "text", maxlength: "200", autocomplete: "off" }, "for the ledger"),
  h("button", { type: "submit", class: "quiet" }, "Announce"));
  return h("details", {}, h("summary", {}, "Announce maintenance"), h("p", { class: "soft small" }, "No alert is raised for its devices while it lasts. It stands in the ledger, in your name."), form, failed);
}
