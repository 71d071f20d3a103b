// @ts-check
/**
 * The customer's page of Karoo Books. Any front end for Rasa's socketio channel would do; this one shows
 * what such a page needs.
 *
 * Names for tests (data-testid): chat-input, chat-send, bot-message (data-speaker: bot, agent, notice), speaker-name, user-message,
 * quick-reply, reply-link, picture, file, audio, video, card, place, send-place, no-place, attach, attach-input, chosen, chosen-file
 * (data-state: sending, there, waiting, failed), chosen-out, chosen-again, suggestion,
 * rate, rate-score, rate-comment, rate-send, rate-dismiss, rate-state, new-conversation, handoff, handoff-state, end, leave, leave-yes, leave-no, typing, refused, too-long,
 * cannot-send, new-messages,
 * connection (data-state: connecting, online, offline, refused), who (data-active: bot, waiting, person).
 */

import { ConversationStorage, freshId, isSpeaker } from "./conversation-storage.js";
import { createItem, markRead, updateItem } from "./message-items.js";
import { contentOf, keptMedia } from "./message-content.js";
import { MessageForm } from "./message-form.js";
import { MessageScroller } from "./message-scroller.js";
import { noteActive, RatingForm } from "./rating.js";
import { rasaAddress, RasaSocket } from "./rasa-socket.js";
import { t, translate } from "./texts.js";
import { isolate } from "./text-direction.js";
import { TypingIndicator } from "./typing-indicator.js";

/** @typedef {import("./message-items.js").Line} Line */
/** @typedef {import("./message-content.js").Reply} Reply */
/** @typedef {import("./rasa-socket.js").Uttered} Uttered */
/** @typedef {import("./rasa-socket.js").Connection} Connection */
/** @typedef {import("./rasa-socket.js").Active} Active */

const TYPING_LASTS = 6_000;
const RETRY_AFTER = 1_000;
/** As long as this an interruption isn't shown: a server that is updated ends, and the page connects to another one. */
const INTERRUPTION_LASTS = 3_000;
const PLACE_WITHIN = 15_000;
/** What a front end sends whose customer leaves a handoff and was asked whether they want to. */
const LEAVE = "/handoff_leave";
const STATE_TEXTS = { connecting: t("connecting"), online: t("online"), offline: t("offline"), refused: t("closed") };

const find = (/** @type {string} */ selector) =>
  /** @type {HTMLElement} */ (document.querySelector(selector));
const list = find("#lines");
const scroller = new MessageScroller(find(".scroller"), find("#new-messages"));

/** @type {Connection} */
let connection = "connecting";
/** What the customer is shown of it. @type {Connection} */
let shownConnection = "connecting";
/** Shows an interruption that lasts. @type {ReturnType<typeof setTimeout> | undefined} */
let interruption;
/** What each item was drawn with. @type {WeakMap<Element, string>} */
const looks = new WeakMap();

const storage = new ConversationStorage(onChangeElsewhere);
const socket = new RasaSocket(rasaAddress(), () => storage.conversation, {
  onConnection,
  onMessage,
  onTyping,
  onRead,
  onActive,
  onToken,
});
const rating = new RatingForm(/** @type {HTMLFormElement} */ (find("#rate")), find("#rate-state"), rate);
const form = new MessageForm(
  () => storage.conversation,
  sendWritten,
  new TypingIndicator((on) => socket.sendTyping(on)),
  () => connection !== "refused",
);

/** @param {Connection} state */
function onConnection(state) {
  connection = state;
  if (state === "offline" && shownConnection === "online") {
    interruption ??= setTimeout(() => showConnection(connection), INTERRUPTION_LASTS);
  } else {
    showConnection(state);
  }
  if (state === "online") form.retry();
  void sendUnsent();
}

/**
 * The browser says that its network has gone, which a websocket may outlive for a while. What it says when the page is opened
 * isn't asked: without a network it says the same, though Rasa may be on the same machine.
 */
function onNetworkGone() {
  if (connection === "online") showConnection("offline");
}

