// @ts-check
/** The one module that knows the socket: events of docs/protocol.md, "/desk", in and out. */

import { io } from "./vendor/socket.io-client-4.8.4.MIT.esm.min.js";

/** @typedef {import("./types.js").DeskEvent} DeskEvent */
/** @typedef {import("./types.js").Answer} Answer */
/** @typedef {Error & {data?: {code?: string}}} ConnectError */

/** Relative to this module, since the desk may live below a path of a proxy: socket.io is beside the folder of this file. */
const PATH = new URL("../socket.io/", import.meta.url).pathname;
const ANSWER_WITHIN = 10_000;
const RECONNECT_AFTER = 1_000;
/** As long as this an interruption isn't shown: a server that is updated ends, and the page connects to another one. */
const INTERRUPTION_LASTS = 3_000;
/** @type {Answer} */
const NO_ANSWER = {
  ok: false,
  code: "offline",
  error: "The server can't be reached just now. Please try again in a moment.",
};

/**
 * How the payload of each event from the server is given to the reducer.
 *
 * @type {Record<string, (payload: any) => object>}
 */
const EVENTS = {
  ready: (payload) => payload,
  arrival: (summary) => ({ summary }),
  conversation: (summary) => ({ summary }),
  message: ({ handoff_id, ...message }) => ({ handoff_id, message }),
  "message.status": (payload) => payload,
  typing: (payload) => payload,
  reminder: (payload) => payload,
  presence: (payload) => payload,
  availability: (payload) => payload,
  deleted: (payload) => payload,
  signed_out: (payload) => payload,
};

export class DeskSocket {
  /** While an interruption may be over soon: ends with whether it is. @type {Promise<boolean> | null} */
  #interruption = null;
  #endInterruption = (/** @type {boolean} */ _) => {};

  /** @param {(event: DeskEvent) => void} dispatch */
  constructor(dispatch) {
    this.dispatch = dispatch;
    // The websocket first: polling names the connection in each address, and proxies log addresses.
    this.socket = io("/desk", {
      path: PATH,
      // Shows that our own page connects, and not another one that this browser sends its cookie with.
      auth: { csrf: document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "" },
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      autoConnect: false,
    });
    this.socket.on("connect", () => dispatch({ type: "connected" }));
    this.socket.on("disconnect", (/** @type {string} */ reason) => this.#disconnected(reason));
    this.socket.on("connect_error", (/** @type {ConnectError} */ error) => this.#notConnected(error));
    this.socket.on("ready", () => this.#endInterruption(true));
    for (const [type, convert] of Object.entries(EVENTS))
      this.socket.on(type, (/** @type {any} */ payload) => dispatch({ ...convert(payload ?? {}), type }));
  }

  connect() {
    this.socket.connect();
  }

  /**
   * Send an event and wait for its acknowledgement. Never rejects: no answer is an answer with code "offline".
   *
   * @param {string} event
   * @param {object} payload
   * @returns {Promise<Answer>}
   */
  async request(event, payload) {
    // While disconnected the Socket.IO client would keep the event and send it later, and the outbox would send it once more.
    if (!this.socket.connected && !(await this.#interruption)) return NO_ANSWER;
    try {
      return await this.socket.timeout(ANSWER_WITHIN).emitWithAck(event, payload);
    } catch {
      return NO_ANSWER;
    }
  }

  /**
   * Send something without an answer; nothing while there is no connection, since the client would keep it.
   *
   * @param {string} event
   * @param {object} payload
   */
  send(event, payload) {
    if (this.socket.connected) this.socket.emit(event, payload);
  }

  /**
   * Send something that may be lost, and is while other things are being sent.
   *
   * @param {string} event
   * @param {object} payload
   */
  sendVolatile(event, payload) {
    this.socket.volatile.emit(event, payload);
  }

  /** @param {string} reason */
  #disconnected(reason) {
    this.#interrupted();
    this.dispatch({ type: "disconnected" });
    // After a disconnect by the server (a restart, an ended session) the client doesn't reconnect by itself.
    if (reason === "io server disconnect") this.#connectLater();
  }

  /** @param {ConnectError} error */
  #notConnected(error) {
    const unavailable = error.data?.code === "unavailable"; // a trouble of the server's that passes
    if (!this.socket.active && !unavailable) return this.dispatch({ type: "refused", error: error.message });
    this.dispatch({ type: "disconnected" });
    if (!this.socket.active) this.#connectLater();
  }

  #interrupted() {
    this.#interruption ??= new Promise((resolve) => {
      const lasting = setTimeout(() => this.#endInterruption(false), INTERRUPTION_LASTS);
      this.#endInterruption = (isOver) => {
        clearTimeout(lasting);
        this.#interruption = null;
        if (!isOver) this.dispatch({ type: "interruption lasts" });
        resolve(isOver);
      };
    });
  }

  #connectLater() {
    setTimeout(() => this.socket.connect(), RECONNECT_AFTER);
  }
}
