// @ts-check
/** Makes and changes elements. Text enters the page as text nodes only. */

import { linkParts } from "./links.js";

/** @typedef {string | boolean | number | null | undefined | ((event: any) => void)} Attribute */

/**
 * Make an element: `el("button", {class: "quiet", onclick: leave}, "Leave")`.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, Attribute>} [attributes]
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/**
 * Set an attribute, or a listener for `onclick` and the like. True is an empty attribute, false and null none.
 *
 * @param {Element} element
 * @param {string} name
 * @param {Attribute} value
 */
export function setAttribute(element, name, value) {
  if (typeof value === "function") element.addEventListener(name.slice(2), value);
  else if (value === true) element.setAttribute(name, "");
  else if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/**
 * Set the text if it is another one, so that a screen reader doesn't read it out twice and a selection stays.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Return the element that the selector finds inside another one, where it surely is.
 *
 * @param {Element} element
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function inside(element, selector) {
  return /** @type {HTMLElement} */ (element.querySelector(selector));
}

const SVG = "http://www.w3.org/2000/svg";
const ICONS = new URL("icons.svg", import.meta.url).href;

/**
 * Make a decorative drawing from icons.svg.
 *
 * @param {string} name
 */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${ICONS}#${name}`);
  drawing.append(use);
  return drawing;
}

/**
 * Return a text as text nodes, with web addresses, e-mail addresses and telephone numbers as links. A link is read from left to
 * right whatever surrounds it.
 *
 * @param {string} text
 * @returns {(string | HTMLElement)[]}
 */
export function withLinks(text) {
  return linkParts(text).map(({ text: part, href }) => (href === null ? part : outwardLink(href, { dir: "ltr" }, part)));
}

/**
 * Make a link that opens in a tab of its own, which learns nothing of the desk.
 *
 * @param {string} href
 * @param {Record<string, Attribute>} attributes
 * @param {...(Node | string)} children
 */
export function outwardLink(href, attributes, ...children) {
  return el("a", { ...attributes, href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/**
 * Give the desk a command; main.js listens for them on the whole page.
 *
 * @param {Element} element
 * @param {string} name
 * @param {object} [detail]
 */
export function sendCommand(element, name, detail = {}) {
  element.dispatchEvent(new CustomEvent("command", { bubbles: true, detail: { name, ...detail } }));
}
