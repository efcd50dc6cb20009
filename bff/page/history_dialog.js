/**
 * The conversations of this browser: opened again from what the server keeps, or deleted there.
 *
 * One that the server no longer has is struck from the list. A reload of the tab
 * goes on in the conversation it was in.
 */

import { clone } from "./elements.js";
import { conversations, forget, openConversation, setOpenConversation } from "./history.js";
import { call } from "./server.js";
import { currentLanguage, text } from "./texts.js";

const dialog = document.getElementById("history-dialog");
const list = document.getElementById("history-list");
const said = document.getElementById("history-said");
let begin = null;
let announce = null;
/** The AbortController of the read that is under way: whoever goes on elsewhere ends it. */
let reading = null;

/**
 * @param {(kept?: object) => void} show shows a kept conversation, or begins a new one
 * @param {(said: string) => void} tell
 * @param {string | null} id which one to go on with at once
 */
export function onOpen(show, tell, id) {
  begin = show;
  announce = tell;
  if (id !== null) open(id, false);
}

/** What is shown stays: a conversation that is still being read comes too late. */
export function stayHere() {
  reading?.abort();
  reading = null;
}

export function relabelHistory() {
  if (dialog.open) fill();
}

function fill() {
  const items = conversations().map(({ id, title, at }) => {
    const item = clone("kept");
    const [go, remove] = item.querySelectorAll("button");
    go.textContent = title;
    if (id === openConversation()) go.ariaCurrent = "true";
    item.querySelector("time").textContent = new Date(at).toLocaleString(currentLanguage(), {
      dateStyle: "medium",
      timeStyle: "short",
    });
    remove.ariaLabel = text("history.delete", title);
    remove.title = remove.ariaLabel;
    go.addEventListener("click", () => open(id, true));
    remove.addEventListener("click", () => drop(id));
    return item;
  });
  list.replaceChildren(...items);
  document.getElementById("history-empty").hidden = items.length > 0;
}

async function open(id, asked) {
  stayHere();
  const { signal } = (reading = new AbortController());
  const response = await asking(id, "GET", signal);
  const kept = response?.status === 200 ? await response.json().catch(() => null) : null;
  if (signal.aborted) return;
  if (kept !== null) {
    dialog.close();
    begin(kept);
    if (asked) announce(text("history.opened"));
    return;
  }
  if (response?.status === 404) {
    forget(id);
    if (!asked) begin();
    else if (id === openConversation()) setOpenConversation(null);
    fill();
    document.getElementById("history-close").focus(); // what had the focus is gone
  }
  if (asked) said.textContent = text(response?.status === 404 ? "history.gone" : "history.unread");
}

async function drop(id) {
  const response = await asking(id, "DELETE");
  if (response?.status !== 204 && response?.status !== 404) {
    said.textContent = text("history.failed");
    return;
  }
  forget(id);
  if (id === openConversation()) begin();
  fill();
  said.textContent = text("history.deleted");
  document.getElementById("history-close").focus();
}

function asking(id, method, signal) {
  return call(`sessions/${encodeURIComponent(id)}`, () => ({ method, signal })).catch(() => null);
}

document.getElementById("history").addEventListener("click", () => {
  said.textContent = "";
  fill();
  dialog.showModal();
});

document.getElementById("history-close").addEventListener("click", () => dialog.close());
