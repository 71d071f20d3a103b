import assert from "node:assert/strict";
import { test } from "node:test";

import {
  isOverdue,
  mayAnswer,
  mayTake,
  messagesLeft,
  queuedConversations,
  unreadLeftCount,
} from "../../rasa_handoff/server/web/static/selectors.js";
import { initialState, reduce } from "../../rasa_handoff/server/web/static/reducer.js";
import { toastFor } from "../../rasa_handoff/server/web/static/toasts.js";

const ME = { id: "a1", name: "Thandi", email: "thandi@example.org", online: true, departments: [] };

function summary(more = {}) {
  const plain = { handoff_id: "h", title: "Naledi", state: "queued", agent: null, priority: "normal" };
  return { ...plain, queued_at: 1, assigned_at: null, ahead: false, reminders: 0, last: null, ended: null, ...more };
}

const held = (id, more = {}) =>
  summary({ state: "assigned", agent: { id, name: id === "a1" ? "Thandi" : "Sipho" }, assigned_at: 2, ...more });
const said = (seq, speaker = "customer") => ({ id: `m${seq}`, seq, speaker, text: "one more thing", at: seq });

function ready(lists = {}) {
  const empty = { queue: [], mine: [], others: [], messages: [] };
  return { type: "ready", me: ME, departments: [], outcomes: ["resolved"], ...empty, ...lists };
}

/** The text of the toast when this event comes to a desk whose agent has these conversations, or null. */
function toastText(before, event) {
  const state = reduce(initialState(), ready({ mine: before }));
  return toastFor(reduce(state, event), event, state)?.text ?? null;
}

const changed = (one) => ({ type: "conversation", summary: one });

test("who goes ahead is before the others of the same priority", () => {
  const waiting = [
    summary({ handoff_id: "first", queued_at: 1 }),
    summary({ handoff_id: "ahead", queued_at: 9, ahead: true }),
    summary({ handoff_id: "urgent", queued_at: 10, priority: "urgent" }),
  ];
  const ids = queuedConversations(reduce(initialState(), ready({ queue: waiting }))).map((one) => one.handoff_id);
  assert.deepEqual(ids, ["urgent", "ahead", "first"]);
});

test("a message left is a list of its own, and everybody's to answer", () => {
  const one = summary({ state: "message", last: said(3) });
  let state = reduce(initialState(), ready({ messages: [one] }));
  assert.deepEqual(messagesLeft(state), [one]);
  assert.equal(mayAnswer(state, one), true);
  assert.equal(mayTake(state, one), false);
  assert.equal(unreadLeftCount(state, one), 1);
  state = reduce(reduce(state, { type: "message", handoff_id: "h", message: said(3) }), { type: "seen", handoff_id: "h" });
  assert.equal(unreadLeftCount(state, one), 0);
  state = reduce(state, changed({ ...one, state: "ended" }));
  assert.deepEqual(messagesLeft(state), []);
});

test("my conversation is overdue after one reminder, a colleague's after two, and then it can be taken over", () => {
  const state = reduce(initialState(), ready());
  const levels = [0, 1, 2].map((reminders) => isOverdue(state, held("a1", { reminders })));
  assert.deepEqual(levels, [false, true, true]);
  assert.equal(mayTake(state, held("a2", { reminders: 1 })), false);
  assert.equal(mayTake(state, held("a2", { reminders: 2 })), true);
  assert.equal(mayTake(state, held("a1", { reminders: 2 })), false);
});

test("a reminder says for how many minutes the customer has waited", () => {
  const event = { type: "reminder", handoff_id: "h", seconds: 180 };
  assert.equal(toastText([held("a1")], event), "Naledi has waited 3 minutes for your answer.");
});

test("a colleague's conversation that waits is mentioned once", () => {
  const waits = held("a2", { reminders: 2 });
  assert.equal(toastText([held("a2", { reminders: 1 })], changed(waits)), "Naledi waits for an answer. You can take over.");
  assert.equal(toastText([waits], changed(waits)), null);
});

test("a toast says what is no longer mine by itself, not what I did myself", () => {
  const mine = held("a1");
  assert.match(toastText([mine], changed(summary({ ahead: true }))), /waited too long/);
  assert.equal(toastText([mine], changed(summary())), null);
  assert.equal(toastText([mine], changed(held("a2"))), "Sipho took over: Naledi.");
  assert.match(toastText([mine], changed(summary({ state: "message" }))), /left a message/);
});

test("a toast gives the reason of an end, unless an agent ended it", () => {
  const end = (outcome) => toastText([held("a1")], changed(held("a1", { state: "ended", ended: { outcome } })));
  assert.equal(end("customer_left"), "Naledi left the conversation.");
  assert.match(end("customer_silent"), /didn't answer any more/);
  assert.match(end("relay_lost_it"), /the bot no longer knows/);
  assert.match(end("anything else"), /has ended/);
  assert.equal(end("resolved"), null);
  assert.equal(end("transferred"), null);
});

test("a message that crossed with the end is shown to who had it", () => {
  const late = held("a1", { state: "ended", ended: { outcome: "resolved" }, last: said(4) });
  assert.equal(toastText([], changed(late)), "Naledi wrote after the end: one more thing");
  assert.equal(toastText([], changed({ ...late, last: null })), null);
});

test("what a customer thinks of a chat that has ended is told, and no earlier notice", () => {
  const ended = { outcome: "resolved", note: null, at: 5, followed_up: false };
  const rated = (at) => held("a1", { state: "ended", ended, last: { ...said(9, "system"), text: "The customer gave 5 of 5.", at } });
  assert.match(toastText([], changed(rated(6))), /^.*Naledi.*: .*The customer gave 5 of 5\..*$/);
  assert.equal(toastText([], changed(rated(4))), null);
});
