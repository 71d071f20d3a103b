// @ts-check
import { el, sendCommand } from "../dom.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */

/**
 * Base of the dialogs. Opens and closes as the state says; Escape closes. The browser moves the focus into the dialog, keeps
 * it there, and gives it back at the end; where that is no longer possible the focus goes to the first heading.
 */
export class ModalDialog extends View {
  /** Its name in the state. @type {State["dialog"]} */
  static dialogName = null;
  dialog = el("dialog");

  connectedCallback() {
    this.append(this.dialog);
    this.dialog.addEventListener("close", () => this.#closed());
  }

  /** @param {State} state */
  inputs(state) {
    return [state.dialog];
  }

  /** @param {State} state */
  draw(state) {
    const wanted = state.dialog === /** @type {typeof ModalDialog} */ (this.constructor).dialogName;
    if (wanted && !this.dialog.open) this.#open(state);
    else if (!wanted && this.dialog.open) this.dialog.close();
  }

  /** Draw the content, each time before the dialog opens. @param {State} _state */
  prepare(_state) {}

  /** @param {State} state */
  #open(state) {
    this.prepare(state);
    this.dialog.showModal();
  }

  #closed() {
    sendCommand(this, "dialog", { dialog: null });
    const focused = document.activeElement;
    if (focused === document.body || !focused?.checkVisibility()) document.querySelector("h2")?.focus();
  }
}
