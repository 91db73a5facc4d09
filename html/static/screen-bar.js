// The bar and its panels: opening, hiding, full screen, and getting there from a grabbed keyboard.

const byId = (id) => document.getElementById(id);
const PANELS = ['clipboard', 'keys', 'people', 'size'];
const MODIFIERS = [[0xffe3, 'ControlLeft'], [0xffe9, 'AltLeft'], [0xffe1, 'ShiftLeft']];

function openPanel(name) {
  for (const panel of PANELS) {
    byId(panel).hidden = panel !== name;
    byId(`${panel}-open`).setAttribute('aria-expanded', String(panel === name));
  }
  if (name) {
    byId(name).querySelector('textarea, button, input')?.focus();
  }
}

function showBar(shown) {
  document.body.classList.toggle('bare', !shown);
  byId('show').hidden = shown;
  if (!shown) {
    openPanel(null);
  }
}

function setUpPanels(connection) {
  for (const panel of PANELS) {
    const button = byId(`${panel}-open`);
    button.addEventListener('click', () => openPanel(byId(panel).hidden ? panel : null));
    byId(panel).addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        openPanel(null);
        button.focus();
      }
    });
  }
  byId('bar').addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      connection.rfb?.focus();
    }
  });
  // noVNC stops mouse events on their way up, so this listens on their way down.
  byId('stage').addEventListener('pointerdown', () => openPanel(null), true);
}

async function toggleFull() {
  if (document.fullscreenElement) {
    await document.exitFullscreen();
    return;
  }
  await document.documentElement.requestFullscreen({ navigationUI: 'hide' });
  // Where the browser can, Escape and the like then go to the machine.
  await navigator.keyboard?.lock?.().catch(() => {});
}

function setUpFull(connection) {
  const button = byId('full');
  button.hidden = !document.fullscreenEnabled;
  button.addEventListener('click', () => toggleFull().catch(() => {}));
  document.addEventListener('fullscreenchange', () => {
    const full = Boolean(document.fullscreenElement);
    button.setAttribute('aria-pressed', String(full));
    showBar(!full);
    connection.rfb?.focus();
  });
}

/** The three keys together reach the bar, since all others belong to the machine. */
function setUpEscape(connection) {
  const reach = (event) => {
    const modifier = ['Control', 'Alt', 'Shift'].includes(event.key);
    if (!modifier || !event.ctrlKey || !event.altKey || !event.shiftKey || event.repeat) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    for (const [keysym, code] of MODIFIERS) {
      connection.rfb?.sendKey(keysym, code, false);
    }
    showBar(true);
    // Who only looks has no keys to send.
    byId(connection.canControl ? 'keys-open' : 'size-open').focus();
  };
  addEventListener('keydown', reach, true);
}

export function setUpBar(connection) {
  setUpPanels(connection);
  setUpFull(connection);
  setUpEscape(connection);
  byId('hide').addEventListener('click', () => {
    showBar(false);
    connection.rfb?.focus();
  });
  byId('show').addEventListener('click', () => {
    showBar(true);
    byId('hide').focus();
  });
}
