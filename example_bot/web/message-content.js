// @ts-check
/**
 * What a message has beside its text, as it comes by Rasa's socketio and as the page keeps it: pictures, files, recordings and
 * films, cards, buttons, places. Pure.
 */

/** @typedef {"image" | "audio" | "video" | "file"} Kind */
/** A picture or file. @typedef {{kind: Kind, src: string, name?: string, size?: number}} Media */
/** What can be pressed: it sends its payload, else its title, or opens a page. @typedef {{title: string, payload?: string, url?: string}} Reply */
/** @typedef {{title?: string, subtitle?: string, image?: string, replies: Reply[]}} Card */
/** `stay`: the replies are there also once one is chosen. @typedef {{text: string, replies: Reply[], stay: boolean, media: Media[], cards: Card[]}} Content */
/** What the customer sends beside words. @typedef {{type: "location", latitude: number, longitude: number}} SentPart */

const KINDS = ["image", "audio", "video", "file"];
const DEGREES = /\[Location: [^\]]*?(-?\d{1,3}(?:\.\d+)?), (-?\d{1,3}(?:\.\d+)?)\]/;

/**
 * Return what a message says. Whatever its fields are, nothing is raised.
 *
 * @param {any} message as it came
 * @returns {Content}
 */
export function contentOf({ text, quick_replies, buttons, attachment, custom, handoff_buttons_stay } = {}) {
  const payload = attachment?.payload;
  const media = mediaOf(attachment);
  const cards = media.length ? [] : cardsOf(payload);
  const said = typeof text === "string" ? text : typeof custom?.text === "string" ? custom.text : "";
  const known = media.length > 0 || cards.length > 0;
  const link = !known && typeof attachment === "string" ? attachment : !known ? wordsOf(payload) : "";
  // A file comes with its address as text too, for pages that show no files.
  const isAddress = media.some(({ src, kind }) => kind !== "image" && said.endsWith(src));
  const words = [isAddress ? "" : said, link].filter(Boolean).join("\n");
  return { text: words, replies: repliesOf(quick_replies ?? buttons), stay: handoff_buttons_stay === true, media, cards };
}

/** @param {any} attachment @returns {Media[]} */
function mediaOf(attachment) {
  const { src, url, name, title, size } = attachment?.payload ?? {};
  const address = src ?? url;
  if (!KINDS.includes(attachment?.type) || typeof address !== "string") return [];
  /** @type {Media} */
  const media = { kind: attachment.type, src: address };
  if (typeof (name ?? title) === "string") media.name = name ?? title;
  if (Number.isFinite(size)) media.size = size;
  return [media];
}

/** Cards come as a list, or as one. @param {any} payload @returns {Card[]} */
function cardsOf(payload) {
  const { elements } = payload ?? {};
  const listed = Array.isArray(elements) ? elements : elements ? [elements] : [];
  return listed.filter((one) => one && typeof one === "object").map(cardOf);
}

/** @param {any} element @returns {Card} */
function cardOf({ title, subtitle, image_url, item_url, buttons }) {
  /** @type {Card} */
  const card = { replies: repliesOf(buttons) };
  if (typeof title === "string") card.title = title;
  if (typeof subtitle === "string") card.subtitle = subtitle;
  if (typeof image_url === "string") card.image = image_url;
  if (typeof item_url === "string" && typeof title === "string") card.replies.unshift({ title, url: item_url });
  return card;
}

/** @param {any} listed @returns {Reply[]} */
function repliesOf(listed) {
  if (!Array.isArray(listed)) return [];
  return listed.filter((one) => typeof one?.title === "string").map(({ title, payload, url }) => {
    /** @type {Reply} */
    const reply = { title };
    if (typeof url === "string" && url) reply.url = url;
    else if (typeof payload === "string") reply.payload = payload;
    return reply;
  });
}

/** Describe an attachment that is none of these. @param {any} payload */
function wordsOf(payload) {
  const { title, subtitle, item_url, image_url, src, url } = payload ?? {};
  return [title, subtitle, item_url ?? url ?? src ?? image_url].filter((one) => typeof one === "string").join("\n");
}

const SHOWN = /^image\/(jpeg|png|gif)$|^(audio|video)\//;

/**
 * Return a file that Rasa keeps as the page shows it.
 *
 * @param {{name?: string, type?: string, size?: number, url: string}} kept
 * @returns {Media}
 */
export function keptMedia({ name, type = "", size, url }) {
  const kind = SHOWN.test(type) ? /** @type {Kind} */ (type.split("/")[0]) : "file";
  return { kind, src: url, ...(name === undefined ? {} : { name }), ...(size === undefined ? {} : { size }) };
}

/** Return where a place of these words is shown; null if they tell none. @param {string} text */
export function placeIn(text) {
  const [, latitude, longitude] = DEGREES.exec(text) ?? [];
  return latitude === undefined ? null : mapAddress(+latitude, +longitude);
}

/** Return where a place is shown; null if there is none. @param {number} latitude @param {number} longitude */
export function mapAddress(latitude, longitude) {
  if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return null;
  return `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`;
}

/** Return a web address, relative ones at `base`; null for any other, such as javascript:. @param {string} given @param {string} base */
export function webAddress(given, base) {
  if (!URL.canParse(given, base)) return null;
  const { protocol, href } = new URL(given, base);
  return protocol === "http:" || protocol === "https:" ? href : null;
}

/** Return a size as people read it. @param {number} bytes @param {string} language */
export function sizeInWords(bytes, language) {
  if (bytes < 1e3) return new Intl.NumberFormat(language, { style: "unit", unit: "byte", unitDisplay: "long" }).format(bytes);
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, "kilobyte"] : [bytes / 1e6, "megabyte"];
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: 1 }).format(size);
}

/** Whether what was stored can be shown. @param {any} value @returns {value is Media} */
export function isMedia(value) {
  const { kind, src, name, size } = value ?? {};
  return KINDS.includes(kind) && typeof src === "string" && isText(name) && (size === undefined || Number.isFinite(size));
}

/** @param {any} value @returns {value is SentPart} */
export function isSentPart(value) {
  const { type, latitude, longitude } = value ?? {};
  return type === "location" && Number.isFinite(latitude) && Number.isFinite(longitude);
}

/** @param {any} value @returns {value is Card} */
export function isCard(value) {
  const { title, subtitle, image, replies } = value ?? {};
  return [title, subtitle, image].every(isText) && Array.isArray(replies) && replies.every(isReply);
}

/** @param {any} value @returns {value is Reply} */
export function isReply(value) {
  return typeof value?.title === "string" && isText(value.payload) && isText(value.url);
}

/** @param {unknown} value */
function isText(value) {
  return value === undefined || typeof value === "string";
}
