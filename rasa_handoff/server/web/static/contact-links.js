// @ts-check
/** Links of contacts. A customer may have answered anything when asked for one, so what looks like none stays text. Pure. */

import { stripDirectionControls } from "./text-direction.js";

const EMAIL = /^[^\s@]+@[^\s@]+$/;
const PHONE = /^\+?[\d\s()./-]*\d[\d\s()./-]*$/;

/** Return the link that writes to an e-mail address. @param {string | null | undefined} email */
export function emailLink(email) {
  return linkIf(EMAIL, "mailto:", email);
}

/** Return the link that calls a number. @param {string | null | undefined} phone */
export function phoneLink(phone) {
  return linkIf(PHONE, "tel:", phone);
}

/** @param {RegExp} pattern @param {string} scheme @param {string | null | undefined} value */
function linkIf(pattern, scheme, value) {
  const bare = stripDirectionControls(value ?? "");
  return pattern.test(bare) ? `${scheme}${encodeURIComponent(bare)}` : undefined;
}
