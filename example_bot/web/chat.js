// @ts-check
/**
 * The customer's page of Karoo Books. Any front end for Rasa's socketio channel would do; this one shows
 * what one needs.
 *
 * Names for tests (data-testid): chat-input, chat-send, bot-message, user-message, quick-reply, suggestion,
 * new-conversation, typing, refused, too-long, connection (data-state: connecting, online, offline, refused), who (data-active: bot, waiting, person).
 */

import { drawn, update } from "./lines.js";
import { freshId, Memory } from "./memory.js";
import { rasaAddress, Talk } from "./talk.js";
import { TypingSign } from "./typing.js";

/** @typedef {import("./lines.js").Line} Line */
/** @typedef {import("./talk.js").Reply} Reply */
/** @typedef {import("./talk.js").Uttered} Uttered */
/** @typedef {import("./talk.js").Connection} Connection */
/** @typedef {import("./talk.js").Active} Active */

const TYPING_LASTS = 6_000;
const AGAIN_AFTER = 1_000;
const LONGEST_MESSAGE = 20_000;
const STATES = {
  connecting: "Connecting…",
  online: "Connected",
  offline: "Offline: what you write is kept",
  refused: "Closed",
};

const find = (/** @type {string} */ selector) =>
  /** @type {HTMLElement} */ (document.querySelector(selector));
const words = /** @type {HTMLTextAreaElement} */ (find("#words"));
const list = find("#lines");
const scroller = find(".scroller");

/** @type {Connection} */
let connection = "connecting";

const memory = new Memory(changedElsewhere);
const talk = new Talk(rasaAddress(), () => memory.kept, { connection: connected, heard, typing: typed, active, given });

const sign = new TypingSign((on) => talk.typing(on));

/** @param {Connection} state */
function connected(state) {
  connection = state;
  const place = find(".connection");
  place.dataset.state = state;
  place.textContent = STATES[state];
  find("#refused").hidden = state !== "refused";
  find("#write").hidden = state === "refused";
  draw();
  void sendKept();
}

/** The token of a new conversation: who has it may use the conversation, so it is kept before anything is said.
 * @param {{session_id: string, token: string}} told */
function given({ session_id, token }) {
  memory.change((kept) => {
    if (kept.session === session_id) kept.token = token;
  });
}

/** Whom the customer has now: the colour follows by `data-active`. @param {Active} who */
function active({ active, agent }) {
  const place = find(".who");
  place.dataset.active = active;
  place.textContent = { bot: "Bot", waiting: "Waiting for a person", person: agent || "A person" }[active] ?? "Bot";
}

let sending = false;

/** In its order, one after the other: each is said again, with its id, until it is acknowledged. */
async function sendKept() {
  if (sending) return;
  sending = true;
  for (let line = unsent(); line && connection === "online"; line = unsent()) {
    const outcome = await talk.say(String(line.id), line.message ?? line.text);
    if (outcome === "unknown") await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER));
    else settle(String(line.id), outcome === "accepted");
  }
  sending = false;
}

const unsent = () => memory.kept.lines.find((line) => line.sent === false && !line.refused);

/** @param {string} id @param {boolean} accepted */
function settle(id, accepted) {
  memory.change(({ lines }) => {
    const line = lines.find((one) => one.id === id);
    if (line) Object.assign(line, accepted ? { sent: true } : { refused: true });
  });
  draw();
}

/** @param {boolean} joinAgain */
function changedElsewhere(joinAgain) {
  if (joinAgain || (connection === "refused" && memory.kept.token !== null)) talk.start();
  draw();
  void sendKept();
}

/** Told again what it has shown, the page only acknowledges. @param {Uttered} message */
function heard({ id, text, quick_replies, attachment }) {
  /** @type {Line} */
  const line = { id, who: "bot", text: text ?? "", at: Date.now() };
  typed(false);
  if (quick_replies?.length) line.replies = quick_replies.map(({ title, payload }) => ({ title, payload }));
  if (attachment?.type === "image") line.image = String(attachment.payload?.src ?? "");
  else if (attachment) line.link = described(attachment);
  if (line.text || line.replies || line.image || line.link) add(line);
  if (id) unread.add(id);
  lookedAt();
}

