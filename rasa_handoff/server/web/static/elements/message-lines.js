// @ts-check
import { isolated } from "../directions.js";
import { ask, el, linked, say, set } from "../dom.js";
import { clock, statusWords } from "../words.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Unsent} Unsent */
/** @typedef {import("../types.js").Line} Line */

/**
 * A line from before the handoff.
 *
 * @param {Line} said
 * @param {string} customer
 */
export function line(said, customer) {
  const name = said.speaker === "customer" ? customer : said.speaker === "bot" ? "Bot" : "Agent";
  return el(
    "li",
    { class: "line old", "data-testid": "transcript-line", "data-speaker": said.speaker },
    el("p", { class: "by" }, `${isolated(name)} · ${clock(said.at)}`),
    el("p", { class: "text", dir: "auto" }, ...linked(said.text)),
  );
}

/**
 * A line of the live chat.
 *
 * @param {Message} message
 * @param {string} customer
 */
export function messageLine(message, customer) {
  const name = message.speaker === "customer" ? customer : message.agent;
  const who = message.speaker === "system" || !name ? null : isolated(name);
  const by = [who, clock(message.at)].filter(Boolean).join(" · ");
  return el(
    "li",
    { class: "line", "data-testid": "message", "data-speaker": message.speaker, "data-id": message.id },
    el("p", { class: "by" }, by),
    el("p", { class: "text", dir: "auto" }, ...linked(message.text)),
    message.speaker === "agent" && el("p", { class: "status", "data-testid": "status" }),
  );
}

/**
 * @param {HTMLElement} child
 * @param {Message} message
 */
export function updateMessage(child, message) {
  const status = child.querySelector(".status");
  if (!status) return;
  set(status, "data-status", message.status);
  say(status, statusWords(message));
}

/** Words the server doesn't have yet. @param {Unsent} words */
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
