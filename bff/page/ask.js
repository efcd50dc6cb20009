/**
 * One question over HTTP, told as the contract's events, whatever happens.
 *
 * The caller sees `meta sources? citations? delta* error? done` and always gets
 * exactly one `done`, last. Where the server could not say it, this file does:
 *
 * - a refusal (not 200) becomes `error` with the server's own text and
 *   `done` with status `error`;
 * - a stream that ends, breaks or falls silent before `done` becomes `error`
 *   HOP_DISCONNECTED, which withdraws any text, and `done` with status `fallback`;
 * - a stop by the reader becomes `done` with status `stopped`.
 */

import { readEvents } from "./events.js";
import { texts } from "./texts.js";

/** Three heartbeats missed: nobody is at the other end, though the connection may not know it yet. */
const SILENCE_MAX_MS = 30_000;

/**
 * @param {string} body the request as JSON
 * @param {AbortSignal} stop aborts the call, which the server sees as the client leaving
 */
export async function* ask(body, stop) {
  const told = { delta: false, error: null, done: false };
  try {
    for await (const event of answerEvents(body, stop)) {
      if (event.name === "delta") told.delta = true;
      if (event.name === "error") told.error = event.data;
      if (told.done) continue; // read on to the end, so that the connection closes in order
      told.done = event.name === "done";
      yield event;
    }
  } catch (fault) {
    if (told.done) return;
    if (stop.aborted) {
      yield done("stopped", null);
      return;
    }
    if (fault instanceof Refusal) {
      yield { name: "meta", data: { request_id: fault.requestId } };
      yield error(fault.code, fault.message, null, false);
      yield done("error", fault.code);
      return;
    }
    console.warn("the answer's stream failed:", fault);
  }
  if (told.done) return;
  if (!told.error) {
    told.error = { code: "HOP_DISCONNECTED" };
    yield error(told.error.code, texts.messages.busy, "busy", told.delta);
  }
  yield done("fallback", told.error.code);
}

/** A call that was not admitted: the server's code and text where it gave them. */
class Refusal extends Error {
  constructor(response, said) {
    super(said?.error?.message ?? texts.messages.busy);
    this.code = said?.error?.code ?? `HTTP ${response.status}`;
    this.requestId = said?.request_id ?? response.headers.get("x-request-id");
  }
}

async function* answerEvents(body, stop) {
  const silence = new AbortController();
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
  };
  heard();
  try {
    const response = await fetch("chat?stream=true", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body,
      signal: AbortSignal.any([stop, silence.signal]),
    });
    if (!isEventStream(response)) {
      // A body that is no JSON says nothing that a reader could use.
      throw new Refusal(response, await response.json().catch(() => null));
    }
    yield* readEvents(response.body, heard);
  } finally {
    clearTimeout(timer);
  }
}

function isEventStream(response) {
  const type = response.headers.get("content-type") ?? "";
  return response.status === 200 && type.startsWith("text/event-stream");
}

function error(code, message, messageKey, discard) {
  return { name: "error", data: { code, message, message_key: messageKey, discard } };
}

function done(status, reasonCode) {
  return { name: "done", data: { status, reason_code: reasonCode } };
}
