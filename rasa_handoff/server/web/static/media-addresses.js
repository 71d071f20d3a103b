// @ts-check
/** Asks the server for the addresses of stored files: one request for all that are about to be seen in a conversation. */

/** @typedef {import("./types.js").Answer} Answer */
/**
 * Called with the file's address; null: there is none just now, or, if `isGone`, not any more.
 *
 * @typedef {(address: string | null, isGone: boolean) => void} Done
 */

/** Files of one request. */
const MOST_AT_ONCE = 50;

export class MediaAddresses {
  /** @type {Map<string, Map<string, Done[]>>} who asks for each file, by conversation */
  #asked = new Map();

  /** @param {(event: string, payload: object) => Promise<Answer>} request */
  constructor(request) {
    this.request = request;
  }

  /**
   * @param {string} handoff_id
   * @param {string} id the file's
   * @param {Done} done
   */
  ask(handoff_id, id, done) {
    if (!this.#asked.size) queueMicrotask(() => this.#send());
    const files = this.#asked.get(handoff_id) ?? new Map();
    this.#asked.set(handoff_id, files.set(id, [...(files.get(id) ?? []), done]));
  }

  #send() {
    const asked = [...this.#asked];
    this.#asked.clear();
    for (const [handoff_id, files] of asked) {
      const ids = [...files.keys()];
      for (let first = 0; first < ids.length; first += MOST_AT_ONCE)
        void this.#request(handoff_id, ids.slice(first, first + MOST_AT_ONCE), files);
    }
  }

  /**
   * @param {string} handoff_id
   * @param {string[]} ids
   * @param {Map<string, Done[]>} files
   */
  async #request(handoff_id, ids, files) {
    const { ok, addresses } = await this.request("media", { handoff_id, ids });
    const known = new Map(Object.entries((ok && addresses) || {}));
    for (const id of ids) for (const done of files.get(id) ?? []) done(known.get(id) ?? null, ok && !known.has(id));
  }
}
