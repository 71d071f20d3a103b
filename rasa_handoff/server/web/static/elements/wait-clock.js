// @ts-check
import { say } from "../dom.js";
import { waiting } from "../words.js";

/** The time since `since` (seconds since 1970), updated each second. */
export class WaitClock extends HTMLElement {
  static observedAttributes = ["since"];

  connectedCallback() {
    this.setAttribute("role", "timer");
    this.ticks = setInterval(() => this.#tick(), 1000);
    this.#tick();
  }

  disconnectedCallback() {
    clearInterval(this.ticks);
  }

  attributeChangedCallback() {
    this.#tick();
  }

  #tick() {
    const since = Number(this.getAttribute("since"));
    if (since) say(this, waiting(Date.now() / 1000 - since));
  }
}
