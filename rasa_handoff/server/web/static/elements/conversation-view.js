// @ts-check
import { el, setAttribute, setText } from "../dom.js";
import { clockTime, readable } from "../formatting.js";
import { MessageScroller } from "../message-scroller.js";
import { isMine, isOnline, selectedConversation } from "../selectors.js";
import { isolate } from "../text-direction.js";
import { ConversationHead } from "./conversation-head.js";
import { LiveList, TranscriptList, UnsentList } from "./message-list.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

const LOG = {
  id: "log",
  role: "log",
  "aria-live": "polite",
  "aria-relevant": "additions",
  "aria-label": "Live messages",
  tabindex: "-1",
};

/** The middle of the desk: what the bot and the customer said, then the live chat. */
export class ConversationView extends View {
  #empty = el(
    "div",
    { class: "nothing" },
    el("p", {}, "Choose a conversation on the left, or take the first in the queue."),
  );
  #head = new ConversationHead();
  #transcript = new TranscriptList({ "aria-label": "Before the handoff" });
  #transcriptFollows = el(
    "p",
    { class: "typing", "data-testid": "transcript-follows", hidden: true },
    "What was said before the handoff can't be read yet. It will appear here.",
  );
  #handoff = el("p", { class: "divider" });
  #live = new LiveList();
  #unsent = new UnsentList();
  #typing = el("p", { class: "typing", "data-testid": "customer-typing", hidden: true });
  #ended = el("p", { class: "divider ended", hidden: true });
  #scroller = el(
    "div",
    { class: "scroller", tabindex: "0", role: "region", "aria-label": "Messages" },
    el("p", { class: "divider first" }, "Before the handoff"),
    this.#transcript.element,
    this.#transcriptFollows,
    this.#handoff,
    el("div", { ...LOG }, this.#live.element, this.#unsent.element),
    this.#typing,
    this.#ended,
  );
  /** @type {string | null} */
  #shown = null;
  #news = el("button", { type: "button", class: "new-messages", "data-testid": "new-messages", hidden: true }, "New messages");
  #end = new MessageScroller(this.#scroller, this.#news);
  /** The newest message that is shown, and the agent's own that was written last. @type {{seq: number, own: string | undefined} | null} */
  #newest = null;

  connectedCallback() {
    this.dataset.testid = "conversation";
    this.append(this.#empty, this.#head.element, this.#scroller, this.#news);
  }

  /** @param {State} state */
  inputs(state) {
    const id = state.selected ?? "";
    const shown = [selectedConversation(state), state.details.get(id), state.messages.get(id), state.typing.get(id)];
    return [...shown, state.unsent, state.uploads, state.connection, state.me, state.departments, state.day];
  }

  /** @param {State} state */
  draw(state) {
    const summary = selectedConversation(state);
    this.#empty.hidden = summary !== null;
    this.#head.element.hidden = this.#scroller.hidden = summary === null;
    setAttribute(this, "data-handoff", summary?.handoff_id ?? null);
    setAttribute(this, "data-state", summary?.state ?? null);
    if (this.#shown !== (summary?.handoff_id ?? null)) this.#changeOver(summary);
    if (summary) this.#drawConversation(state, summary);
  }

  /** @param {Summary | null} summary */
  #changeOver(summary) {
    this.#shown = summary?.handoff_id ?? null;
    this.#newest = null;
    this.#end.toEnd();
    for (const list of [this.#transcript, this.#live, this.#unsent]) list.clear();
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #drawConversation(state, summary) {
    this.#head.render(state, summary);
    this.#drawMessages(state, summary);
    const since = `Handed over ${clockTime(summary.queued_at)}`;
    setText(this.#handoff, summary.reason ? `${since} · ${isolate(summary.reason)}` : since);
    this.#typing.hidden = !(state.typing.get(summary.handoff_id) && isMine(state, summary));
    setText(this.#typing, `${isolate(summary.title)} is typing…`);
    this.#drawEnd(summary);
    this.#scroll(state, summary.handoff_id);
  }

  /** Show the agent's own new message; of another's say that it is there, if the agent has gone back to read. @param {State} state @param {string} id */
  #scroll(state, id) {
    const last = state.messages.get(id)?.at(-1);
    const own = state.unsent.findLast((one) => one.handoff_id === id)?.id ?? this.#newest?.own;
    const before = this.#newest;
    this.#newest = { seq: last?.seq ?? 0, own };
    if (before && own !== before.own) this.#end.toEnd();
    else if (before && last && last.seq > before.seq && last.speaker !== "agent") this.#end.announce();
    else this.#end.follow();
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #drawMessages(state, { handoff_id, title, channel }) {
    const details = state.details.get(handoff_id);
    const { day, uploads } = state;
    const context = { customer: title, push: channel.push, online: isOnline(state), day, uploads };
    this.#transcriptFollows.hidden = !details?.transcript_follows;
    this.#transcript.render(details?.transcript ?? [], context);
    this.#live.render(state.messages.get(handoff_id) ?? [], context);
    const unsent = state.unsent.filter((one) => one.handoff_id === handoff_id);
    this.#unsent.render(unsent, context);
  }

  /** @param {Summary} summary */
  #drawEnd({ ended }) {
    this.#ended.hidden = !ended;
    if (!ended) return;
    const at = `Ended ${clockTime(ended.at)}`;
    setText(this.#ended, ended.outcome ? `${at} · ${isolate(readable(ended.outcome))}` : at);
  }
}
