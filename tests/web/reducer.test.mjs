import assert from "node:assert/strict";
import { test } from "node:test";

import { PersistentMap } from "../../rasa_handoff/server/web/static/persistent-map.js";
import {
  colleaguesConversations,
  conversationsToFollowUp,
  isOnline,
  lastMessage,
  messagesLeft,
  myConversations,
  queuedConversations,
  selectedConversation,
  unreadCount,
} from "../../rasa_handoff/server/web/static/selectors.js";
import { initialState, reduce } from "../../rasa_handoff/server/web/static/reducer.js";

const ME = { id: "a1", name: "Thandi", email: "thandi@example.org", online: true, departments: [] };

function summary(handoff_id, more = {}) {
  return {
    handoff_id,
    state: "queued",
    agent: null,
    priority: "normal",
    queued_at: 100,
    assigned_at: null,
    last: null,
    ...more,
  };
}

function held(handoff_id, agent, more = {}) {
  return summary(handoff_id, {
    state: "assigned",
    agent: { id: agent, name: agent },
    assigned_at: 200,
    ...more,
  });
}

function message(id, seq, speaker = "customer") {
  return { id, seq, speaker, text: id, at: seq, status: "stored", reason: null };
}

function ready(lists = {}) {
  return { type: "ready", me: ME, departments: [], outcomes: [], queue: [], mine: [], others: [], ...lists };
}

function after(...events) {
  return events.reduce(reduce, initialState());
}

const said = (handoff_id, one) => ({ type: "message", handoff_id, message: one });
const ids = (list) => list.map((one) => one.handoff_id ?? one.id);
const lists = (state) => [queuedConversations, colleaguesConversations, myConversations].map((list) => ids(list(state)));

test("what another tab has seen is seen here too, and what this one has seen beyond that stays", () => {
  const seen = after(ready({ mine: [held("a", "a1"), held("b", "a1")] }), said("a", message("m1", 1)), said("a", message("m2", 2)),
    said("b", message("m3", 3)), { type: "seen", handoff_id: "b" });
  const merged = reduce(seen, { type: "seen elsewhere", seen: new Map([["a", 1], ["b", 2]]) });
  assert.deepEqual([unreadCount(merged, "a"), unreadCount(merged, "b")], [1, 0]);
  assert.equal(reduce(merged, { type: "seen elsewhere", seen: new Map([["a", 1]]) }), merged);
});

test("the queue is by priority, then by waiting time", () => {
  const waiting = [
    summary("young", { queued_at: 300 }),
    summary("low", { priority: "low", queued_at: 1 }),
    summary("old", { queued_at: 200 }),
    summary("urgent", { priority: "urgent", queued_at: 400 }),
  ];
  assert.deepEqual(ids(queuedConversations(after(ready({ queue: waiting })))), ["urgent", "old", "young", "low"]);
});

test("a conversation moves between the lists as its summary says", () => {
  let state = after(ready(), { type: "arrival", summary: summary("h") });
  assert.deepEqual(ids(queuedConversations(state)), ["h"]);
  state = reduce(state, { type: "conversation", summary: held("h", "a2") });
  assert.deepEqual(lists(state), [[], ["h"], []]);
  state = reduce(state, { type: "conversation", summary: held("h", "a1") });
  assert.deepEqual(lists(state), [[], [], ["h"]]);
  state = reduce(state, { type: "conversation", summary: held("h", "a1", { state: "ended" }) });
  assert.equal(state.summaries.size, 0);
});

test("the open conversation stays in view when it ends", () => {
  const ended = held("h", "a1", { state: "ended" });
  const state = after(
    ready({ mine: [held("h", "a1")] }),
    { type: "selected", handoff_id: "h" },
    { type: "conversation", summary: ended },
  );
  assert.equal(state.summaries.get("h").state, "ended");
  assert.equal(reduce(state, ready()).summaries.get("h").state, "ended");
  assert.equal(reduce(state, { type: "selected", handoff_id: null }).summaries.size, 0);
});

