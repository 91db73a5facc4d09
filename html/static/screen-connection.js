// The connection: asks for a ticket, shows the screen, and does so again until there is an end to it.
//
//   connecting ──> connected ──> lost ──> connected …
//        └──────────────┴──────────┴────> ended
//
// Events: `state` with {state, title, text}; `open` and `close` around each time there is a picture; `notice` with what the
// display says beside it.

import * as api from './screen-api.js';
import { Channel } from './screen-channel.js';

const page = document.documentElement.dataset;
/** Milliseconds before each new attempt. */
const DELAYS = [200, 500, 1000, 2000, 4000, 5000];
/** Milliseconds without a screen after which the page finds out why. */
const BLOCKED_AFTER = 6000;
/** Milliseconds for the answer to the first request for a WebSocket. */
const UNANSWERED_AFTER = 8000;
/** A screen that lasted so long was a good one: the next attempt is a first one again. */
const GOOD = 5000;
/** Milliseconds between two looks whether the server is there again, and for each. */
const LOOK_EVERY = 700;
const LOOK_TIME = 2000;
/** Milliseconds for a WebSocket that shows whether any gets through. */
const CHECK_TIME = 5000;
/** The display's answer to a request that is none for a WebSocket. */
const WEBSOCKET_ONLY = 426;
const REVOKED = 1008;
/** Without a word, or silent. */
const BROKEN = 1006;

const BLOCKED = {
  title: 'WebSocket connections do not get through',
  text:
    'This page reaches the server, but the screen needs a WebSocket, which something on the way (a proxy or a firewall) ' +
    'does not pass on. Ask the administrator of this service for help. Trying again…',
};

/** Whether the display, where it answers a plain request, can be reached by a WebSocket: it accepts this one, and closes it. */
async function areWebSocketsBlocked(url) {
  const plain = await fetch(`${page.base}/display`, { cache: 'no-store', signal: AbortSignal.timeout(CHECK_TIME) })
    .catch(() => null);
  return plain?.status === WEBSOCKET_ONLY && !(await opensWebSocket(url));
}

function opensWebSocket(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, ['qwd.check']);
    const timer = setTimeout(() => socket.close(), CHECK_TIME);
    socket.addEventListener('open', () => resolve(true));
    // After an opening this changes nothing any more.
    for (const event of ['close', 'error']) {
      socket.addEventListener(event, () => resolve(false));
    }
    socket.addEventListener('close', () => clearTimeout(timer));
  });
}

export class Connection extends EventTarget {
  /** noVNC's object while there is a picture, else null. */
  rfb = null;
  #target;
  #wake = () => {};
  #channel = null;
  #renewed = false;
  /** Since when there has been no screen, as performance.now(); and what is known to keep it away. */
  #since = performance.now();
  #blocked = null;
  /** A WebSocket to the display has been opened, though it showed no screen. */
  #passes = false;

  constructor(target) {
    super();
    this.#target = target;
    // A page that comes back to life does not wait for its turn.
    addEventListener('online', () => this.now());
    document.addEventListener('visibilitychange', () => document.hidden || this.now());
  }

  /** Cuts the wait for the next attempt short. */
  now() {
    this.#wake();
  }

  /** Opens the screen anew, with the role that the page has now. */
  renew() {
    this.#renewed = this.#channel !== null;
    this.#channel?.drop();
  }

  get canControl() {
    return page.role === 'control';
  }

  /** Goes on until the session, or the right to see it, has ended. */
  async run() {
    this.#say('connecting', `Connecting to ${this.#name}…`);
    for (let failures = 0; ; failures += 1) {
      const begun = performance.now();
      const verdict = await this.#attempt().catch((error) => this.#explain(error));
      if (verdict.over) {
        this.#say('ended', verdict.title, verdict.text);
        return;
      }
      if (verdict.shown && performance.now() - begun > GOOD) {
        failures = 0;
      }
      this.#say(verdict.state, verdict.title, verdict.text);
      if (verdict.again) {
        continue;
      }
      if (verdict.unreachable) {
        await this.#untilReachable();
        failures = 0;
        continue;
      }
      // A start that goes well is no failure: it is looked at at an even pace.
      await this.#pause(verdict.soon ? DELAYS[1] : DELAYS[Math.min(failures, DELAYS.length - 1)]);
    }
  }

