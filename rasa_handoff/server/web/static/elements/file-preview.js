// @ts-check
import { el, icon, sendCommand } from "../dom.js";
import { fileFacts, fileName } from "../parts.js";

/** @typedef {import("../unsent-parts.js").FilePart} FilePart */

/** The height of a small picture, in pixels; drawn twice as high, for fine screens. */
const HEIGHT = 44;
/** Bytes of the largest file that is drawn small. */
const LARGEST_DRAWN = 40_000_000;

/**
 * A file that the agent has chosen and the server doesn't have yet. Its picture is drawn on a canvas, so that the page's
 * policy needs to allow no pictures but the server's own.
 */
export class FilePreview extends HTMLElement {
  #part;

  /** @param {FilePart} part */
  constructor(part) {
    super();
    this.#part = part;
  }

  connectedCallback() {
    if (this.firstChild) return; // it was only moved
    const { key, type, media } = this.#part;
    this.classList.add("file");
    this.append(
      icon("file"),
      el("span", { class: "file-name", dir: "auto" }, fileName(media)),
      el("span", { class: "file-facts" }, fileFacts(media)),
    );
    if (type !== "image" || (media.size ?? 0) > LARGEST_DRAWN) return;
    const done = (/** @type {Blob | null} */ file) => void this.#draw(file);
    sendCommand(this, "load file", { key, done });
  }

  /** @param {Blob | null} file */
  async #draw(file) {
    const picture = file && (await createImageBitmap(file, { resizeHeight: HEIGHT * 2 }).catch(() => null));
    if (!picture) return; // it isn't a picture, whatever its name says
    const canvas = el("canvas", { width: picture.width, height: picture.height, "aria-hidden": "true" });
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
    picture.close();
    this.firstElementChild?.replaceWith(canvas);
  }
}
