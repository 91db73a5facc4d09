// The connection: asks for a ticket, shows the screen, and does so again until there is an end to it.
//
//   connecting ──> connected ──> lost ──> connected …
//        └──────────────┴──────────┴────> ended
//
// Events: `state` with {state, title, text}; `open` and `close` around each time there is a picture.

import * as api from './screen-api.js';

const page = document.documentElement.dataset;
/** Milliseconds before each new attempt. */
const DELAYS = [200, 500, 1000, 2000, 4000, 5000];
/** A screen that lasted so long was a good one: the next attempt is a first one again. */
const GOOD = 5000;
/** A session may take so long to start before the display gives the ticket up. */
const PATIENCE = 75000;
const REVOKED = 1008;

export class Connection extends EventTarget {
  /** noVNC's object while there is a picture, else null. */
  rfb = null;
  #target;
  #wake = () => {};

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

  async #attempt() {
    const [{ default: RFB }, right] = await Promise.all([import('../novnc/core/rfb.js'), api.ticket()]);
    page.role = right.role;
    page.machine = right.session?.description || right.session?.machine || page.machine;
    page.owner = right.session?.owner ?? page.owner;
    const code = await this.#show(RFB, right.ticket);
    return { shown: true, ...(await this.#judge(code)) };
  }

  /** Shows the screen until it is closed; resolves to the WebSocket's code. */
  #show(RFB, ticket) {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const url = `${scheme}//${location.host}${page.base}/display`;
    const socket = new WebSocket(url, ['qwd.v1', `qwd.ticket.${ticket}`]);
    const giveUp = setTimeout(() => socket.close(), PATIENCE);
    let code = 0;
    socket.addEventListener('close', (event) => {
      code = event.code;
    });
    const rfb = new RFB(this.#target, socket, { shared: true });
    rfb.viewOnly = !this.canControl;
    rfb.background = 'transparent';
    return new Promise((resolve) => {
      rfb.addEventListener('connect', () => {
        clearTimeout(giveUp);
        this.rfb = rfb;
        this.#say('connected', 'Connected');
        this.dispatchEvent(new Event('open'));
      });
      rfb.addEventListener('disconnect', () => {
        clearTimeout(giveUp);
        this.rfb = null;
        this.dispatchEvent(new Event('close'));
        resolve(code);
      });
    });
  }

  /** What it means that the screen was closed. */
  async #judge(code) {
    if (api.isGuest && code === REVOKED) {
      return { over: true, title: 'Your access has ended', text: 'This screen is no longer shared with you.' };
    }
    // A guest knows nothing of the session; asking for a ticket will tell.
    return api.isGuest ? this.#lost() : this.#look();
  }

  #lost(text = '') {
    const state = page.state === 'connecting' ? 'connecting' : 'lost';
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
      return this.#lost(error.message);
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
