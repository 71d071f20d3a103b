// @ts-check
/** The conversation's messages as elements. Text enters as text nodes only. */

import { linkParts } from "./links.js";
import { mapAddress, placeIn } from "./message-content.js";
import { cardElement, choices, el, link, mediaElement } from "./part-elements.js";
import { t } from "./texts.js";

/** @typedef {import("./message-content.js").Reply} Reply */
/** @typedef {import("./message-content.js").Media} Media */
/** @typedef {import("./message-content.js").Card} Card */
/** @typedef {import("./message-content.js").SentPart} SentPart */
/** @typedef {import("./rasa-socket.js").Connection} Connection */
/** @typedef {import("./rasa-socket.js").Speaker} Speaker */
/**
 * One line. By its `id` a repeated message is recognised. `message` is what was really sent, where a button's payload
 * differs from its title; `sent` is false until it was acknowledged, `read` once a person has read it, `refused` if it won't be taken. `who` "bot" is the bot's
 * side: a `speaker` says that it is an agent, or a notice. `stay`: its replies may be pressed again. `parts` and `files` (their ids) are what the customer sent beside words. `image` and `link` are of an older version of this page.
 * @typedef {{id?: string, who: "user" | "bot", text: string, at: number, message?: string, sent?: boolean, read?: boolean,
 *   refused?: boolean, replies?: Reply[], stay?: boolean, media?: Media[], cards?: Card[], parts?: SentPart[], files?: string[], image?: string, link?: string, speaker?: Speaker}} Line
 */

/**
 * @param {Line} line
 * @param {(reply: Reply) => void} choose
 */
export function createItem(line, choose) {
  const { who, speaker, media = [], cards = [] } = line;
  const item = el("li", { class: `line ${who}`, "data-testid": `${who}-message`, "data-speaker": speaker?.kind ?? who });
  if (speaker?.kind === "agent") {
    item.append(el("p", { class: "name", dir: "auto", "data-testid": "speaker-name" }, speaker.name || t("person")));
  }
  if (line.text) item.append(el("p", { class: "text", dir: "auto" }, ...withLinks(line.text)));
  const sent = (line.parts ?? []).map(({ latitude, longitude }) => mapAddress(latitude, longitude));
  for (const place of [placeIn(line.text), ...sent]) if (place) item.append(placeLink(place));
  const pictures = line.image ? [{ kind: /** @type {"image"} */ ("image"), src: line.image }] : [];
  item.append(...[...pictures, ...media].map(mediaElement));
  if (line.link) item.append(el("p", { class: "text" }, ...withLinks(line.link)));
  item.append(...cards.map((card) => cardElement(card, choose)));
  item.append(el("p", { class: "when" }));
  if (line.replies?.length) item.append(choices(line.replies, choose));
  return item;
}

/**
 * Update what changes about a message that is there: its state, and whether its buttons may still be pressed. What opens a page
 * stays.
 *
 * @param {HTMLElement} item
 * @param {Line} line
 * @param {boolean} open the customer has written nothing since
 * @param {Connection} connection
 */
export function updateItem(item, line, open, connection) {
  const state = /** @type {HTMLElement} */ (item.querySelector(".when"));
  const text = stateText(line, connection);
  if (state.textContent !== text) state.textContent = text;
  if (!open && !line.stay) item.querySelectorAll(".choices button").forEach((button) => button.remove());
}

/**
 * Mark a message of the customer's as read, and all of theirs before it that were delivered.
 *
 * @param {Line[]} lines
 * @param {string} id
 */
export function markRead(lines, id) {
  const last = lines.findLastIndex((line) => line.who === "user" && line.id === id);
  for (const line of lines.slice(0, last + 1)) if (line.who === "user" && line.sent) line.read = true;
}

/** @param {string} address */
function placeLink(address) {
  const shown = link(address, t("map"));
  shown.className = "file";
  shown.dataset.testid = "place";
  return shown;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** @param {Line} line @param {Connection} connection */
function stateText(line, connection) {
  if (line.refused || (line.sent === false && connection === "refused")) return t("notSent");
  if (line.sent === false) return connection === "online" ? t("sending") : t("waits");
  const time = TIME.format(new Date(line.at));
  if (line.read) return t("read", { time });
  return line.sent ? t("delivered", { time }) : time;
}

/** @param {string} text */
function withLinks(text) {
  return linkParts(text).map(({ text: part, href }) => (href === null ? part : textLink(part, href)));
}

/** Make a link, which is read from left to right whatever surrounds it. @param {string} address @param {string} href */
function textLink(address, href) {
  const shown = link(href, address);
  shown.dir = "ltr";
  return shown;
}
