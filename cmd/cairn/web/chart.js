// A chart of one measurement over time: the span from the least to the greatest value of each point as a band, the mean
// as a line, and what happened beside it. It asks the gateway for as many points as it can draw, and again when the time
// that it shows changes.
//
//   const chart = await mountChart(element, {stream: 3, field: "T", from, to, limits: {low: 2, high: 8}, marks});
//   chart.push({at: Date.now(), value: 4.5});
//
// Times are milliseconds of Unix time. Nothing here sets an inline style but through the style object, so a strict
// content security policy holds.

const HOUR = 3600e3, DAY = 24 * HOUR;
const SPANS = [["Hour", HOUR], ["Day", DAY], ["Week", 7 * DAY], ["Month", 31 * DAY], ["Year", 366 * DAY]];
const MAX_ROWS = 60;
const SHORTEST = 60e3;

let library;
const load = () => library ??= import("./uplot.js").then(m => m.default);

export async function mountChart(element, options) {
  const chart = new Chart(element, await load(), options);
  await chart.show(options.from, options.to);
  return chart;
}

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else e.setAttribute(key, value);
  }
  e.append(...children.filter(c => c !== undefined && c !== null));
  return e;
}

// What SenML calls units, as people write them.
const UNITS = {Cel: "°C", "%RH": "% RH", degF: "°F"};
const unitOf = u => UNITS[u] ?? u ?? "";
const number = v => v.toLocaleString(undefined, {maximumFractionDigits: 3});
const when = ms => new Date(ms).toLocaleString(undefined, {dateStyle: "medium", timeStyle: "short"});

// The path of the API, but for what a caller gives.
async function ask(o, from, to, points) {
  const query = new URLSearchParams({field: o.field, from: Math.floor(from), to: Math.ceil(to), points});
  if (o.ledger) query.set("ledger", o.ledger);
  const answer = await fetch(`/api/v1/streams/${encodeURIComponent(o.stream)}/history?${query}`, {headers: {Accept: "application/json"}});
  if (!answer.ok) throw new Error(`the gateway answers ${answer.status}`);
  return answer.json();
}

class Chart {
  constructor(element, uPlot, options) {
    Object.assign(this, {element, uPlot, o: {marks: [], limits: {}, ...options}, asked: 0, answer: null});
    this.plotAt = make("div", {class: "chart-plot", tabindex: "0", role: "application", "aria-roledescription": "chart",
      "aria-label": `Chart of ${this.o.title || this.o.field}. Arrow keys move, plus and minus zoom, Home shows the newest.`,
      onkeydown: e => this.key(e)});
    this.summary = make("p", {class: "chart-summary", "aria-live": "polite"});
    this.rows = make("details", {class: "chart-rows", ontoggle: () => this.table()}, make("summary", {}, "Values as a table"));
    const buttons = SPANS.map(([name, span]) => make("button", {type: "button", onclick: () => this.span(span)}, name));
    this.buttons = buttons;
    element.replaceChildren(make("div", {class: "chart-spans", role: "group", "aria-label": "Time shown"}, ...buttons),
      this.plotAt, this.summary, this.rows);
    this.sizes = new ResizeObserver(() => this.plot && this.plot.setSize(this.size()));
    this.sizes.observe(this.plotAt);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
    this.scheme.addEventListener("change", this.redraw);
  }

  destroy() {
    this.sizes.disconnect();
    this.scheme.removeEventListener("change", this.redraw);
    this.plot?.destroy();
    this.element.replaceChildren();
  }

  size() {
    const width = Math.max(this.plotAt.clientWidth, 200);
    return {width, height: Math.round(Math.min(Math.max(width * 0.42, 200), 380))};
  }

  // show asks for a time and draws it. Of several that are asked for only the last is drawn.
  async show(from, to) {
    if (to - from < SHORTEST) [from, to] = [(from + to - SHORTEST) / 2, (from + to + SHORTEST) / 2];
    const mine = ++this.asked;
    this.element.setAttribute("aria-busy", "true");
    const began = performance.now();
    try {
      const answer = await ask(this.o, from, to, Math.max(50, Math.min(1000, this.plotAt.clientWidth)));
      if (mine !== this.asked) return;
      Object.assign(this, {from, to, answer});
      this.draw();
      this.element.dataset.ms = Math.round(performance.now() - began);
      this.o.onshow?.(from, to);
    } catch (e) {
      if (mine !== this.asked) return;
      this.summary.textContent = `The values cannot be shown: ${e.message}.`;
    } finally {
      if (mine === this.asked) this.element.removeAttribute("aria-busy");
    }
  }

