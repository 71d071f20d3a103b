// @ts-check
import { loadDraft, saveDraft } from "../browser-storage.js";
import { channelHints } from "../channel-hints.js";
import { el, icon, sendCommand, setAttribute, setText } from "../dom.js";
import { listenForFiles } from "../file-drop.js";
import { KeyedList } from "../keyed-list.js";
import { isOnline, isOverdue, mayAnswer, mayTake, selectedConversation } from "../selectors.js";
import { isolate } from "../text-direction.js";
import { TypingIndicator } from "../typing-indicator.js";
import { AttachedList } from "./attached-list.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../types.js").Presentation} Presentation */
/** @typedef {import("../types.js").UnsentPart} UnsentPart */

/** Of one message, as the server takes it. */
const LONGEST_TEXT = 20_000;

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
  #hints = el("ul", { class: "delivery-hint", "data-testid": "channel-hints", "aria-live": "polite", hidden: true });
  /** @type {KeyedList<string>} */
  #hintList = new KeyedList(this.#hints, { keyOf: (hint) => hint, create: (hint) => el("li", {}, hint) });
  /** What this conversation's channel makes of a message. @type {Presentation | null | undefined} */
  #presentation = null;
  #attached = new AttachedList();
  #chosen = el("input", { type: "file", multiple: true, hidden: true, "data-testid": "attach-input", "aria-label": "Files" });
  #attach = tool("attach", "Attach files (or paste or drop them)", () => this.#chosen.click());
  #offer = tool("choices", "Offer buttons or a card", () => sendCommand(this, "dialog", { dialog: "choices" }));
  #problem = el("p", { class: "problem", role: "alert", "data-testid": "composer-problem" });
  #form = el(
    "form",
    {},
    this.#waits,
    this.#left,
    this.#label,
    this.#hints,
    this.#attached.element,
    el("div", { class: "field" }, this.#attach, this.#offer, this.#chosen, this.#field, this.#send),
    this.#problem,
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
  /** Whose draft is in the field. @type {string | undefined} */
  #agent = undefined;
  /** What goes with the message. @type {readonly UnsentPart[]} */
  #parts = [];
  /** The last words that were given back. @type {State["returned"]} */
  #returned = null;
  #typing = new TypingIndicator((on) => sendCommand(this, "typing", { handoff_id: this.#handoffId, on }));

  connectedCallback() {
    this.#instead.append(this.#why, this.#take);
    this.append(this.#form, this.#instead);
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.#field.addEventListener("keydown", (event) => this.#keyPressed(event));
    this.#field.addEventListener("input", () => this.#typed());
    this.#take.addEventListener("click", () => sendCommand(this, "take", { handoff_id: this.#handoffId }));
    this.#chosen.addEventListener("change", () => this.#filesChosen());
    const area = /** @type {HTMLElement} */ (this.closest("#conversation"));
    listenForFiles(this.#field, area, () => this.#takesFiles(), (files) => this.#attachFiles(files));
  }

  /** Whether files may be dropped: this agent may write here, and no dialog asks for something else. */
  #takesFiles() {
    return !this.hidden && !this.#form.hidden && !document.querySelector("dialog[open]");
  }

  #filesChosen() {
    this.#attachFiles([...(this.#chosen.files ?? [])]);
    this.#chosen.value = ""; // the same file may be chosen again
  }

  /** @param {File[]} files */
  #attachFiles(files) {
    sendCommand(this, "attach files", { handoff_id: this.#handoffId, files });
    this.#field.focus();
  }

  /** @param {State} state */
  inputs(state) {
    const attached = state.selected ? state.attached.get(state.selected) : undefined;
    return [selectedConversation(state), state.connection, state.me, attached, state.returned];
  }

  /** @param {State} state */
  draw(state) {
    const summary = selectedConversation(state);
    this.hidden = summary === null;
    const own = summary !== null && mayAnswer(state, summary);
    const isAnother = this.#changeOver(summary, state.me?.id, own);
    this.#takeBack(state.returned);
    this.#form.hidden = !own;
    this.#instead.hidden = own;
    if (summary) this.#drawTexts(state, summary);
    this.#parts = state.attached.get(summary?.handoff_id ?? "") ?? [];
    this.#attached.render(this.#handoffId, this.#parts);
    this.#warnIfTooLong(this.#field.value.trim());
    this.#presentation = summary?.channel.presentation;
    this.#showHints();
    if (isAnother) this.#grow(); // not before it is shown: what is hidden has no height
    // Who has just taken or opened a conversation wants to write; the focus isn't taken from a dialog's field.
    if (isAnother && own && !state.dialog) this.#field.focus();
  }

  /**
   * Change over to the conversation with its draft, if it isn't here yet. Return whether it is another one than before, or
   * the same one that this agent may answer from now on.
   *
   * @param {Summary | null} summary
   * @param {string | undefined} agent
   * @param {boolean} own
   */
  #changeOver(summary, agent, own) {
    const id = summary?.handoff_id ?? null;
    const isAnother = id !== this.#handoffId || (own && this.#form.hidden);
    if (id !== this.#handoffId) {
      this.#typing.stop();
      this.#handoffId = id;
      this.#agent = agent;
      this.#field.value = id ? loadDraft(id, agent) : "";
    }
    return isAnother;
  }

  /** Put the words of a message that the agent has taken back above those in the field. @param {State["returned"]} returned */
  #takeBack(returned) {
    if (!returned || returned === this.#returned || returned.handoff_id !== this.#handoffId) return;
    this.#returned = returned;
    this.#field.value = [returned.text, this.#field.value].filter(Boolean).join("\n");
    saveDraft(returned.handoff_id, this.#agent, this.#field.value);
    this.#grow();
    this.#field.focus();
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
    if ((!text && !this.#parts.length) || !this.#handoffId) return;
    if (this.#warnIfTooLong(text)) return this.#field.focus();
    if (!text && this.#parts.some(({ type }) => type === "buttons")) {
      setText(this.#problem, "Write what the customer is to choose from: buttons go with a question.");
      return this.#field.focus();
    }
    this.#field.value = "";
    saveDraft(this.#handoffId, this.#agent, "");
    this.#typing.stop();
    this.#grow();
    this.#showHints();
    sendCommand(this, "send message", { handoff_id: this.#handoffId, text });
    this.#field.focus();
  }

  #typed() {
    if (!this.#handoffId) return;
    this.#warnIfTooLong(this.#field.value.trim());
    saveDraft(this.#handoffId, this.#agent, this.#field.value);
    this.#grow();
    this.#showHints();
    this.#typing.keyPressed();
  }

  /** Return whether a text is too long for one message, and say so. @param {string} text */
  #warnIfTooLong(text) {
    const length = [...text].length;
    const isTooLong = length > LONGEST_TEXT;
    const [most, here] = [LONGEST_TEXT, length].map((number) => number.toLocaleString());
    setText(this.#problem, isTooLong ? `That's too long: a message has at most ${most} characters, this one has ${here}. Please send it in parts.` : "");
    return isTooLong;
  }

  /** Say what the channel makes of the message as it is now; only what is new is read out. */
  #showHints() {
    const hints = channelHints(this.#presentation, this.#field.value.trim(), this.#parts);
    this.#hints.hidden = hints.length === 0;
    this.#hintList.render(hints);
  }

  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

/**
 * Make a round button beside the field.
 *
 * @param {string} name
 * @param {string} label
 * @param {() => void} press
 */
function tool(name, label, press) {
  const attributes = { type: "button", class: "round", title: label, "aria-label": label, "data-testid": name };
  return el("button", { ...attributes, onclick: press }, icon(name));
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
