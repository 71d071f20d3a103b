// @ts-check
import { ask, el, say, set } from "../dom.js";

/** @typedef {import("../types.js").State} State */

/** Whether this agent is there for customers. */
export class PresenceSwitch extends HTMLElement {
  #word = el("span", { class: "word" });
  #button = el(
    "button",
    {
      type: "button",
      role: "switch",
      class: "switch",
      "data-testid": "presence",
      "aria-label": "Available for customers",
    },
    el("span", { class: "knob", "aria-hidden": "true" }),
    this.#word,
  );
  #online = false;

  connectedCallback() {
    this.append(this.#button);
    this.#button.addEventListener("click", () => ask(this, "presence", { online: !this.#online }));
  }

  /** @param {State} state */
  render(state) {
    this.#online = state.me?.online ?? false;
    set(this.#button, "aria-checked", String(this.#online));
    set(this.#button, "disabled", state.connection !== "online");
    set(this.#button, "title", `${this.#online ? "You are online" : "You are away"} (Alt+O)`);
    say(this.#word, this.#online ? "Online" : "Away");
  }
}
