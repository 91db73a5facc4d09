// Keys that a browser keeps for itself or a touch keyboard does not have.

/** X11 keysym and the place of the key, which is what a machine without a keymap goes by. */
const KEYS = {
  Control: [0xffe3, 'ControlLeft'],
  Alt: [0xffe9, 'AltLeft'],
  Super: [0xffeb, 'MetaLeft'],
  Delete: [0xffff, 'Delete'],
  Backspace: [0xff08, 'Backspace'],
  Tab: [0xff09, 'Tab'],
  Return: [0xff0d, 'Enter'],
  Escape: [0xff1b, 'Escape'],
  Print: [0xff61, 'PrintScreen'],
  Home: [0xff50, 'Home'],
  Left: [0xff51, 'ArrowLeft'],
  Up: [0xff52, 'ArrowUp'],
  Right: [0xff53, 'ArrowRight'],
  Down: [0xff54, 'ArrowDown'],
  End: [0xff57, 'End'],
  F1: [0xffbe, 'F1'],
  F2: [0xffbf, 'F2'],
  F4: [0xffc1, 'F4'],
  T: [0x74, 'KeyT'],
};

/** The keys of the strip that stay down until the next key. */
const held = () => [...document.querySelectorAll('[data-hold][aria-pressed="true"]')];

/** Presses the keys in order and lets go of them in reverse: `[[keysym, code], …]`. */
export function press(rfb, keys) {
  const holding = held().map((button) => KEYS[button.dataset.hold]);
  const all = [...holding, ...keys];
  all.forEach(([keysym, code]) => rfb.sendKey(keysym, code, true));
  all.reverse().forEach(([keysym, code]) => rfb.sendKey(keysym, code, false));
  held().forEach((button) => button.setAttribute('aria-pressed', 'false'));
}

/** A key by the name it has here. */
export const named = (name) => KEYS[name];

export function setUpKeys(connection) {
  for (const button of document.querySelectorAll('[data-keys]')) {
    // The touch keyboard would close if a button took the focus.
    button.addEventListener('pointerdown', (event) => button.closest('#strip') && event.preventDefault());
    button.addEventListener('click', () => {
      if (connection.rfb) {
        press(connection.rfb, button.dataset.keys.split(' ').map(named));
      }
    });
  }
  for (const button of document.querySelectorAll('[data-hold]')) {
    button.addEventListener('pointerdown', (event) => event.preventDefault());
    button.addEventListener('click', () => {
      const down = button.getAttribute('aria-pressed') === 'true';
      button.setAttribute('aria-pressed', String(!down));
    });
  }
}
