// One stream for all tabs and windows of a browser. Whoever holds the lock, and is seen, reads it and hands on what it says.
//
// What comes is always all of a part, so a message that is missed or comes twice does no harm. A beat twice a second says up
// to when the page is true; where it stands still for longer than STALE, the page says so itself.
import htmx from "htmx.org";
import { clock, heardAt, localise } from "./times.js";
import { root, say } from "./page.js";

const STALE = 1600; // milliseconds without a beat after which the page says that it is old
const PATIENCE = 2500; // in which a stream must have said something, or it is held up on the way
const BLOCKED = 30000; // after which one is tried again where streams are held up
const topicsHere = new Map(); // topic -> position that this page knows
const channel = "BroadcastChannel" in window ? new BroadcastChannel("pitboss") : null;
const me = Math.random().toString(36).slice(2);
const others = new Map(); // of tabs that are seen: their topics, and when they last said so
const FORGOTTEN = 20000; // milliseconds after which a tab that says nothing is not counted
let asOf = document.body.dataset.now;
let beatAt = performance.now();
let isLeader = false;
let stream = null; // the connection that is open
let letGo = null; // ends the holding of the lock
let ended = false;

export function startLive() {
  for (const word of (document.body.dataset.topics || "").split(" ").filter(Boolean)) {
    const [topic, position] = word.split("@");
    topicsHere.set(topic, Number(position || 0));
  }
  if (!topicsHere.size) return;
  channel?.addEventListener("message", ({ data }) => heard(data));
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("pagehide", hidden);
  window.addEventListener("pageshow", (event) => event.persisted && seen());
  window.addEventListener("online", () => stream?.again());
  setInterval(watch, 200);
  setInterval(() => document.hidden || tell({ sort: "seen", from: me, topics: [...topicsHere] }), FORGOTTEN / 4);
  seen();
}

function seen() {
  if (document.hidden) return hidden();
  beatAt = Math.max(beatAt, performance.now() - STALE + 600); // a moment to hear of the others
  tell({ sort: "seen", from: me, topics: [...topicsHere] });
  if (isLeader || letGo) return;
  if (!navigator.locks) return lead(new Promise((resolve) => (letGo = resolve)));
  const giveUp = new AbortController();
  letGo = () => giveUp.abort();
  navigator.locks.request("pitboss-live", { signal: giveUp.signal }, () => lead(new Promise((resolve) => (letGo = resolve)))).catch(() => {});
}

function hidden() {
  tell({ sort: "gone", from: me });
  const release = letGo;
  letGo = null;
  isLeader = false;
  stream?.close();
  stream = null;
  release?.();
}

function lead(until) {
  isLeader = true;
  tell({ sort: "who" });
  stream = new Stream();
  return until;
}

function tell(message) {
  channel?.postMessage(message);
}

function heard(message) {
  if (message.sort === "seen") {
    const names = (topics) => topics?.map(([topic]) => topic).join(" ");
    const isNew = names(others.get(message.from)?.topics) !== names(message.topics);
    others.set(message.from, { topics: message.topics, at: performance.now() });
    if (isLeader && isNew) stream?.again();
  } else if (message.sort === "gone") {
    others.delete(message.from);
  } else if (message.sort === "who" && !document.hidden) {
    tell({ sort: "seen", from: me, topics: [...topicsHere] });
  } else if (message.sort === "said") {
    take(message.said);
  } else if (message.sort === "ended") {
    signedOut();
  }
}

function wanted() {
  const all = new Map(topicsHere);
  for (const [tab, { topics, at }] of others) {
    if (performance.now() - at > FORGOTTEN) others.delete(tab);
    else for (const [topic, position] of topics) all.set(topic, Math.min(position, all.get(topic) ?? position));
  }
  return [...all].map(([topic, position]) => `${topic}@${position}`).join(" ");
}

// Asks for what is there, then opens the stream; tries again as long as it fails, several at once where nothing answers.
class Stream {
  constructor() {
    this.source = null;
    this.isOver = false;
    this.lastTry = 0;
    this.heardAt = 0;
    this.openedAt = 0;
    this.blockedUntil = 0;
    this.failures = 0;
    this.timer = setInterval(() => this.turn(), 150);
    this.turn();
  }

  again() {
    this.source?.close();
    this.source = null;
    this.lastTry = 0;
    this.turn();
  }

  close() {
    this.isOver = true;
    clearInterval(this.timer);
    this.source?.close();
  }

  turn() {
    if (this.isOver || ended) return;
    const now = performance.now();
    if (this.source) {
      const quiet = now - Math.max(this.heardAt, this.openedAt);
      if (quiet < PATIENCE) return;
      if (this.heardAt < this.openedAt) this.blockedUntil = now + BLOCKED; // it opened, and nothing came through
      this.source.close();
      this.source = null;
    }
    const pause = this.failures ? Math.min(800, 250 * this.failures) * (0.7 + 0.6 * Math.random()) : now < this.blockedUntil ? 700 : 0;
    if (now - this.lastTry < pause) return;
    this.lastTry = now;
    this.ask();
  }

