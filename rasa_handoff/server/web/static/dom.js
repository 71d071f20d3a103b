// @ts-check
/** Making and keeping elements. Text enters as text nodes only. */

import { undirected } from "./directions.js";

/** @typedef {string | boolean | number | null | undefined | ((event: any) => void)} Attribute */

/**
 * `el("button", {class: "quiet", onclick: leave}, "Leave")`. True is an empty attribute, false and null none.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, Attribute>} [attributes]
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {Attribute} value
 */
export function set(element, name, value) {
  if (typeof value === "function") element.addEventListener(name.slice(2), value);
  else if (value === true) element.setAttribute(name, "");
  else if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/**
 * Writes only what differs, so that a screen reader isn't told twice and a selection stays.
 *
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keeps one child per item, in the items' order, and leaves untouched what stays, with its focus.
 *
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} create
 * @param {(child: HTMLElement, item: T) => void} [update]
 */
export function keep(parent, items, keyOf, create, update = () => {}) {
  const children = /** @type {HTMLElement[]} */ ([...parent.children]);
  const wanted = new Set(items.map(keyOf));
  const known = new Map(children.map((child) => [child.dataset.key, child]));
  for (const child of children) if (!wanted.has(child.dataset.key ?? "")) child.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const child = known.get(keyOf(item)) ?? create(item);
    child.dataset.key = keyOf(item);
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

const SVG = "http://www.w3.org/2000/svg";
const ICONS = new URL("icons.svg", import.meta.url).href;

/**
 * A decorative drawing from icons.svg.
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

const ADDRESS = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/g;

/**
 * Return a text as text nodes, with web addresses as links. A link is read from left to right whatever surrounds it.
 *
 * @param {string} text
 * @returns {(string | HTMLElement)[]}
 */
export function linked(text) {
  return text
    .split(ADDRESS)
    .map((part, place) => (place % 2 ? link(undirected(part)) : part));
}

/** @param {string} address */
function link(address) {
  return el("a", { href: address, dir: "ltr", target: "_blank", rel: "noopener noreferrer" }, address);
}

/**
 * Ask the desk to do something: main.js listens for it on the whole page.
 *
 * @param {Element} element
 * @param {string} name
 * @param {object} [detail]
 */
export function ask(element, name, detail = {}) {
  element.dispatchEvent(new CustomEvent("wish", { bubbles: true, detail: { wish: name, ...detail } }));
}
