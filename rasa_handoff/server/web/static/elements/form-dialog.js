// @ts-check
import { el, sendCommand, setAttribute, setText } from "../dom.js";
import { selectedConversation } from "../selectors.js";
import { isolate } from "../text-direction.js";
import { ModalDialog } from "./modal-dialog.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../types.js").Answer} Answer */

/**
 * Base of the dialogs with a form about the selected conversation. Closes when the server has accepted the command; else shows
 * the server's sentence. Subclasses give the fields and the command.
 */
export class FormDialog extends ModalDialog {
  /** The name of the command. The title and the button show it, and the dialog's ids begin with it. */
  verb = "";
  /** @type {string | null} */
  handoff_id = null;
  #title = el("h2");
  #problem = el("p", { class: "problem", role: "alert" });
  #sending = false;

  connectedCallback() {
    super.connectedCallback();
    const name = this.verb.toLowerCase();
    this.#title.id = `${name}-title`;
    this.#problem.dataset.testid = `${name}-problem`;
    this.dialog.dataset.testid = `${name}-dialog`;
    this.dialog.setAttribute("aria-labelledby", this.#title.id);
    this.dialog.append(this.#form(name));
  }

  /** @returns {HTMLElement[]} */
  fields() {
    return [];
  }

  /** Fill the fields. @param {State} _state @param {Summary | null} _summary */
  fill(_state, _summary) {}

  /** Return the command's details; null if a field shows an error, or the agent is asked first. @returns {object | null} */
  read() {
    return null;
  }

  /** Show a sentence below the fields. @param {string} sentence */
  show(sentence) {
    setText(this.#problem, sentence);
  }

  /** @param {State} state */
  prepare(state) {
    const summary = selectedConversation(state);
    this.handoff_id = summary?.handoff_id ?? null;
    setText(this.#title, `${this.verb} ${isolate(summary?.title ?? "")}`);
    setText(this.#problem, "");
    this.#setSending(false);
    this.fill(state, summary);
  }

  /** @param {string} name */
  #form(name) {
    const cancel = el("button", { type: "button", class: "quiet" }, "Cancel");
    const confirm = el(
      "button",
      { type: "submit", class: "primary", "data-testid": `${name}-confirm` },
      this.verb,
    );
    const buttons = el("div", { class: "buttons" }, cancel, confirm);
    const form = el("form", {}, this.#title, ...this.fields(), this.#problem, buttons);
    cancel.addEventListener("click", () => this.dialog.close());
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    return form;
  }

  #submit() {
    setText(this.#problem, "");
    const content = this.#sending ? null : this.read();
    if (content === null) return;
    this.#setSending(true);
    const done = (/** @type {Answer} */ answer) => this.#done(answer);
    sendCommand(this, this.verb.toLowerCase(), { handoff_id: this.handoff_id, ...content, done });
  }

  /** @param {Answer} answer */
  #done(answer) {
    if (answer.ok) return this.dialog.close();
    this.#setSending(false);
    setText(this.#problem, answer.error ?? "That didn't work. Please try again.");
  }

  /** Note whether the command is on its way. The button isn't disabled meanwhile: it would lose the focus. @param {boolean} on */
  #setSending(on) {
    this.#sending = on;
    setAttribute(this.dialog, "aria-busy", on ? "true" : null);
  }
}
