// @ts-check
/** Pictures, files, recordings, films, cards and buttons as elements. Text enters as text nodes only, addresses as http(s) only. */

import { sizeInWords, webAddress } from "./message-content.js";
import { rasaAddress } from "./rasa-socket.js";
import { language, t } from "./texts.js";

/** @typedef {import("./message-content.js").Media} Media */
/** @typedef {import("./message-content.js").Card} Card */
/** @typedef {import("./message-content.js").Reply} Reply */

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 */
export function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A link that opens beside the page. @param {string} href @param {...(Node | string)} children */
export function link(href, ...children) {
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/** Return a picture or file as an element; an address that isn't one is shown as words. @param {Media} media */
export function mediaElement(media) {
  const address = webAddress(media.src, rasaAddress());
  if (address === null) return el("p", { class: "text" }, media.name ?? media.src);
  if (media.kind === "image") return picture(address, media.name);
  if (media.kind === "file") return file(address, media);
  const isAudio = media.kind === "audio";
  const label = media.name || t(isAudio ? "recording" : "film");
  const player = el(media.kind, { controls: "", preload: "metadata", src: address, "aria-label": label, "data-testid": media.kind });
  player.className = isAudio ? "recording" : "picture";
  return orGone(player, file(address, media));
}

/** @param {string} address @param {string} [name] */
function picture(address, name) {
  const shown = el("img", { class: "picture", src: address, alt: name || t("picture"), "data-testid": "picture" });
  return orGone(link(address, shown), el("p", { class: "gone" }, t("gone")), shown);
}

/** @param {string} address @param {Media} media */
function file(address, { name, size }) {
  const details = size === undefined ? [] : [el("span", { class: "size" }, sizeInWords(size, language))];
  const shown = link(address, el("span", { class: "file-name", dir: "auto" }, name || t("file")), ...details);
  shown.className = "file";
  shown.dataset.testid = "file";
  return shown;
}

/** Show `instead` once what an element loads can't be had: an address of a picture or file lasts only for a time. */
function orGone(/** @type {HTMLElement} */ element, /** @type {HTMLElement} */ instead, loads = element) {
  loads.addEventListener("error", () => element.replaceWith(instead), { once: true });
  return element;
}

/** @param {Card} card @param {(reply: Reply) => void} choose */
export function cardElement({ title, subtitle, image, replies }, choose) {
  const address = image === undefined ? null : webAddress(image, rasaAddress());
  const lines = [
    ...(title ? [el("strong", { dir: "auto" }, title)] : []),
    ...(subtitle ? [el("span", { dir: "auto" }, subtitle)] : []),
  ];
  const shown = address === null ? [] : [picture(address, title)];
  const buttons = replies.length ? [choices(replies, choose)] : [];
  return el("section", { class: "card", "data-testid": "card" }, ...shown, ...lines, ...buttons);
}

/**
 * Return buttons: what sends something is a button, what opens a page a link.
 *
 * @param {Reply[]} replies
 * @param {(reply: Reply) => void} choose
 */
export function choices(replies, choose) {
  const shown = replies.map((reply) => {
    const address = reply.url === undefined ? null : webAddress(reply.url, rasaAddress());
    if (address !== null) return choiceLink(address, reply.title);
    const button = el("button", { type: "button", "data-testid": "quick-reply", dir: "auto" }, reply.title);
    button.addEventListener("click", () => choose(reply));
    return button;
  });
  return el("div", { class: "choices", role: "group", "aria-label": t("answers") }, ...shown);
}

/** @param {string} address @param {string} title */
function choiceLink(address, title) {
  const shown = link(address, title);
  shown.dir = "auto";
  shown.dataset.testid = "reply-link";
  return shown;
}
