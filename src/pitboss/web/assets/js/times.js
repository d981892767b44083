// Moments in the viewer's zone, with UTC on hover, and how long ago something was.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const SHAPE = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const written = new Intl.DateTimeFormat("sv-SE", { ...SHAPE, timeZone: zone });
let ahead = 0; // of the server's clock before ours, in milliseconds

export function here(iso) {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? iso : written.format(moment);
}

export function clock(iso) {
  return here(iso).slice(11);
}

export function heardAt(iso) {
  ahead = Date.parse(iso) - Date.now();
}

export function localise(within) {
  for (const element of within.querySelectorAll("time[datetime]:not([data-age]):not([data-here])")) {
    element.dataset.here = "";
    element.textContent = here(element.getAttribute("datetime"));
  }
  for (const element of within.querySelectorAll("time[data-age]")) age(element);
}

function age(element) {
  const seconds = Math.max(0, (Date.now() + ahead - Date.parse(element.getAttribute("datetime"))) / 1000);
  const text = seconds < 1.5 ? "now" : seconds < 60 ? `${Math.round(seconds)} s ago` : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : here(element.getAttribute("datetime"));
  if (element.textContent !== text) element.textContent = text;
}

export function startTimes() {
  document.cookie = `pitboss_zone=${encodeURIComponent(zone)};path=/;max-age=31536000;samesite=lax`;
  const now = document.body.dataset.now;
  if (now) heardAt(now);
  localise(document);
  setInterval(() => document.querySelectorAll("time[data-age]").forEach(age), 500);
}
