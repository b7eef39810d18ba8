// The page: takes the files, has the worker check them, and hands the answer to show().
"use strict";

const $ = id => document.getElementById(id);

// trouble is for what keeps the page from working at all.
function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

const needs = {
  "WebAssembly": typeof WebAssembly === "object",
  "DecompressionStream": typeof DecompressionStream === "function",
  "workers": typeof Worker === "function" && typeof Blob === "function",
};

// The worker and what it is asked. Only one check runs at a time: another one, or a cancel, ends the worker, and a new
// one starts from the compiled program.
const machine = {
  worker: null,
  ready: null,     // promise: the worker has its program
  module: null,    // the compiled program, once a worker has made it
  waiting: new Map(),
  number: 0,

  start() {
    if (this.worker) this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new Cancelled());
    this.waiting.clear();
    const source = URL.createObjectURL(new Blob([$("worker").textContent], { type: "text/javascript" }));
    this.worker = new Worker(trustedURL(source));
    URL.revokeObjectURL(source);
    this.worker.onmessage = ({ data }) => {
      if (data.module) { this.module = data.module; return; }
      const { resolve, reject } = this.waiting.get(data.id) || {};
      if (!this.waiting.delete(data.id)) return;
      if ("error" in data) reject(new Error(data.error)); else resolve(data.answer);
    };
    this.worker.onerror = event => {
      event.preventDefault();
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the worker did not start"));
      this.waiting.clear();
    };
    const began = performance.now();
    this.ready = this.ask({ do: "start", program: this.module ? null : $("program").textContent, module: this.module })
      .then(about => {
        document.body.dataset.start = Math.round(performance.now() - began);
        return about;
      });
    this.ready.catch(() => {});
    return this.ready;
  },

  ask(message) {
    return new Promise((resolve, reject) => {
      const id = ++this.number;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...message });
    });
  },
};

class Cancelled extends Error {}

// trustedURL is the one place where an address becomes code: that of the worker, which the page itself holds.
const trustedURL = (() => {
  if (typeof trustedTypes !== "object") return url => url;
  const policy = trustedTypes.createPolicy("cairn-worker", { createScriptURL: url => url });
  return url => policy.createScriptURL(url);
})();

// kindOf tells a file by how it begins. What it cannot tell is taken for a proof, and the answer says what it is not.
async function kindOf(file) {
  let head = "";
  try {
    head = String.fromCharCode(...new Uint8Array(await file.slice(0, 32).arrayBuffer()));
  } catch { /* a folder, or a file that is gone: reading it says so */ }
  if (head.startsWith("cairn-policy ")) return "policy";
  if (head.startsWith("cairn-headers ") || head.startsWith("cairn/headers/")) return "headers";
  if (head.startsWith("\0OpenTimestamps\0")) return "ots";
  return "proof";
}

// put gives a file input these files.
function put(id, files) {
  const list = new DataTransfer();
  for (const file of files) list.items.add(file);
  $(id).files = list.files;
  tellChosen();
}

// sort puts files that came together where they belong, and says whether that could be done.
async function sort(files) {
  const found = { proof: [], policy: [], headers: [], ots: [] };
  for (const file of files) found[await kindOf(file)].push(file);
  if (found.ots.length === 1 && found.proof.length < 2) {
    put("data", found.proof.length ? found.proof : [...$("data").files]);   // what came with it is what it stamps
    found.proof = [];
  }
  found.proof.push(...found.ots);
  for (const kind of ["proof", "policy"]) {
    if (found[kind].length > 1) {
      const names = found[kind].map(file => file.name).join(", ");
      put("proof", []);
      refuse(`one ${kind === "proof" ? "proof" : "policy"} file, please: these came together: ${names}`);
      return false;
    }
  }
  if (found.policy.length) put("policy", found.policy);
  if (found.headers.length) put("headers", found.headers);
  put("proof", found.proof.length ? found.proof : kept);
  return true;
}

let kept = [];   // the proof that was chosen last: files that come later without one are for it

function tellChosen() {
  const proof = $("proof").files[0];
  $("proof-name").textContent = proof ? plain(proof.name) : "Choose it, or drop it anywhere on this page";
  $("drop").classList.toggle("full", Boolean(proof));
  $("check").disabled = !proof;
  for (const button of document.querySelectorAll("[data-clear]")) button.hidden = !$(button.dataset.clear).files.length;
  if (proof) kindOf(proof).then(kind => tellOTS(kind === "ots"));
}

// tellOTS shows what is asked of OpenTimestamps files alone.
function tellOTS(is) {
  for (const field of document.querySelectorAll(".ots")) field.hidden = !is;
}

// take takes files that were dropped or chosen together, and checks.
async function take(files) {
  if (!files.length) { put("proof", kept); return; }
  const fine = await sort(files);
  kept = [...$("proof").files];
  if (fine) check(true);
}