test("messages stand in the order of seq, each once", () => {
  const state = after(
    ready(),
    said("h", message("b", 2)),
    said("h", message("a", 1)),
    said("h", message("b", 2)),
  );
  assert.deepEqual(ids(state.messages.get("h")), ["a", "b"]);
});

test("opening with `after` adds to what is there", () => {
  const conversation = {
    ...held("h", "a1"),
    contact: {},
    note: null,
    transcript: [],
    bot: {},
    messages: [message("b", 2)],
  };
  const state = after(ready(), said("h", message("a", 1)), { type: "opened", conversation });
  assert.deepEqual(ids(state.messages.get("h")), ["a", "b"]);
});

test("unread are the customer's messages beyond what was seen, however often they arrive", () => {
  let state = after(ready({ mine: [held("h", "a1")] }), said("h", message("a", 1)), {
    type: "seen",
    handoff_id: "h",
  });
  assert.equal(unreadCount(state, "h"), 0);
  state = [
    said("h", message("b", 2)),
    said("h", message("b", 2)),
    said("h", message("c", 3, "agent")),
  ].reduce(reduce, state);
  assert.equal(unreadCount(state, "h"), 1);
});

test("seeing what was seen changes nothing", () => {
  const state = after(ready(), said("h", message("a", 1)), { type: "seen", handoff_id: "h" });
  assert.equal(reduce(state, { type: "seen", handoff_id: "h" }), state);
});

test("an unsent message leaves when the message with its id arrives from anywhere", () => {
  const unsent = { id: "w", handoff_id: "h", agent: "a1", text: "hello", at: 1, problem: null, parts: [] };
  const state = after(ready(), { type: "message composed", unsent }, said("h", message("w", 1, "agent")));
  assert.deepEqual([state.unsent, ids(state.messages.get("h"))], [[], ["w"]]);
});

test("a refused message keeps the reason until it is sent again or discarded", () => {
  const unsent = { id: "w", handoff_id: "h", agent: "a1", text: "hello", at: 1, problem: null, parts: [] };
  const rejected = { type: "message rejected", id: "w", problem: "It has ended." };
  let state = after({ type: "message composed", unsent }, rejected);
  assert.equal(state.unsent[0].problem, "It has ended.");
  state = reduce(state, { type: "message retried", id: "w" });
  assert.equal(state.unsent[0].problem, null);
  assert.deepEqual(reduce(state, { type: "message removed", id: "w" }).unsent, []);
});

test("messages kept by somebody else in this tab are dropped", () => {
  const unsent = { id: "w", handoff_id: "h", agent: "a2", text: "hello", at: 1, problem: null, parts: [] };
  assert.deepEqual(after({ type: "message composed", unsent }, ready()).unsent, []);
});

test("a status belongs to its message", () => {
  const change = {
    type: "message.status",
    handoff_id: "h",
    message_id: "a",
    status: "failed",
    reason: "blocked",
  };
  const state = after(said("h", message("a", 1, "agent")), said("h", message("b", 2, "agent")), change);
  assert.deepEqual(
    state.messages.get("h").map((one) => one.status),
    ["failed", "stored"],
  );
  assert.equal(reduce(state, { ...change, handoff_id: "unknown" }), state);
});

test("the customer's message ends their typing", () => {
  const state = after({ type: "typing", handoff_id: "h", on: true }, said("h", message("a", 1)));
  assert.equal(state.typing.get("h"), false);
});

test("the list shows the newest of what the summary and the messages know", () => {
  const one = held("h", "a1", { last: message("b", 2) });
  const state = after(ready({ mine: [one] }), said("h", message("a", 1)));
  assert.equal(lastMessage(state, one).id, "b");
  assert.equal(lastMessage(reduce(state, said("h", message("c", 3))), one).id, "c");
});

test("an unknown event changes nothing", () => {
  const state = initialState();
  assert.equal(reduce(state, { type: "toString" }), state);
});

function conversation(handoff_id, messages = [], more = {}) {
  const details = { contact: { name: "Naledi" }, note: null, transcript: [], transcript_follows: false, bot: { slots: {} } };
  return { ...held(handoff_id, "a1"), ...details, messages, ...more };
}

