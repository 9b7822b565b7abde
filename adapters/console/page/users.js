// Users: enrolling, browsing and unenrolling them.
import { $, make, once, quoted, say, visible } from './dom.js';
import { call, collectionPath, cursorFrom, facePath, userPath } from './api.js';
import { face } from './picture.js';

const page = 25;
const pause = 200; // milliseconds of rest before what is typed is asked about
const taken = 'provided userId already exists'; // as the API says it
let chosen = () => ({ name: 'users', operations: [] });
let cursor; // of the next page
let prefix = ''; // of the IDs that are shown
let loading = new AbortController();
let timer;

/** Sets up the users; collection tells which one is chosen. */
export function setUpUsers(collection) {
  chosen = collection;
  $('enrol-form').addEventListener('submit', (event) => {
    event.preventDefault();
    enrol('POST', '', 'is enrolled in');
  });
  $('replace').addEventListener('click', () => enrol('PUT', '', 'has this face alone in'));
  $('add-face').addEventListener('click', () => enrol('POST', '/faces', 'has one more face in'));
  $('user').addEventListener('input', () => {
    if ($('enrol-message').classList.contains('bad')) clearEnrol(); // it is about another ID
  });
  $('refresh').addEventListener('click', () => once($('refresh'), loadUsers));
  $('more').addEventListener('click', () => once($('more'), more));
  $('confirm-no').addEventListener('click', () => $('confirm').close());
  $('prefix').addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(loadUsers, pause);
  });
  document.addEventListener('click', ({ target }) => closeMenus(target));
  document.addEventListener('focusin', ({ target }) => closeMenus(target));
}

/** Takes away what was said about an earlier enrolment. */
export function clearEnrol() {
  $('exists').hidden = true;
  say('enrol-message', '');
}

/** Shows the users of all IDs again. */
export function clearFilter() {
  clearTimeout(timer);
  $('prefix').value = '';
}

/** Enrols the picture, or changes the faces of who is enrolled; one at a time. */
function enrol(method, below, what) {
  return once($('enrol'), async () => {
    const { name } = chosen();
    const id = $('user').value;
    const wasOffered = $('exists').contains(document.activeElement);
    clearEnrol();
    try {
      const picture = await face();
      say('enrol-message', 'Enrolling…');
      await call(method, userPath(name, id) + below, { face: picture });
      say('enrol-message', `${quoted(id)} ${what} ${name}.`, 'good');
      if ($('user').value === id) $('user').value = '';
      loadUsers(); // the next one can be enrolled meanwhile
    } catch (error) {
      say('enrol-message', error.status === 404 ? notFound(method, below) : error.message, 'bad');
      if (error.reasons?.includes(taken)) offer(id);
    }
    if (wasOffered) $('user').focus(); // the button is gone
  });
}

function notFound(method, below) {
  if (method === 'POST' && below === '') return 'This user ID cannot be enrolled.';
  return 'This user is not enrolled any more, or was enrolled by another client.';
}

/** Offers what can be done with an ID that is enrolled. */
function offer(id) {
  $('exists-text').textContent = `Replace removes all faces of ${quoted(id)} and enrols this one; Add a face keeps them and adds this one.`;
  $('exists').hidden = false;
}

/** Shows the first page of the chosen collection. */
export async function loadUsers() {
  loading.abort();
  loading = new AbortController();
  cursor = undefined;
  prefix = $('prefix').value.normalize('NFC');
  $('rows').replaceChildren();
  $('users').hidden = true;
  $('more').hidden = true;
  say('users-message', '');
  $('users-count').textContent = '';
  if (chosen().operations.includes('read')) await more();
}

async function more() {
  const { signal } = loading;
  const from = cursor ?? (prefix && cursorFrom(prefix));
  const query = new URLSearchParams({ limit: page, ...(from && { cursor: from }) });
  try {
    const answer = await call('GET', `${collectionPath(chosen().name)}?${query}`, undefined, signal);
    if (signal.aborted) return;
    const first = $('rows').children.length;
    // IDs that begin with the prefix follow one another.
    const users = answer.users.filter(({ userId }) => userId.startsWith(prefix));
    $('rows').append(...users.map(row));
    cursor = users.length === answer.users.length ? answer.cursor : undefined;
    report();
    if (first > 0 && $('more').hidden) $('rows').children[first]?.querySelector('button')?.focus();
  } catch (error) {
    if (signal.aborted) return;
    // Some texts, as those with a tab, are in no ID and open no page.
    if (error.status === 400 && prefix !== '') report();
    else say('users-message', error.message, 'bad');
  }
}

/** Says how many of the users are shown. */
function report() {
  const count = $('rows').children.length;
  const { name } = chosen();
  $('users').hidden = count === 0;
  $('more').hidden = cursor === undefined;
  if (count === 0 && prefix === '') say('users-message', `Nobody is enrolled in ${name}.`);
  else if (count === 0) say('users-message', `No user ID in ${name} begins with ${quoted(prefix)}. Upper and lower case differ.`);
  else say('users-message', '');
  const of = prefix === '' ? '' : ` whose ID begins with ${quoted(prefix)}`;
  const shown = `${count === 1 ? '1 user' : `${count} users`}${of}`;
  $('users-count').textContent = count === 0 ? '' : `${shown}${cursor === undefined ? ', all there are.' : ' are shown; there are more.'}`;
}

