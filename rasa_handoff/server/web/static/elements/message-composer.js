// @ts-check
import { loadDraft, saveDraft } from "../browser-storage.js";
import { el, icon, sendCommand, setAttribute, setText } from "../dom.js";
import { isOnline, isOverdue, mayAnswer, mayTake, selectedConversation } from "../selectors.js";
import { isolate } from "../text-direction.js";
import { TypingIndicator } from "../typing-indicator.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/** Where the agent writes; for a conversation that isn't theirs, what they can do instead. */
export class MessageComposer extends View {
  #label = el("label", { for: "composer", class: "hidden" });
  #field = el("textarea", {
    id: "composer",
    rows: "1",
    dir: "auto",
    "data-testid": "composer",
    placeholder: "Write a message",
    "aria-describedby": "composer-keys",
  });
  #send = el("button", { type: "submit", class: "primary", "data-testid": "send" }, icon("send"), "Send");
  #keys = el("p", { id: "composer-keys", class: "keys" }, "Enter sends, Shift+Enter makes a new line");
  #waits = el(
    "p",
    { class: "delivery-hint" },
    "This customer's channel can't be pushed to: your words arrive with their next message.",
  );
  #left = el(
    "p",
    { class: "delivery-hint", "data-testid": "left-hint" },
    "The customer left a message; your answer reaches them at once or when they are back.",
  );
  #form = el(
    "form",
    {},
    this.#waits,
    this.#left,
    this.#label,
    el("div", { class: "field" }, this.#field, this.#send),
    this.#keys,
  );
  #instead = el("div", { class: "instead" });
  #why = el("p");
  #take = el(
    "button",
    { type: "button", class: "primary", "data-testid": "take-this", title: "Alt+T" },
    "Take this conversation",
  );
  /** @type {string | null} */
  #handoffId = null;
  #typing = new TypingIndicator((on) => sendCommand(this, "typing", { handoff_id: this.#handoffId, on }));

  connectedCallback() {
    this.#instead.append(this.#why, this.#take);
    this.append(this.#form, this.#instead);
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.#field.addEventListener("keydown", (event) => this.#keyPressed(event));
    this.#field.addEventListener("input", () => this.#typed());
    this.#take.addEventListener("click", () => sendCommand(this, "take", { handoff_id: this.#handoffId }));
  }

  /** @param {State} state */
  inputs(state) {
    return [selectedConversation(state), state.connection, state.me];
  }

  /** @param {State} state */
  draw(state) {
    const summary = selectedConversation(state);
    this.hidden = summary === null;
    const own = summary !== null && mayAnswer(state, summary);
    const isAnother = this.#changeOver(summary, own);
    this.#form.hidden = !own;
    this.#instead.hidden = own;
    if (summary) this.#drawTexts(state, summary);
    if (isAnother) this.#grow(); // not before it is shown: what is hidden has no height
    // Who has just taken or opened a conversation wants to write; the focus isn't taken from a dialog's field.
    if (isAnother && own && !state.dialog) this.#field.focus();
  }

  /**
   * Change over to the conversation with its draft, if it isn't here yet. Return whether it is another one than before, or
   * the same one that this agent may answer from now on.
   *
   * @param {Summary | null} summary
   * @param {boolean} own
   */
  #changeOver(summary, own) {
    const id = summary?.handoff_id ?? null;
    const isAnother = id !== this.#handoffId || (own && this.#form.hidden);
    if (id !== this.#handoffId) {
      this.#typing.stop();
      this.#handoffId = id;
      this.#field.value = id ? loadDraft(id) : "";
    }
    return isAnother;
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #drawTexts(state, summary) {
    setText(this.#label, `Your message to ${isolate(summary.title)}`);
    const left = summary.state === "message";
    this.#left.hidden = !left;
    this.#waits.hidden = left || summary.channel.push;
    this.#take.hidden = !mayTake(state, summary);
    setText(this.#take, summary.state === "queued" ? "Take this conversation" : "Take over");
    setAttribute(this.#take, "disabled", !isOnline(state));
    setText(this.#why, explain(summary, isOverdue(state, summary)));
  }

  /** @param {KeyboardEvent} event */
  #keyPressed(event) {
    // While an input method composes a character, Enter chooses it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#field.value.trim();
    if (!text || !this.#handoffId) return;
    this.#field.value = "";
    saveDraft(this.#handoffId, "");
    this.#typing.stop();
    this.#grow();
    sendCommand(this, "send message", { handoff_id: this.#handoffId, text });
    this.#field.focus();
  }

  #typed() {
    if (!this.#handoffId) return;
    saveDraft(this.#handoffId, this.#field.value);
    this.#grow();
    this.#typing.keyPressed();
  }

  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

/**
 * Say why this agent can't write in the conversation.
 *
 * @param {Summary} summary
 * @param {boolean} late
 */
function explain(summary, late) {
  if (summary.state === "queued") return "Waiting for a person.";
  if (summary.state === "ended") return "This conversation has ended.";
  const name = isolate(summary.agent?.name ?? "A colleague");
  return late
    ? `${name} hasn't answered this customer for a while.`
    : `${name} is talking with this customer.`;
}
