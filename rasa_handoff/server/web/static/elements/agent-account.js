// @ts-check
import { undirected } from "../directions.js";
import { ask, el, say } from "../dom.js";
import { forget } from "../memory.js";

/** @typedef {import("../types.js").State} State */

/** Who is signed in, the list of keys, and the way out. */
export class AgentAccount extends HTMLElement {
  #help = el(
    "button",
    { type: "button", class: "round", "data-testid": "help", "aria-label": "Keys", title: "Keys (?)" },
    "?",
  );
  #name = el("span", { class: "me", dir: "auto" });

  connectedCallback() {
    const csrf = document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "";
    const token = el("input", { type: "hidden", name: "csrf", value: csrf });
    const leave = el("button", { class: "quiet", "data-testid": "sign-out" }, "Sign out");
    this.append(
      this.#help,
      this.#name,
      el("form", { method: "post", action: "logout", onsubmit: forget }, token, leave),
    );
    this.#help.addEventListener("click", () => ask(this, "dialog", { name: "help" }));
  }

  /** @param {State} state */
  render(state) {
    say(this.#name, undirected(state.me?.name ?? ""));
    this.#name.title = state.me?.email ?? "";
  }
}
