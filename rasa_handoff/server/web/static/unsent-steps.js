// @ts-check
/** Steps of the reducer about messages that the server doesn't have yet, and what goes with the next one. Pure. */

import { kindOf } from "./parts.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").DeskEvent} DeskEvent */
/** @typedef {import("./types.js").Unsent} Unsent */
/** @typedef {import("./types.js").UnsentPart} UnsentPart */

/**
 * @param {State} state
 * @param {string} id
 * @param {string | null} problem
 * @returns {State}
 */
export function withProblem(state, id, problem) {
  return { ...state, unsent: state.unsent.map((unsent) => (unsent.id === id ? { ...unsent, problem } : unsent)) };
}

/** Note whether a message waits before its files are uploaded again. @param {State} state @param {DeskEvent} event @returns {State} */
export function withDelay(state, { id, delayed }) {
  const before = state.unsent.find((unsent) => unsent.id === id);
  if (!before || (before.delayed ?? false) === delayed) return state;
  return { ...state, unsent: state.unsent.map((unsent) => (unsent === before ? { ...before, delayed } : unsent)) };
}

/**
 * @param {State} state
 * @param {string} id
 * @param {(parts: UnsentPart[]) => UnsentPart[]} change
 * @returns {State}
 */
export function withAttached(state, id, change) {
  const parts = change(state.attached.get(id) ?? []);
  return { ...state, attached: parts.length ? state.attached.with(id, parts) : state.attached.without(id) };
}

/**
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
export function withoutUnsent(state, { id }) {
  const keys = state.unsent.filter((unsent) => unsent.id === id).flatMap(({ parts }) => parts.map(({ key }) => key));
  return {
    ...state,
    unsent: state.unsent.filter((unsent) => unsent.id !== id),
    uploads: keys.reduce((uploads, key) => uploads.without(key), state.uploads),
  };
}

/**
 * Note that the server has a file of an unsent message. It decides what kind of file it is, by its content.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
export function withStored(state, { id, key, media }) {
  const part = { type: kindOf(media.type), media, key };
  /** @param {Unsent} unsent */
  const stored = (unsent) => ({ ...unsent, parts: unsent.parts.map((one) => (one.key === key ? part : one)) });
  return {
    ...state,
    unsent: state.unsent.map((unsent) => (unsent.id === id ? stored(unsent) : unsent)),
    uploads: state.uploads.without(key),
  };
}
