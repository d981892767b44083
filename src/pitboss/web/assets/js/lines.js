// Lines over any values, and many lines over time, by uPlot.
import uPlot from "uplot";
import { here } from "./times.js";
import { colours, shown } from "./units.js";

const MICROS = 1e6;
const HEIGHT = 280;

export class Lines {
  constructor(figure, described, data) {
    this.figure = figure;
    this.described = described;
    this.box = figure.querySelector(".canvas");
    this.curves = data.curves || [data];
    this.isTime = this.curves[0].is_time;
    this.draw();
    new ResizeObserver(() => this.plot.setSize({ width: this.box.clientWidth, height: HEIGHT })).observe(this.box);
    document.addEventListener("pitboss:theme", () => this.draw());
  }

  draw() {
    const paint = colours();
    const { described } = this;
    const scaled = this.curves.map((curve) => [this.isTime ? curve.x.map((x) => x / MICROS) : curve.x, curve.y[0]]);
    const values = scaled.length > 1 ? uPlot.join(scaled) : scaled[0];
    const names = this.curves.length > 1 ? described.y : [described.y[0]];
    const axis = { stroke: paint.muted, grid: { stroke: paint.line, width: 1 }, ticks: { stroke: paint.line, width: 1 }, font: `11px ${getComputedStyle(document.body).fontFamily}` };
    this.box.replaceChildren();
    this.plot = new uPlot({
      width: this.box.clientWidth, height: HEIGHT,
      scales: { x: { time: this.isTime } },
      series: [
        { label: described.x, value: (_, x) => (x == null ? "" : this.isTime ? here(x * 1000).slice(0, 16) : String(x)) },
        ...names.map((label, at) => ({ label, stroke: paint.series[at % paint.series.length], width: 1.5, spanGaps: true, points: { show: values[0].length < 60 }, value: (_, y) => shown(y, described.unit) })),
      ],
      axes: [axis, { ...axis, size: 70, values: (_, ticks) => ticks.map((value) => shown(value, described.unit)) }],
      cursor: { drag: { x: true, y: false } },
    }, values, this.box);
  }

  image() {
    return this.plot.ctx.canvas;
  }
}
