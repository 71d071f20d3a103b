import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../rasa_handoff/server/web/static/outbox.js";
import { initialState } from "../../rasa_handoff/server/web/static/reducer.js";
import { Store } from "../../rasa_handoff/server/web/static/store.js";

const unsentMessage = (id, handoff_id = "h") => ({ id, handoff_id, agent: "a1", text: id, at: 1, problem: null });

/** A connection to a server that answers when the test says so. */
function connection() {
  const requests = [];
  const request = (_, payload) => new Promise((answer) => requests.push({ ...payload, answer }));
  return { requests, request };
}

/** Lets everything run that was only waiting for an answer. */
const settled = () => new Promise((done) => setImmediate(done));

function desk(unsent, state = "online") {
  const { requests, request } = connection();
  const store = new Store(initialState({ unsent, connection: state }));
  return { store, requests, outbox: new Outbox(store, request) };
}

test("one at a time per conversation, in the order they were written", async () => {
  const { requests, outbox } = desk([unsentMessage("a"), unsentMessage("b"), unsentMessage("c", "other")]);
  outbox.flush();
  outbox.flush();
  assert.deepEqual(requests.map((one) => one.id).sort(), ["a", "c"]);
  requests.find((one) => one.id === "a").answer({ ok: true });
  await settled();
  assert.equal(requests.at(-1).id, "b");
});

test("nothing is sent without a connection", () => {
  const { requests, outbox } = desk([unsentMessage("a")], "offline");
  outbox.flush();
  assert.equal(requests.length, 0);
});

test("a lost answer keeps the message, with its id", async () => {
  const { store, requests, outbox } = desk([unsentMessage("a")]);
  outbox.flush();
  store.dispatch({ type: "disconnected" });
  requests[0].answer({ ok: false, code: "offline" });
  await settled();
  assert.deepEqual(
    store.state.unsent.map((one) => one.id),
    ["a"],
  );
  store.dispatch({
    type: "ready",
    me: { id: "a1" },
    departments: [],
    outcomes: [],
    queue: [],
    mine: [],
    others: [],
  });
  outbox.flush();
  assert.deepEqual(
    requests.map((one) => one.id),
    ["a", "a"],
  );
});

test("a refused message lets the next ones pass", async () => {
  const { store, requests, outbox } = desk([unsentMessage("a"), unsentMessage("b")]);
  outbox.flush();
  requests[0].answer({ ok: false, code: "ended", error: "It has ended." });
  await settled();
  assert.equal(store.state.unsent[0].problem, "It has ended.");
  assert.equal(requests[1].id, "b");
});

test("a server that can't write anything down just now refuses nothing for good", async () => {
  const { store, requests, outbox } = desk([unsentMessage("a")]);
  outbox.flush();
  requests[0].answer({ ok: false, code: "unavailable", error: "Not now." });
  await settled();
  assert.deepEqual(
    store.state.unsent.map((one) => one.problem),
    [null],
  );
});
