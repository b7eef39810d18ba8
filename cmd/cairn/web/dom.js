// What all pages of the console are made of. Every text goes into the page as text: no markup is ever made of one.

// What cannot be seen is shown, so that no name deceives.
const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
export const clean = text => String(text).replace(unseen, c => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));

// h makes an element: h("a", {href, class, onclick}, child, [children], "text").
export function h(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (key === "checked" || key === "value" || key === "disabled" || key === "hidden") e[key] = value;
    else e.setAttribute(key, value === true ? "" : clean(value));
  }
  put(e, children);
  return e;
}

function put(e, children) {
  for (const c of children) {
    if (c === undefined || c === null || c === false || c === "") continue;
    if (Array.isArray(c)) put(e, c);
    else e.append(c instanceof Node ? c : clean(c));
  }
}

const UNITS = { Cel: "°C", "%RH": "% RH", degF: "°F" };
// sentence begins a text of the gateway as a sentence begins.
export const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);

export const unit = u => UNITS[u] ?? u ?? "";
export const value = v => `${v.value} ${unit(v.unit)}`.trim();

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export function ago(text) {
  const seconds = Math.round((new Date(text) - Date.now()) / 1000);
  for (const [name, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), name);
  }
  return relative.format(seconds, "second");
}

// time shows a time of the API in the reader's own zone; with how long ago that is, and to the second.
export function time(text, withAgo, exact) {
  if (!text) return "";
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  const e = h("time", { datetime: text, title: text }, (today ? short : exact ? exactly : full).format(at));
  return withAgo ? [e, " ", agoOf(text)] : e;
}

export const agoOf = text => h("span", { class: "soft small", "data-ago": text }, ago(text));

setInterval(() => {
  for (const e of document.querySelectorAll("[data-ago]")) e.textContent = ago(e.dataset.ago);
}, 10_000);

const WORDS = {
  ok: "OK", silent: "Silent", warm: "Warm", alarm: "Alarm", open: "Window open", logged: "Logged", pending: "In a block", final: "Anchored", green: "All is well", red: "Needs somebody",
  stopped: "Stopped",
};

export const state = (name, word, kind) => h("span", { class: `state ${kind ?? name}` }, word ?? WORDS[name] ?? name);

// table makes a table that a phone shows as cards. A column is [heading, cell, class].
export function table(caption, columns, rows) {
  return h("div", { class: "scroll" }, h("table", { role: "table" },
    h("caption", {}, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(([name, , kind]) => h("th", { scope: "col", role: "columnheader", class: kind }, name)))),
    h("tbody", { role: "rowgroup" }, rows.map(r => row(columns, r)))));
}

export function row(columns, r) {
  return h("tr", { role: "row" }, columns.map(([name, cell, kind]) => {
    const content = h("div", {}, cell(r)); // one, so that a phone can put the heading beside it
    return h("td", { role: "cell", class: kind, "data-label": name }, content.hasChildNodes() && content);
  }));
}

// facts makes a list of names and what they are; what is not there is left out.
export function facts(all) {
  return h("dl", { class: "facts" }, all.filter(([, is]) => is !== undefined && is !== null && is !== "" && is !== false).map(([name, is]) => [h("dt", {}, name), h("dd", {}, is)]));
}

export const hash = text => text ? h("code", { class: "hash", title: text }, text.length > 20 ? text.slice(0, 10) + "…" + text.slice(-6) : text) : "";
export const id = text => h("code", { class: "id" }, text);
export const whole = text => h("code", { class: "hash" }, text);

export const section = (title, ...children) => h("section", {}, h("h2", {}, title), ...children);
export const nothing = text => h("p", { class: "nothing" }, text);
export const plural = (n, word, many = word + "s") => `${n.toLocaleString()} ${n === 1 ? word : many}`;

// field makes a labelled input.
let fields = 0;
export function field(label, attributes, hint) {
  const id = `field-${++fields}`;
  const input = attributes.options
    ? h("select", { id, name: attributes.name }, attributes.options.map(([v, word]) => h("option", { value: v }, word)))
    : h("input", { id, ...attributes });
  return h("div", { class: "field" }, h("label", { for: id }, label, hint && h("span", { class: "soft" }, " " + hint)), input);
}

export function say(text) {
  const e = document.getElementById("say");
  e.textContent = "";
  requestAnimationFrame(() => { e.textContent = clean(text); });
}
