// @ts-check
import { setText } from "../dom.js";
import { waitingTime } from "../formatting.js";

/** The clocks on the page; one timer updates all of them. @type {Set<WaitClock>} */
const clocks = new Set();
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

/** The time since `since` (seconds since 1970), updated each second. */
export class WaitClock extends HTMLElement {
  static observedAttributes = ["since"];

  connectedCallback() {
    this.setAttribute("role", "timer");
    clocks.add(this);
    timer ??= setInterval(() => clocks.forEach((clock) => clock.update()), 1000);
    this.update();
  }

  disconnectedCallback() {
    clocks.delete(this);
    if (clocks.size) return;
    clearInterval(timer);
    timer = undefined;
  }

  attributeChangedCallback() {
    this.update();
  }

  update() {
    const since = Number(this.getAttribute("since"));
    if (since) setText(this, waitingTime(Date.now() / 1000 - since));
  }
}
