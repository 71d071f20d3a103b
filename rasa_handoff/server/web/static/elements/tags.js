// @ts-check
import { undirected } from "../directions.js";
import { el } from "../dom.js";
import { departmentTitle } from "../lists.js";
import { language, readable } from "../words.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Summary} Summary */

/**
 * The small labels of a conversation: priority when it isn't the usual one, department, language.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function tags(state, summary) {
  const { priority } = summary;
  return [
    priority !== "normal" && el("span", { class: "tag", "data-priority": priority }, readable(priority)),
    summary.department && el("span", { class: "tag", dir: "auto" }, departmentTitle(state, summary.department)),
    summary.language && el("span", { class: "tag", title: language(summary.language) }, undirected(summary.language)),
  ].filter((tag) => tag instanceof HTMLElement);
}

/**
 * Everything the labels depend on, to draw them only when it changed.
 *
 * @param {State} state
 * @param {Summary} summary
 */
export function tagsKey(state, summary) {
  return [summary.priority, departmentTitle(state, summary.department), summary.language].join(" ");
}
