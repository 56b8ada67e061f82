/** Words of a text that a query has too, marked. */

import { html } from "./parts.js";

const WITHOUT_SPACES = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}]/u;
const escaped = (word) => word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

// In scripts without spaces a word has no edges to look for.
const pattern = (word) =>
  WITHOUT_SPACES.test(word) ? escaped(word) : `(?<![\\p{L}\\p{N}])${escaped(word)}(?![\\p{L}\\p{N}])`;

/** The text as pieces, those that are one of the words as <mark>. */
export function marked(text, words) {
  if (!words.length) return text;
  const longestFirst = [...words].sort((one, other) => other.length - one.length);
  const found = new RegExp(`(${longestFirst.map(pattern).join("|")})`, "giu");
  return text.split(found).map((piece, place) => (place % 2 ? html`<mark>${piece}</mark>` : piece));
}
