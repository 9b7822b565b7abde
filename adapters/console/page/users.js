// Users: enrolling, browsing and unenrolling them.
import { $, make, once, quoted, say, visible } from './dom.js';
import { call, collectionPath, userPath } from './api.js';
import { face } from './picture.js';

const page = 25;
let chosen = () => ({ name: 'users', operations: [] });
let cursor; // of the next page
let loading = new AbortController();

/** Sets up the users; collection tells which one is chosen. */
export function setUpUsers(collection) {
  chosen = collection;
  $('enrol-form').addEventListener('submit', (event) => {
    event.preventDefault();
    once($('enrol'), enrol);
  });
  $('refresh').addEventListener('click', () => once($('refresh'), loadUsers));
  $('more').addEventListener('click', () => once($('more'), more));
  $('confirm-no').addEventListener('click', () => $('confirm').close());
}

async function enrol() {
  const { name } = chosen();
  const id = $('user').value;
  try {
    const picture = await face();
    say('enrol-message', 'Enrolling…');
    await call('POST', userPath(name, id), { face: picture });
    say('enrol-message', `${quoted(id)} is enrolled in ${name}.`, 'good');
    $('user').value = '';
    loadUsers(); // the next one can be enrolled meanwhile
  } catch (error) {
    say('enrol-message', error.status === 404 ? 'This user ID cannot be enrolled.' : error.message, 'bad');
  }
}

/** Shows the first page of the chosen collection. */
export async function loadUsers() {
  loading.abort();
  loading = new AbortController();
  cursor = undefined;
  $('rows').replaceChildren();
  $('users').hidden = true;
  $('more').hidden = true;
  say('users-message', '');
  if (chosen().operations.includes('read')) await more();
}

async function more() {
  const { signal } = loading;
  const query = new URLSearchParams({ limit: page, ...(cursor && { cursor }) });
  try {
    const answer = await call('GET', `${collectionPath(chosen().name)}?${query}`, undefined, signal);
    if (signal.aborted) return;
    const first = $('rows').children.length;
    $('rows').append(...answer.users.map(row));
    cursor = answer.cursor;
    $('users').hidden = $('rows').children.length === 0;
    $('more').hidden = cursor === undefined;
    say('users-message', $('users').hidden && !cursor ? `Nobody is enrolled in ${chosen().name}.` : '');
    if (first > 0 && $('more').hidden) $('rows').children[first]?.querySelector('button')?.focus();
  } catch (error) {
    if (!signal.aborted) say('users-message', error.message, 'bad');
  }
}

function row({ userId, faces }) {
  const latest = new Date(Math.max(...faces.map((one) => Date.parse(one.enrolledAt))));
  const time = make('time', { datetime: latest.toISOString(), title: latest.toLocaleString() },
    latest.toLocaleDateString(undefined, { dateStyle: 'medium' }));
  const actions = make('td');
  if (chosen().operations.includes('unenrol')) {
    const button = make('button', { type: 'button', class: 'secondary small', 'aria-label': `Unenrol ${quoted(userId)}` }, 'Unenrol');
    button.addEventListener('click', () => ask(userId, button));
    actions.append(button);
  }
  return make('tr', {}, make('th', { scope: 'row' }, make('bdi', {}, visible(userId))), make('td', {}, `${faces.length}`), make('td', {}, time), actions);
}

/** Asks for confirmation; the dialogue gives the focus back by itself. */
function ask(userId, button) {
  const { name } = chosen();
  $('confirm-title').textContent = `Unenrol ${quoted(userId)}?`;
  $('confirm-text').textContent = `All faces of ${quoted(userId)} in ${name} are removed at once and for good.`;
  $('confirm-yes').onclick = () => {
    $('confirm').close();
    once(button, () => unenrol(name, userId, button));
  };
  $('confirm').showModal();
  $('confirm-no').focus();
}

async function unenrol(name, userId, button) {
  try {
    await call('DELETE', userPath(name, userId));
    button.closest('tr').remove();
    $('refresh').focus();
    if ($('rows').children.length === 0) await loadUsers();
    say('users-message', `${quoted(userId)} is unenrolled from ${name}.`, 'good');
  } catch (error) {
    say('users-message', error.message, 'bad');
  }
}
