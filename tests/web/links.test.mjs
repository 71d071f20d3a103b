import assert from "node:assert/strict";
import { test } from "node:test";

import { linkParts } from "../../rasa_handoff/server/web/static/links.js";

const links = (text) => linkParts(text).filter(({ href }) => href !== null).map(({ href }) => href);

test("web addresses, e-mail addresses and telephone numbers are links, without the sentence's marks", () => {
  assert.deepEqual(links("See https://karoo.example/a?b=1, or write to help@karoo.example."), [
    "https://karoo.example/a?b=1",
    "mailto:help%40karoo.example",
  ]);
  assert.deepEqual(links("Call +27 82 555 0199 or 082-555-0199, or +44 (0)20 7946 0958."), [
    "tel:+27825550199",
    "tel:0825550199",
    "tel:+4402079460958",
  ]);
});

test("the text stays as it was written", () => {
  const text = "Naledi <n@karoo.example>, +27 82 555 0199: https://karoo.example!";
  assert.equal(linkParts(text).map((part) => part.text).join(""), text);
});

test("dates, amounts, order numbers and handles are no links", () => {
  for (const text of ["2026-11-26 13:00", "01/02/2026 12:30", "R 1 250 000 000", "order 4711-0825", "@naledi", "a@b", "05"])
    assert.deepEqual(links(text), [], text);
});

test("an address is read from left to right, and a script is no address", () => {
  assert.deepEqual(links("https://karoo.example/\u202egnp.exe"), ["https://karoo.example/gnp.exe"]);
  assert.deepEqual(links("javascript:alert(1) data:text/html,x"), []);
});

test("a long text without blanks is read in no time", () => {
  const begun = performance.now();
  for (const piece of ["a", "0", "+", "a.", "a@", "0 (", "a-b@c."]) linkParts(piece.repeat(20_000));
  assert.ok(performance.now() - begun < 2_000);
});
