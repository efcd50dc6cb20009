/**
 * Text onto the page as it arrives, with what stands between backticks as code.
 *
 * A single backtick opens code until the next single one on its line; one that
 * nothing closes, and several in a row, are shown as they are, and no other character
 * means anything. Everything is text nodes.
 */

export class Writer {
  #place;
  #code = null;
  /** How many stood at the end of what was written: whether more follow is not known yet. */
  #backticks = 0;

  /** @param {Element} place */
  constructor(place) {
    this.#place = place;
  }

  /** @param {string} text any piece of it */
  write(text) {
    for (const part of text.split(/(`+|\n)/)) {
      if (part.startsWith("`")) this.#backticks += part.length;
      else if (part !== "") {
        this.#settle();
        if (part === "\n") this.end();
        append(this.#code ?? this.#place, part);
      }
    }
  }

  /** Something that is not text; false where code is being written, in which nothing else may stand. */
  place(node) {
    this.#settle();
    if (this.#code) return false;
    this.#place.append(node);
    return true;
  }

  /** The text, or its line, is over: a backtick that was not closed was one. */
  end() {
    this.#settle();
    this.#code?.replaceWith(`\`${this.#code.textContent}`);
    this.#code = null;
  }

  #settle() {
    const backticks = this.#backticks;
    this.#backticks = 0;
    if (backticks === 1) this.#toggle();
    else if (backticks) append(this.#code ?? this.#place, "`".repeat(backticks));
  }

  #toggle() {
    if (this.#code) {
      this.#code = null;
      return;
    }
    this.#code = document.createElement("code");
    this.#place.append(this.#code);
  }
}

function append(place, text) {
  if (place.lastChild instanceof Text) place.lastChild.appendData(text);
  else place.append(text);
}
