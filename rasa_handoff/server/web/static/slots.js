// @ts-check
/** Reads what an agent types into a slot's field, as the value that the bot gets. Pure. */

/** @typedef {import("./types.js").Slot} Slot */
/** @typedef {{changed: false} | {changed: true, value: any} | {changed: false, problem: string}} Reading */

/** @type {Reading} */
const UNCHANGED = { changed: false };

/**
 * Read a field. An empty one leaves the slot unchanged.
 *
 * @param {Slot} slot
 * @param {string} typed
 * @returns {Reading}
 */
export function readSlot(slot, typed) {
  const text = typed.trim();
  if (!text) return UNCHANGED;
  const reader = Object.hasOwn(readers, slot.type) ? readers[slot.type] : readers.text;
  return reader(text, slot);
}

/** @type {Record<string, (text: string, slot: Slot) => Reading>} */
const readers = {
  text: (text) => ({ changed: true, value: text }),
  bool: (text) => ({ changed: true, value: text === "true" }),
  float: readNumber,
  categorical: (text, slot) => ({
    changed: true,
    value: (slot.values ?? []).find((value) => String(value) === text) ?? text,
  }),
  list: (text) => ({
    changed: true,
    value: text
      .split(",")
      .map((item) => item.trim())
      .filter(Boolean),
  }),
};

/**
 * @param {string} text
 * @param {Slot} slot
 * @returns {Reading}
 */
function readNumber(text, slot) {
  const value = Number(text.includes(".") ? text : text.replace(",", "."));
  if (Number.isFinite(value)) return { changed: true, value };
  return { changed: false, problem: `${slot.name} is a number: write one such as 12.5, or leave it empty.` };
}

/**
 * Write a slot's value as people read it.
 *
 * @param {any} value
 * @returns {string}
 */
export function showValue(value) {
  if (value === null || value === undefined || value === "") return "not set";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(showValue).join(", ") || "none";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
