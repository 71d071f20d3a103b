// @ts-check
/**
 * The desk's state, and the one place where it changes. Pure: no clock, no socket, no page.
 *
 * An action's type is the server's event ("ready", "message.status", ...) or one of ours ("select", ...).
 * Whatever arrives twice changes nothing the second time: messages are kept by id, summaries are replaced
 * whole, and the unread count is derived from `seen`, never counted up.
 *
 * What is kept by an id is a Map: an id such as "constructor" is in every plain object already.
 */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {import("./types.js").Conversation} Conversation */

/**
 * @param {Partial<State>} [kept] what a reload brings back: unsent, seen, selected
 * @returns {State}
 */
export function initial(kept = {}) {
  return {
    connection: "connecting",
    refusal: null,
    me: null,
    departments: [],
    outcomes: [],
    summaries: new Map(),
    details: new Map(),
    messages: new Map(),
    seen: new Map(),
    typing: new Map(),
    unsent: [],
    selected: null,
    dialog: null,
    notices: [],
    ...kept,
  };
}

/**
 * @param {State} state
 * @param {Action} action
 * @returns {State} the same object when nothing changed
 */
export function reduce(state, action) {
  const step = Object.hasOwn(steps, action.type) ? steps[action.type] : null;
  return step ? step(state, action) : state;
}

/** @type {Record<string, (state: State, action: any) => State>} */
const steps = {
  connected: (state) => ({ ...state, connection: "connecting", refusal: null }),
  disconnected: (state) => ({ ...state, connection: "offline", typing: new Map() }),
  refused: (state, { error }) => ({ ...state, connection: "refused", refusal: error }),

  ready: (state, { me, departments, outcomes, queue, mine, others, messages = [] }) => ({
    ...state,
    connection: "online",
    me,
    departments,
    outcomes,
    summaries: byId([...kept(state), ...queue, ...mine, ...others, ...messages]),
    // Somebody else may have signed in where these were kept.
    unsent: state.unsent.filter((words) => words.agent === me.id),
    typing: new Map(),
  }),
  arrival: (state, action) => withSummary(state, action.summary),
  // All of it, when what was said before the handoff comes later than the handoff.
  conversation: (state, { summary }) =>
    "transcript" in summary ? withConversation(state, summary) : withSummary(state, summary),
  opened: (state, { conversation }) => withConversation(state, conversation),
  message: (state, { handoff_id, message }) => withMessages(state, handoff_id, [message]),
  "message.status": withStatus,
  typing: (state, { handoff_id, on }) => ({ ...state, typing: put(state.typing, handoff_id, on) }),
  presence: (state, { online }) => (state.me ? { ...state, me: { ...state.me, online } } : state),
  availability: (state, { departments }) => ({ ...state, departments }),

  select: withSelected,
  seen: withSeen,
  dialog: (state, { name }) => ({ ...state, dialog: name }),
  notice: (state, { notice }) => ({ ...state, notices: [...state.notices, notice] }),
  "notice gone": (state, { id }) => ({
    ...state,
    notices: state.notices.filter((notice) => notice.id !== id),
  }),

  compose: (state, { unsent }) => ({ ...state, unsent: [...state.unsent, unsent] }),
  "not sent": (state, { id, problem }) => withProblem(state, id, problem),
  "send again": (state, { id }) => withProblem(state, id, null),
  discard: (state, { id }) => ({ ...state, unsent: state.unsent.filter((words) => words.id !== id) }),
};

/**
 * After a reconnect the lists are the server's; only the open conversation stays, so that it doesn't vanish
 * under the agent's eyes when it ended meanwhile.
 *
 * @param {State} state
 */
function kept(state) {
  const open = state.selected ? state.summaries.get(state.selected) : undefined;
  return open ? [open] : [];
}

/** @param {Summary[]} list the last one of an id counts */
function byId(list) {
  return new Map(list.map((summary) => [summary.handoff_id, summary]));
}

/**
 * The map with this entry, as another one.
 *
 * @template T
 * @param {Map<string, T>} map
 * @param {string} id
 * @param {T} value
 */
function put(map, id, value) {
  return new Map(map).set(id, value);
}

/**
 * What had ended leaves together with the agent's look at it.
 *
 * @param {State} state
 * @param {{handoff_id: string | null}} action
 * @returns {State}
 */
function withSelected(state, { handoff_id }) {
  const stay = [...state.summaries.values()].filter(
    (one) => one.state !== "ended" || one.handoff_id === handoff_id,
  );
  return { ...state, selected: handoff_id, dialog: null, summaries: byId(stay) };
}

/**
 * @param {State} state
 * @param {Summary} summary
 * @returns {State}
 */
function withSummary(state, summary) {
  const id = summary.handoff_id;
  const summaries = put(state.summaries, id, summary);
  if (summary.state === "ended" && state.selected !== id) summaries.delete(id);
  return { ...state, summaries };
}

/**
 * @param {State} state
 * @param {Conversation} conversation
 * @returns {State}
 */
function withConversation(state, conversation) {
  const { contact, note, transcript, transcript_follows, bot, messages, ...summary } = conversation;
  const id = summary.handoff_id;
  const details = put(state.details, id, { contact, note, transcript, transcript_follows, bot });
  return withMessages({ ...withSummary(state, summary), details }, id, messages);
}

/**
 * @param {State} state
 * @param {string} id
 * @param {Message[]} arrived
 * @returns {State}
 */
function withMessages(state, id, arrived) {
  const merged = new Map((state.messages.get(id) ?? []).map((message) => [message.id, message]));
  for (const message of arrived) merged.set(message.id, message);
  const ordered = [...merged.values()].sort((one, other) => one.seq - other.seq);
  const has = new Set(arrived.map((message) => message.id));
  return {
    ...state,
    messages: put(state.messages, id, ordered),
    unsent: state.unsent.filter((words) => !has.has(words.id)),
    typing: arrived.some((message) => message.speaker === "customer")
      ? put(state.typing, id, false)
      : state.typing,
  };
}

/**
 * @param {State} state
 * @param {import("./types.js").StatusChange} change
 * @returns {State}
 */
function withStatus(state, { handoff_id, message_id, status, reason }) {
  const list = state.messages.get(handoff_id);
  if (!list) return state;
  const changed = list.map((message) =>
    message.id === message_id ? { ...message, status, reason } : message,
  );
  return { ...state, messages: put(state.messages, handoff_id, changed) };
}

/**
 * @param {State} state
 * @param {{handoff_id: string}} action
 * @returns {State}
 */
function withSeen(state, { handoff_id }) {
  const last = state.messages.get(handoff_id)?.at(-1);
  if (!last || last.seq <= (state.seen.get(handoff_id) ?? 0)) return state;
  return { ...state, seen: put(state.seen, handoff_id, last.seq) };
}

/**
 * @param {State} state
 * @param {string} id
 * @param {string | null} problem
 * @returns {State}
 */
function withProblem(state, id, problem) {
  return { ...state, unsent: state.unsent.map((words) => (words.id === id ? { ...words, problem } : words)) };
}
