// Line charts and scatter plots as SVG, with a legend that hides series and a readout of the nearest values.
//
// spec: { series, x, y, rules, shaded, empty }; a series: { label, color, dash, points: [[x, y], ...],
// band: [[x, low, high], ...], line, marks, names }. A y of null breaks the line. A chart is as wide as its host: one
// unit is one pixel, so that its text stays readable on a telephone.

const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777"];
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
const SVG = "http://www.w3.org/2000/svg";
const FRAME = { width: 900, narrowest: 300, height: 340, left: 62, right: 16, top: 14, bottom: 44 };

function look(index) {
  return { color: COLORS[index % COLORS.length], dash: DASHES[Math.floor(index / COLORS.length) % DASHES.length] };
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function select(id, label, options, chosen, onchange) {
  const box = make("select", { id, onchange: () => onchange(box.value) });
  for (const [value, text] of options) box.append(make("option", { value, selected: value === chosen }, text));
  return make("label", { class: "control" }, label, box);
}

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const values = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * step; n++) values.push(n * step);
  return values;
}

function range(values, pad) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (low === high) { low -= 0.5; high += 0.5; }
  return [low - pad * (high - low), high + pad * (high - low)];
}

function scales(visible, spec, total) {
  const points = visible.flatMap((series) => series.points.filter((point) => point[1] !== null));
  const bounds = visible.flatMap((series) => (series.band || []).flatMap(([x, low, high]) => [[x, low], [x, high]]));
  const ys = [...points, ...bounds].map((point) => point[1]).concat((spec.rules || []).map((rule) => rule.y));
  const [left, right] = range(points.map((point) => point[0]), spec.scatter ? 0.08 : spec.whole ? 0.04 : 0.01);
  const [low, high] = range(spec.zero ? [0, ...ys] : ys, 0.04);
  const width = total - FRAME.left - FRAME.right;
  const height = FRAME.height - FRAME.top - FRAME.bottom;
  return {
    right: total - FRAME.right,
    x: (value) => FRAME.left + (width * (value - left)) / (right - left),
    y: (value) => FRAME.top + height * (1 - (value - low) / (high - low)),
    xTicks: ticks(left, right, Math.min(9, width / 60)).filter((value) => !spec.whole || Number.isInteger(value)),
    yTicks: ticks(low, high, 5),
  };
}

