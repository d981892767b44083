// Forms: what is chosen in lists, fields that fill others, files that are dropped, texts that are copied.
import htmx from "htmx.org";
import { localise } from "./times.js";
import { look } from "./looking.js";
import { headers, say } from "./page.js";

const CSRF = "csrf_token";

function csrf() {
  return headers["X-CSRF-Token"] || "";
}

export function startForms() {
  document.addEventListener("submit", submitted);
  document.addEventListener("change", changed);
  document.addEventListener("input", filtered);
  document.addEventListener("click", clicked);
  const file = document.getElementById("import");
  if (file) startImport(file);
}

function submitted(event) {
  const sure = event.submitter?.dataset.sure;
  if (sure && !window.confirm(sure)) return event.preventDefault();
  const form = event.target;
  if (form.method === "post" && csrf() && !form.elements[CSRF]) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: CSRF, value: csrf() });
    form.append(field);
  }
  if (form.closest("dialog")) {
    form.querySelector(".answers")?.setAttribute("aria-busy", "true");
    queueMicrotask(() => form.querySelectorAll("button").forEach((button) => button !== event.submitter && (button.disabled = true)));
  }
}

function changed(event) {
  const target = event.target;
  if (target.matches("input[form=selection]")) count();
  if (target.matches("[data-refines]")) refine(target);
  if (target.matches("[data-presets]") && target.value) {
    for (const [name, value] of Object.entries(JSON.parse(target.value))) {
      const field = document.querySelector(`[name="costs.${name}"]`);
      if (field) field.value = value;
    }
    target.form.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

function count() {
  const form = document.getElementById("selection");
  if (!form) return;
  const ticked = document.querySelectorAll("input[form=selection]:checked").length;
  form.hidden = !ticked;
  form.querySelector("[data-count]").textContent = ticked;
}
document.addEventListener("pitboss:part", count);

async function refine(field) {
  const form = field.form;
  const body = new URLSearchParams(new FormData(form));
  body.set("do", "refresh");
  const answer = await fetch(form.action, { method: "POST", body, headers: { ...headers, "HX-Request": "true", Accept: "text/html" } });
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  const fresh = holder.content.querySelector("#run-form");
  if (!fresh) return say("The form cannot be asked for anew just now.");
  const id = field.id;
  form.replaceWith(fresh);
  htmx.process(fresh);
  localise(fresh);
  look(fresh);
  document.getElementById(id)?.focus();
}

function filtered(event) {
  const target = event.target;
  if (target.dataset.filter !== undefined) {
    const words = target.value.toLowerCase().split(/\s+/);
    const within = target.dataset.filter ? document.querySelector(target.dataset.filter) : target.parentElement;
    for (const row of within.querySelectorAll("tbody tr, .option")) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  }
  if (target.dataset.output) document.getElementById(target.dataset.output).textContent = target.value;
}

async function clicked(event) {
  const copy = event.target.closest?.("[data-copy]");
  if (copy) {
    await navigator.clipboard?.writeText(document.getElementById(copy.dataset.copy).textContent);
    say("Copied");
  }
  const unfold = event.target.closest?.("[data-unfold]");
  if (unfold) {
    document.querySelector(unfold.dataset.unfold).classList.toggle("unfolded");
    unfold.setAttribute("aria-expanded", String(document.querySelector(unfold.dataset.unfold).classList.contains("unfolded")));
  }
}

// A file is read by the server as often as a setting changes; nothing is kept before the button says so.
function startImport(form) {
  const drop = document.getElementById("drop");
  const input = document.getElementById("file");
  const panel = document.getElementById("preview-panel");
  let file = null;
  let turn = 0;

  const choose = (chosen) => {
    if (!chosen) return;
    file = chosen;
    drop.querySelector("strong").textContent = `${file.name}, ${(file.size / 1024).toLocaleString(undefined, { maximumFractionDigits: 0 })} KB`;
    if (!form.elements.symbol.value) form.elements.symbol.value = file.name.split(/[._ -]/)[0].toUpperCase().slice(0, 32);
    if (!form.elements.timeframe.value) form.elements.timeframe.value = file.name.match(/(?:^|[^a-z0-9])(\d+(?:m|h|d|w))(?:[^a-z0-9]|$)/i)?.[1]?.toLowerCase() ?? "";
    send(false);
  };
  const send = async (isStored) => {
    if (!file) return;
    const mine = ++turn;
    const query = new URLSearchParams(new FormData(form));
    query.delete("file");
    if (isStored) query.set("store", "yes");
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${form.dataset.import}?${query}`, {
        method: "POST", body: file, headers: { ...headers, "HX-Request": "true", Accept: "text/html", "Content-Type": "application/octet-stream" },
      });
      if (mine !== turn) return;
      panel.innerHTML = await answer.text();
      localise(panel);
    } catch {
      panel.textContent = "The server cannot be reached just now: try again.";
    } finally {
      panel.removeAttribute("aria-busy");
    }
  };
  input.addEventListener("change", () => choose(input.files[0]));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => event.target !== input && send(false));
  panel.addEventListener("click", (event) => event.target.closest("[data-store]") && send(true));
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    choose(event.dataTransfer.files[0]);
  });
}
