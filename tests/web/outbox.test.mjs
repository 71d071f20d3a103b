import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../rasa_handoff/server/web/static/outbox.js";
import { initialState } from "../../rasa_handoff/server/web/static/reducer.js";
import { Store } from "../../rasa_handoff/server/web/static/store.js";

const unsentMessage = (id, handoff_id = "h", parts = []) => {
  return { id, handoff_id, agent: "a1", text: id, at: 1, problem: null, parts };
};
const file = (key) => ({ type: "file", media: { name: `${key}.pdf`, size: 10 }, key });

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
  const uploads = [];
  const upload = (handoff_id, part) => new Promise((answer) => uploads.push({ handoff_id, ...part, answer }));
  const store = new Store(initialState({ unsent, connection: state }));
  return { store, requests, uploads, outbox: new Outbox(store, request, upload) };
}

/** Makes timers run at once. */
function atOnce(t) {
  t.mock.method(globalThis, "setTimeout", (run) => setImmediate(run));
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
  outbox.resume();
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

test("files are uploaded one after the other, then the message names them, and what was written later waits", async () => {
  const { requests, uploads, outbox } = desk([unsentMessage("a", "h", [file("x"), file("y")]), unsentMessage("b")]);
  outbox.flush();
  assert.deepEqual([uploads.map(({ key }) => key), requests.length], [["x"], 0]);
  uploads[0].answer({ ok: true, media: { id: "m1", name: "x.pdf", type: "application/pdf", size: 10 } });
  await settled();
  uploads[1].answer({ ok: true, media: { id: "m2", name: "y.png", type: "image/png", size: 10 } });
  await settled();
  assert.equal(requests.length, 1);
  const { answer, ...sent } = requests[0];
  const [x, y] = sent.parts;
  assert.deepEqual([sent.handoff_id, sent.id, "text" in sent], ["h", "a", false]);
  assert.deepEqual([x.type, x.media.id, "key" in x, y.type, y.media.id], ["file", "m1", false, "image", "m2"]);
  answer({ ok: true });
  await settled();
  assert.equal(requests[1].id, "b");
});

test("a message that was cancelled while its file was uploaded isn't sent, and the next one is", async () => {
  const { store, requests, uploads, outbox } = desk([unsentMessage("a", "h", [file("x")]), unsentMessage("b")]);
  outbox.flush();
  store.dispatch({ type: "upload progressed", key: "x", share: 0.5 });
  store.dispatch({ type: "message removed", id: "a" });
  uploads[0].answer({ ok: false, code: "cancelled" });
  await settled();
  assert.deepEqual(requests.map(({ id }) => id), ["b"]);
  assert.equal(store.state.uploads.size, 0);
});

test("a file that is refused says why, and is uploaded again when the agent asks for it", async () => {
  const { store, requests, uploads, outbox } = desk([unsentMessage("a", "h", [file("x")])]);
  outbox.flush();
  uploads[0].answer({ ok: false, code: "too_large", error: "It is too large." });
  await settled();
  assert.equal(store.state.unsent[0].problem, "It is too large.");
  store.dispatch({ type: "message retried", id: "a" });
  outbox.flush();
  uploads[1].answer({ ok: true, media: { id: "m1" } });
  await settled();
  assert.equal(requests[0].parts[0].media.id, "m1");
});

test("an upload that fails in passing is tried again after pauses that grow, and what was written later waits", async (t) => {
  const pauses = [];
  t.mock.method(globalThis, "setTimeout", (run, after) => (pauses.push(after), setImmediate(run)));
  const { store, requests, uploads, outbox } = desk([unsentMessage("a", "h", [file("x")]), unsentMessage("b"), unsentMessage("c", "other")]);
  outbox.flush();
  assert.deepEqual(requests.map(({ id }) => id), ["c"]);
  for (let tries = 1; tries <= 8; tries += 1) {
    assert.equal(uploads.length, tries);
    uploads.at(-1).answer({ ok: false, code: "unavailable", error: "It broke." });
    await settled();
    await settled();
    assert.equal(store.state.unsent[0].problem, null);
  }
  assert.deepEqual(pauses, [2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000));
  uploads.at(-1).answer({ ok: true, media: { id: "m1" } });
  await settled();
  requests.at(-1).answer({ ok: true });
  await settled();
  assert.deepEqual(requests.map(({ id }) => id), ["c", "a", "b"]);
});

test("what waits to be tried again isn't hurried by other words, and is by a connection that is back", async (t) => {
  t.mock.method(globalThis, "setTimeout", () => 0);
  const { store, requests, uploads, outbox } = desk([unsentMessage("a", "h", [file("x")])]);
  outbox.flush();
  uploads[0].answer({ ok: false, code: "unavailable" });
  await settled();
  assert.equal(store.state.unsent[0].delayed, true);
  store.dispatch({ type: "message composed", unsent: unsentMessage("b") });
  outbox.flush();
  assert.deepEqual([uploads.length, requests.length], [1, 0]);
  outbox.resume();
  assert.deepEqual([uploads.length, store.state.unsent[0].delayed], [2, false]);
  store.dispatch({ type: "message removed", id: "a" });
  uploads[1].answer({ ok: false, code: "cancelled" });
  await settled();
  assert.deepEqual(requests.map(({ id }) => id), ["b"]);
});

test("a file that was stored isn't uploaded again when the message's own answer is lost", async (t) => {
  atOnce(t);
  const { requests, uploads, outbox } = desk([unsentMessage("a", "h", [file("x")])]);
  outbox.flush();
  uploads[0].answer({ ok: true, media: { id: "m1" } });
  await settled();
  requests[0].answer({ ok: false, code: "offline" });
  await settled();
  await settled();
  assert.deepEqual([uploads.length, requests.length, requests[1].parts[0].media.id], [1, 2, "m1"]);
});
