// @ts-check
/**
 * The parts of a message as people read them: which are shown, what is said of a file, and where their links lead. Pure.
 *
 * Everything in a part was written by a customer, a bot or an agent. A link leads only where a person expects one to lead: to a
 * web page, and never to a script or to data in the link itself.
 */

import { stripDirectionControls } from "./text-direction.js";

/** @typedef {import("./types.js").Part} Part */
/** @typedef {import("./types.js").Media} Media */
/** @typedef {import("./types.js").LocationPart} LocationPart */
/** @typedef {"image" | "audio" | "video" | "file"} MediaKind */

/** The parts that the desk can show; a server of a newer version may send others. */
const KNOWN = new Set(["text", "image", "file", "audio", "video", "location", "contact", "buttons", "card", "custom"]);
/** Pictures that browsers show and that can do nothing. An SVG is a document with scripts, so it is none of these. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MAP = "https://www.openstreetmap.org/";
const MAP_ZOOM = 16;
const STEP = 1000;
const UNITS = ["bytes", "kB", "MB", "GB"];
/** Short names of the types that people send most. */
const TYPES = new Map([
  ["application/pdf", "PDF"],
  ["application/zip", "ZIP archive"],
  ["application/msword", "Word document"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "Word document"],
  ["application/vnd.ms-excel", "Excel workbook"],
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "Excel workbook"],
  ["text/plain", "Text"],
  ["application/octet-stream", "Unknown type"],
]);

/**
 * Return the parts to show of a message; its text as the only one, if that says all or no part is known here.
 *
 * @param {{text: string, parts?: Part[]}} message
 * @returns {Part[]}
 */
export function shownParts({ text, parts = [] }) {
  const known = parts.filter((part) => KNOWN.has(part.type));
  return known.length ? known : [{ type: "text", text }];
}

/**
 * Return how a stored file is shown: by what its part says, and only if its type is one that browsers can show.
 *
 * @param {MediaKind} kind
 * @param {Media} media
 * @returns {MediaKind}
 */
export function shownAs(kind, { type }) {
  if (kind === "image") return PICTURES.has(type ?? "") ? "image" : "file";
  return kind !== "file" && type?.startsWith(`${kind}/`) ? kind : "file";
}

/**
 * Return which part a stored file is.
 *
 * @param {string | null | undefined} type
 * @returns {MediaKind}
 */
export function kindOf(type) {
  const kind = /^(image|audio|video)\//.exec(type ?? "")?.[1];
  return shownAs(/** @type {MediaKind} */ (kind ?? "file"), { type });
}

/**
 * Return an address as a link to a web page; null if it is anything else.
 *
 * @param {string | null | undefined} address
 */
export function webAddress(address) {
  if (!/^https?:\/\//i.test(address ?? "")) return null;
  try {
    return new URL(stripDirectionControls(address ?? "")).href;
  } catch {
    return null;
  }
}

/** Return the address of a map that shows the place. @param {LocationPart} place */
export function mapAddress({ latitude, longitude }) {
  const marker = `mlat=${Number(latitude)}&mlon=${Number(longitude)}`;
  return `${MAP}?${marker}#map=${MAP_ZOOM}/${Number(latitude)}/${Number(longitude)}`;
}

/** Write a place's degrees. @param {LocationPart} place */
export function degrees({ latitude, longitude }) {
  return `${Number(latitude)}, ${Number(longitude)}`;
}

/** Return a file's name, without what turns writing around: "exe.gpj" turned round reads as a picture. @param {Media} media */
export function fileName({ name }) {
  return stripDirectionControls(name ?? "").trim() || "File without a name";
}

/** Write what is known of a file: "PDF · 1.2 MB". @param {Media} media */
export function fileFacts({ type, size }) {
  const known = type ? (TYPES.get(type) ?? shortType(type)) : null;
  return [known, size === null || size === undefined ? null : readableSize(size)].filter(Boolean).join(" · ");
}

/** Write a type as people know it: "image/jpeg" as "JPEG". @param {string} type */
function shortType(type) {
  const kind = /^(?:image|audio|video)\/(?:x-)?([a-z0-9]{2,8})$/i.exec(type)?.[1];
  return kind ? kind.toUpperCase() : stripDirectionControls(type);
}

/** Write a file's size: "1.2 MB". @param {number} bytes */
export function readableSize(bytes) {
  let [size, unit] = [bytes, 0];
  while (size >= STEP && unit < UNITS.length - 1) [size, unit] = [size / STEP, unit + 1];
  return `${unit && size < 10 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`;
}

/** Write JSON of the project's own, for people. @param {any} json */
export function readableJson(json) {
  return JSON.stringify(json, null, 2) ?? "";
}
