// @ts-check
/** What the customer's channel makes of a message, as sentences for the agent before it is sent. Pure. */

import { fileName } from "./parts.js";
import { isolate } from "./text-direction.js";

/** @typedef {import("./types.js").Presentation} Presentation */
/** @typedef {import("./types.js").Part} Part */
/** @typedef {import("./types.js").MediaPart} MediaPart */
/** @typedef {import("./types.js").Button} Button */

/** Channels by the names that people know. */
const NAMES = new Map([
  ["twilio", "SMS"],
  ["twilio, by WhatsApp", "WhatsApp"],
  ["twilio_voice", "the telephone"],
  ["telegram", "Telegram"],
  ["slack", "Slack"],
  ["facebook", "Messenger"],
  ["mattermost", "Mattermost"],
  ["rocketchat", "Rocket.Chat"],
  ["webexteams", "Webex"],
  ["botframework", "this channel of the Bot Framework"],
  ["hangouts", "Google Chat"],
  ["live_agent", "this customer's window"],
  ["tkinter", "this customer's window"],
]);
const PARAGRAPHS = /\n\s*\n/;
/** A text is cut at a pause in the second half of what fits, as the bot's side does. */
const LEAST_SHARE = 0.5;
/** As UTF-8, of one of the units that JavaScript counts. */
const MOST_BYTES_OF_UNIT = 3;
const MEDIA = new Set(["image", "file", "audio", "video"]);

/**
 * Return what becomes of a message; nothing if it arrives as it is written, or the bot's side doesn't say.
 *
 * @param {Presentation | null | undefined} presentation
 * @param {string} text
 * @param {readonly Part[]} parts
 * @returns {string[]}
 */
export function channelHints(presentation, text, parts) {
  if (!presentation) return [];
  const on = `On ${NAMES.get(presentation.name) ?? "this channel"}`;
  const files = /** @type {MediaPart[]} */ (parts.filter(({ type }) => MEDIA.has(type)));
  const hints = [
    textHint(presentation, on, text),
    ...filesHints(presentation, on, files),
    ...parts.flatMap((part) => partHints(presentation, on, part, text)),
  ];
  return [...new Set(hints.filter((hint) => hint !== null))];
}

/** @param {Presentation} presentation @param {string} on @param {string} text */
function textHint(presentation, on, text) {
  const { paragraphs, costly } = presentation;
  const texts = paragraphs ? text.split(PARAGRAPHS).filter((one) => one.trim()) : [text];
  const count = texts.reduce((sum, one) => sum + messageCount(presentation, one), 0);
  if (count < 2) return null;
  const price = costly ? ", and each costs money" : "";
  if (texts.some((one) => overBy(presentation, one) > 0))
    return `${on} this text is too long for one message: it is cut into about ${count}${price}.`;
  return costly ? `${on} each paragraph is a message of its own: these are ${count}${price}.` : null;
}

/**
 * Count the messages that a text becomes.
 *
 * @param {Presentation} presentation
 * @param {string} text
 */
function messageCount(presentation, text) {
  let count = 1;
  for (let rest = text; ; count += 1) {
    const end = endOfMessage(presentation, rest);
    if (end === rest.length) return count;
    rest = rest.slice(end).trimStart();
    if (!rest) return count;
  }
}

/**
 * Return where the first message of a text ends.
 *
 * @param {Presentation} presentation
 * @param {string} text
 */
function endOfMessage(presentation, text) {
  let end = Math.min(text.length, presentation.longest_text ?? Infinity);
  let over = overBy(presentation, text.slice(0, end));
  while (over > 0 && end > 1) {
    end = Math.max(1, end - Math.ceil(over / MOST_BYTES_OF_UNIT));
    over = overBy(presentation, text.slice(0, end));
  }
  if (end === text.length) return end;
  const pause = text.slice(0, end + 1).search(/\s\S*$/);
  return pause > end * LEAST_SHARE ? pause : end;
}

/** @param {Presentation} presentation @param {string} text */
function overBy(presentation, text) {
  return lengthOf(presentation, text) - (presentation.longest_text ?? Infinity);
}

/** @param {Presentation} presentation @param {string} text */
function lengthOf({ in_bytes }, text) {
  return in_bytes ? new TextEncoder().encode(text).length : text.length;
}

/**
 * @param {Presentation} presentation
 * @param {string} on
 * @param {readonly MediaPart[]} files
 */
function filesHints(presentation, on, files) {
  const shown = files.map((part) => ({ part, as: shownOn(presentation, part) }));
  const named = shown.filter(({ as }) => as === "words").map(({ part }) => part);
  const linked = shown.filter(({ as }) => as === "link").map(({ part }) => part);
  return [
    named.length ? `${on} no files can be sent: the customer only learns that there is ${listed(named)}.` : null,
    linked.length ? `${on} the customer gets a link to ${listed(linked)}.` : null,
  ];
}

/** @param {readonly MediaPart[]} files */
function listed(files) {
  return files.length > 3 ? `${files.length} files` : files.map(({ media }) => isolate(fileName(media))).join(", ");
}

/** @param {Presentation} presentation @param {MediaPart} part @returns {string} */
function shownOn({ images, files, largest_image, largest_file, file_types }, { type, media }) {
  const [way, largest] = type === "image" ? [images, largest_image] : [files, largest_file];
  if (way !== "native") return way;
  const isTaken = type === "image" || file_types.some((one) => (media.type ?? "").startsWith(one));
  return isTaken && (media.size ?? 0) <= (largest ?? Infinity) ? "native" : "link";
}

/** @param {Presentation} presentation @param {string} on @param {Part} part @param {string} text */
function partHints(presentation, on, part, text) {
  if (part.type === "buttons")
    return [buttonsHint(presentation, on, part.buttons) ?? (part.quick ? null : vanishingHint(presentation, on, part.buttons, text))];
  if (part.type !== "card" || presentation.cards === "native") return [];
  if (presentation.cards === "words") return [`${on} the card is shown in words.`];
  const buttons = part.buttons ?? [];
  if (!buttons.length) return [`${on} the card is shown as text.`];
  return [`${on} the card is shown as text and buttons.`, buttonsHint(presentation, on, buttons)];
}

/** @param {Presentation} presentation @param {string} on @param {readonly Button[]} buttons */
function buttonsHint({ buttons: way, most_buttons, longest_title }, on, buttons) {
  const fit =
    buttons.length <= (most_buttons ?? Infinity) &&
    buttons.every(({ title }) => title.length <= (longest_title ?? Infinity));
  if (way === "words") return `${on} there are no buttons: the customer reads their titles in brackets.`;
  if (way === "spoken") return `${on} the buttons are read out.`;
  if (way === "native" && fit) return null;
  const why = way === "native" ? `${on} so many or so long buttons don't fit: they` : `${on} buttons`;
  return `${why} are numbered lines, and the customer answers with a number or a title.`;
}

/** @param {Presentation} presentation @param {string} on @param {readonly Button[]} buttons @param {string} text */
function vanishingHint({ buttons: way, most_staying, longest_above, paragraphs }, on, buttons, text) {
  const above = (paragraphs ? text.split(PARAGRAPHS).at(-1) : text) ?? "";
  const stay = buttons.length <= (most_staying ?? Infinity) && above.length <= (longest_above ?? Infinity);
  if (way !== "native" || stay) return null;
  return `${on} these buttons don't stay: they are gone once one is chosen.`;
}