function onNetworkBack() {
  showConnection(connection);
  socket.connect();
  form.retry();
  void sendUnsent();
}

/** @param {Connection} state */
function showConnection(state) {
  clearTimeout(interruption);
  interruption = undefined;
  shownConnection = state;
  const element = find(".connection");
  element.dataset.state = state;
  element.textContent = STATE_TEXTS[state];
  find("#refused").hidden = state !== "refused";
  find("#write").hidden = state === "refused";
  draw();
}

/**
 * Keep the token of a new conversation: only with it the page may use the conversation again.
 *
 * @param {{session_id: string, token: string}} credentials
 */
function onToken({ session_id, token }) {
  storage.change((conversation) => {
    if (conversation.session === session_id) conversation.token = token;
  });
}

/** Whom the customer has now. @type {Active} */
let who = { active: "bot", agent: null };

/** Show whom the customer has now; its colour comes from `data-active`. @param {Active} now */
function onActive(now) {
  who = now;
  if (noteActive({ ...storage.conversation }, now.active)) storage.change((conversation) => noteActive(conversation, now.active));
  drawActive();
  drawRating();
}

function drawRating() {
  if (rating.draw(storage.conversation, shownConnection === "online")) scroller.follow();
}

/** Keep what the customer thinks of the chat, and send it; null: they don't want to say. @param {string | null} message */
function rate(message) {
  storage.change((conversation) => {
    conversation.asks = false;
    conversation.rating = message === null ? conversation.rating : { id: freshId(), message };
  });
  drawRating();
  form.focus();
  void sendUnsent();
}

/** Note what became of the rating. @param {boolean} accepted */
function rated(accepted) {
  rating.thanks = accepted;
  storage.change((conversation) => (conversation.rating = null));
  drawRating();
}

function drawActive() {
  const { active, agent } = who;
  const isLeaving = storage.conversation.leaving !== null;
  const names = { bot: t("bot"), waiting: t("waiting"), person: agent || t("person"), closed: t("bot") };
  const element = find(".who");
  element.dataset.active = active;
  element.textContent = isLeaving ? t("leaving") : (names[active] ?? t("bot"));
  const bar = find(".handoff"), hidden = isLeaving || !hasPerson();
  const hasChanged = bar.hidden !== hidden;
  bar.hidden = hidden;
  find("#handoff-state").textContent = active === "person" ? t("isTalking", { agent: isolated(agent) }) : queueText();
  find("#end").textContent = t(active === "person" ? "endChat" : "leaveQueue");
  if (hasChanged) scroller.follow();
}

/** Whether the customer has a person, or waits for one. */
function hasPerson() {
  return who.active === "person" || who.active === "waiting";
}

/** @param {string | null} agent */
function isolated(agent) {
  return agent ? isolate(agent) : t("somebody");
}

/** Say where the customer is in the queue, and for how long, as far as that is known. */
function queueText() {
  const { position, wait } = who;
  const minutes = Math.ceil((wait ?? 0) / 60);
  const place = position ? t("place", { place: position }) : t("isWaiting");
  if (minutes < 1) return place;
  return `${place} ${minutes === 1 ? t("aboutAMinute") : t("aboutMinutes", { minutes })}`;
}

let sending = false;

/** Send unsent messages in their order: each again, with its id, until it is acknowledged. */
async function sendUnsent() {
  if (sending) return;
  sending = true;
  for (let next = firstUnsent(); next && connection === "online"; next = firstUnsent()) {
    const outcome = await socket.sendMessage(next.id, next.message, next);
    if (outcome === "unknown") await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    else if (next.id === storage.conversation.leaving) left();
    else if (next.id === storage.conversation.rating?.id) rated(outcome === "accepted");
    else settle(next.id, outcome === "accepted");
  }
  sending = false;
}

