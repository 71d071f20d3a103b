// @ts-check
import { isolated } from "../directions.js";
import { el, keep, say, set } from "../dom.js";
import { isMine, selected } from "../lists.js";
import { clock, readable } from "../words.js";
import { ConversationHead } from "./conversation-head.js";
import { line, messageLine, unsentLine, updateLine, updateMessage, updateUnsent } from "./message-lines.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Unsent} Unsent */

const NEAR = 120;
const LOG = {
  id: "log",
  role: "log",
  "aria-live": "polite",
  "aria-relevant": "additions",
  "aria-label": "Live messages",
  tabindex: "-1",
};

/** The middle of the desk: what the bot and the customer said, then the live chat. */
export class ConversationView extends HTMLElement {
  #empty = el(
    "div",
    { class: "nothing" },
    el("p", {}, "Choose a conversation on the left, or take the first in the queue."),
  );
  #head = new ConversationHead();
  #before = el("ol", { class: "lines", "aria-label": "Before the handoff" });
  #unread = el(
    "p",
    { class: "typing", "data-testid": "transcript-follows", hidden: true },
    "What was said before the handoff can't be read yet. It will appear here.",
  );
  #handoff = el("p", { class: "divider" });
  #log = el("ol", { class: "lines" });
  #typing = el("p", { class: "typing", "data-testid": "customer-typing", hidden: true });
  #ended = el("p", { class: "divider ended", hidden: true });
  #scroller = el(
    "div",
    { class: "scroller", tabindex: "0", role: "region", "aria-label": "Messages" },
    el("p", { class: "divider first" }, "Before the handoff"),
    this.#before,
    this.#unread,
    this.#handoff,
    el("div", { ...LOG }, this.#log),
    this.#typing,
    this.#ended,
  );
  /** @type {string | null} */
  #shown = null;
  #follows = true;

  connectedCallback() {
    this.dataset.testid = "conversation";
    this.append(this.#empty, this.#head.element, this.#scroller);
    this.#scroller.addEventListener("scroll", () => (this.#follows = this.#atEnd()));
    // A keyboard on a phone, or a growing composer, takes room away.
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
  }

  /** @param {State} state */
  render(state) {
    const summary = selected(state);
    this.#empty.hidden = summary !== null;
    this.#head.element.hidden = this.#scroller.hidden = summary === null;
    set(this, "data-handoff", summary?.handoff_id ?? null);
    set(this, "data-state", summary?.state ?? null);
    if (summary) this.#draw(state, summary);
    else this.#shown = null;
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #draw(state, summary) {
    if (this.#shown !== summary.handoff_id) this.#follows = true;
    this.#shown = summary.handoff_id;
    this.#head.render(state, summary);
    this.#drawBefore(state, summary);
    this.#drawLive(state, summary);
    this.#drawEnd(summary);
    this.#follow();
  }

  /** The end stays in view, unless the agent has gone back to read. */
  #follow() {
    if (this.#follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #drawBefore(state, summary) {
    const details = state.details.get(summary.handoff_id);
    const lines = details?.transcript ?? [];
    this.#unread.hidden = !details?.transcript_follows;
    const items = lines.map((one, place) => ({ key: `${summary.handoff_id} ${place}`, ...one }));
    keep(
      this.#before,
      items,
      (item) => item.key,
      line,
      (child, item) => updateLine(child, item, summary.title),
    );
    say(
      this.#handoff,
      `Handed over ${clock(summary.queued_at)}${summary.reason ? ` · ${isolated(summary.reason)}` : ""}`,
    );
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #drawLive(state, summary) {
    const id = summary.handoff_id;
    const unsent = state.unsent.filter((words) => words.handoff_id === id);
    /** @type {(Message | Unsent)[]} */
    const items = [...(state.messages.get(id) ?? []), ...unsent];
    // A message on its way and a stored one are different lines, though the id is the same.
    const key = (/** @type {Message | Unsent} */ item) =>
      "seq" in item ? `${id} ${item.id}` : `unsent ${item.id}`;
    const create = (/** @type {Message | Unsent} */ item) =>
      "seq" in item ? messageLine(item) : unsentLine(item);
    keep(this.#log, items, key, create, (child, item) =>
      "seq" in item
        ? updateMessage(child, item, summary.title)
        : updateUnsent(child, item, state.connection === "online"),
    );
    this.#typing.hidden = !(state.typing.get(id) && isMine(state, summary));
    say(this.#typing, `${isolated(summary.title)} is typing…`);
  }

  /** @param {Summary} summary */
  #drawEnd({ ended }) {
    this.#ended.hidden = !ended;
    if (ended)
      say(this.#ended, `Ended ${clock(ended.at)}${ended.outcome ? ` · ${isolated(readable(ended.outcome))}` : ""}`);
  }
}
