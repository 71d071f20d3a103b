// @ts-check
import { el, icon, set } from "../dom.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../alerts.js").Alerts} Alerts */

/** Sound on or off, and the permission for desktop notifications. */
export class AlertButtons extends HTMLElement {
  #sound = el("button", { type: "button", class: "round", "data-testid": "sound", "aria-label": "Sound" });
  #allow = el(
    "button",
    { type: "button", class: "quiet", "data-testid": "alerts", "aria-label": "Allow notifications" },
    icon("bell"),
    el("span", {}, "Allow notifications"),
  );
  /** @type {Alerts | null} */
  #alerts = null;

  connectedCallback() {
    this.append(this.#allow, this.#sound);
    this.#sound.append(icon("sound"), icon("mute"));
    this.#sound.addEventListener("click", () => this.#toggle());
    this.#allow.addEventListener("click", () => this.#permit());
  }

  /**
   * @param {State} _state
   * @param {Alerts} alerts
   */
  render(_state, alerts) {
    this.#alerts = alerts;
    this.#allow.hidden = alerts.permission !== "default";
    set(this.#sound, "aria-pressed", String(alerts.sound));
    set(this.#sound, "title", alerts.sound ? "Sound is on" : "Sound is off");
  }

  #toggle() {
    this.#alerts?.setSound(!this.#alerts.sound);
    document.dispatchEvent(new CustomEvent("alerts changed"));
  }

  async #permit() {
    await this.#alerts?.allow();
    document.dispatchEvent(new CustomEvent("alerts changed"));
  }
}
