// @ts-check
/** What an agent can do, as requests to the server and events for the state. */

import { fileName, kindOf, readableSize } from "./parts.js";
import { isMine, isOnline, myConversations } from "./selectors.js";
import { isolate } from "./text-direction.js";
import { composedParts } from "./unsent-parts.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./desk-socket.js").DeskSocket} DeskSocket */
/** @typedef {import("./outbox.js").Outbox} Outbox */
/** @typedef {import("./types.js").Answer} Answer */

const TOAST_LASTS = 8_000;
const TYPING_LASTS = 6_000;
/** Files, cards and lists of buttons of one message. */
const MOST_ATTACHED = 10;

export class Operations {
  /**
   * @param {Store} store
   * @param {DeskSocket} socket
   * @param {Outbox} outbox
   * @param {import("./file-storage.js").FileStorage} files
   */
  constructor(store, socket, outbox, files) {
    this.store = store;
    this.socket = socket;
    this.outbox = outbox;
    this.files = files;
    /** @type {Map<string, ReturnType<typeof setTimeout>>} */
    this.typingEnds = new Map();
  }

  /**
   * After every `ready`: load what was missed meanwhile, then send what couldn't be sent.
   *
   * @param {string[]} unread conversations that had unread messages before; those that have ended since are not in `ready`
   */
  async catchUp(unread) {
    const { state } = this.store;
    const missed = new Set([...myConversations(state).map((summary) => summary.handoff_id), ...unread]);
    if (state.selected) missed.add(state.selected);
    await Promise.all([...missed].map((id) => this.#load(id, { quietly: id !== state.selected })));
    this.outbox.resume();
  }

  /** @param {string | null} handoff_id */
  async select(handoff_id) {
    if (this.store.state.selected === handoff_id) return;
    this.store.dispatch({ type: "selected", handoff_id });
    if (handoff_id && isOnline(this.store.state)) await this.#load(handoff_id, { quietly: false });
  }

  /** @param {string} handoff_id */
  async take(handoff_id) {
    const answer = await this.socket.request("take", { handoff_id });
    if (!answer.ok || !answer.conversation) return this.#showProblem(answer);
    this.store.dispatch({ type: "selected", handoff_id });
    this.store.dispatch({ type: "opened", conversation: answer.conversation });
  }

  /**
   * @param {string} handoff_id
   * @param {string} text
   */
  sendMessage(handoff_id, text) {
    const { me, attached } = this.store.state;
    const parts = composedParts(text, attached.get(handoff_id) ?? []);
    const at = Date.now() / 1000;
    const unsent = { id: freshId(), handoff_id, agent: me?.id ?? "", text, at, problem: null, parts };
    this.store.dispatch({ type: "message composed", unsent });
    this.outbox.flush();
  }

  /**
   * Attach files to the next message of a conversation.
   *
   * @param {string} handoff_id
   * @param {readonly File[]} files
   */
  attachFiles(handoff_id, files) {
    const { attached, largestFile } = this.store.state;
    const refusal = refusalOf(files, MOST_ATTACHED - (attached.get(handoff_id) ?? []).length, largestFile);
    if (refusal) return this.showToast(refusal, "problem");
    for (const file of files) {
      const key = freshId();
      const media = { name: file.name, type: file.type || null, size: file.size };
      void this.files.keep(key, file);
      this.attach(handoff_id, { type: kindOf(file.type), media, key });
    }
  }

  /**
   * @param {string} handoff_id
   * @param {import("./types.js").Part & {key?: string}} part
   */
  attach(handoff_id, part) {
    const agent = this.store.state.me?.id ?? "";
    this.store.dispatch({ type: "part attached", handoff_id, part: { key: freshId(), agent, ...part } });
  }

  /** @param {string} id */
  retryMessage(id) {
    this.store.dispatch({ type: "message retried", id });
    this.outbox.resume();
  }

  /** @param {string} id */
  discardMessage(id) {
    this.store.dispatch({ type: "message removed", id });
    this.outbox.resume();
  }

  /**
   * Take back a message whose files are being uploaded: its words go back into the field, what else is beside them to what goes
   * with the next message. The files are forgotten.
   *
   * @param {string} id
   */
  cancelMessage(id) {
    const unsent = this.store.state.unsent.find((one) => one.id === id);
    if (!unsent) return;
    const { handoff_id, text, parts } = unsent;
    this.discardMessage(id);
    for (const part of parts)
      if (part.type === "buttons" || part.type === "card") this.store.dispatch({ type: "part attached", handoff_id, part });
    this.store.dispatch({ type: "words returned", handoff_id, text });
  }

  /**
   * @param {string} handoff_id
   * @param {boolean} on
   */
  sendTyping(handoff_id, on) {
    this.socket.sendVolatile("typing", { handoff_id, on });
  }

  /**
   * @param {string} handoff_id
   * @param {string} id the last of the customer's messages that the agent has read
   */
  sendRead(handoff_id, id) {
    this.socket.send("read", { handoff_id, id });
  }

  /**
   * Show after some seconds that a customer no longer types, since the event that says so may get lost.
   *
   * @param {string} handoff_id
   */
  endTypingLater(handoff_id) {
    clearTimeout(this.typingEnds.get(handoff_id));
    const end = () => {
      this.typingEnds.delete(handoff_id);
      this.store.dispatch({ type: "typing", handoff_id, on: false });
    };
    this.typingEnds.set(handoff_id, setTimeout(end, TYPING_LASTS));
  }

  /** @param {boolean} online */
  async setPresence(online) {
    const answer = await this.socket.request("presence", { online });
    if (answer.ok) this.store.dispatch({ type: "presence", online });
    else this.#showProblem(answer);
  }

  /**
   * @param {string} handoff_id
   * @param {string | null} department
   * @param {string} title as the agent reads it
   */
  async transfer(handoff_id, department, title) {
    const answer = await this.socket.request("transfer", { handoff_id, department });
    if (!answer.ok) return answer;
    this.store.dispatch({ type: "selected", handoff_id: null });
    this.showToast(`Transferred to ${isolate(title)}.`);
    return answer;
  }

  /**
   * @param {string} handoff_id
   * @param {{outcome: string, note: string | null, slots: Record<string, any>}} result
   */
  async resolve(handoff_id, result) {
    const answer = await this.socket.request("resolve", { handoff_id, ...result });
    if (!answer.ok) return answer;
    const wasMessage = this.store.state.summaries.get(handoff_id)?.state === "message";
    this.store.dispatch({ type: "selected", handoff_id: null });
    const back = wasMessage ? "" : " The bot has the conversation again.";
    const listed = result.outcome === "follow_up" ? ", and listed to follow up" : "";
    this.showToast(`Resolved${listed}.${back}`);
    return answer;
  }

  /** Note that the agent has followed up a conversation. @param {string} handoff_id */
  async followUp(handoff_id) {
    const answer = await this.socket.request("followed_up", { handoff_id });
    if (!answer.ok) this.#showProblem(answer);
  }

  /** Ask the browser for the permission to show desktop notifications. */
  async allowNotifications() {
    const permission = await Notification.requestPermission();
    this.store.dispatch({ type: "permission changed", permission });
  }

  /**
   * @param {string} text
   * @param {"info" | "problem"} [kind]
   * @param {string} [handoff_id] the conversation it is about
   */
  showToast(text, kind = "info", handoff_id = undefined) {
    const toast = { id: freshId(), text, kind, handoff_id };
    this.store.dispatch({ type: "toast shown", toast });
    setTimeout(() => this.store.dispatch({ type: "toast dismissed", id: toast.id }), TOAST_LASTS);
  }

  /**
   * Load a conversation. `quietly`, for one that isn't open: only messages that are new, and a failure isn't shown.
   * Else all messages, since the status of an older one may have changed.
   *
   * @param {string} handoff_id
   * @param {{quietly: boolean}} how
   */
  async #load(handoff_id, { quietly }) {
    const known = this.store.state.messages.get(handoff_id)?.at(-1)?.seq ?? 0;
    const answer = await this.socket.request("open", { handoff_id, after: quietly ? known : 0 });
    if (answer.ok && answer.conversation) this.store.dispatch({ type: "opened", conversation: answer.conversation });
    else if (!quietly && answer.code !== "offline") this.#closeUnavailable(handoff_id, answer);
  }

  /**
   * Close a conversation that couldn't be loaded, unless it is this agent's, and show why.
   *
   * @param {string} handoff_id
   * @param {Answer} answer
   */
  #closeUnavailable(handoff_id, answer) {
    const { state } = this.store;
    const summary = state.summaries.get(handoff_id);
    const mine = summary !== undefined && isMine(state, summary);
    if (!mine && state.selected === handoff_id) this.store.dispatch({ type: "selected", handoff_id: null });
    this.#showProblem(answer);
  }

  /** @param {Answer} answer */
  #showProblem(answer) {
    this.showToast(answer.error ?? "That didn't work. Please try again.", "problem");
  }
}

/**
 * Return why these files can't be attached; null if they can.
 *
 * @param {readonly File[]} files
 * @param {number} room how many more there may be
 * @param {number | null | undefined} largest bytes; null: this server keeps no files
 */
function refusalOf(files, room, largest) {
  if (largest === null) return "This server keeps no files, so none can be sent.";
  if (files.length > room) return `A message takes ${MOST_ATTACHED} files and cards. Send the others in another message.`;
  const large = largest === undefined ? undefined : files.find(({ size }) => size > largest);
  return large ? `${isolate(fileName(large))} is too large: ${readableSize(largest ?? 0)} are the most.` : null;
}

/** Make a unique id. Not by crypto.randomUUID: browsers have it only on pages by https or from localhost. */
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
