// Makes a list of sessions follow what happens. The list is readable without this, too.

import { ask, fetchPage, markFresh, markStale, pause, update, visible } from "./live.js";
import { writeTimes } from "./times.js";

/** Seconds until the server is asked again, where it has no place for one who waits. */
const AGAIN = 5;
/** Seconds between two pictures of a screen. */
const PICTURE_EVERY = 20;

const list = document.getElementById("list");

/** The states on the page, by session. */
function states() {
  const badges = [...list.querySelectorAll(".tile .badge")];
  return new Map(badges.map((badge) => [badge.closest(".tile").id, `${badge.closest("h3").querySelector("a").textContent}: ${badge.textContent}`]));
}

/** For those who do not see it. */
function sayChanges(before) {
  const changed = [...states()].filter(([id, state]) => before.get(id) !== state).map(([, state]) => state);
  if (changed.length > 0) document.getElementById("changes").textContent = changed.join(". ");
}

/** The form to start a session, while it is closed: nothing that somebody has typed is lost with it. */
function replaceClosedForm(page) {
  const [now, next] = [document.getElementById("start"), page.getElementById("start")];
  if (now?.tagName !== "SECTION" || !next || now.isEqualNode(next)) return;
  now.replaceWith(document.adoptNode(next));
  document.dispatchEvent(new Event("form-opened"));
}

/** Waits until the list has changed; true if it has, null if it is not ours any more. */
async function awaitChange() {
  const asked = Date.now();
  const { base, version, all } = list.dataset;
  const answer = await ask(`${base}/api/v1/sessions?wait=${version}${all === undefined ? "" : "&all=1"}`, "application/json");
  if (!answer.ok) return null;
  const changed = (await answer.json()).version !== version;
  markFresh();
  if (!changed && Date.now() - asked < 500) await pause(AGAIN);
  return changed;
}

/** Brings the list up to date; false if it is not ours any more. */
async function refresh() {
  const page = await fetchPage(list.dataset.base + list.dataset.page);
  if (!page?.getElementById("list")) return false;
  const before = states();
  update(list, page, "list-title");
  replaceClosedForm(page);
  writeTimes();
  sayChanges(before);
  drawPictures();
  return true;
}

async function follow() {
  for (;;) {
    await visible();
    try {
      const changed = await awaitChange();
      const isOurs = changed ? await refresh() : changed !== null;
      // Signed out: the page says so, unless it has a form that somebody may be filling in.
      if (!isOurs) return document.querySelector("form#start") ? undefined : location.reload();
    } catch {
      markStale();
      await pause(2);
    }
  }
}

let drawing = false;
let drawAgain = false;

async function draw(shown) {
  const next = new Image();
  next.src = `${shown.dataset.src}?${Date.now()}`;
  // None is better than one of another time.
  const whole = await next.decode().then(() => true, () => false);
  if (whole) shown.src = next.src;
  shown.hidden = !whole;
}

/** Fetches the pictures of all screens, one after the other, and shows each once it is whole. */
async function drawPictures() {
  drawAgain = true;
  if (drawing || document.hidden) return;
  drawing = true;
  while (drawAgain) {
    drawAgain = false;
    for (const shown of list.querySelectorAll("img.shot")) await draw(shown);
  }
  drawing = false;
}

if (list) {
  follow();
  drawPictures();
  setInterval(drawPictures, PICTURE_EVERY * 1000);
  document.addEventListener("visibilitychange", drawPictures);
}
