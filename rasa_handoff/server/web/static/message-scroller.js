// @ts-check
/**
 * Keeps the end of the messages in view, unless somebody has gone back to read: then a button says that there is something new,
 * and leads to it.
 */

/** Pixels from the end within which the list still follows new messages. */
const NEAR_END = 120;

export class MessageScroller {
  #staysAtEnd = true;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} button shown while something new is below
   */
  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    scroller.addEventListener("scroll", () => this.#scrolled());
    button.addEventListener("click", () => {
      this.toEnd();
      scroller.focus({ preventScroll: true }); // the button has gone
    });
    // A keyboard on a phone, or a growing field, takes room away.
    new ResizeObserver(() => this.follow()).observe(scroller);
    // A picture has its height only when it has come; loading doesn't bubble.
    scroller.addEventListener("load", () => this.follow(), { capture: true });
  }

  /** Show the end, if it was in view. */
  follow() {
    if (this.#staysAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Show the end, wherever one was. */
  toEnd() {
    this.#staysAtEnd = true;
    this.button.hidden = true;
    this.follow();
  }

  /** Say that something new has come, if it is out of view. */
  announce() {
    this.button.hidden = this.#staysAtEnd;
    this.follow();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.#staysAtEnd = scrollHeight - scrollTop - clientHeight <= NEAR_END;
    if (this.#staysAtEnd) this.button.hidden = true;
  }
}
