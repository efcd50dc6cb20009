/**
 * What the browser keeps for this page: for every tab of it, or for this tab.
 *
 * A browser that keeps nothing, or no more, is no fault: then the page itself
 * keeps it, until it is left.
 */

class Kept {
  #name;
  #own = new Map();

  /** @param {"localStorage" | "sessionStorage"} name */
  constructor(name) {
    this.#name = name;
  }

  /** @returns {string | null} */
  get(key) {
    return this.#own.get(key) ?? this.#tried((store) => store.getItem(key)) ?? null;
  }

  /** @param {string | null} value null: nothing is kept any more */
  set(key, value) {
    this.#own.delete(key);
    this.#tried((store) => (value === null ? store.removeItem(key) : store.setItem(key, value)));
    if (this.get(key) !== value) this.#own.set(key, value); // what it did not take
  }

  /** Even to name the store throws where it is forbidden; to write to it, where it is full. */
  #tried(use) {
    try {
      return use(globalThis[this.#name]);
    } catch {
      return null;
    }
  }
}

export const inBrowser = new Kept("localStorage");
export const inTab = new Kept("sessionStorage");
