// @ts-check
/** Text that runs from right to left, and characters that turn the direction of text around. Pure. */

/** Invisible characters that change the direction of the text around them. */
const CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const RIGHT_TO_LEFT =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/**
 * Remove these characters from a name, an e-mail address, a number or a web address, so that it reads as it is written.
 *
 * @param {string} text
 */
export function stripDirectionControls(text) {
  return text.replace(CONTROLS, "");
}

/**
 * Prepare a name or a reason for a sentence of ours: whatever its direction, it doesn't move the text beside it.
 *
 * @param {string} text
 */
export function isolate(text) {
  const bare = stripDirectionControls(text);
  return RIGHT_TO_LEFT.test(bare) ? `\u2068${bare}\u2069` : bare;
}
