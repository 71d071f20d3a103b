// @ts-check
/** The one module that knows the socket: events of docs/protocol.md, "/desk", in and out. */

import { io } from "./vendor/socket.io-client-4.8.4.MIT.esm.min.js";

/** @typedef {import("./types.js").Action} Action */
/** @typedef {import("./types.js").Answer} Answer */
/** @typedef {Error & {data?: {code?: string}}} Refusal */

/** The desk may live below a path: beside the folder of this module. */
const PATH = new URL("../socket.io/", import.meta.url).pathname;
const ANSWER_WITHIN = 10_000;
const RECONNECT_AFTER = 1_000;
/** @type {Answer} */
const NO_ANSWER = {
  ok: false,
  code: "offline",
  error: "The server can't be reached just now. Please try again in a moment.",
};

/**
 * How each event of the server's becomes an action of the state's.
 *
 * @type {Record<string, (payload: any) => Action>}
 */
const EVENTS = {
  ready: (payload) => ({ ...payload, type: "ready" }),
  arrival: (summary) => ({ type: "arrival", summary }),
  conversation: (summary) => ({ type: "conversation", summary }),
  message: ({ handoff_id, ...message }) => ({ type: "message", handoff_id, message }),
  "message.status": (payload) => ({ ...payload, type: "message.status" }),
  typing: (payload) => ({ ...payload, type: "typing" }),
  reminder: (payload) => ({ ...payload, type: "reminder" }),
  presence: (payload) => ({ ...payload, type: "presence" }),
  availability: (payload) => ({ ...payload, type: "availability" }),
  signed_out: () => ({ type: "signed_out" }),
};

export class DeskSocket {
  /** @param {(action: Action) => void} dispatch */
  constructor(dispatch) {
    // The websocket first: with several server processes polling would need sticky sessions.
    this.socket = io("/desk", {
      path: PATH,
      // Shows that our own page connects, and not another one that this browser sends its cookie with.
      auth: { csrf: document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "" },
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      autoConnect: false,
    });
    this.socket.on("connect", () => dispatch({ type: "connected" }));
    this.socket.on("disconnect", (/** @type {string} */ reason) => this.#dropped(reason, dispatch));
    this.socket.on("connect_error", (/** @type {Refusal} */ error) => dispatch(this.#unconnected(error)));
    for (const [event, action] of Object.entries(EVENTS)) {
      this.socket.on(event, (/** @type {any} */ payload) => dispatch(action(payload ?? {})));
    }
  }

  open() {
    this.socket.connect();
  }

  /**
   * Asks and waits for the acknowledgement. Never rejects: no answer is an answer with code "offline".
   *
   * @param {string} event
   * @param {object} payload
   * @returns {Promise<Answer>}
   */
  async request(event, payload) {
    // Said while disconnected, the client would keep it and send it beside what the outbox sends again.
    if (!this.socket.connected) return NO_ANSWER;
    try {
      return await this.socket.timeout(ANSWER_WITHIN).emitWithAck(event, payload);
    } catch {
      return NO_ANSWER;
    }
  }

  /**
   * Says something that may be lost.
   *
   * @param {string} event
   * @param {object} payload
   */
  tell(event, payload) {
    this.socket.volatile.emit(event, payload);
  }

  /**
   * @param {string} reason
   * @param {(action: Action) => void} dispatch
   */
  #dropped(reason, dispatch) {
    dispatch({ type: "disconnected" });
    // After a disconnect by the server (a restart, an ended session) the client leaves it at that.
    if (reason === "io server disconnect") setTimeout(() => this.socket.connect(), RECONNECT_AFTER);
  }

  /**
   * @param {Refusal} error
   * @returns {Action}
   */
  #unconnected(error) {
    if (this.socket.active) return { type: "disconnected" };
    if (error.data?.code !== "unavailable") return { type: "refused", error: error.message };
    // The server's trouble, not ours: it will take us in again.
    setTimeout(() => this.socket.connect(), RECONNECT_AFTER);
    return { type: "disconnected" };
  }
}
