// The console: a key first, then a collection, then everything else.
import { $, make, once, say } from './dom.js';
import { call, key } from './api.js';
import { clearCompare, setUpCompare } from './compare.js';
import { forgetPicture, setUpPicture } from './picture.js';
import { clearSearch, setUpSearch, useDefaultThreshold } from './search.js';
import { clearEnrol, clearFilter, loadUsers, setUpUsers } from './users.js';

let collections = [];

/** The chosen collection; one without operations before any is known. */
function chosen() {
  return collections.find(({ name }) => name === $('collection').value) ?? { name: 'users', shared: false, operations: [] };
}

/** Shows the form for the key, with what is to be said about the last one. */
function lock(text = '', kind = '') {
  key.forget();
  collections = [];
  forgetPicture();
  clearSearch();
  clearCompare();
  clearEnrol();
  $('rows').replaceChildren();
  for (const id of ['app', 'forget']) $(id).hidden = true;
  $('gate').hidden = false;
  say('key-message', text, kind);
  $('key').focus();
  $('key').select(); // what is typed replaces what was refused
}

/** Shows the rest, if the key is valid; the focus follows a key that was typed. */
async function unlock(typed = false) {
  say('key-message', 'Asking imago…');
  try {
    ({ collections } = await call('GET', 'collections'));
  } catch (error) {
    lock(error.message, 'bad');
    return;
  }
  if (collections.length === 0) {
    lock('This key may not use any collection that there is.', 'bad');
    return;
  }
  $('key').value = '';
  say('key-message', '');
  $('collection').replaceChildren(...collections.map(({ name }) => make('option', { value: name }, name)));
  $('gate').hidden = true;
  for (const id of ['app', 'forget']) $(id).hidden = false;
  if (typed) $('collection').focus(); // at once: nobody's typing is led astray when the users arrive
  await enter();
}

/** Shows what the key may do to the chosen collection. */
async function enter() {
  const { shared, operations } = chosen();
  $('collection-note').textContent = shared ? 'Shared: you see and unenrol only whom your own client has enrolled.' : '';
  const cards = { 'search-card': 'search', 'enrol-card': 'enrol', 'users-card': 'read' };
  for (const [id, operation] of Object.entries(cards)) $(id).hidden = !operations.includes(operation);
  clearSearch();
  clearCompare();
  clearEnrol();
  clearFilter();
  if (operations.includes('search')) useDefaultThreshold();
  await loadUsers();
}

$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  once($('key-submit'), async () => {
    const text = $('key').value.trim();
    if (!/^[\x21-\x7e]+$/.test(text)) {
      say('key-message', 'This is no key: keys are made of ASCII letters, digits and signs.', 'bad');
      $('key').select();
      return;
    }
    key.set(text);
    await unlock(true);
  });
});
$('forget').addEventListener('click', () => lock());
$('collection').addEventListener('change', enter);
// A key may be withdrawn while the page is open.
window.addEventListener('keyrefused', (event) => { if (!$('app').hidden) lock(event.detail, 'bad'); });

setUpPicture(() => collections.some(({ operations }) => operations.includes('search')), () => {
  clearSearch(); // what was found belongs to the picture before
  clearCompare();
  clearEnrol();
});
setUpSearch(() => chosen().name, () => chosen().minThreshold ?? 0);
setUpCompare(() => collections.filter(({ operations }) => operations.includes('search')).map(({ name }) => name), () => chosen().name);
setUpUsers(chosen);
if (key.get() === '') lock();
else unlock();
