// Makes parts of a page what the server would send now, and leaves alone what has not changed, so that nothing
// flickers, and focus, open confirmations and the place on the page stay.

/** No answer takes longer, but where the network loses all that is sent. */
const TIMEOUT = 15000;
/** A server that restarts is back within so many milliseconds: nothing is said of it. */
const GRACE = 5000;

/** Whether one element can be made the other. */
const alike = (now, next) => now?.tagName === next.tagName && now.id === next.id && now.className === next.className;

/** Attributes that belong to the reader or to a script: an open confirmation, the hint on a time, a picture. */
const KEPT = { DETAILS: ["open"], IMG: ["src", "hidden"], TIME: ["title"] };

function morphAttributes(now, next) {
  const kept = (name) => KEPT[now.tagName]?.includes(name);
  for (const { name, value } of [...next.attributes]) {
    if (!kept(name) && now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  for (const { name } of [...now.attributes]) {
    if (!kept(name) && !next.hasAttribute(name)) now.removeAttribute(name);
  }
}

/** The child that shall stand here: the one of that id, or the one that stands here already. */
function partner(parent, at, next) {
  const left = [...parent.children].slice(at);
  const found = next.id ? left.find((child) => child.id === next.id) : left[0];
  return alike(found, next) ? found : null;
}

/** The text of an element between its children. */
const ownText = (element) =>
  [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join(" ").trim();

/** Makes `now` what `next` is, node by node. */
export function morph(now, next) {
  if (now.isEqualNode(next)) return;
  // An old token is as good as a new one.
  if (now.name === "csrf") return;
  morphAttributes(now, next);
  // A script has written the same time in the reader's own way.
  if (now.tagName === "TIME") return;
  if (next.children.length === 0 || ownText(now) !== ownText(next)) {
    if (now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
    return;
  }
  const fresh = [...next.children];
  fresh.forEach((child, at) => {
    const old = partner(now, at, child);
    if (old && now.children[at] !== old) {
      // Those before it have ended: nothing is moved, or it would lose its focus.
      while (now.children[at] !== old) now.children[at].remove();
    }
    if (old) morph(old, child);
    else now.insertBefore(document.adoptNode(child), now.children[at] ?? null);
  });
  while (now.children.length > fresh.length) now.lastElementChild.remove();
}

/** Makes an element what it is on a fresh page; focus that is lost goes to another element. */
export function update(now, page, focus) {
  const focused = document.activeElement;
  morph(now, page.getElementById(now.id));
  if (focused !== document.body && !focused.isConnected) {
    (document.getElementById(focused.id) ?? document.getElementById(focus))?.focus();
  }
}

/** Asks the server; fails if it does not answer, or cannot now. */
export async function ask(url, type) {
  const options = { cache: "no-store", headers: { Accept: type }, signal: AbortSignal.timeout(TIMEOUT) };
  const answer = await fetch(url, options);
  if (answer.status >= 500 || answer.status === 429) throw new Error(answer.statusText);
  return answer;
}

/** The page at this address as it is now; null if there is none for us (any more). */
export async function fetchPage(url) {
  const answer = await ask(url, "text/html");
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

export const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Resolves when the page can be seen. */
export function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

let good = Date.now();
let failing = 0;

/** The page is as the server has it. */
export function markFresh() {
  good = Date.now();
  failing = 0;
  delete document.documentElement.dataset.stale;
  const notice = document.getElementById("freshness");
  if (notice) [notice.hidden, notice.textContent] = [true, ""];
}

/** The server did not answer: says so, unless it did a moment ago. */
export function markStale() {
  failing += 1;
  // One failure may be that of a page that is being left.
  if (failing < 2 || Date.now() - good < GRACE) return;
  document.documentElement.dataset.stale = "";
  const notice = document.getElementById("freshness");
  const time = new Date(good).toLocaleTimeString();
  const text = `The server does not answer. This page shows the state at ${time}, and is updated when it answers again.`;
  if (notice && notice.textContent !== text) [notice.hidden, notice.textContent] = [false, text];
}
