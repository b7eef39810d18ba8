// How the pages ask the gateway.

import { sentence } from "./dom.js";

export class Failed extends Error {
  constructor(status, text) {
    super(sentence(text));
    this.status = status;
  }
}

const BUSY = 1000, TRIES = 3; // a gateway that has too much to do is asked again

async function ask(method, path, body, background, tries = TRIES) {
  let r;
  try {
    r = await fetch("/api/v1" + path, {
      method, cache: "no-store", credentials: "same-origin", redirect: "error",
      headers: { ...(body !== undefined && { "Content-Type": "application/json" }), ...(background && { "Cairn-Background": "1" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Failed(0, "The gateway does not answer.");
  }
  if (r.status === 503 && method === "GET" && tries > 1) {
    await new Promise(done => setTimeout(done, BUSY));
    return ask(method, path, body, background, tries - 1);
  }
  let answer;
  try {
    answer = await r.json();
  } catch {
    throw new Failed(r.status, `The gateway answers ${r.status}, and nothing that can be read.`);
  }
  if (!r.ok) {
    if (r.status === 401 && path !== "/login") window.dispatchEvent(new Event("over"));
    throw new Failed(r.status, answer.error);
  }
  return answer;
}

export const get = path => ask("GET", path);
// refresh is get for what nobody asked for at this moment: it keeps no session from falling idle.
export const refresh = path => ask("GET", path, undefined, true);
export const post = (path, body) => ask("POST", path, body);
export const del = path => ask("DELETE", path);

export const query = all => {
  const text = new URLSearchParams(Object.entries(all).filter(([, v]) => v !== undefined && v !== null && v !== "")).toString();
  return text && "?" + text;
};

// events passes on what is new, and comes again after it was cut off. fn gets an event of the API, and told is called
// with whether the gateway is heard.
export function listen(fn, told) {
  let source, wait = 1000, timer;
  const begin = () => {
    source = new EventSource("/api/v1/events");
    source.onopen = () => { wait = 1000; told(true); };
    source.onerror = () => {
      told(false);
      if (source.readyState !== EventSource.CLOSED) return; // it tries by itself
      timer = setTimeout(begin, wait);
      wait = Math.min(wait * 2, 60_000);
    };
    for (const type of ["reading", "alert"]) source.addEventListener(type, e => fn(JSON.parse(e.data)));
  };
  begin();
  return () => { clearTimeout(timer); source.close(); };
}
