/**
 * Server-sent events out of a byte stream.
 *
 * The browser's own EventSource can only GET, and a question is a POST; so the
 * bytes of fetch's body are parsed here. This file knows the text/event-stream
 * format and that every `data` is JSON. It does not know what the events mean
 * and does not judge their order.
 *
 * An event that the stream's end cuts short is never delivered, as the format
 * demands.
 */

/** The contract's cap for one event; a longer one is a fault, not a reason to go on buffering. */
const EVENT_MAX_CHARS = 1024 * 1024;

/** Feed it bytes in pieces of any size; it gives back the events they complete. */
export class EventDecoder {
  #utf8 = new TextDecoder("utf-8", { fatal: true });
  #rest = "";
  #name = "";
  #data = [];
  #dataChars = 0;

  /**
   * @param {Uint8Array} bytes
   * @returns {{name: string, data: object}[]}
   * @throws {TypeError} the bytes are not UTF-8
   * @throws {SyntaxError} an event's data is not JSON
   * @throws {RangeError} an event is over its cap
   */
  feed(bytes) {
    const text = this.#rest + this.#utf8.decode(bytes, { stream: true });
    const events = [];
    let start = 0;
    for (const end of text.matchAll(/\r\n|\n|\r/g)) {
      // A lone CR at the very end may be the first half of CRLF: wait for what follows.
      if (end[0] === "\r" && end.index === text.length - 1) break;
      const event = this.#takeLine(text.slice(start, end.index));
      if (event) events.push(event);
      start = end.index + end[0].length;
    }
    this.#rest = text.slice(start);
    if (this.#rest.length + this.#dataChars > EVENT_MAX_CHARS) throw new RangeError("event too long");
    return events;
  }

  /** One line without its end. A blank line completes an event; a line that opens with `:` is a heartbeat. */
  #takeLine(line) {
    if (line === "") return this.#completeEvent();
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    if (field === "data") {
      this.#data.push(value);
      this.#dataChars += value.length + 1; // and the line end between them, or empty lines would be free
    }
    return null;
  }

  #completeEvent() {
    const name = this.#name || "message";
    const data = this.#data;
    this.#name = "";
    this.#data = [];
    this.#dataChars = 0;
    return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
  }
}

/**
 * The events of a fetch body, as they arrive.
 *
 * `heard` is called for every piece of bytes, heartbeats included. Leaving the
 * loop early closes the connection.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} heard
 */
export async function* readEvents(body, heard) {
  const decoder = new EventDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      yield* decoder.feed(value);
    }
  } finally {
    // On a stream that has ended or failed this does nothing; its refusal would say nothing new.
    reader.cancel().catch(() => {});
  }
}
