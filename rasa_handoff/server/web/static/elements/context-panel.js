// @ts-check
import { isolated, undirected } from "../directions.js";
import { el, keep, say } from "../dom.js";
import { departmentTitle, selected } from "../lists.js";
import { showValue } from "../slots.js";
import { clock, language, readable } from "../words.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../types.js").Details} Details */
/** @typedef {{name: string, value: string, href?: string, testid?: string}} Fact */

/** What is known about the customer and what the bot knew. */
export class ContextPanel extends HTMLElement {
  #contact = el("dl", { class: "facts" });
  #handoff = el("dl", { class: "facts" });
  #slots = el("dl", { class: "facts" });
  #intents = el("ul", { class: "intents" });
  #empty = el("p", { class: "empty" }, "Details of the chosen conversation appear here.");
  #close = el("button", { type: "button", class: "quiet close" }, "Close");
  #all = el(
    "div",
    { class: "all" },
    this.#close,
    el("h3", {}, "Customer"),
    this.#contact,
    el("h3", {}, "Handoff"),
    this.#handoff,
    el("h3", {}, "What the bot knew"),
    this.#slots,
    el("h3", {}, "What the bot understood last"),
    this.#intents,
  );

  connectedCallback() {
    this.dataset.testid = "context";
    this.append(this.#empty, this.#all);
    const panel = /** @type {HTMLElement} */ (this.closest("#context"));
    const close = () => panel.classList.remove("shown");
    this.#close.addEventListener("click", close);
    panel.addEventListener("keydown", (event) => event.key === "Escape" && close());
  }

  /** @param {State} state */
  render(state) {
    const summary = selected(state);
    const details = summary ? state.details.get(summary.handoff_id) : undefined;
    this.#all.hidden = !details;
    this.#empty.hidden = Boolean(details);
    if (!summary || !details) return;
    facts(this.#contact, contact(details));
    facts(this.#handoff, handoff(state, summary, details));
    facts(this.#slots, known(details));
    this.#guesses(details);
  }

  /** @param {Details} details */
  #guesses({ bot }) {
    const items = bot.intents.map((guess, place) => ({
      ...guess,
      key: `${place} ${guess.name} ${guess.confidence}`,
    }));
    keep(this.#intents, items, (item) => item.key, guess);
    this.#intents.hidden = items.length === 0;
  }
}

/** @param {{name: string, confidence: number}} item */
function guess({ name, confidence }) {
  const meter = el("meter", {
    min: "0",
    max: "1",
    value: String(confidence),
    "aria-label": `Confidence of ${undirected(name)}`,
  });
  const percent = el("span", { class: "percent" }, `${Math.round(confidence * 100)} %`);
  return el("li", { "data-testid": "intent" }, el("span", { class: "intent", dir: "auto" }, undirected(name)), meter, percent);
}

/** @param {Details} details @returns {Fact[]} */
function contact({ contact }) {
  const { name, email, phone } = contact;
  return [
    ...maybe("Name", name),
    ...maybe("E-mail", email, `mailto:${encodeURIComponent(undirected(email ?? ""))}`),
    ...maybe("Phone", phone, `tel:${encodeURIComponent(undirected(phone ?? ""))}`),
    ...(name || email || phone ? [] : maybe("Contact", "not known")),
  ];
}

/** @param {State} state @param {Summary} summary @param {Details} details @returns {Fact[]} */
function handoff(state, summary, details) {
  const { name, push } = summary.channel;
  return [
    ...maybe("Reason", summary.reason),
    ...maybe("Note", details.note),
    ...maybe("Priority", readable(summary.priority)),
    ...maybe("Department", departmentTitle(state, summary.department)),
    ...maybe("Language", summary.language && language(summary.language)),
    ...maybe("Channel", push ? name : `${isolated(name)} (words wait for the customer's next message)`),
    ...maybe("Bot", summary.bot_id),
    ...maybe("Waiting since", clock(summary.queued_at)),
    ...maybe("Taken", summary.assigned_at ? clock(summary.assigned_at) : null),
  ];
}

/** @param {Details} details @returns {Fact[]} */
function known({ bot }) {
  const slots = Object.entries(bot.slots).map(([name, value]) => ({
    name,
    value: showValue(value),
    testid: `slot-value-${name}`,
  }));
  return [
    ...maybe("Open form", bot.form),
    ...slots,
    ...(slots.length || bot.form ? [] : maybe("Slots", "none")),
  ];
}

/**
 * @param {string} name
 * @param {string | null} value
 * @param {string} [href]
 * @returns {Fact[]}
 */
function maybe(name, value, href) {
  return value ? [{ name, value: undirected(value), href }] : [];
}

/**
 * @param {HTMLElement} list
 * @param {Fact[]} items
 */
function facts(list, items) {
  keep(
    list,
    items,
    (item) => item.name,
    fact,
    (child, item) => {
      const value = /** @type {HTMLElement} */ (child.querySelector(".value"));
      say(value, item.value);
      if (item.href) value.setAttribute("href", item.href);
    },
  );
}

/** @param {Fact} item */
function fact({ name, href, testid }) {
  // An address or a number is read from left to right whatever was written into it.
  const value = el(href ? "a" : "span", { class: "value", dir: href ? "ltr" : "auto", "data-testid": testid });
  return el("div", {}, el("dt", { dir: "auto" }, undirected(name)), el("dd", {}, value));
}
