import assert from "node:assert/strict";
import { test } from "node:test";

import { loadSaved } from "../../rasa_handoff/server/web/static/browser-storage.js";
import { FileStorage } from "../../rasa_handoff/server/web/static/file-storage.js";
import { PersistentMap } from "../../rasa_handoff/server/web/static/persistent-map.js";
import { initialState, reduce } from "../../rasa_handoff/server/web/static/reducer.js";
import {
  composedParts,
  isUnsentPart,
  neededFiles,
  payloadOf,
  uploadedShare,
} from "../../rasa_handoff/server/web/static/unsent-parts.js";

const file = (key, id = null, size = 99) => ({ type: "file", media: { id, name: key, size }, key });
const BUTTONS = { type: "buttons", buttons: [{ title: "Yes" }], key: "b" };
const message = (parts, text = "hi") => ({ id: "a", handoff_id: "h", agent: "a1", text, at: 1, problem: null, parts });

test("a message of words has no parts, another one has its words first and its buttons last", () => {
  assert.deepEqual(composedParts("hi", []), []);
  assert.deepEqual(
    composedParts("hi", [BUTTONS, file("x")]).map(({ type }) => type),
    ["text", "file", "buttons"],
  );
  assert.deepEqual(composedParts("", [file("x")]).map(({ type }) => type), ["file"]);
});

test("what is sent has no keys of ours", () => {
  assert.deepEqual(payloadOf(message([])), { handoff_id: "h", id: "a", text: "hi" });
  const { key, ...buttons } = BUTTONS;
  assert.deepEqual(payloadOf(message([BUTTONS])), { handoff_id: "h", id: "a", parts: [buttons] });
});

test("the progress is that of all files together, by their size", () => {
  const uploads = PersistentMap.from([["x", 0.5]]);
  assert.equal(uploadedShare(message([BUTTONS]), uploads), null);
  assert.equal(uploadedShare(message([file("x", "m1")]), uploads), null);
  assert.equal(uploadedShare(message([file("x"), file("y")]), uploads), 0.25);
  assert.equal(uploadedShare(message([file("x"), file("y", "m2")]), uploads), 0.75);
  assert.equal(uploadedShare(message([file("x", null, 0)]), uploads), 0.5);
});

test("a file is needed until the server has it, or the agent takes it away", () => {
  let state = initialState();
  for (const key of ["x", "y"]) state = reduce(state, { type: "part attached", handoff_id: "h", part: file(key) });
  assert.deepEqual([...neededFiles(state)], ["x", "y"]);
  state = reduce(state, { type: "part detached", handoff_id: "h", key: "y" });
  state = reduce(state, { type: "message composed", unsent: message(composedParts("", state.attached.get("h"))) });
  assert.equal(state.attached.size, 0);
  assert.deepEqual([...neededFiles(state)], ["x"]);
  state = reduce(state, { type: "upload progressed", key: "x", share: 0.9 });
  state = reduce(state, { type: "file stored", id: "a", key: "x", media: { id: "m1", type: "image/png" } });
  assert.equal(neededFiles(state).size, 0);
  assert.deepEqual([state.unsent[0].parts[0].type, state.uploads.size], ["image", 0]);
});

test("what goes with a message leaves with a conversation that is deleted", () => {
  let state = reduce(initialState(), { type: "part attached", handoff_id: "h", part: file("x") });
  state = reduce(state, { type: "deleted", handoff_ids: ["h"] });
  assert.equal(state.attached.size, 0);
});

test("what another agent has attached in this tab is dropped, and isn't sent", () => {
  const me = { id: "a1", name: "Thandi", departments: [] };
  const ready = { type: "ready", me, departments: [], outcomes: [], queue: [], mine: [], others: [] };
  const [own, theirs] = [{ ...file("x"), agent: "a1" }, { ...file("y"), agent: "a2" }];
  const attached = PersistentMap.from([["h", [own, theirs]], ["i", [theirs]], ["j", [own]]]);
  const state = reduce(initialState({ attached }), ready);
  assert.deepEqual([...state.attached.entries()].sort(), [["h", [own]], ["j", [own]]]);
  assert.equal(reduce(state, ready).attached, state.attached);
  assert.equal("agent" in payloadOf(message([own])).parts[0], false);
});

test("of what a browser has kept only parts that can be sent come back", () => {
  const kept = [file("x"), BUTTONS, { type: "card", title: "T", key: "c" }, { type: "text", text: "hi", key: "t" }];
  const broken = [null, 5, {}, { type: "file", key: "k" }, { type: "buttons", buttons: [{}], key: "k" }, { type: "custom", json: 1, key: "k" }];
  assert.deepEqual([...kept, ...broken].filter(isUnsentPart), kept);
  const values = {
    "desk.unsent": [message([...kept, ...broken]), { ...message(undefined), id: "old" }],
    "desk.attached": { h: [...broken, BUTTONS], __proto__: [BUTTONS], i: 5 },
  };
  const storage = { getItem: (key) => JSON.stringify(values[key] ?? null) };
  for (const name of ["localStorage", "sessionStorage"])
    Object.defineProperty(globalThis, name, { configurable: true, get: () => storage });
  Object.assign(globalThis, { location: { hash: "" } });
  const saved = loadSaved();
  assert.deepEqual(saved.unsent.map(({ parts }) => parts), [kept, []]);
  assert.deepEqual([saved.attached.get("h"), saved.attached.get("i")], [[BUTTONS], []]);
});

test("without a database in the browser a file lasts as long as the page", async () => {
  const [files, blob] = [new FileStorage(), new Blob(["x"])];
  await files.keep("x", blob);
  assert.equal(await files.load("x"), blob);
  assert.equal(await files.load("y"), null);
  await files.removeLeft(new Set());
  await files.remove("x");
  assert.equal(await files.load("x"), null);
});
