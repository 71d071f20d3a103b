// @ts-check
import { ask, el, keep } from "../dom.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Notice} Notice */

/** Passing messages, spoken by screen readers. */
export class NoticeList extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "status");
  }

  /** @param {State} state */
  render(state) {
    keep(this, state.notices, (notice) => notice.id, show);
  }
}

/** @param {Notice} notice */
function show(notice) {
  const close = el("button", { type: "button", class: "quiet", "aria-label": "Close this message" }, "Close");
  close.addEventListener("click", () => ask(close, "dismiss notice", { id: notice.id }));
  return el(
    "div",
    { class: "notice", "data-testid": "notice", "data-kind": notice.kind },
    el("span", { dir: "auto" }, notice.text),
    notice.handoff_id ? opener(notice) : null,
    close,
  );
}

/** @param {Notice} notice */
function opener({ id, handoff_id }) {
  const open = el("button", { type: "button", class: "quiet", "data-testid": "notice-open" }, "Open");
  open.addEventListener("click", () => {
    ask(open, "select", { handoff_id });
    ask(open, "dismiss notice", { id });
  });
  return open;
}