  span(span) { return this.show(Date.now() - span, Date.now()); }

  // key moves and zooms.
  key(e) {
    const width = this.to - this.from, middle = (this.from + this.to) / 2;
    const zoom = f => this.show(middle - width * f / 2, middle + width * f / 2);
    const does = {
      ArrowLeft: () => this.show(this.from - width / 4, this.to - width / 4),
      ArrowRight: () => this.show(this.from + width / 4, this.to + width / 4),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
      Home: () => this.span(width), Escape: () => this.show(this.o.from, this.o.to),
    }[e.key];
    if (!does || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    does();
  }

  // push adds what came just now, if that is what is looked at.
  push({at, value}) {
    if (!this.answer || typeof value !== "number" || at < this.from || at - this.to > Math.max(this.answer.width * 3, HOUR)) return;
    const points = this.answer.points, last = points[points.length - 1];
    if (last && at < last.from + this.answer.width) {
      last.min = Math.min(last.min, value);
      last.max = Math.max(last.max, value);
      last.mean = (last.mean * last.n + value) / (last.n + 1);
      last.n++;
    } else {
      points.push({from: at, n: 1, min: value, max: value, mean: value});
    }
    this.to = Math.max(this.to, at);
    this.draw();
  }

  // columns are what uPlot takes: with nothing where there is a gap, so that no line goes across it.
  columns() {
    const all = [[], [], [], []];
    const gaps = [...this.answer.gaps, ...this.answer.gone].sort((a, b) => a.from - b.from);
    const put = (at, p) => [at / 1000, p?.max ?? null, p?.min ?? null, p?.mean ?? null].forEach((v, i) => all[i].push(v));
    for (const p of this.answer.points) {
      const at = p.from + (p.n > 1 ? this.answer.width / 2 : 0);
      while (gaps.length && gaps[0].to <= p.from) {
        const g = gaps.shift();
        put((g.from + g.to) / 2, null);
      }
      put(at, p);
    }
    return all;
  }

  draw() {
    if (!this.answer) return;
    this.plot?.destroy();
    const accent = css("--accent") || "#2b5d8a", ink = css("--ink") || "#222", soft = css("--soft") || "#666", line = css("--line") || "#ccc";
    const axis = {stroke: soft, grid: {stroke: line, width: 1}, ticks: {stroke: line, width: 1}, font: "12px system-ui, sans-serif"};
    const few = this.answer.points.length <= this.plotAt.clientWidth / 8;
    const value = (u, v) => v === null || v === undefined ? "–" : `${number(v)} ${unitOf(this.answer.unit)}`;
    const limits = Object.values(this.o.limits).filter(v => typeof v === "number");
    this.plot = new this.uPlot({
      ...this.size(), legend: {live: true}, padding: [12, 22, 0, 0],
      cursor: {drag: {x: true, y: false, setScale: false}, points: {size: 7}},
      select: {show: true},
      scales: {
        x: {time: true, range: () => [this.from / 1000, this.to / 1000]},
        y: {range: (u, low, high) => {
          if (low === null || low === undefined) [low, high] = [0, 1];
          low = Math.min(low, ...limits);
          high = Math.max(high, ...limits);
          const room = (high - low || Math.abs(high) || 1) * 0.08;
          return [low - room, high + room];
        }},
      },
      axes: [axis, {...axis, size: 60, label: unitOf(this.answer.unit), labelSize: 18, labelFont: "12px system-ui, sans-serif"}],
      bands: [{series: [1, 2], fill: `color-mix(in srgb, ${accent} 22%, transparent)`}],
      series: [
        {label: "Time", value: (u, v) => v ? when(v * 1000) : "–"},
        {label: "greatest", stroke: "transparent", value, points: {show: false}},
        {label: "least", stroke: "transparent", value, points: {show: false}},
        {label: "mean", stroke: accent, width: 2, value, points: {show: few, size: 5, fill: accent}},
      ],
      hooks: {
        drawClear: [u => this.shade(u, soft)],
        draw: [u => this.mark(u, ink)],
        setSelect: [u => {
          if (u.select.width < 8) return;
          this.show(u.posToVal(u.select.left, "x") * 1000, u.posToVal(u.select.left + u.select.width, "x") * 1000);
        }],
      },
    }, this.columns(), this.plotAt);
    this.plotAt.querySelector("canvas").setAttribute("aria-hidden", "true");
    this.words();
    this.table();
    this.buttons.forEach((b, i) => b.setAttribute("aria-pressed", Math.abs(this.to - this.from - SPANS[i][1]) < SPANS[i][1] * 0.01));
  }

  // shade greys what is not known: gaps, and what was destroyed.
  shade(u, soft) {
    const {ctx} = u, {left, top, width, height} = u.bbox;
    const x = ms => Math.min(Math.max(u.valToPos(ms / 1000, "x", true), left), left + width);
    ctx.save();
    for (const g of [...this.answer.gaps, ...this.answer.gone]) {
      ctx.fillStyle = soft;
      ctx.globalAlpha = g.why ? 0.3 : 0.13;
      ctx.fillRect(x(g.from), top, Math.max(x(g.to) - x(g.from), 1), height);
    }
    ctx.restore();
  }

  // mark draws limits across, and alerts, batches and anchors down.
  mark(u, ink) {
    const {ctx} = u, {left, top, width, height} = u.bbox, ratio = devicePixelRatio || 1;
    const bad = css("--bad") || "#a31621", good = css("--good") || "#17693a";
    ctx.save();
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.strokeStyle = bad;
    for (const v of Object.values(this.o.limits)) {
      if (typeof v !== "number") continue;
      const y = u.valToPos(v, "y", true);
      if (y < top || y > top + height) continue;
      ctx.beginPath();
      ctx.moveTo(left, y);
      ctx.lineTo(left + width, y);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    for (const m of this.o.marks) {
      if (m.at < this.from || m.at > this.to) continue;
      const x = u.valToPos(m.at / 1000, "x", true);
      ctx.fillStyle = ctx.strokeStyle = m.kind === "alert" ? bad : m.kind === "anchor" ? good : ink;
      ctx.globalAlpha = m.kind === "batch" ? 0.35 : 1;
      ctx.beginPath();
      if (m.kind === "alert") {
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + height);
        ctx.stroke();
        ctx.beginPath();
        ctx.moveTo(x - 5 * ratio, top);
        ctx.lineTo(x + 5 * ratio, top);
        ctx.lineTo(x, top + 8 * ratio);
      } else {
        ctx.moveTo(x - 4 * ratio, top + height);
        ctx.lineTo(x + 4 * ratio, top + height);
        ctx.lineTo(x, top + height - (m.kind === "anchor" ? 9 : 5) * ratio);
      }
      ctx.fill();
    }
    ctx.restore();
  }

  words() {
    const {points, gaps, gone, unit} = this.answer;
    if (!points.length) {
      this.summary.textContent = `${this.o.title || this.o.field}: no values from ${when(this.from)} to ${when(this.to)}.`;
      return;
    }
    const n = points.reduce((s, p) => s + p.n, 0), last = points[points.length - 1];
    const values = `least ${number(Math.min(...points.map(p => p.min)))}, greatest ${number(Math.max(...points.map(p => p.max)))}, newest ${number(last.n > 1 ? last.mean : last.max)} ${unitOf(unit)}`.trim();
    const more = [`${n.toLocaleString()} readings`];
    if (gaps.length) more.push(gaps.length === 1 ? "1 gap" : `${gaps.length} gaps`);
    if (gone.length) more.push(gone.map(g => `${g.why} from ${when(g.from)} to ${when(g.to)}`).join(", "));
    const alerts = this.o.marks.filter(m => m.kind === "alert" && m.at >= this.from && m.at <= this.to).length;
    if (alerts) more.push(alerts === 1 ? "1 alert" : `${alerts} alerts`);
    this.summary.textContent = `${this.o.title || this.o.field}: ${values}; ${more.join("; ")}.`;
  }

  // table shows the same as rows, to who would rather read; if there are many, every so many of them.
  table() {
    this.rows.querySelector("table")?.remove();
    if (!this.rows.open || !this.answer) return;
    const step = Math.ceil(this.answer.points.length / MAX_ROWS);
    const rows = this.answer.points.filter((_, i) => i % step === 0).map(p => make("tr", {},
      make("td", {}, when(p.from)), make("td", {}, number(p.min)), make("td", {}, number(p.mean)), make("td", {}, number(p.max)), make("td", {}, String(p.n))));
    this.rows.append(make("table", {},
      make("caption", {}, step > 1 ? `Every ${step} points` : "All points"),
      make("thead", {}, make("tr", {}, ...["From", "Least", "Mean", "Greatest", "Readings"].map(t => make("th", {scope: "col"}, t)))),
      make("tbody", {}, ...rows)));
  }
}
