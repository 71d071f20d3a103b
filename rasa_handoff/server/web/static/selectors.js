// @ts-check
/** Selectors, functions that read the state: who waits, which conversations are this agent's, what is unread. Pure. */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Summary} Summary */

/** After so many reminders a colleague may take a conversation over. */
const TAKE_OVER_AFTER = 2;

/** The conversations in the queue, in the order they should be served. @param {State} state */
export function queuedConversations(state) {
  return state.lists.queue;
}

/** This agent's conversations. @param {State} state */
export function myConversations(state) {
  return state.lists.mine;
}

/** @param {State} state */
export function colleaguesConversations(state) {
  return state.lists.others;
}

/** The messages that customers left to be answered later. @param {State} state */
export function messagesLeft(state) {
  return state.lists.left;
}

/** The conversations that have ended and that somebody has to follow up. @param {State} state */
export function conversationsToFollowUp(state) {
  return state.lists.followUps;
}

/** Whether what the agent does is taken: now, or in a moment, when an interruption is over. @param {State} state */
export function isOnline(state) {
  return state.connection === "online" || state.connection === "interrupted";
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
 * Whether this agent may write in the conversation and resolve it: it is their own, or a message that was left.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function mayAnswer(state, summary) {
  return summary.state === "message" || isMine(state, summary);
}

/**
 * Whether the customer has waited so long that this agent should answer, or take the conversation over.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function isOverdue(state, summary) {
  if (summary.state !== "assigned") return false;
  return summary.reminders >= (isMine(state, summary) ? 1 : TAKE_OVER_AFTER);
}

/**
 * Whether this agent can take the conversation: from the queue, or from a colleague who doesn't answer.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function mayTake(state, summary) {
  return summary.state === "queued" || (!isMine(state, summary) && isOverdue(state, summary));
}

/**
 * Count the customer's messages that this agent hasn't seen. Only unseen ones are looked at, however long the chat is.
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

/** The ids of this agent's conversations with messages that they haven't seen. @param {State} state */
export function unreadConversations(state) {
  return state.lists.mine.map(({ handoff_id }) => handoff_id).filter((id) => unreadCount(state, id));
}

/**
 * Count what this agent hasn't seen of a message that was left. Often only the last message of its conversation is known here.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function unreadLeftCount(state, { handoff_id, last }) {
  if (state.messages.has(handoff_id)) return unreadCount(state, handoff_id);
  return last?.speaker === "customer" && last.seq > (state.seen.get(handoff_id) ?? 0) ? 1 : 0;
}

/**
 * The newest message of a conversation, for its row in a list.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function lastMessage(state, summary) {
  const known = state.messages.get(summary.handoff_id)?.at(-1) ?? null;
  return known && (!summary.last || known.seq >= summary.last.seq) ? known : summary.last;
}

/** Count the conversations and left messages that this agent should look at. @param {State} state */
export function attentionCount(state) {
  const unread = unreadConversations(state);
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
