// @ts-check
/**
 * The pictures and files that the customer is about to send: they are added to the conversation at once, and a message names
 * them. What isn't sent when the page is closed is forgotten.
 */

import { freshId } from "./conversation-storage.js";
import { FileSending } from "./file-sending.js";
import { el } from "./part-elements.js";
import { t } from "./texts.js";

/** @typedef {import("./file-sending.js").Kept} Kept */
/** @typedef {{file: File, key: string, item: HTMLElement, sending: FileSending | null, kept: Kept | null}} Chosen */

/** Files of one message. */
const MOST = 20;

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

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of [...files].slice(0, MOST - this.#chosen.length)) {
      const item = el("li", { "data-testid": "chosen-file", "data-state": "sending" });
      const chosen = { file, key: freshId(), item, sending: null, kept: null };
      this.#chosen.push(chosen);
      this.list.append(item);
      void this.#send(chosen);
    }
    this.#show();
  }

  /** Take out those that are there, for a message. @returns {Kept[]} */
  take() {
    const kept = this.#chosen.flatMap((chosen) => (chosen.kept ? [chosen.kept] : []));
    this.clear();
    return kept;
  }

  clear() {
    for (const chosen of [...this.#chosen]) this.#remove(chosen);
  }

  /** @param {Chosen} chosen */
  async #send(chosen) {
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
      const again = el("button", { type: "button", "data-testid": "chosen-again" }, t("again"));
      again.addEventListener("click", () => void this.#send(chosen));
      this.#draw(chosen, "failed", [el("span", { class: "problem", role: "alert" }, ended.problem), ...(ended.again ? [again] : [])]);
    }
    this.onChange();
  }

  /** @param {Chosen} chosen @param {"sending" | "there" | "failed"} state @param {Node[]} more */
  #draw(chosen, state, more) {
    const { file, item } = chosen;
    const out = el("button", { type: "button", class: "out", "data-testid": "chosen-out", "aria-label": t("takeOut", { name: file.name }) }, "×");
    out.addEventListener("click", () => {
      this.#remove(chosen);
      this.onChange();
    });
    item.dataset.state = state;
    item.replaceChildren(el("span", { class: "file-name", dir: "auto" }, file.name), ...more, out);
  }

  /** @param {Chosen} chosen */
  #remove(chosen) {
    chosen.sending?.cancel();
    chosen.item.remove();
    this.#chosen = this.#chosen.filter((one) => one !== chosen);
    this.#show();
  }

  #show() {
    this.list.hidden = !this.some;
  }
}
