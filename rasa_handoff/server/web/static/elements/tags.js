// @ts-check
import { el } from "../dom.js";
import { languageName, readable } from "../formatting.js";
import { departmentTitle } from "../selectors.js";
import { stripDirectionControls } from "../text-direction.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/**
 * Show the small labels of a conversation: priority when it isn't the usual one, department, language.
 *
 * @param {HTMLElement} container
 * @param {State} state
 * @param {Summary} summary
 */
export function updateTags(container, state, { priority, department, language }) {
  const title = departmentTitle(state, department);
  const key = [priority, title, language].join(" ");
  if (container.dataset.shows === key) return;
  container.dataset.shows = key;
  const tags = [
    priority !== "normal" && el("span", { class: "tag", "data-priority": priority }, readable(priority)),
    title && el("span", { class: "tag", dir: "auto" }, title),
    language && el("span", { class: "tag", title: languageName(language) }, stripDirectionControls(language)),
  ];
  container.replaceChildren(...tags.filter((tag) => tag instanceof HTMLElement));
}
