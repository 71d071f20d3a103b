// @ts-check
import { el, sendCommand } from "../dom.js";
import { KeyedList } from "../keyed-list.js";
import { View } from "./view.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Toast} Toast */

/** Passing messages to the agent, read out by screen readers. */
export class ToastList extends View {
  /** @type {KeyedList<Toast>} */
  #toasts = new KeyedList(this, { keyOf: (toast) => toast.id, create: createToast });

  connectedCallback() {
    this.setAttribute("role", "status");
  }

  /** @param {State} state */
  inputs(state) {
    return [state.toasts];
  }

  /** @param {State} state */
  draw(state) {
    this.#toasts.render(state.toasts);
  }
}

/** @param {Toast} toast */
function createToast(toast) {
  const close = el("button", { type: "button", class: "quiet", "aria-label": "Close this message" }, "Close");
  close.addEventListener("click", () => sendCommand(close, "dismiss toast", { id: toast.id }));
  return el(
    "div",
    { class: "toast", "data-testid": "toast", "data-kind": toast.kind },
    el("span", { dir: "auto" }, toast.text),
    toast.handoff_id ? openButton(toast) : null,
    close,
  );
}

/** @param {Toast} toast */
function openButton({ id, handoff_id }) {
  const open = el("button", { type: "button", class: "quiet", "data-testid": "toast-open" }, "Open");
  open.addEventListener("click", () => {
    sendCommand(open, "select", { handoff_id });
    sendCommand(open, "dismiss toast", { id });
  });
  return open;
}