const LEFT = summary("left", { state: "message", queued_at: 5 });

/** Each event of the wire with what it changes, read from the state. */
const WIRE = {
  ready: [
    ready({ queue: [summary("q")], mine: [held("m", "a1")], others: [held("o", "a2")], messages: [LEFT] }),
    (state) => [state.connection, ...lists(state), ids(messagesLeft(state)), state.me],
    ["online", ["q"], ["o"], ["m"], ["left"], ME],
  ],
  arrival: [{ type: "arrival", summary: summary("new") }, (state) => ids(queuedConversations(state)), ["h", "new"]],
  conversation: [
    { type: "conversation", summary: held("h", "a1", { reminders: 1 }) },
    (state) => [lists(state), state.summaries.get("h").reminders],
    [[[], [], ["h"]], 1],
  ],
  message: [said("h", message("a", 1)), (state) => state.messages.get("h"), [message("a", 1)]],
  "message.status": [
    { type: "message.status", handoff_id: "h", message_id: "b", status: "read", reason: null },
    (state) => state.messages.get("h").map((one) => one.status),
    ["read"],
    said("h", message("b", 1, "agent")),
  ],
  typing: [{ type: "typing", handoff_id: "h", on: true }, (state) => state.typing.get("h"), true],
  presence: [{ type: "presence", online: false }, (state) => state.me, { ...ME, online: false }],
  availability: [
    { type: "availability", departments: [{ name: "billing", title: "Billing" }] },
    (state) => state.departments,
    [{ name: "billing", title: "Billing" }],
  ],
};

/** The state with its maps as Maps, whose content can be compared. */
function content(state) {
  const entries = Object.entries(state);
  return entries.map(([name, part]) => [name, part instanceof PersistentMap ? new Map(part.entries()) : part]);
}

for (const [type, [event, read, expected, ...before]] of Object.entries(WIRE))
  test(`the event ${type} changes its part of the state, and a second copy nothing`, () => {
    const state = after(ready({ queue: [summary("h")] }), ...before);
    assert.notDeepEqual(read(state), expected);
    const once = reduce(state, event);
    assert.deepEqual(read(once), expected);
    assert.deepEqual(content(reduce(once, structuredClone(event))), content(once));
  });

for (const type of ["reminder", "signed_out", "an event of a later version"])
  test(`the event ${type} leaves the state as it is`, () => {
    const state = after(ready({ mine: [held("h", "a1")] }));
    assert.equal(reduce(state, { type, handoff_id: "h", seconds: 60 }), state);
  });

test("a message, a status or a sign of typing that comes twice gives the same state", () => {
  const once = [
    said("h", message("a", 1)),
    said("h", message("b", 2, "agent")),
    { type: "message.status", handoff_id: "h", message_id: "b", status: "read", reason: null },
    { type: "typing", handoff_id: "h", on: true },
  ];
  const state = after(ready({ mine: [held("h", "a1")] }), ...once);
  for (const event of [once[0], once[2], once[3]]) assert.equal(reduce(state, structuredClone(event)), state);
});

test("what is to be followed up stays in its list, the oldest first, until it is done", () => {
  const over = (id, at, ended = {}) =>
    held(id, "a1", { state: "ended", ended: { outcome: "follow_up", note: null, at, followed_up: false, ...ended } });
  const begun = after(ready({ mine: [held("now", "a1")], follow_ups: [over("new", 30), over("old", 10)] }));
  const ended = reduce(begun, { type: "conversation", summary: over("now", 20) });
  assert.deepEqual(ids(conversationsToFollowUp(ended)), ["old", "now", "new"]);
  assert.deepEqual(ids(myConversations(ended)), []);
  const read = reduce(reduce(ended, { type: "selected", handoff_id: "old" }), { type: "selected", handoff_id: null });
  assert.deepEqual(ids(conversationsToFollowUp(read)), ["old", "now", "new"]);
  const done = reduce(read, { type: "conversation", summary: over("old", 10, { followed_up: true }) });
  const resolved = reduce(done, { type: "conversation", summary: over("new", 30, { outcome: "resolved" }) });
  assert.deepEqual(ids(conversationsToFollowUp(resolved)), ["now"]);
  assert.equal(resolved.summaries.get("old"), undefined);
});

