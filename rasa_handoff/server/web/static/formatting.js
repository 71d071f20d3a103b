// @ts-check
/** Times, states and names as people read them. Pure. */

import { isolate } from "./text-direction.js";

/** @typedef {import("./types.js").Message} Message */

/**
 * Write how long somebody waits: "0:42", "12:05", "1 h 20 min".
 *
 * @param {number} seconds
 */
export function waitingTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${minutes}:${String(whole % 60).padStart(2, "0")}`;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY_AND_TIME = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/**
 * Write a time, with the day if it isn't today.
 *
 * @param {number} at seconds since 1970
 * @param {number} [now] the same
 */
export function clockTime(at, now = Date.now() / 1000) {
  const moment = new Date(at * 1000);
  const today = moment.toDateString() === new Date(now * 1000).toDateString();
  return (today ? TIME : DAY_AND_TIME).format(moment);
}

const STATUS = {
  stored: "Sent",
  waiting: "Waits until the customer writes",
  delivered: "Delivered",
  read: "Read",
  failed: "Not delivered",
};

/**
 * Write what became of an agent's message.
 *
 * @param {Message} message
 * @param {boolean} push whether the channel can deliver a message at any time
 */
export function statusText(message, push) {
  if (message.status === "waiting" && push) return "Not delivered yet: it waits until the customer can be reached";
  const text = Object.hasOwn(STATUS, message.status) ? STATUS[message.status] : message.status;
  return message.status === "failed" && message.reason ? `${text}: ${isolate(message.reason)}` : text;
}

/** The rest of a sentence that begins with the customer's name: how a conversation ended that no agent ended, by its outcome. */
const ENDINGS = new Map([
  ["customer_left", "left the conversation"],
  ["customer_silent", "didn't answer any more, so the conversation has ended"],
  ["silence", "and you have said nothing for a long time, so the conversation has ended"],
  ["relay_lost_it", "can't be reached any more: the bot no longer knows this conversation"],
]);

/**
 * Write that a conversation has ended, and why.
 *
 * @param {string} title
 * @param {string | null} outcome
 */
export function endingText(title, outcome) {
  return `${isolate(title)} ${ENDINGS.get(outcome ?? "") ?? "has left: the conversation has ended"}.`;
}

/**
 * Write how long somebody has waited, as "3 minutes".
 *
 * @param {number} seconds
 */
export function minutesText(seconds) {
  const whole = Math.max(1, Math.round(seconds / 60));
  return whole === 1 ? "a minute" : `${whole} minutes`;
}

/**
 * Write a name as people read it: "needs_follow_up" as "Needs follow up".
 *
 * @param {string} name
 */
export function readable(name) {
  const text = name.replaceAll(/[_-]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Write a language by its tag: "zu" as "Zulu (zu)". An unknown tag stays as it is.
 *
 * @param {string} tag
 */
export function languageName(tag) {
  try {
    const name = new Intl.DisplayNames(undefined, { type: "language" }).of(tag);
    return name && name !== tag ? `${name} (${tag})` : tag;
  } catch {
    return isolate(tag);
  }
}
