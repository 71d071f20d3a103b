// @ts-check
import { isolated, undirected } from "../directions.js";
import { ask, el, keep, say, set } from "../dom.js";
import { last, messagesLeft, mine, others, overdue, unread, unreadLeft } from "../lists.js";
import { clock } from "../words.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/** This agent's conversations, with what was said last and how much of it is unread. */
export class MineList extends HTMLElement {
  #count = el("span", { class: "count" });
  #list = el("ul", { class: "rows" });
  #empty = el("p", { class: "empty" }, "Take someone from the queue to begin.");

  connectedCallback() {
    this.append(
      el("h2", { id: "mine", tabindex: "-1" }, "My conversations ", this.#count),
      this.#list,
      this.#empty,
    );
  }

  /** @param {State} state */
  render(state) {
    const list = mine(state);
    say(this.#count, String(list.length));
    this.#empty.hidden = list.length > 0;
    const create = (/** @type {Summary} */ summary) => row(summary, "mine-item");
    keep(
      this.#list,
      list,
      (summary) => summary.handoff_id,
      create,
      (child, summary) => {
        const about = state.typing.get(summary.handoff_id)
          ? "is typing…"
          : undirected(last(state, summary)?.text ?? summary.reason ?? "");
        update(child, state, summary, about, unread(state, summary.handoff_id));
      },
    );
  }
}

/** What customers left to be answered later; nothing is shown while there is none. */
export class LeftList extends HTMLElement {
  #count = el("span", { class: "count" });
  #list = el("ul", { class: "rows" });

  connectedCallback() {
    this.append(el("h2", { id: "left", tabindex: "-1" }, "Messages ", this.#count), this.#list);
  }

  /** @param {State} state */
  render(state) {
    const list = messagesLeft(state);
    say(this.#count, String(list.length));
    this.hidden = list.length === 0;
    const create = (/** @type {Summary} */ summary) => row(summary, "left-item");
    keep(
      this.#list,
      list,
      (summary) => summary.handoff_id,
      create,
      (child, summary) => update(child, state, summary, leftWords(state, summary), unreadLeft(state, summary)),
    );
  }
}

/** @param {State} state @param {Summary} summary */
function leftWords(state, summary) {
  const message = last(state, summary);
  const said = undirected(message?.text ?? summary.reason ?? "");
  return message?.speaker === "agent" ? `${isolated(message.agent ?? "Answered")}: ${said}` : said;
}

/** What colleagues are at; nothing is shown while they rest. */
export class OthersList extends HTMLElement {
  #count = el("span", { class: "count" });
  #list = el("ul", { class: "rows" });

  connectedCallback() {
    this.append(el("h2", {}, "With colleagues ", this.#count), this.#list);
  }

  /** @param {State} state */
  render(state) {
    const list = others(state);
    say(this.#count, String(list.length));
    this.hidden = list.length === 0;
    const create = (/** @type {Summary} */ summary) => row(summary, "others-item");
    keep(
      this.#list,
      list,
      (summary) => summary.handoff_id,
      create,
      (child, summary) => update(child, state, summary, withWhom(state, summary), 0),
    );
  }
}

/** @param {State} state @param {Summary} summary */
function withWhom(state, summary) {
  const name = isolated(summary.agent?.name ?? "a colleague");
  return overdue(state, summary) ? `waits for ${name}` : `with ${name}`;
}

/**
 * @param {Summary} summary
 * @param {string} testid
 */
function row({ handoff_id }, testid) {
  const button = el(
    "button",
    { type: "button", class: "open", "data-testid": testid, "data-handoff": handoff_id },
    el("span", { class: "top" }, el("span", { class: "name", dir: "auto" }), el("span", { class: "when" })),
    el("span", { class: "under" }, el("span", { class: "reason", dir: "auto" }), badge()),
  );
  button.addEventListener("click", () => ask(button, "select", { handoff_id }));
  return el("li", { class: "row" }, button);
}

function badge() {
  return el("span", { class: "badge", "data-testid": "unread", hidden: true });
}

/**
 * @param {HTMLElement} child
 * @param {State} state
 * @param {Summary} summary
 * @param {string} about
 * @param {number} count unread
 */
function update(child, state, summary, about, count) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (child.querySelector(selector));
  const message = last(state, summary);
  set(find(".open"), "aria-current", summary.handoff_id === state.selected ? "true" : null);
  set(find(".open"), "data-overdue", overdue(state, summary));
  say(find(".name"), undirected(summary.title));
  say(find(".reason"), about);
  say(find(".when"), message ? clock(message.at) : "");
  say(find(".badge"), String(count));
  set(find(".badge"), "aria-label", `${count} unread`);
  find(".badge").hidden = count === 0;
}
