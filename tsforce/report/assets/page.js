"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("page-data").textContent);
  const DASHES = ["solid", "dash", "dashdot", "dot", "longdash", "longdashdot"];
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "x", "cross", "star"];
  const byId = (name) => document.getElementById(name);
  // Plotly reads some markup in texts; names are none.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const figure = (value) => (value === null || value === undefined ? "-" : Number(value.toPrecision(4)).toString());
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const ofModel = (nth) => colour("c" + (nth % 8));
  const line = (nth, more) => ({ color: ofModel(nth), dash: DASHES[nth % DASHES.length], width: 2, ...more });
  const marker = (nth, size) => ({ color: ofModel(nth), symbol: SYMBOLS[nth % SYMBOLS.length], size: size || 6 });
  const faded = (hex, share) => {
    const part = (at) => parseInt(hex.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${share})`;
  };

  function layout(x, y, more) {
    const axis = {
      gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true,
      tickcolor: colour("line"), title: { standoff: 8 },
    };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      font: { color: colour("ink"), size: 13, family: "inherit" }, margin: { l: 50, r: 10, t: 10, b: 40 },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left" },
      hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("ink") } },
      xaxis: { ...axis, title: { ...axis.title, text: plain(x) } },
      yaxis: { ...axis, title: { ...axis.title, text: plain(y) }, rangemode: "normal" },
      ...more,
    };
  }

  // Drawing takes longer than all else: a picture is drawn when it comes near what is seen, or is printed.
  const near = new Set();

  function draw(name, traces, shape) {
    const room = byId(name);
    if (near.has(room) && window.Plotly) Plotly.react(room, traces, shape, { displayModeBar: false, responsive: true });
    return room;
  }

  const shownName = (nth) => plain(DATA.models[nth]);

  function drawSteps() {
    if (!DATA.steps) return;
    const traces = DATA.steps.map((own, nth) => ({
      x: own.map((_, k) => k + 1), y: own, name: shownName(nth), mode: "lines+markers", line: line(nth),
      marker: marker(nth),
    }));
    const shape = layout("step after the cutoff", DATA.metric);
    shape.yaxis.rangemode = "tozero";
    draw("chart-steps", traces, shape);
  }

  function drawGap() {
    if (!DATA.gap) return;
    const traces = DATA.gap.flatMap((own) => [
      { y: own.closed, name: `${shownName(own.model)}: closed loop`, mode: "lines+markers", line: line(own.model), marker: marker(own.model) },
      { y: own.one, name: `${shownName(own.model)}: one step`, mode: "lines", line: line(own.model, { width: 1 }), opacity: 0.7 },
    ]);
    traces.push({ y: DATA.gap[0].naive, name: "last value repeated", mode: "lines", line: { color: colour("faint"), width: 1 } });
    traces.forEach((trace) => { trace.x = trace.y.map((_, k) => k + 1); });
    const shape = layout("step after the cutoff", "RMSE (seasonal-naive scale)");
    shape.yaxis.rangemode = "tozero";
    draw("chart-gap", traces, shape);
  }

  function drawCutoffs() {
    if (!DATA.cutoffs) return;
    const traces = DATA.cutoffs.errors.map((own, nth) => ({
      x: DATA.cutoffs.stamps, y: own, name: shownName(nth), mode: "lines+markers", line: line(nth), marker: marker(nth),
    }));
    const shape = layout("cutoff", DATA.metric);
    shape.yaxis.rangemode = "tozero";
    draw("chart-cutoffs", traces, shape);
  }

  function drawCoverage() {
    if (!DATA.coverage) return;
    const traces = DATA.coverage.map((own) => ({
      x: own.share.map((_, k) => k + 1), y: own.share, name: `${shownName(own.model)}, ${own.level} %`,
      mode: "lines+markers", line: line(own.model),
      marker: { ...marker(own.model), symbol: marker(own.model).symbol + (own.nth % 2 ? "-open" : "") },
    }));
    const shape = layout("step after the cutoff", "share of truths within the bounds");
    shape.shapes = [...new Set(DATA.coverage.map((own) => own.level))].map((level) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: level / 100, y1: level / 100, line: { color: colour("faint"), width: 1 },
    }));
    draw("chart-coverage", traces, shape);
  }

  // ---- runs of a bench

  function drawBench(name, trace, x, y, more) {
    if (!DATA.bench) return;
    const { of, owa, cpu } = DATA.bench;
    const traces = DATA.models.map((model, nth) => {
      const own = of.map((_, at) => at).filter((at) => of[at] === model);
      return {
        ...trace(model, own.map((at) => owa[at]), own.map((at) => cpu[at])), name: plain(model), mode: "markers",
        marker: marker(nth, 10), hovertemplate: "%{fullData.name}: OWA %{customdata[0]:.4f}, %{customdata[1]:.3g} CPU s<extra></extra>",
        customdata: own.map((at) => [owa[at], cpu[at]]),
      };
    });
    const shape = layout(x, y);
    more(shape);
    draw(name, traces, shape);
  }

  const naive2 = (ends) => [{ type: "line", ...ends, line: { color: colour("faint"), width: 1, dash: "dot" } }];

  function drawOwa() {
    drawBench("chart-owa", (model, owa) => ({ x: owa, y: owa.map(() => plain(model)) }), "OWA", "", (shape) => {
      shape.showlegend = false;
      shape.yaxis.autorange = "reversed";
      shape.shapes = naive2({ yref: "paper", x0: 1, x1: 1, y0: 0, y1: 1 });
    });
  }

  function drawCost() {
    drawBench("chart-cost", (model, owa, cpu) => ({ x: cpu, y: owa }), "CPU seconds", "OWA", (shape) => {
      shape.xaxis.type = "log";
      shape.shapes = naive2({ xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1 });
    });
  }

  // ---- series

  const list = byId("list"), search = byId("search"), order = byId("order"), sorter = byId("sorter");
  const cutoffs = byId("cutoffs"), fan = byId("fan");
  let current = null;

  function fillChoices() {
    DATA.models.forEach((name, nth) => {
      for (const select of [sorter, byId("across"), byId("upward"), fan]) {
        if (select) select.add(new Option(name, String(nth)));
      }
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox"; box.checked = true; box.value = String(nth);
      box.addEventListener("change", drawSeries);
      label.append(box, name);
      byId("shown").append(label);
    });
    if (fan) fan.add(new Option("none", "-1"));
    sorter.value = fan ? (fan.value = String(DATA.first)) : String(DATA.first);
    if (byId("upward")) {
      byId("across").value = String(DATA.first);
      byId("upward").value = String(DATA.second);
    }
  }

  function found() {
    const wanted = search.value.trim().toLowerCase(), nth = Number(sorter.value);
    const chosen = DATA.series.filter((one) => one.id.toLowerCase().includes(wanted));
    const last = (value, sign) => (value === null || value === undefined ? -Infinity : sign * value);
    if (order.value === "id") chosen.sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
    else {
      const sign = order.value === "worst" ? 1 : -1;
      chosen.sort((a, b) => last(b.error[nth], sign) - last(a.error[nth], sign) || 0);
    }
    return chosen;
  }

  function fillList() {
    const chosen = found(), nth = Number(sorter.value);
    list.replaceChildren(...chosen.map((one) => {
      const option = new Option(DATA.metric ? `${one.id}  (${figure(one.error[nth])})` : one.id, String(DATA.series.indexOf(one)));
      return option;
    }));
    byId("count").textContent = `${chosen.length} of ${DATA.series.length} series`;
    if (!chosen.length) return;
    list.value = chosen.includes(current) ? String(DATA.series.indexOf(current)) : list.options[0].value;
    open(DATA.series[Number(list.value)]);
  }

  function open(one) {
    if (current !== one) {
      current = one;
      const kept = cutoffs.value;
      cutoffs.replaceChildren(new Option("all", "-1"), ...one.windows.map((own, k) => new Option(DATA.stamps[own.cutoff], String(k))));
      cutoffs.value = one.windows.length > Number(kept) && kept !== "" ? kept : "-1";
    }
    drawSeries();
  }

  function stampsOf(one, at, count) {
    return DATA.stamps.slice(at, at + count);
  }

  function drawSeries() {
    const one = current;
    if (!one) return;
    byId("series-name").textContent = one.id;
    const models = [...byId("shown").querySelectorAll("input:checked")].map((box) => Number(box.value));
    const only = Number(cutoffs.value), windows = one.windows.filter((_, k) => only < 0 || k === only);
    const traces = [], wide = fan ? Number(fan.value) : -1;
    windows.forEach((own, k) => {
      const ahead = (values) => stampsOf(one, own.cutoff + 1, values.length);
      const bounds = wide >= 0 && models.includes(wide) ? own.bounds[wide] : [];
      bounds.map((pair, at) => [DATA.levels[wide][at], pair]).sort((a, b) => b[0] - a[0]).forEach(([level, [low, high]], at) => {
        const shade = faded(ofModel(wide), 0.16 + 0.12 * at), group = `fan ${level}`;
        traces.push({ x: ahead(low), y: low, mode: "lines", line: { width: 0, color: shade }, legendgroup: group, showlegend: false, hoverinfo: "skip" });
        traces.push({
          x: ahead(high), y: high, mode: "lines", line: { width: 0, color: shade }, fill: "tonexty", fillcolor: shade,
          name: `${shownName(wide)}, ${level} %`, legendgroup: group, showlegend: k === 0, hoverinfo: "skip",
        });
      });
    });
    traces.push({ x: stampsOf(one, one.start, one.y.length), y: one.y, name: "observed", mode: "lines", line: { color: colour("ink"), width: 1.5 } });
    windows.forEach((own, k) => models.forEach((nth) => traces.push({
      x: stampsOf(one, own.cutoff + 1, own.forecasts[nth].length), y: own.forecasts[nth], name: shownName(nth),
      legendgroup: `model ${nth}`, showlegend: k === 0, mode: "lines+markers", line: line(nth), marker: marker(nth, 5),
    })));
    const shape = layout(DATA.time, DATA.target);
    shape.shapes = windows.map((own) => ({
      type: "line", yref: "paper", y0: 0, y1: 1, x0: DATA.stamps[own.cutoff], x1: DATA.stamps[own.cutoff],
      line: { color: colour("faint"), width: 1, dash: "dot" },
    }));
    draw("chart-series", traces, shape);
    tableOfErrors(one);
    tableOfNumbers(one, windows, models);
    tellWhy(one);
  }

  function rowOf(kind, texts, numbersFrom) {
    const row = document.createElement("tr");
    texts.forEach((text, at) => {
      const cell = document.createElement(kind);
      if (kind === "th") cell.scope = "col";
      if (at >= numbersFrom) cell.className = "number";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }

  function fillTable(name, head, rows, numbersFrom) {
    const table = byId(name);
    if (!table) return;
    const top = document.createElement("thead"), body = document.createElement("tbody");
    top.append(rowOf("th", head, numbersFrom));
    body.append(...rows.map((row) => rowOf("td", row, numbersFrom)));
    table.replaceChildren(top, body);
  }

  function tableOfErrors(one) {
    if (DATA.metric) fillTable("series-errors", ["model", DATA.metric], DATA.models.map((name, nth) => [name, figure(one.error[nth])]), 1);
  }

  function tableOfNumbers(one, windows, models) {
    if (!byId("series-numbers").closest("details").open) return;
    const rows = windows.flatMap((own) => (models.length ? own.forecasts[models[0]] : []).map((_, k) => {
      const at = own.cutoff + 1 + k, truth = one.y[at - one.start];
      return [DATA.stamps[own.cutoff], DATA.stamps[at], figure(truth), ...models.map((nth) => figure(own.forecasts[nth][k]))];
    }));
    fillTable("series-numbers", ["cutoff", DATA.time, "observed", ...models.map((nth) => DATA.models[nth])], rows, 2);
  }

  function tellWhy(one) {
    if (!byId("series-why")) return;
    const rows = one.why || [];
    byId("why-words").textContent = `${DATA.chooser}: of ${DATA.candidates.length} candidates ${one.heard} are heard; the loudest are below. Error: at cutoffs inside the rows of this series, relative to ${DATA.reference} (1).`;
    fillTable("series-why", ["candidate", "family", "error", "weight"], rows.map(([at, error, weight]) => [...DATA.candidates[at], figure(error), figure(weight)]), 2);
  }

  // ---- one model's errors against another's

  function drawScatter() {
    const across = byId("across");
    if (!across) return;
    const a = Number(across.value), b = Number(byId("upward").value);
    const known = DATA.series.filter((one) => one.error[a] !== null && one.error[b] !== null);
    const log = known.length > 0 && known.every((one) => one.error[a] > 0 && one.error[b] > 0);
    const all = known.flatMap((one) => [one.error[a], one.error[b]]);
    const low = Math.min(...all), high = Math.max(...all);
    const shape = layout(`${DATA.models[a]}: ${DATA.metric}`, `${DATA.models[b]}: ${DATA.metric}`, { showlegend: false });
    if (log) { shape.xaxis.type = "log"; shape.yaxis.type = "log"; }
    shape.shapes = [{ type: "line", x0: low, y0: low, x1: high, y1: high, line: { color: colour("faint"), width: 1 } }];
    const room = draw("chart-scatter", [{
      x: known.map((one) => one.error[a]), y: known.map((one) => one.error[b]), text: known.map((one) => plain(one.id)),
      customdata: known.map((one) => DATA.series.indexOf(one)), mode: "markers", type: "scatter",
      marker: { color: ofModel(a), size: 7, opacity: 0.7, line: { color: colour("ground"), width: 0.5 } },
      hovertemplate: "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
    }], shape);
    const lower = known.filter((one) => one.error[a] < one.error[b]).length;
    byId("scatter-words").textContent = `${DATA.models[a]} has the lower error on ${lower} of ${known.length} series: the points above the line.`;
    if (room.on && !room.dataset.clicks) {
      room.dataset.clicks = "1";
      room.on("plotly_click", (event) => {
        search.value = "";
        current = DATA.series[event.points[0].customdata];
        fillList();
        byId("series").scrollIntoView();
      });
    }
  }

  const pictures = {
    "chart-steps": drawSteps, "chart-gap": drawGap, "chart-cutoffs": drawCutoffs, "chart-coverage": drawCoverage,
    "chart-series": drawSeries, "chart-scatter": drawScatter,
    "chart-owa": drawOwa, "chart-cost": drawCost,
  };

  function drawAll() {
    Object.values(pictures).forEach((drawOne) => drawOne());
  }

  const observer = new IntersectionObserver((changes) => changes.filter((one) => one.isIntersecting).forEach(({ target }) => {
    observer.unobserve(target);
    near.add(target);
    pictures[target.id]();
  }), { rootMargin: "400px" });

  function beginSeries() {
    fillChoices();
    search.addEventListener("input", fillList);
    for (const select of [order, sorter]) select.addEventListener("change", fillList);
    list.addEventListener("change", () => open(DATA.series[Number(list.value)]));
    cutoffs.addEventListener("change", drawSeries);
    if (fan) fan.addEventListener("change", drawSeries);
    byId("series-numbers").closest("details").addEventListener("toggle", drawSeries);
    for (const name of ["across", "upward"]) if (byId(name)) byId(name).addEventListener("change", drawScatter);
    fillList();
    drawScatter();
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  matchMedia("print").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.querySelectorAll(".chart").forEach((room) => near.add(room));
    drawAll();
  });
  addEventListener("load", drawAll);
  if (DATA.series) beginSeries();
  document.querySelectorAll(".chart").forEach((room) => observer.observe(room));
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