/** @type {Set<string>} ids of messages that came while nobody looked */
const unread = new Set();

function lookedAt() {
  if (document.visibilityState !== "visible") return;
  unread.forEach((id) => talk.read(id));
  unread.clear();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let typingEnds;

/** Somebody is typing to the customer; a sign whose end got lost ends by itself. @param {boolean} on */
function typed(on) {
  clearTimeout(typingEnds);
  if (on) typingEnds = setTimeout(() => typed(false), TYPING_LASTS);
  find(".typing").hidden = !on;
  if (on) toEnd();
}

/** An attachment that isn't a picture, in words. @param {any} attachment */
function described({ payload }) {
  const { title, subtitle, item_url, image_url, src, url } = payload?.elements ?? payload ?? {};
  return [title, subtitle, item_url ?? url ?? src ?? image_url].filter(Boolean).join("\n");
}

/**
 * @param {string} text as the customer sees it
 * @param {string} [message] what is sent, a button's payload
 */
function say(text, message) {
  const line = { id: freshId(), who: /** @type {"user"} */ ("user"), text, at: Date.now(), sent: false };
  add(message === undefined ? line : { ...line, message });
  void sendKept();
}

/** @param {Line} line */
function add(line) {
  memory.change(({ lines }) => {
    if (!line.id || !lines.some(({ id }) => id === line.id)) lines.push(line);
  });
  draw();
}

/** Lines that are there stay, so that a screen reader reads out only what is new. */
function draw() {
  const { lines } = memory.kept;
  find(".welcome").hidden = lines.length > 0;
  while (list.children.length > lines.length) list.lastElementChild?.remove();
  const answered = lines.findLastIndex((line) => line.who === "user");
  lines.forEach((line, place) => update(lineAt(place), line, place > answered, connection));
  toEnd();
}

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

/** @param {number} place */
function lineAt(place) {
  const line = memory.kept.lines[place];
  const key = `${line.who} ${line.at} ${line.text}`;
  const there = /** @type {HTMLElement | undefined} */ (list.children[place]);
  if (there?.dataset.key === key) return there;
  const item = drawn(line, (/** @type {Reply} */ { title, payload }) => choose(title, payload));
  item.dataset.key = key;
  if (there) there.replaceWith(item);
  else list.append(item);
  return item;
}

/**
 * @param {string} title
 * @param {string} [payload]
 */
function choose(title, payload) {
  say(title, payload);
  words.focus({ preventScroll: true });
}

function grow() {
  words.style.height = "auto";
  words.style.height = `${words.scrollHeight + 2}px`;
}

function submit() {
  const text = words.value.trim();
  const length = [...text].length;
  if (!text || tooLong(length)) return;
  words.value = "";
  sign.over();
  grow();
  say(text);
}

/** What wouldn't be taken stays where it was written, to be shortened. @param {number} length */
function tooLong(length) {
  const excess = length > LONGEST_MESSAGE;
  const place = find("#too-long");
  place.hidden = !excess;
  const count = (/** @type {number} */ number) => number.toLocaleString("en");
  const rule = `a message may have ${count(LONGEST_MESSAGE)} characters, this one has ${count(length)}`;
  place.textContent = excess ? `That's too long: ${rule}. Please shorten it, or send it in parts.` : "";
  return excess;
}

function startFresh() {
  memory.startFresh();
  draw();
  connected("connecting");
  talk.start();
  words.focus();
}

find("#write").addEventListener("submit", (event) => (event.preventDefault(), submit()));
find("#fresh").addEventListener("click", startFresh);
find("#suggestions").addEventListener("click", (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("button");
  if (button) choose(button.textContent ?? "");
});
// A picture has its height only when it has come.
list.addEventListener("load", toEnd, { capture: true });
document.addEventListener("visibilitychange", lookedAt);
words.addEventListener("input", () => (grow(), sign.key()));
words.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});

draw();
talk.start();
