import assert from "node:assert/strict";
import { test } from "node:test";

import { isolate, stripDirectionControls } from "../../rasa_handoff/server/web/static/text-direction.js";
import {
  lastMessage,
  myConversations,
  queuedConversations,
  unreadCount,
} from "../../rasa_handoff/server/web/static/selectors.js";
import { conversationInAddress, loadDraft, loadSaved } from "../../rasa_handoff/server/web/static/browser-storage.js";
import { readSlot } from "../../rasa_handoff/server/web/static/slots.js";
import { initialState, reduce } from "../../rasa_handoff/server/web/static/reducer.js";
import { toastFor } from "../../rasa_handoff/server/web/static/toasts.js";
import { endingText, languageName, statusText } from "../../rasa_handoff/server/web/static/formatting.js";

const ME = { id: "a1", name: "Thandi", email: "thandi@example.org", online: true, departments: [] };
const NAMES = ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"];

function summary(handoff_id, more = {}) {
  const plain = { handoff_id, title: "Naledi", state: "queued", agent: null, priority: "normal", queued_at: 1 };
  return { ...plain, assigned_at: null, ahead: false, reminders: 0, last: null, ended: null, ...more };
}

const ready = { type: "ready", me: ME, departments: [], outcomes: [], queue: [], mine: [], others: [] };

for (const id of NAMES) {
  test(`a handoff and a message with the id ${id} are like any other`, () => {
    const assigned = summary(id, { state: "assigned", agent: { id: "a1", name: "Thandi" }, assigned_at: 2 });
    const message = { id, seq: 1, speaker: "customer", text: "hello", at: 1, status: "stored", reason: null };
    let state = reduce(initialState(), ready);
    assert.equal(unreadCount(state, id), 0);
    assert.equal(lastMessage(state, summary(id)), null);
    state = reduce(state, { type: "arrival", summary: summary(id) });
    assert.deepEqual(queuedConversations(state).map((one) => one.handoff_id), [id]);
    state = reduce(state, { type: "conversation", summary: assigned });
    assert.deepEqual(myConversations(state).map((one) => one.handoff_id), [id]);
    state = reduce(state, { type: "message", handoff_id: id, message });
    assert.equal(unreadCount(state, id), 1);
    state = reduce(state, { type: "typing", handoff_id: id, on: true });
    assert.equal(state.typing.get(id), true);
    state = reduce(state, { type: "message.status", handoff_id: id, message_id: id, status: "read", reason: null });
    state = reduce(state, { type: "seen", handoff_id: id });
    assert.equal(unreadCount(state, id), 0);
    state = reduce(state, { type: "opened", conversation: { ...assigned, messages: [message], transcript: [] } });
    assert.equal(state.messages.get(id).length, 1);
    assert.equal(toastFor(state, { type: "reminder", handoff_id: id, seconds: 60 }, state).handoff_id, id);
    state = reduce(state, { type: "conversation", summary: { ...assigned, state: "ended" } });
    assert.equal(state.summaries.size, 0);
  });

  test(`an outcome, a status, a language and a slot's type named ${id} are words`, () => {
    for (const text of [endingText("Naledi", id), statusText({ status: id }), languageName(id)])
      assert.doesNotMatch(text, /function|\[object/);
    assert.equal(readSlot({ name: "s", type: id, values: null }, "x").value, "x");
  });
}

test("what turns the direction of text around is taken out of names, and a name doesn't move what stands beside it", () => {
  assert.equal(stripDirectionControls("Nale\u202edi\u2066\u200f"), "Naledi");
  assert.equal(isolate("Naledi"), "Naledi");
  assert.equal(isolate("\u202eNaledi"), "Naledi");
  assert.equal(isolate("נעמי"), "\u2068נעמי\u2069");
  assert.equal(isolate("\u2069נעמי"), "\u2068נעמי\u2069");
  const state = reduce(initialState(), { ...ready, mine: [summary("h", { state: "assigned", title: "\u202eevil" })] });
  assert.match(toastFor(state, { type: "reminder", handoff_id: "h", seconds: 60 }, state).text, /^evil has waited/);
});

const BROKEN = ["5", '"text"', "{}", "[]", "null", "[null, 5, {}]", "{not json", '{"seen": "x", "h": "7"}', "true"];

/** Gives the page storages that hold the same value under every key, or refuse it (undefined), and an address. */
function browser(value, hash = "") {
  const storage = { getItem: () => value, setItem: () => {}, removeItem: () => {} };
  Object.assign(globalThis, { location: { hash } });
  for (const name of ["localStorage", "sessionStorage"])
    Object.defineProperty(globalThis, name, {
      configurable: true,
      get() {
        if (value === undefined) throw new Error("SecurityError");
        return storage;
      },
    });
}

for (const value of [...BROKEN, undefined])
  test(`a storage that holds ${value ?? "nothing, since it is forbidden,"} gives usable values`, () => {
    browser(value);
    const kept = loadSaved();
    assert.deepEqual(kept.unsent, []);
    assert.equal(kept.seen instanceof Map, true);
    assert.equal([...kept.seen.values()].every(Number.isFinite), true);
    assert.equal(typeof loadDraft("h"), "string");
    assert.equal(typeof kept.sound, "boolean");
    const state = reduce(initialState(kept), ready);
    assert.equal(unreadCount(state, "h"), 0);
  });

test("a broken address names no conversation", () => {
  for (const hash of ["#c=%E0%A4%A", "#c=%", "#c=", "#other", ""]) {
    browser("null", hash);
    assert.equal(conversationInAddress(), null);
  }
  browser("null", "#c=a%20b");
  assert.equal(conversationInAddress(), "a b");
});
