// The overview: how the places do, and what needs a person now.

import { get, refresh } from "./api.js";
import { h, section, state, time, agoOf, value, nothing, sentence } from "./dom.js";

const LATER = 1500;

export async function overview(ctx) {
  const body = h("div", { class: "overview" });
  draw(body, await get("/overview"), ctx);
  let timer;
  const later = () => {
    timer ??= setTimeout(async () => {
      timer = undefined;
      if (!body.isConnected) return;
      try {
        draw(body, await refresh("/overview"), ctx);
      } catch { /* what was shown says when it was true */ }
    }, LATER);
  };
  return { title: "Overview", body: [body], live: later };
}

function draw(body, o, ctx) {
  const tiles = [["alarm", "Alarm"], ["warm", "Warm"], ["silent", "Silent"], ["ok", "OK"]];
  const healthy = o.health === "green";
  body.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Overview"), state(o.needs.length ? "red" : o.health),
      h("span", { class: "soft small" }, "as of ", time(o.now))),
    section("What needs a person now",
      o.needs.length ? h("ul", { class: "needs" }, o.needs.map(n => h("li", { class: n.alert && "alarm" },
        h("span", {}, n.alert ? n.what : sentence(n.what), n.since && [" ", agoOf(n.since)]),
        h("span", { class: "actions" },
          n.stream !== undefined && h("a", { href: `/console/stream/${n.ledger}/${n.stream}` }, "Readings"),
          n.alert && h("a", { class: "button", href: `/console/alerts#alert-${n.ledger}-${n.alert}` }, ctx.is("operator") ? "Acknowledge" : "Alert")))))
        : h("p", { class: "note good" }, healthy ? "Nothing. All is well." : "Nothing.")),
    section("Places",
      h("dl", { class: "tiles" }, tiles.map(([name, word]) => h("div", { class: `tile ${name} ${o.counts[name] ? "some" : ""}` }, h("dd", {}, h("strong", {}, String(o.counts[name] ?? 0))), h("dt", {}, state(name, word))))),
      o.places.length ? h("div", { class: "places" }, o.places.map(place))
        : nothing("No device is registered yet. On the gateway: cairn device add --name fridge --place kitchen …")),
    h("footer", {}, `Cairn ${o.version}, running since `, time(o.since), `; the clock is ${o.clock}.`));
}

function place(p) {
  return h("article", { class: `card place ${p.state}` },
    h("h3", {}, p.name, state(p.state)),
    h("ul", {}, p.devices.map(d => h("li", {}, device(d)))));
}

// whyOf says why a device is not well; since when it is silent in the reader's own time.
export const whyOf = d => d.state === "silent" && d.received ? ["Nothing came since ", time(d.received)] : d.why;

function device(d) {
  const [first, ...rest] = d.values ?? [];
  return h("a", { class: `device ${d.state}`, href: `/console/stream/${d.ledger}/${d.stream}` },
    h("span", { class: "name" }, d.name || d.id),
    h("span", { class: "value" }, first && [value(first), h("small", {}, first.name)]),
    h("span", { class: "detail" }, [d.thing, ...rest.map(v => `${v.name} ${value(v)}`)].filter(Boolean).map(t => [t, " · "]), d.received ? agoOf(d.received) : "no reading yet"),
    d.why && h("span", { class: "why" }, whyOf(d)));
}
