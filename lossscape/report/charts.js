/* The charts by the name of their type: functions of a frame (see page.js) and a chart's data.

What each reads is documented above it and where Python makes it: figures/training.py for runs, figures/charts/ for results.
Controls are those of the frame (data-control, data-value, aria-pressed). What they did beyond that stands on the frame's
element, so that it can be read back:

both      data-moment   number of the moment, from 0  data-when    its words        data-playing  true | false
surfaces  data-layer    key of what is shown          data-scale   linear | log
          data-point    "x,y" under the cross in every panel, "" where there is none
          data-camera   "x,y,z" of the eye, the same in all views                   data-solid    webgl | none
lines     data-scale    linear | log                  data-traces  how many lines are shown
*/
"use strict";
const charts = {};

/* Text that plotly shows as it is, though it reads tags and entities. */
const literal = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/* A number for people: at most so many significant digits, with a true minus. */
function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "not finite";
  const short = Number(value.toPrecision(digits)), size = Math.abs(short);
  const text = size >= 1e6 || (size > 0 && size < 1e-4) ? short.toExponential().replace("e+", "e") : String(short);
  return text.replaceAll("-", "−");
}

/* A colour that lets through what lies below it. */
function faded(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

/* A slider over moments, at the last of them, with a button that moves it on by itself; to(moment) is told of each.

The next step waits until the one before is drawn. It stops at the end, and where the slider is moved by hand.
*/
function addPlayer(frame, words, times, to) {
  const { dataset } = frame.element, last = times.length - 1, pause = Math.max(120, Math.min(500, 8000 / last));
  let timer = 0, steps = false, at = last;
  const show = (moment) => {
    at = moment;
    Object.assign(dataset, { moment, when: times[moment] });
  };
  const play = (on) => {
    clearTimeout(timer);
    timer = on && setTimeout(() => step(at === last ? 0 : at + 1));
    dataset.playing = String(on);
    button.textContent = on ? "❚❚ Pause" : "▶ Play";
  };
  const button = frame.act("play", "play", "▶ Play", () => play(!timer));
  const settings = { min: 0, max: last, value: last, text: (moment) => times[moment] };
  const slider = frame.slide("moment", words, settings, (moment) => {
    if (!steps) play(false);
    show(moment);
    to(moment);
  });
  const step = (next) => {
    steps = true;
    slider.value = next;
    slider.dispatchEvent(new Event("input"));
    steps = false;
    if (next === last) play(false);
    else timer = setTimeout(() => requestAnimationFrame(() => timer && step(next + 1)), pause);
  };
  show(last);
  play(false);
}

/* Lines in panels, a panel a quantity, a colour a run, a dash a split.

x: the label of the axis that all share
panels: [{key, label, log: whether its values can be shown on a logarithmic scale, shown: whether it is at first,
  and where they are its own: name: on its button, x: the label of its axis, xlog: a logarithmic one, names: [[x, text]],
  rows: [names of the values 0, 1, … of y, from the top], range: [low, high] of a linear scale, whatever is shown}]
lines: [{run, split: "train" | "test" | "", panel: a key, colour, x: [numbers], y: [numbers or null], and where it has them:
  low, high: [numbers or null] the ends of a band, error: [numbers], marks: true for points without a line,
  open: [true for a point that is drawn open], text: [what stands at each point in words], dash, width, size,
  symbol: of its points; a line of three points or more shows it at some of them
  moment: number in `times` of the only one at which it is shown}]
marks: [{panel, run, split, colour, x, low, high, short, text}] upright strokes with words: barriers
rules: [{panel, x | y, text, anchor: left | center | right}] lines right across
log: whether losses are logarithmic at first
times, time: moments of the slider in words, and what stands beside it
notes: [sentences below all panels]

Controls: log (a toggle), split (a toggle each), panel (a toggle each), run (a toggle each, where there are several), play and
moment (where there are moments).
*/
charts.lines = (frame, { x, panels, lines, marks = [], rules = [], log, times = [], time, notes = [] }) => {
  const unique = (key) => [...new Set(lines.map((each) => each[key]))].filter((each) => each !== "");
  const shown = { run: new Set(unique("run")), split: new Set(unique("split")), panel: new Set() };
  for (const panel of panels) if (panel.shown) shown.panel.add(panel.key);
  let logarithmic = log;
  const switches = (name, values, words, look) => {
    if (values.length < 2) return;
    for (const value of values) {
      frame.toggle(name, value, words(value), shown[name].has(value), (on) => {
        shown[name][on ? "add" : "delete"](value);
      }, look && look(value));
    }
  };
  const of = (key) => panels.find((each) => each.key === key);
  switches("panel", panels.map((each) => each.key), (key) => of(key).name || of(key).label.split(/ ?[\n(]/)[0]);
  const isDashed = (line) => (line.dash ? line.dash !== "solid" : line.split === "test");
  const stroke = (split) => (isDashed(lines.find((each) => each.split === split)) ? "╌╌" : "──");
  switches("split", unique("split"), (split) => `${split} ${stroke(split)}`);
  if (panels.some((each) => each.log)) {
    frame.toggle("log", "log", "log scale", logarithmic, (on) => { logarithmic = on; });
  }
  switches("run", unique("run"), (run) => run, (run) => {
    const { colour, symbol, dash } = lines.find((each) => each.run === run);
    return { colour, symbol, dash };
  });
  let now = times.length - 1;
  if (times.length > 1) addPlayer(frame, time, times, (moment) => { now = moment; });
  const isShown = ({ run, split, moment = now }) => (
    (!run || shown.run.has(run)) && (!split || shown.split.has(split)) && moment === now
  );
  if (notes.length) {
    const { element } = lossscape;
    frame.element.append(element("ul", { class: "notes" }, ...notes.map((words) => element("li", {}, words))));
  }

  frame.drawn(() => {
    const rows = panels.filter((each) => shown.panel.has(each.key));
    const count = Math.max(rows.length, 1);
    const columns = frame.plot.clientWidth > 640 ? Math.min(count, 2) : 1;
    const high = Math.ceil(count / columns);
    const layout = {
      height: 60 + 300 * high, shapes: [], annotations: [],
      grid: { rows: high, columns, pattern: "independent", xgap: 0.2, ygap: 0.3 },
    };
    const traces = [];
    let drawn = 0;
    rows.forEach((panel, index) => {
      const place = index ? String(index + 1) : "", axes = { xaxis: `x${place}`, yaxis: `y${place}` };
      const isLog = Boolean(logarithmic && panel.log), own = lines.filter((each) => each.panel === panel.key && isShown(each));
      const spread = isLog ? decades(own.flatMap((each) => each.y)) : 0;
      layout[`xaxis${place}`] = {
        title: { text: literal(panel.x || x) }, zeroline: false, type: panel.xlog ? "log" : "linear",
        ...(panel.xlog && { dtick: decades(own.flatMap((each) => each.x)) > 2 ? 1 : "D2", tickformat: "~g" }),
        ...(panel.names && namedTicks(panel.names, frame.plot.clientWidth / columns)),
      };
      layout[`yaxis${place}`] = {
        title: { text: literal(panel.label).replaceAll("\n", "<br>") }, zeroline: false, type: isLog ? "log" : "linear",
        ...(panel.rows && { tickvals: panel.rows.map((_, row) => row), ticktext: panel.rows.map(literal), range: [panel.rows.length - 0.4, -0.6] }),
        ...(isLog && { tickformat: "~g" }),  // else a digit alone stands between the decades
        ...(spread > 0.9 && spread < 2.1 && { nticks: 3 }),  // else every one of them
        ...(panel.range && !isLog && { range: panel.range }),
      };
      for (const line of own) {
        drawn += 1;
        traces.push(...lineTraces(frame, line, isLog, panel.x || x).map((trace) => ({ ...trace, ...axes })));
      }
      const room = [0.85 * frame.plot.clientWidth / columns, 250];
      const marked = marks.filter((mark) => mark.panel === panel.key && isShown(mark));
      const ups = stacked(marked, own, isLog, room);
      marked.forEach((mark, at) => {
        traces.push({ ...markTrace(frame, mark, isLog), ...axes });
        layout.annotations.push({
          xref: axes.xaxis, yref: axes.yaxis, x: mark.x, y: isLog ? Math.log10(mark.high) : mark.high, text: literal(mark.short),
          showarrow: false, yanchor: "bottom", yshift: ups[at], font: { color: frame.colour(mark.colour), size: 11 },
        });
      });
      for (const rule of rules) {
        if (rule.panel !== panel.key || (isLog && rule.y <= 0)) continue;
        const across = "y" in rule, domain = (axis, whole) => (whole ? `${axis} domain` : axis);
        const within = { xref: domain(axes.xaxis, across), yref: domain(axes.yaxis, !across) };
        const at = across ? { x0: 0, x1: 1, y0: rule.y, y1: rule.y } : { x0: rule.x, x1: rule.x, y0: 0, y1: 1 };
        layout.shapes.push({ type: "line", layer: "below", line: { color: frame.theme.muted, width: 1, dash: "dash" }, ...within, ...at });
        if (rule.text) {
          layout.annotations.push({
            ...within, text: literal(rule.text), showarrow: false, font: { size: 11 }, yanchor: "bottom",
            bgcolor: frame.theme.ground,
            ...(across ? { x: 1, xanchor: "right", y: isLog ? Math.log10(rule.y) : rule.y }
              : { x: rule.x, y: 1, xanchor: rule.anchor || "center" }),
          });
        }
      }
    });
    frame.element.dataset.scale = logarithmic ? "log" : "linear";
    frame.element.dataset.traces = drawn;
    frame.react(frame.plot, traces, layout);
  });
};

/* Names along an axis so wide, slanting where they would not stand side by side, and cut where the first had no room. */
function namedTicks(names, wide) {
  const long = names.reduce((sum, [, text]) => sum + text.length + 2, 0) * 7 > 0.8 * wide;
  const cut = (text) => (long && wide < 500 && text.length > 14 ? `${text.slice(0, 6)}…${text.slice(-7)}` : text);
  return {
    tickvals: names.map(([at]) => at), ticktext: names.map(([, text]) => literal(cut(text))), tickangle: long ? -30 : "auto",
  };
}

/* How many decades the values above 0 span. */
function decades(values) {
  const [low, high] = values.reduce(([a, b], each) => (each > 0 ? [Math.min(a, each), Math.max(b, each)] : [a, b]), [Infinity, 0]);
  return high ? Math.log10(high / low) : 0;
}

const MOST_SYMBOLS = 12;  // of a line that has one to be told from others of its colour

/* A line of charts.lines with its band below it. */
function lineTraces(frame, line, isLog, label) {
  const colour = frame.colour(line.colour), several = line.x.length > 1, each = line.marks || line.open || line.x.length < 3;
  const trace = {
    type: "scatter", mode: line.marks || !several ? "markers" : each || line.symbol ? "lines+markers" : "lines",
    name: literal([line.run, line.split].filter(Boolean).join(", ")), x: line.x, y: line.y,
    line: { color: colour, dash: line.dash || (line.split === "test" ? "dash" : "solid"), width: line.width || 2 },
    marker: {
      color: line.open ? line.open.map((each) => (each ? frame.theme.ground : colour)) : colour, size: line.size || (each ? 7 : 8), symbol: line.symbol,
      maxdisplayed: each ? 0 : MOST_SYMBOLS,
      line: { color: each ? colour : frame.theme.ground, width: line.open ? 1.5 : each ? 0 : 0.8 },
    },
    hovertemplate: `${literal(label)} %{x}: %{y:.4g}<extra>%{fullData.name}</extra>`,
  };
  if (line.text) Object.assign(trace, { text: line.text.map(literal), hovertemplate: "%{text}<extra></extra>" });
  if (line.error) trace.error_y = { type: "data", array: line.error, color: colour, thickness: 1, width: 2 };
  if (!line.low) return [trace];
  // on a logarithmic axis a band that reaches 0 runs out of the bottom
  const ends = [line.low, line.high].map((end) => end.map((value, at) =>
    (isLog && value !== null && value <= 0 ? line.y[at] / 10 : value)));
  const edge = { type: "scatter", mode: "lines", x: line.x, line: { width: 0, color: colour }, hoverinfo: "skip" };
  return [{ ...edge, y: ends[0] }, { ...edge, y: ends[1], fill: "tonexty", fillcolor: faded(colour, 0.2) }, trace];
}

/* How far above their strokes the words of marks stand, in pixels, so that none lies on another's: lines give the axes,
which are about so wide and high. */
function stacked(marks, lines, isLog, [wide, high]) {
  const scaled = (value) => (isLog ? Math.log10(value) : value);
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const known = (values) => values.filter((each) => each !== null && (!isLog || each > 0)).map(scaled);
  const [left, right] = ends(lines.flatMap((line) => line.x)), [low, top] = ends(lines.flatMap((line) => known(line.y)));
  const taken = [];
  return marks.map((mark) => {
    const x = (mark.x - left) / (right - left) * wide, y = (scaled(mark.high) - low) / (top - low) * high;
    let up = 4;
    while (taken.some(([across, above]) => Math.abs(across - x) < 90 && Math.abs(above - y - up) < 15)) up += 1;
    taken.push([x, y + up]);
    return up;
  });
}

/* An upright stroke of charts.lines with what is said of it: how high a barrier is, and where. */
function markTrace(frame, mark, isLog) {
  const colour = frame.colour(mark.colour), low = isLog && mark.low <= 0 ? mark.high / 10 : mark.low;
  return {
    type: "scatter", mode: "lines+markers", x: [mark.x, mark.x], y: [low, mark.high], cliponaxis: false,
    line: { color: colour, width: 1.5, dash: "dot" }, marker: { symbol: "line-ew-open", size: 11, color: colour },
    hovertemplate: `${literal(mark.text)}<extra></extra>`,
  };
}

/* Surfaces as linked contours and views in three dimensions, on one scale and with one camera; a moment's slider for paths
and films. What it reads: figures/charts/surfaces.py.

Controls: layer (what is shown), scale (linear or log), reset, play (where there are moments), moment (a slider).
Pointing at contours or at a surface, and the arrow keys on contours, move a cross in all panels, whose values are said.
*/
charts.surfaces = (frame, data) => new Surfaces(frame, data);

const EYE = { x: -0.95, y: -1.45, z: 0.85 }, CENTRE = { x: 0, y: 0, z: -0.13 };
const HINT = "Point at a picture, or focus one and use the arrow keys, to read its values.";
const HALO = "0 0 3px white, 0 0 3px white, 0 0 4px white, 0 0 5px white";
const NARROW = 400;  // px, of a view in three dimensions: a title of its height would be cut
const MOST_NAMED = 6;  // paths over contours whose ends are named
const STILL = { displayModeBar: false, scrollZoom: false, responsive: false };

/* A value on a scale: itself or its logarithm, clipped; of differences with their sign. Null where there is none. */
function heightOf(scale, value) {
  if (value === null || value === undefined) return null;
  if (scale.unit) return scale.log ? Math.sign(value) * Math.log10(1 + Math.abs(value) / scale.unit) : value;
  const clipped = Math.min(Math.max(value, scale.low), scale.high);
  return scale.log ? Math.log10(clipped) : clipped;
}

/* Between which levels a height lies: 2.5 in the middle between the third and the fourth. */
function levelOf({ ticks }, height) {
  if (height === null) return null;
  const above = ticks.findIndex((tick) => tick > height);
  if (above === 0) return 0;
  if (above < 0) return ticks.length - 1;
  return above - 1 + (height - ticks[above - 1]) / (ticks[above] - ticks[above - 1]);
}

const span = (values) => values.at(-1) - values[0];
const inRows = (flat, wide) => Array.from({ length: flat.length / wide }, (_, row) => flat.slice(row * wide, (row + 1) * wide));
const nearest = (values, at) => values.reduce((best, value, index) =>
  (Math.abs(value - at) < Math.abs(values[best] - at) ? index : best), 0);

/* Colours of the bands between levels as plotly's scale: it takes those of contours in their middles, others in steps. */
const inMiddles = (colours) => (colours.length < 2 ? [0, 1] : colours.map((_, index) => index / (colours.length - 1)))
  .map((at, index) => [at, colours[Math.min(index, colours.length - 1)]]);
const inSteps = (colours) => colours.flatMap((colour, index) =>
  [[index / colours.length, colour], [(index + 1) / colours.length, colour]]);

function hasWebGL() {
  const context = document.createElement("canvas").getContext("webgl");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
}

/* Where texts stand beside their points, so that none lies on another or out of the picture.

labels: [{left, top, text}] in pixels of a picture so wide and high; the first have the first choice. Returns for each
whether it stands to the right (1) or left (-1) of its point, and below (1) or above (-1) it
*/
function placed(labels, wide, high) {
  const taken = labels.map(({ left, top }) => [left - 5, top - 5, left + 5, top + 5]);
  const places = [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [1, 1], [-1, -1], [-1, 1]];
  return labels.map(({ left, top, text }, own) => {
    const [across, up] = [7.2 * text.length + 6, 15];
    const cost = ([right, down]) => {
      const [x, y] = [left + right * (across / 2 + 7), top + down * (up / 2 + 6)];
      const box = [x - across / 2, y - up / 2, x + across / 2, y + up / 2];
      const over = taken.reduce((sum, other, index) => (index === own ? sum : sum
        + Math.max(0, Math.min(box[2], other[2]) - Math.max(box[0], other[0]))
        * Math.max(0, Math.min(box[3], other[3]) - Math.max(box[1], other[1]))), 0);
      const out = Math.max(0, -box[0]) + Math.max(0, box[2] - wide) + Math.max(0, -box[1]) + Math.max(0, box[3] - high);
      return { box, sum: over + 30 * out };
    };
    const costs = places.map((place) => ({ place, ...cost(place) }));
    const best = costs.reduce((found, each) => (each.sum < found.sum - 1 ? each : found));
    taken.push(best.box);
    return best.place;
  });
}

class Surfaces {
  constructor(frame, data) {
    Object.assign(this, { frame, data, root: frame.element, camera: { eye: EYE, center: CENTRE }, at: null, without: new Set() });
    this.layer = data.layers[0].key;
    this.scale = null;
    this.moment = data.times.length - 1;
    this.solids = hasWebGL();
    this.root.dataset.solid = this.solids ? "webgl" : "none";
    this.addControls();
    const columns = `--columns: ${data.columns || data.panels.length}`;
    const panels = lossscape.element("div", { class: "panels", "data-panels": data.panels.length, style: columns });
    this.views = data.panels.map((panel) => this.view(panel));
    panels.append(...this.views.map((view) => view.element));
    this.said = lossscape.element("output", { class: "said" }, HINT);
    this.notes = lossscape.element("ul", { class: "notes" });
    frame.plot.replaceWith(panels, this.said, this.notes);
    this.turned(EYE);
    frame.drawn(() => this.draw());
    new ResizeObserver(() => requestAnimationFrame(() => {
      if (this.root.clientWidth && this.width !== this.root.clientWidth) this.draw();
    })).observe(this.root);
  }

  addControls() {
    const { frame, data } = this, { layers, times } = data;
    if (layers.length > 1) {
      const names = Object.fromEntries(layers.map((each) => [each.key, each.name]));
      frame.choose("layer", "what is shown", names, this.layer, (key) => { this.layer = key; });
    }
    if (Object.values(data.scales).some((each) => each.linear && each.log)) {
      const first = data.scales[data.panels[0].values[this.layer].scale].first;
      this.scales = frame.choose("scale", "scale", { linear: "linear", log: "log scale" }, first, (key) => { this.scale = key; });
    }
    frame.act("reset", "reset", "Reset view", () => {
      Object.assign(this, { camera: { eye: EYE, center: CENTRE }, at: null });
      for (const view of this.views) view.zoomed = null;
      this.turned(EYE);
    });
    if (times.length > 1) addPlayer(frame, data.time, times, (moment) => { this.moment = moment; });
    const trails = data.panels.flatMap((panel) => panel.trails || []).filter((trail) => trail.run);
    if (trails.some((trail) => trail.bare)) trails.reverse();  // the last of these lies on top
    for (const [run, { colour, dash, symbol }] of new Map(trails.map((trail) => [trail.run, trail]))) {
      const look = { colour: faded(colour, 1), dash, symbol };  // as drawn, over contours that no theme changes
      frame.toggle("run", run, run, true, (on) => this.without[on ? "delete" : "add"](run), look);
    }
  }

  /* The elements of one panel. */
  view(panel) {
    const { element } = lossscape;
    const name = panel.name ? ` of ${panel.name}` : "";
    const flat = element("div", {
      class: "flat", tabindex: "0", role: "application", "aria-label": `Contours${name}; arrow keys move the cross`,
    });
    const solid = element("div", { class: "solid", role: "img", "aria-label": `Surface${name} in three dimensions` });
    const cross = element("div", { class: "cross", hidden: true, "aria-hidden": "true" });
    const title = panel.name ? [element("div", { class: "title" }, panel.name)] : [];
    const pair = element("div", { class: "pair" }, element("div", { class: "holder" }, flat, cross), solid);
    const view = { panel, flat, solid, cross, element: element("div", { class: "panel" }, ...title, pair), zoomed: null, seen: false, led: 0 };
    for (const event of ["pointermove", "pointerdown"]) flat.addEventListener(event, (moved) => this.under(view, moved));
    flat.addEventListener("keydown", (pressed) => this.arrow(view, pressed));
    if (!this.solids) {
      solid.textContent = "This browser has no WebGL, which the view in three dimensions needs.";
      solid.classList.add("lacking");
      return view;
    }
    new IntersectionObserver((entries) => {  // browsers have few contexts of WebGL: only views in sight hold one
      view.seen = entries.at(-1).isIntersecting;
      if (view.seen) this.drawSolid(view);
      else if (solid.data) Plotly.purge(solid);
    }, { rootMargin: "150px" }).observe(solid);
    return view;
  }

  /* The scale of a panel's values of the shown layer. */
  scaleOf(panel) {
    const found = this.data.scales[panel.values[this.layer].scale];
    return found[this.scale] || found[found.first];
  }

  /* Values of the shown layer at the moment, a flat list. */
  valuesOf(panel) {
    const own = panel.values[this.layer];
    return own.frames ? own.frames[this.moment] : own.z;
  }

  draw() {
    const { data, root } = this, first = this.scaleOf(data.panels[0]);
    this.width = root.clientWidth;
    Object.assign(root.dataset, { layer: this.layer, scale: first.log ? "log" : "linear" });
    for (const button of this.scales?.querySelectorAll("button") || []) {
      const own = data.scales[data.panels[0].values[this.layer].scale];
      button.disabled = !own[button.dataset.value];
      button.setAttribute("aria-pressed", String(button.dataset.value === root.dataset.scale));
    }
    for (const view of this.views) {
      this.drawFlat(view);
      if (view.seen) this.drawSolid(view);
    }
    const notes = this.views.flatMap(({ panel }) => [...this.scaleOf(panel).notes, ...(panel.notes || [])]);
    this.notes.replaceChildren(...[...new Set(notes)].map((words) => lossscape.element("li", {}, words)));
    this.point(this.at);
  }

  /* The paths of a panel that are shown, with how many of their checkpoints are reached. */
  trailsOf(panel) {
    return (panel.trails || []).filter((trail) => !this.without.has(trail.run))
      .map((trail) => ({ ...trail, upto: trail.moment.filter((each) => each <= this.moment).length }));
  }

  sides(panel) {
    return this.data.even ? span(panel.x) / span(panel.y) : 1;
  }

  drawFlat(view) {
    const { panel, flat } = view, scale = this.scaleOf(panel), several = this.views.length > 1;
    const margin = { l: 54, r: 62, t: 10, b: 44 }, wide = flat.clientWidth - margin.l - margin.r;
    const high = Math.max(110, Math.min(1.35 * wide, wide / this.sides(panel)));
    const bands = scale.ticks.length - 1, cuts = bands > 1 ? [1, bands - 1] : [0.5, 0.5];
    const levels = this.valuesOf(panel).map((value) => levelOf(scale, heightOf(scale, value)));
    const contour = {
      type: "contour", x: panel.x, y: panel.y, z: inRows(levels, panel.x.length), hoverinfo: "skip", connectgaps: false,
      zauto: false, zmin: 0, zmax: bands, colorscale: inMiddles(scale.colours), autocontour: false,
      contours: { start: cuts[0], end: cuts[1], size: 1, coloring: "fill", showlabels: bands > 1, labelfont: { size: 9, color: "black" } },
      line: { color: "black", width: bands > 1 ? 0.6 : 0 },
      // the lines' numbers are those of the bar
      colorbar: {
        tickvals: scale.ticks.map((_, index) => index), ticktext: scale.texts, tickfont: { size: high > 260 ? 10 : 8 },
        thickness: 11, outlinewidth: 0, len: 1, x: 1.01, xpad: 3, ypad: 0,
      },
    };
    const axis = (values, label, room, own) => ({
      range: view.zoomed?.[own] || [values[0], values.at(-1)], showgrid: false, zeroline: false, constrain: "domain", nticks: 7,
      automargin: false, tickfont: { size: 11 },
      title: { text: literal(several || 6.5 * label.length > room ? label.split(" ")[0] : label), standoff: 6, font: { size: 12 } },
    });
    const layout = {
      width: flat.clientWidth, height: high + margin.t + margin.b, margin, hovermode: false,
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: axis(panel.x, this.data.xlabel, wide, "x"),
      yaxis: { ...axis(panel.y, this.data.ylabel, high, "y"), ...(this.data.even && { scaleanchor: "x" }) },
    };
    const over = [...this.flatMarks(panel, true), ...this.flatTrails(panel), ...this.flatMarks(panel, false)];
    const named = over.flatMap(({ x, y, names }) => (names || []).map((text, index) => ({
      x: x[index], y: y[index], text, left: (x[index] - panel.x[0]) / span(panel.x) * wide,
      top: (panel.y.at(-1) - y[index]) / span(panel.y) * high,
    }))).filter((each) => each.text);
    layout.annotations = placed(named, wide, high).map(([right, below], index) => ({
      x: named[index].x, y: named[index].y, text: `<b>${literal(named[index].text)}</b>`, showarrow: false, borderpad: 0,
      xanchor: ["right", "center", "left"][right + 1], yanchor: ["bottom", "middle", "top"][below + 1],
      xshift: 7 * right, yshift: -7 * below, font: { color: "black", size: 11, shadow: HALO },
    }));
    this.frame.react(flat, [contour, ...over.map(({ names, ...trace }) => trace)], layout, STILL);
    if (!view.listens) {
      view.listens = true;
      flat.on("plotly_relayout", (change) => {
        if ("xaxis.range[0]" in change) view.zoomed = { x: [...flat.layout.xaxis.range], y: [...flat.layout.yaxis.range] };
        else if ("xaxis.range" in change || "xaxis.autorange" in change) view.zoomed = null;
        this.point(this.at);
      });
    }
  }

  /* Paths over contours: white below, dots at checkpoints, the first and the last named. */
  flatTrails(panel) {
    const shown = this.trailsOf(panel).filter((trail) => trail.upto);
    return shown.flatMap((trail, index) => {
      const [x, y] = [trail.x.slice(0, trail.upto), trail.y.slice(0, trail.upto)], last = trail.upto - 1;
      const ends = last ? [last, 0] : [0];
      const line = { type: "scatter", mode: "lines", x, y, hoverinfo: "skip" };
      return [
        { ...line, line: { color: "white", width: 4.5 } },
        {
          ...line, mode: trail.bare || (x.length > 60 && !trail.symbol) ? "lines" : "lines+markers", line: { color: trail.colour, width: 2.2, dash: trail.dash },
          marker: {
            color: trail.colour, size: trail.symbol ? 7 : 4.5, symbol: trail.symbol, line: { color: "white", width: 0.8 },
            maxdisplayed: x.length > 60 ? MOST_SYMBOLS : 0,
          },
        },
        {
          ...line, mode: "markers", x: ends.map((row) => x[row]), y: ends.map((row) => y[row]),
          marker: { color: "white", size: 8, symbol: trail.symbol, line: { color: trail.colour, width: 2 } },
          names: ends.map((row) => {  // of many paths the buttons say which is which
            if (row) return shown.length <= MOST_NAMED ? trail.label + trail.when[row] : "";
            return index ? "" : trail.when[row];
          }),
        },
      ];
    });
  }

  /* The marks that lie below paths, or those above them. */
  flatMarks(panel, below) {
    return (panel.marks || []).filter((mark) => below === Boolean(mark.below)).map((mark) => ({
      type: "scatter", mode: "markers", x: [mark.x].flat(), y: [mark.y].flat(), hoverinfo: "skip", names: [mark.text],
      marker: { symbol: mark.symbol, size: mark.size || 10, color: mark.fill || "white", line: { color: mark.colour, width: 1.4 } },
    }));
  }

  /* The surface's height at a point: that at the nearest one of the grid. */
  heightAt(panel, { x, y }) {
    const value = this.valuesOf(panel)[nearest(panel.y, y) * panel.x.length + nearest(panel.x, x)];
    return heightOf(this.scaleOf(panel), value);
  }

  drawSolid(view) {
    const { panel, solid } = view, { theme } = this.frame, scale = this.scaleOf(panel), sides = this.sides(panel);
    const heights = this.valuesOf(panel).map((value) => heightOf(scale, value)), wide = panel.x.length;
    if (this.isLacking(view, heights.every((each) => each === null))) return;
    const silent = { highlight: false };
    const surface = {
      type: "surface", x: panel.x, y: panel.y, z: inRows(heights, wide), connectgaps: false, showscale: false, hoverinfo: "none",
      surfacecolor: inRows(heights.map((each) => levelOf(scale, each)), wide), cmin: 0, cmax: scale.ticks.length - 1,
      colorscale: inSteps(scale.colours), contours: { x: silent, y: silent, z: silent },
      lighting: { ambient: 0.75, diffuse: 0.45, specular: 0.08, roughness: 0.9 },
    };
    const cross = {
      type: "scatter3d", mode: "markers", x: [], y: [], z: [], hoverinfo: "skip",
      marker: { size: 5, color: "white", line: { color: "black", width: 2 } },
    };
    const axis = (label, own) => ({
      title: { text: literal(label), font: { size: 12 } }, gridcolor: theme.line, zerolinecolor: theme.line, color: theme.text,
      tickfont: { size: 10.5 }, showspikes: false, nticks: 5, ...own,
    });
    const marks = scale.ticks.map((_, index) => index).filter((index) => index && index % Math.ceil(scale.ticks.length / 7) === 0);
    const ends = (values) => ({ range: [values[0], values.at(-1)] });
    const height = this.data.layers.find((each) => each.key === this.layer).short;
    const scene = {
      camera: this.camera, aspectmode: "manual", dragmode: "turntable",
      aspectratio: { x: Math.min(1, sides), y: Math.min(1, 1 / sides), z: 0.7 },
      xaxis: axis("x", ends(panel.x)), yaxis: axis("y", ends(panel.y)),
      zaxis: axis(solid.clientWidth < NARROW ? "" : height, {  // the colour bar beside it says what it is
        ...ends(scale.ticks), tickvals: marks.map((index) => scale.ticks[index]), ticktext: marks.map((index) => scale.texts[index]),
      }),
    };
    const high = Math.max(240, Math.min(420, 0.85 * solid.clientWidth, view.flat.clientHeight + 60));
    const layout = { width: solid.clientWidth, height: high, margin: { l: 0, r: 0, t: 0, b: 0 }, hovermode: "closest", scene };
    const purged = !solid.data;
    this.frame.react(solid, [surface, ...this.solidTrails(panel, scale), ...this.solidMarks(panel, scale), cross], layout, STILL);
    if (purged) {
      for (const event of ["plotly_relayouting", "plotly_relayout"]) {
        solid.on(event, (change) => change["scene.camera"] && !view.led && this.turn(view, change["scene.camera"]));
      }
      solid.on("plotly_hover", ({ event, points: [{ x, y }] }) => {
        const at = this.closest(panel, x, y);
        if (!event?.buttons && !(this.at?.x === at.x && this.at.y === at.y)) this.point(at);  // told again after each drawing
      });
    }
    this.placeSolid(view);
  }

  /* Whether a view has nothing to draw, as it then says: WebGL fails at a surface without a single height. */
  isLacking({ solid }, lacking) {
    if (lacking === solid.classList.contains("lacking")) return lacking;
    if (solid.data) Plotly.purge(solid);
    solid.classList.toggle("lacking", lacking);
    solid.textContent = lacking ? "No value here is finite." : "";
    return lacking;
  }

  /* Paths on the surface, with stems to the true losses where they have any of their own. */
  solidTrails(panel, scale) {
    return this.trailsOf(panel).filter((trail) => trail.plane[this.layer]).flatMap((trail) => {
      const within = (value, values) => value >= values[0] && value <= values.at(-1);
      const [plane, real] = [trail.plane, trail.real].map((which) => which[this.layer]?.slice(0, trail.upto).map((value, row) =>
        (within(trail.x[row], panel.x) && within(trail.y[row], panel.y) ? heightOf(scale, value) : null)));
      const [x, y] = [trail.x.slice(0, trail.upto), trail.y.slice(0, trail.upto)];
      const twice = (values) => values.flatMap((value) => [value, value, null]);
      const line = { type: "scatter3d", mode: "lines", hoverinfo: "skip", x, y };
      const own = { ...line, z: plane, line: { color: trail.colour, width: 6 } };
      return real ? [
        own,
        { ...line, x: twice(x), y: twice(y), z: plane.flatMap((each, row) => [each, real[row], null]), line: { color: trail.colour, width: 2 } },
        { ...line, mode: "markers", z: real, marker: { size: trail.symbol ? 5 : 3, symbol: trail.symbol, color: "white", line: { color: trail.colour, width: 2 } } },
      ] : [own];
    });
  }

  /* The points that the plane goes through, each below a pole with its name, which no slope hides. */
  solidMarks(panel, scale) {
    return (panel.marks || []).filter((mark) => mark.text).map((mark) => ({
      type: "scatter3d", mode: "lines+markers+text", hoverinfo: "skip", x: [mark.x, mark.x], y: [mark.y, mark.y],
      z: [this.heightAt(panel, mark), scale.ticks.at(-1)], line: { color: this.frame.theme.muted, width: 2 },
      marker: { symbol: "diamond", size: [4, 0.01], color: "white", line: { color: "black", width: 1.5 } },
      text: ["", literal(mark.text)], textposition: "top center", textfont: { size: 11, color: this.frame.theme.text },
    }));
  }

  /* Turns all views as one was turned; the others at most once a frame, the last time included. */
  turn(from, camera) {
    const { x, y, z } = camera.eye;
    if (!Number.isFinite(x + y + z) || !this.turned(camera.eye)) return;  // a hand that is ahead of the drawing turns to NaN
    this.camera = camera;
    if (this.follows) return;
    this.follows = requestAnimationFrame(() => {
      this.follows = 0;
      for (const view of this.views) {
        if (view !== from && view.solid.data) this.lead(view);
      }
    });
  }

  /* Turns a view to the shared camera. It tells of that late, when the hand may be further on: nobody follows it then. */
  lead(view) {
    view.led += 1;
    Promise.resolve(Plotly.relayout(view.solid, { "scene.camera": this.camera })).finally(() => (view.led -= 1));
  }

  /* Notes where the eye is; whether it has moved. */
  turned({ x, y, z }) {
    const words = [x, y, z].map((each) => each.toFixed(2)).join(",");
    const moved = words !== this.root.dataset.camera;
    this.root.dataset.camera = words;
    return moved;
  }

  /* Puts the cross on a point in all panels and says what is known of it; null takes it away. */
  point(at) {
    this.at = at;
    this.root.dataset.point = at ? `${at.x},${at.y}` : "";
    for (const view of this.views) {
      this.placeFlat(view);
      if (view.seen) this.placeSolid(view);
    }
    const lines = this.views.map((view) => lossscape.element("span", {}, at ? this.words(view.panel, at) : ""));
    this.said.replaceChildren(...(at ? lines : [HINT]));
  }

  placeFlat({ flat, cross }) {
    const { xaxis, yaxis } = flat._fullLayout;
    const [left, top] = this.at ? [xaxis.l2p(this.at.x), yaxis.l2p(this.at.y)] : [-9, -9];
    cross.hidden = left < -1 || top < -1 || left > xaxis._length + 1 || top > yaxis._length + 1;
    cross.style.left = `${left + xaxis._offset}px`;
    cross.style.top = `${top + yaxis._offset}px`;
  }

  placeSolid(view) {
    if (view.waits) return;
    view.waits = true;
    requestAnimationFrame(() => {
      view.waits = false;
      if (!view.solid.data) return;
      const z = this.at ? this.heightAt(view.panel, this.at) : null;
      const place = z === null ? { x: [[]], y: [[]], z: [[]] } : { x: [[this.at.x]], y: [[this.at.y]], z: [[z]] };
      Plotly.restyle(view.solid, place, [view.solid.data.length - 1]);
    });
  }

  /* Follows the pointer over contours, to the nearest checkpoint of a path or point of the grid. */
  under({ panel, flat }, event) {
    const { xaxis, yaxis } = flat._fullLayout, frame = flat.getBoundingClientRect();
    const [left, top] = [event.clientX - frame.left - xaxis._offset, event.clientY - frame.top - yaxis._offset];
    if (left < 0 || top < 0 || left > xaxis._length || top > yaxis._length) return;
    for (const trail of this.trailsOf(panel)) {
      const row = trail.x.slice(0, trail.upto).findLastIndex((x, at) => Math.hypot(xaxis.l2p(x) - left, yaxis.l2p(trail.y[at]) - top) < 7);
      if (row >= 0) {
        this.point({ x: trail.x[row], y: trail.y[row] });
        return;
      }
    }
    this.point(this.closest(panel, xaxis.p2l(left), yaxis.p2l(top)));
  }

  /* The nearest point that has values: of the grid, or of points that are none, both axes counting alike. */
  closest({ x: across, y: up, points }, x, y) {
    if (!points) return { x: across[nearest(across, x)], y: up[nearest(up, y)] };
    const far = points.x.map((each, index) => Math.hypot((each - x) / span(across), (points.y[index] - y) / span(up)));
    const best = far.indexOf(Math.min(...far));
    return { x: points.x[best], y: points.y[best] };
  }

  /* Arrow keys move the cross by one point of the grid, with shift by five; Escape takes it away. */
  arrow({ panel: { x, y } }, event) {
    if (event.key === "Escape") this.point(null);
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const from = this.at || { x: 0, y: 0 }, many = event.shiftKey ? 5 : 1;
    const moved = (values, at, by) => values[Math.max(0, Math.min(values.length - 1, nearest(values, at) + by * many))];
    this.point({ x: moved(x, from.x, step[0]), y: moved(y, from.y, step[1]) });
  }

  /* What is known of a panel at a point: a checkpoint of a path, or a point with values. */
  words(panel, at) {
    const name = this.views.length > 1 ? `${panel.name}: ` : "";
    for (const trail of this.trailsOf(panel)) {
      const row = trail.x.findIndex((x, index) => x === at.x && trail.y[index] === at.y);
      if (row >= 0) return name + trail.words[row];
    }
    const place = this.closest(panel, at.x, at.y), source = panel.points || panel;
    const index = panel.points ? panel.points.x.findIndex((x, each) => x === place.x && panel.points.y[each] === place.y)
      : panel.y.indexOf(place.y) * panel.x.length + panel.x.indexOf(place.x);
    const parts = this.data.layers.filter((each) => panel.values[each.key]).map((each) => {
      const { z, frames, stderr } = source.values[each.key], value = (frames ? frames[this.moment] : z)[index];
      const error = stderr && stderr[index] !== null ? ` ± ${number(stderr[index], 2)}` : "";
      return `${each.name} ${number(value, 5)}${value === null ? "" : `${error} ${each.unit}`.trimEnd()}`;
    });
    const off = source.error ? ` (estimated to be off by ${number(source.error[index], 2)} % of the loss)` : "";
    return `${name}x ${number(place.x)}, y ${number(place.y)}: ${parts.join(", ")}${source.predicted?.[index] ? `, predicted${off}` : ""}`;
  }
}
