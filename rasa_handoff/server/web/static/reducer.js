// @ts-check
/**
 * The desk's state, and the one place where it changes: state and event in, state out. No clock, no socket, no page.
 *
 * An event is the server's (docs/protocol.md, "/desk") or one of the page's own ("selected", ...). Whatever arrives twice
 * changes nothing the second time: messages are kept by id, summaries are replaced whole, and the number of unread messages
 * is derived from `seen`, never counted up. Parts of the state that an event doesn't concern stay the same objects, by
 * which elements know that they have nothing to draw; no event copies or sorts all conversations or messages.
 */

import { isToFollowUp, moveConversation, NO_CONVERSATIONS, sortConversations } from "./conversation-order.js";
import { PersistentMap } from "./persistent-map.js";
import { unreadCount } from "./selectors.js";
import { withAttached, withDelay, withoutUnsent, withProblem, withStored } from "./unsent-steps.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").DeskEvent} DeskEvent */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {import("./types.js").Conversation} Conversation */
/** @typedef {import("./types.js").UnsentPart} UnsentPart */

/**
 * @param {Partial<State>} [saved] what a reload brings back: unsent, attached, seen, selected, sound
 * @returns {State}
 */
export function initialState(saved = {}) {
  return {
    connection: "connecting",
    refusal: null,
    me: null,
    departments: [],
    outcomes: [],
    largestFile: undefined,
    summaries: new PersistentMap(),
    lists: NO_CONVERSATIONS,
    details: new PersistentMap(),
    messages: new PersistentMap(),
    seen: new Map(),
    typing: new PersistentMap(),
    unsent: [],
    returned: null,
    attached: new PersistentMap(),
    uploads: new PersistentMap(),
    selected: null,
    dialog: null,
    toasts: [],
    sound: true,
    permission: "denied",
    day: "",
    ...saved,
  };
}

/**
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State} the same object when nothing changed
 */
export function reduce(state, event) {
  const step = Object.hasOwn(steps, event.type) ? steps[event.type] : null;
  return step ? step(state, event) : state;
}

/** @type {Record<string, (state: State, event: any) => State>} */
const steps = {
  connected: (state) => ({ ...state, connection: wasOnline(state) ? "interrupted" : "connecting", refusal: null }),
  disconnected: (state) => ({
    ...state,
    connection: wasOnline(state) ? "interrupted" : "offline",
    typing: new PersistentMap(),
  }),
  "interruption lasts": (state) => (state.connection === "interrupted" ? { ...state, connection: "offline" } : state),
  refused: (state, { error }) => ({ ...state, connection: "refused", refusal: error }),

  ready: replaceAll,
  arrival: (state, { summary }) => withSummary(state, summary),
  // The whole conversation comes when a transcript has followed its handoff; otherwise a summary.
  conversation: (state, { summary }) =>
    "transcript" in summary ? withConversation(state, summary) : withSummary(state, summary),
  opened: (state, { conversation }) => withConversation(state, conversation),
  message: (state, { handoff_id, message }) => withMessages(state, handoff_id, [message]),
  deleted: (state, { handoff_ids }) => handoff_ids.reduce(withoutTrace, state),
  "message.status": withStatus,
  typing: withTyping,
  presence: (state, { online }) => (state.me ? { ...state, me: { ...state.me, online } } : state),
  availability: (state, { departments }) => ({ ...state, departments }),

  selected: withSelected,
  seen: withSeen,
  "seen elsewhere": withSeenElsewhere,
  "dialog changed": (state, { name }) => ({ ...state, dialog: name }),
  "toast shown": (state, { toast }) => ({ ...state, toasts: state.toasts.concat(toast) }),
  "toast dismissed": (state, { id }) => ({ ...state, toasts: state.toasts.filter((toast) => toast.id !== id) }),
  "sound changed": (state, { on }) => ({ ...state, sound: on }),
  "permission changed": (state, { permission }) => ({ ...state, permission }),
  "day changed": (state, { day }) => (day === state.day ? state : { ...state, day }),

  "part attached": (state, { handoff_id, part }) => withAttached(state, handoff_id, (parts) => parts.concat(part)),
  "part detached": (state, { handoff_id, key }) =>
    withAttached(state, handoff_id, (parts) => parts.filter((part) => part.key !== key)),
  "message composed": (state, { unsent }) => ({
    ...state,
    unsent: state.unsent.concat(unsent),
    attached: state.attached.without(unsent.handoff_id),
  }),
  "upload progressed": (state, { key, share }) => ({ ...state, uploads: state.uploads.with(key, share) }),
  "file stored": withStored,
  "message rejected": (state, { id, problem }) => withProblem(state, id, problem),
  "message retried": (state, { id }) => withProblem(state, id, null),
  "message delayed": withDelay,
  "words returned": (state, { handoff_id, text }) => ({ ...state, returned: { handoff_id, text } }),
  "message removed": withoutUnsent,
};