test("what an event doesn't concern stays the same object", () => {
  const state = after(ready({ queue: [summary("q")], mine: [held("h", "a1")] }), said("h", message("a", 1)));
  const next = reduce(state, said("q", message("b", 1)));
  for (const part of ["summaries", "lists", "details", "seen", "typing", "unsent", "attached", "uploads", "toasts"])
    assert.equal(next[part], state[part], part);
  assert.equal(next.messages.get("h"), state.messages.get("h"));
  const moved = reduce(state, { type: "conversation", summary: held("q", "a2") });
  assert.equal(moved.lists.mine, state.lists.mine);
});

test("an interruption counts as online until it has lasted", () => {
  const connections = (...events) => [after(ready({}), ...events)].map((state) => [state.connection, isOnline(state)])[0];
  assert.deepEqual(connections({ type: "disconnected" }), ["interrupted", true]);
  assert.deepEqual(connections({ type: "disconnected" }, { type: "disconnected" }), ["interrupted", true]);
  assert.deepEqual(connections({ type: "disconnected" }, { type: "connected" }), ["interrupted", true]);
  assert.deepEqual(connections({ type: "disconnected" }, { type: "interruption lasts" }), ["offline", false]);
  assert.deepEqual(connections({ type: "interruption lasts" }), ["online", true]);
  assert.deepEqual(after({ type: "disconnected" }).connection, "offline");
});

test("after a reconnect the snapshot replaces everything but the open conversation and what was read", () => {
  const before = after(
    ready({ queue: [summary("q")], mine: [held("gone", "a1"), held("open", "a1")], messages: [LEFT] }),
    said("gone", message("x", 1)),
    said("open", message("a", 1)),
    { type: "seen", handoff_id: "open" },
    { type: "selected", handoff_id: "open" },
    { type: "typing", handoff_id: "open", on: true },
    { type: "disconnected" },
  );
  assert.deepEqual([before.connection, before.typing.size], ["interrupted", 0]);
  const state = reduce(before, ready({ queue: [summary("new")], others: [held("q", "a2")] }));
  assert.deepEqual([...lists(state), ids(messagesLeft(state))], [["new"], ["q"], ["open"], []]);
  assert.deepEqual([state.messages.has("gone"), ids(state.messages.get("open"))], [false, ["a"]]);
  assert.deepEqual([selectedConversation(state).handoff_id, state.seen.get("open")], ["open", 1]);
  const closed = reduce(reduce(state, { type: "selected", handoff_id: null }), ready());
  assert.deepEqual([closed.summaries.size, closed.messages.size], [0, 0]);
});

test("a conversation that ended leaves nothing behind but how far it was read", () => {
  const state = after(
    ready({ mine: [held("h", "a1")] }),
    { type: "opened", conversation: conversation("h", [message("a", 1)]) },
    { type: "seen", handoff_id: "h" },
    { type: "conversation", summary: held("h", "a1", { state: "ended" }) },
  );
  for (const part of ["summaries", "details", "messages", "typing"]) assert.equal(state[part].has("h"), false, part);
  assert.equal(state.seen.get("h"), 1);
  const late = conversation("h", [message("a", 1)], { state: "ended" });
  assert.equal(reduce(state, { type: "opened", conversation: late }).messages.has("h"), false);
});

test("a transcript that comes late arrives as a whole conversation", () => {
  const whole = conversation("h", [message("a", 1)], { transcript: [{ speaker: "bot", text: "Hi", at: 1 }] });
  const state = after(ready({ mine: [held("h", "a1")] }), { type: "conversation", summary: whole });
  assert.deepEqual([state.details.get("h").transcript.length, ids(state.messages.get("h"))], [1, ["a"]]);
  assert.equal("transcript" in state.summaries.get("h"), false);
});

