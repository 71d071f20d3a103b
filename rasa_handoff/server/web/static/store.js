// @ts-check
/** Holds the state, and calls its listeners after each event. */

import { reduce } from "./reducer.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").DeskEvent} DeskEvent */
/** @typedef {(state: State, event: DeskEvent, before: State) => void} Listener */

export class Store {
  /** @param {State} state */
  constructor(state) {
    this.state = state;
    /** @type {Listener[]} */
    this.listeners = [];
  }

  /** @param {Listener} listener */
  subscribe(listener) {
    this.listeners.push(listener);
  }

  /** @param {DeskEvent} event */
  dispatch(event) {
    const before = this.state;
    this.state = reduce(before, event);
    for (const listener of this.listeners) listener(this.state, event, before);
  }
}