/** Whether the connection is there, or has gone a moment ago and may be back soon. @param {State} state */
function wasOnline({ connection }) {
  return connection === "online" || connection === "interrupted";
}

/**
 * Replace all conversations by those that the server has, after a connect. Only the open one stays, so that it doesn't vanish
 * under the agent's eyes when it ended meanwhile, and those that have ended unread.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
function replaceAll(state, { queue, mine, others, messages = [], follow_ups = [], ...ready }) {
  const { me, departments, outcomes, largest_file } = ready;
  const open = state.selected ? state.summaries.get(state.selected) : undefined;
  const unread = state.me?.id === me.id ? state.lists.mine.filter((one) => one.unread) : [];
  const listed = [open ? [open] : [], unread, queue, mine, others, messages, follow_ups].flat();
  const all = new Map(listed.map((one) => [one.handoff_id, one]));
  /** @param {[string, unknown]} entry */
  const stays = ([id]) => all.has(id) || id === state.selected;
  return {
    ...state,
    connection: "online",
    me,
    departments,
    outcomes,
    largestFile: largest_file,
    summaries: PersistentMap.from(all),
    lists: sortConversations(me, all.values()),
    details: PersistentMap.from([...state.details.entries()].filter(stays)),
    messages: PersistentMap.from([...state.messages.entries()].filter(stays)),
    // Another agent may have written these in this tab before this one signed in.
    unsent: state.unsent.filter((unsent) => unsent.agent === me.id),
    attached: [...state.attached.entries()].reduce((kept, [id, parts]) => withoutOthersParts(kept, id, parts, me), state.attached),
    typing: new PersistentMap(),
  };
}

/**
 * @param {State["attached"]} attached
 * @param {string} id
 * @param {UnsentPart[]} parts
 * @param {import("./types.js").Me} me
 */
function withoutOthersParts(attached, id, parts, me) {
  const own = parts.filter(({ agent }) => agent === me.id);
  if (own.length === parts.length) return attached;
  return own.length ? attached.with(id, own) : attached.without(id);
}

/** Whether nothing is left to be done about a conversation. @param {Summary} summary */
function isOver(summary) {
  return summary.state === "ended" && !isToFollowUp(summary);
}

/** Whether this agent's conversation has ended, by nobody's choice at a desk, with messages that the agent hasn't seen. @param {State} state @param {Summary} summary */
function isUnread(state, { handoff_id, state: is, agent, ended }) {
  const isTheirs = is === "ended" && agent !== null && agent.id === state.me?.id;
  return isTheirs && !state.outcomes.includes(ended?.outcome ?? "") && unreadCount(state, handoff_id) > 0;
}

/**
 * Select a conversation. The one that was open before is removed if it has ended.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
function withSelected(state, { handoff_id }) {
  const previous = state.selected === handoff_id ? null : state.selected;
  const before = previous === null ? undefined : state.summaries.get(previous);
  return { ...(before && isOver(before) ? withoutConversation(state, before.handoff_id) : state), selected: handoff_id, dialog: null };
}

/**
 * @param {State} state
 * @param {Summary} summary
 * @returns {State}
 */
function withSummary(state, summary) {
  const id = summary.handoff_id;
  const unread = isUnread(state, summary);
  if (isOver(summary) && state.selected !== id && !unread) return withoutConversation(state, id);
  const after = unread ? { ...summary, unread } : summary;
  return {
    ...state,
    summaries: state.summaries.with(id, after),
    lists: moveConversation(state.lists, state.me, state.summaries.get(id), after),
  };
}

/**
 * Remove a conversation, all but how far it was read: a desk is open for days, and mustn't grow.
 *
 * @param {State} state
 * @param {string} id
 * @returns {State}
 */
function withoutConversation(state, id) {
  return {
    ...state,
    summaries: state.summaries.without(id),
    lists: moveConversation(state.lists, state.me, state.summaries.get(id), undefined),
    details: state.details.without(id),
    messages: state.messages.without(id),
    typing: state.typing.without(id),
  };
}

/**
 * Remove a conversation that was deleted, also if it is open: nothing of it is left here.
 *
 * @param {State} state
 * @param {string} id
 * @returns {State}
 */
