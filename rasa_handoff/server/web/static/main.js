// @ts-check
/**
 * The agent's desk: puts the parts together. The server's events and what the agent does become events of the state
 * (reducer.js), and every element with `data-view` shows it.
 *
 * Names for tests (data-testid), all stable:
 *   connection      the banner while there is no connection
 *   presence        the online/away switch (role switch)
 *   alerts          the button that allows desktop notifications;  sound: the sound switch
 *   queue-item      one who waits (data-handoff);  in it queue-open (opens it without taking it), queue-words (what the
 *                   customer wrote last) and take
 *   mine-item       one of my conversations (data-handoff), also one that ended before I had read all;  in it unread
 *   others-item     a colleague's conversation
 *   left-item       a message that was left (data-handoff);  in it unread
 *   follow-up-item  one that ended and is to be followed up (data-handoff);  in it follow-up-open and follow-up-done
 *   (rows of conversations whose customer waits too long for an answer have data-overdue)
 *   conversation    the middle, with data-handoff and data-state
 *   take-this       takes the opened conversation: from the queue, or over from a colleague who doesn't answer
 *   transcript-line a line from before the handoff (data-speaker);  transcript-follows while the transcript can't be read yet
 *   message         a line of the live chat (data-speaker, data-id);  in it status (data-status)
 *   part-<kind>     in a message or line: image, audio, video, file (stored at the desk; in it part-download), elsewhere (a
 *                   link to another server; data-kind), missing, location, contact, buttons, card, custom
 *   unsent          a message the server doesn't have yet;  in it send-again, discard and, while files are uploaded, upload
 *                   (the progress) and cancel-upload
 *   new-messages    shown while a new message is below what the agent reads; leads to it
 *   customer-typing shown while the customer types
 *   composer, send  the field and its button;  attach chooses files (attach-input), choices opens choices-dialog
 *   attached        what goes with the next message;  in it attached-remove
 *   choices-dialog  choices-kind, choices-title, choices-subtitle, choices-titles, choices-confirm
 *   transfer        opens transfer-dialog: transfer-department, transfer-problem, transfer-confirm
 *   resolve         opens resolve-dialog: resolve-outcome, resolve-note, slot-<name>, slot-<name>-error,
 *                   resolve-problem, resolve-confirm
 *   context         the panel on the right;  in it slot-value-<name>, intent
 *   toast           a passing message at the bottom (data-kind: info or problem);  in it toast-open
 *   left-hint       says of an opened message that it was left
 *   help            the button for the list of keys;  help-dialog
 *   sign-out
 */

import { Alerts, notificationPermission } from "./alerts.js";
import { conversationInAddress, loadSaved, loadUnread, onSeenElsewhere, removeDrafts, saveChanges } from "./browser-storage.js";
import { DeskSocket } from "./desk-socket.js";
import "./elements/register.js";
import { FileStorage } from "./file-storage.js";
import { MediaAddresses } from "./media-addresses.js";
import { Operations } from "./operations.js";
import { Outbox } from "./outbox.js";
import { ReadReceipts } from "./read-receipts.js";
import { initialState } from "./reducer.js";
import { unreadConversations, unreadCount } from "./selectors.js";
import { listenForShortcuts } from "./shortcuts.js";
import { Store } from "./store.js";
import { toastFor } from "./toasts.js";
import { neededFiles } from "./unsent-parts.js";
import { Uploads } from "./uploads.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").DeskEvent} DeskEvent */

const DAY_CHECKED_EVERY = 60_000;

const today = () => new Date().toDateString();
const store = new Store(initialState({ ...loadSaved(), permission: notificationPermission(), day: today() }));
const unreadBefore = loadUnread();
const socket = new DeskSocket((event) => store.dispatch(event));
const files = new FileStorage();
const uploads = new Uploads(files, (key, share) => store.dispatch({ type: "upload progressed", key, share }));
const outbox = new Outbox(
  store,
  (event, payload) => socket.request(event, payload),
  (handoff_id, part) => uploads.send(handoff_id, part),
);
const addresses = new MediaAddresses((event, payload) => socket.request(event, payload));
const operations = new Operations(store, socket, outbox, files);
const receipts = new ReadReceipts((handoff_id, id) => operations.sendRead(handoff_id, id));
const liveRegion = /** @type {HTMLElement} */ (document.querySelector("#announcements"));
const alerts = new Alerts(liveRegion, (id) => operations.select(id));
const views = /** @type {import("./elements/view.js").View[]} */ ([...document.querySelectorAll("[data-view]")]);