  async ask() {
    const topics = wanted();
    try {
      const answer = await fetch(`${root}/live?topics=${encodeURIComponent(topics)}`, {
        headers: { Accept: "application/json" }, signal: AbortSignal.timeout(3000), cache: "no-store",
      });
      if (this.isOver) return;
      if (answer.status === 401) return this.over();
      if (!answer.ok) throw new Error(String(answer.status));
      const { as_of, messages } = await answer.json();
      if (this.isOver) return;
      this.failures = 0;
      for (const message of messages) hand(message);
      hand({ topic: "beat", as_of });
      if (!this.source && performance.now() > this.blockedUntil) this.open();
    } catch {
      this.failures += 1;
    }
  }

  open() {
    this.source = new EventSource(`${root}/live?topics=${encodeURIComponent(wanted())}`);
    this.openedAt = performance.now();
    const take = ({ data }) => {
      this.heardAt = performance.now();
      hand(JSON.parse(data));
    };
    this.source.addEventListener("change", take);
    this.source.addEventListener("beat", take);
    this.source.onerror = () => {
      this.source?.close();
      this.source = null;
      this.failures ||= 1;
    };
  }

  over() {
    tell({ sort: "ended" });
    signedOut();
  }
}

function hand(said) {
  tell({ sort: "said", said });
  take(said);
}

function signedOut() {
  if (ended) return;
  ended = true;
  stream?.close();
  const note = document.getElementById("link");
  note.textContent = "You were signed out. ";
  const there = document.createElement("a");
  there.href = `${root}/sign-in?said=ended&next=${encodeURIComponent(location.pathname.slice(root.length) + location.search)}`;
  there.textContent = "Sign in again";
  note.append(there);
  note.hidden = false;
}

// What was said, put into the page.
function take(said) {
  if (said.topic === "beat") {
    if (said.as_of !== asOf) beatAt = performance.now();
    asOf = said.as_of;
    heardAt(asOf);
    watch();
    return;
  }
  if (!topicsHere.has(said.topic)) return;
  if (said.gone) return location.reload(); // removed, or taken back: the server says which
  if ((said.position ?? 0) < topicsHere.get(said.topic)) return; // of before what is shown
  topicsHere.set(said.topic, said.position ?? 0);
  for (const [id, html] of Object.entries(said.parts || {})) put(id, html);
  for (const [id, lines] of Object.entries(said.append || {})) append(id, lines);
  if (said.state) {
    stateTold = said.state;
    follow();
  }
}

const told = new Map(); // what each part was made of last: what is the same is not touched

export function put(id, html) {
  const target = document.getElementById(id);
  if (!target || told.get(id) === html) return;
  if (id === "run-curve" && document.getElementById("performance")?.checked) return;
  told.set(id, html);
  const holder = document.createElement("template");
  holder.innerHTML = html;
  localise(holder.content);
  const chosen = new Set([...target.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value));
  const made = holder.content.firstElementChild;
  for (const box of holder.content.querySelectorAll("input[type=checkbox]")) if (chosen.has(box.value)) box.setAttribute("checked", "");
  htmx.swap({ target, sourceElement: target, text: made.outerHTML, swap: "outerMorph", transition: false });
  document.dispatchEvent(new CustomEvent("pitboss:part", { detail: { id } }));
}

const MOST_LINES = 2000;

function append(id, lines) {
  const list = document.getElementById(id);
  if (!list) return;
  const known = Number(list.lastElementChild?.dataset.seq || 0);
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const holder = document.createElement("template");
  holder.innerHTML = lines.filter(([seq]) => seq > known).map(([, html]) => html).join("");
  if (!holder.content.childElementCount) return;
  localise(holder.content);
  list.querySelector('[data-seq="0"]')?.remove();
  list.append(holder.content);
  while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

let stateTold = ""; // of the run that this page shows
let following = false;

// A run came to another state: the rest of its page is another one. It is asked for until it is of what was told.
async function follow() {
  if (following || ended) return;
  following = true;
  const page = () => document.getElementById("run");
  try {
    while (page() && page().dataset.state !== stateTold) await renew(page());
  } catch {
    setTimeout(follow, 500);
  } finally {
    following = false;
  }
}

async function renew(page) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("run");
  const topic = `run:${page.dataset.run}`;
  if (Number(fresh.dataset.seq) < topicsHere.get(topic)) return; // more was told meanwhile
  topicsHere.set(topic, Number(fresh.dataset.seq));
  stateTold = fresh.dataset.state;
  localise(fresh);
  keepTyped(page, fresh);
  told.clear();
  await htmx.swap({ target: page, sourceElement: page, text: fresh.outerHTML, swap: "outerMorph", transition: false });
  document.dispatchEvent(new CustomEvent("pitboss:changed"));
  say(document.querySelector(".verdict strong")?.textContent ?? "");
  const question = document.querySelector(`#dialog[open] [data-question="${page.dataset.run}"]`);
  if (question) htmx.ajax("GET", `${root}/runs/${page.dataset.run}/cancel`, { target: "#dialog-body" });
}

// What somebody is writing stays as it is.
function keepTyped(page, fresh) {
  for (const field of page.querySelectorAll("textarea")) {
    if (field.value === field.defaultValue || !field.id) continue;
    const place = fresh.querySelector(`#${CSS.escape(field.id)}`);
    if (place) place.textContent = field.value;
  }
}

// Says how old the page is, as soon as it is old.
function watch() {
  if (ended || document.hidden) return;
  const isStale = performance.now() - beatAt > STALE;
  const note = document.getElementById("link");
  if (note.hidden === !isStale) return;
  note.hidden = !isStale;
  document.body.classList.toggle("stale", isStale);
  if (isStale) document.getElementById("as-of").textContent = clock(asOf);
}
