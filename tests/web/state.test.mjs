import assert from "node:assert/strict";
import { test } from "node:test";

import { last, mine, others, queue, unread } from "../../rasa_handoff/server/web/static/lists.js";
import { initial, reduce } from "../../rasa_handoff/server/web/static/state.js";

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

function after(...actions) {
  return actions.reduce(reduce, initial());
}

const said = (handoff_id, one) => ({ type: "message", handoff_id, message: one });
const ids = (list) => list.map((one) => one.handoff_id ?? one.id);

test("the queue is by priority, then by waiting time", () => {
  const waiting = [
    summary("young", { queued_at: 300 }),
    summary("low", { priority: "low", queued_at: 1 }),
    summary("old", { queued_at: 200 }),
    summary("urgent", { priority: "urgent", queued_at: 400 }),
  ];
  assert.deepEqual(ids(queue(after(ready({ queue: waiting })))), ["urgent", "old", "young", "low"]);
});

test("a conversation moves between the lists as its summary says", () => {
  let state = after(ready(), { type: "arrival", summary: summary("h") });
  assert.deepEqual(ids(queue(state)), ["h"]);
  state = reduce(state, { type: "conversation", summary: held("h", "a2") });
  assert.deepEqual([ids(queue(state)), ids(others(state)), ids(mine(state))], [[], ["h"], []]);
  state = reduce(state, { type: "conversation", summary: held("h", "a1") });
  assert.deepEqual([ids(others(state)), ids(mine(state))], [[], ["h"]]);
  state = reduce(state, { type: "conversation", summary: held("h", "a1", { state: "ended" }) });
  assert.equal(state.summaries.size, 0);
});

test("the open conversation stays in view when it ends", () => {
  const ended = held("h", "a1", { state: "ended" });
  const state = after(
    ready({ mine: [held("h", "a1")] }),
    { type: "select", handoff_id: "h" },
    { type: "conversation", summary: ended },
  );
  assert.equal(state.summaries.get("h").state, "ended");
  assert.equal(reduce(state, ready()).summaries.get("h").state, "ended");
  assert.equal(reduce(state, { type: "select", handoff_id: null }).summaries.size, 0);
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
  assert.equal(unread(state, "h"), 0);
  state = [
    said("h", message("b", 2)),
    said("h", message("b", 2)),
    said("h", message("c", 3, "agent")),
  ].reduce(reduce, state);
  assert.equal(unread(state, "h"), 1);
});

test("seeing what was seen changes nothing", () => {
  const state = after(ready(), said("h", message("a", 1)), { type: "seen", handoff_id: "h" });
  assert.equal(reduce(state, { type: "seen", handoff_id: "h" }), state);
});

test("unsent words leave when the message with their id arrives from anywhere", () => {
  const unsent = { id: "w", handoff_id: "h", agent: "a1", text: "hello", at: 1, problem: null };
  const state = after(ready(), { type: "compose", unsent }, said("h", message("w", 1, "agent")));
  assert.deepEqual([state.unsent, ids(state.messages.get("h"))], [[], ["w"]]);
});

test("refused words keep the reason until they are sent again or discarded", () => {
  const unsent = { id: "w", handoff_id: "h", agent: "a1", text: "hello", at: 1, problem: null };
  let state = after({ type: "compose", unsent }, { type: "not sent", id: "w", problem: "It has ended." });
  assert.equal(state.unsent[0].problem, "It has ended.");
  state = reduce(state, { type: "send again", id: "w" });
  assert.equal(state.unsent[0].problem, null);
  assert.deepEqual(reduce(state, { type: "discard", id: "w" }).unsent, []);
});

test("words kept by somebody else in this tab are dropped", () => {
  const unsent = { id: "w", handoff_id: "h", agent: "a2", text: "hello", at: 1, problem: null };
  assert.deepEqual(after({ type: "compose", unsent }, ready()).unsent, []);
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

test("the customer's words end their typing", () => {
  const state = after({ type: "typing", handoff_id: "h", on: true }, said("h", message("a", 1)));
  assert.equal(state.typing.get("h"), false);
});

test("the list shows the newest of what the summary and the messages know", () => {
  const one = held("h", "a1", { last: message("b", 2) });
  const state = after(ready({ mine: [one] }), said("h", message("a", 1)));
  assert.equal(last(state, one).id, "b");
  assert.equal(last(reduce(state, said("h", message("c", 3))), one).id, "c");
});

test("an unknown event changes nothing", () => {
  const state = initial();
  assert.equal(reduce(state, { type: "toString" }), state);
});
