// @ts-check
/** Passing notices for the agent about what happened by itself. Pure. */

import { isolated } from "./directions.js";
import { isMine, overdue } from "./lists.js";
import { endingWords, minutes } from "./words.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {{text: string, handoff_id: string, urgent: boolean}} Tiding */

/**
 * @param {State} state
 * @param {Action} action
 * @param {State} before
 * @returns {Tiding | null}
 */
export function tiding(state, action, before) {
  if (action.type === "reminder") return reminder(state, action);
  if (action.type === "conversation") return changed(state, action.summary, before);
  return null;
}

/** @param {State} state @param {Action} action */
function reminder(state, { handoff_id, seconds }) {
  const title = state.summaries.get(handoff_id)?.title ?? "A customer";
  return { text: `${isolated(title)} has waited ${minutes(seconds)} for your answer.`, handoff_id, urgent: true };
}

/** @param {State} state @param {Summary} summary @param {State} before */
function changed(state, summary, before) {
  const { handoff_id, title } = summary;
  const was = before.summaries.get(handoff_id);
  if (summary.state === "ended") return ended(state, summary, was);
  if (was && isMine(before, was) && !isMine(state, summary)) return movedOn(summary);
  if (!isMine(state, summary) && overdue(state, summary) && !(was && overdue(before, was)))
    return { text: `${isolated(title)} waits for an answer. You can take over.`, handoff_id, urgent: true };
  return null;
}

/** @param {State} state @param {Summary} summary @param {Summary | undefined} was */
function ended(state, summary, was) {
  const { handoff_id, title, last } = summary;
  // The desk gets a conversation that it no longer has only when the customer's message crossed with the end.
  if (!was && last?.speaker === "customer")
    return { text: `${isolated(title)} wrote after the end: ${isolated(last.text)}`, handoff_id, urgent: false };
  const outcome = summary.ended?.outcome ?? null;
  const concerns = was && (isMine(state, was) || outcome === "relay_lost_it");
  if (!concerns || state.outcomes.includes(outcome ?? "") || outcome === "transferred") return null;
  return { text: endingWords(title, outcome), handoff_id, urgent: false };
}

/** @param {Summary} summary @returns {Tiding | null} */
function movedOn({ handoff_id, state, title, agent, ahead }) {
  if (state === "message")
    return { text: `${isolated(title)} left a message instead of waiting.`, handoff_id, urgent: false };
  if (state === "assigned")
    return { text: `${isolated(agent?.name ?? "A colleague")} took over: ${isolated(title)}.`, handoff_id, urgent: false };
  // Not ahead: this agent transferred it themselves.
  return ahead ? { text: `${isolated(title)} waited too long and is in the queue again.`, handoff_id, urgent: false } : null;
}
