/**
 * Calls to the server that served this page, with the reader's key where one is needed.
 *
 * A 401 asks the reader for a key and makes the call again; whoever cancels gets
 * the 401. The key lives in this tab's sessionStorage and goes nowhere else: every
 * path here is relative.
 */

import { inTab } from "./storage.js";
import { text } from "./texts.js";

const STORED_AS = "api-key";
/** What an HTTP header can carry; anything else was never a key. */
const USABLE = /^[\x21-\x7e]+$/;
const dialog = document.getElementById("key-dialog");
const input = document.getElementById("key-input");
const wrong = document.getElementById("key-wrong");
let asking = null;

/**
 * @param {string} path
 * @param {() => RequestInit} init made anew for each try
 */
export async function call(path, init) {
  for (;;) {
    const key = storedKey();
    const options = init();
    const headers = { ...options.headers, ...(key ? { "x-api-key": key } : {}) };
    const response = await fetch(path, { ...options, headers, credentials: "omit" });
    if (response.status !== 401) return response;
    if (key === storedKey() && !(await askForKey(key !== null))) return response;
  }
}

/** Have the reader give a key; false when they will not. Several callers share one question. */
export function askForKey(wasWrong) {
  asking ??= new Promise((resolve) => {
    input.value = "";
    wrong.hidden = !wasWrong;
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  }).finally(() => {
    asking = null;
  });
  return asking;
}

export function hasKey() {
  return storedKey() !== null;
}

function storedKey() {
  return inTab.get(STORED_AS);
}

document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = input.value.trim();
  if (!USABLE.test(key)) {
    wrong.hidden = false;
    input.focus();
    return;
  }
  inTab.set(STORED_AS, key);
  dialog.close("given");
});

document.getElementById("key-cancel").addEventListener("click", () => dialog.close());

/** @param {Response} response a refusal; its body says nothing that a reader could use if it is no JSON */
export async function refusalOf(response) {
  const said = await response.json().catch(() => null);
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  const code = said?.error?.code; // a proxy's own error may have a number there
  return {
    code: typeof code === "string" ? code : `HTTP ${response.status}`,
    message: said?.error?.message ?? text("message.busy"),
    requestId: said?.request_id ?? response.headers.get("x-request-id"),
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : null,
  };
}