function axes(svg, scale, spec) {
  const bottom = FRAME.height - FRAME.bottom;
  const { right } = scale;
  for (const value of scale.yTicks) {
    draw(svg, "line", { class: "grid", x1: FRAME.left, x2: right, y1: scale.y(value), y2: scale.y(value) });
    draw(svg, "text", { x: FRAME.left - 8, y: scale.y(value) + 4, "text-anchor": "end" }, short(value));
  }
  for (const value of scale.xTicks) {
    draw(svg, "text", { x: scale.x(value), y: bottom + 18, "text-anchor": "middle" }, short(value));
  }
  draw(svg, "line", { class: "axis", x1: FRAME.left, x2: right, y1: bottom, y2: bottom });
  draw(svg, "text", { x: (FRAME.left + right) / 2, y: FRAME.height - 6, "text-anchor": "middle" }, spec.x);
  const middle = (FRAME.top + bottom) / 2;
  const turned = { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` };
  draw(svg, "text", turned, spec.y);
}

function path(points, scale) {
  let text = "";
  let isDown = false;
  for (const [x, y] of points) {
    if (y !== null) text += `${isDown ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`;
    isDown = y !== null;
  }
  return text;
}

function lines(svg, series, scale) {
  if (series.band && series.band.length) {
    const there = series.band.map(([x, low]) => `${scale.x(x)},${scale.y(low)}`);
    const back = series.band.map(([x, , high]) => `${scale.x(x)},${scale.y(high)}`).reverse();
    draw(svg, "polygon", { class: "band", points: [...there, ...back].join(" "), fill: series.color });
  }
  if (series.line !== false) {
    const dash = { "stroke-dasharray": series.dash || "none" };
    draw(svg, "path", { class: "line", d: path(series.points, scale), stroke: series.color, ...dash });
  }
  if (!series.marks) return;
  series.points.forEach(([x, y], index) => {
    if (y === null) return;
    draw(svg, "circle", { cx: scale.x(x), cy: scale.y(y), r: 4.5, fill: series.color, class: "mark" });
    if (!series.names) return;
    const isRight = scale.x(x) > 0.7 * scale.right;
    const side = { x: scale.x(x) + (isRight ? -8 : 8), "text-anchor": isRight ? "end" : "start" };
    draw(svg, "text", { ...side, y: scale.y(y) + 4 }, series.names[index]);
  });
}

function nearest(points, x) {
  let best = null;
  for (const point of points) if (!best || Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
  return best;
}

// The values nearest to the pointer, or to where the arrow keys went.
function readout(svg, visible, scale, note) {
  const cursor = draw(svg, "line", { class: "cursor", y1: FRAME.top, y2: FRAME.height - FRAME.bottom, x1: -9, x2: -9 });
  const xs = [...new Set(visible.flatMap((series) => series.points.map((point) => point[0])))].sort((a, b) => a - b);
  let place = -1;
  const read = (next) => {
    place = Math.max(0, Math.min(xs.length - 1, next));
    const x = xs[place];
    cursor.setAttribute("x1", scale.x(x));
    cursor.setAttribute("x2", scale.x(x));
    const values = visible.map((series) => {
      const point = nearest(series.points, x);
      return `${series.label}: ${point[1] === null ? "not a number" : short(point[1])}`;
    });
    note.textContent = `${short(x)}: ${values.join("; ")}`;
  };
  svg.addEventListener("mousemove", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    read(xs.reduce((best, x, i) => (Math.abs(scale.x(x) - at) < Math.abs(scale.x(xs[best]) - at) ? i : best), 0));
  });
  svg.setAttribute("tabindex", 0);
  svg.addEventListener("keydown", (event) => {
    const far = Math.max(1, Math.round(xs.length / 10));
    const steps = { ArrowLeft: place - 1, ArrowRight: place + 1, PageUp: place - far, PageDown: place + far };
    const moves = { ...steps, Home: 0, End: xs.length };
    if (!(event.key in moves)) return;
    event.preventDefault();
    read(moves[event.key]);
  });
}

function legendOf(spec, hidden, render) {
  const legend = make("div", { class: "legend" });
  for (const series of spec.scatter ? [] : spec.series) {
    const key = document.createElementNS(SVG, "svg");
    key.setAttribute("viewBox", "0 0 26 10");
    if (series.line !== false) {
      const dash = { "stroke-dasharray": series.dash || "none" };
      draw(key, "path", { class: "line", d: "M0 5H26", stroke: series.color, ...dash });
    }
    if (series.marks) draw(key, "circle", { cx: 13, cy: 5, r: 4, fill: series.color });
    const toggle = (event) => {
      const names = [...legend.children];
      const index = names.indexOf(event.currentTarget);
      if (!hidden.delete(series.label)) hidden.add(series.label);
      render().children[index].focus();
    };
    const pressed = String(!hidden.has(series.label));
    legend.append(make("button", { type: "button", "aria-pressed": pressed, onclick: toggle }, key, series.label));
  }
  return legend;
}

function background(svg, spec, scale) {
  const height = FRAME.height - FRAME.top - FRAME.bottom;
  for (const x of spec.shaded || []) {
    const from = Math.max(FRAME.left, scale.x(x) - 16);
    const to = Math.min(scale.right, scale.x(x) + 16);
    // a layer that none of the curves has lies outside
    if (to > from) draw(svg, "rect", { class: "shaded", x: from, y: FRAME.top, width: to - from, height });
  }
  axes(svg, scale, spec);
  for (const rule of spec.rules || []) {
    const [y, { right }] = [scale.y(rule.y), scale];
    draw(svg, "line", { class: "rule", x1: FRAME.left, x2: right, y1: y, y2: y });
    draw(svg, "text", { x: right - 4, y: y - 5, "text-anchor": "end" }, rule.label);
  }
}

const CHARTS = new Map();
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const { width, render } = CHARTS.get(target);
    if (target.clientWidth !== width) render();
  }
});

function chart(host, spec) {
  const hidden = new Set();
  const render = () => {
    const width = Math.max(FRAME.narrowest, Math.min(FRAME.width, host.clientWidth || FRAME.width));
    CHARTS.set(host, { width: host.clientWidth, render });
    const visible = spec.series.filter((series) => !hidden.has(series.label));
    const drawn = visible.filter((series) => series.points.some((point) => point[1] !== null));
    const svg = document.createElementNS(SVG, "svg");
    const label = `${spec.y} over ${spec.x}${spec.scatter ? "" : "; arrow keys read the values"}`;
    const looks = { width, height: FRAME.height, role: "img", "aria-label": label };
    for (const [name, value] of Object.entries(looks)) svg.setAttribute(name, value);
    const hint = "Point at the chart, or focus it and use the arrow keys, to read values.";
    const note = make("p", { class: "readout", "aria-live": "polite" }, spec.scatter ? "" : hint);
    if (drawn.length) {
      const scale = scales(drawn, spec, width);
      background(svg, spec, scale);
      for (const series of drawn) lines(svg, series, scale);
      if (!spec.scatter) readout(svg, drawn, scale, note);
    } else {
      draw(svg, "text", { x: width / 2, y: FRAME.height / 2, "text-anchor": "middle" }, "nothing to draw");
    }
    const legend = legendOf(spec, hidden, render);
    host.replaceChildren(svg, legend, note);
    return legend;
  };
  render();
  resized.observe(host);
}
