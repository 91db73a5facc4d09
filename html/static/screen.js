// The screen's page: puts its parts together. Each part is a module of its own; the connection is
// what they share. Nothing is global but the state, in <html data-state>.

import { setUpBar } from './screen-bar.js';
import { setUpClipboard } from './screen-clipboard.js';
import { Connection } from './screen-connection.js';
import { setUpEnding } from './screen-ending.js';
import { setUpKeys } from './screen-keys.js';
import { setUpPeople } from './screen-people.js';
import { setUpSize } from './screen-size.js';
import { setUpState } from './screen-state.js';
import { setUpTyping } from './screen-typing.js';

const connection = new Connection(document.getElementById('screen'));
setUpState(connection);
setUpBar(connection);
setUpSize(connection);
setUpKeys(connection);
setUpTyping(connection);
setUpClipboard(connection);
setUpEnding(connection);
setUpPeople(connection);
connection.run();
