/**
 * Text onto the page as it arrives, with what stands between backticks as code.
 *
 * A backtick opens code until the next one on its line; one that nothing closes is
 * shown as it is, and no other character means anything. Everything is text nodes.
 */

export class Writer {
  #place;
  #code = null;

  /** @param {Element} place */
  constructor(place) {
    this.#place = place;
  }

  /** @param {string} text any piece of it */
  write(text) {
    for (const part of text.split(/(`|\n)/)) {
      if (part === "`") this.#toggle();
      else if (part === "\n") this.end();
      if (part !== "`" && part !== "") append(this.#code ?? this.#place, part);
    }
  }

  /** Something that is not text; false where code is being written, in which nothing else may stand. */
  place(node) {
    if (this.#code) return false;
    this.#place.append(node);
    return true;
  }

  /** The text, or its line, is over: a backtick that was not closed was one. */
  end() {
    this.#code?.replaceWith(`\`${this.#code.textContent}`);
    this.#code = null;
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
