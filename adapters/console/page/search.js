// Searching: imago is asked once for everybody, so that the slider can filter
// the answer without asking again.
import { $, make, once, say, visible } from './dom.js';
import { calibrationPath, call, collectionPath } from './api.js';
import { face } from './picture.js';

const most = 100; // matches in one answer of the API
const pause = 200; // milliseconds of rest before a moved slider is asked about
const inPercent = (number) => `${number}\u00a0%`;
let matches = [];
let asking = new AbortController();
let timer;

/** Sets up the search; collection tells which one is chosen, least what the key may ask for. */
export function setUpSearch(collection, least) {
  $('threshold').value = document.body.dataset.threshold;
  $('threshold').addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => explain(collection(), $('threshold').value), pause);
  });
  for (const id of ['threshold', 'order']) $(id).addEventListener('input', render);
  $('search').addEventListener('click', () => once($('search'), () => search(collection(), least())));
}

/** Takes away what an earlier search has found. */
export function clearSearch() {
  matches = [];
  $('results').hidden = true;
  say('search-message', '');
}

/** Sets the slider to what holds in a collection where a search says nothing. */
export async function useDefaultThreshold(collection) {
  const assessed = await explain(collection);
  if (assessed) $('threshold').value = assessed.threshold;
}

/** Says what a threshold means for a collection of its present size. */
async function explain(collection, threshold) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const query = threshold === undefined ? '' : `?threshold=${threshold}`;
  try {
    const assessed = await call('GET', `${calibrationPath(collection)}${query}`, undefined, signal);
    if (signal.aborted) return undefined;
    $('meaning').textContent = meaning(assessed);
    return assessed;
  } catch {
    if (!signal.aborted) $('meaning').textContent = ''; // a search works without
    return undefined;
  }
}

function meaning({ threshold, users, falseMatchChance: chance }) {
  if (!chance || users === 0) return '';
  const bound = { estimate: 'about', at_most: 'at most', at_least: 'at least' }[chance.bound];
  const odds = chance.value > 0.1
    ? `${Math.round(100 * chance.value)} of 100`
    : `1 of ${(1 / chance.value).toLocaleString('en', { maximumSignificantDigits: 2 })}`;
  return `With ${users === 1 ? '1 user' : `${users} users`} enrolled, ${bound} ${odds} strangers would match somebody at ${inPercent(threshold)}.`;
}

async function search(collection, least) {
  clearSearch();
  explain(collection, $('threshold').value);
  try {
    const picture = await face();
    say('search-message', 'Searching…');
    const answer = await call('POST', `${collectionPath(collection)}/search`, { face: picture, threshold: least, limit: most });
    matches = answer.matches;
    say('search-message', '');
    $('results').hidden = false;
    render();
  } catch (error) {
    // A list that is not there is told with a reason.
    if (error.status === 404 && error.reasons.length === 0) say('search-message', least > 0 ? `No match in ${collection}.` : `No match: nobody is enrolled in ${collection}.`);
    else say('search-message', error.message, 'bad');
  }
}

/** Shows the matches that reach the threshold, in the chosen order. */
function render() {
  const threshold = Number($('threshold').value);
  $('threshold-value').textContent = inPercent(threshold);
  const shown = matches.filter(({ similarity }) => similarity >= threshold);
  if ($('order').value === 'name') shown.sort((a, b) => (a.userId ?? '\uffff').localeCompare(b.userId ?? '\uffff'));
  $('matches').replaceChildren(...shown.map((match) => item(match, threshold)));
  const all = matches.length === most ? `the ${most} most alike` : `${matches.length}`;
  $('count').textContent = `${shown.length} of ${all} reach ${inPercent(threshold)}.`;
}

function item({ userId, similarity }, threshold) {
  // Rounded down: what reads 100 is 100.
  const percent = inPercent((Math.floor(similarity * 100) / 100).toFixed(2));
  const who = userId === undefined
    ? make('span', { class: 'who withheld' }, 'Enrolled by another client')
    : make('bdi', { class: 'who' }, visible(userId));
  const fill = make('span');
  fill.style.width = `${similarity}%`;
  const line = make('i'); // where the threshold is
  line.style.left = `calc(${threshold}% - 1px)`;
  line.hidden = threshold === 0 || threshold === 100;
  const meter = make('div', {
    class: 'meter', role: 'meter', 'aria-label': `Similarity of ${who.textContent}`,
    'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': similarity.toFixed(2), 'aria-valuetext': percent,
  }, fill, line);
  return make('li', {}, who, make('span', { class: 'percent' }, percent), meter);
}
