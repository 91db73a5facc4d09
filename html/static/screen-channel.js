// The WebSocket of a screen as noVNC takes it: any object with these members. Text frames are the display's notices to
// this page; noVNC never sees them. Each is answered from the message's own handler, and silence is counted in ticks that
// a message clears: browsers slow down the timers of hidden pages, but not their messages.

/** Milliseconds of a tick. */
const TICK = 1000;
/** So many ticks without a message: the connection is dead. The display sends a notice every 4 seconds. */
const SILENT = 12;
/** After a gap between two ticks (the device slept, the page was hidden) what has arrived has so many to be read. */
const GRACE = 2;
const EMPTY = new Uint8Array(0);

export class Channel {
  binaryType = 'arraybuffer';
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  /** The code and the reason of its end. */
  code = 0;
  reason = '';
  #socket;
  #notify;
  #dead = false;
  #quiet = 0;
  #ticked = Date.now();
  #timer = 0;

  /** `notify` gets each notice. */
  constructor(url, protocols, notify) {
    this.#notify = notify;
    this.#socket = new WebSocket(url, protocols);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = (event) => {
      this.#ticked = Date.now();
      this.#timer = setInterval(() => this.#tick(), TICK);
      this.onopen?.(event);
    };
    this.#socket.onmessage = (event) => this.#take(event);
    this.#socket.onerror = (event) => this.onerror?.(event);
    this.#socket.onclose = (event) => this.#end(event);
  }

  get protocol() {
    return this.#socket.protocol;
  }

  get readyState() {
    return this.#dead ? WebSocket.CLOSED : this.#socket.readyState;
  }

  send(data) {
    this.#socket.send(data);
  }

  close(code, reason) {
    this.#socket.close(code, reason);
  }

  /** Ends it at once; a closing handshake would be waited for. */
  drop() {
    if (!this.#dead) {
      this.#socket.onmessage = null;
      this.#socket.onclose = null;
      this.#socket.close();
      this.#end({ code: 1006, reason: '', wasClean: false });
    }
  }

  #end(event) {
    this.#dead = true;
    clearInterval(this.#timer);
    this.code = event.code;
    this.reason = event.reason;
    this.onclose?.(event);
  }

  #take(event) {
    this.#quiet = 0;
    if (typeof event.data !== 'string') {
      this.onmessage?.(event);
      return;
    }
    this.#socket.send(EMPTY);
    try {
      this.#notify(JSON.parse(event.data));
    } catch (error) {
      console.warn('A notice of the display was not understood:', error);
    }
  }

  #tick() {
    const now = Date.now();
    if (now - this.#ticked > 5 * TICK) {
      this.#quiet = Math.max(this.#quiet, SILENT - GRACE);
    }
    this.#ticked = now;
    this.#quiet += 1;
    if (this.#quiet > SILENT) {
      this.drop();
    }
  }
}
