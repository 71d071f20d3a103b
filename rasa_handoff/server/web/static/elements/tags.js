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
 * @param {HTMLElement} place
 * @param {State} state
 * @param {Summary} summary
 */
export function updateTags(place, state, { priority, department, language }) {
  const title = departmentTitle(state, department);
  const key = [priority, title, language].join(" ");
  if (place.dataset.shows === key) return;
  place.dataset.shows = key;
  const tags = [
    priority !== "normal" && el("span", { class: "tag", "data-priority": priority }, readable(priority)),
    title && el("span", { class: "tag", dir: "auto" }, title),
    language && el("span", { class: "tag", title: languageName(language) }, stripDirectionControls(language)),
  ];
  place.replaceChildren(...tags.filter((tag) => tag instanceof HTMLElement));
}