function withoutTrace(state, id) {
  const unsent = state.unsent.filter((one) => one.handoff_id !== id);
  const seen = new Map(state.seen);
  const shown = state.summaries.has(id) || state.messages.has(id) || state.selected === id;
  const known = shown || state.attached.has(id) || seen.has(id);
  if (!known && unsent.length === state.unsent.length) return state;
  seen.delete(id);
  const open = state.selected === id ? { selected: null, dialog: null } : {};
  return { ...withoutConversation(state, id), ...open, unsent, seen, attached: state.attached.without(id) };
}

/**
 * @param {State} state
 * @param {Conversation} conversation
 * @returns {State}
 */
function withConversation(state, conversation) {
  const { contact, note, transcript, transcript_follows, bot, messages, ...summary } = conversation;
  const id = summary.handoff_id;
  const known = withSummary(withMessages(state, id, messages), summary);
  if (!known.summaries.has(id)) return known;
  return { ...known, details: known.details.with(id, { contact, note, transcript, transcript_follows, bot }) };
}

/**
 * @param {State} state
 * @param {string} id
 * @param {Message[]} arrived
 * @returns {State}
 */
function withMessages(state, id, arrived) {
  const before = state.messages.get(id);
  const messages = mergeMessages(before ?? [], arrived);
  const customerSaid = messages !== before && arrived.some((message) => message.speaker === "customer");
  const sent = state.unsent.filter((unsent) => arrived.some((message) => message.id === unsent.id));
  const typing = customerSaid && state.typing.get(id) ? state.typing.with(id, false) : state.typing;
  if (messages === before && !sent.length && typing === state.typing) return state;
  return {
    ...state,
    messages: state.messages.with(id, messages),
    unsent: sent.length ? state.unsent.filter((unsent) => !sent.includes(unsent)) : state.unsent,
    typing,
  };
}

/**
 * Merge messages in order of seq, each id once; return the same array if nothing is new. Messages newer than all that are
 * known, the usual case, are appended.
 *
 * @param {Message[]} known
 * @param {Message[]} arrived
 * @returns {Message[]}
 */
function mergeMessages(known, arrived) {
  // Each is newer than the one before it, the first newer than all that are known.
  if (arrived.every((message, place) => message.seq > ((place ? arrived[place - 1] : known.at(-1))?.seq ?? -1)))
    return arrived.length ? known.concat(arrived) : known;
  const merged = new Map(known.map((message) => [message.id, message]));
  for (const message of arrived) {
    const before = merged.get(message.id);
    if (!before || !isSame(before, message)) merged.set(message.id, message);
  }
  const ordered = [...merged.values()].sort((one, other) => one.seq - other.seq);
  const changed = ordered.length !== known.length || ordered.some((message, place) => message !== known[place]);
  return changed ? ordered : known;
}

/** @param {Message} one @param {Message} other */
function isSame(one, other) {
  const keys = /** @type {(keyof Message)[]} */ (Object.keys(other));
  return keys.every((key) => (key === "parts" ? sameParts(one.parts, other.parts) : one[key] === other[key]));
}

/** Parts are read anew from each payload, so they are compared by what they say. @param {unknown} one @param {unknown} other */
function sameParts(one, other) {
  return one === other || JSON.stringify(one ?? []) === JSON.stringify(other ?? []);
}

/**
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
function withStatus(state, { handoff_id, message_id, status, reason }) {
  const list = state.messages.get(handoff_id) ?? [];
  const place = list.findLastIndex((message) => message.id === message_id);
  const before = list[place];
  if (!before || (before.status === status && before.reason === reason)) return state;
  return { ...state, messages: state.messages.with(handoff_id, list.with(place, { ...before, status, reason })) };
}

/**
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
function withTyping(state, { handoff_id, on }) {
  if ((state.typing.get(handoff_id) ?? false) === on) return state;
  return { ...state, typing: state.typing.with(handoff_id, on) };
}

/**
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
function withSeen(state, { handoff_id }) {
  const newest = state.messages.get(handoff_id)?.at(-1);
  if (!newest || newest.seq <= (state.seen.get(handoff_id) ?? 0)) return state;
  const seen = new Map(state.seen);
  seen.delete(handoff_id);
  return { ...state, seen: seen.set(handoff_id, newest.seq) };
}

/**
 * Add what another tab of this agent's has seen. What only this tab has seen stays; nothing new changes nothing, so that two
 * tabs don't go on notifying each other.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @returns {State}
 */
function withSeenElsewhere(state, { seen: theirs }) {
  const news = [...theirs].filter(([id, seq]) => seq > (state.seen.get(id) ?? 0));
  if (!news.length) return state;
  const after = { ...state, seen: new Map([...state.seen, ...news]) };
  const read = state.lists.mine.filter((one) => one.unread && one.handoff_id !== state.selected && !isUnread(after, one));
  return read.reduce((left, { handoff_id }) => withoutConversation(left, handoff_id), after);
}
