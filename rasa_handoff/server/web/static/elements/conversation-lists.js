// @ts-check
import { el, inside, sendCommand, setAttribute, setText } from "../dom.js";
import { clockTime } from "../formatting.js";
import { KeyedList } from "../keyed-list.js";
import {
  colleaguesConversations,
  conversationsToFollowUp,
  isOnline,
  isOverdue,
  lastMessage,
  messagesLeft,
  myConversations,
  queuedConversations,
  unreadCount,
  unreadLeftCount,
} from "../selectors.js";
import { isolate, stripDirectionControls } from "../text-direction.js";
import { updateTags } from "./tags.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/** A list of the left column: heading with its number, one row per conversation. Subclasses say which and how. */
class ConversationList extends View {
  /** @type {{id: string | null, heading: string, rows: string, testid: string, empty: string | null}} */
  settings = { id: null, heading: "", rows: "rows", testid: "", empty: null };
  #count = el("span", { class: "count" });
  #rows = el("ul");
  #empty = el("p", { class: "empty" });
  /** @type {KeyedList<Summary, State>} */
  #list = new KeyedList(this.#rows, {
    keyOf: (summary) => summary.handoff_id,
    create: (summary) => this.createRow(summary),
    update: (row, summary, state) => this.updateRow(row, summary, state),
    inputsOf: (summary, state) => [
      lastMessage(state, summary),
      summary.handoff_id === state.selected,
      ...this.rowInputs(state, summary),
    ],
  });

  connectedCallback() {
    const { id, heading, rows, empty } = this.settings;
    this.append(el("h2", { id, tabindex: id && "-1" }, `${heading} `, this.#count), this.#rows);
    this.#rows.className = rows;
    if (empty) this.append(this.#empty);
    setText(this.#empty, empty ?? "");
  }

  /** @param {State} state */
  inputs(state) {
    return [this.conversations(state), state.messages, state.selected, ...this.sharedInputs(state), ...this.ownInputs(state)];
  }

  /** An empty list shows its `empty` text; a list without such a text is hidden. @param {State} state */
  draw(state) {
    const conversations = this.conversations(state);
    setText(this.#count, String(conversations.length));
    this.#empty.hidden = conversations.length > 0;
    this.hidden = conversations.length === 0 && !this.settings.empty;
    this.#list.render(conversations, state, this.sharedInputs(state));
  }

  /** @param {State} _state @returns {Summary[]} */
  conversations(_state) {
    return [];
  }

  /** What every row shows beside its conversation. @param {State} state @returns {readonly unknown[]} */
  sharedInputs(state) {
    return [state.day];
  }

  /**
   * What `rowInputs` reads of the state; rows are compared only if it has changed.
   *
   * @param {State} _state
   * @returns {readonly unknown[]}
   */
  ownInputs(_state) {
    return [];
  }

  /**
   * What one row shows beside its conversation and the last message.
   *
   * @param {State} _state
   * @param {Summary} _summary
   * @returns {readonly unknown[]}
   */
  rowInputs(_state, _summary) {
    return [];
  }

  /** What the row says below the name. @param {State} _state @param {Summary} _summary */
  describe(_state, _summary) {
    return "";
  }

  /** Count the messages that this agent hasn't seen. @param {State} _state @param {Summary} _summary */
  countUnread(_state, _summary) {
    return 0;
  }

  /** @param {Summary} summary */
  createRow({ handoff_id }) {
    const button = el(
      "button",
      { type: "button", class: "open", "data-testid": this.settings.testid, "data-handoff": handoff_id },
      el("span", { class: "top" }, el("span", { class: "name", dir: "auto" }), el("span", { class: "when" })),
      el(
        "span",
        { class: "under" },
        el("span", { class: "reason", dir: "auto" }),
        el("span", { class: "badge", "data-testid": "unread", hidden: true }),
      ),
    );
    button.addEventListener("click", () => sendCommand(button, "select", { handoff_id }));
    return el("li", { class: "row" }, button);
  }

  /**
   * @param {HTMLElement} row
   * @param {Summary} summary
   * @param {State} state
   */
  updateRow(row, summary, state) {
    const message = lastMessage(state, summary);
    const count = this.countUnread(state, summary);
    const badge = inside(row, ".badge");
    updateOpenButton(row, summary, state);
    setAttribute(inside(row, ".open"), "data-overdue", isOverdue(state, summary));
    setText(inside(row, ".reason"), this.describe(state, summary));
    setText(inside(row, ".when"), message ? clockTime(message.at) : "");
    setText(badge, String(count));
    setAttribute(badge, "aria-label", `${count} unread`);
    badge.hidden = count === 0;
  }
}

/**
 * @param {HTMLElement} row
 * @param {Summary} summary
 * @param {State} state
 */
function updateOpenButton(row, summary, state) {
  setAttribute(inside(row, ".open"), "aria-current", summary.handoff_id === state.selected ? "true" : null);
  setText(inside(row, ".name"), stripDirectionControls(summary.title));
}

/** Who waits for a person, the most urgent first, with the time they have waited. */
export class QueueList extends ConversationList {
  settings = {
    id: "queue",
    heading: "Queue",
    rows: "cards",
    testid: "queue-item",
    empty: "Nobody is waiting. Enjoy the quiet.",
  };

  /** @param {State} state */
  conversations(state) {
    return queuedConversations(state);
  }

  /** @param {State} state */
  sharedInputs(state) {
    return [state.connection, state.departments];
  }

  /** @param {Summary} summary */
  createRow({ handoff_id }) {
    const open = el("button", { type: "button", class: "open", "data-testid": "queue-open" });
    const take = el("button", { type: "button", class: "primary", "data-testid": "take" }, "Take");
    const clock = document.createElement("wait-clock");
    clock.title = "Waiting time";
    open.append(
      el("span", { class: "top" }, el("span", { class: "name", dir: "auto" }), clock),
      el("span", { class: "reason", dir: "auto" }),
      el("span", { class: "preview", dir: "auto", "data-testid": "queue-words" }),
    );
    take.addEventListener("click", () => sendCommand(take, "take", { handoff_id }));
    return createCard(this.settings.testid, handoff_id, open, take);
  }

  /**
   * @param {HTMLElement} row
   * @param {Summary} summary
   * @param {State} state
   */
  updateRow(row, summary, state) {
    updateOpenButton(row, summary, state);
    setAttribute(row, "data-priority", summary.priority);
    setAttribute(inside(row, "wait-clock"), "since", summary.queued_at);
    setAttribute(inside(row, ".primary"), "aria-label", `Take ${stripDirectionControls(summary.title)}`);
    setAttribute(inside(row, ".primary"), "disabled", !isOnline(state));
    setText(inside(row, ".reason"), summary.reason ?? "");
    setText(inside(row, ".preview"), this.describe(state, summary));
    updateTags(inside(row, ".tags"), state, summary);
  }

  /**
   * What the customer wrote last, unless it is the reason, which stands above it.
   *
   * @param {State} state
   * @param {Summary} summary
   */
  describe(state, summary) {
    const message = lastMessage(state, summary);
    const words = (message?.speaker === "customer" ? message.text : summary.words) ?? "";
    return words === summary.reason ? "" : stripDirectionControls(words);
  }
}

/** This agent's conversations, with what was said last and how much of it is unread. */
export class MyConversations extends ConversationList {
  settings = {
    id: "mine",
    heading: "My conversations",
    rows: "rows",
    testid: "mine-item",
    empty: "Take someone from the queue to begin.",
  };

  /** @param {State} state */
  conversations(state) {
    return myConversations(state);
  }

  /** @param {State} state */
  ownInputs(state) {
    return [state.typing, state.seen];
  }

  /** @param {State} state @param {Summary} summary */
  rowInputs(state, summary) {
    return [state.typing.get(summary.handoff_id), this.countUnread(state, summary)];
  }

  /** @param {State} state @param {Summary} summary */
  describe(state, summary) {
    if (state.typing.get(summary.handoff_id)) return "is typing…";
    const text = stripDirectionControls(lastMessage(state, summary)?.text ?? summary.reason ?? "");
    return summary.state === "ended" ? `Ended · ${text}` : text;
  }

  /** @param {State} state @param {Summary} summary */
  countUnread(state, summary) {
    return unreadCount(state, summary.handoff_id);
  }
}

/** What customers left to be answered later; nothing is shown while there is none. */
export class MessagesLeft extends ConversationList {
  settings = { id: "left", heading: "Messages", rows: "rows", testid: "left-item", empty: null };

  /** @param {State} state */
  conversations(state) {
    return messagesLeft(state);
  }

  /** @param {State} state */
  ownInputs(state) {
    return [state.seen];
  }

  /** @param {State} state @param {Summary} summary */
  rowInputs(state, summary) {
    return [this.countUnread(state, summary)];
  }

  /** @param {State} state @param {Summary} summary */
  describe(state, summary) {
    const message = lastMessage(state, summary);
    const text = stripDirectionControls(message?.text ?? summary.reason ?? "");
    return message?.speaker === "agent" ? `${isolate(message.agent ?? "Answered")}: ${text}` : text;
  }

  /** @param {State} state @param {Summary} summary */
  countUnread(state, summary) {
    return unreadLeftCount(state, summary);
  }
}

/** What has ended and is to be followed up, each with a button that says it was; nothing is shown while there is none. */
export class FollowUps extends ConversationList {
  settings = { id: "follow-ups", heading: "To follow up", rows: "cards", testid: "follow-up-item", empty: null };

  /** @param {State} state */
  conversations(state) {
    return conversationsToFollowUp(state);
  }

  /** @param {State} state */
  sharedInputs(state) {
    return [state.connection, state.departments, state.day];
  }

  /** @param {Summary} summary */
  createRow({ handoff_id }) {
    const open = el("button", { type: "button", class: "open", "data-testid": "follow-up-open" });
    const done = el("button", { type: "button", class: "quiet", "data-testid": "follow-up-done" }, "Done");
    open.append(
      el("span", { class: "top" }, el("span", { class: "name", dir: "auto" }), el("span", { class: "when" })),
      el("span", { class: "reason", dir: "auto" }),
    );
    done.addEventListener("click", () => sendCommand(done, "followUp", { handoff_id }));
    return createCard(this.settings.testid, handoff_id, open, done);
  }

  /**
   * @param {HTMLElement} row
   * @param {Summary} summary
   * @param {State} state
   */
  updateRow(row, summary, state) {
    updateOpenButton(row, summary, state);
    setText(inside(row, ".when"), clockTime(summary.ended?.at ?? summary.queued_at));
    setText(inside(row, ".reason"), stripDirectionControls(summary.ended?.note ?? summary.reason ?? ""));
    setAttribute(inside(row, ".quiet"), "aria-label", `Done: ${stripDirectionControls(summary.title)}`);
    setAttribute(inside(row, ".quiet"), "disabled", !isOnline(state));
    updateTags(inside(row, ".tags"), state, summary);
  }
}

/** Conversations that colleagues have; nothing is shown while there is none. */
export class ColleaguesConversations extends ConversationList {
  settings = { id: null, heading: "With colleagues", rows: "rows", testid: "others-item", empty: null };

  /** @param {State} state */
  conversations(state) {
    return colleaguesConversations(state);
  }

  /** @param {State} state @param {Summary} summary */
  describe(state, summary) {
    const name = isolate(summary.agent?.name ?? "a colleague");
    return isOverdue(state, summary) ? `waits for ${name}` : `with ${name}`;
  }
}

/**
 * Create a row of a conversation with a button of its own below it.
 *
 * @param {string} testid
 * @param {string} handoff_id
 * @param {HTMLElement} open what opens the conversation
 * @param {HTMLElement} button
 */
function createCard(testid, handoff_id, open, button) {
  open.addEventListener("click", () => sendCommand(open, "select", { handoff_id }));
  const foot = el("div", { class: "foot" }, el("span", { class: "tags" }), button);
  return el("li", { class: "card", "data-testid": testid, "data-handoff": handoff_id }, open, foot);
}
