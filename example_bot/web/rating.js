// @ts-check
/** After a chat with a person the page asks what the customer thinks of it: a score from 1 to 5 and, if they like, why. */

import { t } from "./texts.js";

/** @typedef {import("./conversation-storage.js").Conversation} Conversation */
/** @typedef {import("./rasa-socket.js").Active} Active */

/** What a front end sends for a rating, followed by JSON; the customer doesn't see it among their messages. */
const COMMAND = "/handoff_rate";
const SCORES = [1, 2, 3, 4, 5];
const LONGEST_COMMENT = 1_000;

/**
 * Note whom the customer has now: the question is open from the end of a chat with a person until it is answered, waved away, or a
 * new handoff begins. Return whether anything changes.
 *
 * @param {Pick<Conversation, "talks" | "asks">} conversation
 * @param {Active["active"]} active
 */
export function noteActive(conversation, active) {
  const { talks, asks } = conversation;
  const isOver = active === "bot" || active === "closed";
  conversation.asks = isOver && (asks || talks);
  conversation.talks = active === "person" || (talks && !isOver); // who is transferred waits for the next person
  return conversation.talks !== talks || conversation.asks !== asks;
}

/** The message for a rating. @param {number} score @param {string} comment */
export function ratingMessage(score, comment) {
  const why = comment.trim();
  return COMMAND + JSON.stringify(why ? { score, comment: why } : { score });
}

/** The question on the page, and what became of the answer. */
export class RatingForm {
  /**
   * @param {HTMLFormElement} form
   * @param {HTMLElement} state says what became of the answer
   * @param {(message: string | null) => void} answer takes the message; null: the customer doesn't want to answer
   */
  constructor(form, state, answer) {
    this.form = form;
    this.state = state;
    /** Whether the last answer was accepted, and nothing has begun since. */
    this.thanks = false;
    form.querySelector(".scores")?.append(...SCORES.map(scoreButton));
    this.comment().maxLength = LONGEST_COMMENT;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      answer(ratingMessage(Number(new FormData(form).get("score")), this.comment().value));
    });
    form.querySelector('[type="button"]')?.addEventListener("click", () => answer(null));
  }

  comment() {
    return /** @type {HTMLTextAreaElement} */ (this.form.querySelector("textarea"));
  }

  /**
   * Show what is to be shown, and return whether that is something else than before.
   *
   * @param {Pick<Conversation, "talks" | "asks" | "rating">} conversation
   * @param {boolean} isOnline
   */
  draw({ talks, asks, rating }, isOnline) {
    if (talks || asks) this.thanks = false;
    const state = rating ? t(isOnline ? "sending" : "waits") : this.thanks ? t("rateThanks") : "";
    const isHidden = !asks || rating !== null;
    const hasChanged = this.form.hidden !== isHidden || this.state.textContent !== state;
    if (isHidden && !this.form.hidden) this.form.reset();
    this.form.hidden = isHidden;
    if (this.state.textContent !== state) this.state.textContent = state;
    return hasChanged;
  }
}

/** @param {number} score */
function scoreButton(score) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "score", value: String(score), required: true });
  input.setAttribute("aria-label", t("rateScore", { score }));
  const shown = document.createElement("span");
  shown.textContent = String(score);
  label.dataset.testid = "rate-score";
  label.append(input, shown);
  return label;
}
