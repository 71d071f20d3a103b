// @ts-check
/** Selectors, functions that read the state: who waits, which conversations are this agent's, what is unread. Pure. */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Summary} Summary */

/** After so many reminders a colleague may take a conversation over. */
const TAKE_OVER_AFTER = 2;

/** In the order they should be served. @param {State} state */
export function queuedConversations(state) {
  return state.lists.queue;
}

/** This agent's. @param {State} state */
export function myConversations(state) {
  return state.lists.mine;
}

/** @param {State} state */
export function colleaguesConversations(state) {
  return state.lists.others;
}

/** What customers left to be answered later. @param {State} state */
export function messagesLeft(state) {
  return state.lists.left;
}

/** @param {State} state */
export function selectedConversation(state) {
  return state.selected ? (state.summaries.get(state.selected) ?? null) : null;
}

/**
 * @param {State} state
 * @param {Summary} summary
 */
export function isMine(state, summary) {
  return summary.state === "assigned" && summary.agent?.id === state.me?.id;
}

/**
 * Whether this agent may write in it and resolve it: their own, and a message that was left.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function mayAnswer(state, summary) {
  return summary.state === "message" || isMine(state, summary);
}

/**
 * Whether the customer has waited so long that this agent should do something: answer, or take it over.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function isOverdue(state, summary) {
  if (summary.state !== "assigned") return false;
  return summary.reminders >= (isMine(state, summary) ? 1 : TAKE_OVER_AFTER);
}

/**
 * Whether this agent can take it: from the queue, or from a colleague who doesn't answer.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function mayTake(state, summary) {
  return summary.state === "queued" || (!isMine(state, summary) && isOverdue(state, summary));
}

/**
 * The customer's messages that this agent hasn't seen. Looks at nothing older, however long the chat is.
 *
 * @param {State} state
 * @param {string} id
 */
export function unreadCount(state, id) {
  const seen = state.seen.get(id) ?? 0;
  const list = state.messages.get(id) ?? [];
  let count = 0;
  for (let place = list.length - 1; place >= 0 && list[place].seq > seen; place -= 1)
    if (list[place].speaker === "customer") count += 1;
  return count;
}

/**
 * The same for a message that was left, of which often only the last one is known.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function unreadLeftCount(state, { handoff_id, last }) {
  if (state.messages.has(handoff_id)) return unreadCount(state, handoff_id);
  return last?.speaker === "customer" && last.seq > (state.seen.get(handoff_id) ?? 0) ? 1 : 0;
}

/**
 * The newest message, for a row in a list.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function lastMessage(state, summary) {
  const known = state.messages.get(summary.handoff_id)?.at(-1) ?? null;
  return known && (!summary.last || known.seq >= summary.last.seq) ? known : summary.last;
}

/** How many conversations and messages want this agent's attention. @param {State} state */
export function attentionCount(state) {
  const unread = state.lists.mine.filter((summary) => unreadCount(state, summary.handoff_id));
  const left = state.lists.left.filter((summary) => unreadLeftCount(state, summary));
  return state.lists.queue.length + unread.length + left.length;
}

/**
 * @param {State} state
 * @param {string | null} name
 */
export function departmentTitle(state, name) {
  if (!name) return null;
  return state.departments.find((department) => department.name === name)?.title || name;
}
