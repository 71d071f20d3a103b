// @ts-check
import { isolated } from "../directions.js";
import { ask, el, icon, say, set } from "../dom.js";
import { mayAnswer, mayTake, overdue, selected } from "../lists.js";
import { draft, keepDraft } from "../memory.js";
import { TypingSign } from "../typing.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/** Where the agent writes; for a conversation that isn't theirs, what they can do instead. */
export class MessageComposer extends HTMLElement {
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
    { class: "waits" },
    "This customer's channel can't be pushed to: your words arrive with their next message.",
  );
  #left = el(
    "p",
    { class: "waits", "data-testid": "left-hint" },
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
  #handoff = null;
  #sign = new TypingSign((on) => ask(this, "typing", { handoff_id: this.#handoff, on }));

  connectedCallback() {
    this.#instead.append(this.#why, this.#take);
    this.append(this.#form, this.#instead);
    this.#form.addEventListener("submit", (event) => (event.preventDefault(), this.#say()));
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("input", () => this.#typed());
    this.#take.addEventListener("click", () => ask(this, "take", { handoff_id: this.#handoff }));
  }

  /** @param {State} state */
  render(state) {
    const summary = selected(state);
    this.hidden = summary === null;
    const own = summary !== null && mayAnswer(state, summary);
    const turned = this.#turn(summary, own);
    this.#form.hidden = !own;
    this.#instead.hidden = own;
    if (summary) this.#words(state, summary);
    if (turned) this.#grow(); // not before it is shown: what is hidden has no height
    // Who has just taken or opened a conversation wants to write; nobody is torn out of another field.
    if (turned && own && !state.dialog) this.#field.focus();
  }

  /**
   * Changes over to another conversation, with its draft; says whether it did.
   *
   * @param {Summary | null} summary
   * @param {boolean} own
   */
  #turn(summary, own) {
    const id = summary?.handoff_id ?? null;
    const turned = id !== this.#handoff || (own && this.#form.hidden);
    if (id !== this.#handoff) {
      this.#sign.over();
      this.#handoff = id;
      this.#field.value = id ? draft(id) : "";
    }
    return turned;
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #words(state, summary) {
    say(this.#label, `Your message to ${isolated(summary.title)}`);
    const left = summary.state === "message";
    this.#left.hidden = !left;
    this.#waits.hidden = left || summary.channel.push;
    this.#take.hidden = !mayTake(state, summary);
    say(this.#take, summary.state === "queued" ? "Take this conversation" : "Take over");
    set(this.#take, "disabled", state.connection !== "online");
    say(this.#why, why(summary, overdue(state, summary)));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While an input method composes a character, Enter chooses it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  #say() {
    const text = this.#field.value.trim();
    if (!text || !this.#handoff) return;
    this.#field.value = "";
    keepDraft(this.#handoff, "");
    this.#sign.over();
    this.#grow();
    ask(this, "say", { handoff_id: this.#handoff, text });
    this.#field.focus();
  }

  #typed() {
    if (!this.#handoff) return;
    keepDraft(this.#handoff, this.#field.value);
    this.#grow();
    this.#sign.key();
  }

  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

/**
 * @param {Summary} summary
 * @param {boolean} late
 */
function why(summary, late) {
  if (summary.state === "queued") return "Waiting for a person.";
  if (summary.state === "ended") return "This conversation has ended.";
  const name = isolated(summary.agent?.name ?? "A colleague");
  return late
    ? `${name} hasn't answered this customer for a while.`
    : `${name} is talking with this customer.`;
}
