// @ts-check
import { emailLink, phoneLink } from "../contact-links.js";
import { el, inside, setText } from "../dom.js";
import { clockTime, languageName, readable } from "../formatting.js";
import { KeyedList } from "../keyed-list.js";
import { departmentTitle, selectedConversation } from "../selectors.js";
import { showValue } from "../slots.js";
import { isolate, stripDirectionControls } from "../text-direction.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../types.js").Details} Details */
/** @typedef {{name: string, value: string, label?: string, href?: string, testid?: string}} Fact */
/** @typedef {{name: string, confidence: number}} Intent */

/** What is known about the customer and what the bot knew. */
export class ContextPanel extends View {
  #contact = new FactList();
  #handoff = new FactList();
  #slots = new FactList();
  #intents = el("ul", { class: "intents" });
  /** @type {KeyedList<Intent>} */
  #intentList = new KeyedList(this.#intents, { keyOf: intentKey, create: createIntent });
  #empty = el("p", { class: "empty" }, "Details of the chosen conversation appear here.");
  #close = el("button", { type: "button", class: "quiet close" }, "Close");
  #all = el(
    "div",
    { class: "all" },
    this.#close,
    el("h3", {}, "Customer"),
    this.#contact.element,
    el("h3", {}, "Handoff"),
    this.#handoff.element,
    el("h3", {}, "What the bot knew"),
    this.#slots.element,
    el("h3", {}, "What the bot understood last"),
    this.#intents,
  );

  connectedCallback() {
    this.dataset.testid = "context";
    this.append(this.#empty, this.#all);
    const panel = /** @type {HTMLElement} */ (this.closest("#context"));
    const close = () => hidePanel(panel);
    this.#close.addEventListener("click", close);
    // On the whole page, wherever the focus is; but a dialog's Escape is the dialog's.
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) close();
    });
  }

  /** @param {State} state */
  inputs(state) {
    const details = state.selected ? state.details.get(state.selected) : undefined;
    return [selectedConversation(state), details, state.departments, state.day];
  }

  /** @param {State} state */
  draw(state) {
    const summary = selectedConversation(state);
    const details = summary ? state.details.get(summary.handoff_id) : undefined;
    this.#all.hidden = !details;
    this.#empty.hidden = Boolean(details);
    if (!summary || !details) return;
    this.#contact.render(contactFacts(details));
    this.#handoff.render(handoffFacts(state, summary, details));
    this.#slots.render(slotFacts(details));
    this.#intentList.render(details.bot.intents);
    this.#intents.hidden = details.bot.intents.length === 0;
  }
}

/** Hide the panel where it is shown on demand, and put the focus back to where it was opened. @param {HTMLElement} panel */
function hidePanel(panel) {
  if (!panel.classList.contains("shown")) return;
  const focused = panel.contains(document.activeElement);
  panel.classList.remove("shown");
  if (focused) /** @type {HTMLElement | null} */ (document.querySelector(".to-context"))?.focus();
}

/** @param {Intent} intent @param {number} place */
function intentKey({ name, confidence }, place) {
  return `${place} ${name} ${confidence}`;
}

/** @param {Intent} intent */
function createIntent({ name, confidence }) {
  const meter = el("meter", {
    min: "0",
    max: "1",
    value: String(confidence),
    "aria-label": `Confidence of ${stripDirectionControls(name)}`,
  });
  const percent = el("span", { class: "percent" }, `${Math.round(confidence * 100)} %`);
  const attributes = { class: "intent", dir: "auto", title: stripDirectionControls(name) };
  const text = el("span", attributes, stripDirectionControls(readable(name)));
  return el("li", { "data-testid": "intent" }, text, meter, percent);
}

/** @param {Details} details @returns {Fact[]} */
function contactFacts({ contact }) {
  const { name, email, phone } = contact;
  return [
    ...factIf("Name", name),
    ...factIf("E-mail", email, emailLink(email)),
    ...factIf("Phone", phone, phoneLink(phone)),
    ...(name || email || phone ? [] : factIf("Contact", "not known")),
  ];
}

/** @param {State} state @param {Summary} summary @param {Details} details @returns {Fact[]} */
function handoffFacts(state, summary, details) {
  const { name, push } = summary.channel;
  return [
    ...factIf("Reason", summary.reason),
    ...factIf("Note", details.note),
    ...factIf("Priority", readable(summary.priority)),
    ...factIf("Department", departmentTitle(state, summary.department)),
    ...factIf("Language", summary.language && languageName(summary.language)),
    ...factIf("Channel", push ? name : `${isolate(name)} (words wait for the customer's next message)`),
    ...factIf("Bot", summary.bot_id),
    ...factIf("Waiting since", clockTime(summary.queued_at)),
    ...factIf("Taken", summary.assigned_at ? clockTime(summary.assigned_at) : null),
  ];
}

/** @param {Details} details @returns {Fact[]} */
function slotFacts({ bot }) {
  const slots = Object.entries(bot.slots).map(([name, value]) => ({
    name,
    label: readable(name),
    value: showValue(value),
    testid: `slot-value-${name}`,
  }));
  return [
    ...factIf("Open form", bot.form && readable(bot.form)),
    ...slots,
    ...(slots.length || bot.form ? [] : factIf("Slots", "none")),
  ];
}

/**
 * @param {string} name
 * @param {string | null} value
 * @param {string} [href]
 * @returns {Fact[]}
 */
function factIf(name, value, href) {
  return value ? [{ name, value: stripDirectionControls(value), href }] : [];
}

/** Names with their values. */
class FactList {
  element = el("dl", { class: "facts" });
  /** @type {KeyedList<Fact>} */
  #list = new KeyedList(this.element, {
    keyOf: ({ name, href }) => `${name} ${Boolean(href)}`,
    create: createFact,
    update: updateFact,
  });

  /** @param {Fact[]} facts */
  render(facts) {
    this.#list.render(facts);
  }
}

/** @param {Fact} fact */
function createFact({ name, label, href, testid }) {
  // An address or a number is read from left to right whatever was written into it.
  const value = el(href ? "a" : "span", { class: "value", dir: href ? "ltr" : "auto", "data-testid": testid });
  return el("div", {}, el("dt", { dir: "auto" }, stripDirectionControls(label ?? name)), el("dd", {}, value));
}

/** @param {HTMLElement} element @param {Fact} fact */
function updateFact(element, { value, href }) {
  const shown = inside(element, ".value");
  setText(shown, value);
  if (href) shown.setAttribute("href", href);
}