/** What each command of elements (`sendCommand` in dom.js) and keys does. @type {Record<string, (detail: any) => unknown>} */
const commands = {
  select: ({ handoff_id }) => operations.select(handoff_id),
  take: ({ handoff_id }) => operations.take(handoff_id),
  followUp: ({ handoff_id }) => operations.followUp(handoff_id),
  "send message": ({ handoff_id, text }) => operations.sendMessage(handoff_id, text),
  "retry message": ({ id }) => operations.retryMessage(id),
  "cancel message": ({ id }) => operations.cancelMessage(id),
  "discard message": ({ id }) => operations.discardMessage(id),
  "attach files": ({ handoff_id, files: chosen }) => operations.attachFiles(handoff_id, chosen),
  "attach part": ({ handoff_id, part }) => operations.attach(handoff_id, part),
  "detach part": ({ handoff_id, key }) => store.dispatch({ type: "part detached", handoff_id, key }),
  "load file": async ({ key, done }) => done(await files.load(key)),
  "sign out": () => files.clear(),
  "media address": ({ handoff_id, id, done }) => addresses.ask(handoff_id, id, done),
  typing: ({ handoff_id, on }) => operations.sendTyping(handoff_id, on),
  presence: ({ online }) => operations.setPresence(online),
  sound: ({ on }) => store.dispatch({ type: "sound changed", on }),
  "allow notifications": () => operations.allowNotifications(),
  dialog: ({ dialog }) => store.dispatch({ type: "dialog changed", name: dialog }),
  transfer: async ({ handoff_id, department, title, done }) =>
    done(await operations.transfer(handoff_id, department, title)),
  resolve: async ({ handoff_id, result, done }) => done(await operations.resolve(handoff_id, result)),
  "dismiss toast": ({ id }) => store.dispatch({ type: "toast dismissed", id }),
};

/** @param {State} state */
function render(state) {
  for (const view of views) view.render(state);
}

/**
 * Do what follows from an event, beyond the state.
 *
 * @param {State} state
 * @param {DeskEvent} event
 * @param {State} before
 */
function follow(state, event, before) {
  const toast = toastFor(state, event, before);
  if (toast) operations.showToast(toast.text, "info", toast.handoff_id);
  if (event.type === "opened") receipts.forget(event.conversation.handoff_id);
  if (event.type === "ready") void operations.catchUp([...unreadBefore.splice(0), ...unreadConversations(before)]);
  if (event.type === "typing" && event.on) operations.endTypingLater(event.handoff_id);
  if (event.type === "deleted") removeDrafts(event.handoff_ids);
  if (event.type === "signed_out") location.assign("./");
  removeFiles(state, before);
  markSeen(state);
}

/**
 * Remove the files that no unsent message needs any more: it is sent, or the agent has discarded it.
 *
 * @param {State} state
 * @param {State} before
 */
function removeFiles(state, before) {
  if (state.unsent === before.unsent && state.attached === before.attached) return;
  const needed = neededFiles(state);
  for (const key of neededFiles(before)) {
    if (needed.has(key)) continue;
    uploads.cancel(key);
    void files.remove(key);
  }
}

/** Mark the open conversation as read, if the page is visible, and tell its customer. @param {State} state */
function markSeen(state) {
  const id = state.selected;
  receipts.update(state, !document.hidden);
  if (id && !document.hidden && unreadCount(state, id)) store.dispatch({ type: "seen", handoff_id: id });
}

store.subscribe((state, _, before) => saveChanges(state, before));
store.subscribe((state, event, before) => alerts.handle(state, event, before));
store.subscribe(render);
store.subscribe(follow);

document.addEventListener("command", (event) => {
  const { name, ...detail } = /** @type {CustomEvent} */ (event).detail;
  void commands[name](detail);
});
document.addEventListener("visibilitychange", () => markSeen(store.state));
onSeenElsewhere((seen) => store.dispatch({ type: "seen elsewhere", seen }));
addEventListener("online", () => outbox.resume());
addEventListener("popstate", () => operations.select(conversationInAddress()));
setInterval(() => store.dispatch({ type: "day changed", day: today() }), DAY_CHECKED_EVERY);
listenForShortcuts(store, commands);

render(store.state);
void files.removeLeft(neededFiles(store.state));
socket.connect();
