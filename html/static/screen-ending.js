// Warns before the session's end, and lets whoever may extend it. The server is asked at each step,
// since the session may have been extended from elsewhere; the keyboard stays with the machine.

import * as api from './screen-api.js';

const page = document.documentElement.dataset;
/** Seconds before the end; 0: never. The second warning comes when a third is left. */
const AHEAD = Number(page.warn);
const HOUR = 3600;
/** Milliseconds between two looks while there is a warning, and the longest without one. */
const OFTEN = 5000;
const SELDOM = 3600000;
const byId = (id) => document.getElementById(id);

function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) {
    return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  }
  return minutes > 0 ? `${minutes} min` : `${Math.max(0, Math.floor(seconds))} s`;
}

/** Seconds that the session can be extended by at a press of the button; 0: by none worth it. */
function step({ expires_at: end, extendable_until: latest }) {
  const room = latest === 0 ? HOUR : Math.min(HOUR, latest - end);
  return api.isGuest || room < 60 ? 0 : room;
}

export function setUpEnding(connection) {
  const card = byId('ending');
  let session = null;
  let timer = 0;
  let told = '';
  let closed = '';

  const left = () => session.expires_at - api.now();
  const stage = () => {
    if (!AHEAD || !session?.expires_at || left() > AHEAD || left() <= 0 || page.state === 'ended') {
      return '';
    }
    return left() <= AHEAD / 3 ? 'late' : 'soon';
  };

  const advice = () => {
    if (step(session)) {
      return 'Save your work elsewhere, or extend it.';
    }
    if (api.isGuest) {
      return `Save your work elsewhere, or ask ${session.owner} to extend it.`;
    }
    return 'It cannot be extended any further: save your work elsewhere.';
  };

  const show = () => {
    const now = stage();
    const hidden = now === '' || now === closed;
    if (hidden && card.contains(document.activeElement)) {
      connection.rfb?.focus();
    }
    card.hidden = hidden;
    if (now !== told) {
      told = now;
      byId('ending-title').textContent = now === 'late' ? 'This session is about to end.' : 'This session ends soon.';
      // For those who do not see it: once at each stage, not at every tick of the clock.
      byId('ending-said').textContent = now ? `${byId('ending-title').textContent} ${span(left())} left. ${advice()}` : '';
      byId('ending-trouble').textContent = '';
    }
    if (now) {
      card.dataset.stage = now;
      byId('ending-left').textContent = `${span(left())} left.`;
      byId('ending-advice').textContent = advice();
      byId('ending-extend').hidden = !step(session);
      byId('ending-extend').textContent = `Extend by ${span(step(session))}`;
    } else {
      closed = '';
    }
  };

  /** Looks again when something is due. */
  const plan = () => {
    clearTimeout(timer);
    if (!AHEAD || !session?.expires_at || page.state === 'ended') {
      return;
    }
    const wait = stage() || left() <= 0 ? OFTEN : Math.min(SELDOM, Math.max(1000, (left() - AHEAD) * 1000));
    timer = setTimeout(look, wait);
  };

  const take = (fresh) => {
    session = fresh;
    show();
    plan();
  };

  const look = async () => {
    if (document.hidden) {
      // Whoever comes back to the page looks first.
      return;
    }
    // What is not answered is asked again; what was known goes on counting.
    take(await api.session().catch(() => session));
  };

  const extend = async () => {
    const button = byId('ending-extend');
    button.disabled = true;
    try {
      take(await api.extend(step(session)));
    } catch (error) {
      byId('ending-trouble').textContent = error.message;
    }
    button.disabled = false;
  };

  setInterval(() => card.hidden || show(), 1000);
  connection.addEventListener('open', look);
  connection.addEventListener('state', show);
  document.addEventListener('visibilitychange', look);
  // The pointer on a button does not take the keyboard from the machine.
  card.addEventListener('pointerdown', (event) => event.preventDefault());
  card.addEventListener('mousedown', (event) => event.preventDefault());
  byId('ending-extend').addEventListener('click', extend);
  byId('ending-close').addEventListener('click', () => {
    closed = stage();
    show();
  });
}
