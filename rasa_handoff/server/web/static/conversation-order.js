// @ts-check
/**
 * The lists of the left column, each in its order: kept by the reducer, so that an event moves one conversation
 * instead of sorting all. Pure.
 */

/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {import("./types.js").Me} Me */
/** @typedef {import("./types.js").Lists} Lists */

const URGENCY = { urgent: 0, high: 1, normal: 2, low: 3 };

/** @type {Lists} */
export const NO_CONVERSATIONS = { queue: [], mine: [], others: [], left: [], followUps: [] };

/**
 * How each list is sorted. The queue, in the order it should be served: by priority, then those that go ahead, then by waiting
 * time. Assigned conversations, the oldest first, so that the list doesn't jump while the agent types. Messages that customers
 * left, and what is to be followed up, the oldest first.
 *
 * @type {Record<keyof Lists, (one: Summary, other: Summary) => number>}
 */
const ORDER = {
  queue: (one, other) =>
    URGENCY[one.priority] - URGENCY[other.priority] ||
    Number(other.ahead) - Number(one.ahead) ||
    one.queued_at - other.queued_at,
  mine: byAssignment,
  others: byAssignment,
  left: (one, other) => one.queued_at - other.queued_at,
  followUps: (one, other) => (one.ended?.at ?? 0) - (other.ended?.at ?? 0),
};

/** @param {Summary} one @param {Summary} other */
function byAssignment(one, other) {
  return (one.assigned_at ?? 0) - (other.assigned_at ?? 0);
}

/**
 * Return the list that a conversation belongs to.
 *
 * @param {Me | null} me
 * @param {Summary} summary
 * @returns {keyof Lists | null} null for an ended one with nothing to follow up or to read
 */
function listOf(me, summary) {
  if (summary.state === "queued") return "queue";
  if (summary.state === "message") return "left";
  if (summary.state === "assigned") return summary.agent?.id === me?.id ? "mine" : "others";
  if (summary.unread) return "mine";
  return isToFollowUp(summary) ? "followUps" : null;
}

/** Whether a conversation has ended and somebody has still to follow it up. @param {Summary} summary */
export function isToFollowUp({ state, ended }) {
  return state === "ended" && ended?.outcome === "follow_up" && !ended.followed_up;
}

/**
 * Sort all conversations into their lists.
 *
 * @param {Me | null} me
 * @param {Iterable<Summary>} summaries
 * @returns {Lists}
 */
export function sortConversations(me, summaries) {
  /** @type {Lists} */
  const lists = { queue: [], mine: [], others: [], left: [], followUps: [] };
  for (const summary of summaries) {
    const name = listOf(me, summary);
    if (name) lists[name].push(summary);
  }
  for (const name of /** @type {(keyof Lists)[]} */ (Object.keys(lists))) lists[name].sort(ORDER[name]);
  return lists;
}

/**
 * Move one conversation to where it belongs now; `after` is undefined if it is removed. Lists without it stay the same arrays.
 *
 * @param {Lists} lists
 * @param {Me | null} me
 * @param {Summary | undefined} before
 * @param {Summary | undefined} after
 * @returns {Lists}
 */
export function moveConversation(lists, me, before, after) {
  const from = before ? listOf(me, before) : null;
  const to = after ? listOf(me, after) : null;
  // In the same list, with the same rank: it is replaced where it is.
  if (before && after && from && from === to && ORDER[to](before, after) === 0) {
    const place = lists[to].indexOf(before);
    if (place >= 0) return { ...lists, [to]: lists[to].with(place, after) };
  }
  const removed = before && from ? { ...lists, [from]: without(lists[from], before) } : lists;
  return after && to ? { ...removed, [to]: inserted(removed[to], after, ORDER[to]) } : removed;
}

/** @param {Summary[]} list @param {Summary} summary */
function without(list, summary) {
  const place = list.indexOf(summary);
  return place < 0 ? list : list.toSpliced(place, 1);
}

/**
 * @param {Summary[]} list
 * @param {Summary} summary
 * @param {(one: Summary, other: Summary) => number} compare
 */
function inserted(list, summary, compare) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(summary, list[middle]) < 0) high = middle;
    else low = middle + 1;
  }
  return list.toSpliced(low, 0, summary);
}
