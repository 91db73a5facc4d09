// Where characters are on a US keyboard: QEMU presses keys, not characters, and adds no Shift by itself.

const ROWS = [
  ['Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal', '`1234567890-=', '~!@#$%^&*()_+'],
  ['KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Backslash', 'qwertyuiop[]\\', 'QWERTYUIOP{}|'],
  ['KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote', "asdfghjkl;'", 'ASDFGHJKL:"'],
  ['KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash', 'zxcvbnm,./', 'ZXCVBNM<>?'],
  ['Space', ' ', ''],
];

const SHIFT = [0xffe1, 'ShiftLeft'];
const keys = new Map([
  ['\n', [[0xff0d, 'Enter']]],
  ['\t', [[0xff09, 'Tab']]],
]);
for (const [codes, plain, shifted] of ROWS) {
  codes.split(' ').forEach((code, at) => {
    keys.set(plain[at], [[plain.charCodeAt(at), code]]);
    if (shifted[at]) {
      keys.set(shifted[at], [SHIFT, [shifted.charCodeAt(at), code]]);
    }
  });
}

/** The keys to press together for a character; undefined where a US keyboard has none. */
export const keysFor = (character) => keys.get(character);
