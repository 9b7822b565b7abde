// The few things that every part of the page does with its elements.

/** The element with an ID; the page has all that are asked for. */
export const $ = (id) => document.getElementById(id);

/** Makes an element with attributes and children; text is never read as HTML. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// What is not seen, or changes how other characters are seen.
const unseen = /[\p{Cc}\p{Cf}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Variation_Selector}\p{Noncharacter_Code_Point}\u2800]/gu;
const escaped = (text) => [...text].map((one) => `\\u{${one.codePointAt(0).toString(16).toUpperCase()}}`).join('');

/**
 * A user ID as it is shown. imago enrols none any more in which something cannot be seen;
 * in those of an earlier one that is spelt out, so that no two look the same.
 */
export function visible(id) {
  const composed = id === id.normalize('NFC') ? id : id.replace(/\p{M}/gu, escaped);
  return composed.replace(unseen, escaped).replace(/^\s+|\s+$/gu, escaped);
}

/** A user ID within a sentence, whose order it does not change whatever way it is written. */
export function quoted(id) {
  return /^[\x20-\x7e]*$/.test(id) ? visible(id) : `\u2068${visible(id)}\u2069`;
}

/** Says something in a status line: kind is '', 'good' or 'bad'. */
export function say(id, text, kind = '') {
  const line = $(id);
  line.className = `message ${kind}`.trim();
  line.textContent = text;
}

/**
 * Has a button do its work once at a time. It keeps the focus meanwhile, which
 * the attribute `disabled` would take away from those who use the keyboard.
 */
export async function once(button, work) {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try {
    await work();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

/** A number of bytes in words, MB being 2^20 bytes, as the API counts. */
export function size(bytes) {
  return bytes >= 1 << 20 ? `${+(bytes / (1 << 20)).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} KB`;
}
