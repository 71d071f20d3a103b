// @ts-check
import { undirected } from "../directions.js";
import { ask, el, keep, say, set } from "../dom.js";
import { last, queue } from "../lists.js";
import { tags, tagsKey } from "./tags.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/** Who waits for a person, the most urgent first, with the time they have waited. */
export class QueueList extends HTMLElement {
  #count = el("span", { class: "count" });
  #list = el("ul", { class: "cards" });
  #empty = el("p", { class: "empty" }, "Nobody is waiting. Enjoy the quiet.");

  connectedCallback() {
    this.append(el("h2", { id: "queue", tabindex: "-1" }, "Queue ", this.#count), this.#list, this.#empty);
  }

  /** @param {State} state */
  render(state) {
    const waiting = queue(state);
    say(this.#count, String(waiting.length));
    this.#empty.hidden = waiting.length > 0;
    keep(
      this.#list,
      waiting,
      (summary) => summary.handoff_id,
      card,
      (child, summary) => update(child, state, summary),
    );
  }
}

/** @param {Summary} summary */
function card(summary) {
  const { handoff_id } = summary;
  const open = el("button", { type: "button", class: "open", "data-testid": "queue-open" });
  const take = el("button", { type: "button", class: "primary", "data-testid": "take" }, "Take");
  open.append(
    el("span", { class: "top" }, el("span", { class: "name", dir: "auto" }), clock(summary)),
    el("span", { class: "reason", dir: "auto" }),
    el("span", { class: "words", dir: "auto", "data-testid": "queue-words" }),
  );
  const foot = el("div", { class: "foot" }, el("span", { class: "tags" }), take);
  open.addEventListener("click", () => ask(open, "select", { handoff_id }));
  take.addEventListener("click", () => ask(take, "take", { handoff_id }));
  return el("li", { class: "card", "data-testid": "queue-item", "data-handoff": handoff_id }, open, foot);
}

/** @param {Summary} summary */
function clock(summary) {
  const wait = document.createElement("wait-clock");
  wait.setAttribute("since", String(summary.queued_at));
  wait.title = "Waiting time";
  return wait;
}

/**
 * @param {HTMLElement} child
 * @param {State} state
 * @param {Summary} summary
 */
function update(child, state, summary) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (child.querySelector(selector));
  set(child, "data-priority", summary.priority);
  set(find(".open"), "aria-current", summary.handoff_id === state.selected ? "true" : null);
  set(find("wait-clock"), "since", summary.queued_at);
  set(find(".primary"), "aria-label", `Take ${undirected(summary.title)}`);
  set(find(".primary"), "disabled", state.connection !== "online");
  say(find(".name"), undirected(summary.title));
  say(find(".reason"), summary.reason ?? "");
  say(find(".words"), words(state, summary));
  redraw(find(".tags"), state, summary);
}

/** What the customer said last. @param {State} state @param {Summary} summary */
function words(state, summary) {
  const message = last(state, summary);
  return undirected((message?.speaker === "customer" ? message.text : summary.words) ?? "");
}

/**
 * @param {HTMLElement} place
 * @param {State} state
 * @param {Summary} summary
 */
function redraw(place, state, summary) {
  const key = tagsKey(state, summary);
  if (place.dataset.shows === key) return;
  place.dataset.shows = key;
  place.replaceChildren(...tags(state, summary));
}
