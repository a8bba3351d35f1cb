/* The charts by the name of their type: functions of a frame (see page.js) and a chart's data. */
"use strict";
const charts = {};

/* Lines in panels that share their x axis, a panel a quantity, a colour a run, a dash a split.

x: the label of the axis that all share
panels: [{key, label, log: whether its values can be shown on a logarithmic scale, shown: whether it is at first}]
lines: [{run, split: "train" | "test" | "", panel: a key, colour, x: [numbers], y: [numbers or null]}]
log: whether losses are logarithmic at first

Controls: log (a toggle), split (a toggle each), panel (a toggle each), run (a toggle each, where there are several).
*/
charts.lines = (frame, { x, panels, lines, log }) => {
  const unique = (key) => [...new Set(lines.map((each) => each[key]))].filter((each) => each !== "");
  const shown = { run: new Set(unique("run")), split: new Set(unique("split")), panel: new Set() };
  for (const panel of panels) if (panel.shown) shown.panel.add(panel.key);
  let logarithmic = log;
  const switches = (name, values, words, colour) => {
    if (values.length < 2) return;
    for (const value of values) {
      frame.toggle(name, value, words(value), shown[name].has(value), (on) => {
        shown[name][on ? "add" : "delete"](value);
      }, colour && colour(value));
    }
  };
  const label = (key) => panels.find((each) => each.key === key).label;
  switches("panel", panels.map((each) => each.key), (key) => label(key).split(/ ?[\n(]/)[0]);
  switches("split", unique("split"), (split) => split);
  frame.toggle("log", "log", "log scale", logarithmic, (on) => { logarithmic = on; });
  switches("run", unique("run"), (run) => run, (run) => lines.find((each) => each.run === run).colour);

  frame.drawn(() => {
    const rows = panels.filter((each) => shown.panel.has(each.key));
    const count = Math.max(rows.length, 1);
    const columns = frame.plot.clientWidth > 640 ? Math.min(count, 2) : 1;
    const high = Math.ceil(count / columns);
    const layout = { height: 60 + 300 * high, grid: { rows: high, columns, pattern: "independent", xgap: 0.2, ygap: 0.3 } };
    const traces = [];
    rows.forEach((panel, index) => {
      const place = index ? String(index + 1) : "";
      layout[`xaxis${place}`] = { title: { text: x }, zeroline: false };
      layout[`yaxis${place}`] = {
        title: { text: panel.label.replaceAll("\n", "<br>") }, zeroline: false,
        type: logarithmic && panel.log ? "log" : "linear",
      };
      for (const line of lines) {
        if (line.panel !== panel.key || !shown.run.has(line.run)) continue;
        if (line.split && !shown.split.has(line.split)) continue;
        const name = [line.run, line.split].filter(Boolean).join(", ");
        traces.push({
          type: "scatter", mode: line.x.length > 1 ? "lines" : "markers", name, x: line.x, y: line.y,
          xaxis: `x${place}`, yaxis: `y${place}`,
          line: { color: frame.colour(line.colour), dash: line.split === "test" ? "dash" : "solid", width: 2 },
          marker: { color: frame.colour(line.colour) },
          hovertemplate: `${x} %{x}: %{y:.4g}<extra>%{fullData.name}</extra>`,
        });
      }
    });
    frame.react(frame.plot, traces, layout);
  });
};
