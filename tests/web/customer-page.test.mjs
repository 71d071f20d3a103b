import assert from "node:assert/strict";
import { test } from "node:test";

import { contentOf, isCard, isMedia, placeIn, sizeInWords, webAddress } from "../../example_bot/web/message-content.js";
import { markRead } from "../../example_bot/web/message-items.js";
import { noteActive, ratingMessage } from "../../example_bot/web/rating.js";
import { chosenLanguage, LANGUAGES, TEXT_NAMES, textIn } from "../../example_bot/web/texts.js";

const nothing = { text: "", replies: [], stay: false, media: [], cards: [] };

test("a text with buttons, as Rasa's socketio has them", () => {
  const said = contentOf({ text: "Which?", quick_replies: [{ content_type: "text", title: "Red", payload: "/red" }] });
  assert.deepEqual(said, { ...nothing, text: "Which?", replies: [{ title: "Red", payload: "/red" }] });
  assert.equal(contentOf({ text: "Which?", quick_replies: [{ title: "Red" }], handoff_buttons_stay: true }).stay, true);
});

test("a file's address is no text beside the file, and words are", () => {
  const payload = { src: "https://k.example/a.pdf", name: "a.pdf", size: 12 };
  const media = [{ kind: "file", ...payload }];
  assert.deepEqual(contentOf({ text: "a.pdf: https://k.example/a.pdf", attachment: { type: "file", payload } }), {
    ...nothing,
    media,
  });
  assert.equal(contentOf({ text: "your invoice", attachment: { type: "file", payload } }).text, "your invoice");
});

test("what can't be shown is told in words, and nothing is raised", () => {
  assert.equal(contentOf({ attachment: "https://k.example/a.pdf" }).text, "https://k.example/a.pdf");
  assert.equal(contentOf({ attachment: { type: "fallback", payload: { title: "A", url: "b" } } }).text, "A\nb");
  assert.equal(contentOf({ custom: { text: "words" } }).text, "words");
  for (const odd of [undefined, {}, { text: 7 }, { attachment: null }, { attachment: { type: "image", payload: { src: 7 } } }])
    assert.deepEqual(contentOf(odd), nothing);
  for (const odd of [{ quick_replies: [null, 7, {}] }, { attachment: { payload: { elements: [null, 7] } } }])
    assert.deepEqual(contentOf(odd), nothing);
});

test("cards come as a list or as one", () => {
  const elements = { title: "T", subtitle: "S", image_url: "i", item_url: "https://k.example", buttons: [{ title: "B" }] };
  const card = { title: "T", subtitle: "S", image: "i", replies: [{ title: "T", url: "https://k.example" }, { title: "B" }] };
  for (const some of [elements, [elements]])
    assert.deepEqual(contentOf({ attachment: { type: "template", payload: { elements: some } } }).cards, [card]);
  assert.ok(isCard(card));
  assert.ok(!isCard({ ...card, title: 7 }));
});

test("what was stored is shown only as it can be", () => {
  assert.ok(isMedia({ kind: "image", src: "a" }));
  for (const odd of [null, {}, { kind: "script", src: "a" }, { kind: "image" }, { kind: "image", src: "a", size: "b" }])
    assert.ok(!isMedia(odd));
});

test("places and addresses", () => {
  assert.match(String(placeIn("[Location: Karoo Books, 12 Long Street, -33.92, 18.42]")), /mlat=-33\.92&mlon=18\.42/);
  for (const none of ["Location: 1, 2", "[Location: nowhere]", "[Location: 91, 2]"]) assert.equal(placeIn(none), null);
  assert.equal(webAddress("/media/1", "http://localhost:5005"), "http://localhost:5005/media/1");
  for (const trap of ["javascript:alert(1)", "data:text/html,x", "http://"]) assert.equal(webAddress(trap, "http://a"), null);
  assert.deepEqual([12, 1_000, 1_234_567].map((bytes) => sizeInWords(bytes, "en")), ["12 bytes", "1 kB", "1.2 MB"]);
});

test("every text is there in every language, with the same values in it", () => {
  const valuesIn = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const language of LANGUAGES)
    for (const name of TEXT_NAMES) {
      const asWritten = new Proxy({}, { get: (_, key) => `{${String(key)}}` });
      assert.deepEqual(valuesIn(textIn(language, name, asWritten)), valuesIn(textIn("en", name, asWritten)), name);
      assert.ok(textIn(language, name).length > 1, `${language} ${name}`);
    }
  assert.equal(textIn("af", "place", { place: 2 }), "Jy is nommer 2 in die tou.");
});

test("the first language that is known is chosen", () => {
  assert.equal(chosenLanguage(["de-DE", "af-ZA", "en"]), "af");
  assert.equal(chosenLanguage([null, "constructor"]), "en");
  assert.equal(chosenLanguage([]), "en");
});

test("a customer is asked after a chat with a person, until another one begins", () => {
  const asksAfter = (...states) => {
    const conversation = { talks: false, asks: false };
    for (const active of states) noteActive(conversation, active);
    return conversation.asks;
  };
  assert.equal(asksAfter("bot"), false);
  assert.equal(asksAfter("waiting", "bot"), false);
  assert.equal(asksAfter("waiting", "person"), false);
  assert.equal(asksAfter("waiting", "person", "bot"), true);
  assert.equal(asksAfter("person", "closed", "bot"), true);
  assert.equal(asksAfter("person", "waiting", "bot"), true);
  assert.equal(asksAfter("person", "bot", "waiting"), false);
  assert.equal(asksAfter("person", "bot", "waiting", "bot"), false);
});

test("what was answered isn't asked again while the state stays", () => {
  const conversation = { talks: false, asks: false };
  assert.equal(noteActive(conversation, "bot"), false);
  assert.equal(noteActive(conversation, "person"), true);
  assert.equal(noteActive(conversation, "bot"), true);
  conversation.asks = false;
  assert.equal(noteActive(conversation, "bot"), false);
  assert.equal(conversation.asks, false);
});

test("a rating is a command with JSON", () => {
  assert.equal(ratingMessage(4, ' "Kind" '), '/handoff_rate{"score":4,"comment":"\\"Kind\\""}');
  assert.equal(ratingMessage(1, " "), '/handoff_rate{"score":1}');
});

test("a message that was read marks the customer's before it, as far as they were delivered", () => {
  const user = (id, more = {}) => ({ id, who: "user", text: id, at: 1, sent: true, ...more });
  const lines = [user("a"), user("b", { refused: true, sent: false }), { id: "c", who: "bot", text: "c", at: 1 }, user("d"), user("e")];
  markRead(lines, "unknown");
  markRead(lines, "c");
  assert.deepEqual(lines.map((line) => line.read === true), [false, false, false, false, false]);
  markRead(lines, "d");
  assert.deepEqual(lines.map((line) => line.read === true), [true, false, false, true, false]);
});
