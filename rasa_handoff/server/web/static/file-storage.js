// @ts-check
/**
 * The files that an agent has chosen and the server doesn't have yet, by keys of ours. They outlive a reload in the browser's
 * IndexedDB, as unsent texts do in its session storage; where the browser forbids that, they last as long as the page.
 */

const NAME = "desk.files";
const STORE = "files";
/** Milliseconds after which a file is removed that a tab has left behind, closed before it could send it. */
const LEFT_AFTER = 24 * 3_600_000;

export class FileStorage {
  /** @type {Map<string, Blob>} */
  #here = new Map();
  /** @type {Promise<IDBDatabase | null> | null} */
  #opened = null;

  /**
   * @param {string} key
   * @param {Blob} file
   */
  async keep(key, file) {
    this.#here.set(key, file);
    await this.#change((store) => store.put({ file, at: Date.now() }, key));
  }

  /** Return a file; null if it is no longer here. @param {string} key @returns {Promise<Blob | null>} */
  async load(key) {
    const here = this.#here.get(key);
    if (here) return here;
    const kept = await this.#ask((store) => store.get(key));
    if (!(kept?.file instanceof Blob)) return null;
    this.#here.set(key, kept.file);
    return kept.file;
  }

  /** @param {string} key */
  async remove(key) {
    this.#here.delete(key);
    await this.#change((store) => store.delete(key));
  }

  /** Remove all files, so that the next agent in this browser finds none of this one's. */
  async clear() {
    this.#here.clear();
    await this.#change((store) => store.clear());
  }

  /** Remove what closed tabs have left behind. @param {ReadonlySet<string>} needed the keys of this tab's files */
  async removeLeft(needed) {
    const [keys, kept] = [await this.#ask((store) => store.getAllKeys()), await this.#ask((store) => store.getAll())];
    const isLeft = (/** @type {number} */ place) => !(Date.now() - kept?.[place]?.at < LEFT_AFTER);
    for (const [place, key] of (keys ?? []).entries())
      if (!needed.has(String(key)) && isLeft(place)) await this.remove(String(key));
  }

  /** @param {(store: IDBObjectStore) => void} change */
  async #change(change) {
    await this.#ask((store) => change(store), "readwrite");
  }

  /**
   * Return what a request to the database has found; undefined if the browser has no database for us.
   *
   * @param {(store: IDBObjectStore) => any} work
   * @param {"readonly" | "readwrite"} mode
   * @returns {Promise<any>}
   */
  async #ask(work, mode = "readonly") {
    const database = await (this.#opened ??= open());
    if (!database) return undefined;
    return new Promise((resolve) => {
      try {
        const transaction = database.transaction(STORE, mode);
        const request = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(request?.result);
        transaction.onabort = transaction.onerror = () => resolve(undefined); // full: the file lasts as long as the page
      } catch {
        resolve(undefined);
      }
    });
  }
}

/** @returns {Promise<IDBDatabase | null>} */
function open() {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = request.onblocked = () => resolve(null);
    } catch {
      resolve(null); // forbidden
    }
  });
}
