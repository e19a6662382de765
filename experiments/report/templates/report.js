"use strict";
{
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const rows = [...byId("run-table").tBodies[0].rows]; // in the order of data.runs, however they are sorted
  const chart = byId("chart");
  const state = { selected: null, lines: [], place: null };

  // --- the table of runs ---------------------------------------------------------------------------------------------

  const cell = (row, column) => row.cells[column].textContent.trim();
  const words = new Intl.Collator("en", { numeric: true });

  function key(text) {
    const number = Number(text);
    return Number.isNaN(number) ? text : number;
  }

  /** Numbers come before words. */
  function compare(a, b) {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : words.compare(a, b);
  }

  /** Sort by a column; what is missing stays last in either direction. */
  function sortBy(header) {
    const sign = header.ariaSort === "ascending" ? -1 : 1;
    const keyed = rows.map((row) => ({ row, key: key(cell(row, header.cellIndex)) }));
    const missing = (entry) => Number(entry.key === "-");
    keyed.sort((a, b) => missing(a) - missing(b) || sign * compare(a.key, b.key));
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.ariaSort = sign > 0 ? "ascending" : "descending";
    const sorted = new DocumentFragment();
    for (const { row } of keyed) sorted.append(row);
    byId("run-table").tBodies[0].append(sorted);
  }

  function buttonIn(cell, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    button.addEventListener("click", action);
    cell.append(button);
    return button;
  }

  function tellCount() {
    const shown = rows.filter((row) => !row.hidden).length;
    const chosen = state.selected === null ? "" : `; ${data.runs[state.selected].id} is emphasised in the figure`;
    const told = `${shown} of ${rows.length} runs shown${chosen}`;
    if (byId("count").textContent !== told) byId("count").textContent = told; // else it is spoken again
  }

  const texts = rows.map((row) => [...row.cells].map((each) => each.textContent).join(" ").toLowerCase());
  const selects = [...document.querySelectorAll("[data-filter]")];

  function filter() {
    const sought = byId("search").value.toLowerCase().split(/\s+/);
    const wanted = selects.filter((select) => select.value !== "");
    rows.forEach((row, run) => {
      const found = sought.every((word) => texts[run].includes(word));
      row.hidden = !found || wanted.some((select) => row.dataset[select.dataset.filter] !== select.value);
    });
    tellCount();
    draw();
  }

  // --- what is drawn -------------------------------------------------------------------------------------------------

  const metric = () => data.metrics[byId("metric").value];
  const horizontal = () => data.horizontals[document.querySelector("[name=horizontal]:checked").value];
  const SMALLEST = Number.EPSILON ** 1.5; // of the start, below which there is rounding error only
  const HINT = "Point at a line, or choose one below and move the slider, to read its values.";
  const MANY = 16; // lines from which on they are thin, and the bound is that of the chosen one only
  const DIVERGING = 1e3; // times the start, above which a line leaves the figure

  function column(run, name) {
    const place = run.columns[data.columns.indexOf(name)];
    return place === undefined || place < 0 ? null : data.pool[place];
  }

  function xs(run, index) {
    if (horizontal().column !== "passes") return column(run, horizontal().column);
    return column(run, "round").map((round) => round * data.passes[index]);
  }

  function label(run) {
    return data.looks[run.look].label + (data.several_seeds ? `, seed ${run.seed}` : "");
  }

  /** The runs of the problem that pass the filters and have what is shown. */
  function visibleLines() {
    const { measured, bound } = metric();
    const problem = Number(byId("problem").value);
    return data.runs.flatMap((run, index) => {
      const y = column(run, measured);
      const promised = bound ? column(run, bound) : null;
      if (run.problem !== problem || rows[index].hidden || !y || (bound && !promised)) return [];
      return [{ run, index, x: xs(run, index), y, bound: promised }];
    });
  }

  /** The limits of the vertical axis: diverging lines leave at the top, those at rounding error at the bottom. */
  function limits(lines) {
    const positive = (values) => values.filter((value) => value > 0);
    const start = Math.max(...lines.map((line) => positive(line.y)[0] ?? 0));
    if (!(start > 0)) return null;
    const calm = lines.filter((line) => !line.run.diverged);
    let [low, high] = [start, start];
    for (const line of calm) {
      for (const value of positive(line.y)) low = Math.min(low, value);
      for (const value of [...line.y, ...(line.bound ?? [])]) high = Math.max(high, value);
    }
    low = Math.max(low, start * SMALLEST);
    high = Math.max(Math.min(high, DIVERGING * start), 10 * low, calm.length < lines.length ? 10 * start : 0);
    return [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
  }

  /** Up to where there is something to see. */
  function reach(lines, low) {
    const ends = lines.map((line) => line.x[line.y.findLastIndex((value) => value > low)] ?? 0);
    return Math.max(...ends) || 1;
  }

  // --- numbers to read -----------------------------------------------------------------------------------------------

  const whole = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const superscript = (power) => String(power).replace(/./g, (each) => (each === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[each]));

  function value(number) {
    if (number === null) return "not a finite number";
    return number !== 0 && (Math.abs(number) < 1e-3 || Math.abs(number) >= 1e6) ? number.toExponential(3) : String(number);
  }

  function linearTicks(end, most) {
    const rough = end / most;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
    return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step);
  }

  /** Powers of ten, at most about eight of them; between 1 and 10 times as much also 2 and 5 times a power. */
  function decadeTicks([low, high]) {
    const every = Math.ceil(Math.log10(high / low) / 8);
    const [first, last] = [every * Math.floor(Math.log10(low) / every), Math.log10(high)];
    const factors = high / low < 100 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = first; power <= last; power += every) {
      for (const factor of factors) {
        const text = (factor > 1 ? `${factor}·` : "") + `10${superscript(power)}`;
        ticks.push({ at: factor * 10 ** power, text });
      }
    }
    return ticks.filter(({ at }) => at >= low && at <= high);
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  function element(name, attributes, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [attribute, given] of Object.entries(attributes)) made.setAttribute(attribute, given);
    made.textContent = text;
    return made;
  }

  const style = (line) => data.looks[line.run.look];

  /** Pixel positions of values; null where there is none. */
  function positions(scale, x, y) {
    return x.map((value, point) => (y[point] === null ? null : [scale.x(value), scale.y(y[point])]));
  }

  function path(points) {
    let pen = "M";
    const parts = points.map((at) => {
      const part = at === null ? "" : `${pen}${at[0].toFixed(1)} ${at[1].toFixed(1)}`;
      pen = at === null ? "M" : "L";
      return part;
    });
    return parts.join("");
  }

  function drawAxes(scale, ticks) {
    const { left, right, top, bottom } = scale;
    const parts = [];
    for (const { at, text } of ticks.y) {
      parts.push(element("path", { class: "grid", d: `M${left} ${scale.y(at)}H${right}` }));
      parts.push(element("text", { x: left - 6, y: scale.y(at) + 4, "text-anchor": "end" }, text));
    }
    for (const at of ticks.x) {
      parts.push(element("path", { class: "grid", d: `M${scale.x(at)} ${top}V${bottom}` }));
      parts.push(element("text", { x: scale.x(at), y: bottom + 18, "text-anchor": "middle" }, (at < 1e5 ? whole : short).format(at)));
    }
    const middle = (left + right) / 2;
    parts.push(element("text", { id: "x-label", x: middle, y: bottom + 38, "text-anchor": "middle" }, horizontal().label));
    return parts;
  }

  /** A line with its bound; where lines share colours, the first of a choice has its markers too. */
  function drawLine(scale, line, number, lines) {
    line.points = positions(scale, line.x, line.y);
    const { color, marker } = style(line);
    const isFirst = number === lines.findIndex((other) => other.run.look === line.run.look);
    const look = (kind) => ({ class: `${kind} line-${color}`, "data-run": line.index });
    const parts = [element("path", { ...look("line"), d: path(line.points) })];
    if (line.bound) parts.push(element("path", { ...look("bound"), d: path(positions(scale, line.x, line.bound)) }));
    const inside = line.points.filter((at) => at && at[1] >= scale.top && at[1] <= scale.bottom);
    for (const share of marker && isFirst ? [0.1, 0.45, 0.8] : []) {
      const at = inside[Math.floor((share + 0.013 * (number % 12)) * inside.length)];
      if (at) parts.push(element("text", { ...look("marker"), x: at[0], y: at[1] }, marker));
    }
    if (line.run.diverged && inside.length) {
      const [x, y] = inside.at(-1);
      parts.push(element("text", { ...look("cross"), x, y }, "×"));
    }
    return parts;
  }

  function scales(lines, [low, high]) {
    const width = Math.max(chart.parentElement.clientWidth - 32, 280);
    const height = Math.min(Math.max(width * 0.55, 260), 480);
    const [left, right, top, bottom] = [52, width - 28, 8, height - 46];
    const end = reach(lines, low);
    const share = (number) => Math.log(Math.max(number, low * 1e-3) / low) / Math.log(high / low);
    return {
      ...{ left, right, top, bottom, width, height, end },
      x: (number) => left + (number / end) * (right - left),
      y: (number) => bottom - share(number) * (bottom - top),
    };
  }

  function draw() {
    const lines = visibleLines();
    const range = limits(lines);
    state.lines = range ? lines : [];
    const problem = data.problems[byId("problem").value];
    const what = `${metric().label}${metric().theorem && ` (${metric().theorem})`}`;
    byId("caption").textContent = `${what}: ${problem}`;
    chart.ariaLabel = `${what} on a logarithmic axis against ${horizontal().label}: ${problem}. Lines: ${state.lines.length}. The table of runs has what came of them.`;
    chart.replaceChildren();
    chart.classList.toggle("many", state.lines.length > MANY);
    if (range) drawOn(scales(lines, range), range);
    listLines();
    choose(state.selected);
  }

  function drawOn(scale, range) {
    state.scale = scale;
    chart.setAttribute("viewBox", `0 0 ${scale.width} ${scale.height}`);
    const { left, right, top, bottom, width } = scale;
    const clip = element("clipPath", { id: "clip" });
    clip.append(element("rect", { x: left, y: top, width: right - left, height: bottom - top }));
    const drawn = element("g", { "clip-path": "url(#clip)" });
    drawn.append(...state.lines.flatMap((...place) => drawLine(scale, ...place)));
    const ticks = { x: linearTicks(scale.end, Math.max(3, width / 110)), y: decadeTicks(range) };
    chart.append(clip, ...drawAxes(scale, ticks), drawn, element("circle", { id: "mark", r: 5, visibility: "hidden" }));
  }

  /** The lines to choose from, and the legend: an entry for all seeds of a choice. */
  function listLines() {
    byId("line").replaceChildren(new Option("none", ""), ...state.lines.map((line) => new Option(label(line.run), line.index)));
    const first = new Map(state.lines.map((line) => [line.run.look, line]).reverse());
    byId("legend").replaceChildren(...[...first.keys()].sort((a, b) => a - b).map((look) => legendEntry(first.get(look))));
  }

  function legendEntry(line) {
    const [entry, swatch] = [document.createElement("li"), document.createElement("span")];
    swatch.className = `swatch line-${style(line).color}`;
    swatch.textContent = style(line).marker;
    swatch.ariaHidden = "true";
    entry.append(swatch, style(line).label);
    const button = buttonIn(entry, () => choose(state.selected === line.index ? null : line.index));
    button.dataset.look = line.run.look;
    return entry;
  }

  // --- choosing a line, and reading its values -----------------------------------------------------------------------

  function emphasise(line) {
    chart.classList.toggle("chosen", Boolean(line));
    for (const part of chart.querySelectorAll(".on")) part.classList.remove("on");
    if (!line) return;
    for (const part of chart.querySelectorAll(`[data-run="${line.index}"]`)) {
      part.classList.add("on");
      part.parentElement.append(part); // over the others
    }
  }

  /** Tell the value of a line at a point, and mark it. */
  function read(line, point) {
    const mark = byId("mark");
    const at = line?.points[point];
    mark?.setAttribute("visibility", at ? "visible" : "hidden");
    if (at) {
      mark.setAttribute("class", `line-${style(line).color}`);
      mark.setAttribute("cx", at[0]);
      mark.setAttribute("cy", Math.min(Math.max(at[1], state.scale.top), state.scale.bottom));
    }
    const told = line ? reading(line, point) : "";
    byId("readout").textContent = line ? `${label(line.run)} (${line.run.id}): ${told}` : HINT;
    byId("point").ariaValueText = told;
  }

  function reading(line, point) {
    const round = column(line.run, "round")[point];
    const { column: shown, unit } = horizontal();
    const spent = shown === "round" ? "" : ` (${whole.format(line.x[point])} ${unit})`;
    const bound = line.bound && line.bound[point] !== null ? `, bound ${value(line.bound[point])}` : "";
    return `round ${whole.format(round)}${spent}: ${value(line.y[point])}${bound}`;
  }

  /** Emphasise the line of a run wherever it is shown, or none. */
  function choose(index) {
    state.selected = index;
    const line = state.lines.find((each) => each.index === index);
    byId("line").value = line ? index : "";
    const slider = byId("point");
    slider.disabled = !line;
    slider.max = line ? line.y.length - 1 : 0;
    emphasise(line);
    read(line, Number(slider.value));
    rows.forEach((row, run) => (row.querySelector("button").ariaPressed = String(run === index)));
    for (const button of document.querySelectorAll("#legend button")) {
      button.ariaPressed = String(Number(button.dataset.look) === line?.run.look);
    }
    tellCount();
  }

  /** A run of the table: its problem is shown, and its line emphasised. */
  function chooseRow(index) {
    if (state.selected === index) return choose(null);
    state.selected = index;
    byId("problem").value = data.runs[index].problem;
    draw();
  }

  /** The point nearest to the pointer. */
  function nearest(event) {
    const box = chart.getBoundingClientRect();
    const zoom = state.scale ? state.scale.width / box.width : 1;
    const [x, y] = [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
    let found = { distance: Infinity };
    for (const line of state.lines) {
      line.points.forEach((at, point) => {
        const distance = at ? Math.hypot(at[0] - x, at[1] - y) : Infinity;
        if (distance < found.distance) found = { line, point, distance };
      });
    }
    return found;
  }

  function hover(event) {
    const { line, point } = nearest(event);
    if (!line) return;
    emphasise(line);
    read(line, point);
  }

  function pick(event) {
    const { line, point } = nearest(event);
    if (!line) return;
    choose(line.index);
    byId("point").value = point;
    read(line, point);
  }

  // --- start ---------------------------------------------------------------------------------------------------------

  function start() {
    for (const id of ["figure", "filters"]) byId(id).hidden = false;
    for (const header of byId("run-table").tHead.rows[0].cells) buttonIn(header, () => sortBy(header));
    rows.forEach((row, run) => buttonIn(row.cells[0], () => chooseRow(run)));
    byId("search").addEventListener("input", filter);
    for (const select of selects) select.addEventListener("change", filter);
    for (const control of [byId("problem"), byId("metric"), ...document.getElementsByName("horizontal")]) {
      control.addEventListener("change", draw);
    }
    byId("line").addEventListener("change", (event) => choose(event.target.value === "" ? null : Number(event.target.value)));
    byId("point").addEventListener("input", () => choose(state.selected));
    chart.addEventListener("pointermove", hover);
    chart.addEventListener("pointerleave", () => choose(state.selected));
    chart.addEventListener("click", pick);
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width !== width) draw();
      width = contentRect.width;
    }).observe(chart.parentElement);
    filter();
  }

  start();
}
