// @ts-check
/**
 * Rasa's socketio protocol: session_request, user_uttered, bot_uttered. `typing`, `message_read`, `acks`,
 * `handoff_speaker` and the ids are HandoffChannel's additions, which Rasa's own channel doesn't mind.
 *
 * With `acks` a message to the page has an id and is sent again until the page has acknowledged it; the page's messages
 * have ids too and are acknowledged when they are accepted.
 *
 * With `customer_tokens: optional` or `required` a new conversation is given its token once, in `customer_token`; the page
 * keeps it and sends it in each `session_request`. `session_refused` says that this page may not use the conversation.
 */

import { io } from "./vendor/socket.io-client-4.8.4.MIT.esm.min.js";

/** Who speaks; the bot if it is nobody. @typedef {{kind: "agent" | "notice", name: string | null}} Speaker */
/** What comes; `message-content.js` reads all but these. @typedef {{id?: string, handoff_speaker?: Speaker}} Uttered */
/** @typedef {"connecting" | "online" | "offline" | "refused"} Connection */
/** @typedef {{session: string, token: string | null}} Credentials */
/**
 * Whom the customer has now. While they wait: their `position` in the queue, and the expected `wait` in seconds, as far as they
 * are known.
 *
 * @typedef {{active: "bot" | "waiting" | "person" | "closed", agent: string | null, position?: number | null, wait?: number | null}} Active
 */
/** @typedef {"accepted" | "refused" | "unknown"} Outcome */
/**
 * What the page does about what happens. `onMessage` returns when the message is stored.
 *
 * @typedef {object} Handlers
 * @property {(state: Connection) => void} onConnection
 * @property {(message: Uttered) => void} onMessage
 * @property {(on: boolean) => void} onTyping
 * @property {(id: string) => void} onRead the person has read this message of the customer's, and all before it
 * @property {(who: Active) => void} onActive
 * @property {(credentials: {session_id: string, token: string}) => void} onToken
 */

const RETRY_AFTER = 1_000;
const ANSWER_WITHIN = 15_000;
/** Until then `handoff_state` follows a `session_confirm`, if somebody else than the bot has the customer. */
const STATE_WITHIN = 500;

/** Codes of refusals that don't last: Rasa's side can't store anything just now, or the page hasn't joined its session (again) yet. */
const RETRY_LATER = ["unavailable", "not_joined", "customer_token"];

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Return where Rasa is: `?rasa=http://localhost:5005`, else this host on Rasa's usual port. `?rasa=` with another host is
 * ignored, since a link must not lead the customer's messages to somebody else; the names of this machine are one host.
 */
export function rasaAddress() {
  const usual = `${location.protocol}//${location.hostname || "localhost"}:5005`;
  const asked = new URLSearchParams(location.search).get("rasa");
  if (!asked || !URL.canParse(asked)) return usual;
  const { hostname } = new URL(asked);
  const here = location.hostname || "localhost";
  const near = hostname === here || (LOOPBACK.includes(hostname) && LOOPBACK.includes(here));
  return near ? asked : usual;
}

/** Where a page adds files to its conversation. */
export function filesAddress() {
  return new URL("webhooks/socketio/handoff/media", `${rasaAddress().replace(/\/+$/, "")}/`).href;
}

export class RasaSocket {
  /**
   * @param {string} address
   * @param {() => Credentials} credentials the session's id, and the token that was given for it
   * @param {Handlers} handlers
   */
  constructor(address, credentials, { onConnection, onMessage, onTyping, onRead, onActive, onToken }) {
    this.credentials = credentials;
    this.session = () => credentials().session;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.stateMissing = undefined;
    // The websocket first: polling from another origin needs `rasa run --cors`.
    this.socket = io(address, {
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      autoConnect: false,
    });
    this.socket.on("connect", () => this.join());
    this.socket.on("customer_token", onToken);
    this.socket.on("session_refused", (/** @type {{code?: string}} */ { code } = {}) => {
      if (code === "unavailable") setTimeout(() => this.join(), RETRY_AFTER);
      else onConnection("refused");
    });
    this.socket.on("session_confirm", () => {
      onConnection("online");
      clearTimeout(this.stateMissing);
      this.stateMissing = setTimeout(() => onActive({ active: "bot", agent: null }), STATE_WITHIN);
    });
    this.socket.on("handoff_state", (/** @type {Active} */ who) => {
      clearTimeout(this.stateMissing);
      onActive(who);
    });
    this.socket.on("disconnect", (/** @type {string} */ reason) => {
      onConnection("offline");
      // After a disconnect by a server that restarts the client doesn't reconnect by itself.
      if (reason === "io server disconnect") setTimeout(() => this.socket.connect(), RETRY_AFTER);
    });
    this.socket.on("connect_error", () => onConnection("offline"));
    this.socket.on("typing", (/** @type {{on?: boolean}} */ { on } = {}) => onTyping(on === true));
    this.socket.on("message_read", (/** @type {{id?: string}} */ { id } = {}) => onRead(String(id)));
    this.socket.on("bot_uttered", (/** @type {Uttered} */ message, /** @type {unknown} */ acknowledge) => {
      onMessage(message ?? {});
      if (typeof acknowledge === "function") acknowledge({ ok: true });
    });
  }

  /** Ask for the session; `token: null` asks for its token too, which only a new session gets. */
  join() {
    const { session, token } = this.credentials();
    this.socket.emit("session_request", { session_id: session, token, acks: true });
  }

  /** Connect anew. After the session's id has changed, this also leaves the old session. */
  reconnect() {
    this.socket.disconnect();
    this.socket.connect();
  }

  /** Connect now, if there is no connection. */
  connect() {
    this.socket.connect();
  }

  /** Send that the customer types, or no longer; may be lost. @param {boolean} on */
  sendTyping(on) {
    this.socket.volatile.emit("typing", { session_id: this.session(), on });
  }

  /** Send that the customer has seen a message; may be lost. @param {string} id */
  sendRead(id) {
    this.socket.emit("message_read", { session_id: this.session(), id });
  }

  /**
   * Send a message once. "unknown" may have arrived or not, and is to be sent again with the same id.
   *
   * @param {string} id
   * @param {string} message
   * @param {{parts?: object[], files?: string[]}} [beside] what it has beside words; files by their ids
   * @returns {Promise<Outcome>}
   */
  async sendMessage(id, message, { parts, files } = {}) {
    try {
      const body = { message, session_id: this.session(), id, ...(parts && { parts }), ...(files && { metadata: { handoff_media: files } }) };
      const answer = await this.socket.timeout(ANSWER_WITHIN).emitWithAck("user_uttered", body);
      // Rasa's own channel acknowledges with nothing.
      if (answer?.ok === false) return RETRY_LATER.includes(answer.code) ? "unknown" : "refused";
      return "accepted";
    } catch {
      return "unknown";
    }
  }
}
