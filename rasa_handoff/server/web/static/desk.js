// @ts-check
/** What an agent can do, as requests to the server and changes of the state. */

import { isolated } from "./directions.js";
import { isMine, mine } from "./lists.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./socket.js").DeskSocket} DeskSocket */
/** @typedef {import("./outbox.js").Outbox} Outbox */
/** @typedef {import("./types.js").Answer} Answer */

const NOTICE_STAYS = 8_000;
const TYPING_LASTS = 6_000;

export class Desk {
  /**
   * @param {Store} store
   * @param {DeskSocket} socket
   * @param {Outbox} outbox
   */
  constructor(store, socket, outbox) {
    this.store = store;
    this.socket = socket;
    this.outbox = outbox;
    /** @type {Map<string, ReturnType<typeof setTimeout>>} */
    this.typingEnds = new Map();
  }

  /** After every `ready`: what was missed meanwhile, then what couldn't be said. */
  async catchUp() {
    const { state } = this.store;
    const missed = new Set(mine(state).map((summary) => summary.handoff_id));
    if (state.selected) missed.add(state.selected);
    await Promise.all([...missed].map((id) => this.#load(id, { quietly: id !== state.selected })));
    this.outbox.pump();
  }

  /** @param {string | null} handoff_id */
  async select(handoff_id) {
    if (this.store.state.selected === handoff_id) return;
    this.store.dispatch({ type: "select", handoff_id });
    if (handoff_id && this.store.state.connection === "online")
      await this.#load(handoff_id, { quietly: false });
  }

  /** @param {string} handoff_id */
  async take(handoff_id) {
    const answer = await this.socket.request("take", { handoff_id });
    if (!answer.ok || !answer.conversation) return this.#complain(answer);
    this.store.dispatch({ type: "select", handoff_id });
    this.store.dispatch({ type: "opened", conversation: answer.conversation });
  }

  /**
   * @param {string} handoff_id
   * @param {string} text
   */
  say(handoff_id, text) {
    const agent = this.store.state.me?.id ?? "";
    const unsent = { id: freshId(), handoff_id, agent, text, at: Date.now() / 1000, problem: null };
    this.store.dispatch({ type: "compose", unsent });
    this.outbox.pump();
  }

  /** @param {string} id */
  sayAgain(id) {
    this.store.dispatch({ type: "send again", id });
    this.outbox.pump();
  }

  /**
   * @param {string} handoff_id
   * @param {boolean} on
   */
  typing(handoff_id, on) {
    this.socket.tell("typing", { handoff_id, on });
  }

  /** A typing sign whose end got lost ends by itself. @param {string} handoff_id */
  endTypingLater(handoff_id) {
    clearTimeout(this.typingEnds.get(handoff_id));
    const end = () => {
      this.typingEnds.delete(handoff_id);
      this.store.dispatch({ type: "typing", handoff_id, on: false });
    };
    this.typingEnds.set(handoff_id, setTimeout(end, TYPING_LASTS));
  }

  /** @param {boolean} online */
  async presence(online) {
    const answer = await this.socket.request("presence", { online });
    if (answer.ok) this.store.dispatch({ type: "presence", online });
    else this.#complain(answer);
  }

  /**
   * @param {string} handoff_id
   * @param {string | null} department
   * @param {string} title as the agent reads it
   */
  async transfer(handoff_id, department, title) {
    const answer = await this.socket.request("transfer", { handoff_id, department });
    if (!answer.ok) return answer;
    this.store.dispatch({ type: "select", handoff_id: null });
    this.notify(`Transferred to ${isolated(title)}.`);
    return answer;
  }

  /**
   * @param {string} handoff_id
   * @param {{outcome: string, note: string | null, slots: Record<string, any>}} result
   */
  async resolve(handoff_id, result) {
    const answer = await this.socket.request("resolve", { handoff_id, ...result });
    if (!answer.ok) return answer;
    const left = this.store.state.summaries.get(handoff_id)?.state === "message";
    this.store.dispatch({ type: "select", handoff_id: null });
    this.notify(left ? "Resolved." : "Resolved. The bot has the conversation again.");
    return answer;
  }

  /**
   * @param {string} text
   * @param {"info" | "problem"} [kind]
   * @param {string} [handoff_id] the conversation it is about
   */
  notify(text, kind = "info", handoff_id = undefined) {
    const notice = { id: freshId(), text, kind, handoff_id };
    this.store.dispatch({ type: "notice", notice });
    setTimeout(() => this.store.dispatch({ type: "notice gone", id: notice.id }), NOTICE_STAYS);
  }

  /**
   * The whole of the open one, since a message's status may have changed; of the others only what is new.
   *
   * @param {string} handoff_id
   * @param {{quietly: boolean}} how
   */
  async #load(handoff_id, { quietly }) {
    const known = this.store.state.messages.get(handoff_id)?.at(-1)?.seq ?? 0;
    const answer = await this.socket.request("open", { handoff_id, after: quietly ? known : 0 });
    if (answer.ok && answer.conversation)
      this.store.dispatch({ type: "opened", conversation: answer.conversation });
    else if (!quietly && answer.code !== "offline") this.#notThere(handoff_id, answer);
  }

  /**
   * @param {string} handoff_id
   * @param {Answer} answer
   */
  #notThere(handoff_id, answer) {
    const { state } = this.store;
    const summary = state.summaries.get(handoff_id);
    if (summary && isMine(state, summary)) return this.#complain(answer);
    if (state.selected === handoff_id) this.store.dispatch({ type: "select", handoff_id: null });
    this.#complain(answer);
  }

  /** @param {Answer} answer */
  #complain(answer) {
    this.notify(answer.error ?? "That didn't work. Please try again.", "problem");
  }
}

/** Unique without crypto.randomUUID, which browsers withhold from plain http on other hosts than this one. */
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
