// @ts-check
import { el, sendCommand } from "../dom.js";
import { KeyedList } from "../keyed-list.js";
import { fileName } from "../parts.js";
import { isToUpload } from "../unsent-parts.js";
import { FilePreview } from "./file-preview.js";
import { partElements } from "./message-parts.js";

/** @typedef {import("../types.js").UnsentPart} UnsentPart */

/** What goes with the agent's next message: files, buttons, a card. Each can be taken away again. */
export class AttachedList {
  element = el("ul", { class: "attached", "aria-label": "Goes with your message" });
  /** @type {KeyedList<UnsentPart>} */
  #list = new KeyedList(this.element, {
    keyOf: ({ key }) => key,
    create: (part) => this.#create(part),
  });
  /** @type {string | null} */
  #handoffId = null;

  /**
   * @param {string | null} handoff_id
   * @param {readonly UnsentPart[]} parts
   */
  render(handoff_id, parts) {
    this.#handoffId = handoff_id;
    this.element.hidden = parts.length === 0;
    this.#list.render(parts);
  }

  /** @param {UnsentPart} part */
  #create(part) {
    const name = isToUpload(part) ? fileName(part.media) : NAMES[part.type];
    const remove = el(
      "button",
      { type: "button", class: "round", title: "Take away", "aria-label": `Take away: ${name}`, "data-testid": "attached-remove" },
      "×",
    );
    remove.addEventListener("click", () => {
      sendCommand(remove, "detach part", { handoff_id: this.#handoffId, key: part.key });
    });
    return el("li", { "data-testid": "attached" }, ...unsentElements([part]), remove);
  }
}

/** @type {Record<string, string>} */
const NAMES = { buttons: "the buttons", card: "the card" };

/**
 * Make the elements of parts of which files may still have to be uploaded.
 *
 * @param {readonly UnsentPart[]} parts
 * @returns {HTMLElement[]}
 */
export function unsentElements(parts) {
  return parts.flatMap((part) => (isToUpload(part) ? new FilePreview(part) : partElements({ text: "", parts: [part] })));
}
