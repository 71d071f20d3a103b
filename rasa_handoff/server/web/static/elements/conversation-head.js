// @ts-check
import { el, icon, sendCommand, setAttribute, setText } from "../dom.js";
import { isMine, isOnline, isOverdue, mayAnswer } from "../selectors.js";
import { isolate, stripDirectionControls } from "../text-direction.js";
import { updateTags } from "./tags.js";

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
    this.#back.addEventListener("click", () => sendCommand(this.element, "select", { handoff_id: null }));
    this.#transfer.addEventListener("click", () => sendCommand(this.element, "dialog", { dialog: "transfer" }));
    this.#resolve.addEventListener("click", () => sendCommand(this.element, "dialog", { dialog: "resolve" }));
    this.#context.addEventListener("click", showContext);
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  render(state, summary) {
    const own = isMine(state, summary);
    setText(this.#name, stripDirectionControls(summary.title));
    setText(this.#where, describe(summary, own));
    setAttribute(this.#where, "data-overdue", isOverdue(state, summary));
    this.#transfer.hidden = !own;
    this.#resolve.hidden = !mayAnswer(state, summary);
    setAttribute(this.#resolve, "disabled", !isOnline(state));
    setAttribute(this.#transfer, "disabled", !isOnline(state));
    updateTags(this.#tags, state, summary);
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
function describe(summary, own) {
  if (summary.state === "queued") return "Waiting in the queue";
  if (summary.state === "ended") return "Ended";
  if (summary.state === "message") return "Left a message";
  if (own) return summary.reminders ? "With you · waits for your answer" : "With you";
  return `With ${isolate(summary.agent?.name ?? "a colleague")}`;
}
