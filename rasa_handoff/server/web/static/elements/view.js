// @ts-check
import { sameValues } from "../keyed-list.js";

/** @typedef {import("../types.js").State} State */

/** Base of the elements that show a part of the state, and draw again only if it has changed. */
export class View extends HTMLElement {
  /** @type {readonly unknown[] | null} */
  #drawn = null;

  /**
   * The parts of the state that `draw` reads. They are compared by identity: the reducer keeps what it doesn't change.
   *
   * @param {State} state
   * @returns {readonly unknown[]}
   */
  inputs(state) {
    return [state];
  }

  /** @param {State} _state */
  draw(_state) {}

  /** @param {State} state */
  render(state) {
    const inputs = this.inputs(state);
    if (this.#drawn && sameValues(inputs, this.#drawn)) return;
    this.#drawn = inputs;
    this.draw(state);
  }
}
