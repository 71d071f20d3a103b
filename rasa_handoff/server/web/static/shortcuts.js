// @ts-check
/** Keys. The list in the help dialog (desk.html) tells the same. */

import { isMine, mayAnswer, mayTake, mine, queue, selected, unread } from "./lists.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {Record<string, (detail: any) => unknown>} Wishes */

/**
 * With Alt, by the key's place, since Alt+T may type a letter of its own.
 *
 * @type {Record<string, (state: State, wishes: Wishes) => unknown>}
 */
const KEYS = {
  KeyQ: () => focus("[data-testid=queue-open]", "#queue"),
  KeyC: () => focus("[data-testid=mine-item]", "#mine"),
  KeyM: () => focus("[data-testid=composer]"),
  KeyL: () => focus("#log"),
  KeyI: () => (document.querySelector("#context")?.classList.add("shown"), focus("#context")),
  KeyT: (state, wishes) => takeFirst(state, wishes),
  KeyN: (state, wishes) => next(state, wishes),
  KeyR: (state, wishes) => answerable(state) && wishes.dialog({ name: "resolve" }),
  KeyX: (state, wishes) => own(state) && wishes.dialog({ name: "transfer" }),
  KeyO: (state, wishes) => state.me && wishes.presence({ online: !state.me.online }),
};

/**
 * @param {import("./store.js").Store} store
 * @param {Wishes} wishes
 */
export function listen(store, wishes) {
  const skip = /** @type {HTMLElement} */ (document.querySelector(".skip"));
  // Not by its address: that names the open conversation.
  skip.addEventListener("click", (event) => take(event, () => focus("#conversation")));
  addEventListener("keydown", (event) => {
    const { state } = store;
    if (state.dialog || event.ctrlKey || event.metaKey) return;
    if (event.key === "?" && !writes(event.target)) return take(event, () => wishes.dialog({ name: "help" }));
    const key = event.altKey ? KEYS[event.code] : undefined;
    if (key) take(event, () => key(state, wishes));
  });
}

/**
 * @param {Event} event
 * @param {() => unknown} action
 */
function take(event, action) {
  event.preventDefault();
  action();
}

/** The first of these that is there. @param {...string} selectors */
function focus(...selectors) {
  for (const selector of selectors) {
    const element = /** @type {HTMLElement | null} */ (document.querySelector(selector));
    if (element) return element.focus();
  }
}

/** @param {State} state @param {Wishes} wishes */
function takeFirst(state, wishes) {
  const chosen = selected(state);
  const first = chosen && mayTake(state, chosen) ? chosen : queue(state)[0];
  return first && wishes.take({ handoff_id: first.handoff_id });
}

/** The next with unread messages, else the next one. @param {State} state @param {Wishes} wishes */
function next(state, wishes) {
  const all = mine(state);
  const here = all.findIndex((summary) => summary.handoff_id === state.selected);
  const round = [...all.slice(here + 1), ...all.slice(0, here + 1)];
  const chosen = round.find((summary) => unread(state, summary.handoff_id)) ?? round[0];
  return chosen && wishes.select({ handoff_id: chosen.handoff_id });
}

/** @param {State} state */
function own(state) {
  const chosen = selected(state);
  return Boolean(chosen && isMine(state, chosen));
}

/** @param {State} state */
function answerable(state) {
  const chosen = selected(state);
  return Boolean(chosen && mayAnswer(state, chosen));
}

/** @param {EventTarget | null} target */
function writes(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}
