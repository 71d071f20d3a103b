// @ts-check
/** Passing messages to the agent about what happened by itself. Pure. */

import { endingText, minutesText } from "./formatting.js";
import { isMine, isOverdue } from "./selectors.js";
import { isolate } from "./text-direction.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").DeskEvent} DeskEvent */
/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {{text: string, handoff_id?: string, urgent: boolean}} ToastContent */

/**
 * What the agent is to be told after an event, if anything.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @param {State} before
 * @returns {ToastContent | null}
 */
export function toastFor(state, event, before) {
  if (event.type === "reminder") return reminder(state, event);
  if (event.type === "deleted") return deleted(event, before);
  if (event.type === "conversation") return changed(state, event.summary, before);
  return null;
}

/** @param {State} state @param {DeskEvent} event */
function reminder(state, { handoff_id, seconds }) {
  const title = state.summaries.get(handoff_id)?.title ?? "A customer";
  const text = `${isolate(title)} has waited ${minutesText(seconds)} for your answer.`;
  return { text, handoff_id, urgent: true };
}

/** @param {DeskEvent} event @param {State} before */
function deleted({ handoff_ids }, before) {
  if (!before.selected || !handoff_ids.includes(before.selected)) return null;
  return { text: "The conversation that was open here has been deleted.", handoff_id: undefined, urgent: false };
}

/** @param {State} state @param {Summary} summary @param {State} before */
function changed(state, summary, before) {
  const { handoff_id, title } = summary;
  const previous = before.summaries.get(handoff_id);
  if (summary.state === "ended") return ended(state, summary, previous);
  if (previous && isMine(before, previous) && !isMine(state, summary)) return movedOn(summary);
  if (!isMine(state, summary) && isOverdue(state, summary) && !(previous && isOverdue(before, previous)))
    return { text: `${isolate(title)} waits for an answer. You can take over.`, handoff_id, urgent: true };
  return null;
}

/** @param {State} state @param {Summary} summary @param {Summary | undefined} previous */
function ended(state, summary, previous) {
  const { handoff_id, title, last } = summary;
  // A summary of an ended conversation that the desk has dropped comes if the customer's message crossed with the end.
  if (!previous && last?.speaker === "customer")
    return { text: `${isolate(title)} wrote after the end: ${isolate(last.text)}`, handoff_id, urgent: false };
  // Or if something else was said about it then: what the customer thinks of it.
  if (!previous && last?.speaker === "system" && last.at >= (summary.ended?.at ?? Infinity))
    return { text: `${isolate(title)}: ${isolate(last.text)}`, handoff_id, urgent: false };
  const outcome = summary.ended?.outcome ?? null;
  const concerns = previous && (isMine(state, previous) || outcome === "relay_lost_it");
  if (!concerns || state.outcomes.includes(outcome ?? "") || outcome === "transferred") return null;
  return { text: endingText(title, outcome), handoff_id, urgent: false };
}

/**
 * What to say about a conversation that was this agent's and no longer is.
 *
 * @param {Summary} summary
 * @returns {ToastContent | null}
 */
function movedOn({ handoff_id, state, title, agent, ahead }) {
  if (state === "message")
    return { text: `${isolate(title)} left a message instead of waiting.`, handoff_id, urgent: false };
  if (state === "assigned")
    return { text: `${isolate(agent?.name ?? "A colleague")} took over: ${isolate(title)}.`, handoff_id, urgent: false };
  // Not ahead: this agent transferred it themselves.
  return ahead ? { text: `${isolate(title)} waited too long and is in the queue again.`, handoff_id, urgent: false } : null;
}
