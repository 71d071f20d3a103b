// @ts-check
/** What a message shows beside its author and its time. All of it was written by others: it enters the page as text. */

import { emailLink, phoneLink } from "../contact-links.js";
import { el, icon, outwardLink, withLinks } from "../dom.js";
import { degrees, fileFacts, fileName, mapAddress, readableJson, shownParts, webAddress } from "../parts.js";
import { stripDirectionControls } from "../text-direction.js";
import { StoredMedia } from "./stored-media.js";

/** @typedef {import("../types.js").Part} Part */
/** @typedef {import("../types.js").Media} Media */
/** @typedef {import("../types.js").Button} Button */
/** @typedef {import("../parts.js").MediaKind} MediaKind */
/** @typedef {HTMLElement | null | false} Shown */

/**
 * Make the elements of a message's parts, in order.
 *
 * @param {{text: string, parts?: Part[]}} message
 * @returns {HTMLElement[]}
 */
export function partElements(message) {
  return shownParts(message).flatMap((part) => MAKERS[part.type](part) ?? []);
}

/** @type {Record<Part["type"], (part: any) => HTMLElement | null>} */
const MAKERS = {
  text: ({ text }) => el("p", { class: "text", dir: "auto" }, ...withLinks(text)),
  image: ({ media }) => mediaElement(media, "image"),
  file: ({ media }) => mediaElement(media, "file"),
  audio: ({ media }) => mediaElement(media, "audio"),
  video: ({ media }) => mediaElement(media, "video"),
  location: locationElement,
  contact: contactElement,
  buttons: ({ buttons }) => buttonList(buttons),
  card: cardElement,
  custom: customElement,
};

/**
 * A file that is stored here is shown. One that is elsewhere is a link: loading it would tell its server who reads this
 * conversation, and when.
 *
 * @param {Media} media
 * @param {MediaKind} kind
 */
function mediaElement(media, kind) {
  if (media.id) return new StoredMedia(media, kind);
  const address = webAddress(media.url);
  const name = el("span", { class: "file-name", dir: "auto" }, media.name ? fileName(media) : (address ?? `A ${kind}`));
  const about = address ? `${WORDS[kind]} on ${new URL(address).host}` : `${WORDS[kind]} that isn't stored here`;
  const facts = el("span", { class: "file-facts" }, [about, fileFacts(media)].filter(Boolean).join(" · "));
  const content = [icon("file"), name, facts];
  return address
    ? outwardLink(address, { class: "file", "data-testid": "part-elsewhere", "data-kind": kind }, ...content)
    : el("span", { class: "file", "data-testid": "part-missing", "data-kind": kind }, ...content);
}

/** @type {Record<MediaKind, string>} */
const WORDS = { image: "Picture", file: "File", audio: "Recording", video: "Film" };

/** @param {import("../types.js").LocationPart} place */
function locationElement(place) {
  return box(
    "location",
    line("title", place.name),
    line("", place.address),
    line("file-facts", degrees(place)),
    outwardLink(mapAddress(place), { class: "on-map" }, "Show on a map"),
  );
}

/** @param {import("../types.js").ContactPart} contact */
function contactElement({ name, phone, email }) {
  const known = name || phone || email;
  return box(
    "contact",
    line("title", name ?? (known ? null : "A contact without a name")),
    contactLine(phone, phoneLink(phone)),
    contactLine(email, emailLink(email)),
  );
}

/** @param {string | null | undefined} text @param {string | undefined} href */
function contactLine(text, href) {
  if (!text) return null;
  const bare = stripDirectionControls(text);
  return el("p", {}, el(href ? "a" : "span", { href, dir: href ? "ltr" : "auto" }, bare));
}

/**
 * Make the list of buttons that the customer sees. Nobody presses one here, so they are no buttons of this page.
 *
 * @param {Button[]} buttons
 */
function buttonList(buttons) {
  if (!buttons.length) return null;
  const shown = buttons.map((button) => el("li", { class: "choice-title", dir: "auto" }, ...buttonContent(button)));
  return el("ul", { class: "choices", "data-testid": "part-buttons", "aria-label": "Buttons for the customer" }, ...shown);
}

/** @param {Button} button */
function buttonContent({ title, url }) {
  const address = webAddress(url);
  return [stripDirectionControls(title), address && " ", address && outwardLink(address, { dir: "ltr" }, address)];
}

/** @param {import("../types.js").CardPart} card */
function cardElement({ title, subtitle, image, buttons = [] }) {
  return box(
    "card",
    image ? mediaElement(image, "image") : null,
    line("title", title),
    line("", subtitle),
    buttonList(buttons),
  );
}

/** @param {import("../types.js").CustomPart} part */
function customElement({ json }) {
  const text = typeof json?.text === "string" ? json.text : null;
  return el(
    "details",
    { class: "part-box", "data-testid": "part-custom" },
    el("summary", { dir: "auto" }, text || "Something only the chat window can show"),
    el("pre", { tabindex: "0", "aria-label": "JSON" }, readableJson(json)),
  );
}

/** @param {string} kind @param {...Shown} children */
function box(kind, ...children) {
  return el("div", { class: "part-box", "data-testid": `part-${kind}` }, ...children);
}

/** @param {string} className @param {string | null | undefined} text */
function line(className, text) {
  return text ? el("p", { class: className || null, dir: "auto" }, stripDirectionControls(text)) : null;
}
