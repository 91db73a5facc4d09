// The picture's size: scaled to the window or not, and whether the machine follows the window.

import { isGuest } from './screen-api.js';

const byId = (id) => document.getElementById(id);
/** A machine that follows does so within this many milliseconds. */
const SOON = 2500;

/** Choices outlive the page where the browser allows it. */
const memory = {
  get(name, otherwise) {
    try {
      return localStorage.getItem(`qwd-${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`qwd-${name}`, value);
    } catch {
      // It holds as long as the page, then.
    }
  },
};

export function setUpSize(connection) {
  const scales = [...document.querySelectorAll('input[name="scale"]')];
  const follow = byId('follow');
  const drag = byId('drag');
  const said = byId('follow-said');
  let timer = 0;

  const apply = () => {
    const { rfb } = connection;
    const fit = scales.find((scale) => scale.checked).value === 'fit';
    document.body.classList.toggle('fit', fit);
    if (!rfb) {
      return;
    }
    rfb.scaleViewport = fit;
    // Without this a picture larger than the window has scroll bars, which fingers cannot reach.
    byId('drag-row').hidden = fit;
    rfb.clipViewport = !fit && drag.checked;
    rfb.dragViewport = rfb.clipViewport;
    // A touch keyboard takes half the window: no reason to change the machine's screen.
    rfb.resizeSession = follow.checked && connection.canControl && byId('strip').hidden;
    check();
  };

  /** There is no other way to know whether the machine follows than to look. */
  const check = () => {
    clearTimeout(timer);
    said.textContent = '';
    if (connection.rfb?.resizeSession) {
      timer = setTimeout(() => {
        const canvas = document.querySelector('#screen canvas');
        const stage = byId('screen').getBoundingClientRect();
        const near = (a, b) => Math.abs(a - b) <= 16;
        const same = !canvas || (near(canvas.width, stage.width) && near(canvas.height, stage.height));
        said.textContent = same ? '' : `This machine keeps its own size (${canvas.width} × ${canvas.height}).`;
      }, SOON);
    }
  };

  scales.forEach((scale) => {
    scale.checked = scale.value === memory.get('scale', 'fit');
    scale.addEventListener('change', () => {
      memory.set('scale', scale.value);
      apply();
    });
  });
  // A telephone's size is no use to a desktop, and of several viewers only one can be followed.
  const leads = !isGuest && !matchMedia('(pointer: coarse)').matches;
  follow.checked = memory.get('follow', leads ? 'yes' : 'no') === 'yes';
  follow.addEventListener('change', () => {
    memory.set('follow', follow.checked ? 'yes' : 'no');
    apply();
  });
  drag.addEventListener('change', apply);
  connection.addEventListener('open', apply);
  addEventListener('resize', check);
  byId('strip').addEventListener('toggle', apply);
}
