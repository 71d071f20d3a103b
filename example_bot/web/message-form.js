// @ts-check
/**
 * Where the customer writes: the field, and the files that go with the message. What isn't sent yet survives a reload, and what
 * can't be sent is told before it is tried.
 */

import { CustomerFiles } from "./customer-files.js";
import { loadDraft, saveDraft } from "./draft-storage.js";
import { listenForFiles } from "./file-drop.js";
import { FileSending } from "./file-sending.js";
import { filesAddress } from "./rasa-socket.js";
import { isolate } from "./text-direction.js";
import { language, t } from "./texts.js";

/** @typedef {import("./file-sending.js").Kept} Kept */
/** @typedef {import("./rasa-socket.js").Credentials} Credentials */

const LONGEST_MESSAGE = 20_000;

const find = (/** @type {string} */ selector) =>
  /** @type {HTMLElement} */ (document.querySelector(selector));

export class MessageForm {
  #field = /** @type {HTMLTextAreaElement} */ (find("#message"));
  #fileInput = /** @type {HTMLInputElement} */ (find("#files"));
  #files;
  /** Whether the customer has pressed Send while files were on their way. */
  #sendsWhenReady = false;

  /**
   * @param {() => Credentials} credentials of the conversation that is open
   * @param {(text: string, kept: Kept[]) => void} send
   * @param {import("./typing-indicator.js").TypingIndicator} indicator
   * @param {() => boolean} takesFiles whether files may be dropped now
   */
  constructor(credentials, send, indicator, takesFiles) {
    this.credentials = credentials;
    this.send = send;
    this.indicator = indicator;
    const begin = (/** @type {File} */ file, /** @type {string} */ key, /** @type {(share: number) => void} */ report) =>
      new FileSending(filesAddress(), credentials(), file, key, report);
    this.#files = new CustomerFiles(find("#chosen"), begin, () => this.#filesChanged());
    this.#listen();
    listenForFiles(this.#field, find("main"), takesFiles, (files) => this.#add(files));
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  /** Send again at once the files that couldn't be sent in passing. */
  retry() {
    this.#files.retry();
  }

  /** Bring back what wasn't sent yet before a reload. */
  restore() {
    const draft = loadDraft(this.credentials().session);
    this.#field.value = draft.text;
    this.#files.restore(draft.files);
    this.#grow();
  }

  /** Take the files out, which are another conversation's; the words stay. `change` begins the new one. @param {() => void} change */
  changeOver(change) {
    this.#files.clear();
    change();
    this.#keep();
  }

  #listen() {
    find("#write").addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    find("#attach").addEventListener("click", () => this.#fileInput.click());
    this.#fileInput.addEventListener("change", () => {
      this.#add([...(this.#fileInput.files ?? [])]);
      this.#fileInput.value = "";
    });
    this.#field.addEventListener("input", () => (this.#grow(), this.#keep(), this.indicator.keyPressed()));
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
  }

  /** Make the field as high as its text. */
  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
  }

  #submit() {
    this.#sendsWhenReady = false;
    const text = this.#field.value.trim();
    const isEmpty = !text && !this.#files.some;
    if (isEmpty || warnIfTooLong([...text].length) || warnOf(this.#files.hopeless)) return;
    this.#sendsWhenReady = !this.#files.ready;
    if (this.#sendsWhenReady) return this.#files.retry();
    this.#field.value = "";
    this.indicator.stop();
    this.#grow();
    const kept = this.#files.take();
    this.#keep();
    this.send(text, kept);
  }

  #filesChanged() {
    warnOf(undefined);
    this.#keep();
    if (this.#sendsWhenReady && (this.#files.ready || this.#files.hopeless !== undefined)) this.#submit();
  }

  /** Keep what isn't sent yet, for a reload. */
  #keep() {
    saveDraft(this.credentials().session, { text: this.#field.value, files: this.#files.kept });
  }

  /** @param {Iterable<File>} chosen */
  #add(chosen) {
    this.#files.add(chosen);
    this.focus();
  }
}

/** Return whether there is a file that can never be sent, and say so on the page. @param {string | undefined} name */
function warnOf(name) {
  const warning = find("#cannot-send");
  warning.hidden = name === undefined;
  warning.textContent = name === undefined ? "" : t("takeOutFirst", { name: isolate(name) });
  return name !== undefined;
}

/** Return whether a message is too long to be sent, and say so on the page. @param {number} length */
function warnIfTooLong(length) {
  const excess = length > LONGEST_MESSAGE;
  const warning = find("#too-long");
  warning.hidden = !excess;
  const count = (/** @type {number} */ number) => number.toLocaleString(language);
  warning.textContent = excess ? t("tooLong", { most: count(LONGEST_MESSAGE), length: count(length) }) : "";
  return excess;
}
