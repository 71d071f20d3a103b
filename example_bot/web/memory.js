// @ts-check
/** What outlives a reload and is shared by all tabs: the session's id, its customer token and what was said in it. */

/** @typedef {{session: string, token: string | null, lines: import("./lines.js").Line[]}} Conversation */

const KEY = "karoo.conversation";
const KEEPS = 500;

export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {Conversation} */
function fresh() {
  return { session: freshId(), token: null, lines: [] };
}

/**
 * What is stored, as far as it can be read: another page of this address, an extension or an older version may have
 * written something else there.
 *
 * @returns {Conversation | null}
 */
function recall() {
  try {
    const { session, token, lines } = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (typeof session !== "string" || !session || !Array.isArray(lines)) return null;
    return { session, token: typeof token === "string" ? token : null, lines: lines.filter(isLine) };
  } catch {
    return null;
  }
}

/** @param {any} value @returns {value is import("./lines.js").Line} */
function isLine(value) {
  const { who, text, at, replies, link, image, id, message } = value ?? {};
  const optional = [link, image, id, message].every((one) => one === undefined || typeof one === "string");
  const answers = replies === undefined || (Array.isArray(replies) && replies.every(isReply));
  return ["user", "bot"].includes(who) && typeof text === "string" && Number.isFinite(at) && optional && answers;
}

/** @param {any} reply */
function isReply(reply) {
  return typeof reply?.title === "string";
}

/** The conversation; a change is made to what is stored now, so that tabs don't undo each other's. */
export class Memory {
  /** @param {(joinAgain: boolean) => void} changed by another tab, which may have another session or its token now */
  constructor(changed) {
    this.kept = recall() ?? fresh();
    for (const line of this.kept.lines) if (line.sent === false) line.id ??= freshId();
    this.store();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      const { session, token } = this.kept;
      this.kept = recall() ?? this.kept;
      changed(this.kept.session !== session || this.kept.token !== token);
    });
  }

  /** @param {(conversation: Conversation) => void} change */
  change(change) {
    const stored = recall();
    const elsewhere = stored !== null && stored.session !== this.kept.session;
    if (stored && !elsewhere) this.kept = stored;
    change(this.kept);
    if (!elsewhere) this.store(); // another tab has begun anew, which this one will hear of in a moment
  }

  startFresh() {
    this.kept = fresh();
    this.store();
  }

  store() {
    this.kept.lines = this.kept.lines.slice(-KEEPS);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // Without storage the conversation lasts as long as the page.
    }
  }
}
