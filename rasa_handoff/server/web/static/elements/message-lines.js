// @ts-check
import { isolated } from "../directions.js";
import { ask, el, linked, say, set } from "../dom.js";
import { clock, statusWords } from "../words.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Unsent} Unsent */
/** @typedef {import("../types.js").Line} Line */

/** A line from before the handoff; `updateLine` says whose. @param {Line} said */
export function line(said) {
  return el(
    "li",
    { class: "line old", "data-testid": "transcript-line", "data-speaker": said.speaker },
    el("p", { class: "by" }),
    el("p", { class: "text", dir: "auto" }, ...linked(said.text)),
  );
}

/**
 * The customer's name may become known, or another one, while the line is there.
 *
 * @param {HTMLElement} child
 * @param {Line} said
 * @param {string} customer
 */
export function updateLine(child, said, customer) {
  const name = said.speaker === "customer" ? customer : said.speaker === "bot" ? "Bot" : "Agent";
  sayBy(child, name, said.at);
}

/**
 * @param {HTMLElement} child
 * @param {string | null} name
 * @param {number} at
 */
function sayBy(child, name, at) {
  const place = /** @type {HTMLElement} */ (child.querySelector(".by"));
  say(place, name ? `${isolated(name)} · ${clock(at)}` : clock(at));
}

/** A line of the live chat; `updateMessage` says whose, and its status. @param {Message} message */
export function messageLine(message) {
  return el(
    "li",
    { class: "line", "data-testid": "message", "data-speaker": message.speaker, "data-id": message.id },
    el("p", { class: "by" }),
    el("p", { class: "text", dir: "auto" }, ...linked(message.text)),
    message.speaker === "agent" && el("p", { class: "status", "data-testid": "status" }),
  );
}

/**
 * @param {HTMLElement} child
 * @param {Message} message
 * @param {string} customer
 */
export function updateMessage(child, message, customer) {
  const { speaker, agent, at } = message;
  sayBy(child, speaker === "customer" ? customer : speaker === "system" ? null : agent, at);
  const status = child.querySelector(".status");
  if (!status) return;
  set(status, "data-status", message.status);
  say(status, statusWords(message));
}

/** A message the server doesn't have yet. @param {Unsent} words */
export function unsentLine(words) {
  const again = el("button", { type: "button", class: "quiet", "data-testid": "send-again" }, "Send again");
  const discard = el("button", { type: "button", class: "quiet", "data-testid": "discard" }, "Discard");
  again.addEventListener("click", () => ask(again, "say again", { id: words.id }));
  discard.addEventListener("click", () => ask(discard, "discard", { id: words.id }));
  return el(
    "li",
    { class: "line unsent", "data-testid": "unsent", "data-speaker": "agent", "data-id": words.id },
    el("p", { class: "text", dir: "auto" }, ...linked(words.text)),
    el("p", { class: "status" }),
    el("p", { class: "choice" }, again, discard),
  );
}

/**
 * @param {HTMLElement} child
 * @param {Unsent} words
 * @param {boolean} online
 */
export function updateUnsent(child, words, online) {
  const status = /** @type {HTMLElement} */ (child.querySelector(".status"));
  const choice = /** @type {HTMLElement} */ (child.querySelector(".choice"));
  set(status, "data-status", words.problem === null ? "sending" : "failed");
  choice.hidden = words.problem === null;
  if (words.problem !== null) say(status, `Not sent: ${isolated(words.problem)}`);
  else say(status, online ? "Sending…" : "Kept, and sent when the connection is back");
}
