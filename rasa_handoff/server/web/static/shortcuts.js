// @ts-check
/**
 * The desk's keys. The list in the help dialog is made of the same table.
 *
 * Alt with a letter means the key that types this letter (Q is elsewhere on AZERTY than on QWERTY). Where keys type no Latin
 * letters, on a Cyrillic or Hebrew keyboard or with Option on a Mac, it means the key that is in the letter's place on QWERTY.
 */

import {
  isMine,
  mayAnswer,
  mayTake,
  myConversations,
  queuedConversations,
  selectedConversation,
  unreadCount,
} from "./selectors.js";
import { tinykeys } from "./vendor/tinykeys-3.1.0.MIT.esm.min.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {Record<string, (detail: any) => unknown>} Commands what elements can ask for, by name */
/** @typedef {{letter: string, description: string, run: (state: State, commands: Commands) => unknown}} Shortcut */

/** With Alt. @type {readonly Shortcut[]} */
export const SHORTCUTS = [
  { letter: "Q", description: "Go to the queue", run: () => focusFirst("[data-testid=queue-open]", "#queue") },
  { letter: "T", description: "Take the first in the queue, or the one you are reading", run: take },
  { letter: "C", description: "Go to my conversations", run: () => focusFirst("[data-testid=mine-item]", "#mine") },
  { letter: "N", description: "Next conversation, unread first", run: selectNext },
  { letter: "M", description: "Write a message", run: () => focusFirst("[data-testid=composer]") },
  { letter: "L", description: "Go to the live messages", run: () => focusFirst("#log") },
  { letter: "I", description: "Go to the details", run: showDetails },
  { letter: "X", description: "Transfer", run: openTransfer },
  { letter: "R", description: "Resolve", run: openResolve },
  { letter: "O", description: "Online or away", run: switchPresence },
];

/**
 * @param {import("./store.js").Store} store
 * @param {Commands} commands
 */
export function listenForShortcuts(store, commands) {
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const bindings = {};
  for (const { letter, run } of SHORTCUTS) {
    const handle = unlessBusy(store, (state) => run(state, commands));
    bindings[`Alt+${letter}`] = handle;
    bindings[`Alt+Key${letter}`] = (event) => typesLatin(event) || handle(event);
  }
  const help = unlessBusy(store, () => commands.dialog({ dialog: "help" }));
  bindings["?"] = bindings["Shift+?"] = (event) => isTextField(event.target) || help(event);
  tinykeys(window, bindings);
  listenForSkipLink();
}

/**
 * Return a key's listener, which calls `run` unless a dialog is open, and only once while the key is held down.
 *
 * @param {import("./store.js").Store} store
 * @param {(state: State) => unknown} run
 */
function unlessBusy(store, run) {
  return (/** @type {KeyboardEvent} */ event) => {
    if (store.state.dialog) return;
    event.preventDefault();
    if (!event.repeat) run(store.state);
  };
}

/**
 * Whether the key types a Latin letter: then this letter decides, and not the key's place on QWERTY.
 *
 * @param {KeyboardEvent} event
 */
function typesLatin(event) {
  return /^[a-z]$/i.test(event.key);
}

/** @param {EventTarget | null} target */
function isTextField(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}

/** Let the skip link move the focus to the conversation, and leave the page's address alone: it names the open conversation. */
function listenForSkipLink() {
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    event.preventDefault();
    focusFirst("#conversation");
  });
}

/** Focus the first element that is there. @param {...string} selectors */
function focusFirst(...selectors) {
  for (const selector of selectors) {
    const element = /** @type {HTMLElement | null} */ (document.querySelector(selector));
    if (element) return element.focus();
  }
}

/** @param {State} state @param {Commands} commands */
function take(state, commands) {
  const selected = selectedConversation(state);
  const taken = selected && mayTake(state, selected) ? selected : queuedConversations(state)[0];
  return taken && commands.take({ handoff_id: taken.handoff_id });
}

/** Select my next conversation with unread messages, else my next one. @param {State} state @param {Commands} commands */
function selectNext(state, commands) {
  const all = myConversations(state);
  const place = all.findIndex((summary) => summary.handoff_id === state.selected);
  const following = [...all.slice(place + 1), ...all.slice(0, place + 1)];
  const next = following.find((summary) => unreadCount(state, summary.handoff_id)) ?? following[0];
  return next && commands.select({ handoff_id: next.handoff_id });
}

function showDetails() {
  document.querySelector("#context")?.classList.add("shown");
  focusFirst("#context");
}

/** @param {State} state @param {Commands} commands */
function openTransfer(state, commands) {
  const selected = selectedConversation(state);
  return selected && isMine(state, selected) && commands.dialog({ dialog: "transfer" });
}

/** @param {State} state @param {Commands} commands */
function openResolve(state, commands) {
  const selected = selectedConversation(state);
  return selected && mayAnswer(state, selected) && commands.dialog({ dialog: "resolve" });
}

/** @param {State} state @param {Commands} commands */
function switchPresence(state, commands) {
  return state.me && commands.presence({ online: !state.me.online });
}
