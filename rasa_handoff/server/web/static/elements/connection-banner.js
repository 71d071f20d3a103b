// @ts-check
import { el, say } from "../dom.js";

/** @typedef {import("../types.js").State} State */

/** Stands at the top while the desk has no connection. */
export class ConnectionBanner extends HTMLElement {
  #words = el("span");
  #again = el("a", { href: "./", class: "button quiet", hidden: true }, "Sign in again");

  connectedCallback() {
    this.setAttribute("role", "status");
    this.dataset.testid = "connection";
    this.append(this.#words, this.#again);
  }

  /** @param {State} state */
  render(state) {
    this.dataset.state = state.connection;
    this.hidden = state.connection === "online";
    this.#again.hidden = state.connection !== "refused";
    say(this.#words, words(state));
  }
}

/** @param {State} state */
function words(state) {
  if (state.connection === "online") return "";
  if (state.connection === "refused") return state.refusal ?? "The server refused the connection.";
  return state.me ? "Reconnecting… your words are kept." : "Connecting…";
}
