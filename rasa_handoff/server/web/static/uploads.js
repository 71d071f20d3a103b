// @ts-check
/**
 * Sends files to the server, and says how far they are. By XMLHttpRequest, since `fetch` doesn't tell the progress of what it
 * sends.
 */

/** @typedef {import("./types.js").Answer} Answer */
/** @typedef {import("./unsent-parts.js").FilePart} FilePart */
/** @typedef {import("./file-storage.js").FileStorage} FileStorage */

const ADDRESS = "desk/media";
/** Answers of a server, or of a proxy before it, that may be another one soon. */
const PASSING = new Set([0, 408, 429, 502, 503, 504]);
const TOO_LARGE = 413;
const GONE = "The file is no longer in this browser. Discard this message, and choose the file once more.";
const LARGE = "This file is too large for the server.";
const FAILED = "The file couldn't be uploaded.";
const BROKEN = "The connection broke while the file was uploaded.";

export class Uploads {
  /** @type {Map<string, XMLHttpRequest>} */
  #requests = new Map();

  /**
   * @param {FileStorage} files
   * @param {(key: string, share: number) => void} report how much of a file is sent, 0 to 1
   */
  constructor(files, report) {
    this.files = files;
    this.report = report;
  }

  /**
   * Upload a file. Never rejects; with the code "unavailable" it may be tried again.
   *
   * @param {string} handoff_id
   * @param {FilePart} part
   * @returns {Promise<Answer>}
   */
  async send(handoff_id, { key, media }) {
    const file = await this.files.load(key);
    if (!file) return { ok: false, code: "gone", error: GONE };
    const request = new XMLHttpRequest();
    this.#requests.set(key, request);
    const answer = await this.#ended(request, key, addressOf(handoff_id, key, media.name ?? "file"), file);
    this.#requests.delete(key);
    return answer;
  }

  /** @param {string} key */
  cancel(key) {
    this.#requests.get(key)?.abort();
  }

  /**
   * @param {XMLHttpRequest} request
   * @param {string} key
   * @param {string} address
   * @param {Blob} file
   * @returns {Promise<Answer>}
   */
  #ended(request, key, address, file) {
    return new Promise((resolve) => {
      request.upload.onprogress = ({ loaded, total }) => this.report(key, total ? loaded / total : 0);
      request.onload = () => resolve(answerOf(request));
      request.onerror = request.ontimeout = () => resolve({ ok: false, code: "unavailable", error: BROKEN });
      request.onabort = () => resolve({ ok: false, code: "cancelled" });
      request.open("POST", address);
      request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
      // Shows that our own page sends this, as with the socket.
      request.setRequestHeader("X-CSRF-Token", document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "");
      request.send(file);
    });
  }
}

/** The key tells the server what it has already, if an answer was lost. @param {string} handoff_id @param {string} key @param {string} name */
function addressOf(handoff_id, key, name) {
  return `${ADDRESS}?${new URLSearchParams({ handoff: handoff_id, key, name })}`;
}

/** @param {XMLHttpRequest} request @returns {Answer} */
function answerOf({ status, responseText }) {
  const body = read(responseText);
  if (status >= 200 && status < 300 && typeof body.media?.id === "string") return { ok: true, media: body.media };
  const sentence = typeof body.error === "string" ? body.error : status === TOO_LARGE ? LARGE : FAILED;
  return { ok: false, code: PASSING.has(status) ? "unavailable" : (body.code ?? "failed"), error: sentence };
}

/** Read an answer; a proxy's own is no JSON. @param {string} text */
function read(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
