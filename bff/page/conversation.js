/**
 * What was said so far, and the request that the next question makes of it.
 *
 * The server keeps the conversation and says its id; from then on the id is all
 * that is sent. A server that keeps none says null: then as much of what was said
 * goes along as the contract allows. Of that only answered questions count: a
 * fallback, a failure or a stopped answer is no part of what was said. No DOM, no
 * network.
 */

import { withoutMarkers } from "./markers.js";

/** The contract's limits. Characters are code points, as the server counts them. */
export const MESSAGE_MAX_CHARS = 4000;
const HISTORY_MAX_MESSAGES = 12;
const BODY_MAX_BYTES = 64 * 1024;

/** @param {string} text */
export function countChars(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

export class Conversation {
  #messages = [];

  /** The server's id of this conversation; null while it has none. */
  id;

  constructor(id = null) {
    this.id = id;
  }

  /** Keep an answered question. An answer may be longer than a message may be; its beginning is kept. */
  remember(question, answer) {
    const said = firstChars(withoutMarkers(answer).trim(), MESSAGE_MAX_CHARS);
    if (said === "") return;
    this.#messages.push({ role: "user", content: question }, { role: "assistant", content: said });
    this.#messages = this.#messages.slice(-HISTORY_MAX_MESSAGES);
  }

  /** The JSON body for a question, with as much of the history, oldest first to go, as it has room for. */
  requestBody(question) {
    const request = { version: "v1", message: { role: "user", content: question } };
    if (this.id !== null) return JSON.stringify({ ...request, session_id: this.id });
    const utf8 = new TextEncoder();
    for (let from = 0; ; from += 2) {
      const history = this.#messages.slice(from);
      const body = JSON.stringify({ ...request, history });
      if (history.length === 0 || utf8.encode(body).length <= BODY_MAX_BYTES) return body;
    }
  }
}

function firstChars(text, limit) {
  return text.length <= limit ? text : Array.from(text).slice(0, limit).join("");
}
