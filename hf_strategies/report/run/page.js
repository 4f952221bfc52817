"use strict";
// The page of runs: curves by plotly, a table that sorts, light and dark. Data stand in the element "data".
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plot = document.getElementById("plot");
  const root = document.documentElement;
  let printing = false;
  const shownRuns = data.runs.map(() => true);
  const shownPanels = new Map(data.panels.map((panel) => [panel.name, panel.shown]));
  // No button of plotly that would send something away.
  const buttons = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]];
  const symbols = [["warmup", "triangle-up"], ["lowered", "triangle-down"], ["cooldown", "diamond"],
    ["averaging", "cross"], ["stop", "x"], ["best", "star"], ["kept", "star"]];

  // plotly reads tags in its texts, so that the names of metrics and runs are escaped.
  const safe = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const shade = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  // On a dark ground, the colours that would be too dark there.
  const lighter = { "#000000": "#f2f2f2", "#0072b2": "#3f9bd8", "#d55e00": "#f27d28", "#7f7f7f": "#a6a6a6", "#56b4e9": "#a5d8f7" };
  const colorOf = (run) => (root.dataset.theme === "dark" && lighter[run.color]) || run.color;
  const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "\u2026" : text);

  function traceOf(curve, axis) {
    const run = data.runs[curve.run];
    const color = colorOf(run);
    const few = curve.x.length <= 80;
    const label = [data.runs.length > 1 ? cut(run.name, 40) : "", curve.name || cut(curve.panel, 40)];
    const marked = few && curve.kind !== "line" && curve.kind !== "training";
    const several = data.curves.filter((each) => each.run === curve.run && each.panel === curve.panel);
    const turn = ["solid", "dash", "dashdot", "longdash", "dot"][several.indexOf(curve) % 5];
    return {
      type: "scatter", x: curve.x, y: curve.y, xaxis: "x", yaxis: axis, connectgaps: false, showlegend: false,
      name: safe(label.filter(Boolean).join(": ")), mode: marked ? "lines+markers" : "lines",
      opacity: curve.kind === "training" ? 0.75 : 1, hovertemplate: "%{y:.6~g}",
      line: { color: color, width: curve.kind === "training" ? 1 : 2, shape: curve.kind === "steps" ? "hv" : "linear",
        dash: data.runs.length > 1 ? run.dash : (curve.kind === "training" ? "dot" : turn) },
      marker: { color: color, symbol: run.marker, size: 6 },
    };
  }

  function marksOf(curve, axis) {
    const color = colorOf(data.runs[curve.run]);
    const bare = { type: "scatter", mode: "markers", xaxis: "x", yaxis: axis, showlegend: false };
    const traces = [];
    if (curve.best) {
      traces.push(Object.assign({}, bare, { x: [curve.best[0]], y: [curve.best[1]], name: "best", hoverinfo: "skip",
        marker: { symbol: "star", size: 14, color: color, line: { color: shade("--text"), width: 1 } } }));
    }
    if (curve.odd.length) {
      traces.push(Object.assign({}, bare, { x: curve.odd.map((each) => each[0]), y: curve.odd.map((each) => each[1]),
        text: curve.odd.map((each) => each[2]), hovertemplate: "%{text}", name: "not finite",
        marker: { symbol: "x-thin", size: 10, color: color, line: { color: color, width: 2 } } }));
    }
    return traces;
  }

  // A label goes below or above its mark, where the one before leaves room; else it shows under the pointer only.
  function labelsOf(events, steps) {
    const ends = { "bottom center": -Infinity, "top center": -Infinity };
    const placed = events.map((each) => {
      const half = 0.0035 * each.text.length;
      const at = each.x / steps;
      const side = Object.keys(ends).find((name) => ends[name] < at - half);
      if (side) { ends[side] = at + half; }
      return [side ? safe(each.text) : "", side || "bottom center"];
    });
    return [placed.map((each) => each[0]), placed.map((each) => each[1])];
  }

  function eventsOf(run, row, axis, alone) {
    const symbol = (text) => (symbols.find((each) => text.includes(each[0])) || ["", "circle"])[1];
    const color = colorOf(run);
    const events = run.events;
    const [texts, sides] = labelsOf(events, Math.max(1, run.steps));
    return {
      type: "scatter", x: events.map((each) => each.x), y: events.map(() => row), yaxis: axis, xaxis: "x",
      mode: alone ? "lines+markers+text" : "lines+markers", text: texts, textposition: sides,
      showlegend: false, customdata: events.map((each) => safe(each.text)), cliponaxis: false,
      name: safe(cut(run.name, 40)), hovertemplate: "%{customdata}", textfont: { size: 11, color: shade("--text") },
      line: { color: color, width: 1.5, dash: run.dash },
      marker: { size: 9, color: color, symbol: events.map((each) => (/^(start|end)$/.test(each.text) ? "line-ns-open"
        : symbol(each.text))), line: { width: 1, color: shade("--text") } },
    };
  }

  function layoutOf(panels, rows) {
    const heights = [Math.min(160, 60 + 16 * rows)].concat(panels.map(() => (printing ? 110 : 190)));
    const gap = 34;
    const total = heights.reduce((sum, each) => sum + each, 0) + gap * panels.length;
    const layout = {
      height: total + 110, margin: { l: 80, r: 20, t: 34, b: 50 }, hovermode: "x unified", dragmode: "zoom",
      paper_bgcolor: shade("--back"), plot_bgcolor: shade("--back"), font: { color: shade("--text"), size: 12 },
      hoverlabel: { bgcolor: shade("--soft"), font: { color: shade("--text") }, namelength: -1 }, uirevision: "kept",
      xaxis: { title: { text: "optimizer step" }, gridcolor: shade("--line"), zerolinecolor: shade("--line"), anchor: "free",
        position: 0, exponentformat: "none" },
      annotations: [], shapes: [],
    };
    let top = total;
    ["events"].concat(panels).forEach((name, index) => {
      const domain = [Math.max(0, (top - heights[index]) / total), top / total];
      top -= heights[index] + gap;
      layout["yaxis" + (index ? index + 1 : "")] = { domain: domain, gridcolor: shade("--line"), showgrid: index > 0,
        zeroline: false, showticklabels: index > 0, fixedrange: index === 0, exponentformat: "e",
        range: index ? undefined : [-1, rows] };
      const title = cut(name, 90) + (name === "loss" ? " (thin: training)" : "");
      layout.annotations.push({ text: safe(title), xref: "paper", yref: "paper", x: 0, y: domain[1], yanchor: "bottom",
        xanchor: "left", showarrow: false, font: { size: 13 } });
    });
    return layout;
  }

  function draw() {
    const panels = data.panels.map((panel) => panel.name).filter((name) => shownPanels.get(name));
    const runs = data.runs.filter((run, index) => shownRuns[index]);
    const traces = runs.map((run, index) => eventsOf(run, runs.length - 1 - index, "y", runs.length === 1));
    const layout = layoutOf(panels, Math.max(1, runs.length));
    for (const curve of data.curves) {
      const at = panels.indexOf(curve.panel);
      if (at >= 0 && shownRuns[curve.run]) {
        traces.push(traceOf(curve, "y" + (at + 2)), ...marksOf(curve, "y" + (at + 2)));
      }
    }
    if (runs.length === 1) {
      layout.shapes = runs[0].events.map((each) => ({ type: "line", xref: "x", yref: "paper", x0: each.x, x1: each.x, y0: 0,
        y1: 1, layer: "below", line: { color: shade("--line"), width: 1.5, dash: "dash" } }));
    }
    document.querySelectorAll("#runs input").forEach((box) => {
      box.parentElement.querySelector("i").style.background = colorOf(data.runs[Number(box.dataset.run)]);
    });
    return Plotly.react(plot, traces, layout, { responsive: true, displaylogo: false, modeBarButtons: buttons });
  }

  function setTheme(name) {
    root.dataset.theme = name;
    return draw();
  }

  function checkbox(name, shown) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = shown;
    box.addEventListener("change", () => { shownPanels.set(name, box.checked); draw(); });
    label.append(box, " " + cut(name, 60));
    label.title = name;
    document.getElementById("series").append(label);
  }

  function sortBy(column, head, heads) {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = document.querySelector("#runs tbody");
    const value = (row) => {
      const cell = row.cells[column];
      const text = cell.textContent.trim();
      return { number: parseFloat(cell.dataset.number === undefined ? text : cell.dataset.number), text: text,
        known: text !== "-" };
    };
    const compare = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a.known !== b.known) { return a.known ? -1 : 1; }  // what is not known stays below
      const numbers = !Number.isNaN(a.number) && !Number.isNaN(b.number);
      const order = numbers ? a.number - b.number : a.text.localeCompare(b.text, "en", { numeric: true });
      return down ? -order : order;
    };
    body.append(...Array.from(body.rows).sort(compare));
  }

  data.panels.forEach((panel) => checkbox(panel.name, panel.shown));
  document.querySelectorAll("#runs input").forEach((box) => box.addEventListener("change", () => {
    shownRuns[Number(box.dataset.run)] = box.checked;
    draw();
  }));
  const heads = Array.from(document.querySelectorAll("#runs thead th"));
  heads.forEach((head, column) => head.addEventListener("click", () => sortBy(column, head, heads)));
  if (data.thinned) {
    document.getElementById("thinned").textContent = "Curves of more than " + data.thinned
      + " points are drawn with fewer, among them the lowest and the highest of each stretch.";
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = false;
  document.getElementById("theme").addEventListener("click", () => {
    chosen = true;
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
  });
  dark.addEventListener("change", () => { if (!chosen) { setTheme(dark.matches ? "dark" : "light"); } });
  let before = "light";
  window.addEventListener("beforeprint", () => { before = root.dataset.theme; printing = true; setTheme("light"); });
  window.addEventListener("afterprint", () => { printing = false; setTheme(before); });
  setTheme(dark.matches ? "dark" : "light").then(() => { root.dataset.drawn = "yes"; });
})();
