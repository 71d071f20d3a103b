// @ts-check
/** Tells customers that the agent who has their conversation has read what they wrote, while it is open on a visible page. */

import { isMine, selectedConversation } from "./selectors.js";

/** @typedef {import("./types.js").State} State */

/** Conversations whose last receipt is remembered; beyond them some are sent once more. */
const MOST_REMEMBERED = 200;

export class ReadReceipts {
  /** The customer's message up to which each conversation was told as read. @type {Map<string, string>} */
  #sent = new Map();

  /** @param {(handoff_id: string, id: string) => void} send */
  constructor(send) {
    this.send = send;
  }

  /**
   * Tell again what was read of a conversation that was loaded, as after an interruption: what was sent may not have arrived, and
   * from then on the server knows who has the conversation.
   *
   * @param {string} handoff_id
   */
  forget(handoff_id) {
    this.#sent.delete(handoff_id);
  }

  /**
   * Tell that the open conversation is read, unless that was told.
   *
   * @param {State} state
   * @param {boolean} isVisible whether the agent sees the page
   */
  update(state, isVisible) {
    const summary = selectedConversation(state);
    if (!isVisible || state.connection !== "online" || !summary || !isMine(state, summary)) return;
    const { handoff_id } = summary;
    const last = state.messages.get(handoff_id)?.findLast((message) => message.speaker === "customer");
    if (!last || this.#sent.get(handoff_id) === last.id) return;
    if (this.#sent.size >= MOST_REMEMBERED) this.#sent.clear();
    this.#sent.set(handoff_id, last.id);
    this.send(handoff_id, last.id);
  }
}
