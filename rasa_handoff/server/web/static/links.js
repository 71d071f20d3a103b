// @ts-check
/** Finds web addresses, e-mail addresses and telephone numbers in a text. Pure. */

import { stripDirectionControls } from "./text-direction.js";

/** @typedef {{text: string, href: string | null}} Part */

const WEB = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/;
// Each begins only where no earlier character could belong to it, so that a long text without blanks is read once.
const EMAIL = /(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}/;
// With + or 0 in front and nine digits at least: an amount, a date or a short order number is none.
const PHONE = /(?<![\w+./-])(?:\+|0)\d(?:[ -]?\(?\d\)?){7,13}(?![\w-])/;
const LINK = new RegExp(`(${[WEB, EMAIL, PHONE].map(({ source }) => source).join("|")})`);

/**
 * Return the text in parts, of which those with `href` are links. A link has nothing that turns writing around.
 *
 * @param {string} text
 * @returns {Part[]}
 */
export function linkParts(text) {
  return text.split(LINK).map((part, place) => (place % 2 ? linkPart(stripDirectionControls(part)) : { text: part, href: null }));
}

/** @param {string} text @returns {Part} */
function linkPart(text) {
  if (/^https?:/.test(text)) return { text, href: text };
  return { text, href: text.includes("@") ? `mailto:${encodeURIComponent(text)}` : `tel:${text.replaceAll(/[^\d+]/g, "")}` };
}
