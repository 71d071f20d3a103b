// @ts-check
/** Draws the agent's attention to what arrived: title, sound, desktop notification, text for a screen reader. */

import { attentionCount, departmentTitle, isMine, queuedConversations } from "./selectors.js";
import { isolate, stripDirectionControls } from "./text-direction.js";
import { toastFor } from "./toasts.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").DeskEvent} DeskEvent */
/** @typedef {import("./types.js").Summary} Summary */

/** Tones for an arrival in the queue and for a message, in Hz. */
const ARRIVAL = [659, 880];
const MESSAGE = [587];

/** @returns {State["permission"]} */
export function notificationPermission() {
  return "Notification" in window ? Notification.permission : "denied";
}

export class Alerts {
  /**
   * @param {HTMLElement} liveRegion read out by screen readers
   * @param {(handoff_id: string) => void} open
   */
  constructor(liveRegion, open) {
    this.liveRegion = liveRegion;
    this.open = open;
    this.title = document.title;
    /** @type {AudioContext | null} */
    this.audio = null;
    // Browsers let a page make a sound only after the person touched it.
    for (const gesture of ["pointerdown", "keydown"])
      addEventListener(gesture, () => this.#allowSound(), { once: true });
  }

  /**
   * @param {State} state
   * @param {DeskEvent} event
   * @param {State} before
   */
  handle(state, event, before) {
    this.#showCount(state, before);
    if (event.type === "sound changed") this.#play(state, ARRIVAL);
    if (!state.me?.online) return;
    for (const summary of arrivals(state, event, before)) this.#arrived(state, summary);
    if (event.type === "message") this.#messageArrived(state, event, before);
    const toast = toastFor(state, event, before);
    if (toast?.urgent) this.#alert(state, MESSAGE, toast.text, "", toast.handoff_id);
  }

  /** @param {State} state @param {State} before */
  #showCount(state, before) {
    if (state.lists === before.lists && state.messages === before.messages && state.seen === before.seen) return;
    const count = attentionCount(state);
    document.title = count ? `(${count}) ${this.title}` : this.title;
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #arrived(state, summary) {
    const where = departmentTitle(state, summary.department);
    const who = isolate(summary.title);
    const text = where ? `${who} is waiting for ${isolate(where)}.` : `${who} is waiting.`;
    this.liveRegion.textContent = text;
    this.#alert(state, ARRIVAL, text, summary.reason ?? "", summary.handoff_id);
  }

  /**
   * @param {State} state
   * @param {DeskEvent} event
   * @param {State} before
   */
  #messageArrived(state, { handoff_id, message }, before) {
    const summary = state.summaries.get(handoff_id);
    if (!summary || message.speaker !== "customer" || !isMine(state, summary)) return;
    const known = message.seq <= (before.messages.get(handoff_id)?.at(-1)?.seq ?? 0);
    if (known || (document.hasFocus() && state.selected === handoff_id)) return;
    this.#alert(state, MESSAGE, `${isolate(summary.title)} wrote`, message.text, handoff_id);
  }

  /**
   * @param {State} state
   * @param {number[]} tones
   * @param {string} title
   * @param {string} body
   * @param {string} handoff_id
   */
  #alert(state, tones, title, body, handoff_id) {
    this.#play(state, tones);
    if (state.permission !== "granted" || document.hasFocus()) return;
    try {
      const notification = new Notification(title, { body: stripDirectionControls(body), tag: handoff_id });
      notification.onclick = () => (window.focus(), this.open(handoff_id), notification.close());
    } catch {
      // Chrome on Android has the class but lets only service workers use it.
    }
  }

  #allowSound() {
    this.audio ??= new AudioContext();
    void this.audio.resume();
  }

  /**
   * @param {State} state
   * @param {number[]} tones a seventh of a second apart
   */
  #play(state, tones) {
    if (!state.sound || this.audio?.state !== "running") return;
    for (const [place, pitch] of tones.entries()) playTone(this.audio, pitch, this.audio.currentTime + place / 7);
  }
}

/**
 * The conversations that this event has added to the queue. A `ready` after a reconnect adds those that came meanwhile; the
 * first `ready` after loading the page adds none.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @param {State} before
 */
function arrivals(state, event, before) {
  if (event.type === "arrival")
    return event.summary.state === "queued" && !before.summaries.has(event.summary.handoff_id) ? [event.summary] : [];
  if (event.type !== "ready" || !before.me) return [];
  return queuedConversations(state).filter((summary) => !before.summaries.has(summary.handoff_id));
}

/**
 * @param {AudioContext} audio
 * @param {number} pitch
 * @param {number} at
 */
function playTone(audio, pitch, at) {
  const tone = new OscillatorNode(audio, { frequency: pitch });
  const volume = new GainNode(audio, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.12, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.45);
  tone.connect(volume).connect(audio.destination);
  tone.start(at);
  tone.stop(at + 0.5);
}
