// Charts, each drawn when it is seen: over time by Lightweight Charts (tiles of the server, finer as one zooms in), over
// other values by uPlot, heat maps on a canvas of their own.
import { AreaSeries, CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, LineSeries, createChart } from "lightweight-charts";
import { drawCells } from "./cells.js";
import { TradeMarks } from "./marks.js";
import { here } from "./times.js";
import { colours, shown } from "./units.js";

const MICROS = 1e6;

export async function draw(figure) {
  const described = JSON.parse(figure.dataset.chart);
  try {
    const data = await ask(described.source, { points: wanted(figure) });
    figure.chart = await chartOf(figure, described, data); // where the console and tests find it
    figure.dataset.ready = "";
  } catch (error) {
    figure.querySelector(".canvas").textContent = error.message || "The chart cannot be drawn just now.";
  }
}

async function chartOf(figure, described, data) {
  if (described.type === "heatmap") return drawCells(figure, described, data);
  if (described.type === "lines" || !data.is_time && described.type !== "candles") {
    const { Lines } = await import("./lines.js");
    return new Lines(figure.querySelector(".canvas"), described, data);
  }
  return new TimeChart(figure, described, data);
}

function wanted(figure) {
  return Math.max(300, Math.round(figure.clientWidth * 2));
}

export async function ask(source, query) {
  const address = new URL(source, location.href);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) address.searchParams.set(name, value);
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || "The chart cannot be drawn just now.");
  return body;
}

