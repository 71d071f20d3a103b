// @ts-check
import { el } from "../dom.js";
import { readable } from "../formatting.js";
import { readSlot, showValue } from "../slots.js";
import { stripDirectionControls } from "../text-direction.js";
import { FormDialog } from "./form-dialog.js";
import { FormField, select, setOptions } from "./form-field.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../types.js").Slot} Slot */
/** @typedef {import("../types.js").BotState} BotState */

const HINTS = new Map([
  ["list", "Separate several by commas."],
  ["float", "A number, such as 12.5."],
]);

/** Gives the conversation back to the bot: outcome, note, and what the bot should know from now on. */
export class ResolveDialog extends FormDialog {
  /** @type {State["dialog"]} */
  static dialogName = "resolve";
  verb = "Resolve";
  #outcomes = el("select", { "data-testid": "resolve-outcome", required: true });
  #outcome = new FormField("resolve-outcome", "Outcome", this.#outcomes);
  #note = new FormField(
    "resolve-note",
    "Note (for the record and the bot)",
    el("textarea", { rows: "3", dir: "auto", "data-testid": "resolve-note" }),
  );
  #fieldset = el("fieldset");
  /** @type {{slot: Slot, field: FormField}[]} */
  #slots = [];

  fields() {
    return [this.#outcome.element, this.#note.element, this.#fieldset];
  }

  /** @param {State} state @param {Summary | null} summary */
  fill(state, summary) {
    const bot = summary ? state.details.get(summary.handoff_id)?.bot : undefined;
    // A message left is resolved for the record alone: the bot has the conversation already.
    const settable = summary?.state === "message" ? [] : (bot?.settable ?? []);
    setOptions(
      this.#outcomes,
      state.outcomes.map((outcome) => [outcome, readable(outcome)]),
    );
    this.#note.value = "";
    this.#slots = settable.map((slot) => ({ slot, field: slotField(slot, bot) }));
    this.#fieldset.hidden = settable.length === 0;
    this.#fieldset.replaceChildren(
      el("legend", {}, "What the bot should know (empty stays unchanged)"),
      ...this.#slots.map(({ field }) => field.element),
    );
  }

  read() {
    const slots = this.#readSlots();
    return slots && { result: { outcome: this.#outcome.value, note: this.#note.value.trim() || null, slots } };
  }

  /** Return the slots to change, by name. If a field can't be read, show the error there and return null. */
  #readSlots() {
    const readings = this.#slots.map(({ slot, field }) => ({ slot, field, reading: readSlot(slot, field.value) }));
    for (const { field } of readings) field.showError(null);
    for (const { field, reading } of readings)
      if ("problem" in reading) {
        field.showError(reading.problem);
        return null;
      }
    return Object.fromEntries(
      readings.flatMap(({ slot, reading }) => (reading.changed ? [[slot.name, reading.value]] : [])),
    );
  }
}

/**
 * @param {Slot} slot
 * @param {BotState | undefined} bot
 */
function slotField(slot, bot) {
  const now = bot && Object.hasOwn(bot.slots, slot.name) ? `Now: ${showValue(bot.slots[slot.name])}.` : null;
  const hint = [now, HINTS.get(slot.type)].filter(Boolean).join(" ") || null;
  const id = `slot-${slot.name}`;
  const control = slotControl(slot);
  control.dataset.testid = id;
  return new FormField(id, stripDirectionControls(readable(slot.name)), control, hint);
}

/** @param {Slot} slot */
function slotControl(slot) {
  if (slot.type === "bool") return choice([["true", "Yes"], ["false", "No"]]);
  if (slot.type === "categorical") return choice((slot.values ?? []).map((value) => [String(value), showValue(value)]));
  const inputmode = slot.type === "float" ? "decimal" : null;
  return el("input", { type: "text", dir: "auto", inputmode, autocomplete: "off" });
}

/** @param {(readonly [string, string])[]} options */
function choice(options) {
  return select([["", "Unchanged"], ...options]);
}
