// @ts-check
import { el, sendCommand, setAttribute, setText } from "../dom.js";
import { isOnline } from "../selectors.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */

/** Whether this agent is there for customers. */
export class PresenceSwitch extends View {
  #text = el("span");
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
    this.#text,
  );
  #online = false;

  connectedCallback() {
    this.append(this.#button);
    this.#button.addEventListener("click", () => sendCommand(this, "presence", { online: !this.#online }));
  }

  /** @param {State} state */
  inputs(state) {
    return [state.me, state.connection];
  }

  /** @param {State} state */
  draw(state) {
    this.#online = state.me?.online ?? false;
    setAttribute(this.#button, "aria-checked", String(this.#online));
    setAttribute(this.#button, "disabled", !isOnline(state));
    setAttribute(this.#button, "title", `${this.#online ? "You are online" : "You are away"} (Alt+O)`);
    setText(this.#text, this.#online ? "Online" : "Away");
  }
}
