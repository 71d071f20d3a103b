/**
 * Measures in a page, until what has changed is painted. It is run before the page's own scripts, in the desk and in the bare page.
 *
 * Each function begins to measure and returns a promise of milliseconds.
 */
window.pageClock = (() => {
  const CONVERSATION = "#conversation, [data-testid=conversation]";

  /** When the last message of a websocket came. */
  let receivedAt = 0;

  window.WebSocket = class extends WebSocket {
    constructor(...settings) {
      super(...settings);
      super.addEventListener("message", () => {
        receivedAt = performance.now();
      });
    }
  };

  /** Wait until the next frame has been painted. */
  function painted() {
    return new Promise((resolve) => {
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => resolve(performance.now());
        channel.port2.postMessage(null);
      });
    });
  }

  /**
   * Wait until an element with this text is put into the conversation, and is painted. `began` is called when it is put there,
   * and returns when the time begins.
   */
  function shown(text, began) {
    return new Promise((resolve) => {
      const observer = new MutationObserver((changes) => {
        const added = changes.flatMap((change) => [...change.addedNodes]);
        if (added.some((node) => node.parentElement?.closest(CONVERSATION) && node.textContent.includes(text))) {
          observer.disconnect();
          const from = began();
          painted().then((at) => resolve(at - from));
        }
      });
      observer.observe(document.documentElement, { childList: true, subtree: true });
    });
  }

  return {
    /** Measure from a click on an element until this text is painted. */
    opens(selector, text) {
      const clickedAt = performance.now();
      const until = shown(text, () => clickedAt);
      document.querySelector(selector).click();
      return until;
    },

    /** Measure from the arrival of a message until its text, this one, is painted. */
    receives(text) {
      return shown(text, () => receivedAt);
    },

    /** Measure from the next key until the page is painted. */
    types() {
      return new Promise((resolve) => {
        const typed = (event) => painted().then((at) => resolve(at - event.timeStamp));
        window.addEventListener("keydown", typed, { capture: true, once: true });
      });
    },
  };
})();