let running = null;   // the check that runs

// check checks what is chosen. moved says that the user asked for it here and now: then the answer comes into view.
async function check(moved) {
  const proof = $("proof").files[0];
  if (!proof) { stop(); clear(); return; }
  const mine = {};
  const again = running !== null;
  running = mine;
  const request = {
    proof, policy: $("policy").files[0] || null, headers: [...$("headers").files],
    blocks: $("blocks").value.split(/\s+/).filter(Boolean), require: $("require").value, ots: {},
  };
  busy(proof.name);
  const began = performance.now();
  try {
    if (again) machine.start();
    if (await kindOf(proof) === "ots") {
      request.ots = { network: $("network").value, depth: $("depth").value.trim(), data: $("data").files[0] || null };
    }
    await machine.ready;
    if (running !== mine) return;
    const answer = await machine.ask({ do: "check", ...request });
    if (running !== mine) return;
    document.body.dataset.verdict = Math.round(performance.now() - began);
    show(answer, request);
  } catch (err) {
    if (running !== mine) return;
    machine.start();
    if (!(err instanceof Cancelled)) show({ refused: err.message }, request);
  }
  running = null;
  idle();
  if (moved) bringIntoView();
}

function stop() {
  if (running === null) return false;
  running = null;
  machine.start();
  idle();
  return true;
}

function cancel() {
  if (!stop()) return;
  clear("Cancelled", "Nothing was checked to the end, so there is no answer.");
  say("Cancelled. There is no answer.");
  $("check").focus();
}

let clock = 0;   // ticks while a check runs

function busy(name) {
  clear("Checking…", "");
  $("verdict").setAttribute("aria-busy", "true");
  $("cancel").hidden = false;
  const began = performance.now();
  clearInterval(clock);
  clock = setInterval(() => {
    const seconds = Math.round((performance.now() - began) / 1000);
    $("progress").textContent = `${plain(name)}: ${seconds} s`;
    if (seconds === 2) say(`Checking ${plain(name)}. Escape cancels.`);
  }, 1000);
}

function idle() {
  clearInterval(clock);
  $("progress").textContent = "";
  $("cancel").hidden = true;
  $("verdict").removeAttribute("aria-busy");
}

function say(text) { $("say").textContent = text; }

// refuse shows what the page itself could not do with the files.
function refuse(text) {
  stop();
  show({ refused: text }, null);
  bringIntoView();
}

function bringIntoView() {
  const top = $("verdict").getBoundingClientRect().top;
  if (top < 0 || top > innerHeight / 2) $("verdict").scrollIntoView();
}

function listen() {
  $("request").addEventListener("submit", event => {
    event.preventDefault();
    check(true).then(() => $("verdict").focus({ preventScroll: true }));
  });
  $("request").addEventListener("reset", () => setTimeout(() => {
    stop();
    kept = [];
    tellOTS(false);
    tellChosen();
    clear();
    say("Everything was taken away.");
  }));
  $("proof").addEventListener("change", () => take([...$("proof").files]));
  for (const id of ["policy", "headers", "blocks", "require", "data", "network", "depth"]) {
    $(id).addEventListener("change", () => { tellChosen(); check(false); });
  }
  for (const button of document.querySelectorAll("[data-clear]")) {
    button.addEventListener("click", () => {
      put(button.dataset.clear, []);
      $(button.dataset.clear).focus();
      check(false);
    });
  }
  $("cancel").addEventListener("click", cancel);
  addEventListener("keydown", event => { if (event.key === "Escape") cancel(); });

  // A file that is dropped beside the zone would otherwise take the page's place.
  let over = 0;
  const light = () => $("drop").classList.toggle("over", over > 0);
  addEventListener("dragenter", event => { event.preventDefault(); over++; light(); });
  addEventListener("dragleave", () => { over = Math.max(0, over - 1); light(); });
  addEventListener("dragover", event => { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; });
  addEventListener("drop", event => {
    event.preventDefault();
    over = 0;
    light();
    take([...event.dataTransfer.files]);
  });
  addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details")) d.open = true; });
}

function begin() {
  const lacking = Object.keys(needs).filter(what => !needs[what]);
  if (lacking.length) {
    trouble(`This browser lacks ${lacking.join(" and ")}, so this page cannot check anything in it. ` +
      "Use a browser of 2023 or later, or the command cairn-verify, which gives the same answer.");
    return;
  }
  listen();
  tellChosen();
  machine.start().then(about => {
    $("formats").textContent = about.formats;
    document.body.dataset.ready = "yes";
  }, err => {
    if (err instanceof Cancelled) return;
    trouble(`The program in this page does not start: ${plain(err.message)}. Use the command cairn-verify, which gives the same answer.`);
  });
  if ($("proof").files.length) take([...$("proof").files]);   // as a reloaded page may have it
}

begin();
