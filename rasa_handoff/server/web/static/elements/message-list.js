// @ts-check
import { el, inside, sendCommand, setAttribute, setText } from "../dom.js";
import { clockTime, statusText } from "../formatting.js";
import { KeyedList } from "../keyed-list.js";
import { isolate } from "../text-direction.js";
import { uploadedShare } from "../unsent-parts.js";
import { unsentElements } from "./attached-list.js";
import { partElements } from "./message-parts.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Unsent} Unsent */
/** @typedef {import("../types.js").Line} Line */
/** @typedef {import("../types.js").State} State */
/**
 * What the look of every message depends on beside the message. The customer's name may change while messages are shown.
 *
 * @typedef {{customer: string, push: boolean, online: boolean, day: string, uploads: State["uploads"]}} Context
 */

/**
 * A list of messages: its element, and `render`. Subclasses say how their kind of message looks.
 *
 * @template Item
 */
class MessageList {
  /** @param {Record<string, string>} [attributes] */
  constructor(attributes = {}) {
    this.element = el("ol", { class: "lines", ...attributes });
    /** @type {KeyedList<Item, Context>} */
    this.list = new KeyedList(this.element, {
      keyOf: (item, place) => this.keyOf(item, place),
      create: (item) => this.create(item),
      update: (element, item, context) => this.update(element, item, context),
    });
  }

  /**
   * @param {readonly Item[]} items
   * @param {Context} context
   */
  render(items, context) {
    this.list.render(items, context, this.shared(context));
  }

  /** What every message shows beside itself. @param {Context} context @returns {readonly unknown[]} */
  shared({ customer, push, online, day }) {
    return [customer, push, online, day];
  }

  /** Remove all messages, before those of another conversation. */
  clear() {
    this.list.clear();
  }

  /** @param {Item} _item @param {number} place */
  keyOf(_item, place) {
    return String(place);
  }

  /** @param {Item} _item @returns {HTMLElement} */
  create(_item) {
    return el("li");
  }

  /** @param {HTMLElement} _element @param {Item} _item @param {Context} _context */
  update(_element, _item, _context) {}
}

/**
 * @param {HTMLElement} element
 * @param {string | null} name
 * @param {number} at
 */
function setAuthor(element, name, at) {
  setText(inside(element, ".by"), name ? `${isolate(name)} · ${clockTime(at)}` : clockTime(at));
}

/** What was said before the handoff. @extends {MessageList<Line>} */
export class TranscriptList extends MessageList {
  /** @param {Line} line */
  create(line) {
    return el(
      "li",
      { class: "line transcript", "data-testid": "transcript-line", "data-speaker": line.speaker },
      el("p", { class: "by" }),
      ...partElements(line),
    );
  }

  /** @param {HTMLElement} element @param {Line} line @param {Context} context */
  update(element, { speaker, at }, { customer }) {
    const authors = { customer, bot: "Bot", agent: "Agent", system: null };
    setAuthor(element, authors[speaker], at);
  }
}

/** The live chat. @extends {MessageList<Message>} */
export class LiveList extends MessageList {
  /** @param {Message} message */
  keyOf(message) {
    return message.id;
  }

  /** @param {Message} message */
  create(message) {
    const { id, speaker } = message;
    return el(
      "li",
      { class: "line", "data-testid": "message", "data-speaker": speaker, "data-id": id },
      el("p", { class: "by" }),
      ...partElements(message),
      speaker === "agent" && el("p", { class: "status", "data-testid": "status" }),
    );
  }

  /** @param {HTMLElement} element @param {Message} message @param {Context} context */
  update(element, message, { customer, push }) {
    const { speaker, agent, at } = message;
    setAuthor(element, speaker === "customer" ? customer : speaker === "system" ? null : agent, at);
    const status = element.querySelector(".status");
    if (!status) return;
    setAttribute(status, "data-status", message.status);
    setText(status, statusText(message, push));
  }
}

/** Messages that the server doesn't have yet. @extends {MessageList<Unsent>} */
export class UnsentList extends MessageList {
  /** @param {Context} context */
  shared(context) {
    return [...super.shared(context), context.uploads];
  }

  /** @param {Unsent} unsent */
  keyOf(unsent) {
    return unsent.id;
  }

  /** @param {Unsent} unsent */
  create({ id, text, parts }) {
    const button = (/** @type {string} */ testid, /** @type {string} */ label, /** @type {string} */ command) =>
      el(
        "button",
        { type: "button", class: "quiet", "data-testid": testid, onclick: (event) => sendCommand(event.target, command, { id }) },
        label,
      );
    const progress = el("progress", { max: "1", "data-testid": "upload", "aria-label": "Uploaded" });
    return el(
      "li",
      { class: "line unsent", "data-testid": "unsent", "data-speaker": "agent", "data-id": id },
      ...(parts.length ? unsentElements(parts) : partElements({ text })),
      el("p", { class: "status" }),
      el("p", { class: "uploading" }, progress, button("cancel-upload", "Cancel", "cancel message")),
      el(
        "p",
        { class: "choice" },
        button("send-again", "Send again", "retry message"),
        button("discard", "Discard", "discard message"),
      ),
    );
  }

  /** @param {HTMLElement} element @param {Unsent} unsent @param {Context} context */
  update(element, unsent, { online, uploads }) {
    const { problem, delayed } = unsent;
    const share = uploadedShare(unsent, uploads);
    const status = inside(element, ".status");
    setAttribute(status, "data-status", problem === null ? "sending" : "failed");
    inside(element, ".choice").hidden = problem === null;
    inside(element, ".uploading").hidden = problem !== null || share === null;
    setAttribute(inside(element, "progress"), "value", share ?? 0);
    if (problem !== null) setText(status, `Not sent: ${isolate(problem)}`);
    else if (!online) setText(status, "Kept, and sent when the connection is back");
    else if (delayed) setText(status, "Not uploaded yet: it is tried again by itself");
    else setText(status, share === null ? "Sending…" : "Uploading…");
  }
}
