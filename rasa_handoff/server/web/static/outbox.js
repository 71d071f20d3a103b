// @ts-check
/**
 * Sends the agent's messages until the server has them: each with the same id every time, per conversation in the order
 * they were written, the next only after the one before is acknowledged.
 */

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Unsent} Unsent */
/** @typedef {import("./types.js").Answer} Answer */

const RETRY_AFTER = 2_000;
/** Codes of what passes by itself: no answer came, or the server can't write to its database just now. */
const RETRY_LATER = new Set(["offline", "unavailable"]);

export class Outbox {
  /**
   * @param {Store} store
   * @param {(event: string, payload: object) => Promise<Answer>} request
   */
  constructor(store, request) {
    this.store = store;
    this.request = request;
    /** @type {Set<string>} conversations with a message on its way */
    this.sending = new Set();
  }

  /** Send the next message of each conversation that has none on its way. */
  flush() {
    if (this.store.state.connection !== "online") return;
    for (const unsent of this.#next()) void this.#send(unsent);
  }

  /** The oldest unsent message of each conversation that has none on its way. */
  #next() {
    const waiting = this.store.state.unsent.filter((unsent) => unsent.problem === null);
    // Of several entries with one key a Map keeps the last: with the list reversed, that is the oldest message.
    const oldest = new Map(waiting.reverse().map((unsent) => [unsent.handoff_id, unsent]));
    return [...oldest.values()].filter((unsent) => !this.sending.has(unsent.handoff_id));
  }

  /** @param {Unsent} unsent */
  async #send({ id, handoff_id, text }) {
    this.sending.add(handoff_id);
    const answer = await this.request("message", { handoff_id, id, text });
    this.sending.delete(handoff_id);
    if (answer.ok) this.#stored(id, handoff_id, answer);
    else if (RETRY_LATER.has(answer.code ?? "")) return void setTimeout(() => this.flush(), RETRY_AFTER);
    else this.#rejected(id, answer);
    this.flush();
  }

  /**
   * @param {string} id
   * @param {string} handoff_id
   * @param {Answer} answer
   */
  #stored(id, handoff_id, answer) {
    if (answer.message) this.store.dispatch({ type: "message", handoff_id, message: answer.message });
    this.store.dispatch({ type: "message removed", id });
  }

  /**
   * @param {string} id
   * @param {Answer} answer
   */
  #rejected(id, answer) {
    this.store.dispatch({ type: "message rejected", id, problem: answer.error ?? "The server refused it." });
  }
}
