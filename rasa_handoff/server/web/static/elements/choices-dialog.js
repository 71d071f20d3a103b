// @ts-check
import { el, sendCommand } from "../dom.js";
import { isolate } from "../text-direction.js";
import { FormField, select } from "./form-field.js";
import { ModalDialog } from "./modal-dialog.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Part} Part */

const MOST_BUTTONS = 10;
const LONGEST_TITLE = 100;
const KINDS = /** @type {const} */ ([
  ["quick", "Quick replies (gone once one is chosen)"],
  ["buttons", "Buttons (they stay)"],
  ["card", "A card with buttons"],
]);

/** Puts buttons or a card beside the agent's next message. What the customer presses is said as if they had typed it. */
export class ChoicesDialog extends ModalDialog {
  /** @type {State["dialog"]} */
  static dialogName = "choices";
  /** @type {string | null} */
  #handoffId = null;
  #kind = new FormField("choices-kind", "What the customer gets", select(KINDS, { "data-testid": "choices-kind" }));
  #title = new FormField("choices-title", "Title of the card", line("choices-title"));
  #subtitle = new FormField("choices-subtitle", "Line below it", line("choices-subtitle"));
  #titles = new FormField(
    "choices-titles",
    "Buttons",
    el("textarea", { rows: "5", dir: "auto", "data-testid": "choices-titles" }),
    "One title on a line. What the customer presses comes as their message.",
  );

  connectedCallback() {
    super.connectedCallback();
    this.dialog.dataset.testid = "choices-dialog";
    this.dialog.setAttribute("aria-labelledby", "dialog-choices-title");
    const cancel = el("button", { type: "button", class: "quiet" }, "Cancel");
    const add = el("button", { type: "submit", class: "primary", "data-testid": "choices-confirm" }, "Add to the message");
    const fields = [this.#kind, this.#title, this.#subtitle, this.#titles].map((field) => field.element);
    const buttons = el("div", { class: "buttons" }, cancel, add);
    const form = el("form", {}, el("h2", { id: "dialog-choices-title" }, "Buttons or a card"), ...fields, buttons);
    this.dialog.append(form);
    cancel.addEventListener("click", () => this.dialog.close());
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.#kind.control.addEventListener("change", () => this.#showFields());
  }

  /** @param {State} state */
  prepare(state) {
    this.#handoffId = state.selected;
    this.#kind.value = "quick";
    for (const field of [this.#title, this.#subtitle, this.#titles]) {
      field.value = "";
      field.showError(null);
    }
    this.#showFields();
  }

  get #isCard() {
    return this.#kind.value === "card";
  }

  #showFields() {
    this.#title.element.hidden = this.#subtitle.element.hidden = !this.#isCard;
  }

  #submit() {
    const part = this.#read();
    if (!part) return;
    sendCommand(this, "attach part", { handoff_id: this.#handoffId, part });
    this.dialog.close();
  }

  /** Return the part; null if a field shows an error. @returns {Part | null} */
  #read() {
    const titles = this.#titles.value.split("\n").map((title) => title.trim());
    const buttons = titles.filter(Boolean).map((title) => ({ title }));
    const title = this.#title.value.trim();
    const problem = problemOf(titles, buttons.length, !this.#isCard);
    this.#titles.showError(problem);
    this.#title.showError(this.#isCard && !title ? "Give the card a title." : null);
    if (problem !== null || (this.#isCard && !title)) return null;
    if (!this.#isCard) return { type: "buttons", buttons, quick: this.#kind.value === "quick" };
    return { type: "card", title, subtitle: this.#subtitle.value.trim() || null, buttons };
  }
}

/**
 * @param {readonly string[]} titles
 * @param {number} count
 * @param {boolean} needed
 */
function problemOf(titles, count, needed) {
  if (needed && !count) return "Write the title of a button.";
  if (count > MOST_BUTTONS) return `${MOST_BUTTONS} buttons are the most.`;
  if (titles.some((title) => title.length > LONGEST_TITLE)) return `A title has at most ${LONGEST_TITLE} characters.`;
  const twice = titles.find((title, place) => title && titles.some((other, at) => at < place && sameTitle(title, other)));
  return twice === undefined ? null : `“${isolate(twice)}” is there twice: the answer wouldn't say which of them it is.`;
}

/** Whether two titles are one to who answers by typing it. @param {string} title @param {string} other */
function sameTitle(title, other) {
  return title.toLowerCase() === other.toLowerCase();
}

/** @param {string} testid */
function line(testid) {
  return el("input", { type: "text", dir: "auto", maxlength: "500", autocomplete: "off", "data-testid": testid });
}
