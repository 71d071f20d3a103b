// @ts-check
/**
 * The pictures and files that the customer is about to send: they are added to the conversation at once, and a message names
 * them. One that couldn't be sent in passing is sent again by itself: after pauses that grow, and at once when `retry` says that
 * the connection is back. What isn't there when the page is closed is forgotten.
 */

import { freshId } from "./conversation-storage.js";
import { FileSending } from "./file-sending.js";
import { el } from "./part-elements.js";
import { t } from "./texts.js";

/** @typedef {import("./file-sending.js").Kept} Kept */
/**
 * `problem`: why it couldn't be sent; `again`: whether it may yet be, after `failures`.
 *
 * @typedef {{name: string, file: File | null, key: string, item: HTMLElement, sending: FileSending | null, kept: Kept | null,
 *   problem: string | null, again: boolean, failures: number, pause?: ReturnType<typeof setTimeout>}} Chosen
 */

/** Files of one message. */
const MOST = 20;
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 60_000;

export class CustomerFiles {
  /** @type {Chosen[]} */
  #chosen = [];

  /**
   * @param {HTMLElement} list
   * @param {(file: File, key: string, report: (share: number) => void) => FileSending} begin
   * @param {() => void} onChange a file has come to its end, or was taken out
   */
  constructor(list, begin, onChange) {
    this.list = list;
    this.begin = begin;
    this.onChange = onChange;
  }

  /** Whether there are any. */
  get some() {
    return this.#chosen.length > 0;
  }

  /** Whether all are there that could be sent. */
  get ready() {
    return this.#chosen.every(({ kept }) => kept !== null);
  }

  /** Those that are there. @returns {Kept[]} */
  get kept() {
    return this.#chosen.flatMap(({ kept }) => (kept ? [kept] : []));
  }

  /** The name of one that can never be sent, if there is one. */
  get hopeless() {
    return this.#chosen.find(({ problem, again }) => problem !== null && !again)?.name;
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of [...files].slice(0, MOST - this.#chosen.length)) void this.#send(this.#choose(file.name, file, null));
    this.#show();
  }

  /** Bring back those that were there before a reload. @param {Kept[]} files */
  restore(files) {
    for (const kept of files.slice(0, MOST)) this.#draw(this.#choose(kept.name ?? t("file"), null, kept), "there", []);
    this.#show();
  }

  /** Send again at once what couldn't be sent in passing. */
  retry() {
    for (const chosen of this.#chosen) if (chosen.problem !== null && chosen.again) void this.#send(chosen);
  }

  /** @param {string} name @param {File | null} file @param {Kept | null} kept @returns {Chosen} */
  #choose(name, file, kept) {
    const item = el("li", { "data-testid": "chosen-file", "data-state": "sending" });
    const chosen = { name, file, key: freshId(), item, sending: null, kept, problem: null, again: false, failures: 0 };
    this.#chosen.push(chosen);
    this.list.append(item);
    return chosen;
  }

  /** Take out those that are there, for a message. @returns {Kept[]} */
  take() {
    const { kept } = this;
    this.clear();
    return kept;
  }

  clear() {
    for (const chosen of [...this.#chosen]) this.#remove(chosen);
  }

  /** @param {Chosen} chosen */
  async #send(chosen) {
    if (!chosen.file) return;
    clearTimeout(chosen.pause);
    chosen.problem = null;
    const bar = el("progress", { max: "1", "aria-label": t("sending") });
    this.#draw(chosen, "sending", [bar]);
    chosen.sending = this.begin(chosen.file, chosen.key, (share) => bar.setAttribute("value", String(share)));
    const ended = await chosen.sending.ended;
    chosen.sending = null;
    if ("cancelled" in ended) return;
    if ("kept" in ended) {
      chosen.kept = ended.kept;
      this.#draw(chosen, "there", []);
    } else {
      this.#failed(chosen, ended);
    }
    this.onChange();
  }

  /** @param {Chosen} chosen @param {{problem: string, again: boolean}} ended */
  #failed(chosen, { problem, again }) {
    Object.assign(chosen, { problem, again });
    if (!again) return this.#draw(chosen, "failed", [el("span", { class: "problem", role: "alert" }, problem)]);
    const button = el("button", { type: "button", "data-testid": "chosen-again" }, t("again"));
    button.addEventListener("click", () => void this.#send(chosen));
    this.#draw(chosen, "waiting", [el("span", { class: "problem", role: "status" }, problem), button]);
    chosen.pause = setTimeout(() => void this.#send(chosen), Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** chosen.failures));
    chosen.failures += 1;
  }

  /** @param {Chosen} chosen @param {"sending" | "there" | "waiting" | "failed"} state @param {Node[]} more */
  #draw(chosen, state, more) {
    const { name, item } = chosen;
    const out = el("button", { type: "button", class: "out", "data-testid": "chosen-out", "aria-label": t("takeOut", { name }) }, "×");
    out.addEventListener("click", () => {
      this.#remove(chosen);
      this.onChange();
    });
    item.dataset.state = state;
    item.replaceChildren(el("span", { class: "file-name", dir: "auto" }, name), ...more, out);
  }

  /** @param {Chosen} chosen */
  #remove(chosen) {
    clearTimeout(chosen.pause);
    chosen.sending?.cancel();
    chosen.item.remove();
    this.#chosen = this.#chosen.filter((one) => one !== chosen);
    this.#show();
  }

  #show() {
    this.list.hidden = !this.some;
  }
}
