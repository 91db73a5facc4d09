// Who has the session on the screen: named in the bar and in a panel, announced as they come, leave and take control. An
// administrator only looks at another person's session until they take control.

const page = document.documentElement.dataset;
const byId = (id) => document.getElementById(id);
/** Milliseconds that an announcement can be read. */
const SHOWN = 7000;
/** Who is back within so many milliseconds had only lost the connection, or took another role. */
const BACK = 4000;
const ROLES = { control: 'control', view: 'view only' };

function nameOf({ name, standing, you, count }) {
  const who = name || (count > 1 ? `${count} guests` : 'Guest');
  const times = name && count > 1 ? ` ×${count}` : '';
  const mark = { owner: ' (owner)', administrator: ' (administrator)', guest: name ? ' (guest)' : '' }[standing] ?? '';
  return `${who}${you ? ' (you)' : mark}${times}`;
}

/** What tells a viewer from others in two lists. */
const keyOf = ({ name, standing }) => `${standing} ${name}`;

/** The lists as a count of each viewer in each role. */
function countsOf(viewers) {
  const counts = new Map();
  for (const viewer of viewers.filter((other) => !other.you)) {
    const known = counts.get(keyOf(viewer)) ?? { viewer, control: 0, view: 0 };
    known[viewer.role] += viewer.count;
    counts.set(keyOf(viewer), known);
  }
  return counts;
}

const NONE = { control: 0, view: 0 };
const all = ({ control, view }) => control + view;

/** Tells what has changed between two lists, one sentence for each viewer. */
class Announcer {
  #say;
  #before = null;
  #left = new Map();

  constructor(say) {
    this.#say = say;
  }

  /** The first list after this is no news. */
  reset() {
    this.#left.forEach(({ timer }) => clearTimeout(timer));
    this.#left.clear();
    this.#before = null;
  }

  take(viewers) {
    const now = countsOf(viewers);
    const before = this.#before ?? now;
    this.#before = now;
    for (const key of new Set([...before.keys(), ...now.keys()])) {
      this.#compare(key, before.get(key) ?? NONE, now.get(key) ?? NONE);
    }
  }

  #compare(key, before, now) {
    const viewer = (now.viewer ?? before.viewer);
    const who = nameOf({ ...viewer, count: 1 });
    const left = this.#left.get(key);
    if (all(now) < all(before)) {
      const timer = setTimeout(() => {
        this.#left.delete(key);
        this.#say(`${who} left.`);
      }, BACK);
      clearTimeout(left?.timer);
      this.#left.set(key, { timer, was: left?.was ?? before });
      return;
    }
    if (all(now) > all(before) && left) {
      clearTimeout(left.timer);
      this.#left.delete(key);
      this.#changed(who, left.was, now);
    } else if (all(now) > all(before)) {
      this.#say(`${who} joined (${ROLES[now.control > before.control ? 'control' : 'view']}).`);
    } else {
      this.#changed(who, before, now);
    }
  }

  #changed(who, before, now) {
    if (now.control > before.control) {
      this.#say(`${who} took control.`);
    } else if (now.control < before.control && now.view > before.view) {
      this.#say(`${who} gave up control (view only).`);
    }
  }
}

function list(viewers, more) {
  byId('people-list').replaceChildren(...viewers.map((viewer) => {
    const line = document.createElement('li');
    const role = document.createElement('span');
    role.className = 'badge';
    role.textContent = ROLES[viewer.role] ?? '';
    line.append(nameOf(viewer), ' ', role);
    return line;
  }));
  if (more) {
    const line = document.createElement('li');
    line.textContent = `and ${more} more`;
    byId('people-list').append(line);
  }
  byId('people-count').textContent = viewers.reduce((sum, { count }) => sum + count, more);
  const others = viewers.filter(({ you }) => !you).map((viewer) => `${nameOf(viewer)}: ${ROLES[viewer.role]}`);
  byId('others').textContent = others.length ? `With ${others.join(', ')}${more ? ` and ${more} more` : ''}` : '';
  byId('others').title = byId('others').textContent;
}

function setUpControl(connection) {
  const button = byId('take');
  if (!page.takes) {
    return;
  }
  const show = () => {
    button.hidden = page.state !== 'connected';
    button.textContent = connection.canControl ? 'Stop controlling' : 'Take control';
    button.title = connection.canControl ? '' : 'Everybody on this screen is told that you control it.';
  };
  button.addEventListener('click', () => {
    page.role = connection.canControl ? 'view' : 'control';
    connection.renew();
  });
  connection.addEventListener('state', show);
}

export function setUpPeople(connection) {
  const said = byId('people-said');
  let timer = 0;
  const announcer = new Announcer((text) => {
    clearTimeout(timer);
    said.textContent = said.textContent ? `${said.textContent} ${text}`.slice(-200) : text;
    timer = setTimeout(() => {
      said.textContent = '';
    }, SHOWN);
  });
  connection.addEventListener('close', () => announcer.reset());
  connection.addEventListener('notice', ({ detail: { viewers, more = 0 } }) => {
    if (viewers) {
      list(viewers, more);
      announcer.take(viewers);
    }
  });
  setUpControl(connection);
}
