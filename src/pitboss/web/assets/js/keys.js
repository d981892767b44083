// The keyboard: lists, pages, the palette, dialogs.
import { root } from "./page.js";

const PLACES = { b: "/", l: "/library", s: "/strategies", c: "/screens", d: "/data", q: "/queue", h: "/runs" };
let chosen = null;
let awaits = -Infinity; // when g was pressed

export function startKeys() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("click", clicked);
  document.getElementById("palette-open")?.addEventListener("click", palette);
  document.getElementById("theme")?.addEventListener("click", theme);
  const dialog = document.getElementById("dialog");
  document.addEventListener("htmx:after:swap", () => {
    const body = document.getElementById("dialog-body");
    if (body.childElementCount && !dialog.open && body.dataset.wanted) dialog.showModal();
  });
  dialog.addEventListener("close", () => document.getElementById("dialog-body").replaceChildren());
}

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], .cm-editor") || target.shadowRoot;
}

function pressed(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return palette();
  }
  if (document.getElementById("palette")?.open) return within(event);
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (performance.now() - awaits < 1200) {
    awaits = -Infinity;
    if (PLACES[event.key]) location.href = root + PLACES[event.key];
    return;
  }
  const act = {
    "/": () => (document.querySelector("[data-search]") || document.querySelector("main input[type=search]"))?.focus() ?? palette(),
    n: () => (location.href = `${root}/new`),
    c: () => (document.querySelector("#cancel") || chosen?.querySelector("[data-cancel]"))?.click(),
    j: () => step(1),
    k: () => step(-1),
    x: () => chosen?.querySelector("input[type=checkbox]")?.click(),
    Enter: () => chosen?.querySelector("a.name")?.click(),
    g: () => (awaits = performance.now()),
    "?": () => document.getElementById("help")?.showModal(),
  }[event.key];
  if (!act || (event.key === "Enter" && (!chosen?.isConnected || ![chosen, document.body].includes(event.target)))) return;
  event.preventDefault();
  act();
}

function step(by) {
  const rows = [...document.querySelectorAll("main tr[data-run], main tr[data-row], main article.card")].filter((row) => row.offsetParent);
  if (!rows.length) return;
  const at = rows.indexOf(chosen?.isConnected ? chosen : null);
  chosen?.classList.remove("chosen");
  chosen = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  chosen.classList.add("chosen");
  chosen.tabIndex = -1;
  chosen.focus({ preventScroll: true });
  chosen.scrollIntoView({ block: "nearest" });
}

function within(event) {
  const found = [...document.querySelectorAll("#found a")];
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const at = found.indexOf(document.activeElement);
    (found[Math.max(0, at + (event.key === "ArrowDown" ? 1 : -1))] || found[0])?.focus();
  } else if (event.key === "Enter" && event.target.matches("input")) {
    event.preventDefault();
    first(event.target.value);
  }
}

// Goes to what is found first by all that was typed, which may be more than what the list shows yet.
async function first(words) {
  const answer = await fetch(`${root}/find?q=${encodeURIComponent(words)}`, { headers: { "HX-Request": "true" } });
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  const link = holder.content.querySelector("a");
  if (link) location.href = link.getAttribute("href");
}

function palette() {
  const dialog = document.getElementById("palette");
  if (!dialog || dialog.open) return;
  dialog.showModal();
  dialog.querySelector("input").select();
}

function theme() {
  const order = ["auto", "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3];
  document.documentElement.dataset.theme = next;
  document.cookie = `pitboss_theme=${next};path=${root || "/"};max-age=31536000;samesite=lax`;
  document.dispatchEvent(new CustomEvent("pitboss:theme"));
}

function clicked(event) {
  const asked = event.target.closest?.("[data-dialog]");
  if (asked) document.getElementById("dialog-body").dataset.wanted = "yes";
  if (event.target.closest?.("[data-help]")) document.getElementById("help").showModal();
  const close = event.target.closest?.("[data-close]");
  if (close?.closest("dialog")) {
    event.preventDefault();
    close.closest("dialog").close();
  }
  if (event.target.matches?.("dialog[open]")) event.target.close(); // beside it
}
