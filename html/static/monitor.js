// Keeps the monitor up to date in place: what has not changed is not touched, so nothing flickers, and
// focus, open confirmations and the place on the page stay. The page works without this, too.

import { fetchPage, markFresh, markStale, update } from "./live.js";
import { writeTimes } from "./times.js";

const EVERY = 3000;
const PICTURE_EVERY = 6000;

const monitor = document.getElementById("monitor");
const { base } = monitor.dataset;

/** Fetches all pictures anew, and shows each once it is whole. */
function pictures() {
  for (const shown of monitor.querySelectorAll("img.shot")) {
    const next = shown.cloneNode();
    next.loading = "eager";
    next.src = `${shown.src.split("?")[0]}?${Date.now()}`;
    next.decode().then(() => shown.replaceWith(next), () => {});
  }
}

async function refresh() {
  if (document.hidden) return;
  try {
    const page = await fetchPage(`${base}/monitor`);
    // Signed out, or no administrator any more: the server says which.
    if (!page?.getElementById("monitor")) return location.reload();
    update(monitor, page, "all-title");
    writeTimes();
    markFresh();
  } catch {
    markStale();
  }
}

async function follow(step, milliseconds) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    if (!document.hidden) await step();
  }
}

document.addEventListener("visibilitychange", refresh);
// Two readings make the first rates: soon.
setTimeout(refresh, 1200);
follow(refresh, EVERY);
follow(pictures, PICTURE_EVERY);
