// @ts-check
/**
 * Sends what the agent wrote until the server has it: with the same id each time, per conversation in the
 * order it was written, the next only after the one before is acknowledged.
 */

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Unsent} Unsent */
/** @typedef {import("./types.js").Answer} Answer */

const AGAIN_AFTER = 2_000;
/** What passes by itself: no answer came, or the server can't write anything down just now. */
const PASSING = new Set(["offline", "unavailable"]);

export class Outbox {
  /**
   * @param {Store} store
   * @param {(event: string, payload: object) => Promise<Answer>} request
   */
  constructor(store, request) {
    this.store = store;
    this.request = request;
    /** @type {Set<string>} */
    this.busy = new Set();
  }

  /** Sends on, wherever nothing is under way already. */
  pump() {
    if (this.store.state.connection !== "online") return;
    for (const words of this.#next()) void this.#send(words);
  }

  /** The first of each conversation. */
  #next() {
    const waiting = this.store.state.unsent.filter((words) => words.problem === null);
    const first = new Map([...waiting].reverse().map((words) => [words.handoff_id, words]));
    return [...first.values()].filter((words) => !this.busy.has(words.handoff_id));
  }

  /** @param {Unsent} words */
  async #send({ id, handoff_id, text }) {
    this.busy.add(handoff_id);
    const answer = await this.request("message", { handoff_id, id, text });
    this.busy.delete(handoff_id);
    if (answer.ok) this.#stored(id, handoff_id, answer);
    else if (PASSING.has(answer.code ?? "")) return void setTimeout(() => this.pump(), AGAIN_AFTER);
    else this.store.dispatch({ type: "not sent", id, problem: answer.error ?? "The server refused it." });
    this.pump();
  }

  /**
   * @param {string} id
   * @param {string} handoff_id
   * @param {Answer} answer
   */
  #stored(id, handoff_id, answer) {
    if (answer.message) this.store.dispatch({ type: "message", handoff_id, message: answer.message });
    this.store.dispatch({ type: "discard", id });
  }
}
