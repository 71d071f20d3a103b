// @ts-check
import { clearTab } from "../browser-storage.js";
import { el, sendCommand, setText } from "../dom.js";
import { stripDirectionControls } from "../text-direction.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */

/** Who is signed in, the list of keys, and signing out. */
export class AgentAccount extends View {
  #help = el(
    "button",
    { type: "button", class: "round", "data-testid": "help", "aria-label": "Keys", title: "Keys (?)" },
    "?",
  );
  #name = el("span", { class: "me", dir: "auto" });

  connectedCallback() {
    const csrf = document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "";
    const token = el("input", { type: "hidden", name: "csrf", value: csrf });
    const signOut = el("button", { class: "quiet", "data-testid": "sign-out" }, "Sign out");
    const form = el("form", { method: "post", action: "logout", onsubmit: () => this.#forget() }, token, signOut);
    this.append(this.#help, this.#name, form);
    this.#help.addEventListener("click", () => sendCommand(this, "dialog", { dialog: "help" }));
  }

  #forget() {
    clearTab();
    sendCommand(this, "sign out");
  }

  /** @param {State} state */
  inputs(state) {
    return [state.me];
  }

  /** @param {State} state */
  draw({ me }) {
    setText(this.#name, stripDirectionControls(me?.name ?? ""));
    this.#name.title = me?.email ?? "";
  }
}
