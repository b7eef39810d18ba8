// The worker: it holds the program, reads the files and asks the program. The page talks to it by messages
//
//	{id, do, …} → {id, answer} or {id, error}
//
// and ends it to cancel. The compiled program goes to the page by itself, {module}, for the worker that comes next. Of a verdict it hands on what the page shows; all of it, as JSON, stays here as a Blob.
"use strict";

const shownReadings = 100;
const shownOthers = 200;

let about = null;    // what the program says of itself
let readings = [];   // of the last verdict
let last = null;     // what the last verdict was about

const jobs = {
  // start makes the program from what the page carries, or from what another worker has compiled.
  async start({ program, module }) {
    const go = new Go();
    go.exit = () => { about = null; };
    const compiled = module || await compile(program);
    go.run(await WebAssembly.instantiate(compiled, go.importObject));
    if (typeof cairnCheck !== "function") throw new Error("the program did not start");
    about = JSON.parse(cairnAbout());
    if (!module) postMessage({ module: compiled });
    return about;
  },

  async check({ proof, policy, headers, blocks, require, ots }) {
    const began = performance.now();
    readings = [];
    last = {
      file: await bytes(proof, about.maxFile),
      options: { blocks, require, headers: [], ...ots },
    };
    if (ots.data) last.options.data = pieces(ots.data);
    if (policy) last.options.policy = await bytes(policy, about.maxFile);
    for (const file of headers) last.options.headers.push(await bytes(file, about.maxHeaders));
    const read = performance.now();
    const answer = alive(cairnCheck(last.file, last.options));
    if (answer.error) return { refused: answer.error };
    const verdict = JSON.parse(answer.json);
    readings = verdict.readings || [];
    return {
      kind: answer.kind, verdict: short(verdict), total: readings.length, text: answer.text, sha256: answer.sha256,
      json: new Blob([answer.json], { type: "application/json" }),
      milliseconds: { read: read - began, check: performance.now() - read },
    };
  },

  more({ from }) { return readings.slice(from, from + shownReadings); },

  report({ names }) {
    const answer = alive(cairnReport(last.file, last.options, names));
    if (answer.error) throw new Error(answer.error);
    return new Blob([answer.html], { type: "text/html" });
  },
};

onmessage = async ({ data }) => {
  try {
    postMessage({ id: data.id, answer: await jobs[data.do](data) });
  } catch (err) {
    postMessage({ id: data.id, error: String(err && err.message || err) });
  }
};

// compile makes the program from base64 of gzip.
async function compile(text) {
  const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : fromBase64(text);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return WebAssembly.compileStreaming(new Response(stream, { headers: { "Content-Type": "application/wasm" } }));
}

// fromBase64 is for browsers that have none.
function fromBase64(text) {
  const s = atob(text), out = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
  return out;
}

async function bytes(file, limit) {
  if (file.size > limit) throw new Error(`${file.name} is over ${limit} bytes: no such file is read`);
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} cannot be read: choose it again`);
  }
}

// pieces lets the program read a file as it goes: what was stamped may be longer than memory.
function pieces(file) {
  const reader = new FileReaderSync();
  return { name: file.name, read: (from, n) => new Uint8Array(reader.readAsArrayBuffer(file.slice(from, from + n))) };
}

// alive refuses the silence of a program that has ended.
function alive(answer) {
  if (!about || !answer) throw new Error("the program ended without an answer");
  return answer;
}

// short cuts what no page shows in full: the count of each list that was cut is kept in more.
function short(verdict) {
  verdict.readings = readings.slice(0, shownReadings);
  const cut = (of, keys) => {
    for (const key of keys) {
      if (Array.isArray(of[key]) && of[key].length > shownOthers) {
        of.more = { ...of.more, [key]: of[key].length - shownOthers };
        of[key] = of[key].slice(0, shownOthers);
      }
    }
  };
  cut(verdict, Object.keys(verdict).filter(key => key !== "readings"));
  for (const range of verdict.ranges || []) cut(range, Object.keys(range));
  return verdict;
}