/** Return the first message that isn't acknowledged; leaving comes after all that the customer has written. */
function firstUnsent() {
  const { lines, leaving, rating: unsent } = storage.conversation;
  const line = lines.find((one) => one.sent === false && !one.refused);
  if (line) return { id: String(line.id), message: line.message ?? line.text, parts: line.parts, files: line.files };
  return unsent ?? (leaving ? { id: leaving, message: LEAVE } : undefined);
}

/** Note what became of an unsent message. @param {string} id @param {boolean} accepted */
function settle(id, accepted) {
  storage.change(({ lines }) => {
    const line = lines.find((one) => one.id === id);
    if (line) Object.assign(line, accepted ? { sent: true } : { refused: true });
  });
  draw();
}

/** @param {boolean} sessionChanged */
function onChangeElsewhere(sessionChanged) {
  if (sessionChanged || (connection === "refused" && storage.conversation.token !== null)) socket.reconnect();
  draw();
  void sendUnsent();
}

/** Show a message. A repeated one isn't shown again, since `add` knows its id; the socket acknowledges both. @param {Uttered} message */
function onMessage(message) {
  const { id, handoff_speaker } = message;
  const { text, replies, stay, media, cards } = contentOf(message);
  /** @type {Line} */
  const line = { id, who: "bot", text, at: Date.now() };
  onTyping(false);
  if (isSpeaker(handoff_speaker)) line.speaker = { kind: handoff_speaker.kind, name: handoff_speaker.name };
  if (replies.length) line.replies = replies;
  if (stay) line.stay = true;
  if (media.length) line.media = media;
  if (cards.length) line.cards = cards;
  if (line.text || line.replies || line.media || line.cards) add(line);
  if (id) unread.add(id);
  sendSeen();
}

/** @type {Set<string>} ids of messages that came while nobody looked */
const unread = new Set();

