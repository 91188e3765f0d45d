"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

function make(name, attributes, parent, text) {
  const svg = ["svg", "path", "line", "text", "rect", "title"].includes(name);
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

/* A slider over frames, with a button that plays them: show(i) shows frame i and says which it is. */
function slider(place, count, start, label, show) {
  const box = make("div", { class: "slide" }, place);
  const play = make("button", { type: "button", "aria-pressed": "false" }, box, "Play");
  const range = make("input", { type: "range", min: 0, max: count - 1, value: start, "aria-label": label }, box);
  const said = make("output", {}, box);
  let timer = null;
  const go = () => {
    const text = show(Number(range.value));
    said.textContent = text;
    range.setAttribute("aria-valuetext", text);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  range.addEventListener("input", () => { stop(); go(); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      range.value = (Number(range.value) + 1) % count;
      go();
    }, 300);
  });
  play.disabled = range.disabled = count < 2;
  go();
  return { range, go };
}

function samples(figure, run) {
  const at = { image: figure.querySelector("img"), text: figure.querySelector("pre"), sound: figure.querySelector("audio") };
  let frames = run.samples[0].frames;
  const place = figure.querySelector(".controls");
  const which = `${run.title}${run.samples.length > 1 ? ", chosen member" : ""}`;
  const show = (i) => {
    const frame = frames[i];
    if (at.image) {
      at.image.src = frame.image;
      at.image.alt = `Samples of ${which}, at step ${frame.step}`;
    }
    if (at.text) at.text.textContent = frame.lines.join("\n");
    if (at.sound && frame.sound) at.sound.src = frame.sound;
    return `step ${frame.step}`;
  };
  let made = slider(place, frames.length, frames.length - 1, `Training step of the samples of ${run.title}`, show);
  if (run.samples.length < 2) return;
  const label = make("label", {}, null, "Member ");
  place.before(label);
  const select = make("select", {}, label);
  run.samples.forEach((member, i) => make("option", { value: i }, select, member.title));
  select.addEventListener("change", () => {
    frames = run.samples[select.value].frames;
    made.range.max = frames.length - 1;
    made.go();
  });
}

function walk(figure, run) {
  const image = figure.querySelector("img");
  slider(figure.querySelector(".controls"), run.walk.frames.length, 0, `Place on the way, ${run.title}`, (i) => {
    image.src = run.walk.frames[i];
    return `${Math.round((100 * i) / (run.walk.frames.length - 1))} % of the way`;
  });
}

const number = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(1) : String(Number(v.toPrecision(4))));

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(t);
  return found;
}

/* Of a logarithmic axis, whose ends are exponents: powers of ten, and where there are few, 2 and 5. */
function logTicks(low, high) {
  const found = [];
  const parts = high - low > 4 ? [1] : high - low > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
  const every = Math.ceil((high - low) / 8);
  for (let power = Math.floor(low); power <= high; power += 1) {
    if (parts.length === 1 && power % every) continue;
    found.push(...parts.map((part) => Math.log10(part) + power).filter((t) => t >= low && t <= high));
  }
  return found;
}

