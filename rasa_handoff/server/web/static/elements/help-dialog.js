// @ts-check
import { Modal } from "./modal.js";

/** The list of keys: written in desk.html, so that it can be read and translated there. */
export class HelpDialog extends Modal {
  /** @type {import("../types.js").State["dialog"]} */
  static dialog = "help";

  connectedCallback() {
    super.connectedCallback();
    this.dialog.dataset.testid = "help-dialog";
    this.dialog.setAttribute("aria-label", "Keys");
    const written = /** @type {HTMLTemplateElement} */ (document.querySelector("#keys"));
    this.dialog.append(written.content.cloneNode(true));
    this.dialog.querySelector("button")?.addEventListener("click", () => this.dialog.close());
  }
}
