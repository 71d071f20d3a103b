// @ts-check
/**
 * What outlives a reload. This tab's storage keeps unsent messages and drafts (their files are in file-storage.js); this browser's storage keeps how far each
 * conversation was read, and the switch for sound; the page's address keeps which conversation is open.
 */

import { PersistentMap } from "./persistent-map.js";
import { unreadConversations } from "./selectors.js";
import { isUnsentPart } from "./unsent-parts.js";

/** @typedef {import("./types.js").State} State */

const HASH = "#c=";
const MOST_SEEN = 200;

/**
 * The two storages, each behind a function, since reading its name throws where the browser forbids storage.
 *
 * @type {Record<"tab" | "browser", () => Storage>}
 */
const STORAGES = { tab: () => sessionStorage, browser: () => localStorage };

/**
 * Read what is kept under the key, if `read` recognizes it as what the desk keeps there: an extension, an older version or
 * another page of this address may have written something else, and a broken value must not stop the desk.
 *
 * @template T
 * @param {"tab" | "browser"} where
 * @param {string} key
 * @param {(value: any) => T | undefined} read
 * @param {T} otherwise
 * @returns {T}
 */
function load(where, key, read, otherwise) {
  try {
    return read(JSON.parse(STORAGES[where]().getItem(key) ?? "null")) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/**
 * @param {"tab" | "browser"} where
 * @param {string} key
 * @param {any} value
 */
function save(where, key, value) {
  try {
    STORAGES[where]().setItem(key, JSON.stringify(value));
  } catch {
    // A full or forbidden storage must not stop the agent from writing.
  }
}

/** Remove a key from this tab's storage. @param {string} key */
function remove(key) {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // Forbidden, so it isn't there.
  }
}

/** @param {any} value @returns {value is import("./types.js").Unsent} */
function isUnsent(value) {
  const { id, handoff_id, agent, text, at, problem } = value ?? {};
  const texts = [id, handoff_id, agent, text].every((one) => typeof one === "string");
  return texts && Number.isFinite(at) && (problem === null || typeof problem === "string");
}

/** @param {any} value */
const readParts = (value) => (Array.isArray(value) ? value.filter(isUnsentPart) : []);

/** @param {any} value */
const readUnsent = (value) =>
  Array.isArray(value) ? value.filter(isUnsent).map((one) => ({ ...one, parts: readParts(one.parts) })) : undefined;

/** @param {any} value @returns {State["attached"]} */
const readAttached = (value) =>
  PersistentMap.from(Object.entries(value ?? {}).map(([id, parts]) => /** @type {const} */ ([id, readParts(parts)])));

/** @param {any} value */
const readSeen = (value) => new Map(Object.entries(value ?? {}).filter(([, seq]) => Number.isFinite(seq)));

/** @param {any} value */
const readText = (value) => (typeof value === "string" ? value : undefined);

/** @param {any} value */
const readSwitch = (value) => (typeof value === "boolean" ? value : undefined);

/** Read what a reload brings back into the state. @returns {Partial<State>} */
export function loadSaved() {
  return {
    unsent: load("tab", "desk.unsent", readUnsent, []),
    attached: load("tab", "desk.attached", readAttached, new PersistentMap()),
    seen: load("browser", "desk.seen", readSeen, new Map()),
    sound: load("browser", "desk.sound", readSwitch, true),
    selected: conversationInAddress(),
  };
}

/** The agent's conversations with unread messages, when this tab was left: some may have ended since. @returns {string[]} */
export function loadUnread() {
  return load("tab", "desk.unread", (value) => (Array.isArray(value) ? value.map(String) : undefined), []);
}

/**
 * Save what an event has changed of what outlives a reload.
 *
 * @param {State} state
 * @param {State} before
 */
export function saveChanges(state, before) {
  if (state.unsent !== before.unsent) save("tab", "desk.unsent", state.unsent);
  if (state.attached !== before.attached) save("tab", "desk.attached", Object.fromEntries(state.attached.entries()));
  if (state.seen !== before.seen) save("browser", "desk.seen", newest(state.seen));
  if (state.lists.mine !== before.lists.mine || state.messages !== before.messages || state.seen !== before.seen)
    save("tab", "desk.unread", unreadConversations(state));
  if (state.sound !== before.sound) save("browser", "desk.sound", state.sound);
  if (state.selected !== before.selected) putIntoAddress(state.selected);
}

/**
 * Call back with what another tab of this browser has kept as seen.
 *
 * @param {(seen: Map<string, number>) => void} listener
 */
export function onSeenElsewhere(listener) {
  addEventListener("storage", ({ key }) => {
    if (key === "desk.seen") listener(load("browser", "desk.seen", readSeen, new Map()));
  });
}

/** Return the conversations seen last: older ones are forgotten, so that they don't pile up. @param {Map<string, number>} seen */
function newest(seen) {
  return Object.fromEntries([...seen].slice(-MOST_SEEN));
}

/** Return the conversation in the page's address; null if there is none, or something broken. */
export function conversationInAddress() {
  try {
    return location.hash.startsWith(HASH) ? decodeURIComponent(location.hash.slice(HASH.length)) || null : null;
  } catch {
    return null;
  }
}

/** @param {string | null} handoff_id */
function putIntoAddress(handoff_id) {
  if (conversationInAddress() === handoff_id) return;
  const hash = handoff_id ? HASH + encodeURIComponent(handoff_id) : "";
  history.pushState(null, "", location.pathname + hash);
}

/**
 * Return this agent's draft: another may have written one in this tab before, and left it as the session expired.
 *
 * @param {string} handoff_id
 * @param {string | undefined} agent
 */
export function loadDraft(handoff_id, agent) {
  const { text } = load("tab", `desk.draft.${handoff_id}`, (draft) => (draft.agent === agent ? draft : undefined), { text: "" });
  return readText(text) ?? "";
}

/**
 * @param {string} handoff_id
 * @param {string | undefined} agent
 * @param {string} text
 */
export function saveDraft(handoff_id, agent, text) {
  if (text) save("tab", `desk.draft.${handoff_id}`, { agent, text });
  else remove(`desk.draft.${handoff_id}`);
}

/** Remove the drafts of conversations that were deleted. @param {string[]} handoff_ids */
export function removeDrafts(handoff_ids) {
  for (const id of handoff_ids) remove(`desk.draft.${id}`);
}

/** Remove all that this tab keeps, so that the next agent in it finds nothing of this one's. */
export function clearTab() {
  try {
    sessionStorage.clear();
  } catch {
    // Forbidden, so nothing was kept either.
  }
}