function row({ userId, faces, expiresAt }) {
  const enrolled = make('td', {}, timeOf(Math.max(...faces.map((one) => Date.parse(one.enrolledAt)))));
  if (expiresAt) enrolled.append(make('div', { class: 'note expires' }, 'expires ', timeOf(expiresAt)));
  const actions = make('td');
  if (chosen().operations.includes('unenrol')) actions.append(menu(userId));
  return make('tr', {}, make('th', { scope: 'row' }, make('bdi', {}, visible(userId))), make('td', {}, facesOf(userId, faces)), enrolled, actions);
}

/** The number of a user's faces; of several, each behind it. */
function facesOf(userId, faces) {
  if (faces.length === 1) return '1';
  const list = make('ul', { class: 'faces' }, ...faces.map((one, at) => {
    const item = make('li', {}, timeOf(one.enrolledAt));
    if (chosen().operations.includes('unenrol')) {
      const button = make('button', { type: 'button', class: 'danger small', 'aria-label': `Remove face ${at + 1} of ${faces.length} of ${quoted(userId)}` }, 'Remove…');
      button.addEventListener('click', () => askForFace(userId, one, faces.length, button));
      item.append(' ', button);
    }
    return item;
  }));
  return make('details', {}, make('summary', { 'aria-label': `${faces.length} faces of ${quoted(userId)}` }, `${faces.length}`), list);
}

/** A time as the browser's user reads it. */
function timeOf(text) {
  const at = new Date(text);
  return make('time', { datetime: at.toISOString(), title: at.toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'long' }) },
    at.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }));
}

/** What can be done to a user, behind a button. */
function menu(userId) {
  const button = make('button', { type: 'button', class: 'secondary small', 'aria-label': `Actions for ${quoted(userId)}`, 'aria-expanded': 'false' }, '⋯');
  const choice = make('button', { type: 'button', class: 'danger small', 'aria-label': `Unenrol ${quoted(userId)}` }, 'Unenrol…');
  const all = make('div', { class: 'menu' }, button, make('div', { class: 'choices', hidden: '' }, choice));
  button.addEventListener('click', () => openMenu(all, button.getAttribute('aria-expanded') === 'false'));
  all.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    openMenu(all, false);
    button.focus();
  });
  choice.addEventListener('click', () => {
    button.focus(); // which the dialogue gives back the focus to
    openMenu(all, false);
    ask(userId, button);
  });
  return all;
}

function openMenu(menu, open) {
  menu.firstChild.setAttribute('aria-expanded', open);
  menu.lastChild.hidden = !open;
}

/** Closes all menus but the one around an element. */
function closeMenus(around) {
  for (const one of document.querySelectorAll('.menu')) if (!one.contains(around)) openMenu(one, false);
}

function ask(userId, button) {
  const { name } = chosen();
  confirm(`Unenrol ${quoted(userId)}?`, `All faces of ${quoted(userId)} in ${name} are removed at once and for good.`, 'Unenrol',
    button, () => unenrol(name, userId, button));
}

function askForFace(userId, face, count, button) {
  const { name } = chosen();
  const at = timeOf(face.enrolledAt).textContent;
  confirm(`Remove a face of ${quoted(userId)}?`, `The face of ${at} is removed from ${name} at once and for good. ${count === 2 ? 'The other one stays.' : `The other ${count - 1} stay.`}`,
    'Remove', button, () => removeFace(name, userId, face, button));
}

/** Asks for confirmation; the dialogue gives the focus back by itself. */
function confirm(title, text, yes, button, work) {
  $('confirm-title').textContent = title;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  $('confirm-yes').onclick = () => {
    $('confirm').close();
    once(button, work);
  };
  $('confirm').showModal();
  $('confirm-no').focus();
}

async function removeFace(name, userId, face, button) {
  const old = button.closest('tr');
  try {
    await call('DELETE', facePath(name, userId, face.faceId));
    say('users-message', `A face of ${quoted(userId)} is removed from ${name}.`, 'good');
  } catch (error) {
    say('users-message', error.message, 'bad');
  }
  try {
    const now = row(await call('GET', userPath(name, userId)));
    if (!old.isConnected) return; // other users are shown meanwhile
    old.replaceWith(now);
    const details = now.querySelector('details');
    if (details) details.open = true;
    (details?.querySelector('summary') ?? now.querySelector('button') ?? $('refresh')).focus();
  } catch {
    await loadUsers(); // the user is gone, or cannot be read
    $('refresh').focus();
  }
}

async function unenrol(name, userId, button) {
  try {
    await call('DELETE', userPath(name, userId));
    button.closest('tr').remove();
    $('refresh').focus();
    if ($('rows').children.length === 0) await loadUsers();
    else report();
    say('users-message', `${quoted(userId)} is unenrolled from ${name}.`, 'good');
  } catch (error) {
    say('users-message', error.message, 'bad');
  }
}
