// @ts-check
/** Files that the agent pastes into the field, drops on the conversation, or chooses. */

/**
 * Call back with the files that are pasted or dropped. What is dropped beside the conversation does nothing: the browser would
 * open it in place of the desk.
 *
 * @param {HTMLElement} field
 * @param {HTMLElement} area where files may be dropped; it has the attribute data-dropping while some are held over it
 * @param {() => boolean} takes whether files may be dropped just now
 * @param {(files: File[]) => void} listener
 */
export function listenForFiles(field, area, takes, listener) {
  field.addEventListener("paste", (event) => pasted(event, listener));
  const isOver = (/** @type {boolean} */ over) => area.toggleAttribute("data-dropping", over);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    const over = takes() && area.contains(/** @type {Node} */ (event.target));
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = over ? "copy" : "none";
    isOver(over);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && isOver(false));
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    isOver(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length && takes() && area.contains(/** @type {Node} */ (event.target))) listener(files);
  });
}

/**
 * Take a pasted picture or file. Text is pasted as text, also when the program that it comes from adds a picture of it.
 *
 * @param {ClipboardEvent} event
 * @param {(files: File[]) => void} listener
 */
function pasted(event, listener) {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length || event.clipboardData?.getData("text/plain")) return;
  event.preventDefault();
  listener(files);
}

/** @param {DataTransfer | null} data */
function hasFiles(data) {
  return data?.types.includes("Files") ?? false;
}
