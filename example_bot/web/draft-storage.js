// @ts-check
/**
 * What the customer has begun to write in this tab, and the files that are at Rasa for it: kept through a reload, and only for the
 * same conversation.
 */

/** @typedef {import("./file-sending.js").Kept} Kept */
/** @typedef {{text: string, files: Kept[]}} Draft */

const KEY = "karoo.draft";

/** @param {string} session @returns {Draft} */
export function loadDraft(session) {
  try {
    const { session: whose, text, files } = JSON.parse(sessionStorage.getItem(KEY) ?? "null") ?? {};
    if (whose !== session) return { text: "", files: [] };
    return { text: typeof text === "string" ? text : "", files: Array.isArray(files) ? files.filter(isKept) : [] };
  } catch {
    return { text: "", files: [] };
  }
}

/** @param {string} session @param {Draft} draft */
export function saveDraft(session, { text, files }) {
  try {
    if (text || files.length) sessionStorage.setItem(KEY, JSON.stringify({ session, text, files }));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Without storage the draft lasts as long as the page.
  }
}

/** @param {any} value @returns {value is Kept} */
function isKept(value) {
  const { id, url, name, type, size } = value ?? {};
  const named = [name, type].every((one) => one === undefined || typeof one === "string");
  return typeof id === "string" && typeof url === "string" && named && (size === undefined || Number.isFinite(size));
}