test("a thousand conversations keep their order, whatever happens to single ones", () => {
  const waiting = Array.from({ length: 1000 }, (_, number) => summary(`q${number}`, { queued_at: number }));
  let state = after(ready({ queue: waiting }));
  state = reduce(state, { type: "conversation", summary: held("q500", "a1") });
  state = reduce(state, { type: "conversation", summary: summary("q999", { priority: "urgent", queued_at: 999 }) });
  state = reduce(state, { type: "arrival", summary: summary("between", { queued_at: 41.5 }) });
  state = reduce(state, { type: "conversation", summary: summary("q7", { queued_at: 7 }) });
  const expected = [...state.summaries.entries()].map(([, one]) => one).filter((one) => one.state === "queued");
  const rank = (one) => (one.priority === "urgent" ? -1 : one.queued_at);
  expected.sort((one, other) => rank(one) - rank(other));
  assert.deepEqual(ids(queuedConversations(state)), ids(expected));
  assert.deepEqual([queuedConversations(state).length, state.summaries.size], [1000, 1001]);
});

test("a conversation that was deleted leaves at once, with what was typed for it, also when it is open", () => {
  const unsent = { id: "u", handoff_id: "h", agent: "a1", text: "?", at: 1, problem: null, parts: [] };
  const state = after(
    ready({ mine: [held("h", "a1"), held("other", "a1")] }),
    said("h", message("m", 1)),
    { type: "selected", handoff_id: "h" },
    { type: "seen", handoff_id: "h" },
    { type: "message composed", unsent },
    { type: "deleted", handoff_ids: ["h", "unknown"] },
  );
  assert.deepEqual(lists(state), [[], [], ["other"]]);
  assert.equal(state.selected, null);
  assert.deepEqual([state.messages.has("h"), state.seen.has("h"), state.unsent], [false, false, []]);
  assert.equal(reduce(state, { type: "deleted", handoff_ids: ["h"] }), state);
});

test("a conversation of the agent's that ends unread stays in their list until they have left it, another doesn't", () => {
  const left = { state: "ended", ended: { outcome: "customer_left", note: null, at: 9 } };
  const mine = [held("a", "a1"), held("b", "a1", { assigned_at: 201 })];
  const ended = after(ready({ mine, others: [held("c", "a2")] }), { type: "selected", handoff_id: "b" }, said("a", message("m1", 1)),
    { type: "conversation", summary: held("a", "a1", left) }, { type: "conversation", summary: held("c", "a2", left) });
  assert.deepEqual(lists(ended), [[], [], ["a", "b"]]);
  const again = reduce(ended, ready({ mine: mine.slice(1) }));
  assert.deepEqual([lists(again)[2], unreadCount(again, "a")], [["a", "b"], 1]);
  const seen = [{ type: "selected", handoff_id: "a" }, { type: "seen", handoff_id: "a" }].reduce(reduce, again);
  assert.deepEqual(lists(seen)[2], ["a", "b"]);
  assert.deepEqual(lists(reduce(seen, { type: "selected", handoff_id: "b" }))[2], ["b"]);
  const elsewhere = reduce(again, { type: "seen elsewhere", seen: new Map([["a", 1]]) });
  assert.deepEqual([lists(elsewhere)[2], elsewhere.messages.has("a")], [["b"], false]);
});

test("what ended unread while the page was away is listed when it is loaded, and what was read or resolved isn't", () => {
  const opened = (id, outcome, ...messages) => {
    const details = { contact: {}, note: null, transcript: [], transcript_follows: false, bot: {} };
    const ended = { state: "ended", ended: { outcome, note: null, at: 9 } };
    return { type: "opened", conversation: { ...held(id, "a1", ended), ...details, messages } };
  };
  const state = after(ready({ outcomes: ["resolved"] }), opened("a", "customer_left", message("m1", 1)),
    opened("b", "customer_left"), opened("c", "resolved", message("m2", 1)));
  assert.deepEqual([lists(state)[2], state.summaries.size, state.messages.size], [["a"], 1, 1]);
});
