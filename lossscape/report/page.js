/* The page's script: theme, tables, folding, and the frames that charts draw into. It needs no network.

A figure that moves is <figure class="chart" data-type="TYPE" data-source="ADDRESS">. When it comes near the window, its
data (the script at ADDRESS, which calls lossscape.given) and plotly are loaded, and charts[TYPE](frame, data) of
charts.js is called once. What it gets:

frame.plot            the <div> to draw into; frame.add(class) appends further ones and returns them
frame.words           the alternative text
frame.theme           {dark, text, muted, line, ground}: the colours of the moment, as CSS has them
frame.colour(c)       a colour of a run or split as this theme shows it (black is white in the dark)
frame.toggle(name, value, words, on, changed, look)   a button that is pressed or not; changed(on); look: {colour, symbol,
                      dash} that it shows, those of a line
frame.choose(name, words, {value: words}, value, changed)   one of several, as buttons in a row or a list
frame.slide(name, words, {min, max, step, value, text}, changed)   a slider; text(value) is what stands beside it
frame.act(name, value, words, done)   a button that does something
frame.drawn(draw)     calls draw() now, after every change of a control and of the theme
frame.react(div, traces, layout, settings)   Plotly.react with the theme's layout and the page's settings below the given ones

Every control has data-control="NAME", buttons data-value="VALUE" too: that is how tests find them.
*/
"use strict";
const lossscape = (() => {
  const data = new Map();
  const loading = new Map();
  const unpacked = new Map();
  const frames = [];
  const root = document.documentElement;
  const PLOTLY = root.dataset.plotly;
  const LIGHTER = {
    "#000000": "#ffffff", "#0072b2": "#3d8fe0", "#56b4e9": "#7fe3ff", "#d55e00": "#f5853a", "#009e73": "#2cc79b",
    "#882255": "#d6739f", "#332288": "#9d8ff0", "#aa0000": "#ff6b5e", "#7a3fbf": "#b98cf0", "#5c5c8a": "#a3a3d1",
  };

  const OUTLINES = {  // of symbols, in a square from 0 to 10
    circle: "M10 5a5 5 0 1 1-10 0a5 5 0 1 1 10 0z", square: "M1 1h8v8h-8z", diamond: "M5 0l5 5l-5 5l-5-5z",
    cross: "M3.4 0h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    x: "M2.5 0.2l2.5 2.5l2.5-2.5l2.3 2.3l-2.5 2.5l2.5 2.5l-2.3 2.3l-2.5-2.5l-2.5 2.5l-2.3-2.3l2.5-2.5l-2.5-2.5z",
  };

  /* The symbol of a line, or a piece of a dashed one, in its colour as the theme shows it. */
  function swatch({ colour: own, symbol, dash }) {
    const dashed = /px/.test(dash), shown = OUTLINES[symbol] ? symbol : "circle";
    const holder = document.createElement("span");
    holder.innerHTML = '<svg class="swatch" aria-hidden="true"><path></path></svg>';  // parsed as what it is
    const box = holder.firstChild, path = box.firstChild;
    box.classList.toggle("dashed", dashed);
    box.setAttribute("viewBox", dashed ? "0 0 30 10" : "-1 -1 12 12");
    box.dataset.symbol = dashed ? "dash" : shown;
    path.setAttribute("d", dashed ? "M0 5h30" : OUTLINES[shown]);
    if (dashed) path.setAttribute("stroke-dasharray", dash.replaceAll("px", ""));
    const paint = () => box.style.setProperty("--own", colour(own));
    paint();
    document.addEventListener("themed", paint);
    return box;
  }

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }

  /* Run a script once: one that the page holds, else one that lies beside it. */
  function load(source) {
    if (!loading.has(source)) {
      const ran = new Promise((done, failed) => {
        const script = document.createElement("script");
        const held = document.querySelector(`script[data-file="${CSS.escape(source)}"]`);
        if (held) {
          script.textContent = held.textContent;
          document.head.append(script);
          done();
        } else {
          script.onload = done;
          script.onerror = () => failed(new Error(`${source} does not lie beside the page`));
          script.src = source;
          document.head.append(script);
        }
      });
      loading.set(source, ran.then(() => unpacked.get(source)));
    }
    return loading.get(source);
  }

  /* Run a script that is given as its gzip in base64. */
  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function theme() {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    return { dark: isDark(), text: of("text"), muted: of("muted"), line: of("line"), ground: of("ground") };
  }

  function colour(given) {
    return (isDark() && LIGHTER[String(given).toLowerCase()]) || given;
  }

  /* Everything takes the colours of the theme of now. */
  function themed() {
    document.dispatchEvent(new Event("themed"));
    for (const frame of frames) frame.redraw();
  }

  function merged(below, above) {
    const result = { ...below };
    for (const [key, value] of Object.entries(above || {})) {
      const both = [result[key], value].every((each) => each && typeof each === "object" && !Array.isArray(each));
      result[key] = both ? merged(result[key], value) : value;
    }
    return result;
  }

  class Frame {
    constructor(figure) {
      this.figure = figure;
      this.words = figure.querySelector(".still img").alt;
      this.element = element("div", { class: "frame" });
      this.controls = element("div", { class: "controls", role: "group", "aria-label": "what is shown" });
      this.element.append(this.controls);
      this.plot = this.add("plot");
      this.redraw = () => {};
    }

    get theme() { return theme(); }

    add(name) {
      const made = element("div", { class: name, role: "img", "aria-label": this.words });
      this.element.append(made);
      return made;
    }

    colour(given) { return colour(given); }

    group(name) {
      let found = [...this.controls.children].find((each) => each.dataset.group === name);
      if (!found) {
        found = element("div", { class: "group", "data-group": name });
        this.controls.append(found);
      }
      return found;
    }

    toggle(name, value, words, on, changed, look) {
      const button = element("button", {
        type: "button", class: "toggle", "data-control": name, "data-value": value, "aria-pressed": String(!!on),
        title: words,
      });
      if (look) button.append(swatch(look));
      button.append(words);
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(pressed));
        changed(pressed);
        this.redraw();
      });
      this.group(name).append(button);
      return button;
    }

    act(name, value, words, done) {
      const button = element("button", { type: "button", "data-control": name, "data-value": value }, words);
      button.addEventListener("click", () => {
        done(button);
        this.redraw();
      });
      this.group(name).append(button);
      return button;
    }

    choose(name, words, options, value, changed) {
      const entries = Object.entries(options);
      const group = this.group(name);
      if (entries.length > 4) {
        const list = element("select", { "data-control": name });
        for (const [key, text] of entries) list.append(element("option", { value: key, selected: key === value }, text));
        list.addEventListener("change", () => {
          changed(list.value);
          this.redraw();
        });
        group.append(element("label", {}, words, " ", list));
        return list;
      }
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", words);
      group.classList.add("segments");
      const buttons = entries.map(([key, text]) => element("button", {
        type: "button", "data-control": name, "data-value": key, "aria-pressed": String(key === value),
      }, text));
      for (const button of buttons) {
        button.addEventListener("click", () => {
          for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
          changed(button.dataset.value);
          this.redraw();
        });
      }
      group.append(...buttons);
      return group;
    }

    slide(name, words, { min, max, step, value, text }, changed) {
      const slider = element("input", { type: "range", "data-control": name, min, max, step: step || 1, value });
      const output = element("output", {});
      const show = () => {
        output.textContent = text ? text(Number(slider.value)) : slider.value;
        slider.setAttribute("aria-valuetext", output.textContent);
      };
      show();
      slider.addEventListener("input", () => {
        show();
        changed(Number(slider.value));
        this.redraw();
      });
      this.group(name).append(element("label", {}, words, " ", slider, " ", output));
      return slider;
    }

    drawn(draw) {
      this.redraw = draw;
      draw();
    }

    react(div, traces, layout, settings) {
      const { text, line } = theme();
      const none = "rgba(0,0,0,0)";
      const axis = {
        gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, exponentformat: "power",
        title: { standoff: 8, font: { size: 13 } },
      };
      const own = Object.keys(layout || {}).filter((key) => /^[xy]axis\d*$/.test(key));
      const axes = Object.fromEntries([...new Set(["xaxis", "yaxis", ...own])].map((key) => [key, axis]));
      const below = {
        ...axes, paper_bgcolor: none, plot_bgcolor: none, showlegend: false, autosize: true, height: 380,
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: text },
        margin: { l: 56, r: 16, t: 28, b: 48 }, hoverlabel: { align: "left" },
      };
      const usual = {
        displaylogo: false, responsive: true, showTips: false,
        modeBarButtonsToRemove: ["lasso2d", "select2d", "sendDataToCloud"],
      };
      return Plotly.react(div, traces, merged(below, layout), { ...usual, ...settings });
    }
  }

  async function draw(figure) {
    const { type, source } = figure.dataset;
    let frame = null;
    try {
      await Promise.all([load(PLOTLY), load(source)]);
      frame = new Frame(figure);
      figure.prepend(frame.element);
      figure.classList.add("drawn");
      charts[type](frame, data.get(source));
      frames.push(frame);
      figure.dataset.state = "drawn";
    } catch (error) {
      frame?.element.remove();  // its picture stands there again
      figure.classList.remove("drawn");
      figure.dataset.state = "failed";
      console.error(`chart ${figure.id}: ${error.stack || error}`);
    }
  }

  function begin() {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        near.unobserve(entry.target);
        draw(entry.target);
      }
    }, { rootMargin: "300px" });
    const watch = () => {
      for (const figure of document.querySelectorAll("figure.chart")) near.observe(figure);
    };
    requestAnimationFrame(() => setTimeout(watch));  // the page can be read before anything is drawn
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  }

  addEventListener("DOMContentLoaded", begin);
  return {
    given: ([source, value]) => data.set(source, value),
    packed: (source, text) => unpacked.set(source, unpack(text)),
    element, theme, themed, isDark, colour, merged,
  };
})();
