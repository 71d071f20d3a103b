import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../rasa_handoff/server/web/static/outbox.js";
import { initial } from "../../rasa_handoff/server/web/static/state.js";
import { Store } from "../../rasa_handoff/server/web/static/store.js";

const words = (id, handoff_id = "h") => ({ id, handoff_id, agent: "a1", text: id, at: 1, problem: null });

/** A line to a server that answers when the test says so. */
function line() {
  const asked = [];
  const request = (_, payload) => new Promise((answer) => asked.push({ ...payload, answer }));
  return { asked, request };
}

/** Lets everything run that was only waiting for an answer. */
const settled = () => new Promise((done) => setImmediate(done));

function desk(unsent, connection = "online") {
  const { asked, request } = line();
  const store = new Store(initial({ unsent, connection }));
  return { store, asked, outbox: new Outbox(store, request) };
}

test("one at a time per conversation, in the order they were written", async () => {
  const { asked, outbox } = desk([words("a"), words("b"), words("c", "other")]);
  outbox.pump();
  outbox.pump();
  assert.deepEqual(asked.map((one) => one.id).sort(), ["a", "c"]);
  asked.find((one) => one.id === "a").answer({ ok: true });
  await settled();
  assert.equal(asked.at(-1).id, "b");
});

test("nothing is sent without a connection", () => {
  const { asked, outbox } = desk([words("a")], "offline");
  outbox.pump();
  assert.equal(asked.length, 0);
});

test("a lost answer keeps the words, with their id", async () => {
  const { store, asked, outbox } = desk([words("a")]);
  outbox.pump();
  store.dispatch({ type: "disconnected" });
  asked[0].answer({ ok: false, code: "offline" });
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
  outbox.pump();
  assert.deepEqual(
    asked.map((one) => one.id),
    ["a", "a"],
  );
});

test("refused words let the next ones pass", async () => {
  const { store, asked, outbox } = desk([words("a"), words("b")]);
  outbox.pump();
  asked[0].answer({ ok: false, code: "ended", error: "It has ended." });
  await settled();
  assert.equal(store.state.unsent[0].problem, "It has ended.");
  assert.equal(asked[1].id, "b");
});

test("a server that can't write anything down just now refuses nothing for good", async () => {
  const { store, asked, outbox } = desk([words("a")]);
  outbox.pump();
  asked[0].answer({ ok: false, code: "unavailable", error: "Not now." });
  await settled();
  assert.deepEqual(
    store.state.unsent.map((one) => one.problem),
    [null],
  );
});
