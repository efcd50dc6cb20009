/**
 * Answer text → runs of text and citation markers.
 *
 * A marker is `[c1]`, `[c2]`, … and may arrive in halves. What could still
 * become one is held back, at most `[c` and a few digits; nothing is ever
 * dropped or changed. Whether a marker names a citation is the caller's
 * question.
 */

const MARKER = /\[(c[1-9]\d{0,2})\]/g;
const UNFINISHED_MARKER = /\[(?:c(?:[1-9]\d{0,2})?)?$/;

export class MarkerSplitter {
  #held = "";

  /**
   * @param {string} text
   * @returns {{text: string, marker: string | null}[]} `text` is always what stood in the answer
   */
  feed(text) {
    const whole = this.#held + text;
    const held = UNFINISHED_MARKER.exec(whole);
    this.#held = held ? held[0] : "";
    return split(held ? whole.slice(0, held.index) : whole);
  }

  /** The text is over: what was held back was no marker. */
  finish() {
    const held = this.#held;
    this.#held = "";
    return split(held);
  }
}

/** Markers name the sources of one answer; in any other context they mean nothing. */
export function withoutMarkers(text) {
  return text.replace(/\s*\[c[1-9]\d{0,2}\]/g, "");
}

/** The answer as plain text to take along: citations by number, and below what the numbers stand for. */
export function numbered(text, citations) {
  const places = new Map(citations.map(({ marker }, index) => [marker, index + 1]));
  const body = text.replace(MARKER, (whole, marker) => (places.has(marker) ? `[${places.get(marker)}]` : whole));
  const list = citations.map(({ title, url }, index) => `[${index + 1}] ${[title, url].filter(Boolean).join(" ")}`);
  return list.length ? `${body}\n\n${list.join("\n")}` : body;
}

function split(text) {
  const pieces = [];
  let start = 0;
  for (const found of text.matchAll(MARKER)) {
    if (found.index > start) pieces.push({ text: text.slice(start, found.index), marker: null });
    pieces.push({ text: found[0], marker: found[1] });
    start = found.index + found[0].length;
  }
  if (start < text.length) pieces.push({ text: text.slice(start), marker: null });
  return pieces;
}
