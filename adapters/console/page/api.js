// Calls to the API that this page came from.

// The page may be behind a proxy that serves imago below a path.
const root = new URL('../', import.meta.url);
const stored = 'imago-key';

export const key = {
  get: () => sessionStorage.getItem(stored) ?? '',
  set: (text) => sessionStorage.setItem(stored, text),
  forget: () => sessionStorage.removeItem(stored),
};

/** An answer that is no success; the message is for people. */
export class Refused extends Error {
  constructor(status, message, reasons = []) {
    super(message);
    this.status = status;
    this.reasons = reasons;
  }
}

/**
 * Makes a call and returns the JSON of its answer, or null where the answer is
 * empty. It throws a Refused, or the AbortError of the signal. When the key is
 * refused, the window gets a `keyrefused` event, too.
 */
export async function call(method, path, body, signal) {
  const request = { method, signal, cache: 'no-store', headers: { 'x-api-key': key.get() } };
  if (body !== undefined) {
    request.headers['content-type'] = 'application/json';
    request.body = JSON.stringify(body);
  }
  let response;
  let text;
  try {
    response = await fetch(new URL(path, root), request);
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    // A key with characters that no header can have ends here, too.
    throw new Refused(0, 'imago cannot be reached. Is it running, and is the network up?');
  }
  const answer = parse(text);
  if (response.ok) return answer;
  const message = words(response, answer);
  if (response.status === 401) window.dispatchEvent(new CustomEvent('keyrefused', { detail: message }));
  throw new Refused(response.status, message, answer?.errors);
}

function parse(text) {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** Puts a problem object into words. */
function words(response, problem) {
  if (response.status === 401) return 'This key is not valid. It may have expired or been withdrawn.';
  const reasons = (problem?.errors ?? []).map(sentence);
  if (reasons.length === 0) reasons.push(problem?.detail ?? `imago answered ${response.status}.`);
  const wait = Number(response.headers.get('retry-after'));
  if (wait > 0) reasons.push(`Try again in ${wait} second${wait === 1 ? '' : 's'}.`);
  return reasons.join('\n');
}

/** A reason of the API as a sentence. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

/** The path of a collection below the API's root. */
export const collectionPath = (name) => (name === 'users' ? 'users' : `users/${encodeURIComponent(name)}`);

/**
 * The cursor of the users from an ID on, or from where IDs begin with a text: a cursor is a
 * place in the order of the bytes of IDs, whether or not somebody is there.
 */
export function cursorFrom(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** The path of what a threshold means in a collection. */
export const calibrationPath = (name) => (name === 'users' ? 'calibration' : `calibration/${encodeURIComponent(name)}`);

/**
 * The path of a user. Browsers resolve the segments `.` and `..` even when they
 * are encoded, so these two IDs cannot be sent from here; and what is posted to
 * `search` would be answered as a search.
 */
export function userPath(collection, id) {
  if (id === 'search') throw new Refused(0, 'The user ID “search” is reserved.');
  if (id === '.' || id === '..' || id === '/') throw new Refused(0, `The user ID “${id}” cannot be sent by a browser.`);
  return `${collectionPath(collection)}/${encodeURIComponent(id.toWellFormed())}`;
}

/** The path of one face of a user. */
export function facePath(collection, id, faceId) {
  if (faceId === '.' || faceId === '..') throw new Refused(0, `The face ID “${faceId}” cannot be sent by a browser.`);
  return `${userPath(collection, id)}/faces/${encodeURIComponent(faceId)}`;
}
