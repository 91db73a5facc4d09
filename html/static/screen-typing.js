// Typing with a touch device's own keyboard, which sends text and not keys.
//
// A field out of sight has the focus and always holds some filler, so that a deletion can be seen.
// What appears behind the filler was typed.

import { named, press } from './screen-keys.js';
import { keysFor } from './screen-layout.js';

const byId = (id) => document.getElementById(id);
const FILLER = '\u00a0'.repeat(32);

function keysOf(character) {
  const point = character.codePointAt(0);
  // X11: Latin-1 stands for itself, all else is Unicode with a mark.
  return keysFor(character) ?? [[point < 0x100 ? point : 0x1000000 | point, null]];
}

export function setUpTyping(connection) {
  const field = byId('typing');
  const button = byId('typing-open');
  const strip = byId('strip');

  const refill = () => {
    field.value = FILLER;
    field.setSelectionRange(FILLER.length, FILLER.length);
  };
  const show = (shown) => {
    button.setAttribute('aria-pressed', String(shown));
    strip.hidden = !shown;
    if (connection.rfb) {
      // Pointing at the machine must not close the keyboard.
      connection.rfb.focusOnClick = !shown;
    }
    strip.dispatchEvent(new Event('toggle'));
  };

  button.addEventListener('click', () => {
    if (strip.hidden) {
      refill();
      field.focus();
      show(true);
    } else {
      field.blur();
      show(false);
    }
  });
  field.addEventListener('blur', () => show(false));
  field.addEventListener('input', (event) => {
    // A word that is being composed comes whole when it is done.
    if (event.isComposing || !connection.rfb) {
      return;
    }
    let same = 0;
    while (same < FILLER.length && field.value[same] === FILLER[same]) {
      same += 1;
    }
    for (let gone = same; gone < FILLER.length; gone += 1) {
      press(connection.rfb, [named('Backspace')]);
    }
    for (const character of field.value.slice(same)) {
      press(connection.rfb, keysOf(character));
    }
    refill();
  });
  field.addEventListener('compositionend', () => field.dispatchEvent(new Event('input')));
  connection.addEventListener('close', () => field.blur());
}
