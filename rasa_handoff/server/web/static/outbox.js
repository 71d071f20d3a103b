// @ts-check
/**
 * Sends the agent's messages until the server has them: each with the same id every time, per conversation in the order
 * they were written, the next only after the one before is acknowledged. A message's files are uploaded before it is sent; an
 * upload that fails in passing is tried again after pauses that grow, and at once when the connection is back. What was written
 * later in the same conversation waits for it, other conversations go on.
 */

import { isToUpload, payloadOf } from "./unsent-parts.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Unsent} Unsent */
/** @typedef {import("./types.js").Answer} Answer */
/** @typedef {import("./unsent-parts.js").FilePart} FilePart */
/** @typedef {(handoff_id: string, part: FilePart) => Promise<Answer>} Upload */

const RETRY_AFTER = 2_000;
/** Codes of what passes by itself: no answer came, or the server can't write to its database just now. */
const RETRY_LATER = new Set(["offline", "unavailable"]);
/** Of an upload: each time all of the file is sent. */
const LONGEST_PAUSE = 60_000;

export class Outbox {
  /**
   * @param {Store} store
   * @param {(event: string, payload: object) => Promise<Answer>} request
   * @param {Upload} upload
   */
  constructor(store, request, upload) {
    this.store = store;
    this.request = request;
    this.upload = upload;
    /** @type {Set<string>} conversations with a message on its way */
    this.sending = new Set();
    /** @type {Map<string, number>} how often a message's uploads have failed in a row, by its id */
    this.failures = new Map();
    /** @type {Map<string, ReturnType<typeof setTimeout>>} conversations that wait before they try again */
    this.pauses = new Map();
  }

  /** The connection is back, or the agent asks for it or drops a message: send what waits to be tried again, too. */
  resume() {
    this.pauses.forEach(clearTimeout);
    this.pauses.clear();
    this.flush();
  }

  /** Send the next message of each conversation that has none on its way, and doesn't wait to try again. */
  flush() {
    if (this.store.state.connection !== "online") return;
    for (const unsent of this.#next()) void this.#send(unsent);
  }

  /** The oldest unsent message of each conversation that has none on its way. */
  #next() {
    const waiting = this.store.state.unsent.filter((unsent) => unsent.problem === null);
    // Of several entries with one key a Map keeps the last: with the list reversed, that is the oldest message.
    const oldest = new Map(waiting.reverse().map((unsent) => [unsent.handoff_id, unsent]));
    return [...oldest.values()].filter(({ handoff_id }) => !this.sending.has(handoff_id) && !this.pauses.has(handoff_id));
  }

  /** @param {Unsent} unsent */
  async #send({ id, handoff_id, parts }) {
    this.sending.add(handoff_id);
    const failed = parts.some(isToUpload) ? await this.#uploadFiles(id) : null;
    const answer = failed ?? (await this.#deliver(id));
    this.sending.delete(handoff_id);
    if (answer.ok) this.#stored(id, handoff_id, answer);
    else if (RETRY_LATER.has(answer.code ?? "")) this.#pause(id, handoff_id, failed !== null);
    else this.#rejected(id, answer);
    this.flush();
  }

  /** Upload the files of a message; return an answer only if that failed. @param {string} id */
  async #uploadFiles(id) {
    for (let unsent = this.#find(id); unsent; unsent = this.#find(id)) {
      const part = unsent.parts.find(isToUpload);
      if (!part) return null;
      this.store.dispatch({ type: "message delayed", id, delayed: false });
      const answer = await this.upload(unsent.handoff_id, part);
      if (!answer.ok) return answer;
      this.failures.delete(id);
      this.store.dispatch({ type: "file stored", id, key: part.key, media: answer.media });
    }
    return null;
  }

  /**
   * Try again in a while.
   *
   * @param {string} id
   * @param {string} handoff_id
   * @param {boolean} isUpload
   */
  #pause(id, handoff_id, isUpload) {
    const failures = isUpload ? (this.failures.get(id) ?? 0) : 0;
    if (isUpload) this.failures.set(id, failures + 1);
    if (isUpload) this.store.dispatch({ type: "message delayed", id, delayed: true });
    const again = () => {
      this.pauses.delete(handoff_id);
      this.flush();
    };
    this.pauses.set(handoff_id, setTimeout(again, Math.min(LONGEST_PAUSE, RETRY_AFTER * 2 ** failures)));
  }

  /** @param {string} id @returns {Promise<Answer>} */
  async #deliver(id) {
    const unsent = this.#find(id);
    // The agent has cancelled it while its files were uploaded.
    return unsent ? this.request("message", payloadOf(unsent)) : { ok: false, code: "cancelled" };
  }

  /** @param {string} id */
  #find(id) {
    return this.store.state.unsent.find((unsent) => unsent.id === id);
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
