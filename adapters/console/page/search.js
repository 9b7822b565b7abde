// Searching: imago is asked at the threshold that the slider has, so that the audit log and
// the metrics have what was looked for. A higher one filters the answer, for a lower one
// imago is asked again.
import { $, make, once, quoted, say, visible } from './dom.js';
import { calibrationPath, call, collectionPath } from './api.js';
import { face } from './picture.js';

const most = 100; // matches in one answer of the API
const pause = 200; // milliseconds of rest before a moved slider is asked about
const inPercent = (number) => `${number}\u00a0%`;
let collection = () => 'users';
let least = () => 0;
let threshold = 0; // where the slider is, but not rounded to its steps
let ready = Promise.resolve(); // when the threshold is that of the collection
let found = null; // { matches, asked, closest, nobody } of the last search
let searching = new AbortController();
let asking = new AbortController();
let timer;

/** Sets up the search; name tells which collection is chosen, floor what the key may ask for. */
export function setUpSearch(name, floor) {
  collection = name;
  least = floor;
  $('threshold').addEventListener('input', () => {
    threshold = Number($('threshold').value);
    render();
    clearTimeout(timer);
    timer = setTimeout(moved, pause);
  });
  $('order').addEventListener('input', render);
  $('search').addEventListener('click', () => once($('search'), async () => {
    clearSearch();
    await search();
    keepInView();
  }));
}

/** Takes away what an earlier search has found. */
export function clearSearch() {
  searching.abort();
  clearTimeout(timer);
  found = null;
  $('results').hidden = true;
  say('search-message', '');
}

/** Sets the slider to what holds in the chosen collection where a search says nothing. */
export function useDefaultThreshold() {
  $('threshold').min = least();
  move(Math.max(Number(document.body.dataset.threshold), least()));
  ready = explain().then((assessed) => { if (assessed) move(Math.max(assessed.threshold, least())); });
}

function move(to) {
  threshold = to;
  $('threshold').value = to;
}

/** Explains where the slider came to rest, and asks for those whom no search has seen. */
function moved() {
  if (found !== null && threshold < found.asked) search();
  else explain(threshold);
}

/** Says what a threshold means for the collection at its present size. */
async function explain(percent) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const query = percent === undefined ? '' : `?threshold=${percent}`;
  try {
    const assessed = await call('GET', `${calibrationPath(collection())}${query}`, undefined, signal);
    if (signal.aborted) return undefined;
    $('meaning').textContent = meaning(assessed);
    return assessed;
  } catch {
    if (!signal.aborted) $('meaning').textContent = ''; // a search works without
    return undefined;
  }
}

function meaning({ threshold: percent, users, falseMatchChance: chance }) {
  if (!chance || users === 0) return '';
  const bound = { estimate: 'about', at_most: 'at most', at_least: 'at least' }[chance.bound];
  const odds = chance.value > 0.1
    ? `${Math.round(100 * chance.value)} of 100`
    : `1 of ${(1 / chance.value).toLocaleString('en', { maximumSignificantDigits: 2 })}`;
  return `With ${users === 1 ? '1 user' : `${users} users`} enrolled, ${bound} ${odds} strangers would match somebody at ${inPercent(percent)}.`;
}

async function search() {
  searching.abort();
  searching = new AbortController();
  const { signal } = searching;
  try {
    const picture = await face();
    say('search-message', 'Searching…');
    await ready;
    const asked = threshold;
    const assessed = explain(asked);
    const matches = await ask({ face: picture, threshold: asked, limit: most }, signal);
    const nearest = matches.length > 0 ? {} : await whoIsClosest(picture, asked, assessed, signal);
    if (signal.aborted) return;
    found = { matches, asked, ...nearest };
    say('search-message', '');
    $('results').hidden = false;
    render();
    await assessed; // what it says takes room, too
  } catch (error) {
    if (signal.aborted) return;
    clearSearch();
    say('search-message', error.message, 'bad');
  }
}

/** The matches of a search, none where nobody was found. */
async function ask(body, signal) {
  try {
    return (await call('POST', `${collectionPath(collection())}/search`, body, signal)).matches;
  } catch (error) {
    // A list that is not there is told with a reason.
    if (error.status === 404 && error.reasons.length === 0) return [];
    throw error;
  }
}

/**
 * Who comes closest to a threshold that nobody reaches, as far as the key may know, or what
 * is to be said where that is nobody. The search for it is marked, so that the audit log and
 * the metrics do not take it for a match.
 */
async function whoIsClosest(picture, asked, assessed, signal) {
  if ((await assessed)?.users === 0) return { nobody: `No match: nobody is enrolled in ${collection()}.` };
  if (asked <= least()) return { nobody: `No match at ${inPercent(asked)}, the least that this key may search with.` };
  try {
    const [closest] = await ask({ face: picture, threshold: least(), limit: 1, purpose: 'closest' }, signal);
    if (closest) return { closest };
  } catch {
    return {}; // that nobody matches is known all the same
  }
  return { nobody: least() > 0 ? `No match: nobody reaches ${inPercent(least())}, the least that this key may search with.` : `No match: nobody is enrolled in ${collection()}.` };
}

/** Shows the matches that reach the threshold, in the chosen order. */
function render() {
  $('threshold-value').textContent = inPercent(threshold);
  if (found === null) return;
  const shown = found.matches.filter(({ similarity }) => similarity >= threshold);
  if ($('order').value === 'name') shown.sort((a, b) => (a.userId ?? '\uffff').localeCompare(b.userId ?? '\uffff'));
  $('matches').replaceChildren(...shown.map(item));
  $('count').textContent = shown.length === 0 ? noMatch() : matched(shown.length);
  $('count').classList.toggle('none', shown.length === 0);
}

function matched(count) {
  if (count === most) return `The ${most} most alike reach ${inPercent(threshold)}; there may be more.`;
  return count === 1 ? `1 user reaches ${inPercent(threshold)}.` : `${count} users reach ${inPercent(threshold)}.`;
}

function noMatch() {
  const best = found.matches[0] ?? found.closest;
  if (!best) return found.nobody ?? `No match at ${inPercent(threshold)}.`;
  const points = (threshold - Number(rounded(best.similarity))).toFixed(2);
  if (points <= 0) return `Searching at ${inPercent(threshold)}…`; // the slider has passed the best one
  const who = best.userId === undefined ? 'somebody enrolled by another client' : quoted(best.userId);
  return `No match at ${inPercent(threshold)}; best: ${who} with ${inPercent(rounded(best.similarity))}, ${points} below.`;
}

/** A similarity rounded down: what reads 100 is 100. */
const rounded = (similarity) => (Math.floor(similarity * 100) / 100).toFixed(2);

/** Brings what was found into view, on a screen with the picture above it. */
function keepInView() {
  if ($('results').hidden) return;
  const last = ($('matches').firstElementChild ?? $('count')).getBoundingClientRect();
  const top = $('search-card').getBoundingClientRect().top;
  if (last.bottom > window.innerHeight || top < 0) $('search-card').scrollIntoView({ block: 'start' });
}

function item({ userId, similarity }) {
  const percent = inPercent(rounded(similarity));
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
