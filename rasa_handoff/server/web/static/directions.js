// @ts-check
/** Text of people whose writing runs from right to left, and of those who misuse that. Pure. */

/** What changes the direction of the text around it, seen by nobody. */
const CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const RIGHT_TO_LEFT =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/**
 * A name, an address, a number or a web address: without what would make it read otherwise than it is written.
 *
 * @param {string} text
 */
export function undirected(text) {
  return text.replace(CONTROLS, "");
}

/**
 * A name or a reason inside a sentence of ours: whatever its direction, it doesn't move the words and times beside it.
 *
 * @param {string} text
 */
export function isolated(text) {
  const bare = undirected(text);
  return RIGHT_TO_LEFT.test(bare) ? `\u2068${bare}\u2069` : bare;
}