export class TimeChart {
  constructor(figure, described, data) {
    this.figure = figure;
    this.described = described;
    this.box = figure.querySelector(".canvas");
    this.box.textContent = "";
    const paint = colours();
    this.chart = createChart(this.box, {
      autoSize: true,
      layout: { background: { type: ColorType.Solid, color: "transparent" }, textColor: paint.muted, fontFamily: getComputedStyle(document.body).fontFamily, attributionLogo: false, panes: { separatorColor: paint.line } },
      grid: { vertLines: { color: paint.line }, horzLines: { color: paint.line } },
      rightPriceScale: { borderColor: paint.line },
      timeScale: { borderColor: paint.line, timeVisible: true, secondsVisible: false, minBarSpacing: 0.05, tickMarkFormatter: (time, kind) => tick(time, kind) },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { timeFormatter: (time) => here(time * 1000).slice(0, 16), priceFormatter: (value) => shown(value, described.unit) },
      handleScale: { axisPressedMouseMove: { time: true, price: true } },
    });
    this.series = described.type === "candles"
      ? this.chart.addSeries(CandlestickSeries, { upColor: paint.good, downColor: paint.bad, wickUpColor: paint.good, wickDownColor: paint.bad, borderVisible: false, priceLineVisible: false })
      : this.chart.addSeries(described.type === "area" ? AreaSeries : LineSeries, described.type === "area"
        ? { lineColor: paint.bad, topColor: "transparent", bottomColor: paint.badSoft, invertFilledArea: true, lineWidth: 1, priceLineVisible: false }
        : { color: paint.accent, lineWidth: 2, priceLineVisible: false });
    this.others = (described.beside || []).map((title) => this.chart.addSeries(LineSeries, { color: paint.muted, lineWidth: 1, title, priceLineVisible: false, lastValueVisible: false }));
    this.lines = new Map();
    this.strips = new Map();
    this.score = null;
    this.marks = null;
    this.isSetting = false;
    this.timer = 0;
    this.put(data);
    this.chart.timeScale().fitContent();
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => range && this.moved(range));
    this.chart.subscribeCrosshairMove((at) => this.read(at));
    this.chart.subscribeClick((at) => this.clicked(at));
    if (described.table) document.addEventListener("click", (event) => this.rowClicked(event));
    document.addEventListener("pitboss:theme", () => this.repaint());
  }

  // Puts a tile into the chart.
  put(data) {
    this.data = data;
    this.first = data.first / MICROS;
    this.last = data.last / MICROS;
    this.times = data.x.map((x) => Math.floor(x / MICROS));
    if (this.described.type === "candles") {
      const [open, high, low, close] = data.candles || data.y;
      this.series.setData(this.times.map((time, at) => ({ time, open: open[at], high: high[at], low: low[at], close: close[at] })));
    } else {
      this.series.setData(points(this.times, data.y[0]));
    }
    (data.beside || []).forEach((beside, at) => this.others[at].setData(points(beside.x.map((x) => Math.floor(x / MICROS)), beside.y[0])));
    this.overlay(data.lines || []);
    if (data.strips) this.judge(data);
    if (data.marks?.length) {
      if (!this.marks) {
        this.marks = new TradeMarks();
        this.series.attachPrimitive(this.marks);
      }
      this.marks.set(this.times, data.marks[0]);
    }
    this.note(data);
  }

  overlay(lines) {
    const palette = colours().series;
    lines.forEach((line, at) => {
      if (!this.lines.has(line.name)) {
        this.lines.set(line.name, this.chart.addSeries(LineSeries, { color: palette[at % palette.length], lineWidth: 1, title: line.name, priceLineVisible: false, lastValueVisible: false }, line.is_price ? 0 : 1));
      }
      this.lines.get(line.name).setData(points(this.times, line.values));
    });
    for (const [name, series] of this.lines) {
      if (!lines.some((line) => line.name === name)) {
        this.chart.removeSeries(series);
        this.lines.delete(name);
      }
    }
  }

  // What a screen says: a strip for each criterion, filled where it gives points, and the score below them.
  judge(data) {
    const paint = colours();
    const known = new Set(data.strips.map((strip) => strip.name));
    for (const [name, series] of this.strips) {
      if (known.has(name)) continue;
      this.chart.removeSeries(series);
      this.strips.delete(name);
    }
    data.strips.forEach((strip, at) => {
      const base = data.strips.length - at; // the first one stands on top
      if (!this.strips.has(strip.name)) this.strips.set(strip.name, this.chart.addSeries(HistogramSeries, { priceScaleId: "strips", priceLineVisible: false, lastValueVisible: false }, 1));
      const series = this.strips.get(strip.name);
      series.applyOptions({ base, color: paint.series[at % paint.series.length] });
      series.setData(points(this.times, strip.points.map((given) => (given ? base + 0.75 : null))).map((point, place) => (strip.points[place] < 0 ? { ...point, color: paint.bad } : point)));
    });
    if (!this.score) {
      this.score = this.chart.addSeries(LineSeries, { color: paint.accent, lineWidth: 2, title: "score", priceLineVisible: false }, 2);
      this.mark = this.score.createPriceLine({ price: 0, color: paint.muted, lineWidth: 1, lineStyle: 2, axisLabelVisible: true, title: "passes" });
      this.chart.panes().forEach((pane, at) => pane.setStretchFactor([5, 2, 2][at] || 1));
    }
    this.score.setData(points(this.times, data.score));
    this.mark.applyOptions({ price: data.pass_mark ?? 0, lineVisible: data.pass_mark !== null, axisLabelVisible: data.pass_mark !== null });
    this.legend(data, this.times.length - 1);
  }

  // Says which strip is which, and how many points each gave at a bar.
  legend(data, at) {
    const list = this.figure.querySelector(".legend");
    if (!list) return;
    const paint = colours();
    list.replaceChildren(...data.strips.map((strip, place) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.backgroundColor = paint.series[place % paint.series.length];
      item.append(swatch, `${strip.name} ${strip.points[at] ?? 0} of ${strip.most}`);
      item.classList.toggle("muted", !strip.points[at]);
      return item;
    }));
    const total = document.createElement("li");
    total.textContent = `score ${data.score[at] ?? 0}, ${data.passed[at] ? "passes" : "does not pass"}`;
    total.className = data.passed[at] ? "ok" : "muted";
    list.append(total);
  }

  note(data) {
    const readout = this.figure.querySelector(".readout");
    const parts = [];
    if (data.rows !== undefined) parts.push(`${data.x.length.toLocaleString()} of ${data.rows.toLocaleString()} points`);
    if (data.marks?.[0]?.total) parts.push(`${data.marks[0].total.toLocaleString()} trades here`);
    if (data.note) parts.push(data.note);
    this.said = parts.join(" · ");
    if (readout) readout.textContent = this.said;
  }

  // Asks for another tile where what is seen is not in this one, or coarser than it could be.
  moved(range) {
    if (this.isSetting || this.times.length < 2 || !this.described.source) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refine(range), 70);
  }

  async refine(range) {
    const [from, to] = [this.timeAt(range.from), this.timeAt(range.to)];
    const [loaded, until] = [this.times[0], this.times[this.times.length - 1]];
    const span = to - from;
    const isMissing = (from < loaded && loaded > this.first + 1) || (to > until && until < this.last - 1);
    const isWhole = this.times.length >= this.data.rows;
    const seen = range.to - range.from;
    const isCoarse = !isWhole && (this.data.step ? this.data.step > 1 : true) && seen < this.box.clientWidth / 3;
    const isFine = seen > this.box.clientWidth * 4;
    if (!isMissing && !isCoarse && !isFine) return;
    const [low, high] = [Math.max(this.first, from - span), Math.min(this.last + 1, to + span)];
    const key = `${Math.round(low)} ${Math.round(high)}`;
    if (key === this.asked) return;
    this.asked = key;
    const turn = (this.turn = (this.turn || 0) + 1);
    const data = await ask(this.described.source, { low: low * MICROS, high: high * MICROS, points: Math.round(this.box.clientWidth * 5) }).catch(() => null);
    if (!data || turn !== this.turn || !data.x.length) return;
    const now = this.chart.timeScale().getVisibleLogicalRange(); // it may have been moved on meanwhile
    const [left, right] = now ? [this.timeAt(now.from), this.timeAt(now.to)] : [from, to];
    this.isSetting = true;
    this.put(data);
    this.chart.timeScale().setVisibleLogicalRange({ from: this.placeOf(left), to: this.placeOf(right) });
    requestAnimationFrame(() => (this.isSetting = false));
  }

  timeAt(place) {
    const { times } = this;
    const last = times.length - 1;
    const step = (times[last] - times[0]) / Math.max(1, last);
    if (place <= 0) return times[0] + place * step;
    if (place >= last) return times[last] + (place - last) * step;
    const at = Math.floor(place);
    return times[at] + (place - at) * (times[at + 1] - times[at]);
  }

  placeOf(time) {
    const { times } = this;
    const last = times.length - 1;
    const step = (times[last] - times[0]) / Math.max(1, last) || 1;
    if (time <= times[0]) return (time - times[0]) / step;
    if (time >= times[last]) return last + (time - times[last]) / step;
    let [low, high] = [0, last];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle;
      else high = middle;
    }
    return low + (time - times[low]) / (times[high] - times[low]);
  }

  // Shows what lies around a moment.
  show(seconds, width) {
    const half = (width || (this.last - this.first) / 40) / 2;
    this.chart.timeScale().setVisibleLogicalRange({ from: this.placeOf(seconds - half), to: this.placeOf(seconds + half) });
  }

  read(at) {
    if (this.data.strips) this.legend(this.data, at.time === undefined ? this.times.length - 1 : Math.max(0, this.times.indexOf(at.time)));
    const readout = this.figure.querySelector(".readout");
    if (!readout) return;
    const value = at.time && at.seriesData.get(this.series);
    if (!value) return void (readout.textContent = this.said);
    const text = value.value === undefined ? `O ${shown(value.open, "price")} H ${shown(value.high, "price")} L ${shown(value.low, "price")} C ${shown(value.close, "price")}` : shown(value.value, this.described.unit);
    readout.textContent = `${here(at.time * 1000).slice(0, 16)} · ${text}`;
  }

  clicked(at) {
    const row = at.hoveredObjectId;
    if (row === undefined || !this.described.table) return;
    document.dispatchEvent(new CustomEvent("pitboss:row", { detail: { row, table: this.described.table.replace(/\.parquet$/, "") } }));
    this.marks.choose(Number(row));
  }

  rowClicked(event) {
    const row = event.target.closest?.(`#rows-${this.described.table.replace(/\.parquet$/, "")} tbody tr[data-row]`);
    if (!row || event.target.closest("a, button, input")) return;
    const symbol = this.described.symbol;
    if (symbol && ![...row.cells].some((cell) => cell.textContent.trim() === symbol)) return;
    const moments = [...row.querySelectorAll("time")].map((time) => Date.parse(time.getAttribute("datetime")) / 1000);
    if (!moments.length) return;
    const span = Math.max(...moments) - Math.min(...moments);
    this.marks?.choose(Number(row.dataset.row));
    this.show(moments[0] + span / 2, Math.max(span * 6, (this.last - this.first) / 200));
    this.figure.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  repaint() {
    const paint = colours();
    this.chart.applyOptions({ layout: { textColor: paint.muted }, grid: { vertLines: { color: paint.line }, horzLines: { color: paint.line } }, rightPriceScale: { borderColor: paint.line }, timeScale: { borderColor: paint.line } });
  }

  image() {
    return this.chart.takeScreenshot();
  }
}

