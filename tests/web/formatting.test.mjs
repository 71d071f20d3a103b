import assert from "node:assert/strict";
import { test } from "node:test";

import { readSlot, showValue } from "../../rasa_handoff/server/web/static/slots.js";
import { readable, statusText, waitingTime } from "../../rasa_handoff/server/web/static/formatting.js";

const slot = (type, values = null) => ({ name: "s", type, values });

test("an empty field leaves its slot unchanged, whatever its type", () => {
  for (const type of ["text", "bool", "float", "categorical", "list", "any"]) {
    assert.deepEqual(readSlot(slot(type), "  "), { changed: false });
  }
});

test("each type reads its value", () => {
  assert.equal(readSlot(slot("text"), " 12 Long Street ").value, "12 Long Street");
  assert.equal(readSlot(slot("bool"), "false").value, false);
  assert.equal(readSlot(slot("float"), "12,5").value, 12.5);
  assert.equal(readSlot(slot("categorical", ["post", 3]), "3").value, 3);
  assert.deepEqual(readSlot(slot("list"), "poetry, maps,").value, ["poetry", "maps"]);
  assert.equal(readSlot(slot("constructor"), "x").value, "x");
});

test("a number that isn't one is named", () => {
  assert.match(readSlot(slot("float"), "many").problem, /s is a number/);
});

test("values are shown as a person reads them", () => {
  assert.deepEqual([null, true, ["a", 1], { a: 1 }, 0].map(showValue), [
    "not set",
    "yes",
    "a, 1",
    '{"a":1}',
    "0",
  ]);
});

test("a waiting time is minutes and seconds, and hours after an hour", () => {
  assert.deepEqual([-3, 42, 725, 4800].map(waitingTime), ["0:00", "0:42", "12:05", "1 h 20 min"]);
});

test("a failed message says why", () => {
  assert.equal(statusText({ status: "failed", reason: "blocked" }), "Not delivered: blocked");
  assert.equal(statusText({ status: "waiting", reason: null }, false), "Waits until the customer writes");
  assert.match(statusText({ status: "waiting", reason: null }, true), /until the customer can be reached$/);
});

test("a name with underscores is shown in words", () => {
  assert.equal(readable("needs_follow_up"), "Needs follow up");
});
