// @ts-check
/** What the desk shows, read from its state: who waits, whose are mine, what is unread. Pure. */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Summary} Summary */

const URGENCY = { urgent: 0, high: 1, normal: 2, low: 3 };

/** So many reminders in vain, and a colleague may take it over. */
const HELP_AFTER = 2;

/**
 * Who waits, in the order they should be served: by priority, then who goes ahead, then by how long they wait.
 *
 * @param {State} state
 */
export function queue(state) {
  return [...state.summaries.values()]
    .filter((summary) => summary.state === "queued")
    .sort(
      (one, other) =>
        URGENCY[one.priority] - URGENCY[other.priority] ||
        Number(other.ahead) - Number(one.ahead) ||
        one.queued_at - other.queued_at,
    );
}

/**
 * This agent's conversations, the oldest first: a list that doesn't jump while one is typing.
 *
 * @param {State} state
 */
export function mine(state) {
  return assigned(state).filter((summary) => isMine(state, summary));
}

/** @param {State} state */
export function others(state) {
  return assigned(state).filter((summary) => !isMine(state, summary));
}

/**
 * What customers left to be answered later, the oldest first.
 *
 * @param {State} state
 */
export function messagesLeft(state) {
  return [...state.summaries.values()]
    .filter((summary) => summary.state === "message")
    .sort((one, other) => one.queued_at - other.queued_at);
}

/** @param {State} state */
export function selected(state) {
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
export function overdue(state, summary) {
  if (summary.state !== "assigned") return false;
  return summary.reminders >= (isMine(state, summary) ? 1 : HELP_AFTER);
}

/**
 * Whether this agent can take it: from the queue, or from a colleague who doesn't answer.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function mayTake(state, summary) {
  return summary.state === "queued" || (!isMine(state, summary) && overdue(state, summary));
}

/**
 * @param {State} state
 * @param {string} id
 */
export function unread(state, id) {
  const seen = state.seen.get(id) ?? 0;
  const list = state.messages.get(id) ?? [];
  return list.filter((message) => message.speaker === "customer" && message.seq > seen).length;
}

/**
 * The same for a message that was left, of which often only the last line is known.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function unreadLeft(state, { handoff_id, last }) {
  if (state.messages.has(handoff_id)) return unread(state, handoff_id);
  return last?.speaker === "customer" && last.seq > (state.seen.get(handoff_id) ?? 0) ? 1 : 0;
}

/**
 * The newest thing said, for a line in the list.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function last(state, summary) {
  const known = state.messages.get(summary.handoff_id)?.at(-1) ?? null;
  return known && (!summary.last || known.seq >= summary.last.seq) ? known : summary.last;
}

/**
 * @param {State} state
 * @param {string | null} name
 */
export function departmentTitle(state, name) {
  if (!name) return null;
  return state.departments.find((department) => department.name === name)?.title || name;
}

/** @param {State} state */
function assigned(state) {
  return [...state.summaries.values()]
    .filter((summary) => summary.state === "assigned")
    .sort((one, other) => (one.assigned_at ?? 0) - (other.assigned_at ?? 0));
}
