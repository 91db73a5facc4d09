// Makes the pages of sessions follow what happens. Everything on them works without this, too.

import { fetchPage, update } from "./live.js";

/** The time left in the words of the server's pages. */
function span(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const two = (a, aUnit, b, bUnit) => (b === 0 ? `${a} ${aUnit}` : `${a} ${aUnit} ${b} ${bUnit}`);
  if (days > 0) return two(days, "d", hours, "h");
  if (hours > 0) return two(hours, "h", minutes, "min");
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

function countDown() {
  const now = Math.floor(Date.now() / 1000);
  for (const time of document.querySelectorAll("time.left")) {
    const left = Number(time.dataset.ends) - now;
    const text = left > 0 ? span(left) : "over";
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Moments in the reader's own time zone. */
function localMoments() {
  const style = { dateStyle: "medium", timeStyle: "short" };
  for (const time of document.querySelectorAll("time.moment")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, style);
  }
  for (const time of document.querySelectorAll("time.left")) {
    time.title = new Date(Number(time.dataset.ends) * 1000).toLocaleString(undefined, style);
  }
}

/** A button beside each link that copies it. */
function copyButtons() {
  if (!navigator.clipboard) return;
  for (const input of document.querySelectorAll("input.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(input.value);
        button.textContent = "Copied";
      } catch {
        input.select();
      }
    });
    const both = document.createElement("div");
    both.className = "copyable";
    input.replaceWith(both);
    both.append(input, button);
  }
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Resolves when the page can be seen. */
function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

/** While the session changes, the server answers as soon as there is news. */
async function awaitChange({ base, session, state }) {
  for (;;) {
    const asked = Date.now();
    const answer = await fetch(`${base}/api/v1/sessions/${session}?wait=${state}`, { cache: "no-store" });
    if (answer.status === 401 || answer.status === 404) return;
    if (answer.ok && (await answer.json()).state !== state) return;
    // A server that does not wait, or cannot, is not asked without end.
    if (Date.now() - asked < 500) await pause(1);
  }
}

/** Brings the page up to date until it would be another one. */
async function refresh({ base, session, state }) {
  for (;;) {
    await pause(5);
    await visible();
    const fresh = await fetchPage(`${base}/sessions/${session}`);
    if (fresh?.getElementById("session")?.dataset.state !== state) return;
    update(fresh);
    localMoments();
    countDown();
  }
}

/** Follows the session until it has another state than the page shows. */
async function follow(panel) {
  const { base, session, state, keep } = panel.dataset;
  if (state === "ended" || state === "failed") return;
  const step = state === "running" ? refresh : awaitChange;
  while (!(await step(panel.dataset).then(() => true, () => false))) {
    // Nobody answers.
    await pause(2);
  }
  // A link that is shown once must not vanish by itself.
  if (keep !== undefined) {
    document.querySelector("#session .badge").textContent = "Changed: reload for the present state";
    return;
  }
  location.replace(`${base}/sessions/${session}`);
}

localMoments();
countDown();
setInterval(countDown, 1000);
copyButtons();
const panel = document.getElementById("session");
if (panel) follow(panel);
