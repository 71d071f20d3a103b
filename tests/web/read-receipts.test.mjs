import assert from "node:assert/strict";
import { test } from "node:test";

import { ReadReceipts } from "../../rasa_handoff/server/web/static/read-receipts.js";
import { initialState, reduce } from "../../rasa_handoff/server/web/static/reducer.js";

const ME = { id: "a1", name: "Thandi", email: "thandi@example.org", online: true, departments: [] };
const held = (agent = "a1") => ({
  handoff_id: "h", title: "Naledi", state: "assigned", agent: { id: agent, name: agent }, priority: "normal",
  queued_at: 1, assigned_at: 2, ahead: false, reminders: 0, last: null, ended: null,
});
const ready = { type: "ready", me: ME, departments: [], outcomes: [], queue: [], mine: [held()], others: [], messages: [] };
const said = (seq, speaker = "customer") => ({
  type: "message", handoff_id: "h", message: { id: `m${seq}`, seq, speaker, text: "hello", at: seq },
});

/** The desk after these events, with this conversation open. */
const after = (...events) => [ready, { type: "selected", handoff_id: "h" }, ...events].reduce(reduce, initialState());

function recording() {
  const sent = [];
  return { sent, receipts: new ReadReceipts((handoff_id, id) => sent.push(`${handoff_id} ${id}`)) };
}

test("the last of the customer's messages is told once, and again once the conversation is loaded anew", () => {
  const { sent, receipts } = recording();
  for (const state of [after(said(1)), after(said(1), said(2, "agent")), after(said(1), said(2, "agent"), said(3))])
    receipts.update(state, true);
  assert.deepEqual(sent, ["h m1", "h m3"]);
  receipts.forget("other");
  receipts.update(after(said(1), said(3)), true);
  receipts.forget("h");
  receipts.update(after(said(1), said(3)), true);
  assert.deepEqual(sent, ["h m1", "h m3", "h m3"]);
});

test("nothing is told of what the agent doesn't see, or doesn't have", () => {
  const { sent, receipts } = recording();
  receipts.update(after(said(1)), false);
  receipts.update(after(said(1), { type: "selected", handoff_id: null }), true);
  receipts.update(after(said(1), { type: "disconnected" }), true);
  receipts.update(after(said(1), { type: "conversation", summary: held("a2") }), true);
  receipts.update(after(said(1), { type: "conversation", summary: { ...held(), state: "queued", agent: null } }), true);
  receipts.update(after(said(1, "agent")), true);
  assert.deepEqual(sent, []);
  receipts.update(after(said(1)), true);
  assert.deepEqual(sent, ["h m1"]);
});