  get #name() {
    return page.machine || 'the shared screen';
  }

  #say(state, title, text = '') {
    this.dispatchEvent(new CustomEvent('state', { detail: { state, title, text } }));
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Asks again and again for as little as can be: what is really wanted comes once that is answered. */
  async #untilReachable() {
    do {
      await this.#pause(LOOK_EVERY);
    } while (!(await api.reachable(LOOK_TIME)));
  }

  /**
   * Gives up a WebSocket without an answer, to find out whether any gets through: browsers open one after the other. Where
   * they do, the next one is waited for. A session that starts takes its time.
   */
  async #doubt(channel) {
    if (!this.#passes && (await api.session()).state === 'running' && !this.rfb) {
      channel.drop();
    }
  }

  /** Finds out what keeps the screen away while the server answers otherwise, and says it. */
  async #explainAbsence() {
    this.#blocked = null;
    if (performance.now() - this.#since < BLOCKED_AFTER || !(await api.reachable(LOOK_TIME))) {
      return;
    }
    const blocked = await areWebSocketsBlocked(this.#url);
    this.#passes = !blocked;
    if (blocked) {
      this.#blocked = BLOCKED;
      this.#say(page.state, BLOCKED.title, BLOCKED.text);
    }
  }

  get #url() {
    return `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${page.base}/display`;
  }

  async #attempt() {
    const [{ default: RFB }, right] = await Promise.all([import('../novnc/core/rfb.js'), api.ticket()]);
    page.role = right.role;
    page.machine = right.session?.description || right.session?.machine || page.machine;
    page.owner = right.session?.owner ?? page.owner;
    const { code, reason } = await this.#show(RFB, right.ticket);
    if (this.#renewed) {
      this.#renewed = false;
      return { state: 'connecting', title: `Connecting to ${this.#name}…`, text: '', again: true };
    }
    if (code === BROKEN) {
      await this.#explainAbsence();
      // Nobody waits for an answer before it is said.
      const { state, title, text } = this.#lost();
      this.#say(state, title, text);
      if (!(await api.reachable(LOOK_TIME))) {
        return { shown: true, ...this.#lost('The server does not answer. Trying again…'), unreachable: true };
      }
    }
    return { shown: true, ...(await this.#judge(code, reason)) };
  }

  /** Shows the screen until it is closed; resolves to the channel, which has the reason. */
  #show(RFB, ticket) {
    const notify = (notice) => this.dispatchEvent(new CustomEvent('notice', { detail: notice }));
    const channel = new Channel(this.#url, ['qwd.v1', `qwd.ticket.${ticket}`], notify);
    this.#channel = channel;
    const rfb = new RFB(this.#target, channel, { shared: true });
    rfb.viewOnly = !this.canControl;
    rfb.background = 'transparent';
    const explain = setTimeout(() => this.#doubt(channel).catch(() => {}), UNANSWERED_AFTER);
    const begun = new Promise((resolve) => {
      rfb.addEventListener('connect', resolve);
      rfb.addEventListener('disconnect', resolve);
    });
    api.whileReachable((signal) => {
      signal.addEventListener('abort', () => channel.drop());
      return begun;
    });
    return new Promise((resolve) => {
      rfb.addEventListener('connect', () => {
        clearTimeout(explain);
        this.#blocked = null;
        this.rfb = rfb;
        this.#say('connected', 'Connected');
        this.dispatchEvent(new Event('open'));
      });
      rfb.addEventListener('disconnect', () => {
        clearTimeout(explain);
        this.#channel = null;
        this.#since = this.rfb ? performance.now() : this.#since;
        this.rfb = null;
        this.dispatchEvent(new Event('close'));
        resolve(channel);
      });
    });
  }

  /** What it means that the screen was closed. */
  async #judge(code, reason) {
    if (api.isGuest && code === REVOKED) {
      const title = reason === 'expired' ? 'The link has expired' : 'Your access has ended';
      const text = reason === 'expired' ? 'Ask the session’s owner for a new one.' : 'This screen is no longer shared with you.';
      return { over: true, title, text };
    }
    // A guest knows nothing of the session; asking for a ticket will tell.
    return api.isGuest ? this.#lost() : this.#look();
  }

  #lost(text = '') {
    const state = page.state === 'connecting' ? 'connecting' : 'lost';
    if (this.#blocked && !text) {
      return { state, ...this.#blocked };
    }
    const title = state === 'lost' ? 'Connection lost' : `Connecting to ${this.#name}…`;
    return { state, title, text: text || (state === 'lost' ? 'Trying again…' : '') };
  }

  /** Asks what has become of the session. */
  async #look() {
    const session = await api.session();
    switch (session.state) {
      case 'starting':
        return {
          state: 'connecting',
          soon: true,
          title: `${this.#name} is starting…`,
          text: 'The screen appears by itself.',
        };
      case 'stopping':
        return { state: 'lost', title: `${this.#name} is shutting down…`, text: '' };
      case 'failed':
        return { over: true, title: 'The session has failed', text: session.message };
      case 'ended':
        return { over: true, title: 'The session has ended', text: session.message };
      default:
        return this.#lost();
    }
  }

  /** What a refusal means. */
  async #explain(error) {
    if (!(error instanceof api.Refused)) {
      // noVNC could not be loaded, or did not like what it saw.
      return this.#lost('The viewer could not be started; trying again…');
    }
    if (error.passes) {
      return { ...this.#lost(error.message), unreachable: error.status === 0 };
    }
    if (error.word === 'wrong_state') {
      return api.isGuest ? this.#lost(error.message) : this.#look().catch((later) => this.#explain(later));
    }
    if (error.status === 401) {
      const text = 'Sign in again to see this screen; the session goes on.';
      return { over: true, title: 'You are signed out', text };
    }
    if (error.word === 'no_such_session' && !api.isGuest) {
      // No ticket any more, but how it ended is still told for a day.
      return this.#look().catch(() => ({ over: true, title: 'The session has ended', text: '' }));
    }
    return { over: true, title: 'This screen cannot be shown', text: error.message };
  }
}
