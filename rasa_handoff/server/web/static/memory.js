// @ts-check
/** What outlives a reload: unsent words and drafts in this tab, how far was read here, the hash. */

/** @typedef {import("./types.js").State} State */

const MARK = "#c=";

/**
 * @template T
 * @param {Storage} storage
 * @param {string} key
 * @param {T} otherwise
 * @returns {T}
 */
function load(storage, key, otherwise) {
  try {
    return JSON.parse(storage.getItem(key) ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
}

/**
 * @param {Storage} storage
 * @param {string} key
 * @param {any} value
 */
function save(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // A full or forbidden storage must not stop the agent from writing.
  }
}

/** @returns {Partial<State>} */
export function recall() {
  return {
    unsent: load(sessionStorage, "desk.unsent", []),
    seen: load(localStorage, "desk.seen", {}),
    selected: addressed(),
  };
}

/**
 * @param {State} state
 * @param {State} before
 */
export function remember(state, before) {
  if (state.unsent !== before.unsent) save(sessionStorage, "desk.unsent", state.unsent);
  if (state.seen !== before.seen) save(localStorage, "desk.seen", recent(state.seen));
  if (state.selected !== before.selected) address(state.selected);
}

/**
 * The newest two hundred, so that years of conversations don't pile up.
 *
 * @param {Record<string, number>} seen
 */
function recent(seen) {
  return Object.fromEntries(Object.entries(seen).slice(-200));
}

/** The conversation in the page's address. */
export function addressed() {
  return location.hash.startsWith(MARK) ? decodeURIComponent(location.hash.slice(MARK.length)) : null;
}

/** @param {string | null} handoff_id */
function address(handoff_id) {
  if (addressed() === handoff_id) return;
  const hash = handoff_id ? MARK + encodeURIComponent(handoff_id) : "";
  history.pushState(null, "", location.pathname + hash);
}

/** @param {string} handoff_id */
export function draft(handoff_id) {
  return load(sessionStorage, `desk.draft.${handoff_id}`, "");
}

/**
 * @param {string} handoff_id
 * @param {string} text
 */
export function keepDraft(handoff_id, text) {
  if (text) save(sessionStorage, `desk.draft.${handoff_id}`, text);
  else sessionStorage.removeItem(`desk.draft.${handoff_id}`);
}

/** Leaves nothing of this agent's to the next one in this tab. */
export function forget() {
  sessionStorage.clear();
}

/**
 * @param {string} name
 * @param {boolean} otherwise
 */
export function setting(name, otherwise) {
  return load(localStorage, `desk.${name}`, otherwise);
}

/**
 * @param {string} name
 * @param {boolean} value
 */
export function keepSetting(name, value) {
  save(localStorage, `desk.${name}`, value);
}
