// What every page loads: requests behind the page, live parts, times, keys, dialogs.
import htmx from "htmx.org";
import { startForms } from "./forms.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { look, startLooking } from "./looking.js";
import { startNotifying } from "./notifying.js";
import { say } from "./page.js";
import { localise, startTimes } from "./times.js";

window.htmx = htmx; // tests and the console look for it there
startTimes();
startLooking();
startForms();
startKeys();
startNotifying();
startLive();

document.addEventListener("htmx:after:swap", () => {
  localise(document);
  look();
});
document.addEventListener("htmx:error", () => say("The server cannot be reached just now: try again."));
