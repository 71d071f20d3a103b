// @ts-check
/**
 * What outlives a reload and is shared by all tabs: the session's id, its customer token and its messages. `leaving`: the id of
 * the message that ends the handoff, if the customer has chosen to leave; `stays`: whether the bot then goes on in this
 * conversation, and not in a new one. `talks`: whether the customer has a person; `asks`: whether they are asked what they think of
 * the chat that has ended; `rating`: their answer, until it has arrived.
 *
 * @typedef {object} Conversation
 * @property {string} session
 * @property {string | null} token
 * @property {import("./message-items.js").Line[]} lines
 * @property {string | null} leaving
 * @property {boolean} stays
 * @property {boolean} talks
 * @property {boolean} asks
 * @property {{id: string, message: string} | null} rating
 */

import { isCard, isMedia, isReply, isSentPart } from "./message-content.js";

const KEY = "karoo.conversation";
const MOST_LINES = 500;

export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {Conversation} */
function newConversation() {
  return { session: freshId(), token: null, lines: [], leaving: null, stays: false, talks: false, asks: false, rating: null };
}

/**
 * Read what is stored, as far as it can be read: another page of this address, an extension or an older version may have
 * written something else there.
 *
 * @returns {Conversation | null}
 */
function load() {
  try {
    const { session, token, lines, leaving, stays, talks, asks, rating } = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (typeof session !== "string" || !session || !Array.isArray(lines)) return null;
    const text = (/** @type {unknown} */ value) => (typeof value === "string" ? value : null);
    const [id, message] = [text(rating?.id), text(rating?.message)];
    return {
      session,
      token: text(token),
      lines: lines.filter(isLine),
      leaving: text(leaving),
      stays: stays === true,
      talks: talks === true,
      asks: asks === true,
      rating: id && message ? { id, message } : null,
    };
  } catch {
    return null;
  }
}

/** @param {any} value @returns {value is import("./message-items.js").Line} */
function isLine(value) {
  const { who, text, at, replies, media, cards, parts, files, link, image, id, message, speaker } = value ?? {};
  const optional = [link, image, id, message].every((one) => one === undefined || typeof one === "string");
  const listFits = (/** @type {any} */ list, /** @type {(one: any) => boolean} */ fits) =>
    list === undefined || (Array.isArray(list) && list.every(fits));
  const listsFit = listFits(replies, isReply) && listFits(media, isMedia) && listFits(cards, isCard) && listFits(parts, isSentPart) && listFits(files, (id) => typeof id === "string");
  const partsFit = optional && listsFit && (speaker === undefined || isSpeaker(speaker));
  return ["user", "bot"].includes(who) && typeof text === "string" && Number.isFinite(at) && partsFit;
}

/** @param {any} speaker @returns {speaker is import("./rasa-socket.js").Speaker} */
export function isSpeaker(speaker) {
  const { kind, name } = speaker ?? {};
  return ["agent", "notice"].includes(kind) && (name === null || typeof name === "string");
}

/** The conversation. A change is made to what is stored now, so that tabs don't undo each other's. */
export class ConversationStorage {
  /** @param {(sessionChanged: boolean) => void} onChange another tab has changed it, maybe the session or its token */
  constructor(onChange) {
    this.conversation = load() ?? newConversation();
    for (const line of this.conversation.lines) if (line.sent === false) line.id ??= freshId();
    this.save();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      const { session, token } = this.conversation;
      this.conversation = load() ?? this.conversation;
      onChange(this.conversation.session !== session || this.conversation.token !== token);
    });
  }

  /** @param {(conversation: Conversation) => void} change */
  change(change) {
    const stored = load();
    const isOther = stored !== null && stored.session !== this.conversation.session;
    if (stored && !isOther) this.conversation = stored;
    change(this.conversation);
    if (!isOther) this.save(); // another tab has begun anew, and informs this one in a moment
  }

  startAgain() {
    this.conversation = newConversation();
    this.save();
  }

  save() {
    this.conversation.lines = this.conversation.lines.slice(-MOST_LINES);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.conversation));
    } catch {
      // Without storage the conversation lasts as long as the page.
    }
  }
}
