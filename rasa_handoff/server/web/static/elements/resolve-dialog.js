// @ts-check
import { isolated, undirected } from "../directions.js";
import { ask, el, say } from "../dom.js";
import { selected } from "../lists.js";
import { readSlot, showValue } from "../slots.js";
import { readable } from "../words.js";
import { Modal, labelled } from "./modal.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Slot} Slot */
/** @typedef {import("../types.js").BotState} BotState */
/** @typedef {import("../types.js").Answer} Answer */

const HINTS = new Map([
  ["list", "Separate several by commas."],
  ["float", "A number, such as 12.5."],
]);

/** Gives the conversation back to the bot: outcome, note, and what the bot should know from now on. */
export class ResolveDialog extends Modal {
  /** @type {State["dialog"]} */
  static dialog = "resolve";
  #title = el("h2", { id: "resolve-title" }, "Resolve");
  #outcome = el("select", { "data-testid": "resolve-outcome", required: true });
  #note = el("textarea", { rows: "3", dir: "auto", "data-testid": "resolve-note" });
  #slots = el("fieldset");
  #problem = el("p", { class: "problem", role: "alert", "data-testid": "resolve-problem" });
  #confirm = el("button", { type: "submit", class: "primary", "data-testid": "resolve-confirm" }, "Resolve");
  /** @type {string | null} */
  #handoff = null;
  /** @type {Slot[]} */
  #settable = [];

  connectedCallback() {
    super.connectedCallback();
    this.dialog.setAttribute("aria-labelledby", "resolve-title");
    const cancel = el("button", { type: "button", class: "quiet" }, "Cancel");
    const form = el(
      "form",
      {},
      this.#title,
      labelled("resolve-outcome", "Outcome", this.#outcome),
      labelled("resolve-note", "Note (for the record and the bot)", this.#note),
      this.#slots,
      this.#problem,
      el("div", { class: "buttons" }, cancel, this.#confirm),
    );
    cancel.addEventListener("click", () => this.dialog.close());
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.dialog.append(form);
  }

  /** @param {State} state */
  prepare(state) {
    const summary = selected(state);
    const bot = summary ? state.details.get(summary.handoff_id)?.bot : undefined;
    this.#handoff = summary?.handoff_id ?? null;
    // A message left is resolved for the record alone: the bot has the conversation already.
    this.#settable = summary?.state === "message" ? [] : (bot?.settable ?? []);
    say(this.#title, `Resolve ${isolated(summary?.title ?? "")}`);
    say(this.#problem, "");
    this.#note.value = "";
    this.#confirm.disabled = false;
    this.#outcome.replaceChildren(
      ...state.outcomes.map((outcome) => el("option", { value: outcome }, readable(outcome))),
    );
    this.#slots.hidden = this.#settable.length === 0;
    this.#slots.replaceChildren(el("legend", {}, "What the bot should know (empty stays unchanged)"));
    this.#slots.append(...this.#settable.map((slot) => field(slot, bot)));
  }

  #submit() {
    const { slots, problem } = this.#read();
    say(this.#problem, problem ?? "");
    if (problem) return;
    const result = { outcome: this.#outcome.value, note: this.#note.value.trim() || null, slots };
    this.#confirm.disabled = true;
    ask(this, "resolve", {
      handoff_id: this.#handoff,
      result,
      done: (/** @type {Answer} */ answer) => this.#done(answer),
    });
  }

  /** @param {Answer} answer */
  #done(answer) {
    if (answer.ok) return this.dialog.close();
    this.#confirm.disabled = false;
    say(this.#problem, answer.error ?? "That didn't work. Please try again.");
  }

  #read() {
    /** @type {Map<string, any>} */
    const slots = new Map();
    const read = (/** @type {string | null} */ problem) => ({ slots: Object.fromEntries(slots), problem });
    for (const slot of this.#settable) {
      const control = /** @type {HTMLInputElement} */ (
        this.dialog.querySelector(`#${CSS.escape(`slot-${slot.name}`)}`)
      );
      const reading = readSlot(slot, control.value);
      if (reading.changed) slots.set(slot.name, reading.value);
      else if ("problem" in reading) return (control.focus(), read(reading.problem));
    }
    return read(null);
  }
}

/**
 * @param {Slot} slot
 * @param {BotState | undefined} bot
 */
function field(slot, bot) {
  const now = bot && Object.hasOwn(bot.slots, slot.name) ? `Now: ${showValue(bot.slots[slot.name])}.` : null;
  const hint = [now, HINTS.get(slot.type)].filter(Boolean).join(" ") || null;
  const input = control(slot);
  input.dataset.testid = `slot-${slot.name}`;
  return labelled(`slot-${slot.name}`, undirected(readable(slot.name)), input, hint);
}

/** @param {Slot} slot */
function control(slot) {
  if (slot.type === "bool")
    return choices([
      ["true", "Yes"],
      ["false", "No"],
    ]);
  if (slot.type === "categorical")
    return choices((slot.values ?? []).map((value) => [String(value), showValue(value)]));
  return el("input", {
    type: "text",
    dir: "auto",
    inputmode: slot.type === "float" ? "decimal" : null,
    autocomplete: "off",
  });
}

/** @param {string[][]} pairs */
function choices(pairs) {
  return el(
    "select",
    {},
    el("option", { value: "" }, "Unchanged"),
    ...pairs.map(([value, words]) => el("option", { value }, words)),
  );
}