function sendSeen() {
  if (document.visibilityState !== "visible") return;
  unread.forEach((id) => socket.sendRead(id));
  unread.clear();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let typingEnds;

/** Show that somebody is typing to the customer; an indicator whose end got lost ends by itself. @param {boolean} on */
function onTyping(on) {
  clearTimeout(typingEnds);
  if (on) typingEnds = setTimeout(() => onTyping(false), TYPING_LASTS);
  find(".typing").hidden = !on;
  if (on) scroller.follow();
}

/** Show that the person has read a message of the customer's, and all before it. @param {string} id */
function onRead(id) {
  storage.change(({ lines }) => markRead(lines, id));
  draw();
}

/**
 * Add a message of the customer's to the conversation, and send it.
 *
 * @param {string} text as the customer sees it
 * @param {string} [message] what is sent, a button's payload
 */
function send(text, message) {
  const line = { id: freshId(), who: /** @type {"user"} */ ("user"), text, at: Date.now(), sent: false };
  add(message === undefined ? line : { ...line, message });
  void sendUnsent();
}

/** Send where the customer is, as their browser says after asking them. */
function sendPlace() {
  find("#no-place").hidden = true;
  navigator.geolocation.getCurrentPosition(
    ({ coords: { latitude, longitude } }) => {
      const parts = [{ type: /** @type {"location"} */ ("location"), latitude, longitude }];
      const line = { id: freshId(), who: /** @type {"user"} */ ("user"), text: t("myPlace"), message: "", at: Date.now(), sent: false };
      add({ ...line, parts });
      void sendUnsent();
    },
    () => (find("#no-place").hidden = false),
    { timeout: PLACE_WITHIN },
  );
}

/** @param {Line} line */
function add(line) {
  let isNew = false;
  storage.change(({ lines }) => {
    isNew = !line.id || !lines.some(({ id }) => id === line.id);
    if (isNew) lines.push(line);
  });
  draw();
  if (line.who === "user") scroller.toEnd();
  else if (isNew) scroller.announce();
}

/**
 * Draw the conversation. Items that are there stay, so that a screen reader reads out only what is new; only those are
 * updated that look different now.
 */
function draw() {
  const { lines } = storage.conversation;
  find(".welcome").hidden = lines.length > 0;
  while (list.children.length > lines.length) list.lastElementChild?.remove();
  const lastFromCustomer = lines.findLastIndex((line) => line.who === "user");
  for (const [index, line] of lines.entries()) {
    const item = itemAt(index, line);
    const open = index > lastFromCustomer;
    const look = `${line.sent} ${line.read} ${line.refused} ${open} ${line.sent === false && shownConnection}`;
    if (looks.get(item) === look) continue;
    looks.set(item, look);
    updateItem(item, line, open, shownConnection);
  }
  drawRating();
  scroller.follow();
}

/**
 * Return the item of a line: the one that is there, if it was made for this line, else a new one in its place.
 *
 * @param {number} index
 * @param {Line} line
 */
function itemAt(index, line) {
  const key = `${line.who} ${line.at} ${line.text}`;
  const there = /** @type {HTMLElement | undefined} */ (list.children[index]);
  if (there?.dataset.key === key) return there;
  const item = createItem(line, (/** @type {Reply} */ { title, payload }) => choose(title, payload));
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
  send(title, payload);
  form.focus();
}

/**
 * Send what the customer has written, with the files that Rasa keeps.
 *
 * @param {string} text
 * @param {import("./file-sending.js").Kept[]} kept
 */
function sendWritten(text, kept) {
  if (!kept.length) return send(text);
  const line = { id: freshId(), who: /** @type {"user"} */ ("user"), text, at: Date.now(), sent: false };
  add({ ...line, media: kept.map(keptMedia), files: kept.map(({ id }) => id) });
  void sendUnsent();
}

const leaveDialog = /** @type {HTMLDialogElement} */ (find("#leave"));

/** A customer who has a person, or waits for one, is asked first: that conversation ends. */
function askToStartAgain() {
  if (connection === "refused" || !hasPerson()) return startAgain();
  ask(who.active === "person" ? "anewWhileTalking" : "anewWhileWaiting", t("anew"), false);
}

/** Ask whether to leave the queue, or to end the chat; the bot goes on in the same conversation. */
function askToEnd() {
  const isPerson = who.active === "person";
  ask(isPerson ? "chatQuestion" : "queueQuestion", t(isPerson ? "endChat" : "leaveQueue"), true);
}

/**
 * @param {import("./texts.js").TextName} question
 * @param {string} yes
 * @param {boolean} stays whether the bot goes on in the same conversation
 */
function ask(question, yes, stays) {
  find("#leave-question").textContent = t(question, { agent: isolated(who.agent) });
  find('[data-testid="leave-yes"]').textContent = yes;
  leaveDialog.dataset.stays = String(stays);
  leaveDialog.showModal();
}

/** End the conversation for the person too; what follows begins once that has arrived: offline, when the page is online again. */
function leave() {
  leaveDialog.close();
  storage.change((conversation) => {
    conversation.leaving ??= freshId();
    conversation.stays = leaveDialog.dataset.stays === "true";
  });
  drawActive();
  void sendUnsent();
}

/** Go on, since the person has been told. */
function left() {
  if (!storage.conversation.stays) return startAgain();
  storage.change((conversation) => Object.assign(conversation, { leaving: null, stays: false }));
  drawActive();
}

function startAgain() {
  form.changeOver(() => storage.startAgain());
  draw();
  scroller.toEnd();
  onConnection("connecting");
  socket.reconnect();
  form.focus();
}

find("#start-again").addEventListener("click", askToStartAgain);
find("#end").addEventListener("click", askToEnd);
find("#place").addEventListener("click", sendPlace);
find('[data-testid="leave-yes"]').addEventListener("click", leave);
find('[data-testid="leave-no"]').addEventListener("click", () => leaveDialog.close());
find("#suggestions").addEventListener("click", (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("button");
  if (button) choose(button.textContent ?? "");
});
document.addEventListener("visibilitychange", sendSeen);
addEventListener("online", onNetworkBack);
addEventListener("offline", onNetworkGone);

translate(document);
showConnection("connecting");
drawActive();
form.restore();
draw();
socket.reconnect();