/* Lines with the band of their members, and a zoom over steps. */
function chart(panel) {
  const W = 520, H = 260, L = 56, R = 18, T = 8, B = 26;
  const box = make("figure", { class: "chart" }, document.getElementById("charts"));
  make("figcaption", {}, box).append(make("h3", {}, null, panel.title + (panel.log ? " (logarithmic)" : "")));
  const described = panel.lines.map((l) => `${l.label} ends at ${number(l.mean[l.mean.length - 1])}`).join("; ");
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", tabindex: 0, "aria-label": `${panel.title}: ${described}`, "aria-describedby": "curves-help" }, box);
  const all = [Math.min(...panel.lines.map((l) => l.x[0])), Math.max(...panel.lines.map((l) => l.x[l.x.length - 1]))];
  if (all[0] === all[1]) all[1] += 1;
  let [from, to] = all;
  const scale = (v) => (panel.log ? Math.log10(v) : v);
  const x = (v) => L + ((v - from) / (to - from)) * (W - L - R);
  const step = (px) => from + ((px - L) / (W - L - R)) * (to - from);

  function draw() {
    svg.replaceChildren();
    let low = Infinity, high = -Infinity;
    const parts = panel.lines.map((line) => {
      let a = line.x.findIndex((v) => v >= from), b = line.x.findIndex((v) => v > to);
      a = Math.max((a < 0 ? line.x.length : a) - 1, 0);
      b = Math.min((b < 0 ? line.x.length : b) + 1, line.x.length);
      for (let i = a; i < b; i++) {
        if (!panel.log || line.low[i] > 0) low = Math.min(low, scale(line.low[i]));
        if (!panel.log || line.high[i] > 0) high = Math.max(high, scale(line.high[i]));
      }
      return [line, a, b];
    });
    if (!(high > low)) { low = (Number.isFinite(low) ? low : 0) - 0.5; high = low + 1; }
    const margin = (high - low) * 0.04;
    low -= margin; high += margin;
    const y = (v) => T + (1 - (Math.max(scale(Math.max(v, panel.log ? 1e-30 : v)), low) - low) / (high - low)) * (H - T - B);
    for (const t of panel.log ? logTicks(low, high) : ticks(low, high, 4)) {
      const at = T + (1 - (t - low) / (high - low)) * (H - T - B);
      make("line", { class: "axis", x1: L, x2: W - R, y1: at, y2: at }, svg);
      make("text", { x: L - 6, y: at + 4, "text-anchor": "end" }, svg, number(panel.log ? 10 ** t : t));
    }
    for (const t of ticks(from, to, 5)) make("text", { x: x(t), y: H - 8, "text-anchor": "middle" }, svg, number(t));
    const clip = (px) => Math.min(Math.max(px, L), W - R);
    for (const [line, a, b] of parts) {
      const points = (key) => line.x.slice(a, b).map((v, i) => `${clip(x(v)).toFixed(1)},${y(line[key][a + i]).toFixed(1)}`);
      if (line.band) make("path", { d: `M${[...points("low"), ...points("high").reverse()].join("L")}Z`, fill: `var(--c${line.colour})`, opacity: 0.22 }, svg);
      make("path", { d: `M${points("mean").join("L")}`, fill: "none", stroke: `var(--c${line.colour})`, "stroke-width": 1.6, "stroke-dasharray": DASHES[line.dash] }, svg);
    }
  }

  function zoom(a, b) {
    const least = (all[1] - all[0]) / 500;
    [from, to] = b - a < least ? [a, a + least] : [a, b];
    if (from < all[0]) [from, to] = [all[0], Math.min(all[0] + to - from, all[1])];
    if (to > all[1]) [from, to] = [Math.max(all[1] - (to - from), all[0]), all[1]];
    draw();
    said.textContent = `steps ${Math.round(from)} to ${Math.round(to)}`;
  }

  const pixel = (event) => {
    const rect = svg.getBoundingClientRect();
    return Math.min(Math.max(((event.clientX - rect.left) / rect.width) * W, L), W - R);
  };
  let start = null, area = null;
  svg.addEventListener("pointerdown", (event) => {
    start = pixel(event);
    area = make("rect", { class: "zoom", x: start, y: T, width: 0, height: H - T - B }, svg);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    const at = pixel(event);
    if (start !== null) {
      area.setAttribute("x", Math.min(start, at));
      area.setAttribute("width", Math.abs(at - start));
      return;
    }
    const near = Math.round(step(at));
    said.textContent = `step ${near}: ` + panel.lines.map((line) => {
      const i = line.x.reduce((best, v, j) => (Math.abs(v - near) < Math.abs(line.x[best] - near) ? j : best), 0);
      return `${line.label} ${number(line.mean[i])}`;
    }).join(", ");
  });
  svg.addEventListener("pointerup", (event) => {
    const at = pixel(event), first = start;
    start = null;
    if (area) area.remove();
    if (first !== null && Math.abs(at - first) > 5) zoom(step(Math.min(first, at)), step(Math.max(first, at)));
  });
  svg.addEventListener("pointercancel", () => { start = null; if (area) area.remove(); });
  svg.addEventListener("dblclick", () => zoom(...all));
  const around = (factor) => { const c = (from + to) / 2, half = ((to - from) / 2) * factor; zoom(c - half, c + half); };
  const move = (share) => { const by = (to - from) * share; zoom(from + by, to + by); };
  const keys = { "+": () => around(0.5), "=": () => around(0.5), "-": () => around(2), ArrowLeft: () => move(-0.25), ArrowRight: () => move(0.25), 0: () => zoom(...all) };
  svg.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  const legend = make("ul", { class: "legend" }, box);
  for (const line of panel.lines) {
    const item = make("li", {}, legend);
    const sign = make("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, item);
    make("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: `var(--c${line.colour})`, "stroke-width": 2.5, "stroke-dasharray": DASHES[line.dash] }, sign);
    item.append(` ${line.label}`);
  }
  const bar = make("div", { class: "slide" }, box);
  for (const [name, act, says] of [["+", () => around(0.5), "Zoom in"], ["\u2212", () => around(2), "Zoom out"], ["All", () => zoom(...all), "Show all steps"]]) {
    make("button", { type: "button", "aria-label": `${says}: ${panel.title}` }, bar, name).addEventListener("click", act);
  }
  const said = make("output", { class: "note" }, bar);
  draw();
}

data.runs.forEach((run, i) => {
  const figure = document.getElementById(`samples-${i}`), way = document.getElementById(`walk-${i}`);
  if (figure) samples(figure, run);
  if (way) walk(way, run);
});
data.panels.forEach(chart);
