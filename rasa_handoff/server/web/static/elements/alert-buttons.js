// @ts-check
import { el, icon, sendCommand, setAttribute } from "../dom.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */

/** Sound on or off, and the permission for desktop notifications. */
export class AlertButtons extends View {
  #sound = el("button", { type: "button", class: "round", "data-testid": "sound", "aria-label": "Sound" });
  #allow = el(
    "button",
    { type: "button", class: "quiet", "data-testid": "alerts", "aria-label": "Allow notifications" },
    icon("notifications"),
    el("span", {}, "Allow notifications"),
  );
  #on = true;

  connectedCallback() {
    this.append(this.#allow, this.#sound);
    this.#sound.append(icon("sound"), icon("mute"));
    this.#sound.addEventListener("click", () => sendCommand(this, "sound", { on: !this.#on }));
    this.#allow.addEventListener("click", () => sendCommand(this, "allow notifications"));
  }

  /** @param {State} state */
  inputs(state) {
    return [state.sound, state.permission];
  }

  /** @param {State} state */
  draw({ sound, permission }) {
    this.#on = sound;
    this.#allow.hidden = permission !== "default";
    setAttribute(this.#sound, "aria-pressed", String(sound));
    setAttribute(this.#sound, "title", sound ? "Sound is on" : "Sound is off");
  }
}
