// @ts-check
/**
 * The agent's desk: puts the parts together. The server's events and the agent's wishes change the state
 * (state.js), and every element with `data-view` draws it anew.
 *
 * Names for tests (data-testid), all stable:
 *   connection      the banner while there is no connection
 *   presence        the online/away switch (role switch)
 *   alerts          the button that allows desktop notifications;  sound: the sound switch
 *   queue-item      one who waits (data-handoff);  in it queue-open (read first) and take
 *   mine-item       one of my conversations (data-handoff);  in it unread
 *   others-item     a colleague's conversation
 *   left-item       a message that was left (data-handoff);  in it unread
 *   (rows of conversations whose customer waits too long for an answer have data-overdue)
 *   conversation    the middle, with data-handoff and data-state
 *   take-this       takes the opened one, while it waits, or over from a colleague who doesn't answer
 *   transcript-line a line from before the handoff (data-speaker)
 *   message         a line of the live chat (data-speaker, data-id);  in it status (data-status)
 *   unsent          a message the server doesn't have yet;  in it send-again and discard
 *   customer-typing shown while the customer types
 *   composer, send  the field and its button
 *   transfer, transfer-department, transfer-confirm
 *   resolve, resolve-outcome, resolve-note, slot-<name>, resolve-confirm, resolve-problem
 *   context         the panel on the right;  in it slot-value-<name>, intent
 *   notice          a passing message at the bottom;  data-kind: info or problem;  in it notice-open
 *   left-hint       says of an opened message that it was left
 *   help            the button for the list of keys;  help-dialog
 *   sign-out
 */

import { Alerts } from "./alerts.js";
import { Desk } from "./desk.js";
import { unread } from "./lists.js";
import { addressed, recall, remember } from "./memory.js";
import { Outbox } from "./outbox.js";
import { listen } from "./shortcuts.js";
import { DeskSocket } from "./socket.js";
import { initial } from "./state.js";
import { Store } from "./store.js";
import { tiding } from "./tidings.js";
import "./elements/all.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Action} Action */

const store = new Store(initial(recall()));
const socket = new DeskSocket((action) => store.dispatch(action));
const outbox = new Outbox(store, (event, payload) => socket.request(event, payload));
const desk = new Desk(store, socket, outbox);
const spoken = /** @type {HTMLElement} */ (document.querySelector("#spoken"));
const alerts = new Alerts(spoken, (id) => desk.select(id));
const views = /** @type {any[]} */ ([...document.querySelectorAll("[data-view]")]);

/** What elements ask for (`ask` in dom.js). @type {Record<string, (detail: any) => unknown>} */
const wishes = {
  select: ({ handoff_id }) => desk.select(handoff_id),
  take: ({ handoff_id }) => desk.take(handoff_id),
  say: ({ handoff_id, text }) => desk.say(handoff_id, text),
  "say again": ({ id }) => desk.sayAgain(id),
  discard: ({ id }) => store.dispatch({ type: "discard", id }),
  typing: ({ handoff_id, on }) => desk.typing(handoff_id, on),
  presence: ({ online }) => desk.presence(online),
  dialog: ({ name }) => store.dispatch({ type: "dialog", name }),
  transfer: async ({ handoff_id, department, title, done }) =>
    done(await desk.transfer(handoff_id, department, title)),
  resolve: async ({ handoff_id, result, done }) => done(await desk.resolve(handoff_id, result)),
  "dismiss notice": ({ id }) => store.dispatch({ type: "notice gone", id }),
};

/** @param {State} state */
function draw(state) {
  for (const view of views) view.render(state, alerts);
}

/**
 * What follows from an action, beyond the state.
 *
 * @param {State} state
 * @param {Action} action
 * @param {State} before
 */
function follow(state, action, before) {
  const news = tiding(state, action, before);
  if (news) desk.notify(news.text, "info", news.handoff_id);
  if (action.type === "ready") void desk.catchUp();
  if (action.type === "typing" && action.on) desk.endTypingLater(action.handoff_id);
  if (action.type === "signed_out") location.assign("./");
  look(state);
}

/** What stands before the agent's eyes is read. @param {State} state */
function look(state) {
  const id = state.selected;
  if (id && !document.hidden && unread(state, id)) store.dispatch({ type: "seen", handoff_id: id });
}

store.subscribe((state, _, before) => remember(state, before));
store.subscribe((state, action, before) => alerts.hear(state, action, before));
store.subscribe(draw);
store.subscribe(follow);

document.addEventListener("wish", (event) => {
  const { wish, ...detail } = /** @type {CustomEvent} */ (event).detail;
  void wishes[wish](detail);
});
document.addEventListener("visibilitychange", () => look(store.state));
document.addEventListener("alerts changed", () => draw(store.state));
addEventListener("popstate", () => desk.select(addressed()));
listen(store, wishes);

draw(store.state);
socket.open();
