"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

function make(name, attributes, parent, text) {
  const svg = ["svg", "path", "line", "text", "rect", "title"].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

/* Adds a slider over frames, and a button that plays them. show(i) shows frame i and returns its name. */
function slider(container, count, start, label, show) {
  const box = make("div", { class: "slide" }, container);
  const play = make("button", { type: "button", "aria-pressed": "false" }, box, "Play");
  const range = make("input", { type: "range", min: 0, max: count - 1, value: start, "aria-label": label }, box);
  const status = make("output", {}, box);
  let timer = null;
  const update = () => {
    const text = show(Number(range.value));
    status.textContent = text;
    range.setAttribute("aria-valuetext", text);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  range.addEventListener("input", () => { stop(); update(); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      range.value = (Number(range.value) + 1) % count;
      update();
    }, 300);
  });
  play.disabled = range.disabled = count < 2;
  update();
  return { range, update };
}

function samples(figure, run) {
  const elements = { image: figure.querySelector("img"), text: figure.querySelector("pre"), audio: figure.querySelector("audio") };
  let frames = run.samples[0].frames;
  const controls = figure.querySelector(".controls");
  const source = `${run.title}${run.samples.length > 1 ? ", selected member" : ""}`;
  const show = (i) => {
    const frame = frames[i];
    if (elements.image) {
      elements.image.src = frame.image;
      elements.image.alt = `Samples of ${source}, at step ${frame.step}`;
    }
    if (elements.text) elements.text.textContent = frame.lines.join("\n");
    if (elements.audio && frame.audio) elements.audio.src = frame.audio;
    return `step ${frame.step}`;
  };
  const steps = slider(controls, frames.length, frames.length - 1, `Training step of the samples of ${run.title}`, show);
  if (run.samples.length < 2) return;
  const label = make("label", {}, null, "Member ");
  controls.before(label);
  const select = make("select", {}, label);
  run.samples.forEach((member, i) => make("option", { value: i }, select, member.title));
  select.addEventListener("change", () => {
    frames = run.samples[select.value].frames;
    steps.range.max = frames.length - 1;
    steps.update();
  });
}

function walk(figure, run) {
  const image = figure.querySelector("img");
  slider(figure.querySelector(".controls"), run.walk.frames.length, 0, `Position on the path, ${run.title}`, (i) => {
    image.src = run.walk.frames[i];
    return `${Math.round((100 * i) / (run.walk.frames.length - 1))} % of the path`;
  });
}

const number = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(1) : String(Number(v.toPrecision(4))));

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const values = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) values.push(t);
  return values;
}

/* Ticks of a logarithmic axis between exponents low and high: powers of ten, and multiples where these are few. */
function logTicks(low, high) {
  const values = [];
  const multiples = high - low > 4 ? [1] : high - low > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
  const every = Math.ceil((high - low) / 8);
  for (let power = Math.floor(low); power <= high; power += 1) {
    if (multiples.length === 1 && power % every) continue;
    values.push(...multiples.map((multiple) => Math.log10(multiple) + power).filter((t) => t >= low && t <= high));
  }
  return values;
}

