// @ts-check
import { el } from "../dom.js";
import { languageName, readable } from "../formatting.js";
import { departmentTitle } from "../selectors.js";
import { stripDirectionControls } from "../text-direction.js";

const AWAY = "The customer has no page open. What you write waits until they are back.";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/**
 * Show the small labels of a conversation: whether the customer is away, priority when it isn't the usual one, department,
 * language.
 *
 * @param {HTMLElement} container
 * @param {State} state
 * @param {Summary} summary
 */
export function updateTags(container, state, { priority, department, language, customer_is_away, ended }) {
  const title = departmentTitle(state, department);
  const away = customer_is_away && !ended;
  const key = [away, priority, title, language].join(" ");
  if (container.dataset.shows === key) return;
  container.dataset.shows = key;
  const tags = [
    away && el("span", { class: "tag", "data-testid": "customer-away", title: AWAY }, "Page closed"),
    priority !== "normal" && el("span", { class: "tag", "data-priority": priority }, readable(priority)),
    title && el("span", { class: "tag", dir: "auto" }, title),
    language && el("span", { class: "tag", title: languageName(language) }, stripDirectionControls(language)),
  ];
  container.replaceChildren(...tags.filter((tag) => tag instanceof HTMLElement));
}
