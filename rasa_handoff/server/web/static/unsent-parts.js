// @ts-check
/** The parts of a message that the server doesn't have yet: what of them is to be uploaded, and what is sent. Pure. */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Unsent} Unsent */
/** @typedef {import("./types.js").UnsentPart} UnsentPart */
/** @typedef {import("./types.js").MediaPart} MediaPart */
/** @typedef {UnsentPart & MediaPart} FilePart */

const MEDIA = new Set(["image", "file", "audio", "video"]);

/** Whether a part is a file that the server doesn't have. @param {UnsentPart} part @returns {part is FilePart} */
export function isToUpload(part) {
  return MEDIA.has(part.type) && !(/** @type {FilePart} */ (part).media.id);
}

/**
 * Return the share of a message's files that is uploaded, 0 to 1; null if there is nothing more to upload.
 *
 * @param {Unsent} unsent
 * @param {State["uploads"]} uploads
 */
export function uploadedShare({ parts }, uploads) {
  const files = parts.filter(isFile);
  if (!files.some(isToUpload)) return null;
  const size = (/** @type {FilePart} */ { media }) => (media.size ?? 0) + 1;
  const total = files.reduce((sum, part) => sum + size(part), 0);
  const done = files.reduce((sum, part) => sum + size(part) * (isToUpload(part) ? (uploads.get(part.key) ?? 0) : 1), 0);
  return done / total;
}

/** @param {UnsentPart} part @returns {part is FilePart} */
function isFile(part) {
  return MEDIA.has(part.type);
}

/** Return the keys of the files that this tab still has to upload. @param {Pick<State, "unsent" | "attached">} state */
export function neededFiles({ unsent, attached }) {
  const parts = [...unsent.map((one) => one.parts), ...[...attached.entries()].map(([, some]) => some)].flat();
  return new Set(parts.filter(isToUpload).map((part) => part.key));
}

/**
 * Return the parts of a message with these words and what is attached to it; none if the words say all. Buttons come last,
 * since they answer what stands above them.
 *
 * @param {string} text
 * @param {readonly UnsentPart[]} attached
 * @returns {UnsentPart[]}
 */
export function composedParts(text, attached) {
  if (!attached.length) return [];
  const words = text ? [/** @type {UnsentPart} */ ({ type: "text", text, key: "words" })] : [];
  const [buttons, others] = [attached.filter(isButtons), attached.filter((part) => !isButtons(part))];
  return [...words, ...others, ...buttons];
}

/** @param {UnsentPart} part */
function isButtons(part) {
  return part.type === "buttons";
}

/** Return the payload of a message for the server. @param {Unsent} unsent */
export function payloadOf({ id, handoff_id, text, parts }) {
  const content = parts.length ? { parts: parts.map(({ key, agent, ...part }) => part) } : { text };
  return { handoff_id, id, ...content };
}

/**
 * Whether a value from the browser's storage is a part that this desk can send.
 *
 * @param {any} value
 * @returns {value is UnsentPart}
 */
export function isUnsentPart(value) {
  if (typeof value?.type !== "string" || typeof value.key !== "string") return false;
  if (MEDIA.has(value.type)) return typeof value.media === "object" && value.media !== null;
  if (value.type === "text") return typeof value.text === "string";
  if (value.type === "card") return areButtons(value.buttons ?? []);
  return value.type === "buttons" && areButtons(value.buttons);
}

/** @param {any} value */
function areButtons(value) {
  return Array.isArray(value) && value.every((one) => typeof one?.title === "string");
}
