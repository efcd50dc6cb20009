/**
 * One question over HTTP, told as the contract's events, whatever happens.
 *
 * The caller sees `meta sources? citations? delta* error? done` and always gets
 * exactly one `done`, last. Where the server could not say it, this file does:
 *
 * - a refusal (not 200) becomes `error` with the server's code and `done` with
 *   status `error`;
 * - a stream that ends, breaks, falls silent or leaves the order or form before `done`
 *   becomes `error` HOP_DISCONNECTED or HOP_PROTOCOL_ERROR, which withdraws any
 *   text, and `done` with status `fallback`;
 * - a stop by the reader becomes `done` with status `stopped`.
 */

import { readEvents } from "./events.js";
import { call, refusalOf } from "./server.js";

/** Three heartbeats missed: nobody is at the other end, though the connection may not know it yet. */
const SILENCE_MAX_MS = 30_000;

/** What may follow what, as the contract's order of events says. */
const AFTER = {
  "": ["meta"],
  "meta": ["sources", "citations", "error"],
  "sources": ["citations", "error"],
  "citations": ["delta", "error"],
  "delta": ["delta", "error", "done"],
  "error": ["done"],
};

const MESSAGE_KEYS = ["sources", "busy", "unverified", "request"];

/** What an event has to hold, so that it can be shown; a server that says less says nothing. */
const HOLDS = {
  meta: (data) => typeof data.request_id === "string",
  sources: (data) => areAll(data.sources, (it) => typeof it?.chunk_id === "string" && typeof it.snippet === "string"),
  citations: (data) => areAll(data.citations, (it) => typeof it?.chunk_id === "string"),
  delta: (data) => typeof data.delta === "string",
  error: (data) => typeof data.code === "string" && MESSAGE_KEYS.includes(data.message_key),
  done: (data) => typeof data.status === "string",
};

function areAll(list, are) {
  return Array.isArray(list) && list.every(are);
}

/**
 * @param {string} body the request as JSON
 * @param {AbortSignal} stop aborts the call, which the server sees as the client leaving
 */
export async function* ask(body, stop) {
  const told = { last: "", delta: false, error: null };
  let fault = "HOP_DISCONNECTED";
  try {
    for await (const event of answerEvents(body, stop)) {
      if (told.last === "done") continue; // read on to the end, so that the connection closes in order
      if (!follows(event, told)) {
        fault = "HOP_PROTOCOL_ERROR";
        break;
      }
      told.last = event.name;
      if (event.name === "delta") told.delta = true;
      if (event.name === "error") told.error = event.data;
      yield event;
    }
  } catch (thrown) {
    if (told.last === "done") return;
    if (stop.aborted) {
      yield done("stopped", null, null);
      return;
    }
    if (thrown instanceof Refusal) {
      yield* refused(thrown.said);
      return;
    }
    if (!(thrown instanceof TypeError || thrown instanceof DOMException)) fault = "HOP_PROTOCOL_ERROR";
  }
  if (told.last === "done") return;
  if (!told.error) {
    told.error = { code: fault };
    yield { ...error(fault, "busy", told.delta), local: true };
  }
  yield done("fallback", told.error.code, null);
}

/** Whether an event may stand here, and a `done` says what went before it. */
function follows({ name, data }, told) {
  if (!AFTER[told.last]?.includes(name) || data === null || !HOLDS[name](data)) return false;
  if (name === "error") return data.discard === told.delta;
  if (name !== "done") return true;
  return told.error ? data.reason_code === told.error.code : data.status === "ok";
}

/** A call that was not admitted. */
class Refusal extends Error {
  constructor(said) {
    super(said.code);
    this.said = said;
  }
}

function* refused({ code, message, requestId, retryAfterMs }) {
  yield { name: "meta", data: { request_id: requestId, session_id: null } };
  yield { name: "error", data: { code, message, message_key: keyOf(code), discard: false } };
  yield done("error", code, retryAfterMs);
}

/** Which of the four texts a code that is an error has: its family says so. */
function keyOf(code) {
  if (code.startsWith("INPUT_")) return "request";
  return code === "INTERNAL_ERROR" ? "unverified" : "busy";
}

async function* answerEvents(body, stop) {
  let silence;
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
  };
  const init = () => {
    silence = new AbortController();
    heard();
    return {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body,
      signal: AbortSignal.any([stop, silence.signal]),
    };
  };
  try {
    const response = await call("chat?stream=true", init);
    if (!isEventStream(response)) throw new Refusal(await refusalOf(response));
    yield* readEvents(response.body, heard);
  } finally {
    clearTimeout(timer);
  }
}

function isEventStream(response) {
  const type = response.headers.get("content-type") ?? "";
  return response.status === 200 && type.startsWith("text/event-stream");
}

function error(code, messageKey, discard) {
  return { name: "error", data: { code, message: "", message_key: messageKey, discard } };
}

function done(status, reasonCode, retryAfterMs) {
  return { name: "done", data: { status, reason_code: reasonCode, retry_after_ms: retryAfterMs, model: null } };
}
