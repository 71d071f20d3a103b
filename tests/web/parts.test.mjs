import assert from "node:assert/strict";
import { test } from "node:test";

import { MediaAddresses } from "../../rasa_handoff/server/web/static/media-addresses.js";
import {
  fileFacts,
  fileName,
  kindOf,
  mapAddress,
  readableSize,
  shownAs,
  shownParts,
  webAddress,
} from "../../rasa_handoff/server/web/static/parts.js";

test("a message without parts, or with parts that only a newer desk knows, is its text", () => {
  const text = [{ type: "text", text: "Hi" }];
  assert.deepEqual(shownParts({ text: "Hi" }), text);
  assert.deepEqual(shownParts({ text: "Hi", parts: [] }), text);
  assert.deepEqual(shownParts({ text: "Hi", parts: [{ type: "hologram" }, { type: "constructor" }] }), text);
  const place = { type: "location", latitude: 1, longitude: 2 };
  assert.deepEqual(shownParts({ text: "Hi", parts: [{ type: "hologram" }, place] }), [place]);
});

test("only what browsers show harmlessly is a picture or has a player; all else is a download", () => {
  assert.equal(shownAs("image", { type: "image/jpeg" }), "image");
  for (const type of ["image/svg+xml", "text/html", "image/", undefined, "constructor"])
    assert.equal(shownAs("image", { type }), "file");
  assert.equal(shownAs("audio", { type: "audio/ogg" }), "audio");
  assert.equal(shownAs("audio", { type: "text/html" }), "file");
  assert.equal(shownAs("file", { type: "image/png" }), "file");
  assert.deepEqual(
    ["image/png", "image/svg+xml", "audio/mpeg", "video/mp4", "application/pdf", "", null].map(kindOf),
    ["image", "file", "audio", "video", "file", "file", "file"],
  );
});

test("a link leads to a web page or nowhere", () => {
  assert.equal(webAddress("HTTPS://example.org/a b"), "https://example.org/a%20b");
  assert.equal(webAddress("https://example.org/\u202egpj.exe"), "https://example.org/gpj.exe");
  for (const address of ["javascript:alert(1)", "data:text/html,x", " https://x", "//x", "http://", "mailto:a@b", null])
    assert.equal(webAddress(address), null);
});

test("a place's map has its degrees, and nothing else that was written", () => {
  const place = { latitude: "-33.9&x=<b>", longitude: 18.42 };
  assert.equal(mapAddress(place), "https://www.openstreetmap.org/?mlat=NaN&mlon=18.42#map=16/NaN/18.42");
});

test("a file is told by name, type and size", () => {
  assert.equal(fileName({ name: "photo\u202egpj.exe" }), "photogpj.exe");
  assert.equal(fileName({ name: "\u202e " }), "File without a name");
  assert.equal(fileFacts({ type: "application/pdf", size: 1_234_567 }), "PDF · 1.2 MB");
  assert.equal(fileFacts({ type: "image/jpeg", size: 0 }), "JPEG · 0 bytes");
  assert.equal(fileFacts({ type: "chemical/x-pdb" }), "chemical/x-pdb");
  assert.equal(fileFacts({}), "");
  assert.deepEqual([999, 1000, 12_345, 25_000_000].map(readableSize), ["999 bytes", "1.0 kB", "12 kB", "25 MB"]);
});

test("the addresses of all files that come into sight are asked for at once", async () => {
  const requests = [];
  const answer = { ok: true, addresses: { a: "media/a?signature=1" } };
  const addresses = new MediaAddresses(async (event, payload) => (requests.push([event, payload]), answer));
  const got = [];
  for (const id of ["a", "b", "a", "constructor"]) addresses.ask("h", id, (address, isGone) => got.push([id, address, isGone]));
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(requests, [["media", { handoff_id: "h", ids: ["a", "b", "constructor"] }]]);
  const address = "media/a?signature=1";
  assert.deepEqual(got, [["a", address, false], ["a", address, false], ["b", null, true], ["constructor", null, true]]);
});

test("without an answer there is no address, and the next one is asked for anew", async () => {
  let requests = 0;
  const addresses = new MediaAddresses(async () => ((requests += 1), { ok: false, code: "offline" }));
  const got = [];
  for (const _ of [1, 2]) {
    addresses.ask("h", "a", (address, isGone) => got.push([address, isGone]));
    await new Promise((done) => setImmediate(done));
  }
  assert.deepEqual(got, [[null, false], [null, false]]);
  assert.equal(requests, 2);
});
