// Makes the page of a session follow what happens, and helps with confirmations and links. Everything works
// without this, too.

import { ask, fetchPage, markFresh, markStale, pause, update, visible } from "./live.js";
import { writeTimes } from "./times.js";

/** Copies what is in the field. Over plain http browsers have only the old way; else what is selected can be copied by hand. */
async function copied(input) {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    input.select();
    return document.execCommand("copy");
  }
}

/** A button beside each link that copies it. */
function copyButtons() {
  for (const input of document.querySelectorAll("input.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      button.textContent = (await copied(input)) ? "Copied" : "Press Ctrl+C";
    });
    const both = document.createElement("div");
    both.className = "copyable";
    input.replaceWith(both);
    both.append(input, button);
  }
}

function closeConfirmation(inside) {
  const details = inside?.closest?.("details.confirm[open]");
  if (!details) return false;
  details.open = false;
  details.querySelector("summary").focus();
  return true;
}

/** Cancel, and Escape, close a confirmation; without this, Cancel leads to the same page. */
function cancelButtons() {
  document.addEventListener("click", (event) => {
    const cancel = event.target.closest?.("a.cancel");
    if (cancel && closeConfirmation(cancel)) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeConfirmation(event.target);
  });
}

/** Resolves when the session has another state: the server answers as soon as there is news. */
async function awaitChange({ base, session, state }) {
  for (;;) {
    await visible();
    const asked = Date.now();
    try {
      const answer = await ask(`${base}/api/v1/sessions/${session}?wait=${state}`, "application/json");
      if (answer.status === 401 || answer.status === 404) return;
      if (answer.ok && (await answer.json()).state !== state) return;
      markFresh();
    } catch {
      markStale();
      await pause(1);
    }
    // A server that does not wait, or cannot, is not asked without end.
    if (Date.now() - asked < 500) await pause(state === "running" ? 5 : 1);
  }
}

/** Keeps up to date what has no event, such as the time that is left to extend: until the page is another one. */
async function refresh({ base, session, state }) {
  for (;;) {
    await pause(5);
    await visible();
    try {
      const page = await fetchPage(`${base}/sessions/${session}`);
      if (page?.getElementById("session")?.dataset.state !== state) return;
      for (const part of document.querySelectorAll("[data-live]")) {
        if (page.getElementById(part.id)) update(part, page, "session-title");
      }
      writeTimes();
      markFresh();
    } catch {
      markStale();
    }
  }
}

/** Follows the session until it has another state than the page shows. */
async function follow(panel) {
  const { base, session, state, keep } = panel.dataset;
  if (state === "ended" || state === "failed") return;
  const all = [awaitChange(panel.dataset)];
  if (state === "running") all.push(refresh(panel.dataset));
  await Promise.race(all);
  // A link that is shown once must not vanish by itself.
  if (keep !== undefined) {
    document.querySelector("#session .badge").textContent = "Changed: reload for the present state";
    return;
  }
  location.replace(`${base}/sessions/${session}`);
}

writeTimes();
copyButtons();
cancelButtons();
// What went wrong, or was done: browsers differ in whether `autofocus` reaches it.
document.querySelector("#errors, #done")?.focus();
// What has been done is said once.
if (document.getElementById("done")) history.replaceState(null, "", location.pathname);
const panel = document.getElementById("session");
if (panel) follow(panel);
