// @ts-check
/** What outlives a reload and is shared by all tabs: the session's id and what was said in it. */

/** @typedef {{session: string, lines: import("./lines.js").Line[]}} Conversation */

const KEY = "karoo.conversation";
const KEEPS = 500;

export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {Conversation} */
function fresh() {
  return { session: freshId(), lines: [] };
}

/**
 * What is stored, as far as it can be read: another page of this address, an extension or an older version may have
 * written something else there.
 *
 * @returns {Conversation | null}
 */
function recall() {
  try {
    const { session, lines } = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (typeof session !== "string" || !session || !Array.isArray(lines)) return null;
    return { session, lines: lines.filter(isLine) };
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
  /** @param {(newSession: boolean) => void} changed by another tab */
  constructor(changed) {
    this.kept = recall() ?? fresh();
    for (const line of this.kept.lines) if (line.sent === false) line.id ??= freshId();
    this.store();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      const before = this.kept.session;
      this.kept = recall() ?? this.kept;
      changed(this.kept.session !== before);
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
