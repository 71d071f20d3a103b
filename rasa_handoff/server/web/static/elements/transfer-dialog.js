// @ts-check
import { el } from "../dom.js";
import { isolate } from "../text-direction.js";
import { FormDialog } from "./form-dialog.js";
import { FormField, setOptions } from "./form-field.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Department} Department */

/** Passes a conversation on to another department. For a department that nobody serves now, the agent is asked once more. */
export class TransferDialog extends FormDialog {
  /** @type {State["dialog"]} */
  static dialogName = "transfer";
  verb = "Transfer";
  /** @type {Department[]} */
  #departments = [];
  /** The department about which the agent was asked. @type {string | null} */
  #asked = null;
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
    this.#asked = null;
    const options = state.departments.map((department) => /** @type {const} */ ([department.name, describe(department)]));
    setOptions(this.#select, [["", "Any department"], ...options]);
  }

  read() {
    const chosen = this.#departments.find((department) => department.name === this.#field.value);
    if (chosen && !isAvailable(chosen) && this.#asked !== chosen.name) {
      this.#asked = chosen.name;
      this.show(question(chosen));
      return null;
    }
    return { department: chosen?.name ?? null, title: chosen ? titleOf(chosen) : "any department" };
  }
}

/** @param {Department} department */
function titleOf({ title, name }) {
  return title || name;
}

/** @param {Department} department */
function isAvailable({ open, staffed }) {
  return open && staffed;
}

/** @param {Department} department */
function question(department) {
  const why = department.open ? "has nobody online" : "is closed";
  return `${isolate(titleOf(department))} ${why}, so the customer would wait. Press Transfer again if you want that.`;
}

/** @param {Department} department */
function describe(department) {
  const hint = !department.open ? " (closed)" : !department.staffed ? " (nobody online)" : "";
  return titleOf(department) + hint;
}
