// @ts-check
import { el, setText } from "../dom.js";
import { isOnline } from "../selectors.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */

/** Stands at the top while the desk has no connection, unless it has gone a moment ago. */
export class ConnectionBanner extends View {
  #text = el("span");
  #signIn = el("a", { href: "./", class: "button quiet", hidden: true }, "Sign in again");

  connectedCallback() {
    this.setAttribute("role", "status");
    this.dataset.testid = "connection";
    this.append(this.#text, this.#signIn);
  }

  /** @param {State} state */
  inputs(state) {
    return [state.connection, state.refusal, state.me === null];
  }

  /** @param {State} state */
  draw(state) {
    this.dataset.state = state.connection;
    this.hidden = isOnline(state);
    this.#signIn.hidden = state.connection !== "refused";
    setText(this.#text, describe(state));
  }
}

/** @param {State} state */
function describe(state) {
  if (isOnline(state)) return "";
  if (state.connection === "refused") return state.refusal ?? "The server refused the connection.";
  return state.me ? "Reconnecting… your words are kept." : "Connecting…";
}
