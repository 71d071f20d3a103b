// @ts-check
/** Tells the agent that somebody arrived: title, sound, desktop notification, text for a screen reader. */

import { isolated, undirected } from "./directions.js";
import { keepSetting, setting } from "./memory.js";
import { departmentTitle, isMine, messagesLeft, queue, unread, unreadLeft } from "./lists.js";
import { tiding } from "./tidings.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Summary} Summary */

const ARRIVAL = [659, 880];
const WORDS = [587];

export class Alerts {
  /**
   * @param {HTMLElement} spoken a live region
   * @param {(handoff_id: string) => void} open
   */
  constructor(spoken, open) {
    this.spoken = spoken;
    this.open = open;
    this.name = document.title;
    this.sound = setting("sound", true);
    /** @type {AudioContext | null} */
    this.audio = null;
    // Browsers let a page make a sound only after the person touched it.
    for (const gesture of ["pointerdown", "keydown"])
      addEventListener(gesture, () => this.#wake(), { once: true });
  }

  /**
   * @param {State} state
   * @param {Action} action
   * @param {State} before
   */
  hear(state, action, before) {
    this.#title(state);
    if (!state.me?.online) return;
    for (const summary of arrivals(state, action, before)) this.#arrived(state, summary);
    if (action.type === "message") this.#said(state, action, before);
    const news = tiding(state, action, before);
    if (news?.urgent) this.#urge(news);
  }

  /** @param {boolean} on */
  setSound(on) {
    this.sound = on;
    keepSetting("sound", on);
    if (on) this.#ring(ARRIVAL);
  }

  /** @returns {"default" | "granted" | "denied"} */
  get permission() {
    return "Notification" in window ? Notification.permission : "denied";
  }

  async allow() {
    return Notification.requestPermission();
  }

  /** @param {State} state */
  #title(state) {
    const open = [...state.summaries.values()].filter((summary) => isMine(state, summary));
    const read = open.filter((summary) => unread(state, summary.handoff_id));
    const left = messagesLeft(state).filter((summary) => unreadLeft(state, summary));
    const count = queue(state).length + read.length + left.length;
    document.title = count ? `(${count}) ${this.name}` : this.name;
  }

  /**
   * @param {State} state
   * @param {Summary} summary
   */
  #arrived(state, summary) {
    const where = departmentTitle(state, summary.department);
    const who = isolated(summary.title);
    const text = where ? `${who} is waiting for ${isolated(where)}.` : `${who} is waiting.`;
    this.spoken.textContent = text;
    this.#ring(ARRIVAL);
    this.#show(text, summary.reason ?? "", summary.handoff_id);
  }

  /**
   * @param {State} state
   * @param {Action} action
   * @param {State} before
   */
  #said(state, { handoff_id, message }, before) {
    const summary = state.summaries.get(handoff_id);
    const known = before.messages.get(handoff_id)?.some((one) => one.id === message.id);
    if (!summary || known || message.speaker !== "customer" || !isMine(state, summary)) return;
    if (document.hasFocus() && state.selected === handoff_id) return;
    this.#ring(WORDS);
    this.#show(`${isolated(summary.title)} wrote`, message.text, handoff_id);
  }

  /** @param {{text: string, handoff_id: string}} news */
  #urge({ text, handoff_id }) {
    this.#ring(WORDS);
    this.#show(text, "", handoff_id);
  }

  /**
   * @param {string} title
   * @param {string} body
   * @param {string} handoff_id
   */
  #show(title, body, handoff_id) {
    if (this.permission !== "granted" || document.hasFocus()) return;
    try {
      const note = new Notification(title, { body: undirected(body), tag: handoff_id });
      note.onclick = () => (window.focus(), this.open(handoff_id), note.close());
    } catch {
      // Chrome on Android knows the word but only lets service workers say it.
    }
  }

  #wake() {
    this.audio ??= new AudioContext();
    void this.audio.resume();
  }

  /** @param {number[]} notes in Hz, a seventh of a second apart */
  #ring(notes) {
    if (!this.sound || this.audio?.state !== "running") return;
    for (const [place, pitch] of notes.entries()) ring(this.audio, pitch, this.audio.currentTime + place / 7);
  }
}

/**
 * Those who came by this action. A `ready` after a reconnect brings whoever came meanwhile; the first nobody.
 *
 * @param {State} state
 * @param {Action} action
 * @param {State} before
 */
function arrivals(state, action, before) {
  if (action.type !== "arrival" && (action.type !== "ready" || !before.me)) return [];
  return queue(state).filter((summary) => !before.summaries.has(summary.handoff_id));
}

/**
 * @param {AudioContext} audio
 * @param {number} pitch
 * @param {number} at
 */
function ring(audio, pitch, at) {
  const tone = new OscillatorNode(audio, { frequency: pitch });
  const volume = new GainNode(audio, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.12, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.45);
  tone.connect(volume).connect(audio.destination);
  tone.start(at);
  tone.stop(at + 0.5);
}
