// What is asked besides a search of the chosen collection: all collections at once, and
// whether the face is that of one user.
import { $, make, once, quoted, say, visible } from './dom.js';
import { call, userPath } from './api.js';
import { face } from './picture.js';

const inPercent = (number) => `${number}\u00a0%`;
const rounded = (similarity) => (Math.floor(similarity * 100) / 100).toFixed(2);
let searchable = () => [];
let chosen = () => 'users';
let asking = new AbortController();

/** Sets up both; names tells which collections may be searched, collection which is chosen. */
export function setUpCompare(names, collection) {
  searchable = names;
  chosen = collection;
  $('search-all').addEventListener('click', () => once($('search-all'), searchAll));
  $('verify-form').addEventListener('submit', (event) => {
    event.preventDefault();
    once($('verify'), verify);
  });
}

/** Takes away what was said about an earlier picture, or another key or collection. */
export function clearCompare() {
  asking.abort();
  asking = new AbortController();
  $('all-results').replaceChildren();
  say('all-message', '');
  say('verify-message', '');
  $('search-all').hidden = searchable().length < 2;
}

/** Searches every collection that the key may search, each at its own threshold. */
async function searchAll() {
  clearCompare();
  const { signal } = asking;
  try {
    const picture = await face();
    say('all-message', 'Searching…');
    const { results } = await call('POST', 'faces/search', { face: picture, collections: searchable() }, signal);
    if (signal.aborted) return;
    const hits = results.filter(({ matches }) => matches.length > 0).length;
    say('all-message', hits === 0 ? `No match in any of ${results.length} collections.` : `Matches in ${hits} of ${results.length} collections.`);
    $('all-results').replaceChildren(...results.map(result));
  } catch (error) {
    if (!signal.aborted) say('all-message', error.message, 'bad');
  }
}

function result({ collection, threshold, matches }) {
  const found = matches.map(({ userId, similarity }) => make('li', {},
    userId === undefined ? make('span', { class: 'who withheld' }, 'Enrolled by another client') : make('bdi', { class: 'who' }, visible(userId)),
    make('span', { class: 'percent' }, inPercent(rounded(similarity)))));
  return make('div', {}, make('h3', {}, collection), found.length === 0
    ? make('p', { class: 'note' }, `Nobody reaches ${inPercent(threshold)}.`)
    : make('ol', { class: 'matches' }, ...found));
}

/** Compares the face with one user of the chosen collection. */
async function verify() {
  const id = $('verify-user').value;
  const name = chosen();
  say('verify-message', '');
  const { signal } = asking;
  try {
    const picture = await face();
    say('verify-message', 'Comparing…');
    const { match, similarity, threshold } = await call('POST', `${userPath(name, id)}/verify`, { face: picture }, signal);
    if (signal.aborted) return;
    const alike = similarity === undefined ? 'less alike than this key may know' : `${inPercent(rounded(similarity))} alike`;
    say('verify-message', `${match ? 'Yes, this is' : 'No, this is not'} ${quoted(id)}: ${alike}; from ${inPercent(threshold)} on it is a match.`, match ? 'good' : '');
  } catch (error) {
    if (signal.aborted) return;
    const unknown = error.status === 404 && error.reasons.length === 0;
    say('verify-message', unknown ? `No user ${quoted(id)} is enrolled in ${name}, as far as this key may know.` : error.message, 'bad');
  }
}
