// Keeps the monitor up to date in place: what has not changed is not touched, so nothing flickers, and
// focus, open confirmations and the place on the page stay. The page works without this, too.

import { fetchPage } from "./live.js";

const EVERY = 3000;
const PICTURE_EVERY = 6000;

const monitor = document.getElementById("monitor");
const freshness = document.getElementById("freshness");
const { base } = monitor.dataset;

/** True for two elements of which one can be made the other. */
const alike = (now, next) => now?.tagName === next.tagName && now.id === next.id && now.className === next.className;

/** What belongs to the reader or to another script: an open confirmation, the hint on a time, a picture. */
const kept = (element, name) =>
  (name === "open" && element.tagName === "DETAILS") || name === "title" || (name === "src" && element.tagName === "IMG");

function attributes(now, next) {
  for (const { name, value } of [...next.attributes]) {
    if (!kept(now, name) && now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  for (const { name } of [...now.attributes]) {
    if (!kept(now, name) && !next.hasAttribute(name)) now.removeAttribute(name);
  }
}

/** The child that shall stand here: the one of that id, or the one that stands here already. */
function partner(parent, at, next) {
  const left = [...parent.children].slice(at);
  const found = next.id ? left.find((child) => child.id === next.id) : left[0];
  return alike(found, next) ? found : null;
}

/** Makes `now` what `next` is, node by node. */
function morph(now, next) {
  if (now.isEqualNode(next)) return;
  // An old token is as good as a new one.
  if (now.name === "csrf") return;
  attributes(now, next);
  const fresh = [...next.children];
  if (fresh.length === 0) {
    if (now.textContent !== next.textContent) now.textContent = next.textContent;
    return;
  }
  fresh.forEach((child, at) => {
    const old = partner(now, at, child);
    if (old && now.children[at] !== old) {
      // Those before it are gone: nothing is moved, or it would lose its focus.
      while (now.children[at] !== old) now.children[at].remove();
    }
    if (old) morph(old, child);
    else now.insertBefore(document.adoptNode(child), now.children[at] ?? null);
  });
  while (now.children.length > fresh.length) now.lastElementChild.remove();
}

function update(page) {
  const focused = document.activeElement;
  morph(monitor, page.getElementById("monitor"));
  // The row that had the focus is gone: the next best is the table it stood in.
  if (focused !== document.body && !focused.isConnected) document.getElementById("all-title")?.focus();
}

/** Fetches all pictures anew, and shows each once it is whole. */
function pictures() {
  for (const shown of monitor.querySelectorAll("img.shot")) {
    const next = shown.cloneNode();
    next.loading = "eager";
    next.src = `${shown.src.split("?")[0]}?${Date.now()}`;
    next.decode().then(() => shown.replaceWith(next), () => {});
  }
}

const time = () => new Date().toLocaleTimeString();
let good = time();

async function refresh() {
  if (document.hidden) return;
  try {
    const page = await fetchPage(`${base}/monitor`);
    // Signed out, or no administrator any more: the server says which.
    if (!page?.getElementById("monitor")) return location.reload();
    update(page);
    good = time();
    freshness.textContent = "";
  } catch {
    freshness.textContent = `Not refreshed since ${good}: the server does not answer.`;
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
