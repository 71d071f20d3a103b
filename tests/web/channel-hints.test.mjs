import assert from "node:assert/strict";
import { test } from "node:test";

import { channelHints } from "../../rasa_handoff/server/web/static/channel-hints.js";

const NATIVE = {
  name: "socketio", images: "native", files: "native", cards: "native", buttons: "native", longest_text: null,
  in_bytes: false, most_buttons: null, longest_title: null, largest_image: null, largest_file: null, file_types: [""],
  paragraphs: true, costly: false,
};
const SMS = {
  ...NATIVE, name: "twilio", images: "link", files: "link", cards: "parted", buttons: "numbered", longest_text: 1600, costly: true,
};
const file = (name, type, size = 1) => ({ type: type.startsWith("image/") ? "image" : "file", media: { name, type, size }, key: name });
const buttons = (...titles) => ({ type: "buttons", buttons: titles.map((title) => ({ title })), key: "b" });
const card = { type: "card", title: "T", buttons: [{ title: "Buy" }], key: "c" };

test("nothing is said of what arrives as it is, or where nobody knows", () => {
  const parts = [file("x.pdf", "application/pdf"), buttons("Yes"), card];
  const long = `${"word ".repeat(4000)}\n\nAnd on`;
  assert.deepEqual(channelHints(NATIVE, long, parts), []);
  assert.deepEqual(channelHints(null, long, parts), []);
  assert.deepEqual(channelHints(undefined, long, parts), []);
});

test("by SMS files are links, buttons are numbered, and each message costs money", () => {
  const hints = channelHints(SMS, "One\n\nTwo", [file("x.pdf", "application/pdf"), file("y.png", "image/png"), buttons("Yes"), card]);
  assert.deepEqual(hints, [
    "On SMS each paragraph is a message of its own: these are 2, and each costs money.",
    "On SMS the customer gets a link to x.pdf, y.png.",
    "On SMS buttons are numbered lines, and the customer answers with a number or a title.",
    "On SMS the card is shown as text and buttons.",
  ]);
});

test("a text that is too long is cut, at its pauses, and counted as the channel counts", () => {
  const [hint] = channelHints({ ...SMS, costly: false }, "word ".repeat(700).trim(), []);
  assert.equal(hint, "On SMS this text is too long for one message: it is cut into about 3.");
  const count = (presentation, text) => Number(/about (\d+)/.exec(channelHints(presentation, text, [])[0] ?? "about 1")[1]);
  const short = { ...NATIVE, longest_text: 10, paragraphs: false };
  assert.equal(count(short, "1234567890"), 1);
  assert.equal(count(short, "12345678901"), 2);
  assert.equal(count(short, "123456 890123 5678"), 3);
  assert.equal(count({ ...short, in_bytes: true }, "éééééé"), 2);
  assert.equal(count({ ...short, in_bytes: true }, "👍👍👍"), 2);
  assert.equal(count({ ...short, longest_text: 1, in_bytes: true }, "éé"), 2);
});

test("what is too large or of another type than the channel takes is a link", () => {
  const telegram = { ...NATIVE, name: "telegram", largest_image: 5, largest_file: 20, file_types: ["application/pdf", "audio/"] };
  const of = (...files) => channelHints(telegram, "", files);
  assert.deepEqual(of(file("a.pdf", "application/pdf", 20), file("b.png", "image/png", 5)), []);
  assert.deepEqual(of(file("a.pdf", "application/pdf", 21)), ["On Telegram the customer gets a link to a.pdf."]);
  assert.deepEqual(of(file("b.png", "image/png", 6)), ["On Telegram the customer gets a link to b.png."]);
  assert.deepEqual(of({ ...file("c", "x"), media: { name: "c", type: null } }), ["On Telegram the customer gets a link to c."]);
  assert.deepEqual(of(...[1, 2, 3, 4].map((one) => file(`${one}`, "text/plain"))), ["On Telegram the customer gets a link to 4 files."]);
});

test("buttons that don't fit are numbered, and where there is no screen they are read out", () => {
  const facebook = { ...NATIVE, name: "facebook", most_buttons: 2, longest_title: 5 };
  assert.deepEqual(channelHints(facebook, "?", [buttons("Yes", "No")]), []);
  const numbered = [
    "On Messenger so many or so long buttons don't fit: they are numbered lines, and the customer answers with a number or a title.",
  ];
  assert.deepEqual(channelHints(facebook, "?", [buttons("Yes", "No", "Maybe")]), numbered);
  assert.deepEqual(channelHints(facebook, "?", [buttons("Certainly")]), numbered);
  const voice = { ...NATIVE, name: "twilio_voice", images: "words", files: "words", buttons: "spoken" };
  assert.deepEqual(channelHints(voice, "?", [file("x.png", "image/png"), buttons("Yes")]), [
    "On the telephone no files can be sent: the customer only learns that there is x.png.",
    "On the telephone the buttons are read out.",
  ]);
});

test("a channel of the project's own, or of a newer version, has no name to break a page with", () => {
  const own = { ...SMS, name: "constructor", longest_text: null, costly: false };
  assert.deepEqual(channelHints(own, "", [file("\u202ex.pdf", "a/b")]), ["On this channel the customer gets a link to x.pdf."]);
});

test("buttons that a channel takes away say so, where the agent wants them to stay", () => {
  const facebook = { ...NATIVE, name: "facebook", most_buttons: 13, most_staying: 3, longest_above: 640 };
  const gone = ["On Messenger these buttons don't stay: they are gone once one is chosen."];
  const four = buttons("1", "2", "3", "4");
  assert.deepEqual(channelHints(facebook, "?", [four]), gone);
  assert.deepEqual(channelHints(facebook, "?", [{ ...four, quick: true }]), []);
  assert.deepEqual(channelHints(facebook, "?", [buttons("1", "2", "3")]), []);
  assert.deepEqual(channelHints(facebook, "x".repeat(641), [buttons("1")]), gone);
  assert.deepEqual(channelHints(facebook, `${"x".repeat(641)}\n\n?`, [buttons("1")]), []);
});
