// Shows the connection's state: in words, in the title, and for tests in <html data-state>.

const page = document.documentElement.dataset;
const WORDS = { connecting: 'connecting', connected: '', lost: 'connection lost', ended: 'ended' };
/** What does nothing without a machine behind it. */
const NEEDS = '[data-keys], [data-hold], #clipboard-send, #clipboard-type, #typing-open';
const byId = (id) => document.getElementById(id);

/** Keeps the last picture, dimmed, behind the message. */
function keepPicture(canvas) {
  const still = byId('still');
  if (canvas?.width && canvas.height) {
    still.width = canvas.width;
    still.height = canvas.height;
    still.getContext('2d').drawImage(canvas, 0, 0);
    still.hidden = false;
  }
}

const word = () => (page.state === 'connected' && page.ending ? 'shutting down' : WORDS[page.state]);

/** The word beside the machine's name, and in the title. */
function showWord() {
  byId('word').textContent = word();
  const name = page.machine || 'Shared screen';
  document.title = word() ? `${name} – ${word()}` : name;
}

function show({ state, title, text }) {
  page.state = state;
  byId('title').textContent = title;
  byId('text').textContent = text;
  byId('text').hidden = !text;
  byId('message').hidden = state === 'connected';
  document.querySelectorAll(NEEDS).forEach((button) => {
    button.disabled = state !== 'connected';
  });
  byId('again').hidden = state !== 'lost';
  byId('leave').hidden = state !== 'ended' && state !== 'lost';
  if (page.machine) {
    byId('machine').textContent = page.machine;
  }
  byId('whose').textContent = page.owner ? `${page.owner}’s session` : '';
  showWord();
}

export function setUpState(connection) {
  let canvas = null;
  connection.addEventListener('state', (event) => show(event.detail));
  connection.addEventListener('ending', showWord);
  connection.addEventListener('open', () => {
    byId('still').hidden = true;
    canvas = document.querySelector('#screen canvas');
    // Whoever is at the bar stays there.
    if (document.activeElement === document.body) {
      connection.rfb.focus();
    }
  });
  // noVNC has taken its canvas away already, but not what is on it.
  connection.addEventListener('close', () => keepPicture(canvas));
  // Ctrl+W, for example, which deletes a word on the machine. Only who controls it is asked, and not by our own links.
  let follows = false;
  document.addEventListener('click', ({ target }) => {
    follows = Boolean(target.closest?.('a'));
  });
  addEventListener('beforeunload', (event) => {
    if (connection.rfb && connection.canControl && !follows && !page.ending) {
      event.preventDefault();
      // For browsers that know only this.
      event.returnValue = '';
    }
  });
  byId('again').addEventListener('click', () => connection.now());
}
