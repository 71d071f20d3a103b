// @ts-check
import { el } from "../dom.js";
import { SHORTCUTS } from "../shortcuts.js";
import { ModalDialog } from "./modal-dialog.js";

/** @typedef {import("../types.js").State} State */

/** The list of keys. */
export class HelpDialog extends ModalDialog {
  /** @type {State["dialog"]} */
  static dialogName = "help";

  connectedCallback() {
    super.connectedCallback();
    const close = el("button", { type: "button", class: "primary" }, "Close");
    close.addEventListener("click", () => this.dialog.close());
    this.dialog.dataset.testid = "help-dialog";
    this.dialog.setAttribute("aria-labelledby", "help-title");
    const shortcuts = SHORTCUTS.map(({ letter, description }) => entry(["Alt", letter], description));
    this.dialog.append(
      el("h2", { id: "help-title" }, "Keys"),
      el("dl", { class: "shortcuts" }, ...shortcuts, ...OTHERS),
      el("div", { class: "buttons" }, close),
    );
  }
}

const OTHERS = [
  entry(["Enter"], "Send; with ", el("kbd", {}, "Shift"), " a new line"),
  entry(["?"], "This list; ", el("kbd", {}, "Esc"), " closes it"),
];

/**
 * @param {string[]} keys
 * @param {...(string | Node)} description
 */
function entry(keys, ...description) {
  const names = keys.flatMap((key, place) => [place ? " " : "", el("kbd", {}, key)]);
  return el("div", {}, el("dt", {}, ...names), el("dd", {}, ...description));
}
