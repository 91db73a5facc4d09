// The clipboard: a panel for text both ways, and by itself where the browser allows it.

import { press } from './screen-keys.js';
import { keysFor } from './screen-layout.js';

const byId = (id) => document.getElementById(id);
/** QEMU silently drops more than this, as UTF-8 with its length and end. */
const LONGEST = (1 << 19) - 8;

/** Milliseconds for each character that is typed: a machine's keyboard holds few keys. */
const TYPING = 25;
/** As many characters as are typed at a time: more than a minute is no typing. */
const TYPED = 2000;

/** Whether text may be read from this device without asking. */
async function mayRead() {
  try {
    return (await navigator.permissions.query({ name: 'clipboard-read' })).state;
  } catch {
    return 'denied';
  }
}

export function setUpClipboard(connection) {
  const field = byId('clipboard-text');
  const said = byId('clipboard-said');
  const auto = byId('clipboard-auto');
  const typeButton = byId('clipboard-type');
  let last = '';
  /** Whether the machine has a clipboard agent, as the display says; null: not known. */
  let agent = null;
  let sent = false;
  let typing = false;

  /** What becomes of text that was sent depends on the agent, of which the display tells a moment later. */
  const tell = () => {
    typeButton.hidden = agent !== false && !typing;
    if (typing || !sent) {
      return;
    }
    said.textContent = agent === false
      ? 'No clipboard agent is running on this desktop (spice-vdagent, for example), so it cannot paste the text. Type it as ' +
        'keys instead: click where it belongs, then “Type as keys”.'
      : 'Sent. Paste it on the remote desktop.';
  };

  /** Types the text, character by character; a second press of the button stops it. */
  const typeText = async (text) => {
    const characters = [...text.replace(/\r\n?/g, '\n')].slice(0, TYPED);
    const rfb = connection.rfb;
    let left = 0;
    typing = true;
    typeButton.textContent = 'Stop typing';
    for (const [at, character] of characters.entries()) {
      if (!typing || connection.rfb !== rfb) {
        break;
      }
      const keys = keysFor(character);
      if (keys) {
        press(rfb, keys);
        said.textContent = `Typing… ${at + 1} of ${characters.length}`;
        await new Promise((resolve) => setTimeout(resolve, TYPING));
      } else {
        left += 1;
      }
    }
    const cut = [...text].length > TYPED ? ` Only the first ${TYPED} characters were typed.` : '';
    const missing = left ? ` Left out: ${left} that a US keyboard does not have.` : '';
    said.textContent = `${typing ? 'Typed, as on a US keyboard.' : 'Stopped.'}${missing}${cut}`;
    typing = false;
    sent = false;
    typeButton.textContent = 'Type as keys';
  };

  const send = (text) => {
    if (!connection.rfb || !connection.canControl) {
      return;
    }
    if (new Blob([text]).size > LONGEST) {
      said.textContent = 'This is more text than can be sent (512 KiB).';
      return;
    }
    last = text;
    connection.rfb.clipboardPasteFrom(text);
    sent = true;
    tell();
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = 'Copied to this device.';
    } catch {
      said.textContent = 'Text from the machine is here; copy it with the button.';
    }
  };

  /** On coming back to the page: what was copied elsewhere meanwhile goes to the machine. */
  const pick = async () => {
    if (!connection.rfb || !connection.canControl || !document.hasFocus() || (await mayRead()) !== 'granted') {
      return;
    }
    const text = await navigator.clipboard.readText().catch(() => '');
    if (text && text !== last) {
      field.value = text;
      send(text);
    }
  };

  const offer = async () => {
    auto.hidden = !connection.canControl || (await mayRead()) !== 'prompt';
  };

  connection.addEventListener('open', () => {
    last = '';
    sent = false;
    // Who only looks on can copy what comes, and send nothing.
    field.readOnly = !connection.canControl;
    byId('clipboard-hint').textContent = connection.canControl
      ? 'Text copied on the remote desktop appears here. Text typed here can be sent to it.'
      : 'Text copied on the remote desktop appears here.';
    connection.rfb.addEventListener('clipboard', (event) => {
      last = event.detail.text;
      sent = false;
      field.value = last;
      copy(last);
    });
    offer();
    pick();
  });
  connection.addEventListener('notice', ({ detail }) => {
    if ('agent' in detail) {
      agent = detail.agent;
      tell();
    }
  });
  typeButton.addEventListener('click', () => {
    if (typing) {
      typing = false;
    } else if (connection.rfb && connection.canControl && field.value) {
      typeText(field.value);
    }
  });
  byId('clipboard-send').addEventListener('click', () => send(field.value));
  byId('clipboard-copy').addEventListener('click', () => {
    // Where the page is not served over https there is only the old way.
    field.select();
    if (navigator.clipboard) {
      copy(field.value);
    } else {
      document.execCommand('copy');
    }
  });
  auto.addEventListener('click', async () => {
    await navigator.clipboard.readText().catch(() => '');
    await offer();
    pick();
  });
  addEventListener('focus', pick);
}
