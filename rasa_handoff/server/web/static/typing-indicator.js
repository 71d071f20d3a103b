// @ts-check

const REPEAT_AFTER = 3_000;
const STOP_AFTER = 4_000;

/** Informs the other side that somebody types: at the first key, now and then after it, and when it is over. */
export class TypingIndicator {
  /** @param {(on: boolean) => void} send */
  constructor(send) {
    this.send = send;
    this.lastSent = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timeout = undefined;
  }

  keyPressed() {
    clearTimeout(this.timeout);
    this.timeout = setTimeout(() => this.stop(), STOP_AFTER);
    if (Date.now() - this.lastSent < REPEAT_AFTER) return;
    this.lastSent = Date.now();
    this.send(true);
  }

  stop() {
    clearTimeout(this.timeout);
    if (this.lastSent) this.send(false);
    this.lastSent = 0;
  }
}
