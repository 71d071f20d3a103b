// @ts-check
/**
 * A map that is never changed: `with` and `without` return another one that shares nearly all of its parts. Pure.
 *
 * The reducer needs a new map with each event. Copying a Map of a thousand conversations takes longer than all the rest of
 * an event's work; here one bucket of a few entries is copied.
 */

const BUCKETS = 256;

/** @template T */
export class PersistentMap {
  /** @type {readonly (Map<string, T> | undefined)[]} */
  #buckets;

  /**
   * @param {readonly (Map<string, T> | undefined)[]} [buckets]
   * @param {number} [size]
   */
  constructor(buckets = new Array(BUCKETS).fill(undefined), size = 0) {
    this.#buckets = buckets;
    this.size = size;
  }

  /**
   * Build a map at once; the last entry of a key counts.
   *
   * @template V
   * @param {Iterable<readonly [string, V]>} entries
   * @returns {PersistentMap<V>}
   */
  static from(entries) {
    /** @type {(Map<string, V> | undefined)[]} */
    const buckets = new Array(BUCKETS).fill(undefined);
    for (const [key, value] of entries) (buckets[bucketOf(key)] ??= new Map()).set(key, value);
    return new PersistentMap(
      buckets,
      buckets.reduce((size, bucket) => size + (bucket?.size ?? 0), 0),
    );
  }

  /** @param {string} key */
  get(key) {
    return this.#buckets[bucketOf(key)]?.get(key);
  }

  /** @param {string} key */
  has(key) {
    return this.#buckets[bucketOf(key)]?.has(key) ?? false;
  }

  /**
   * Return the map with this entry; itself if it has it.
   *
   * @param {string} key
   * @param {T} value
   * @returns {PersistentMap<T>}
   */
  with(key, value) {
    if (this.has(key) && Object.is(this.get(key), value)) return this;
    return this.#replace(key, (bucket) => bucket.set(key, value));
  }

  /**
   * Return the map without this key; itself if it hasn't got it.
   *
   * @param {string} key
   * @returns {PersistentMap<T>}
   */
  without(key) {
    return this.has(key) ? this.#replace(key, (bucket) => bucket.delete(key)) : this;
  }

  /** All entries, in no particular order. @returns {Generator<[string, T]>} */
  *entries() {
    for (const bucket of this.#buckets) if (bucket) yield* bucket;
  }

  /**
   * @param {string} key
   * @param {(bucket: Map<string, T>) => void} change
   * @returns {PersistentMap<T>}
   */
  #replace(key, change) {
    const number = bucketOf(key);
    const before = this.#buckets[number];
    const bucket = new Map(before);
    change(bucket);
    return new PersistentMap(this.#buckets.with(number, bucket), this.size - (before?.size ?? 0) + bucket.size);
  }
}

/** Return the number of the key's bucket. @param {string} key */
function bucketOf(key) {
  let hash = 0;
  for (let place = 0; place < key.length; place += 1) hash = (hash * 31 + key.charCodeAt(place)) | 0;
  return hash & (BUCKETS - 1);
}
