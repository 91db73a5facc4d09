// The clipboard: a panel for text both ways, and by itself where the browser allows it.

const byId = (id) => document.getElementById(id);
/** QEMU silently drops more than this, as UTF-8 with its length and end. */
const LONGEST = (1 << 19) - 8;

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
  let last = '';

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
    said.textContent = 'Sent. Paste it on the machine.';
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
    connection.rfb.addEventListener('clipboard', (event) => {
      last = event.detail.text;
      field.value = last;
      copy(last);
    });
    offer();
    pick();
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
