// @ts-check
import { isolated } from "../directions.js";
import { ask, el, say } from "../dom.js";
import { selected } from "../lists.js";
import { Modal, labelled } from "./modal.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Department} Department */
/** @typedef {import("../types.js").Answer} Answer */

/** Passes a conversation on to another department. */
export class TransferDialog extends Modal {
  /** @type {State["dialog"]} */
  static dialog = "transfer";
  #department = el("select", { "data-testid": "transfer-department" });
  #problem = el("p", { class: "problem", role: "alert" });
  #title = el("h2", { id: "transfer-title" }, "Transfer");
  /** @type {string | null} */
  #handoff = null;

  connectedCallback() {
    super.connectedCallback();
    this.dialog.setAttribute("aria-labelledby", "transfer-title");
    const cancel = el("button", { type: "button", class: "quiet" }, "Cancel");
    const confirm = el(
      "button",
      { type: "submit", class: "primary", "data-testid": "transfer-confirm" },
      "Transfer",
    );
    const body = labelled(
      "transfer-department",
      "Department",
      this.#department,
      "The customer waits there in the queue and is told.",
    );
    const form = el(
      "form",
      {},
      this.#title,
      body,
      this.#problem,
      el("div", { class: "buttons" }, cancel, confirm),
    );
    cancel.addEventListener("click", () => this.dialog.close());
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#confirm()));
    this.dialog.append(form);
  }

  /** @param {State} state */
  prepare(state) {
    const summary = selected(state);
    this.#handoff = summary?.handoff_id ?? null;
    say(this.#title, `Transfer ${isolated(summary?.title ?? "")}`);
    say(this.#problem, "");
    this.#department.replaceChildren(
      el("option", { value: "" }, "Any department"),
      ...state.departments.map(choice),
    );
  }

  #confirm() {
    const title = this.#department.selectedOptions[0]?.dataset.title ?? "any department";
    const done = (/** @type {Answer} */ answer) =>
      answer.ok ? this.dialog.close() : say(this.#problem, answer.error ?? "");
    ask(this, "transfer", {
      handoff_id: this.#handoff,
      department: this.#department.value || null,
      title,
      done,
    });
  }
}

/** @param {Department} department */
function choice(department) {
  const title = department.title || department.name;
  const hint = !department.open ? " (closed)" : !department.staffed ? " (nobody online)" : "";
  return el("option", { value: department.name, "data-title": title }, title + hint);
}