/* Adds a zoomable chart of curves, with bands over the members. */
function chart(panel) {
  const W = 520, H = 260, L = 56, R = 18, T = 8, B = 26;
  const box = make("figure", { class: "chart" }, document.getElementById("charts"));
  make("figcaption", {}, box).append(make("h3", {}, null, panel.title + (panel.log ? " (logarithmic)" : "")));
  const description = panel.lines.map((l) => `${l.label} ends at ${number(l.mean[l.mean.length - 1])}`).join("; ");
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", tabindex: 0, "aria-label": `${panel.title}: ${description}`, "aria-describedby": "curves-help" }, box);
  const range = [Math.min(...panel.lines.map((l) => l.x[0])), Math.max(...panel.lines.map((l) => l.x[l.x.length - 1]))];
  if (range[0] === range[1]) range[1] += 1;
  let [from, to] = range;
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
      const height = T + (1 - (t - low) / (high - low)) * (H - T - B);
      make("line", { class: "axis", x1: L, x2: W - R, y1: height, y2: height }, svg);
      make("text", { x: L - 6, y: height + 4, "text-anchor": "end" }, svg, number(panel.log ? 10 ** t : t));
    }
    for (const t of ticks(from, to, 5)) make("text", { x: x(t), y: H - 8, "text-anchor": "middle" }, svg, number(t));
    const clip = (px) => Math.min(Math.max(px, L), W - R);
    for (const [line, a, b] of parts) {
      const points = (key) => line.x.slice(a, b).map((v, i) => `${clip(x(v)).toFixed(1)},${y(line[key][a + i]).toFixed(1)}`);
      if (line.band) make("path", { d: `M${[...points("low"), ...points("high").reverse()].join("L")}Z`, fill: `var(--c${line.color})`, opacity: 0.22 }, svg);
      make("path", { d: `M${points("mean").join("L")}`, fill: "none", stroke: `var(--c${line.color})`, "stroke-width": 1.6, "stroke-dasharray": DASHES[line.dash] }, svg);
    }
  }

  function zoom(a, b) {
    const smallest = (range[1] - range[0]) / 500;
    [from, to] = b - a < smallest ? [a, a + smallest] : [a, b];
    if (from < range[0]) [from, to] = [range[0], Math.min(range[0] + to - from, range[1])];
    if (to > range[1]) [from, to] = [Math.max(range[1] - (to - from), range[0]), range[1]];
    draw();
    status.textContent = `steps ${Math.round(from)} to ${Math.round(to)}`;
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
    const pointer = pixel(event);
    if (start !== null) {
      area.setAttribute("x", Math.min(start, pointer));
      area.setAttribute("width", Math.abs(pointer - start));
      return;
    }
    const nearest = Math.round(step(pointer));
    status.textContent = `step ${nearest}: ` + panel.lines.map((line) => {
      const i = line.x.reduce((best, v, j) => (Math.abs(v - nearest) < Math.abs(line.x[best] - nearest) ? j : best), 0);
      return `${line.label} ${number(line.mean[i])}`;
    }).join(", ");
  });
  svg.addEventListener("pointerup", (event) => {
    const pointer = pixel(event), first = start;
    start = null;
    if (area) area.remove();
    if (first !== null && Math.abs(pointer - first) > 5) zoom(step(Math.min(first, pointer)), step(Math.max(first, pointer)));
  });
  svg.addEventListener("pointercancel", () => { start = null; if (area) area.remove(); });
  svg.addEventListener("dblclick", () => zoom(...range));
  const zoomBy = (factor) => { const c = (from + to) / 2, half = ((to - from) / 2) * factor; zoom(c - half, c + half); };
  const pan = (share) => { const offset = (to - from) * share; zoom(from + offset, to + offset); };
  const keys = { "+": () => zoomBy(0.5), "=": () => zoomBy(0.5), "-": () => zoomBy(2), ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), 0: () => zoom(...range) };
  svg.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  const legend = make("ul", { class: "legend" }, box);
  for (const line of panel.lines) {
    const item = make("li", {}, legend);
    const sample = make("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, item);
    make("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: `var(--c${line.color})`, "stroke-width": 2.5, "stroke-dasharray": DASHES[line.dash] }, sample);
    item.append(` ${line.label}`);
  }
  const bar = make("div", { class: "slide" }, box);
  for (const [name, action, label] of [["+", () => zoomBy(0.5), "Zoom in"], ["\u2212", () => zoomBy(2), "Zoom out"], ["All", () => zoom(...range), "Show all steps"]]) {
    make("button", { type: "button", "aria-label": `${label}: ${panel.title}` }, bar, name).addEventListener("click", action);
  }
  const status = make("output", { class: "note" }, bar);
  draw();
}

data.runs.forEach((run, i) => {
  const samplesFigure = document.getElementById(`samples-${i}`), walkFigure = document.getElementById(`walk-${i}`);
  if (samplesFigure) samples(samplesFigure, run);
  if (walkFigure) walk(walkFigure, run);
});
data.panels.forEach(chart);
