// Warns before the session's end, lets whoever may extend it, and says when the session is paused or being stopped. The server is asked at each step,
// since the session may have been extended from elsewhere; the keyboard stays with the machine.

import * as api from './screen-api.js';

const page = document.documentElement.dataset;
/** Seconds before the end; 0: never. The second warning comes when a third is left. */
const AHEAD = Number(page.warn);
const HOUR = 3600;
/** Milliseconds between two looks while there is a warning, and the longest without one. */
const OFTEN = 5000;
const SELDOM = 3600000;
const TITLES = { soon: 'This session ends soon.', late: 'This session is about to end.', over: 'Shutting down…', paused: 'Session paused.' };
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
  let ending = false;
  /** Why the guest is paused, as a text. */
  let paused = '';
  let timer = 0;
  let announced = '';
  let closed = '';

  const left = () => session.expires_at - api.now();
  const stage = () => {
    if (page.state === 'ended') {
      return '';
    }
    // The display tells, whoever stops the session; at its own end the clock is as good.
    if (ending || (session?.expires_at && left() <= 0)) {
      return 'over';
    }
    if (AHEAD && session?.expires_at && left() <= AHEAD) {
      return left() <= AHEAD / 3 ? 'late' : 'soon';
    }
    return paused ? 'paused' : '';
  };
  /** A pause within a stage is a notice of its own: announced, and shown although the one before it was hidden. */
  const notice = (now) => (now === 'over' || now === '' ? now : `${now} ${paused}`);

  const time = (now) => (now === 'over' || now === 'paused' ? '' : `${span(left())} left.`);
  const extension = () => {
    if (step(session)) {
      return 'Save your work elsewhere, or extend it.';
    }
    if (api.isGuest) {
      return `Save your work elsewhere, or ask ${session.owner} to extend it.`;
    }
    return 'It cannot be extended any further: save your work elsewhere.';
  };
  const advice = (now) => {
    if (now === 'over') {
      return 'The session is being stopped.';
    }
    if (now === 'paused') {
      return paused;
    }
    return paused ? `Session paused: ${paused} ${extension()}` : extension();
  };

  const show = () => {
    const now = stage();
    const hidden = now === '' || notice(now) === closed;
    if (hidden && card.contains(document.activeElement)) {
      connection.rfb?.focus();
    }
    card.hidden = hidden;
    if (notice(now) !== announced) {
      announced = notice(now);
      byId('ending-title').textContent = TITLES[now] ?? '';
      // For those who do not see it: once for each notice, not at every tick of the clock.
      byId('ending-said').textContent = now ? `${TITLES[now]} ${time(now)} ${advice(now)}` : '';
      byId('ending-trouble').textContent = '';
      page.ending = now === 'over' ? 'yes' : '';
      connection.dispatchEvent(new Event('ending'));
    }
    if (now) {
      const room = now === 'over' || now === 'paused' ? 0 : step(session);
      card.dataset.stage = now;
      byId('ending-left').textContent = time(now);
      byId('ending-advice').textContent = advice(now);
      byId('ending-extend').hidden = !room;
      byId('ending-extend').textContent = `Extend by ${span(room)}`;
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
    const wait = stage() ? OFTEN : Math.min(SELDOM, Math.max(1000, (left() - AHEAD) * 1000));
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
  connection.addEventListener('notice', ({ detail }) => {
    if ('ending' in detail) {
      ending = detail.ending;
      paused = detail.paused ?? '';
      show();
    }
  });
  connection.addEventListener('open', look);
  connection.addEventListener('state', show);
  document.addEventListener('visibilitychange', look);
  // The pointer on a button does not take the keyboard from the machine.
  card.addEventListener('pointerdown', (event) => event.preventDefault());
  card.addEventListener('mousedown', (event) => event.preventDefault());
  byId('ending-extend').addEventListener('click', extend);
  byId('ending-close').addEventListener('click', () => {
    closed = notice(stage());
    show();
  });
}
