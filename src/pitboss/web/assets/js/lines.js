// Lines over any values, and many lines over time, by uPlot; those of a run under way grow as they are told.
import uPlot from "uplot";
import { here } from "./times.js";
import { colours, shown } from "./units.js";

const MICROS = 1e6;
const HEIGHT = 280;
const LIVE_HEIGHT = 200;

export class Lines {
  constructor(box, described, data, height = HEIGHT) {
    this.box = box;
    this.described = described;
    this.height = height;
    this.take(data);
    this.draw();
    new ResizeObserver(() => this.plot.setSize({ width: box.clientWidth, height })).observe(box);
    document.addEventListener("pitboss:theme", () => this.draw());
  }

  // Takes over numbers: those of one table, or of several that do not have the same x.
  take(data) {
    const tables = data.curves || [data];
    this.isTime = tables[0].is_time;
    const scaled = tables.map((table) => [this.isTime ? table.x.map((x) => x / MICROS) : table.x, ...(data.curves ? [table.y[0]] : table.y)]);
    this.values = scaled.length > 1 ? uPlot.join(scaled) : scaled[0];
  }

  put(data) {
    this.take(data);
    this.plot.setData(this.values);
  }

  draw() {
    const paint = colours();
    const { described, values } = this;
    const axis = { stroke: paint.muted, grid: { stroke: paint.line, width: 1 }, ticks: { stroke: paint.line, width: 1 }, font: `11px ${getComputedStyle(document.body).fontFamily}` };
    this.box.replaceChildren();
    this.plot = new uPlot({
      width: this.box.clientWidth, height: this.height,
      scales: { x: { time: this.isTime } },
      series: [
        { label: described.x, value: (_, x) => (x == null ? "" : this.isTime ? here(x * 1000).slice(0, 16) : String(x)) },
        ...described.y.slice(0, values.length - 1).map((name, at) => ({ label: name.replaceAll("_", " "), stroke: paint.series[at % paint.series.length], width: 1.5, spanGaps: true, points: { show: values[0].length < 60 }, value: (_, y) => shown(y, described.unit) })),
      ],
      axes: [axis, { ...axis, size: 70, values: (_, ticks) => ticks.map((value) => shown(value, described.unit)) }],
      cursor: { drag: { x: true, y: false } },
    }, values, this.box);
  }

  image() {
    return this.plot.ctx.canvas;
  }
}

// Draws what a box holds of a run under way, or adds to it what came since.
export function follow(box) {
  const told = JSON.parse(box.dataset.live);
  const data = { is_time: false, x: told.x, y: told.y };
  if (box.lines?.described.y.join() === told.names.join()) return box.lines.put(data);
  box.lines = new Lines(box, { x: "step", y: told.names, unit: "number" }, data, LIVE_HEIGHT);
}
