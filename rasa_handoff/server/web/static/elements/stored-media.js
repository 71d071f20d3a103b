// @ts-check
import { el, icon, sendCommand } from "../dom.js";
import { fileFacts, fileName, shownAs } from "../parts.js";

/** @typedef {import("../types.js").Media} Media */
/** @typedef {import("../parts.js").MediaKind} MediaKind */

/** Seconds before its end at which an address isn't used any more. */
const ENDS_SOON = 30;
/** How near to being seen a file's address is asked for. */
const NEAR = "400px";

/**
 * A file of the desk's own store: a picture, a player, or a download. Its address is signed and expires, so it is asked for
 * when the file is about to be seen, and again when it has expired.
 */
export class StoredMedia extends HTMLElement {
  /** @type {Media} */
  #media;
  /** @type {MediaKind} */
  #kind;
  #address = "";
  #renewed = false;
  /** The picture or the player. @type {HTMLImageElement | HTMLMediaElement | null} */
  #shown;
  #link;
  #trouble = el("button", { type: "button", class: "quiet", hidden: true }, "This can't be shown just now. Try again");

  /**
   * @param {Media} media
   * @param {MediaKind} kind what its part says that it is
   */
  constructor(media, kind) {
    super();
    this.#media = media;
    this.#kind = shownAs(kind, media);
    this.#shown = player(this.#kind, media);
    this.#link = this.#kind === "image" ? openingLink(this.#shown) : downloadLink(media);
  }

  connectedCallback() {
    if (this.firstChild) return; // it was only moved within the list
    this.dataset.testid = `part-${this.#kind}`;
    this.append(...(this.#shown && this.#kind !== "image" ? [this.#shown] : []), this.#link, this.#trouble);
    this.#shown?.addEventListener("error", () => this.#failed());
    this.#link.addEventListener("click", (event) => this.#clicked(event));
    this.#trouble.addEventListener("click", () => this.#ask());
    this.#askWhenNear();
  }

  #askWhenNear() {
    const seen = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        seen.disconnect();
        this.#ask();
      },
      { rootMargin: NEAR },
    );
    seen.observe(this);
  }

  /** @param {() => void} [then] called when there is an address */
  #ask(then) {
    this.#trouble.hidden = true;
    const done = (/** @type {string | null} */ address, /** @type {boolean} */ isGone) => {
      if (isGone) return this.#showGone();
      this.#trouble.hidden = address !== null;
      if (address === null) return;
      this.#use(address);
      then?.();
    };
    const handoff_id = this.closest("[data-handoff]")?.getAttribute("data-handoff");
    sendCommand(this, "media address", { handoff_id, id: this.#media.id, done });
  }

  #showGone() {
    const words = `${fileName(this.#media)} isn't kept any more`;
    this.replaceChildren(el("span", { class: "file", "data-testid": "part-gone" }, icon("file"), words));
  }

  /** @param {string} address */
  #use(address) {
    this.#address = address;
    this.#link.href = address;
    if (this.#shown) this.#shown.src = address;
  }

  /** Ask once for another address: the one that failed may have expired while the page was open. */
  #failed() {
    if (this.#renewed) this.#trouble.hidden = false;
    else this.#ask();
    this.#renewed = !this.#renewed;
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    if (this.#address && !endsSoon(this.#address)) return;
    event.preventDefault();
    this.#ask(() => this.#link.click());
  }
}

/**
 * @param {MediaKind} kind
 * @param {Media} media
 */
function player(kind, media) {
  const name = fileName(media);
  if (kind === "image") return el("img", { alt: name, title: name, decoding: "async" });
  if (kind === "audio") return el("audio", { controls: true, preload: "none", "aria-label": name });
  if (kind === "video") return el("video", { controls: true, preload: "none", "aria-label": name });
  return null;
}

/** Make a link that shows the picture in a tab of its own. @param {HTMLElement | null} picture */
function openingLink(picture) {
  return el("a", { class: "picture", target: "_blank", rel: "noopener noreferrer" }, picture);
}

/** Make a link that downloads the file, and never shows it: it may be a page with scripts. @param {Media} media */
function downloadLink(media) {
  const name = fileName(media);
  return el(
    "a",
    { class: "file", download: name, "data-testid": "part-download" },
    icon("file"),
    el("span", { class: "file-name", dir: "auto" }, name),
    el("span", { class: "file-facts" }, fileFacts(media)),
  );
}

/** Whether an address has expired, or will in a moment. @param {string} address */
function endsSoon(address) {
  const expires = Number(new URL(address, location.href).searchParams.get("expires"));
  return expires > 0 && expires - ENDS_SOON < Date.now() / 1000;
}
