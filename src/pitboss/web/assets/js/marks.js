// Trades on a chart: a line from entry to exit, green or red by what it brought, all of them drawn in one go.
import { colours } from "./units.js";

const CROWD = 400; // trades in sight, beyond which they are only a shade
const NEAR = 6; // pixels within which a mark is meant
const MICROS = 1e6;

export class TradeMarks {
  constructor() {
    this.trades = [];
    this.chosen = null;
    this.view = { renderer: () => ({ draw: (target) => this.draw(target) }), zOrder: () => "top" };
  }

  attached({ chart, series, requestUpdate }) {
    Object.assign(this, { chart, series, requestUpdate });
  }

  detached() {
    this.chart = null;
  }

  updateAllViews() {}

  paneViews() {
    return [this.view];
  }

  // Each trade stands where the candle is that holds it.
  set(times, marks) {
    this.times = times;
    const place = (micros) => {
      const time = micros / MICROS;
      let [low, high] = [0, times.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (times[middle] <= time) low = middle + 1;
        else high = middle;
      }
      return Math.max(0, low - 1);
    };
    this.trades = marks.x.map((x, at) => ({
      row: marks.row[at], from: place(x), y: marks.y[at], to: marks.end_x ? place(marks.end_x[at]) : null, end: marks.end_y?.[at] ?? null,
      value: marks.value?.[at] ?? 0, isLong: (marks.side?.[at] ?? "long") === "long",
    }));
    this.requestUpdate?.();
  }

  choose(row) {
    this.chosen = row;
    this.requestUpdate?.();
  }

  draw(target) {
    const scale = this.chart?.timeScale();
    const range = scale?.getVisibleLogicalRange();
    if (!range) return;
    const paint = (this.paint ??= colours());
    target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: across, verticalPixelRatio: down }) => {
      this.placed = [];
      const isCrowded = this.trades.filter((trade) => trade.from <= range.to && (trade.to ?? trade.from) >= range.from).length > CROWD;
      context.globalAlpha = isCrowded ? 0.25 : 1;
      for (const isGood of [true, false]) {
        context.beginPath();
        for (const trade of this.trades) {
          if (trade.value >= 0 !== isGood || trade.from > range.to || (trade.to ?? trade.from) < range.from) continue;
          const [x, y] = [scale.logicalToCoordinate(trade.from), this.series.priceToCoordinate(trade.y)];
          if (x === null || y === null) continue;
          const head = trade.isLong ? 5 : -5;
          if (!isCrowded) {
            context.moveTo(x * across, y * down);
            context.lineTo((x - 4) * across, (y + head) * down);
            context.lineTo((x + 4) * across, (y + head) * down);
            context.closePath();
          }
          let [toX, toY] = [x, y];
          if (trade.to !== null) {
            [toX, toY] = [scale.logicalToCoordinate(trade.to), this.series.priceToCoordinate(trade.end)];
            if (toX === null || toY === null) continue;
            context.moveTo(x * across, y * down);
            context.lineTo(toX * across, toY * down);
            if (!isCrowded) context.rect((toX - 2) * across, (toY - 2) * down, 4 * across, 4 * down);
          }
          this.placed.push([trade.row, x, y, toX, toY]);
        }
        context.strokeStyle = isGood ? paint.good : paint.bad;
        context.fillStyle = context.strokeStyle;
        context.lineWidth = 1.2 * across;
        context.stroke();
        if (!isCrowded) context.fill();
      }
      context.globalAlpha = 1;
      const chosen = this.placed.find(([row]) => row === this.chosen);
      if (chosen) {
        context.beginPath();
        context.arc(chosen[1] * across, chosen[2] * down, 9 * across, 0, 7);
        context.moveTo((chosen[3] + 9) * across, chosen[4] * down);
        context.arc(chosen[3] * across, chosen[4] * down, 9 * across, 0, 7);
        context.strokeStyle = paint.accent;
        context.lineWidth = 2 * across;
        context.stroke();
      }
    });
  }

  hitTest(x, y) {
    const placed = this.placed || []; // where one trade ends and the next begins, that one is meant
    const hit = placed.find(([, fromX, fromY]) => near(x, y, fromX, fromY)) || placed.find(([, , , toX, toY]) => near(x, y, toX, toY));
    return hit ? { externalId: String(hit[0]), zOrder: "top", cursorStyle: "pointer" } : null;
  }
}

function near(x, y, otherX, otherY) {
  return Math.abs(x - otherX) < NEAR && Math.abs(y - otherY) < NEAR;
}
