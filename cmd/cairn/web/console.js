// The console: who is logged in, what the address names, and what is new.

import { get, post, refresh, listen } from "./api.js";
import { h, say, clean } from "./dom.js";
import { overview } from "./overview.js";
import { devices, stream, reading } from "./readings.js";
import { batches, batch, anchors, sharing } from "./ledgers.js";
import { alerts } from "./alerts.js";
import { settings } from "./settings.js";

const ROOT = "/console/";
// What an address names: the first part, what shows it, what the menu calls it, and who may.
const PAGES = [
  ["", overview, "Overview", "viewer"], ["devices", devices, "Devices", "audience"], ["alerts", alerts, "Alerts", "viewer"], ["batches", batches, "Batches", "audience"],
  ["anchors", anchors, "Anchors", "viewer"], ["sharing", sharing, "Sharing", "audience"], ["settings", settings, "Settings", "viewer"],
  ["stream", stream], ["reading", reading], ["batch", batch],
];
const top = document.getElementById("top"), main = document.getElementById("main");
let me, page, stop, shown = 0, open = 0;

export const is = role => ["viewer", "operator", "admin"].indexOf(me.role) >= ["viewer", "operator", "admin"].indexOf(role);

function menu() {
  if (!me) {
    top.replaceChildren();
    return;
  }
  const bar = h("div", { class: "bar" });
  const button = h("button", { type: "button", class: "menu quiet small", "aria-expanded": "false", "aria-controls": "menu", onclick: () => {
    button.setAttribute("aria-expanded", String(bar.classList.toggle("open")));
  } }, "Menu", open > 0 && h("span", { class: "count", title: "alerts that nobody has acknowledged" }, String(open)));
  const [first] = parts();
  const items = PAGES.filter(([, , name, role]) => name && (me.role === "audience" ? role === "audience" : true));
  bar.append(
    h("a", { class: "brand", href: ROOT }, h("img", { src: "/console/icon.svg", alt: "" }), "Cairn"),
    button,
    h("nav", { id: "menu", "aria-label": "Pages" }, h("ul", {},
      items.map(([at, , name]) => h("li", {}, h("a", { href: ROOT + at, "aria-current": at === first && "page" }, name,
        at === "alerts" && open > 0 && h("span", { class: "count", "aria-label": `${open} not acknowledged` }, String(open))))),
      h("li", {}, h("a", { href: "/verify" }, "Verify")))),
    h("div", { class: "who" }, h("span", {}, me.name, ", ", me.role === "audience" ? me.audience : me.role), h("button", { type: "button", class: "quiet small", onclick: logout }, "Log out")));
  top.replaceChildren(bar);
}

function parts() {
  try {
    return location.pathname.slice(ROOT.length).split("/").map(decodeURIComponent);
  } catch {
    return ["?"]; // no page is called that
  }
}

export function go(path) {
  history.pushState(null, "", ROOT + path);
  show(true);
}

// show shows what the address names. Of several that were asked for the last one counts.
async function show(moved) {
  const mine = ++shown;
  const [first, ...args] = parts();
  if (first === "login" || !me) {
    login();
    return;
  }
  const named = PAGES.find(([at]) => at === first);
  if (first === "" && me.role === "audience") {
    history.replaceState(null, "", ROOT + "devices");
    return show(moved);
  }
  menu();
  if (moved) main.setAttribute("aria-busy", "true");
  page = undefined;
  let made;
  try {
    if (!named) throw new Error("There is no such page.");
    made = await named[1]({ me, args, is, go, again: () => show(false), query: new URLSearchParams(location.search) });
  } catch (e) {
    if (mine !== shown || e.status === 401) return;
    made = failed(e);
  }
  if (mine !== shown) return;
  page = made;
  main.removeAttribute("aria-busy");
  document.title = clean(`${made.title} – Cairn`);
  const kept = moved ? null : document.activeElement?.id;
  main.replaceChildren(...made.body.flat(9).filter(Boolean));
  if (moved) {
    scrollTo(0, 0);
    const at = location.hash && document.getElementById(location.hash.slice(1)) || main.querySelector("h1");
    at?.setAttribute("tabindex", "-1");
    at?.focus();
  } else if (kept) {
    document.getElementById(kept)?.focus();
  }
  document.body.dataset.ready = location.pathname;
}

const failed = e => ({
  title: "It did not work",
  body: [h("h1", {}, "It did not work"), h("p", {}, e.status >= 500 ? "The gateway answers, and could not do this. Its log may say more." : ""), h("p", { class: "note bad", role: "alert" }, e.message),
    h("p", {}, h("button", { type: "button", onclick: () => show(true) }, "Try again"))],
});

function login(text) {
  stop?.();
  stop = undefined;
  me = undefined;
  menu();
  const back = parts()[0] === "login" ? "" : location.pathname.slice(ROOT.length) + location.search;
  const note = h("p", { class: "note bad", role: "alert", hidden: !text }, text ?? "");
  const button = h("button", { type: "submit" }, "Log in");
  const form = h("form", { onsubmit: async e => {
    e.preventDefault();
    button.disabled = true;
    note.hidden = true;
    try {
      me = await post("/login", { name: form.elements.name.value, password: form.elements.password.value });
      history.replaceState(null, "", ROOT + back);
      begin();
    } catch (e) {
      note.textContent = e.message;
      note.hidden = false;
      form.elements.password.value = "";
      form.elements.password.focus();
    } finally {
      button.disabled = false;
    }
  } },
  h("div", { class: "field" }, h("label", { for: "name" }, "Name"), h("input", { id: "name", name: "name", type: "text", autocomplete: "username", required: true, spellcheck: "false", autocapitalize: "none" })),
  h("div", { class: "field" }, h("label", { for: "password" }, "Password"), h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true })),
  note, button);
  document.title = "Log in – Cairn";
  main.removeAttribute("aria-busy");
  main.replaceChildren(h("div", { class: "login" },
    h("h1", {}, h("img", { src: "/console/icon.svg", alt: "" }), "Cairn"),
    h("div", { class: "card" }, form),
    h("p", { class: "soft small" }, "The site's operator adds users with ", h("code", {}, "cairn user add"), ". To check a proof nobody needs a login: ", h("a", { href: "/verify" }, "verify a proof"), ".")));
  form.elements.name.focus();
  document.body.dataset.ready = "login";
}

async function logout() {
  try {
    await post("/logout");
  } finally {
    history.replaceState(null, "", ROOT);
    login();
  }
}

// begin is what follows a login: the menu, the page, and hearing what is new.
function begin() {
  show(true);
  countAlerts();
  stop?.();
  stop = listen(event => {
    if (event.alert) {
      countAlerts();
      say(`Alert ${event.alert.rule}: ${event.alert.news}`);
    }
    page?.live?.(event);
  }, heard => { document.body.dataset.heard = heard ? "yes" : "no"; });
}

async function countAlerts() {
  if (me?.role === "audience") return;
  try {
    const { alerts } = await refresh("/alerts");
    open = alerts.filter(a => a.state === "open").length;
    if (me) menu();
  } catch { /* the page says what does not work */ }
}

window.addEventListener("over", () => { if (me) login("The session is over: log in again."); });
window.addEventListener("popstate", () => show(true));
document.addEventListener("click", e => {
  const a = e.target.closest("a");
  if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || a.hasAttribute("download") || a.target) return;
  const url = new URL(a.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(ROOT) || url.hash && url.pathname === location.pathname) return;
  e.preventDefault();
  history.pushState(null, "", url);
  show(true);
});

try {
  me = await get("/me");
  begin();
} catch (e) {
  login(e.status === 401 ? undefined : e.message);
}
