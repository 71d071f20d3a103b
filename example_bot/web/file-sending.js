// @ts-check
/**
 * Adds a file to the customer's conversation at Rasa, and says how far it is. By XMLHttpRequest, since `fetch` doesn't tell the
 * progress of what it sends.
 */

import { t } from "./texts.js";

/** What Rasa says of a file that it keeps. @typedef {{id: string, name?: string, type?: string, size?: number, url: string}} Kept */
/** @typedef {{kept: Kept} | {problem: string, again: boolean} | {cancelled: true}} Ended */

/** Answers of a server, or of a proxy before it, that may be another one soon. */
const PASSING = new Set([0, 408, 429, 502, 503, 504]);
/** By the code of a refusal. @type {Record<string, import("./texts.js").TextName>} */
const PROBLEMS = {
  too_large: "fileTooLarge",
  too_many: "tooManyFiles",
  full: "tooManyFiles",
  damaged: "fileDamaged",
  no_media: "noFiles",
};
const TOO_LARGE = 413;

/** One file on its way. `ended` never rejects. */
export class FileSending {
  /**
   * @param {string} address where Rasa's socketio channel has its files
   * @param {import("./rasa-socket.js").Credentials} credentials
   * @param {File} file
   * @param {string} key the page's own name of it: what is sent again after a lost answer isn't kept twice
   * @param {(share: number) => void} report how much of it is sent, 0 to 1
   */
  constructor(address, { session, token }, file, key, report) {
    const request = new XMLHttpRequest();
    this.request = request;
    /** @type {Promise<Ended>} */
    this.ended = new Promise((resolve) => {
      request.upload.onprogress = ({ loaded, total }) => report(total ? loaded / total : 0);
      request.onload = () => resolve(answerOf(request));
      request.onerror = request.ontimeout = () => resolve({ problem: t("fileWaits"), again: true });
      request.onabort = () => resolve({ cancelled: true });
    });
    request.open("POST", `${address}?${new URLSearchParams({ sender: session, name: file.name, key })}`);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    if (token !== null) request.setRequestHeader("Handoff-Customer-Token", token);
    request.send(file);
  }

  cancel() {
    this.request.abort();
  }
}

/** @param {XMLHttpRequest} request @returns {Ended} */
function answerOf({ status, responseText }) {
  const { media, code, error } = read(responseText);
  if (status < 300 && typeof media?.id === "string" && typeof media.url === "string") return { kept: media };
  if (PASSING.has(status)) return { problem: t("fileWaits"), again: true };
  const known = PROBLEMS[code] ?? (status === TOO_LARGE ? "fileTooLarge" : undefined);
  return { problem: known ? t(known) : typeof error === "string" ? error : t("fileNotSent"), again: false };
}

/** Read an answer; a proxy's own is no JSON. @param {string} text */
function read(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
