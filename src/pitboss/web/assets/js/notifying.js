// The browser's own notifications when a run ends, for somebody who looks elsewhere: one tab of all asks now and then.
import { root } from "./page.js";

const KEY = "pitboss-notify";
const ASK_SECONDS = 5;

export function startNotifying() {
  const box = document.getElementById("notify");
  if (box) offer(box);
  if (!wants() || !navigator.locks) return;
  navigator.locks.request("pitboss-notify", () => new Promise(() => watch()));
}

function wants() {
  return localStorage.getItem(KEY) === "yes" && "Notification" in window && Notification.permission === "granted";
}

function offer(box) {
  box.checked = wants();
  box.addEventListener("change", async () => {
    const may = box.checked && "Notification" in window && (await Notification.requestPermission()) === "granted";
    localStorage.setItem(KEY, may ? "yes" : "no");
    document.getElementById("notify-said").textContent = box.checked && !may ? "This browser does not allow it." : "";
    box.checked = may;
  });
}

function watch() {
  const open = new Set();
  setInterval(async () => {
    if (!document.hidden || !wants()) return open.clear();
    try {
      const answer = await fetch(`${root}/api/v1/runs?limit=50`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      for (const run of (await answer.json()).items) {
        if (!run.ended_at) open.add(run.id);
        else if (open.delete(run.id)) new Notification(`${run.kind} ${run.subject.split("/").pop()} #${run.number}`, { body: run.state, tag: run.id });
      }
    } catch { /* it is asked again */ }
  }, ASK_SECONDS * 1000);
}
