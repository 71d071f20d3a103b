// @ts-check
/** The conversation's messages as elements. Text enters as text nodes only. */

import { linkParts } from "./links.js";

/** @typedef {import("./rasa-socket.js").Reply} Reply */
/** @typedef {import("./rasa-socket.js").Connection} Connection */
/** @typedef {import("./rasa-socket.js").Speaker} Speaker */
/**
 * One line. By its `id` a repeated message is recognised. `message` is what was really sent, where a button's payload
 * differs from its title; `sent` is false until it was acknowledged, `refused` if it won't be taken. `who` "bot" is the bot's
 * side: a `speaker` says that it is an agent, or a notice.
 * @typedef {{id?: string, who: "user" | "bot", text: string, at: number, message?: string, sent?: boolean,
 *   refused?: boolean, replies?: Reply[], image?: string, link?: string, speaker?: Speaker}} Line
 */

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 */
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * @param {Line} line
 * @param {(reply: Reply) => void} choose
 */
export function createItem(line, choose) {
  const { who, speaker } = line;
  const item = el("li", { class: `line ${who}`, "data-testid": `${who}-message`, "data-speaker": speaker?.kind ?? who });
  if (speaker?.kind === "agent") {
    item.append(el("p", { class: "name", dir: "auto", "data-testid": "speaker-name" }, speaker.name || "A person"));
  }
  if (line.text) item.append(el("p", { class: "text", dir: "auto" }, ...withLinks(line.text)));
  if (line.image) item.append(picture(line.image));
  if (line.link) item.append(el("p", { class: "text" }, ...withLinks(line.link)));
  item.append(el("p", { class: "when" }));
  if (line.replies?.length) item.append(choices(line.replies, choose));
  return item;
}

/**
 * Update what changes about a message that is there: its state, and whether its buttons may still be pressed.
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
  if (!open) item.querySelector(".choices")?.remove();
}

/**
 * @param {Reply[]} replies
 * @param {(reply: Reply) => void} choose
 */
function choices(replies, choose) {
  const buttons = replies.map((reply) => {
    const button = el("button", { type: "button", "data-testid": "quick-reply", dir: "auto" }, reply.title);
    button.addEventListener("click", () => choose(reply));
    return button;
  });
  return el("div", { class: "choices", role: "group", "aria-label": "Answers to choose from" }, ...buttons);
}

/** @param {string} src */
function picture(src) {
  return /^https?:\/\//.test(src)
    ? el("img", { class: "picture", src, alt: "A picture from the helpdesk" })
    : "";
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** @param {Line} line @param {Connection} connection */
function stateText(line, connection) {
  if (line.refused || (line.sent === false && connection === "refused")) return "Couldn't be sent";
  if (line.sent === false) return connection === "online" ? "Sending…" : "Waits for the connection";
  return TIME.format(new Date(line.at));
}

/** @param {string} text */
function withLinks(text) {
  return linkParts(text).map(({ text: part, href }) => (href === null ? part : link(part, href)));
}

/** Make a link, which is read from left to right whatever surrounds it. @param {string} address @param {string} href */
function link(address, href) {
  return el("a", { href, dir: "ltr", target: "_blank", rel: "noopener noreferrer" }, address);
}
