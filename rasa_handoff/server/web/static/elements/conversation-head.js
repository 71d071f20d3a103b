// @ts-check
import { isolated, undirected } from "../directions.js";
import { ask, el, icon, say, set } from "../dom.js";
import { isMine, mayAnswer, overdue } from "../lists.js";
import { tags, tagsKey } from "./tags.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/** The head of a conversation: who it is, and what can be done with it as a whole. */
export class ConversationHead {
  #name = el("h2", { class: "name", dir: "auto" });
  #where = el("p", { class: "where" });
  #tags = el("span", { class: "tags" });
  #back = el(
    "button",
    { type: "button", class: "round back", "aria-label": "Back to the lists" },
    icon("back"),
  );
  #context = el(
    "button",
    { type: "button", class: "quiet to-context", "aria-controls": "context" },
    "Details",
  );
  #transfer = el(
    "button",
    { type: "button", class: "quiet", "data-testid": "transfer", title: "Alt+X" },
    "Transfer",
  );
  #resolve = el(
    "button",
    { type: "button", class: "primary", "data-testid": "resolve", title: "Alt+R" },
    "Resolve",
  );

  constructor() {
    const who = el(
      "div",
      { class: "who" },
      this.#name,
      el("div", { class: "about" }, this.#where, this.#tags),
    );
    this.element = el(
      "header",
      { class: "head" },
      this.#back,
      who,
      this.#context,
      this.#transfer,
      this.#resolve,
    );
    this.#back.addEventListener("click", () => ask(this.element, "select", { handoff_id: null }));
    this.#transfer.addEventListener("click", () => ask(this.element, "dialog", { name: "transfer" }));
    this.#resolve.addEventListener("click", () => ask(this.element, "dialog", { name: "resolve" }));
    this.#context.addEventListener("click", showContext);
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  render(state, summary) {
    const own = isMine(state, summary);
    say(this.#name, undirected(summary.title));
    say(this.#where, standing(summary, own));
    set(this.#where, "data-overdue", overdue(state, summary));
    this.#transfer.hidden = !own;
    this.#resolve.hidden = !mayAnswer(state, summary);
    set(this.#resolve, "disabled", state.connection !== "online");
    set(this.#transfer, "disabled", state.connection !== "online");
    const key = tagsKey(state, summary);
    if (this.#tags.dataset.shows === key) return;
    this.#tags.dataset.shows = key;
    this.#tags.replaceChildren(...tags(state, summary));
  }
}

/** On narrow screens the panel lies over the conversation. */
function showContext() {
  const panel = /** @type {HTMLElement} */ (document.querySelector("#context"));
  panel.classList.toggle("shown");
  if (panel.classList.contains("shown")) panel.focus();
}

/**
 * @param {Summary} summary
 * @param {boolean} own
 */
function standing(summary, own) {
  if (summary.state === "queued") return "Waiting in the queue";
  if (summary.state === "ended") return "Ended";
  if (summary.state === "message") return "Left a message";
  if (own) return summary.reminders ? "With you · waits for your answer" : "With you";
  return `With ${isolated(summary.agent?.name ?? "a colleague")}`;
}
