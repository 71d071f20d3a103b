// @ts-check
/**
 * A list of elements, one per item, that follows a list of values. An element stays the same while its item's key is there,
 * with its focus and its selection; it is updated only if something that it shows has changed.
 */

/**
 * @template Item
 * @typedef {object} Row
 * @property {string} key
 * @property {HTMLElement} element
 * @property {Item | undefined} item the item as it was drawn last
 * @property {readonly unknown[]} inputs what the row shows beside the item, as it was drawn last
 */

/** @type {readonly unknown[]} */
const NONE = [];

/**
 * Whether two lists have the same values, compared by identity.
 *
 * @param {readonly unknown[]} one
 * @param {readonly unknown[]} other
 */
export function sameValues(one, other) {
  return one.length === other.length && one.every((value, place) => Object.is(value, other[place]));
}

/**
 * @template Item
 * @template [Context=void]
 */
export class KeyedList {
  /** @type {Row<Item>[]} in the order of the elements */
  #rows = [];
  /** @type {readonly unknown[]} */
  #shared = NONE;

  /**
   * @param {Element} parent has no other children
   * @param {object} options
   * @param {(item: Item, place: number) => string} options.keyOf
   * @param {(item: Item) => HTMLElement} options.create draws what stays the same; `update` follows
   * @param {(element: HTMLElement, item: Item, context: Context) => void} [options.update]
   * @param {(item: Item, context: Context) => readonly unknown[]} [options.inputsOf] what a row shows beside its item
   */
  constructor(parent, { keyOf, create, update = () => {}, inputsOf = () => NONE }) {
    this.parent = parent;
    this.keyOf = keyOf;
    this.create = create;
    this.update = update;
    this.inputsOf = inputsOf;
  }

  /**
   * Show these items. Rows are updated whose item or inputs are others than before; all of them if `shared` has changed.
   *
   * @param {readonly Item[]} items
   * @param {Context} context for `update` and `inputsOf`
   * @param {readonly unknown[]} [shared] what every row shows beside its item
   */
  render(items, context, shared = NONE) {
    this.#arrange(items);
    const sharedChanged = !sameValues(shared, this.#shared);
    this.#shared = shared;
    for (const [place, item] of items.entries()) this.#refresh(this.#rows[place], item, context, sharedChanged);
  }

  /** Remove all rows. Elements for the next items are made anew, even for keys that were here. */
  clear() {
    this.parent.replaceChildren();
    this.#rows = [];
  }

  /**
   * @param {Row<Item>} row
   * @param {Item} item
   * @param {Context} context
   * @param {boolean} always even if neither item nor inputs have changed
   */
  #refresh(row, item, context, always) {
    const inputs = this.inputsOf(item, context);
    if (!always && row.item === item && sameValues(inputs, row.inputs)) return;
    row.item = item;
    row.inputs = inputs;
    this.update(row.element, item, context);
  }

  /**
   * Bring the elements into the items' order. What stands before and after the changed part isn't touched.
   *
   * @param {readonly Item[]} items
   */
  #arrange(items) {
    const rows = this.#rows;
    const most = Math.min(items.length, rows.length);
    let start = 0;
    while (start < most && rows[start].key === this.keyOf(items[start], start)) start += 1;
    let end = 0;
    while (end < most - start && rows[rows.length - 1 - end].key === this.#keyFromEnd(items, end)) end += 1;
    if (start === items.length && start === rows.length) return;
    this.#replace(start, rows.length - end, items.slice(start, items.length - end));
  }

  /**
   * @param {readonly Item[]} items
   * @param {number} end
   */
  #keyFromEnd(items, end) {
    const place = items.length - 1 - end;
    return this.keyOf(items[place], place);
  }

  /**
   * Replace the rows from `start` to `stop` by those of the items. An element that moves keeps its focus.
   *
   * @param {number} start
   * @param {number} stop
   * @param {readonly Item[]} items
   */
  #replace(start, stop, items) {
    const focused = document.activeElement;
    const known = new Map(this.#rows.slice(start, stop).map((row) => [row.key, row]));
    const wanted = items.map((item, place) => {
      const key = this.keyOf(item, start + place);
      const row = known.get(key) ?? { key, element: this.create(item), item: undefined, inputs: NONE };
      known.delete(key);
      return row;
    });
    let next = this.#rows[stop]?.element ?? null;
    for (const row of known.values()) row.element.remove();
    for (const { element } of wanted.toReversed()) {
      if (element.nextElementSibling !== next || element.parentNode !== this.parent) this.parent.insertBefore(element, next);
      next = element;
    }
    this.#rows.splice(start, stop - start, ...wanted);
    if (focused !== document.activeElement && focused instanceof HTMLElement && this.parent.contains(focused))
      focused.focus({ preventScroll: true });
  }
}
