// @ts-check
/**
 * Rasa's socketio protocol: session_request, user_uttered, bot_uttered. `typing`, `message_read`, `acks` and the
 * ids are HandoffChannel's additions, which Rasa's own channel doesn't mind.
 *
 * With `acks` what the page is told has an id and is told again until the page has acknowledged it; what it
 * says has an id too and is acknowledged when it is accepted.
 *
 * With `customer_tokens: optional` or `required` a new conversation is given its token once, in `customer_token`; the page
 * keeps it and shows it in each `session_request`. `session_refused` says that this page may not use the conversation.
 */

import { io } from "./vendor/socket.io-client-4.8.4.MIT.esm.min.js";

/** @typedef {{title: string, payload: string}} Reply */
/** @typedef {{id?: string, text?: string, quick_replies?: Reply[], attachment?: any}} Uttered */
/** @typedef {"connecting" | "online" | "offline" | "refused"} Connection */
/** @typedef {{session: string, token: string | null}} Credentials */
/** Whom the customer has now. @typedef {{active: "bot" | "waiting" | "person", agent: string | null}} Active */
/** @typedef {"accepted" | "refused" | "unknown"} Outcome */

const AGAIN_AFTER = 1_000;
const ANSWER_WITHIN = 15_000;

/** Why a message wasn't taken, where the same one may be: the store is away, or the page isn't let in (again) yet. */
const MAY_BE_TAKEN_LATER = ["unavailable", "not_joined", "customer_token"];

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Where Rasa is: `?rasa=http://localhost:5005`, else this host on Rasa's usual port. Only this host, or this machine
 * for a page of this machine: a link must not lead what the customer says to somebody else.
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

export class Talk {
  /**
   * @param {string} address
   * @param {() => Credentials} credentials the session's id, and the token that was given for it
   * @param {{connection: (state: Connection) => void, heard: (message: Uttered) => void,
   *   typing: (on: boolean) => void, active: (who: Active) => void,
   *   given: (credentials: {session_id: string, token: string}) => void}} tell `heard` returns when the message is safe
   */
  constructor(address, credentials, tell) {
    this.credentials = credentials;
    this.session = () => credentials().session;
    // The websocket first: polling from another origin needs `rasa run --cors`.
    this.socket = io(address, {
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      autoConnect: false,
    });
    this.socket.on("connect", () => this.join());
    this.socket.on("customer_token", tell.given);
    this.socket.on("session_refused", (/** @type {{code?: string}} */ { code } = {}) => {
      if (code === "unavailable") setTimeout(() => this.join(), AGAIN_AFTER);
      else tell.connection("refused");
    });
    this.socket.on("session_confirm", () => {
      tell.connection("online");
      tell.active({ active: "bot", agent: null }); // unless it is told otherwise in a moment
    });
    this.socket.on("handoff_state", (/** @type {Active} */ who) => tell.active(who));
    this.socket.on("disconnect", (/** @type {string} */ reason) => {
      tell.connection("offline");
      // Sent away by a server that restarts, the client would leave it at that.
      if (reason === "io server disconnect") setTimeout(() => this.socket.connect(), AGAIN_AFTER);
    });
    this.socket.on("connect_error", () => tell.connection("offline"));
    this.socket.on("typing", (/** @type {{on?: boolean}} */ { on } = {}) => tell.typing(on === true));
    this.socket.on("bot_uttered", (/** @type {Uttered} */ message, /** @type {unknown} */ acknowledge) => {
      tell.heard(message ?? {});
      if (typeof acknowledge === "function") acknowledge({ ok: true });
    });
  }

  /** Ask for the session; `token: null` asks for its token too, which only a new one is given. */
  join() {
    const { session, token } = this.credentials();
    this.socket.emit("session_request", { session_id: session, token, acks: true });
  }

  /** Also after the session's id has changed: the old session's room is left by it. */
  start() {
    this.socket.disconnect();
    this.socket.connect();
  }

  /** May be lost. @param {boolean} on */
  typing(on) {
    this.socket.volatile.emit("typing", { session_id: this.session(), on });
  }

  /** Its customer has seen a message. May be lost. @param {string} id */
  read(id) {
    this.socket.emit("message_read", { session_id: this.session(), id });
  }

  /**
   * Say it once; "unknown" may have arrived or not, and is said again with the same id.
   *
   * @param {string} id
   * @param {string} message
   * @returns {Promise<Outcome>}
   */
  async say(id, message) {
    try {
      const body = { message, session_id: this.session(), id };
      const answer = await this.socket.timeout(ANSWER_WITHIN).emitWithAck("user_uttered", body);
      // Rasa's own channel acknowledges with nothing.
      if (answer?.ok === false) return MAY_BE_TAKEN_LATER.includes(answer.code) ? "unknown" : "refused";
      return "accepted";
    } catch {
      return "unknown";
    }
  }
}