function points(times, values) {
  const found = [];
  let before = -Infinity;
  times.forEach((time, at) => {
    if (time <= before) return; // the axis has a place for each second alone
    before = time;
    found.push(values[at] === null ? { time } : { time, value: values[at] });
  });
  return found;
}

function tick(time, kind) {
  const text = here(time * 1000);
  return [text.slice(0, 4), text.slice(0, 7), text.slice(5, 10), text.slice(11, 16), text.slice(11, 19)][kind];
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-image]");
  const figure = button?.closest("figure");
  const canvas = figure?.chart?.image();
  if (!canvas) return;
  const out = document.createElement("canvas"); // on the page's own ground, not on nothing
  [out.width, out.height] = [canvas.width, canvas.height];
  const ink = out.getContext("2d");
  ink.fillStyle = colours().surface;
  ink.fillRect(0, 0, out.width, out.height);
  ink.drawImage(canvas, 0, 0);
  out.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${JSON.parse(figure.dataset.chart).title || "chart"}.png`.replace(/[^\w.-]+/g, "-");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
});

// A mark was chosen: its row comes into the table.
document.addEventListener("pitboss:row", async ({ detail }) => {
  const rows = document.getElementById(`rows-${detail.table}`);
  const run = document.getElementById("run");
  if (!rows || !run) return;
  const { default: htmx } = await import("htmx.org");
  const { root } = await import("./page.js");
  await htmx.ajax("GET", `${root}/runs/${run.dataset.run}/tables/${detail.table}?row=${detail.row}`, { target: `#rows-${detail.table}`, swap: "outerHTML" });
  const row = document.getElementById(`${detail.table}-${detail.row}`);
  row?.classList.add("chosen");
  row?.scrollIntoView({ block: "center" });
  row?.focus({ preventScroll: true });
});
