// What the page asks of the portal.

import * as link from './screen-link.js';

const page = document.documentElement.dataset;
/** Milliseconds of a call after which the server is asked whether it is there at all, and for the answer. */
const LOOK_AFTER = 5000;
const LOOK_TIME = 3000;
/** A session may take so long to start before the display gives a ticket up. */
const PATIENCE = 75000;

/** A request that did not succeed. `status` 0: nobody answered. */
export class Refused extends Error {
  constructor(status, word, message) {
    super(message);
    this.status = status;
    this.word = word;
  }

  /** The server may think otherwise in a moment. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** By how many milliseconds the server's clock is ahead of this device's. */
let ahead = 0;

/** Seconds since 1970 by the server's clock. */
export const now = () => (Date.now() + ahead) / 1000;

/** Whether the server answers at all within so many milliseconds: asked for a file, it has nothing to wait for. */
export async function reachable(milliseconds) {
  const options = { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(milliseconds) };
  return fetch(`${page.base}/static/icon.svg`, options).then(() => true, () => false);
}

/** Does what may take long; its signal is aborted once the server does not answer at all any more, or after too long. */
export async function whileReachable(work) {
  const lost = new AbortController();
  let done = false;
  const watch = async () => {
    for (let waited = 0; !done && waited < PATIENCE; waited += LOOK_AFTER) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_AFTER));
      if (!done && !(await reachable(LOOK_TIME))) {
        break;
      }
    }
    if (!done) {
      lost.abort();
    }
  };
  watch();
  try {
    return await work(lost.signal);
  } finally {
    done = true;
  }
}

async function call(method, path, body) {
  const headers = { Accept: 'application/json' };
  if (body) {
    headers['Content-Type'] = 'application/json';
    headers['X-CSRF-Token'] = page.csrf;
  }
  const options = { method, headers, cache: 'no-store', redirect: 'error', body: body && JSON.stringify(body) };
  let answer;
  try {
    answer = await whileReachable((signal) => fetch(`${page.base}/api/v1/${path}`, { ...options, signal }));
  } catch {
    throw new Refused(0, 'unreachable', 'The server does not answer.');
  }
  const date = Date.parse(answer.headers.get('Date'));
  if (!Number.isNaN(date)) {
    ahead = date - Date.now();
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const message = data.message ?? `The server answered with error ${answer.status}.`;
    throw new Refused(answer.status, data.error ?? '', message);
  }
  return data;
}

/** Whether this page came from a share link. */
export const isGuest = page.session === '';

function secret() {
  if (!link.secret()) {
    throw new Refused(403, 'bad_ticket', 'This link is not complete: copy it whole, with all that stands after the #.');
  }
  return link.secret();
}

/** The session, as the API shows it to its owner or to the holder of a link. */
export async function session() {
  if (isGuest) {
    return (await call('POST', 'look', { secret: secret() })).session;
  }
  return call('GET', `sessions/${encodeURIComponent(page.session)}`);
}

/** Moves the session's end away; the session as it is then. */
export function extend(seconds) {
  return call('POST', `sessions/${encodeURIComponent(page.session)}/extend`, { seconds });
}

/** A fresh ticket: `{ticket, role}`, for a guest with the `session`. */
export async function ticket() {
  if (isGuest) {
    const answer = await call('POST', 'join', { secret: secret() });
    link.replace(answer.secret);
    return answer;
  }
  const answer = await call('POST', `sessions/${encodeURIComponent(page.session)}/tickets`, { role: page.role });
  return { ticket: answer.ticket, role: page.role };
}
