// Brings parts of a page up to date with what the server would send now, and leaves alone what has
// not changed, so that nothing flickers and nobody loses their place. A part is an element with an
// id and `data-live`; its children are told apart by their ids.

/** What an element says, without what differs each time (tokens) or is a script's own (times in words). */
function essence(element) {
  const copy = element.cloneNode(true);
  copy.querySelectorAll('input[name="csrf"]').forEach((input) => input.removeAttribute("value"));
  for (const time of copy.querySelectorAll("time")) {
    time.textContent = "";
    time.removeAttribute("title");
  }
  return copy.outerHTML;
}

/** Makes `now` say what `next` says, one child at a time. */
function merge(now, next) {
  if (essence(now) === essence(next)) return;
  const wanted = [...next.children].map((child) => {
    const old = child.id ? [...now.children].find((other) => other.id === child.id) : null;
    return old && essence(old) === essence(child) ? old : document.adoptNode(child);
  });
  for (const child of [...now.children]) {
    if (!wanted.includes(child)) child.remove();
  }
  wanted.forEach((child, at) => {
    if (now.children[at] !== child) now.insertBefore(child, now.children[at] ?? null);
  });
}

/** A list keeps its place where there is one on both sides: then its items are what is told apart. */
function mergePart(now, next) {
  const [list, fresh] = [now, next].map((part) => part.querySelector(":scope > ul"));
  if (list && fresh) {
    merge(list, fresh);
  } else {
    merge(now, next);
  }
}

/** Takes over all parts of a page that was fetched anew. */
export function update(fresh) {
  const focus = document.activeElement?.id;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next) mergePart(part, next);
  }
  // What had the focus may be there again, with other words around it.
  if (focus && document.activeElement === document.body) document.getElementById(focus)?.focus();
}

/** The page at this address as it is now; null if there is none for us (any more). */
export async function fetchPage(url) {
  const answer = await fetch(url, { cache: "no-store", headers: { Accept: "text/html" } });
  if (answer.status >= 500) throw new Error(answer.statusText);
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}
