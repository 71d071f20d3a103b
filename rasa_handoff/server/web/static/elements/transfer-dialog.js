// @ts-check
import { el } from "../dom.js";
import { FormDialog } from "./form-dialog.js";
import { FormField, setOptions } from "./form-field.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Department} Department */

/** Passes a conversation on to another department. */
export class TransferDialog extends FormDialog {
  /** @type {State["dialog"]} */
  static dialog = "transfer";
  verb = "Transfer";
  /** @type {Department[]} */
  #departments = [];
  #select = el("select", { "data-testid": "transfer-department" });
  #field = new FormField(
    "transfer-department",
    "Department",
    this.#select,
    "The customer waits there in the queue and is told.",
  );

  fields() {
    return [this.#field.element];
  }

  /** @param {State} state */
  fill(state) {
    this.#departments = state.departments;
    const options = state.departments.map((department) => /** @type {const} */ ([department.name, describe(department)]));
    setOptions(this.#select, [["", "Any department"], ...options]);
  }

  read() {
    const chosen = this.#departments.find((department) => department.name === this.#field.value);
    return { department: chosen?.name ?? null, title: chosen ? titleOf(chosen) : "any department" };
  }
}

/** @param {Department} department */
function titleOf({ title, name }) {
  return title || name;
}

/** @param {Department} department */
function describe(department) {
  const hint = !department.open ? " (closed)" : !department.staffed ? " (nobody online)" : "";
  return titleOf(department) + hint;
}
