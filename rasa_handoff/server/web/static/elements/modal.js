// @ts-check
import { ask, el } from "../dom.js";

/** @typedef {import("../types.js").State} State */

/** Base of the dialogs: opens and closes as the state says; Escape closes. */
export class Modal extends HTMLElement {
  /** @type {State["dialog"]} */
  static dialog = null;
  dialog = el("dialog");

  connectedCallback() {
    this.append(this.dialog);
    this.dialog.addEventListener("close", () => this.#closed());
  }

  /** @param {State} state */
  render(state) {
    const wanted = state.dialog === /** @type {typeof Modal} */ (this.constructor).dialog;
    if (wanted && !this.dialog.open) this.#open(state);
    else if (!wanted && this.dialog.open) this.dialog.close();
  }

  /** Draws what the dialog shows. @param {State} _state */
  prepare(_state) {}

  /** @param {State} state */
  #open(state) {
    this.prepare(state);
    this.dialog.showModal();
  }

  #closed() {
    ask(this, "dialog", { name: null });
    // The browser gives the focus back, unless what had it went away with the conversation.
    const focused = document.activeElement;
    if (focused === document.body || !focused?.checkVisibility()) document.querySelector("h2")?.focus();
  }
}

/**
 * @param {string} id
 * @param {string} words
 * @param {HTMLElement} control
 * @param {string | null} [hint]
 */
export function labelled(id, words, control, hint = null) {
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el(
    "div",
    { class: "labelled" },
    el("label", { for: id }, words),
    control,
    hint && el("p", { id: `${id}-hint`, class: "hint", dir: "auto" }, hint),
  );
}
