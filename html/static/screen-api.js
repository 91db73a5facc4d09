// What the page asks of the portal.

import * as link from './screen-link.js';

const page = document.documentElement.dataset;

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

async function call(method, path, body) {
  const headers = { Accept: 'application/json' };
  if (body) {
    headers['Content-Type'] = 'application/json';
    headers['X-CSRF-Token'] = page.csrf;
  }
  const options = { method, headers, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(75000) };
  let answer;
  try {
    answer = await fetch(`${page.base}/api/v1/${path}`, body ? { ...options, body: JSON.stringify(body) } : options);
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
