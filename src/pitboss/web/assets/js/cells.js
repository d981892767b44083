// Heat maps: months by years, hours by weekdays, one parameter by another.
import { colours, shown } from "./units.js";

const MONTHS = ["", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const NAMES = { month: MONTHS, weekday: DAYS };

export function drawCells(figure, described, data) {
  const box = figure.querySelector(".canvas");
  const canvas = document.createElement("canvas");
  box.replaceChildren(canvas);
  const cells = { figure, described, data, canvas, image: () => canvas };
  const again = () => paint(cells, box.clientWidth);
  new ResizeObserver(again).observe(box);
  document.addEventListener("pitboss:theme", again);
  canvas.addEventListener("mousemove", (event) => read(cells, event));
  again();
  return cells;
}

function paint(cells, width) {
  const { canvas, data, described } = cells;
  const ratio = devicePixelRatio || 1;
  const colour = colours();
  const left = 52;
  const top = 22;
  const across = Math.max(4, (width - left) / data.x.length);
  const down = Math.max(10, Math.min(26, 420 / data.y.length));
  const height = top + down * data.y.length;
  Object.assign(cells, { left, top, across, down });
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = "100%";
  canvas.style.height = `${height}px`;
  cells.figure.querySelector(".canvas").style.height = `${height}px`;
  const ink = canvas.getContext("2d");
  ink.scale(ratio, ratio);
  ink.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const known = data.values.flat().filter((value) => value !== null);
  const most = Math.max(...known.map(Math.abs), 1e-12);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const isSigned = low < 0 && high > 0;
  data.y.forEach((y, row) => {
    ink.globalAlpha = 1;
    ink.fillStyle = colour.muted;
    ink.textAlign = "right";
    ink.textBaseline = "middle";
    if (down >= 11 || row % 2 === 0) ink.fillText(label(described.y[0], y), left - 6, top + (row + 0.5) * down);
    data.values[row].forEach((value, column) => {
      if (value === null) return;
      const share = isSigned ? Math.abs(value) / most : high > low ? (value - low) / (high - low) : 0.5;
      ink.globalAlpha = 0.08 + 0.82 * share;
      ink.fillStyle = isSigned ? (value >= 0 ? colour.good : colour.bad) : high <= 0 ? colour.bad : colour.accent;
      ink.fillRect(left + column * across + 0.5, top + row * down + 0.5, across - 1, down - 1);
      if (across > 46 && down > 13) {
        ink.globalAlpha = 1;
        ink.fillStyle = colour.text;
        ink.textAlign = "center";
        ink.fillText(shown(value, described.unit), left + (column + 0.5) * across, top + (row + 0.5) * down);
      }
    });
  });
  ink.globalAlpha = 1;
  ink.fillStyle = colour.muted;
  ink.textAlign = "center";
  ink.textBaseline = "alphabetic";
  const each = Math.max(1, Math.ceil(34 / across));
  data.x.forEach((x, column) => column % each === 0 && ink.fillText(label(described.x, x), left + (column + 0.5) * across, top - 8));
}

function label(name, value) {
  return NAMES[name]?.[value] ?? (typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value));
}

function read(cells, event) {
  const { data, described, left, top, across, down, figure } = cells;
  const column = Math.floor((event.offsetX - left) / across);
  const row = Math.floor((event.offsetY - top) / down);
  const value = data.values[row]?.[column];
  const readout = figure.querySelector(".readout");
  if (readout) readout.textContent = value === undefined || value === null ? "" : `${described.x} ${label(described.x, data.x[column])}, ${described.y[0]} ${label(described.y[0], data.y[row])}: ${shown(value, described.unit)}`;
}
