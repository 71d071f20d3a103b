// @ts-check
import { el, setAttribute, setText } from "../dom.js";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */

/** A control of a form with its label, its hint and, when what was entered can't be used, its error. */
export class FormField {
  /**
   * @param {string} id
   * @param {string} label
   * @param {Control} control
   * @param {string | null} [hint]
   */
  constructor(id, label, control, hint = null) {
    this.control = control;
    this.error = el("p", { id: `${id}-error`, class: "problem", role: "alert", "data-testid": `${id}-error` });
    control.id = id;
    setAttribute(control, "aria-describedby", `${hint ? `${id}-hint ` : ""}${id}-error`);
    this.element = el(
      "div",
      { class: "form-field" },
      el("label", { for: id }, label),
      control,
      hint && el("p", { id: `${id}-hint`, class: "hint", dir: "auto" }, hint),
      this.error,
    );
  }

  get value() {
    return this.control.value;
  }

  set value(value) {
    this.control.value = value;
  }

  /** Show what is wrong with the value, and go there; null removes it. @param {string | null} error */
  showError(error) {
    setText(this.error, error ?? "");
    setAttribute(this.control, "aria-invalid", error === null ? null : "true");
    if (error !== null) this.control.focus();
  }
}

/**
 * Make a select of pairs of a value and its text.
 *
 * @param {readonly (readonly [string, string])[]} options
 * @param {Record<string, import("../dom.js").Attribute>} [attributes]
 */
export function select(options, attributes = {}) {
  const control = el("select", attributes);
  setOptions(control, options);
  return control;
}

/**
 * @param {HTMLSelectElement} control
 * @param {readonly (readonly [string, string])[]} options
 */
export function setOptions(control, options) {
  control.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
}
