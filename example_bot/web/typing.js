// @ts-check

const AGAIN_AFTER = 3_000;
const OVER_AFTER = 4_000;

/** Tells the other side that somebody types: at the first key, now and then after it, and when it is over. */
export class TypingSign {
  /** @param {(on: boolean) => void} tell */
  constructor(tell) {
    this.tell = tell;
    this.told = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.silence = undefined;
  }

  key() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.over(), OVER_AFTER);
    if (Date.now() - this.told < AGAIN_AFTER) return;
    this.told = Date.now();
    this.tell(true);
  }

  over() {
    clearTimeout(this.silence);
    if (this.told) this.tell(false);
    this.told = 0;
  }
}
